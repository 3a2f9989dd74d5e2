import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.comparisons import compare_all
from recognition.comparisons.halves import split_scores
from recognition.errors import InputError


def crowd(pictures):
    labels = np.repeat(range(len(pictures)), pictures)
    return compare_all(np.random.default_rng(0).normal(size=(len(labels), 5)), labels)


PICTURES = st.lists(st.integers(1, 4), min_size=4, max_size=9).filter(
    lambda pictures: sum(count > 1 for count in pictures) >= 2
)


@given(PICTURES, st.integers(0, 99))
def test_halves_share_nobody_and_lose_only_what_lies_between(pictures, seed):
    scores = crowd(pictures)
    halves = split_scores(scores, seed=seed)
    one, two = scores.nonmated_persons.T
    between = halves.of_person[one] != halves.of_person[two]
    for half, part in enumerate(halves.parts):
        own = halves.of_person[scores.mated_person] == half
        inside = (halves.of_person[one] == half) & ~between
        np.testing.assert_array_equal(halves.mated == half, own)
        np.testing.assert_array_equal(halves.nonmated == half, inside)
        np.testing.assert_array_equal(part.mated, scores.mated[own])
        np.testing.assert_array_equal(part.nonmated, scores.nonmated[inside])
        np.testing.assert_array_equal(part.mated_person, scores.mated_person[own])
        np.testing.assert_array_equal(part.nonmated_persons, scores.nonmated_persons[inside])
        assert part.people == scores.people
    np.testing.assert_array_equal(halves.nonmated == -1, between)
    paired = np.array(pictures) > 1
    for people in (paired, np.ones_like(paired)):
        sizes = np.bincount(halves.of_person[people], minlength=2)
        assert abs(sizes[0] - sizes[1]) <= 1


def test_what_is_judged_keeps_its_order_and_its_people():
    scores = crowd([3, 2, 2, 3])
    halves = split_scores(scores)
    llrs = np.arange(len(scores.nonmated)) * 1.0
    judged = halves.judged(scores, -scores.mated, llrs)
    inside = np.flatnonzero(halves.nonmated >= 0)
    np.testing.assert_array_equal(judged.nonmated, inside)
    np.testing.assert_array_equal(judged.mated, -scores.mated)
    np.testing.assert_array_equal(judged.nonmated_persons, scores.nonmated_persons[inside])
    assert 0 < len(inside) < len(llrs)


def test_seeds_decide_who_is_where():
    scores = crowd([2] * 12)
    one, same, other = (split_scores(scores, seed=seed).of_person for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize("pictures", [[2, 2], [2, 2, 1], [2, 1, 1, 1]])
def test_a_half_without_both_kinds_is_refused(pictures):
    with pytest.raises(InputError, match="each half of the people, but one half of"):
        split_scores(crowd(pictures))
