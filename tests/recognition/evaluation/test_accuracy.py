import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.comparisons import Scores, compare_all
from recognition.errors import InputError
from recognition.evaluation.accuracy import FoldedPairs, accuracy_row, person_folds
from recognition.metrics.proportions import wilson_share


def crowd(pictures, seed=0, noise=0.9):
    random = np.random.default_rng(seed)
    labels = np.repeat(range(len(pictures)), pictures)
    people = random.normal(size=(len(pictures), 6))[labels]
    return compare_all(people + noise * random.normal(size=people.shape), labels)


def test_accuracy_is_of_thresholds_from_the_other_folds():
    pairs = FoldedPairs(
        np.array([0.9, 0.1, 0.8, 0.3, 0.2, 0.7]),
        np.array([True, False] * 3),
        np.array([0, 0, 1, 1, 2, 2]),
    )
    # by fold: middles of (0.3, 0.8) or the like; the third fold has its kinds the wrong way round
    row = accuracy_row(pairs, "Accuracy")
    assert row.estimate.counts["accuracies"] == [1.0, 1.0, 0.0]
    assert row.estimate.value == pytest.approx(2 / 3)
    error = np.std([1, 1, 0], ddof=1) / np.sqrt(3)
    assert row.estimate.counts["standard_error"] == pytest.approx(error)
    assert (row.estimate.low, row.estimate.high) == (0, 1)  # 4.3 standard errors reach beyond
    assert (row.estimate.counts["pairs"], row.estimate.counts["correct"]) == (6, 4)
    assert row.interval == "standard error over folds"


def test_the_interval_is_student_s():
    random = np.random.default_rng(0)
    mated = np.tile([True, False], 500)
    pairs = FoldedPairs(random.normal(size=1000) + 1.5 * mated, mated, np.arange(1000) // 100)
    estimate = accuracy_row(pairs, "Accuracy").estimate
    reach = 2.262157 * estimate.counts["standard_error"]  # 97.5 % of Student's t with 9 degrees
    expected = estimate.value - reach, estimate.value + reach
    assert (estimate.low, estimate.high) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("people", [None, 7])
def test_folds_that_agree_are_no_certainty(people):
    mated = np.tile([True, False], 30)
    pairs = FoldedPairs(np.where(mated, 0.9, 0.1), mated, np.arange(60) // 6, people)
    row = accuracy_row(pairs, "Accuracy")
    assert row.estimate.value == 1
    assert (row.estimate.low, row.estimate.high) == wilson_share(1.0, people or 60)
    assert ("independent" in row.interval) == (people is None)
    # two of three right in each of ten folds: the deviation from their mean is not quite 0
    kinds = np.tile([True, False, False], 10)
    third = FoldedPairs(np.tile([0.9, 0.1, 0.95], 10), kinds, np.arange(30) // 3, people)
    again = accuracy_row(third, "Accuracy").estimate
    assert again.value == pytest.approx(2 / 3)
    assert again.counts["standard_error"] > 0
    assert (again.low, again.high) == pytest.approx(wilson_share(2 / 3, people or 30))


@settings(max_examples=30)
@given(
    st.lists(st.integers(1, 4), min_size=4, max_size=14).filter(
        lambda pictures: sum(count > 1 for count in pictures) >= 4
    ),
    st.integers(0, 99),
)
def test_folds_share_no_people_and_balance_both_kinds(pictures, seed):
    scores = crowd(pictures)
    found = person_folds(scores, folds=3, seed=seed)
    paired = sum(count > 1 for count in pictures)
    assert found.people == paired
    assert found.mated.sum() == len(scores.mated)
    count = min(3, paired // 2)
    assert set(found.folds) == set(range(count))
    where = {float(score): fold for score, fold in zip(found.scores, found.folds, strict=True)}
    fold_of = {}
    for score, person in zip(scores.mated, scores.mated_person, strict=True):
        assert fold_of.setdefault(person, where[float(score)]) == where[float(score)]
    people = np.bincount(list(fold_of.values()), minlength=count)
    assert people.max() - people.min() <= 1
    inside = {}
    for score, persons in zip(scores.nonmated, scores.nonmated_persons, strict=True):
        fold = where.get(float(score))
        for person in persons if fold is not None else ():
            assert fold_of.setdefault(person, fold) == fold
    for fold in range(count):
        here = found.folds == fold
        own = (here & found.mated).sum()
        sides = [fold_of.get(person) for person in range(scores.people)]
        one, two = scores.nonmated_persons.T
        inside = sum(
            sides[a] == sides[b] == fold for a, b in zip(one.tolist(), two.tolist(), strict=True)
        )
        others = (here & ~found.mated).sum()
        assert others <= own
        assert others >= min(own, inside)


def test_seeds_decide_who_is_together():
    scores = crowd([3] * 12)
    one, same, other = (person_folds(scores, seed=seed) for seed in (1, 1, 2))
    assert len(set(one.folds)) == 6  # of ten asked for: two people each
    np.testing.assert_array_equal(one.scores, same.scores)
    assert not np.array_equal(one.scores, other.scores)
    chosen = one.scores[~one.mated]
    assert len(set(chosen)) == len(chosen)  # none twice
    assert set(chosen) <= set(scores.nonmated.astype(np.float64))


def test_too_few_people_are_refused():
    with pytest.raises(InputError, match="for two folds, got 3"):
        person_folds(crowd([2, 2, 2, 1]))


def test_a_fold_without_other_people_is_refused():
    of = np.arange(4, dtype=np.int32)
    table = Scores(np.ones(4), np.zeros(1), of, np.array([[0, 1]], np.int32), 4)
    with pytest.raises(InputError, match="mated and non-mated pairs in every fold"):
        accuracy_row(person_folds(table), "Accuracy")
