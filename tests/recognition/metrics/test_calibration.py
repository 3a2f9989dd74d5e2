import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss

from recognition.comparisons.pairs import compare_all
from recognition.comparisons.scores import ScoreLists
from recognition.comparisons.steps import Steps
from recognition.errors import InputError
from recognition.metrics import calibration as c

GRID = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.0, 0.5, 1.0, 3.0])
TIED = st.lists(GRID, min_size=1, max_size=15)
FREE = st.lists(st.integers(-20_000, 20_000).map(lambda x: x / 1000), min_size=1, max_size=15)
LLRS = TIED | FREE
PRIORS = st.sampled_from([0.5, 0.01, 0.9])


def lists(mated, nonmated, dtype=np.float64):
    return ScoreLists(np.array(mated, dtype), np.array(nonmated, dtype))


def softplus(x):
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


def naive_cllr(mated, nonmated):
    miss = sum(softplus(-l) for l in mated) / len(mated)  # noqa: E741
    alarm = sum(softplus(l) for l in nonmated) / len(nonmated)  # noqa: E741
    return (miss + alarm) / 2 / math.log(2)


def pav_llrs(mated, nonmated):
    """By scikit-learn: logit of the isotonic share, less the prior's; infinite at certainty."""
    scores = np.concatenate([mated, nonmated])
    truth = np.repeat([1.0, 0.0], [len(mated), len(nonmated)])
    share = IsotonicRegression().fit(scores, truth).predict(scores)
    share[share < 1e-12], share[share > 1 - 1e-12] = 0, 1
    with np.errstate(divide="ignore"):
        llrs = np.log(share) - np.log1p(-share) - np.log(len(mated) / len(nonmated))
    return llrs[: len(mated)], llrs[len(mated) :]


@given(LLRS, LLRS)
def test_cllr_is_the_mean_of_two_means_of_logistic_costs(mated, nonmated):
    assert c.cllr(mated, nonmated) == pytest.approx(naive_cllr(mated, nonmated), rel=1e-12)


@given(LLRS, LLRS)
def test_cllr_is_the_log_loss_at_even_prior(mated, nonmated):
    p = c.posterior([*mated, *nonmated], 0.5)
    truth = np.repeat([1, 0], [len(mated), len(nonmated)])
    weights = np.repeat([1 / len(mated), 1 / len(nonmated)], [len(mated), len(nonmated)])
    expected = log_loss(truth, p, sample_weight=weights, labels=[0, 1]) / np.log(2)
    assert c.cllr(mated, nonmated) == pytest.approx(expected, rel=1e-6, abs=1e-14)


def test_cllr_of_huge_llrs_is_finite_and_of_infinitely_wrong_ones_infinite():
    assert c.cllr([800.0], [-800.0]) == 0
    assert c.cllr([-800.0], [800.0]) == pytest.approx(800 / math.log(2))
    assert c.cllr([-1e308, 0.0], [0.0]) == pytest.approx(0.25e308 / math.log(2))
    assert c.cllr([-1.5e308, -1.5e308], [0.0]) == pytest.approx(0.75e308 / math.log(2))
    assert c.cllr([np.inf, 1.0], [-np.inf]) < 0.25
    assert c.cllr([-np.inf, 1.0], [0.0]) == np.inf
    assert c.cllr([0.0], [np.inf]) == np.inf


@given(LLRS, LLRS)
def test_min_cllr_is_the_cllr_of_sklearns_isotonic_llrs(mated, nonmated):
    expected = c.cllr(*pav_llrs(mated, nonmated))
    assert c.min_cllr(lists(mated, nonmated)) == pytest.approx(expected, abs=1e-9)


@given(LLRS, LLRS)
def test_min_cllr_is_the_cllr_of_the_pools_llrs(mated, nonmated):
    pools = c.pool_adjacent_violators(lists(mated, nonmated).steps)
    maps = [
        pools.llrs[np.searchsorted(pools.lowest, kind, side="right") - 1]
        for kind in (mated, nonmated)
    ]
    assert c.min_cllr(lists(mated, nonmated)) == pytest.approx(c.cllr(*maps), abs=1e-12)
    assert (np.diff(pools.llrs) > 0).all()  # these counts are small
    assert pools.true.sum() == len(mated)
    assert pools.false.sum() == len(nonmated)


@given(LLRS, LLRS, st.floats(0.1, 3), st.floats(-3, 3))
def test_no_increasing_map_gets_below_min_cllr(mated, nonmated, slope, offset):
    least = c.min_cllr(lists(mated, nonmated))
    for mapped in (lambda x: x, lambda x: slope * x + offset, np.tanh):
        u, v = mapped(np.array(mated)), mapped(np.array(nonmated))
        assert c.cllr(u, v) >= least - 1e-12
    assert 0 <= least <= 1 + 1e-12


