import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.comparisons.pairs import compare_all
from recognition.comparisons.steps import count_steps
from recognition.errors import InputError
from recognition.metrics import accuracy as a

GRID = st.sampled_from([-1.0, -0.5, 0.0, 0.125, 0.25, 0.5, 1.0])  # binary: gaps tie exactly
INF = math.inf


@st.composite
def pairs(draw):
    """Folds with both kinds in each, in any order, nearly all scores tied."""
    numbers = draw(st.lists(st.integers(-3, 20), min_size=2, max_size=4, unique=True))
    rows = []
    for number in numbers:
        for same in (True, False):
            rows += [(x, same, number) for x in draw(st.lists(GRID, min_size=1, max_size=6))]
    scores, mated, folds = zip(*draw(st.permutations(rows)), strict=True)
    kind = draw(st.sampled_from([np.float32, np.float64]))
    return np.array(scores, kind), np.array(mated), np.array(folds)


def naive_threshold(scores, mated):
    """Every candidate tried on every pair; then the widest gap, then the highest."""
    values = sorted(set(scores))
    ends = itertools.pairwise(values)
    # (threshold, width), an infinite end being less than any gap
    tried = [(-INF, -1), (INF, -1), *(((x + y) / 2, y - x) for x, y in ends)]
    ranked = [
        (sum((s >= t) == m for s, m in zip(scores, mated, strict=True)), width, t)
        for t, width in tried
    ]
    return max(ranked)[2]


def naive(scores, mated, folds):
    rows = list(zip(scores.tolist(), mated.tolist(), folds.tolist(), strict=True))
    found = []
    for fold in sorted(set(folds.tolist())):
        others = [(s, m) for s, m, f in rows if f != fold]
        threshold = naive_threshold(*zip(*others, strict=True))
        held_out = [(s >= threshold) == m for s, m, f in rows if f == fold]
        found.append((fold, threshold, sum(held_out), len(held_out)))
    return found


def assert_equal_to_naive(scores, mated, folds):
    found = a.fold_accuracy(scores, mated, folds)
    expected = naive(scores, mated, folds)
    columns = (found.folds, found.thresholds, found.correct, found.pairs)
    assert list(zip(*(x.tolist() for x in columns), strict=True)) == expected
    shares = [Fraction(right, total) for _, _, right, total in expected]
    mean = sum(shares) / len(shares)
    variance = sum((share - mean) ** 2 for share in shares) / (len(shares) - 1)
    assert found.accuracies.tolist() == [float(share) for share in shares]
    assert found.mean == pytest.approx(float(mean), abs=1e-12)
    assert found.standard_error == pytest.approx(math.sqrt(variance / len(shares)), abs=1e-12)


@given(pairs())
def test_equal_to_every_candidate_tried_on_every_pair(data):
    assert_equal_to_naive(*data)


@given(pairs(), st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_does_not_matter(data, random):
    places = list(range(len(data[0])))
    random.shuffle(places)
    one, other = a.fold_accuracy(*data), a.fold_accuracy(*(column[places] for column in data))
    assert one.thresholds.tolist() == other.thresholds.tolist()
    assert one.correct.tolist() == other.correct.tolist()


@given(pairs())
def test_a_fold_never_sees_its_own_pairs(data):
    scores, mated, folds = data
    fold = folds[0]
    changed = np.where(folds == fold, -scores, scores)
    one, other = a.fold_accuracy(*data), a.fold_accuracy(changed, mated, folds)
    at = int(np.flatnonzero(one.folds == fold)[0])
    assert one.thresholds[at] == other.thresholds[at]


@given(pairs())
def test_scaling_by_a_power_of_two_scales_the_thresholds(data):
    scores, mated, folds = data
    one, twice = a.fold_accuracy(*data), a.fold_accuracy(scores * 2, mated, folds)
    assert (one.thresholds * 2).tolist() == twice.thresholds.tolist()
    assert one.correct.tolist() == twice.correct.tolist()


def two_folds(mated, nonmated):
    """The same pairs twice, so that either fold is chosen on what it is judged by."""
    scores = np.array([*mated, *nonmated] * 2)
    truth = np.array(([True] * len(mated) + [False] * len(nonmated)) * 2)
    return scores, truth, np.repeat([1, 2], len(mated) + len(nonmated))


@pytest.mark.parametrize(
    ("mated", "nonmated", "threshold"),
    [
        ([0.8, 0.9], [0.1, 0.2], 0.5),  # separable: the middle
        ([0.4, 1.0], [0.0, 0.5], 0.75),  # (0, 0.4] and (0.5, 1] are as good: the wider
        ([0.25, 0.75], [0.0, 0.5], 0.625),  # equally wide: the higher
        ([0.1], [0.9], INF),  # worse than chance and balanced: accept nobody
        ([0.1, 0.2], [0.9], -INF),  # worse than chance, mostly mated: accept everybody
        ([0.1], [0.8, 0.9], INF),
        ([0.5], [0.5], INF),  # one score for all
        ([0.5], [0.0, 1.0], 0.25),  # as good as accepting nobody: a gap before an end
        ([0.5, 3.0], [0.0, 1.0, 2.0], 2.5),  # (2, 3] rejects all but one, one better than inf
        ([0.5, 3.0], [1.0], 2.0),  # (1, 3] is as good as accepting everybody
    ],
)
def test_thresholds_by_hand(mated, nonmated, threshold):
    found = a.fold_accuracy(*two_folds(mated, nonmated))
    assert found.thresholds.tolist() == [threshold] * 2
    assert found.standard_error == 0


def test_a_score_at_the_threshold_is_accepted():
    scores = np.array([0.0, 1.0, 0.5, 0.5])
    found = a.fold_accuracy(scores, np.array([False, True, True, False]), np.array([1, 1, 2, 2]))
    assert found.thresholds[1] == 0.5
    assert found.correct[1] == 1
    accepted_mated = a.fold_accuracy(
        np.array([0.0, 1.0, 0.5, 0.25]),
        np.array([False, True, True, False]),
        np.array([1, 1, 2, 2]),
    )
    assert accepted_mated.accuracies[1] == 1.0


def test_neighbouring_numbers_leave_the_upper_one():
    low, high = 0.5, np.nextafter(0.5, 1)
    found = a.fold_accuracy(*two_folds([high], [low]))
    assert found.thresholds.tolist() == [high] * 2
    assert found.mean == 1.0


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False))
def test_the_middle_lies_above_the_lower_end(low, high):
    low, high = sorted((low, high))
    if low < high < INF:
        assert low < a.middle(low, high) <= high


