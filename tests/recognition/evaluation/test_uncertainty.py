import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.comparisons import ScoreLists, Scores, compare_all
from recognition.evaluation.options import Options
from recognition.evaluation.uncertainty import (
    NO_WIDTH,
    Cornered,
    Uncertainty,
    bootstrap_of,
    clusters_of,
    corner_intervals,
    fitted,
    main_intervals,
    mated_trials,
    middle,
    percentiles,
    row,
    sizes,
    wilson_of,
)
from recognition.metrics.clustered import Clusters
from recognition.metrics.hull import hull_equal_error_rate
from recognition.metrics.intervals import Interval, verification_intervals, wilson
from recognition.metrics.proportions import wilson_share

LABELS = np.repeat(range(12), 4)


def crowd(noise=0.7, labels=LABELS, seed=0):
    random = np.random.default_rng(seed)
    people = random.normal(size=(max(labels) + 1, 8))
    return compare_all(people[labels] + noise * random.normal(size=(len(labels), 8)), labels)


def lists_of(scores):
    return ScoreLists(scores.mated, scores.nonmated)


def test_people_have_the_intervals_of_their_clusters():
    scores = crowd()
    targets = (0.1, 0.01, 1e-9)
    found = main_intervals(clusters_of(scores), targets, wilson_of(scores))
    expected = verification_intervals(scores, targets, replicates=20)
    assert found.intervals["eer"] == expected.equal_error_rate
    assert found.intervals["auc"] == expected.area_under_curve
    assert found.intervals["tar@fmr=0.01"] == expected.tar[0.01]
    assert found.intervals["tar@fmr=1e-09"] is None
    assert found.method == "person-clustered Wilson"


def test_mere_lists_are_as_if_no_two_comparisons_shared_anybody():
    scores = lists_of(crowd())
    mated, nonmated = len(scores.mated), len(scores.nonmated)
    strangers = Scores(
        scores.mated,
        scores.nonmated,
        np.arange(mated, dtype=np.int32),
        np.arange(mated, mated + 2 * nonmated, dtype=np.int32).reshape(-1, 2),
        mated + 2 * nonmated,
    )
    found, expected = clusters_of(scores), Clusters.of(strangers)
    assert found.auc() == pytest.approx(expected.auc())
    assert found.eer() == pytest.approx(expected.eer())
    assert found.tar(0.01) == pytest.approx(expected.tar(0.01))
    for threshold in (0.2, 0.5, 2.0, -2.0):
        assert found.fmr(threshold) == pytest.approx(expected.fmr(threshold))
        assert found.fnmr(threshold) == expected.fnmr(threshold)
    # without an error that is Wilson's own interval, and nearly so with many
    assert found.fmr(2.0) == wilson(0, nonmated)
    half = float(np.median(scores.nonmated))
    assert found.fmr(half) == pytest.approx(
        wilson(int((scores.nonmated >= half).sum()), nonmated), abs=1e-4
    )
    assert wilson_of(scores) == "Wilson, as if independent"


def test_a_curve_read_anew_has_the_interval_of_its_resamples():
    scores, options = crowd(), Options(replicates=300, seed=4)

    def rate(steps):
        return hull_equal_error_rate(steps).rate

    seen = []
    number = Cornered(rate(scores.steps), lambda steps: seen.append(rate(steps)) or seen[-1])
    found = corner_intervals(scores, {"hull": number}, options)
    assert len(seen) == 300
    assert found.intervals == {"hull": fitted(number.value, np.array(seen), 12)}
    assert found.method == "Wilson fitted to a person bootstrap, 300 resamples"
    found = corner_intervals(lists_of(scores), {"hull": number}, Options())
    assert found.method == "Wilson fitted to a bootstrap of comparisons as if independent"
    assert bootstrap_of(scores, 500) == "person bootstrap"


def test_a_fitted_interval_is_wilson_s_about_the_value_less_its_bias():
    resamples = np.array([0.1, 0.2, 0.3, np.nan])
    centre = 2 * 0.25 - 0.2
    expected = wilson_share(centre, centre * (1 - centre) / 0.01, freedom=6)
    assert fitted(0.25, resamples, 7) == pytest.approx(expected)


@given(
    st.sampled_from([0.0, 1e-9, 0.2, 0.5, 1.0]),
    st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0, np.nan]), min_size=1, max_size=9),
    st.integers(1, 9),
)
def test_a_fitted_interval_holds_its_value_and_is_never_a_certainty(value, resamples, trials):
    found = fitted(value, np.array([0.5, *resamples]), trials)
    assert 0 <= found.low <= value <= found.high <= 1
    assert found.low < found.high


def test_resamples_that_agree_leave_as_many_trials_as_people():
    assert fitted(0.0, np.zeros(9), 7) == wilson(0, 7)
    assert fitted(0.5, np.full(9, 0.5), 8) == wilson(4, 8)
    assert fitted(0.5, np.array([0.4, 0.6]), 1) == wilson_share(0.5, 1)  # one person has no spread


def test_percentiles_are_numbers_that_occurred_and_hold_the_value():
    resamples = np.arange(100) / 100
    assert middle(0.5, resamples) == (0.02, 0.97)
    assert middle(0.001, resamples).low == 0.001
    assert middle(2.0, resamples).high == 2
    assert percentiles(0.5, np.append(resamples, [np.nan, np.nan])) == middle(0.5, resamples)
    assert percentiles(0.5, np.array([0.1, np.inf])) is None
    assert percentiles(0.5, np.array([np.nan])) is None


def test_a_row_without_width_says_that_it_is_no_certainty():
    found = Uncertainty({"x": Interval(1.0, 1.0), "y": Interval(0.0, 2.0), "z": None}, "made up")
    assert row("x", "X", "number", 1.0, found).estimate.note == NO_WIDTH
    assert row("x", "X", "number", 1.0, found, note="few").estimate.note == f"few. {NO_WIDTH}"
    plain = row("y", "Y", "number", 1.0, found, counts={"people": 3})
    assert (plain.estimate.low, plain.estimate.high, plain.interval) == (0.0, 2.0, "made up")
    assert plain.estimate.note is None
    assert plain.estimate.counts == {"people": 3}
    for key, value in (("z", 1.0), ("w", 1.0), ("y", None)):
        without = row(key, key, "number", value, found)
        assert without.estimate.low is without.estimate.high is None
        assert without.interval == ""


def test_sizes_are_of_people_or_of_pairs_of_nobody_knows_whom():
    scores = crowd(labels=np.append(LABELS, [12, 13]))
    assert sizes(scores) == {"people": 14, "mated": 72, "nonmated": 50 * 49 // 2 - 72}
    assert sizes(lists_of(scores)) == {"pairs": 1225, "mated": 72, "nonmated": 1153}
    assert mated_trials(scores) == 12  # two have a single picture
    assert mated_trials(lists_of(scores)) == 72