@given(TIED, TIED)
def test_increasing_maps_and_order_leave_min_cllr_alone(mated, nonmated):
    least = c.min_cllr(lists(mated, nonmated))
    cubes = [x**3 for x in reversed(mated)], [x**3 for x in reversed(nonmated)]
    assert c.min_cllr(lists(*cubes)) == least
    assert c.min_cllr(lists(mated, nonmated, np.float32)) == least


@given(LLRS, LLRS)
def test_turning_both_kinds_around_leaves_both_costs_alone(mated, nonmated):
    turned = [-x for x in nonmated], [-x for x in mated]
    assert c.cllr(*turned) == pytest.approx(c.cllr(mated, nonmated), rel=1e-12)
    assert c.min_cllr(lists(*turned)) == pytest.approx(
        c.min_cllr(lists(mated, nonmated)), abs=1e-12
    )


def test_scores_that_say_nothing_cost_one_bit_and_perfect_ones_nothing():
    assert c.min_cllr(lists([0.3, 0.3], [0.3] * 5)) == 1
    assert c.min_cllr(lists([0.1, 0.2], [0.2, 0.3])) == 1
    assert c.min_cllr(lists([0.5, 0.6], [0.1, 0.4])) == 0
    assert c.min_cllr(lists([0.4], [0.4, 0.1])) > 0  # a tie is never won


@given(LLRS, LLRS)
def test_calibration_loss_is_what_the_best_map_wins(mated, nonmated):
    loss = c.calibration_loss(mated, nonmated)
    left = c.cllr(mated, nonmated) - c.min_cllr(lists(mated, nonmated))
    assert loss >= 0
    assert loss == pytest.approx(left, abs=1e-12)


@given(LLRS, LLRS)
def test_isotonic_llrs_have_no_calibration_loss(mated, nonmated):
    assert 0 <= c.calibration_loss(*pav_llrs(mated, nonmated)) < 1e-9


def test_infinitely_wrong_llrs_lose_infinitely():
    assert c.calibration_loss([-np.inf, 2.0], [0.0]) == np.inf


def test_incomplete_steps_bound_min_cllr_from_above():
    scores = lists([0.2, 0.5, 0.7, 0.9], [0.1, 0.3, 0.4, 0.6, 0.8])
    steps = scores.steps
    keep = [0, 2, 5, len(steps.thresholds) - 1]
    coarse = Steps(steps.thresholds[keep], steps.false[keep], steps.true[keep], complete=False)
    assert c.pool_adjacent_violators(coarse).cllr > c.min_cllr(scores)


def test_thresholds_at_which_nothing_more_is_accepted_are_no_pools():
    steps = Steps(np.array([3.0, 2, 1, 0]), np.array([0, 0, 0, 2]), np.array([0, 2, 2, 2]))
    pools = c.pool_adjacent_violators(steps)
    np.testing.assert_array_equal(pools.lowest, [0, 2])
    assert pools.cllr == 0


def test_llrs_do_not_fall_where_shares_rise_by_less_than_rounding():
    true, false = np.array([17511107, 14249769, 17511107]), np.array([9136280215, 7434703162, 1])
    assert int(true[1]) * int(false[0]) > int(true[0]) * int(false[1])
    low, middle, high = c.Pools(np.arange(3.0), true, false).llrs
    assert low == middle < high


@given(st.lists(GRID, min_size=1, max_size=9), PRIORS)
def test_posterior_is_bayes_rule(llrs, prior):
    odds = [math.exp(x) * prior / (1 - prior) for x in llrs]
    expected = [o / (1 + o) for o in odds]
    np.testing.assert_allclose(c.posterior(llrs, prior), expected, rtol=1e-12)


def test_posterior_of_infinite_llrs_is_certain():
    assert c.posterior([-np.inf, np.inf], 0.3).tolist() == [0, 1]


@given(LLRS, LLRS, PRIORS)
def test_brier_score_agrees_with_sklearn(mated, nonmated, prior):
    truth = np.repeat([1, 0], [len(mated), len(nonmated)])
    p = c.posterior([*mated, *nonmated], prior)
    weights = np.repeat(
        [prior / len(mated), (1 - prior) / len(nonmated)], [len(mated), len(nonmated)]
    )
    expected = brier_score_loss(truth, p, sample_weight=weights, pos_label=1)
    assert c.brier_score(mated, nonmated, prior=prior) == pytest.approx(expected, abs=1e-12)
    natural = len(mated) / len(truth)
    p = c.posterior([*mated, *nonmated], natural)
    expected = brier_score_loss(truth, p, pos_label=1)
    assert c.brier_score(mated, nonmated, prior=natural) == pytest.approx(expected, abs=1e-12)


