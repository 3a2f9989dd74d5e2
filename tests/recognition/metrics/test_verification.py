import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from recognition.comparisons import Scores, Steps
from recognition.errors import InputError
from recognition.metrics import verification as v

GRID = st.sampled_from([-1.0, -0.5, 0.0, 0.1, 0.3, 0.5, 1.0])
KINDS = st.sampled_from([np.float32, np.float64])


def scores_of(mated, nonmated, dtype=np.float64):
    """Scores of two people, where who is compared does not matter."""
    return Scores(
        np.array(mated, dtype),
        np.array(nonmated, dtype),
        np.zeros(len(mated), np.int32),
        np.tile(np.array([0, 1], np.int32), (len(nonmated), 1)),
        2,
    )


@st.composite
def tied(draw):
    """A few values many times over: nearly everything ties."""
    mated = draw(st.lists(GRID, min_size=1, max_size=12))
    nonmated = draw(st.lists(GRID, min_size=1, max_size=40))
    return scores_of(mated, nonmated, draw(KINDS))


@st.composite
def targets(draw, trials):
    """Rates on, just beside and between multiples of 1 / trials."""
    whole = draw(st.integers(0, trials)) / trials
    return draw(st.sampled_from([whole, max(0.0, whole - 1e-9), draw(st.floats(0, 1))]))


def candidate_thresholds(scores):
    every = np.concatenate([scores.mated, scores.nonmated])
    return [-np.inf, *np.unique(every), np.nextafter(every.max(), every.dtype.type(np.inf))]


def share(scores, threshold):
    return sum(score >= threshold for score in scores) / len(scores)


@settings(deadline=None)
@given(st.data(), tied())
def test_tar_is_the_best_over_all_thresholds_whose_fmr_is_at_most_the_target(data, scores):
    target = data.draw(targets(len(scores.nonmated)))
    fair = [t for t in candidate_thresholds(scores) if share(scores.nonmated, t) <= target + 1e-13]
    point = v.tar_at_fmr(scores, target)
    assert point.tar == max(share(scores.mated, t) for t in fair)
    assert point.fmr == max(share(scores.nonmated, t) for t in fair) <= target + 1e-13
    assert point.tar == point.accepted / point.mated
    assert 1 - point.tar == pytest.approx(v.fnmr(scores, point.threshold), abs=1e-15)
    assert point.fmr == v.fmr(scores, point.threshold)


@settings(deadline=None)
@given(st.data(), tied())
def test_no_lower_threshold_of_the_scores_type_meets_the_target(data, scores):
    target = data.draw(targets(len(scores.nonmated)))
    kind = scores.nonmated.dtype.type
    t = v.threshold_at_fmr(scores.nonmated, target)
    assert kind(t) == t
    assume(np.isfinite(t))
    just_below = np.nextafter(kind(t), kind(-np.inf))
    assert share(scores.nonmated, just_below) > target
    # a Python float is rounded to float32 by numpy: even so nobody else slips in
    assert (scores.nonmated >= t).mean() <= target + 1e-13


@settings(deadline=None)
@given(st.data(), tied())
def test_points_agree_with_every_point_of_sklearns_curve(data, scores):
    truth = np.repeat([1, 0], [len(scores.mated), len(scores.nonmated)])
    every = np.concatenate([scores.mated, scores.nonmated])
    fpr, tpr, _ = roc_curve(truth, every, drop_intermediate=False)
    for target in [*fpr, data.draw(targets(len(scores.nonmated)))]:
        assert v.tar_at_fmr(scores, float(target)).tar == tpr[fpr <= target + 1e-13].max()
    assert abs(v.area_under_curve(scores) - roc_auc_score(truth, every)) < 1e-12
    curve = v.error_curve(scores)
    np.testing.assert_allclose(curve.fmr, fpr, atol=1e-15)
    np.testing.assert_allclose(1 - curve.fnmr, tpr, atol=1e-15)
    for t, false, missed in zip(curve.thresholds, curve.fmr, curve.fnmr, strict=True):
        assert false == share(scores.nonmated, t)
        assert missed == pytest.approx(1 - share(scores.mated, t), abs=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_continuous_scores_agree_with_sklearn_too(dtype):
    random = np.random.default_rng(5)
    scores = scores_of(random.normal(1, 1, 300), random.normal(0, 1, 5000), dtype)
    truth = np.repeat([1, 0], [300, 5000])
    every = np.concatenate([scores.mated, scores.nonmated])
    fpr, tpr, _ = roc_curve(truth, every, drop_intermediate=False)
    for target in [1e-4, 2e-4, 3e-4, 1e-3, 0.01, 0.0123, 0.29, 0.5, 0.999]:
        assert v.tar_at_fmr(scores, target).tar == tpr[fpr <= target + 1e-13].max()
    assert abs(v.area_under_curve(scores) - roc_auc_score(truth, every)) < 1e-12


def fvc2000(scores):
    """The rule as written: t1 the highest with FNMR <= FMR, t2 the lowest with FNMR >= FMR."""
    thresholds = candidate_thresholds(scores)[1:]
    false = {t: share(scores.nonmated, t) for t in thresholds}
    missed = {t: 1 - share(scores.mated, t) for t in thresholds}
    t1 = max(t for t in thresholds if missed[t] <= false[t] + 1e-12)
    t2 = min(t for t in thresholds if missed[t] >= false[t] - 1e-12)
    if missed[t1] + false[t1] <= missed[t2] + false[t2] + 1e-12:
        return missed[t1], false[t1], t1
    return false[t2], missed[t2], t2


@settings(deadline=None)
@given(tied())
def test_equal_error_rate_follows_fvc2000(scores):
    low, high, threshold = fvc2000(scores)
    found = v.equal_error_rate(scores)
    assert found.low == pytest.approx(low, abs=1e-14)
    assert found.high == pytest.approx(high, abs=1e-14)
    assert found.rate == pytest.approx((low + high) / 2, abs=1e-14)
    assert found.threshold == threshold
    assert {found.low, found.high} == {
        v.fmr(scores, found.threshold),
        v.fnmr(scores, found.threshold),
    }


def test_equal_error_rate_by_hand():
    # FMR and FNMR at 0.6: 1/4 and 1/3; at 0.5: 2/4 and 1/3; the smaller sum wins
    scores = scores_of([0.9, 0.6, 0.1], [0.7, 0.5, 0.3, 0.2])
    assert v.equal_error_rate(scores) == (0.25, pytest.approx(7 / 24), pytest.approx(1 / 3), 0.6)


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 50), KINDS)
def test_where_all_scores_are_equal_all_or_nothing_is_accepted(mated, nonmated, dtype):
    scores = scores_of([0.3] * mated, [0.3] * nonmated, dtype)
    assert v.tar_at_fmr(scores, 0.999).tar == 0
    assert v.tar_at_fmr(scores, 1).tar == 1
    assert v.equal_error_rate(scores)[:3] == (0, 0.5, 1)
    assert v.area_under_curve(scores) == 0.5
    assert v.error_curve(scores).fmr.tolist() == [0, 1]


