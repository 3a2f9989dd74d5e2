import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from recognition.comparisons.pairs import compare_all
from recognition.comparisons.scores import ScoreLists
from recognition.errors import InputError
from recognition.metrics import costs as c
from recognition.metrics.hull import hull_equal_error_rate

GRID = st.sampled_from([-1.0, -0.5, 0.0, 0.1, 0.3, 0.5, 1.0])
KINDS = st.sampled_from([np.float32, np.float64])
PRICES = st.builds(
    c.Costs,
    st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.8, 0.99]),
    st.sampled_from([0.5, 1.0, 10.0]),
    st.sampled_from([1.0, 3.0]),
)


@st.composite
def tied(draw):
    """A few values many times over: nearly everything ties."""
    kind = draw(KINDS)
    mated = draw(st.lists(GRID, min_size=1, max_size=12))
    nonmated = draw(st.lists(GRID, min_size=1, max_size=40))
    return ScoreLists(np.array(mated, kind), np.array(nonmated, kind))


def normal(mated, nonmated, seed=0, apart=2.0):
    random = np.random.default_rng(seed)
    return ScoreLists(random.normal(apart, 1, mated), random.normal(0, 1, nonmated))


def rates_at(scores, threshold):
    """FMR and FNMR, counted."""
    false = sum(score >= threshold for score in scores.nonmated.tolist())
    missed = sum(score < threshold for score in scores.mated.tolist())
    return Fraction(false, len(scores.nonmated)), Fraction(missed, len(scores.mated))


def candidates(scores):
    every = np.concatenate([scores.mated, scores.nonmated])
    above = np.nextafter(every.max(), every.dtype.type(np.inf))
    return sorted({*every.tolist(), float(above)}, reverse=True)


def naive_cheapest(scores, miss, false_alarm):
    """(cost, FMR + FNMR, threshold) in fractions; of equal costs the fewest errors, the highest."""
    best = None
    for threshold in candidates(scores):
        fmr, fnmr = rates_at(scores, threshold)
        found = (miss * fnmr + false_alarm * fmr, fnmr + fmr, threshold)
        if best is None or found[:2] < best[:2]:
            best = found
    return best


def as_written(costs):
    """Both weights as fractions of the decimals that were written: 0.1 is one tenth."""
    prior, miss, false_alarm = (
        Fraction(str(x)) for x in (costs.prior, costs.miss, costs.false_alarm)
    )
    return prior * miss, (1 - prior) * false_alarm


@given(tied(), PRICES)
def test_min_dcf_is_the_least_cost_and_ties_are_settled_as_told(scores, costs):
    miss, false_alarm = as_written(costs)
    cost, _, threshold = naive_cheapest(scores, miss, false_alarm)
    found = c.min_dcf(scores, costs)
    assert found.cost == pytest.approx(float(cost / min(miss, false_alarm)), rel=1e-12)
    assert found.threshold == threshold
    assert (found.fmr, found.fnmr) == tuple(map(float, rates_at(scores, threshold)))


@given(tied(), PRICES)
def test_accepting_nobody_or_everybody_costs_one_at_best(scores, costs):
    assert c.min_dcf(scores, costs).cost <= 1 + 1e-12
    assert min(costs.expected(0, 1), costs.expected(1, 0)) == 1
    assert min(costs.weights) == 1


@given(tied(), PRICES, st.floats(0.01, 100))
def test_only_the_ratio_of_the_costs_counts(scores, costs, factor):
    dearer = c.Costs(costs.prior, costs.miss * factor, costs.false_alarm * factor)
    assert dearer.threshold == pytest.approx(costs.threshold, abs=1e-12)
    assert c.min_dcf(scores, dearer).cost == pytest.approx(c.min_dcf(scores, costs).cost)


@given(tied(), PRICES)
def test_min_dcf_reads_only_the_order_of_the_scores(scores, costs):
    moved = ScoreLists(np.exp(scores.mated) * 3, np.exp(scores.nonmated) * 3)
    assert c.min_dcf(moved, costs).cost == c.min_dcf(scores, costs).cost