def test_lfw_by_hand():
    # the second fold has a mated pair at 0.3, below the middle of the first fold's gap
    scores = [0.9, 0.8, 0.2, 0.1, 0.9, 0.3, 0.2, 0.1]
    mated = [True, True, False, False] * 2
    found = a.fold_accuracy(scores, mated, [0] * 4 + [1] * 4)
    assert found.thresholds.tolist() == [0.25, 0.5]
    assert found.accuracies.tolist() == [1.0, 0.75]
    assert found.standard_error == pytest.approx(0.125)  # sd 0.25 / √2, over √2


@given(pairs())
def test_the_step_is_as_right_as_any(data):
    scores, mated, _ = data
    steps = count_steps(scores[mated], scores[~mated])
    at = a.most_accurate(steps)
    right = steps.true + steps.nonmated - steps.false
    threshold = steps.thresholds[at]
    assert right[at] == right.max() == ((scores >= threshold) == mated).sum()


def test_real_faces_by_lfws_rules(shared_data):
    orl = np.load(shared_data / "orl_mobilefacenet.npz")
    table = compare_all(orl["embeddings"], orl["labels"])
    random = np.random.default_rng(0)
    scores = np.concatenate([table.mated[:300], random.choice(table.nonmated, 300, replace=False)])
    mated = np.repeat([True, False], 300)
    folds = np.tile(np.arange(10), 60)
    assert_equal_to_naive(scores, mated, folds)
    found = a.fold_accuracy(scores, mated, folds)
    assert found.mean > 0.96
    assert len(found.folds) == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [0.1, 0.2, 0.3]}, "got shapes"),
        ({"scores": []}, "got shapes"),
        ({"scores": [[0.1, 0.9, 0.1, 0.9]]}, "got shapes"),
        ({"scores": ["a", "b", "c", "d"]}, "of <U1"),
        ({"mated": [0, 1, 0, 1]}, "bool"),
        ({"folds": [0.0, 0.0, 1.0, 1.0]}, "whole numbers"),
        ({"scores": [0.1, math.nan, 0.3, 0.4]}, "finite"),
        ({"scores": [0.1, math.inf, 0.3, 0.4]}, "finite"),
        ({"folds": [7, 7, 7, 7]}, "at least 2 folds"),
        ({"mated": [False, True, True, True]}, "fold 5 has 2 and 0"),
        ({"mated": [False, False, False, True]}, "fold 4 has 0 and 2"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, message):
    given_well = {"scores": [0.1, 0.9, 0.1, 0.9], "mated": [False, True] * 2, "folds": [4, 4, 5, 5]}
    assert a.fold_accuracy(**given_well).mean == 1.0
    with pytest.raises(InputError, match=message):
        a.fold_accuracy(**{**given_well, **change})


def test_nothing_given_is_changed():
    scores, mated, folds = two_folds([0.8, 0.9], [0.1, 0.2])
    for column in (scores, mated, folds):
        column.flags.writeable = False
    a.fold_accuracy(scores, mated, folds)
