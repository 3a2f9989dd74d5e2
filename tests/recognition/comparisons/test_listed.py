"""A long list of pairs gives what keeping every score in tables gives."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.comparisons.listed import ListedScores
from recognition.comparisons.scores import Scores
from recognition.comparisons.steps import corner_steps, count_steps
from recognition.errors import InputError
from recognition.metrics import meetings
from recognition.metrics.calibration import min_cllr
from recognition.metrics.clustered import Clusters
from recognition.metrics.hull import convex_hull, hull_equal_error_rate
from recognition.metrics.meetings import Meetings
from recognition.metrics.verification import area_under_curve, equal_error_rate, tar_at_fmr

Array = np.ndarray[Any, Any]


def drawn(random: np.random.Generator, mated: int, nonmated: int, values: int) -> ListedScores:
    """Pairs of nine people, with as many ties as few values make."""
    truth = random.permutation(np.repeat([True, False], [mated, nonmated]))
    first = random.integers(0, 9, len(truth)).astype(np.int32)
    other = (first + random.integers(1, 9, len(truth))) % 9
    scores = (random.integers(0, values, len(truth)) + (values // 4) * truth) / values
    second = np.where(truth, first, other).astype(np.int32)
    return ListedScores(scores.astype(np.float32), truth, first, second, 9)


def tabled(listed: ListedScores) -> Scores:
    apart = ~listed.is_mated
    persons = np.stack([listed.first[apart], listed.second[apart]], axis=1)
    return Scores(listed.mated, listed.scores[apart], listed.mated_person, persons, listed.people)


SIZES = st.tuples(
    st.integers(0, 2**32),
    st.integers(1, 40),
    st.integers(1, 400),
    st.sampled_from([1, 2, 9, 10**4]),
)


@given(size=SIZES)
def test_corners_know_all_that_the_whole_curve_knows(size: tuple[int, int, int, int]) -> None:
    seed, *rest = size
    listed = drawn(np.random.default_rng(seed), *rest)
    table = tabled(listed)
    corners, whole = listed.steps, count_steps(table.mated, table.nonmated)
    assert equal_error_rate(corners) == equal_error_rate(whole)
    assert area_under_curve(corners) == area_under_curve(whole)
    assert hull_equal_error_rate(corners).rate == hull_equal_error_rate(whole).rate
    assert min_cllr(corners) == min_cllr(whole)
    for one, two in zip(convex_hull(corners)[1:3], convex_hull(whole)[1:3], strict=True):
        np.testing.assert_array_equal(one, two)
    assert (np.diff(corners.thresholds) < 0).all()
    known = np.isin(corners.thresholds, whole.thresholds)
    assert known.all()
    at = np.searchsorted(-whole.thresholds, -corners.thresholds)
    np.testing.assert_array_equal(corners.false, whole.false[at])
    np.testing.assert_array_equal(corners.true, whole.true[at])


def test_corners_are_few_where_mated_scores_are() -> None:
    random = np.random.default_rng(0)
    mated, nonmated = np.sort(random.random(20) + 0.5), np.sort(random.random(100_000))
    assert len(corner_steps(mated, nonmated).thresholds) < 20_000
    apart = corner_steps(mated + 1, nonmated)  # perfect
    assert len(apart.thresholds) < 50
    assert equal_error_rate(apart).rate == 0


@given(size=SIZES, target=st.sampled_from([0.001, 0.01, 0.1, 0.5, 1.0]))
def test_rates_and_intervals_are_those_of_the_table(
    size: tuple[int, int, int, int], target: float
) -> None:
    seed, *rest = size
    listed = drawn(np.random.default_rng(seed), *rest)
    table = tabled(listed)
    assert tar_at_fmr(listed, target) == tar_at_fmr(table, target)
    one, two = Clusters.of_list(listed, [target]), Clusters.of(table)
    assert one.meetings.total == two.meetings.total
    assert one.meetings.squares == two.meetings.squares
    np.testing.assert_array_equal(one.meetings.of, two.meetings.of)
    for found, expected in ((one.tar(target), two.tar(target)), (one.eer(), two.eer())):
        assert (found is None) == (expected is None)
        if found is not None:
            np.testing.assert_allclose(found, expected, rtol=1e-9)
    between = float(listed.ascending[0]) + 1e-12  # which float32 would round down to the score
    for threshold in (-1.0, 0.3, float(listed.scores[0]), between, 9.0):
        assert listed.false_matches(threshold) == table.false_matches(threshold)
        if one.knows(threshold):
            np.testing.assert_allclose(one.fmr(threshold), two.fmr(threshold), rtol=1e-9)
    with pytest.raises(InputError, match="NaN"):
        listed.false_matches(np.nan)


def test_many_people_are_counted_by_sorting(monkeypatch: Any) -> None:
    listed = drawn(np.random.default_rng(1), 20, 300, 50)
    one = Meetings.listed(listed.first, listed.second, 9)
    monkeypatch.setattr(meetings, "TABLED", 80)
    two = Meetings.listed(listed.first, listed.second, 9)
    assert (one.total, one.squares) == (two.total, two.squares) == (300, two.squares)
    np.testing.assert_array_equal(one.of, two.of)
    there = np.stack([listed.first, listed.second], axis=1)[~listed.is_mated]
    np.testing.assert_array_equal(one.between(there), two.between(there))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.array([0.5, np.nan, 0.1], np.float32)}, "expected finite scores, no NaN"),
        ({"scores": np.array([np.nan, 0.5, 0.1], np.float32)}, "expected finite scores, no NaN"),
        ({"scores": np.array([0.5, 0.2, -np.inf], np.float32)}, "expected finite scores, no NaN"),
        ({"scores": np.array([0.5, 0.2, 0.1])}, "a float32 score"),
        ({"scores": np.array([0.5, 0.2], np.float32)}, "a float32 score"),
        ({"is_mated": np.array([True] * 3)}, "got 3 mated ones of 3"),
        ({"is_mated": np.array([False] * 3)}, "got 0 mated ones of 3"),
    ],
    ids=range(7),
)
def test_tables_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    zeros = np.zeros(3, np.int32)
    sound = {
        "scores": np.array([0.5, 0.2, 0.1], np.float32),
        "is_mated": np.array([True, False, False]),
        "first": zeros,
        "second": zeros + 1,
    }
    ListedScores(**sound, people=2)
    with pytest.raises(InputError, match=message):
        ListedScores(**(sound | change), people=2)
