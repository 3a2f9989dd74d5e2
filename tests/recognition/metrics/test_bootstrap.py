import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.comparisons import ScoreLists, Scores, compare_all
from recognition.comparisons.steps import count_steps
from recognition.errors import InputError
from recognition.metrics.bootstrap import CornerSampler, affordable, bootstrap, corners
from recognition.metrics.calibration import min_cllr
from recognition.metrics.costs import Costs, min_dcf
from recognition.metrics.hull import hull_equal_error_rate
from recognition.metrics.resampling import draw
from recognition.metrics.score_separation import partial_area
from recognition.metrics.verification import area_under_curve

VALUES = st.sampled_from([-0.5, 0.0, 0.1, 0.3, 0.5])


@st.composite
def tables(draw_):
    people = draw_(st.integers(2, 5))
    mated = draw_(st.lists(st.tuples(VALUES, st.integers(0, people - 1)), min_size=1, max_size=9))
    pairs = st.tuples(st.integers(0, people - 1), st.integers(0, people - 1))
    distinct = pairs.filter(lambda pair: pair[0] != pair[1])
    nonmated = draw_(st.lists(st.tuples(VALUES, distinct), min_size=1, max_size=20))
    return Scores(
        np.array([score for score, _ in mated], np.float32),
        np.array([score for score, _ in nonmated], np.float32),
        np.array([person for _, person in mated], np.int32),
        np.array([pair for _, pair in nonmated], np.int32),
        people,
    )


def repeated(scores, weights):
    """The same resample, each comparison as often as it counts."""
    one, two = scores.nonmated_persons.T
    w = weights.astype(int)
    return np.repeat(scores.mated, w[scores.mated_person]), np.repeat(
        scores.nonmated, w[one] * w[two]
    )


@settings(deadline=None)
@given(tables(), st.integers(0, 2**31))
def test_corners_of_a_resample_are_those_of_its_comparisons_written_out(scores, seed):
    weights = draw(scores.people, 1, seed)[:, 0]
    mated, nonmated = repeated(scores, weights)
    steps = CornerSampler(scores).steps(weights)
    if not len(mated) or not len(nonmated):
        assert steps is None
        return
    for threshold, false, true in zip(steps.thresholds, steps.false, steps.true, strict=True):
        assert false == (nonmated >= threshold).sum()
        assert true == (mated >= threshold).sum()
    assert (np.diff(steps.false) + np.diff(steps.true) > 0).all()
    # no trade of one error for the other is better than the best corner
    for cost in (0.1, 0.5, 0.9):
        every = [
            cost * (nonmated >= t).sum() - (1 - cost) * (mated >= t).sum()
            for t in [*np.unique(np.concatenate([mated, nonmated])), np.inf]
        ]
        assert (cost * steps.false - (1 - cost) * steps.true).min() == pytest.approx(min(every))


def test_corners_are_few_where_the_kinds_hardly_mix():
    random = np.random.default_rng(0)
    scores = compare_all(
        np.repeat(np.eye(9), 3, axis=0) + random.normal(0, 0.01, (27, 9)), np.repeat(range(9), 3)
    )
    steps = CornerSampler(scores).steps(np.ones(9))
    assert steps.false.tolist() == [0, 0, 324]
    assert steps.true.tolist() == [0, 27, 27]


def test_seeds_decide_and_pairs_are_weighed_by_both_people():
    random = np.random.default_rng(1)
    scores = compare_all(random.normal(size=(24, 4)), np.repeat(range(6), 4))
    metrics = {"mated": lambda steps: steps.mated, "nonmated": lambda steps: steps.nonmated}
    found = bootstrap(scores, metrics, replicates=50, seed=3)
    weights = draw(6, 50, 3)
    assert found["mated"].tolist() == [36] * 50
    squares = (weights**2).sum(axis=0)
    assert found["nonmated"].tolist() == ((36 - squares) / 2 * 16).tolist()
    again = bootstrap(scores, metrics, replicates=50, seed=4)
    assert (again["nonmated"] != found["nonmated"]).any()