@given(tied(), PRICES)
def test_act_dcf_is_the_cost_at_the_bayes_threshold_and_never_below_the_minimum(scores, costs):
    miss, false_alarm = as_written(costs)
    threshold = math.log(false_alarm / miss)
    found = c.act_dcf(scores, costs)
    assert found.threshold == pytest.approx(threshold, abs=1e-12)
    fmr, fnmr = rates_at(scores, found.threshold)
    expected = (miss * fnmr + false_alarm * fmr) / min(miss, false_alarm)
    assert found.cost == pytest.approx(float(expected), rel=1e-12)
    assert found.cost >= c.min_dcf(scores, costs).cost * (1 - 1e-12)


def test_a_ratio_at_the_bayes_threshold_is_accepted():
    scores = ScoreLists(np.array([0.0]), np.array([0.0]))
    found = c.act_dcf(scores, c.Costs(0.5))
    assert found == (1.0, 0.0, 1.0, 0.0)


def test_true_likelihood_ratios_cost_little_more_than_the_minimum():
    # N(1, 1) against N(-1, 1): the log-likelihood ratio of x is 2 x
    random = np.random.default_rng(0)
    scores = ScoreLists(2 * random.normal(1, 1, 20_000), 2 * random.normal(-1, 1, 20_000))
    for prior in (0.1, 0.5, 0.9):
        best, actual = c.min_dcf(scores, c.Costs(prior)), c.act_dcf(scores, c.Costs(prior))
        assert best.cost <= actual.cost <= best.cost * 1.02
    wrong = ScoreLists(scores.mated + 3, scores.nonmated + 3)
    assert c.act_dcf(wrong, c.Costs(0.1)).cost > 3 * c.min_dcf(wrong, c.Costs(0.1)).cost


def test_nist_2008_by_hand():
    # C_miss 10, C_fa 1, prior 0.01: FNMR counts 0.1 / 0.1, FMR 0.99 / 0.1
    costs = c.Costs(0.01, 10, 1)
    assert costs.weights == pytest.approx((1, 9.9))
    assert costs.threshold == pytest.approx(math.log(9.9))
    scores = ScoreLists(np.array([1.0, 2, 3, 4]), np.arange(-97.0, 3.0))
    # at 3 half missed: 0.5; at 2 a quarter and 1 % false: 0.25 + 0.099; at 1 only 2 % false
    assert c.min_dcf(scores, costs) == pytest.approx((0.198, 1.0, 0.02, 0.0))


@pytest.mark.parametrize("seed", range(3))
def test_costs_agree_with_every_point_of_sklearns_curve(seed):
    scores = normal(200, 3000, seed, apart=1.5)
    assert_agrees_with_sklearn(scores)


def assert_agrees_with_sklearn(scores):
    truth = np.repeat([1, 0], [len(scores.mated), len(scores.nonmated)])
    every = np.concatenate([scores.mated, scores.nonmated])
    fpr, tpr, _ = roc_curve(truth, every, drop_intermediate=False)
    for prior, miss, false_alarm in ((0.01, 1, 1), (0.01, 10, 1), (0.5, 1, 1), (0.9, 1, 2)):
        weights = prior * miss, (1 - prior) * false_alarm
        dcf = (weights[0] * (1 - tpr) + weights[1] * fpr) / min(weights)
        found = c.min_dcf(scores, c.Costs(prior, miss, false_alarm))
        assert found.cost == pytest.approx(dcf.min(), abs=1e-12)
        assert c.hter(scores, found.threshold) == (found.fmr + found.fnmr) / 2


@given(tied(), GRID)
def test_hter_is_half_of_both_rates(scores, threshold):
    fmr, fnmr = rates_at(scores, threshold)
    assert c.hter(scores, threshold) == pytest.approx(float((fmr + fnmr) / 2), abs=1e-15)


