import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.comparisons import ScoreLists, Scores, compare_all
from recognition.errors import InputError
from recognition.metrics.bootstrap import CornerSampler, affordable, bootstrap
from recognition.metrics.resampling import draw

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
    above_zero = (lists.steps.thresholds >= 0).sum() - 1
    rate = bootstrap(lists, {"tar": lambda steps: 1 - steps.fnmr[above_zero]})["tar"]
    share = (lists.mated >= 0).mean()
    assert rate.mean() == pytest.approx(share, abs=3e-3)
    assert rate.std() == pytest.approx((share * (1 - share) / 300) ** 0.5, rel=0.1)