def test_resamples_become_fewer_with_many_comparisons():
    assert affordable(1000, 80_000) == 1000
    assert affordable(1000, 2**20) == 256
    assert affordable(1000, 2**30) == 100
    assert affordable(20, 2**30) == 20


def test_no_resample_at_all_is_refused():
    scores = compare_all(np.eye(3), [0, 0, 1])
    with pytest.raises(InputError, match="none of 0 had them"):
        bootstrap(scores, {"mated": lambda steps: 1.0}, replicates=0)


def test_lists_without_people_draw_their_comparisons():
    random = np.random.default_rng(2)
    lists = ScoreLists(random.normal(1, 1, 300), random.normal(size=500))
    rate = bootstrap(lists, {"area": area_under_curve, "mated": lambda steps: steps.mated})
    assert set(rate["mated"]) == {300}
    area = area_under_curve(lists)
    assert rate["area"].mean() == pytest.approx(area, abs=3e-3)
    beaten = (lists.mated[:, None] > lists.nonmated).astype(float)  # DeLong's variance
    variance = beaten.mean(axis=1).var() / 300 + beaten.mean(axis=0).var() / 500
    assert rate["area"].std() == pytest.approx(variance**0.5, rel=0.1)


METRICS = {
    "area": area_under_curve,
    "cllr": min_cllr,
    "dcf": lambda steps: min_dcf(steps, Costs(prior=0.1)).cost,
    "hull": lambda steps: hull_equal_error_rate(steps).rate,
    "partial": lambda steps: (
        partial_area(steps, 1 / steps.nonmated, 1.0) if steps.nonmated > 1 else 0.0
    ),
}


@given(tables(), st.integers(0, 2**31))
def test_what_is_read_from_corners_is_what_every_step_would_give(scores, seed):
    weights = draw(scores.people, 1, seed)[:, 0]
    mated, nonmated = repeated(scores, weights)
    steps = CornerSampler(scores).steps(weights)
    if steps is None:
        return
    every = count_steps(mated, nonmated)
    for metric in METRICS.values():
        assert metric(steps) == pytest.approx(metric(every), abs=1e-12)
        assert metric(corners(every)) == pytest.approx(metric(every), abs=1e-12)


@given(st.lists(VALUES, min_size=1), st.lists(VALUES, min_size=1))
def test_corners_are_steps_and_lie_where_the_kind_changes(mated, nonmated):
    steps = count_steps(np.array(mated), np.array(nonmated))
    found = corners(steps)
    assert set(zip(*found[:3], strict=True)) <= set(zip(*steps[:3], strict=True))
    assert not found.complete
    assert (found.false[0], found.true[0]) == (0, 0)
    assert (found.nonmated, found.mated) == (len(nonmated), len(mated))
    kinds = [(f > 0, t > 0) for f, t in zip(np.diff(found.false), np.diff(found.true), strict=True)]
    for one, two in itertools.pairwise(kinds):
        assert one != two or one == (True, True)


def test_comparisons_of_people_too_many_to_merge_count_alike():
    scores = compare_all(np.random.default_rng(0).normal(size=(12, 3)), np.repeat(range(4), 3))
    many = 2**31 - 1  # codes of two of them fill int64
    spread = np.array([0, 5, many - 2, many - 1])
    moved = Scores(
        scores.mated,
        scores.nonmated,
        spread[scores.mated_person].astype(np.int32),
        spread[scores.nonmated_persons].astype(np.int32),
        many,
    )
    few, sampler = CornerSampler(scores), CornerSampler(moved)
    weights = np.array([2.0, 0.0, 1.0, 3.0])

    class Sparse:
        def __getitem__(self, persons):
            return weights[np.searchsorted(spread, persons)]

    for one, two in zip(few.steps(weights), sampler.steps(Sparse()), strict=True):
        np.testing.assert_array_equal(one, two)
