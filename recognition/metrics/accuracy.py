"""Best-threshold accuracy over the folds of a protocol: what LFW calls view 2."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Counts, Floats, Steps, count_steps
from recognition.errors import InputError

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FoldAccuracy:
    """How often a threshold from the other folds decides right, fold by fold.

    Attributes:
        mean: mean of `accuracies`.
        standard_error: S_E = σ̂ / √k, with σ̂ the standard deviation of `accuracies` (ddof = 1).
            The folds share their training pairs, so it is no more than a convention.
        folds: (k,) their numbers, ascending.
        accuracies: (k,) share of the pairs of a fold that are decided right.
        thresholds: (k,) chosen on the other folds; inf where nobody is accepted, -inf everybody.
        correct: (k,) pairs of the fold decided right.
        pairs: (k,) pairs of the fold.
    """

    mean: float
    standard_error: float
    folds: Counts
    accuracies: Floats
    thresholds: Floats
    correct: Counts
    pairs: Counts


def fold_accuracy(
    scores: npt.ArrayLike, mated: npt.ArrayLike, folds: npt.ArrayLike
) -> FoldAccuracy:
    """mean_f accuracy(fold f at t_f), with t_f the threshold of best accuracy on the other folds.

    Candidates for t_f are -inf, the middles between neighbouring distinct scores of the other
    folds, and inf. Among the best, the one in the widest gap between such scores; among equally
    wide gaps the highest; the two infinite ends only where no gap is as good, inf before -inf.
    A pair is accepted at score >= t_f. The folds are taken as they come, never shuffled; whether
    they share people is for the caller to say.

    Args:
        scores: (M,) similarities, higher meaning more alike.
        mated: (M,) bool, whether a pair shows one person.
        folds: (M,) whole numbers, the fold of each pair.

    Raises:
        InputError: arrays that do not fit, a score that is not finite, fewer than two folds, or a
            fold without mated or without non-mated pairs.

    Source: Huang, Ramesh, Berg and Learned-Miller, Labeled Faces in the Wild, UMass Amherst
    technical report 07-49 (2007), section 5.

    >>> found = fold_accuracy([0.9, 0.1, 0.8, 0.3], [True, False, True, False], [0, 0, 1, 1])
    >>> found.mean, found.thresholds
    (1.0, array([0.55, 0.5 ]))
    """
    values, same, fold_of = _checked(scores, mated, folds)
    numbers, codes = np.unique(fold_of, return_inverse=True)
    _refuse_folds(numbers, codes, same)
    chosen = np.array(
        [_best_threshold(values, same, codes != fold) for fold in range(len(numbers))]
    )
    right = (values >= chosen[codes]) == same  # float64 against float64: nothing rounds
    pairs = np.bincount(codes)
    correct = np.bincount(codes[right], minlength=len(numbers))
    accuracies: Floats = correct / pairs
    error = accuracies.std(ddof=1) / np.sqrt(len(numbers))
    return FoldAccuracy(
        float(accuracies.mean()),
        float(error),
        numbers.astype(np.int64),
        accuracies,
        chosen,
        correct.astype(np.int64),
        pairs.astype(np.int64),
    )


def _best_threshold(scores: Floats, mated: Bools, used: Bools) -> float:
    """The threshold of best accuracy on the pairs that are `used`."""
    steps = count_steps(scores[used & mated], scores[used & ~mated])
    at = most_accurate(steps)
    if at == 0:
        return np.inf
    if at == len(steps.thresholds) - 1:
        return -np.inf
    return middle(float(steps.thresholds[at + 1]), float(steps.thresholds[at]))


def most_accurate(steps: Steps) -> int:
    """The step with most right decisions, #{u >= t} + #{v < t}.

    Among equals the one with the widest gap to the next threshold below, among those the highest;
    the first and the last step, whose gaps have no end, only where no other is as good.
    """
    right = steps.true - steps.false  # + N decisions
    best = np.flatnonzero(right == right.max())
    gaps = np.full(len(right), -np.inf)
    gaps[1:-1] = steps.thresholds[1:-1] - steps.thresholds[2:]
    return int(best[np.argmax(gaps[best])])


def middle(low: float, high: float) -> float:
    """The middle of low < t <= high; `high` where no number lies between."""
    between = (low + high) / 2
    return between if low < between <= high else high


def _checked(
    scores: npt.ArrayLike, mated: npt.ArrayLike, folds: npt.ArrayLike
) -> tuple[Floats, Bools, Counts]:
    values, same, fold_of = np.asarray(scores), np.asarray(mated), np.asarray(folds)
    kinds = values.dtype.kind, same.dtype.kind, fold_of.dtype.kind
    fits = values.ndim == 1 and len(values) and values.shape == same.shape == fold_of.shape
    if not fits or kinds[0] not in "fiu" or kinds[1] != "b" or kinds[2] not in "iu":
        raise InputError(
            "expected as many scores as truths (bool) and folds (whole numbers), got shapes "
            f"{values.shape}, {same.shape}, {fold_of.shape} of {values.dtype}, {same.dtype}, "
            f"{fold_of.dtype}; pass one of each per pair"
        )
    if not np.isfinite(values).all():
        raise InputError(
            "expected finite scores, but some are NaN or infinite; a pair that could not be "
            "compared is a failure to be counted, so give it the lowest score or leave it out"
        )
    return values.astype(np.float64), same, fold_of


def _refuse_folds(numbers: Counts, codes: Counts, mated: Bools) -> None:
    if len(numbers) < 2:
        raise InputError(
            "expected at least 2 folds, one to choose the threshold on and one to judge it, got "
            "1; split the pairs as their protocol does"
        )
    pairs, same = np.bincount(codes), np.bincount(codes[mated], minlength=len(numbers))
    poor = np.flatnonzero((same == 0) | (same == pairs))
    if len(poor):
        fold = poor[0]
        raise InputError(
            f"expected mated and non-mated pairs in every fold, but fold {numbers[fold]} has "
            f"{same[fold]} and {pairs[fold] - same[fold]}; take the folds of the protocol, not "
            "runs of a file sorted by kind"
        )
