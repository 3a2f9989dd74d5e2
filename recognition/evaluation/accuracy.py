"""Accuracy by the rules of Labeled Faces in the Wild: folds, and a threshold from the others."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from recognition.comparisons.scores import ScoreLists, Scores
from recognition.datasets.pair_lists import PairList
from recognition.errors import InputError
from recognition.evaluation.estimates import Estimate
from recognition.evaluation.rows import Row
from recognition.evaluation.uncertainty import INDEPENDENT_WILSON
from recognition.metrics.accuracy import fold_accuracy
from recognition.metrics.proportions import Interval, wilson_share

FOLDS = 10
BY_FOLD = "standard error over folds"
BY_PERSON = "Wilson, one trial per person"


class FoldedPairs(NamedTuple):
    """(M,) scores of pairs, whether each shows one person, and its fold.

    `people` is how many have mated pairs, None where nobody knows.
    """

    scores: npt.NDArray[np.float64]
    mated: npt.NDArray[np.bool_]
    folds: npt.NDArray[np.int64]
    people: int | None = None


def accuracy_row(pairs: FoldedPairs, label: str) -> Row:
    """Mean accuracy over the folds; the interval is mean ± t S_E, t with k - 1 degrees of freedom.

    Where all k folds agree S_E is 0, which is no certainty: the interval is then Wilson's of one
    trial per person or, where nobody knows the people, per pair.

    Raises:
        InputError: fewer than two folds, or a fold without both kinds of pairs.
    """
    found = fold_accuracy(pairs.scores, pairs.mated, pairs.folds)
    counts = {
        "standard_error": found.standard_error,
        "folds": len(found.folds),
        "pairs": int(found.pairs.sum()),
        "correct": int(found.correct.sum()),
        "accuracies": found.accuracies.tolist(),
        "thresholds": found.thresholds.tolist(),
    }
    if np.ptp(found.accuracies):  # S_E itself is seldom exactly 0
        reach = float(student.ppf(0.975, len(found.folds) - 1)) * found.standard_error
        interval = Interval(max(0.0, found.mean - reach), min(1.0, found.mean + reach))
        method = BY_FOLD
    else:
        interval = wilson_share(found.mean, pairs.people or len(pairs.scores))
        method = INDEPENDENT_WILSON if pairs.people is None else BY_PERSON
    estimate = Estimate(found.mean, *interval, counts=counts)
    return Row("accuracy", label, "share", estimate, method)


def listed_accuracy(scores: ScoreLists, pairs: PairList) -> Row:
    """Accuracy in the folds of a list, whose pairs `scores` holds, each kind in its order.

    Raises:
        InputError: a list without folds, fewer than two, or one without both kinds of pairs.
    """
    if pairs.folds is None:
        raise InputError("expected a list of pairs with folds; give each pair a fold")
    folded = FoldedPairs(
        np.concatenate([scores.mated, scores.nonmated]).astype(np.float64),
        np.repeat([True, False], [len(scores.mated), len(scores.nonmated)]),
        np.concatenate([pairs.folds[kind] for kind in (pairs.mated, ~pairs.mated)]),
        len(np.unique(scores.mated_person)) if isinstance(scores, Scores) else None,
    )
    return accuracy_row(folded, "Accuracy, folds of the list")


def person_folds(scores: Scores, *, folds: int = FOLDS, seed: int = 0) -> FoldedPairs:
    """Folds that share no people, each with as many non-mated pairs as mated ones.

    People are dealt into folds at random, those with mated pairs evenly. A fold holds its mated
    pairs and as many of the non-mated pairs inside it, at random, or all there are. With few
    people there are fewer folds: each gets at least two who have mated pairs.

    Raises:
        InputError: fewer than four people with mated pairs.
    """
    paired = np.bincount(scores.mated_person, minlength=scores.people) > 0
    folds = min(folds, int(paired.sum()) // 2)
    if folds < 2:
        raise InputError(
            f"expected at least 4 people with two pictures for two folds, got {paired.sum()}; "
            "add pictures"
        )
    random = np.random.default_rng(seed)
    order = random.permutation(scores.people)
    fold_of = np.empty(scores.people, np.int64)
    fold_of[order[np.argsort(~paired[order], kind="stable")]] = np.arange(scores.people) % folds
    own = fold_of[scores.mated_person]
    sides = fold_of[scores.nonmated_persons]
    inside = np.flatnonzero(sides[:, 0] == sides[:, 1])
    sizes = np.bincount(own, minlength=folds)
    chosen = _some_of_each(inside, sides[inside, 0], sizes, random)
    return FoldedPairs(
        np.concatenate([scores.mated, scores.nonmated[chosen]]).astype(np.float64),
        np.repeat([True, False], [len(own), len(chosen)]),
        np.concatenate([own, sides[chosen, 0]]),
        int(paired.sum()),
    )


def _some_of_each(
    places: npt.NDArray[np.int64],
    folds: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    random: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """At most `sizes[f]` of the places of each fold f, at random, in the order they came."""
    shuffled = random.permutation(len(places))
    by_fold = shuffled[np.argsort(folds[shuffled], kind="stable")]
    starts = np.searchsorted(folds[by_fold], np.arange(len(sizes)))
    rank = np.arange(len(places)) - starts[folds[by_fold]]
    return np.sort(places[by_fold[rank < sizes[folds[by_fold]]]])