@given(tied(), tied())
def test_each_weight_is_paid_on_the_other_data(dev, test):
    weights = [0.0, 0.1, 0.5, 0.75, 1.0]
    curve = c.expected_performance(dev, test, weights)
    np.testing.assert_array_equal(curve.weights, weights)
    for weight, threshold, rate in zip(weights, curve.thresholds, curve.hter, strict=True):
        share = Fraction(str(weight))
        assert threshold == naive_cheapest(dev, 1 - share, share)[2]
        assert rate == pytest.approx(float(sum(rates_at(test, threshold))) / 2, abs=1e-15)


@given(tied())
def test_extreme_weights_still_avoid_the_other_error(scores):
    curve = c.expected_performance(scores, scores, [0.0, 1.0])
    lowest, highest = curve.thresholds
    assert rates_at(scores, lowest)[1] == 0
    assert lowest == min(candidates(scores), key=lambda t: (rates_at(scores, t)[::-1], -t))
    assert rates_at(scores, highest)[0] == 0
    assert highest == min(candidates(scores), key=lambda t: (rates_at(scores, t), -t))


def test_more_weight_on_false_matches_never_lowers_the_threshold():
    dev, test = normal(500, 3000, 1), normal(500, 3000, 2)
    curve = c.expected_performance(dev, test, np.linspace(0, 1, 51))
    assert (np.diff(curve.thresholds) >= 0).all()
    assert curve.hter[25] < 0.2 < curve.hter[0]


def test_half_weight_costs_no_more_than_the_rate_at_the_worst_prior():
    scores = normal(200, 900)
    own = c.expected_performance(scores, scores, [0.5]).hter[0]
    assert own <= hull_equal_error_rate(scores).rate


def test_the_order_of_the_weights_is_kept():
    dev, test = normal(50, 100, 1), normal(50, 100, 2)
    up = c.expected_performance(dev, test, [0.1, 0.5, 0.9])
    down = c.expected_performance(dev, test, [0.9, 0.5, 0.1])
    np.testing.assert_array_equal(up.thresholds, down.thresholds[::-1])
    np.testing.assert_array_equal(up.hter, down.hter[::-1])


def test_real_faces(shared_data):
    orl = np.load(shared_data / "orl_mobilefacenet.npz")
    people = orl["labels"]
    first = np.isin(people, np.unique(people)[:20])
    halves = [compare_all(orl["embeddings"][half], people[half]) for half in (first, ~first)]
    for scores in halves:
        assert_agrees_with_sklearn(scores)
    weights = np.linspace(0.05, 0.95, 7)
    curve = c.expected_performance(*halves, weights)
    fmr, fnmr, thresholds = halves[0].steps.fmr, halves[0].steps.fnmr, halves[0].steps.thresholds
    for weight, threshold in zip(weights, curve.thresholds, strict=True):
        cost = weight * fmr + (1 - weight) * fnmr
        at = np.flatnonzero(thresholds == threshold)[0]
        assert cost[at] == pytest.approx(cost.min(), abs=1e-15)
    assert (curve.hter < 0.1).all()


@pytest.mark.parametrize("prior", [0, 1, -0.1, 2, math.nan, math.inf])
def test_a_prior_is_strictly_between_0_and_1(prior):
    with pytest.raises(InputError, match="prior strictly between 0 and 1"):
        c.Costs(prior)


@pytest.mark.parametrize("cost", [0, -1, math.nan, math.inf])
def test_costs_are_positive_and_finite(cost):
    with pytest.raises(InputError, match="cost of a miss"):
        c.Costs(0.5, miss=cost)
    with pytest.raises(InputError, match="cost of a false alarm"):
        c.Costs(0.5, false_alarm=cost)


def test_costs_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match="ratio below"):
        c.Costs(1e-200, miss=1e-200)
    with pytest.raises(InputError, match="ratio below"):
        c.Costs(0.5, miss=1e101)
    assert c.Costs(0.5, miss=1e99).threshold == pytest.approx(-99 * math.log(10))


@pytest.mark.parametrize("weights", [[], [1.1], [-0.1], [math.nan], 0.5, [[0.5]]])
def test_weights_are_shares(weights):
    scores = normal(5, 5)
    with pytest.raises(InputError, match="between 0 and 1"):
        c.expected_performance(scores, scores, weights)