def test_a_target_below_one_false_match_is_not_resolved_but_says_why():
    random = np.random.default_rng(0)
    scores = scores_of(random.normal(3, 1, 50), random.normal(0, 1, 14151))
    point = v.tar_at_fmr(scores, 1e-6)
    assert (point.resolved, point.reliable, point.allowed, point.fmr) == (False, False, 0, 0)
    assert point.reason == (
        "FMR 1e-06 cannot be measured with 14,151 non-mated comparisons; "
        "the smallest is 2.1e-04 at 95 %"
    )
    assert point.tar == (scores.mated > scores.nonmated.max()).mean()


def test_thirty_false_matches_make_a_rate_reliable():
    scores = scores_of([1.0], np.linspace(0, 1, 3000))
    assert v.tar_at_fmr(scores, 0.01).reliable
    assert v.tar_at_fmr(scores, 0.01).reason is None
    below = v.tar_at_fmr(scores, 0.0099)
    assert (below.resolved, below.reliable) == (True, False)
    assert "at most 29 false matches among 3,000" in below.reason


@pytest.mark.parametrize(
    ("target", "trials", "allowed"),
    [(0.29, 100, 29), (0.57, 100, 57), (1e-4, 30000, 3), (0.3, 10, 3), (0.1, 3, 0), (1, 7, 7)],
)
def test_rounding_does_not_cost_an_allowed_error(target, trials, allowed):
    assert v.allowed_errors(target, trials) == allowed


def test_a_float32_score_below_a_float64_threshold_is_rejected():
    score = np.float32(0.7)  # 0.69999999, which rounds to 0.7 only in float32
    assert v.fmr(scores_of([1], [score], np.float32), 0.7) == 0
    assert v.fnmr(scores_of([score], [0], np.float32), 0.7) == 1


@pytest.mark.parametrize("target", [-0.1, 1.1, np.nan])
def test_what_is_no_rate_is_refused(target):
    with pytest.raises(InputError, match="between 0 and 1"):
        v.tar_at_fmr(scores_of([1], [0]), target)


def test_what_has_no_threshold_is_refused():
    with pytest.raises(InputError, match="not NaN"):
        v.fmr(scores_of([1], [0]), np.nan)
    for nothing in ([], [np.nan, 1.0]):
        with pytest.raises(InputError, match="without NaN"):
            v.threshold_at_fmr(np.array(nothing), 0.5)
    assert v.threshold_at_fmr(np.array([1, 2, 3]), 1 / 3) == np.nextafter(2, 3)


@settings(deadline=None)
@given(st.integers(2, 60), st.integers(0, 99))
def test_a_thinned_curve_has_only_steps_of_the_exact_one_and_both_ends(points, seed):
    random = np.random.default_rng(seed)
    curve = v.error_curve(scores_of(random.normal(1, 1, 40), random.normal(0, 1, 400)))
    thin = curve.thinned(points)
    every = set(zip(curve.thresholds, curve.fmr, curve.fnmr, strict=True))
    kept = list(zip(thin.thresholds, thin.fmr, thin.fnmr, strict=True))
    assert set(kept) <= every
    assert len(kept) <= points + 2
    assert kept[0][1:] == (0, 1)
    assert kept[-1][1:] == (1, 0)
    assert kept == sorted(kept, reverse=True)


def test_a_curve_of_one_point_is_refused():
    with pytest.raises(InputError, match="at least 2 points"):
        v.error_curve(scores_of([1], [0])).thinned(1)


def test_rates_of_more_pairs_than_int64_holds():
    huge = 2**33
    steps = Steps(
        np.array([3.0, 2.0, 1.0, 0.0]),
        np.array([0, huge // 8, huge // 2, huge]),
        np.array([0, huge // 2, 7 * huge // 8, huge]),
    )
    rate = v.equal_error_rate(steps)
    assert (rate.low, rate.high, rate.threshold) == (0.125, 0.5, 1.0)
    assert v.area_under_curve(steps) == pytest.approx(
        np.trapezoid(steps.true / huge, steps.false / huge)
    )
