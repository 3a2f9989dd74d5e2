import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.comparisons.scores import ScoreLists, threshold_allowing
from recognition.comparisons.tally import Tally
from recognition.errors import InputError
from recognition.metrics.verification import equal_error_rate, tar_at_fmr


def cut(mated, nonmated, floor, thresholds):
    """What tally_all would leave of these scores."""
    nonmated = np.sort(nonmated)[::-1]
    tail = nonmated[nonmated >= np.float64(floor)]
    pairs = np.stack([np.arange(len(tail)), np.arange(len(tail)) + 1], axis=1)
    where = np.array(sorted(thresholds, reverse=True))
    return Tally(
        mated=mated,
        mated_person=np.zeros(len(mated), np.int32),
        tail=tail,
        tail_pairs=pairs,
        tail_persons=pairs.astype(np.int32),
        floor=floor,
        nonmated_count=len(nonmated),
        thresholds=where,
        counts=np.array([(nonmated >= t).sum() for t in where], np.int64),
        nonmated_mean=float(nonmated.mean()),
        nonmated_sd=float(nonmated.std()),
        pictures=np.array([2, 1]),
    )


@st.composite
def tallies(draw):
    """Mated and non-mated scores with many ties, and the same cut off somewhere."""
    values = st.integers(-8, 8).map(lambda k: k / 8)
    lists = st.lists(values, min_size=1, max_size=40).map(lambda v: np.array(v, np.float32))
    mated, nonmated = draw(lists), draw(lists)
    floor = draw(st.integers(-10, 12)) / 8
    below = st.integers(-40, 40).map(lambda k: k / 32).filter(lambda t: t < floor)
    where = draw(st.lists(below, max_size=6, unique=True)) if floor > -1.25 else []
    return mated, nonmated, cut(mated, nonmated, floor, where)


@given(tallies())
def test_every_step_is_one_of_the_whole_table(data):
    mated, nonmated, tally = data
    steps = tally.steps
    for threshold, false, true in zip(*steps[:3], strict=True):
        assert (nonmated >= threshold).sum() == false
        assert (mated >= threshold).sum() == true
    assert (np.diff(steps.thresholds) < 0).all()
    assert steps.false[0] == steps.true[0] == 0
    assert (steps.nonmated, steps.mated) == (len(nonmated), len(mated))
    assert steps.complete == (len(tally.tail) == len(nonmated))
    exact = {*mated.tolist(), *nonmated.tolist()} if steps.complete else {*tally.tail.tolist()}
    exact |= {m for m in mated.tolist() if m >= tally.floor} | {*tally.thresholds.tolist()}
    if not steps.complete:
        assert exact <= {*steps.thresholds.tolist()}


@given(tallies())
def test_a_complete_tally_is_the_whole_table(data):
    mated, nonmated, _ = data
    whole, tally = ScoreLists(mated, nonmated), cut(mated, nonmated, -np.inf, [])
    for one, two in zip(whole.steps, tally.steps, strict=True):
        np.testing.assert_array_equal(one, two)
    assert equal_error_rate(whole) == equal_error_rate(tally)
    for errors in range(len(nonmated) + 2):
        assert tally.threshold_allowing(errors) == whole.threshold_allowing(errors)
        assert tally.allows_exactly(errors)
    for threshold in (-2.0, -1.0, 0.1, 0.125, 2.0):
        assert tally.false_matches(threshold) == whole.false_matches(threshold)


@given(tallies(), st.integers(0, 50))
def test_more_errors_than_allowed_are_never_made(data, errors):
    _, nonmated, tally = data
    threshold = tally.threshold_allowing(errors)
    made = int((nonmated >= np.float64(threshold)).sum())
    assert made <= errors
    assert tally.false_matches(threshold) == made
    best = threshold_allowing(nonmated, errors)
    assert threshold >= best
    if tally.allows_exactly(errors):
        assert threshold == best
    else:  # nothing that is known is better
        known = tally.thresholds[tally.counts <= errors]
        assert threshold == min([*known, tally.floor])


@given(tallies(), st.floats(-2, 2))
def test_what_is_not_known_is_refused(data, threshold):
    _, nonmated, tally = data
    known = threshold >= tally.floor or threshold <= -1 or threshold in tally.thresholds
    if known or tally.complete:
        assert tally.false_matches(threshold) == (nonmated >= np.float64(threshold)).sum()
    else:
        with pytest.raises(InputError, match="larger tail_fmr"):
            tally.false_matches(threshold)
    with pytest.raises(InputError, match="NaN"):
        tally.false_matches(float("nan"))


def test_metrics_read_a_tally_like_any_table():
    random = np.random.default_rng(0)
    mated = random.normal(0.7, 0.1, 500).clip(-1, 1).astype(np.float32)
    nonmated = random.normal(0, 0.1, 20_000).astype(np.float32)
    whole, tally = ScoreLists(mated, nonmated), cut(mated, nonmated, 0.25, [0.2, 0.1])
    for rate in (0, 1e-4, 1e-3, 1):
        assert tar_at_fmr(tally, rate) == tar_at_fmr(whole, rate)
    point = tar_at_fmr(tally, 0.1)
    assert point.threshold == 0.2  # 0.1 accepts more than a tenth
    assert point.fmr <= 0.1
    assert tally.people == 2


@pytest.mark.parametrize(
    "change",
    [
        {"tail": np.array([0.5, 0.75], np.float32)},
        {"tail_pairs": np.zeros((1, 2), np.int64)},
        {"tail_persons": np.zeros((2, 1), np.int32)},
        {"floor": 0.6},
        {"floor": -np.inf},
        {"thresholds": np.array([0.1, 0.2])},
        {"thresholds": np.array([0.5, 0.1])},
        {"counts": np.array([3, 1])},
        {"counts": np.array([1, 3])},
        {"counts": np.array([3, 9])},
        {"counts": np.array([3])},
        {"nonmated_count": 1},
        {"mated": np.empty(0, np.float32)},
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(change):
    scores = np.array([0.75, 0.5, 0.2, 0.1], np.float32)
    tally = cut(scores, scores, 0.4, [0.15, 0.05])
    with pytest.raises(InputError, match="tally_all"):
        dataclasses.replace(tally, **change)