def naive_ece(mated, nonmated, prior, bins):
    """One comparison after the other, the weight below each counted anew."""
    rows = [(p, 1, prior / len(mated)) for p in c.posterior(mated, prior)]
    rows += [(p, 0, (1 - prior) / len(nonmated)) for p in c.posterior(nonmated, prior)]
    gaps = dict.fromkeys(range(bins), 0.0)
    for p, came_true, weight in rows:
        below = math.fsum(w for other, _, w in rows if other < p)
        gaps[min(bins - 1, math.floor(bins * below * (1 + 1e-12)))] += weight * (p - came_true)
    return sum(map(abs, gaps.values()))


@given(TIED, TIED, PRIORS, st.integers(1, 20))
def test_calibration_error_sums_gaps_over_bins_of_equal_mass(mated, nonmated, prior, bins):
    found = c.expected_calibration_error(mated, nonmated, prior=prior, bins=bins)
    assert found == pytest.approx(naive_ece(mated, nonmated, prior, bins), abs=1e-12)


def test_bins_of_equal_mass_hold_equally_many_where_nothing_ties():
    mated, nonmated = np.arange(10) + 0.5, np.arange(10.0)
    half = c.posterior(np.arange(20) / 2, 0.5)  # ascending, alternately of either kind
    truth = np.arange(20) % 2
    expected = np.abs((half - truth).reshape(4, 5).sum(axis=1)).sum() / 20
    assert c.expected_calibration_error(mated, nonmated, bins=4) == pytest.approx(expected)


@given(TIED, TIED, PRIORS)
def test_one_bin_compares_the_mean_posterior_with_the_prior(mated, nonmated, prior):
    p, q = c.posterior(mated, prior).mean(), c.posterior(nonmated, prior).mean()
    expected = abs(prior * p + (1 - prior) * q - prior)
    found = c.expected_calibration_error(mated, nonmated, prior=prior, bins=1)
    assert found == pytest.approx(expected, abs=1e-12)


def test_llrs_that_are_right_have_no_calibration_error():
    # of those with LLR ln 3, three in four are mated, and one in four of the others
    mated, nonmated = np.log([3, 3, 3, 1 / 3]), np.log([3, 1 / 3, 1 / 3, 1 / 3])
    for bins in (1, 2, 15):
        found = c.expected_calibration_error(mated, nonmated, bins=bins)
        assert found == pytest.approx(0, abs=1e-15)
    assert c.expected_calibration_error(3 * mated, 3 * nonmated) > 0.1


def test_twelve_comparisons_fill_twelve_bins_whatever_rounding_makes_of_their_mass():
    mated, nonmated = np.arange(6) + 0.5, np.arange(6.0)
    assert 12 * (0.5 * (3 / 6) + 0.5 * (4 / 6)) < 7
    gaps = np.concatenate([1 - c.posterior(mated, 0.5), c.posterior(nonmated, 0.5)])
    found = c.expected_calibration_error(mated, nonmated, bins=12)
    assert found == pytest.approx(gaps.mean(), rel=1e-12)


def test_calibration_error_at_extreme_priors_stays_in_its_bins():
    assert c.expected_calibration_error([0.5], [0.0], prior=1e-14, bins=1) < 1e-20


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: c.cllr([], [1.0]), "mated LLRs must be a flat, not empty"),
        (lambda: c.cllr([1.0], [[1.0]]), "non-mated LLRs .* shape"),
        (lambda: c.cllr([np.nan], [1.0]), "leave out"),
        (lambda: c.calibration_loss([1.0], [np.nan]), "without NaN"),
        (lambda: c.posterior([0.0], 0.0), "strictly between 0 and 1, not 0.0"),
        (lambda: c.brier_score([0.0], [0.0], prior=1.0), "not 1.0; 0.5 takes"),
        (lambda: c.brier_score([0.0], []), "not empty"),
        (lambda: c.expected_calibration_error([0.0], [0.0], bins=0), "15 are usual"),
        (
            lambda: c.expected_calibration_error([0.0], [np.nan]),
            "non-mated LLRs must be .* without NaN",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(call, says):
    with pytest.raises(InputError, match=says):
        call()


def test_min_cllr_of_real_faces(shared_data):
    with np.load(shared_data / "orl_mobilefacenet.npz", allow_pickle=False) as file:
        scores = compare_all(file["embeddings"], file["labels"])
    expected = c.cllr(*pav_llrs(scores.mated, scores.nonmated))
    assert c.min_cllr(scores) == pytest.approx(expected, abs=1e-12) == pytest.approx(0.0424289)
