"""What is accepted at each threshold: all that a curve of error rates is made of."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Similarities = npt.NDArray[np.float32] | npt.NDArray[np.float64]


class Steps(NamedTuple):
    """How many comparisons of each kind score at or above each of T thresholds.

    Attributes:
        thresholds: (T,) descending, from one that nothing reaches to one that everything does.
        false: (T,) non-mated comparisons accepted, ascending from 0 to all of them.
        true: (T,) mated comparisons accepted, ascending from 0 to all of them.
        complete: whether every distinct score is among the thresholds. Where it is not, the rates
            between two neighbouring thresholds lie between the rates at them.
    """

    thresholds: Floats
    false: Counts
    true: Counts
    complete: bool = True

    @property
    def steps(self) -> "Steps":
        """Itself: what reads the steps of a table takes them on their own, too."""
        return self

    @property
    def nonmated(self) -> int:
        """How many non-mated comparisons there are."""
        return int(self.false[-1])

    @property
    def mated(self) -> int:
        """How many mated comparisons there are."""
        return int(self.true[-1])

    def at_least(self, thresholds: Floats) -> tuple[Counts, Counts]:
        """(G,) non-mated and mated comparisons at or above any thresholds, if the steps are complete.

        >>> count_steps(np.array([0.5, 0.9]), np.array([0.1, 0.5])).at_least(np.array([0.5, 0.6]))
        (array([1, 0]), array([2, 1]))
        """
        reaching = len(self.thresholds) - np.searchsorted(self.thresholds[::-1], thresholds)
        last = np.maximum(reaching - 1, 0)  # nothing is accepted above the first step, as at it
        return self.false[last], self.true[last]

    @property
    def fmr(self) -> Floats:
        """(T,) false match rates, ascending from 0 to 1."""
        rates: Floats = self.false / self.false[-1]
        return rates

    @property
    def fnmr(self) -> Floats:
        """(T,) false non-match rates, descending from 1 to 0."""
        rates: Floats = (self.true[-1] - self.true) / self.true[-1]
        return rates


class Stepped(Protocol):
    """Whatever a curve of error rates can be read from: a table of scores, or steps alone."""

    @property
    def steps(self) -> Steps:
        """What is accepted at each threshold."""
        ...


def count_steps(mated: Similarities, nonmated: Similarities) -> Steps:
    """The steps at every distinct score, and just above the highest.

    >>> count_steps(np.array([0.5, 0.9]), np.array([0.1, 0.5])).thresholds[1:]
    array([0.9, 0.5, 0.1])
    """
    ascending = np.sort(mated)
    values = np.concatenate([np.sort(nonmated), ascending])
    values.sort(kind="stable")  # merges the two sorted halves
    first = np.flatnonzero(np.append(True, values[1:] > values[:-1]))
    distinct = values[first]
    true = len(mated) - np.searchsorted(ascending, distinct)
    false = len(values) - first - true
    above = np.nextafter(values[-1], values.dtype.type(np.inf))
    thresholds = np.append(distinct, above)[::-1].astype(np.float64)
    return Steps(thresholds, np.append(0, false[::-1]), np.append(0, true[::-1]))


def corner_steps(mated: Similarities, nonmated: Similarities) -> Steps:
    """The steps at which the curve of few mated and very many non-mated scores turns.

    Between two neighbouring mated scores TAR stands still, so that the distinct mated scores and
    the lowest non-mated one above each are all that areas and hulls depend on; where FMR and FNMR
    cross, every distinct score is among the steps as well. EER, AUC, the convex hull and minCllr
    of these steps are those of `count_steps`, to the last bit, at a thousandth of its memory.

    Args:
        mated: (P,) ascending.
        nonmated: (N,) ascending, of the same type.

    >>> corner_steps(np.array([0.5, 0.9]), np.array([0.1, 0.2, 0.3, 0.6, 0.7])).thresholds[1:]
    array([0.9, 0.7, 0.6, 0.5, 0.1])
    """
    own = np.unique(mated)
    after = np.searchsorted(nonmated, own, side="right")
    above = nonmated[after[after < len(nonmated)]]
    corners = np.unique(np.concatenate([own, above, nonmated[[0, -1]]]))
    steps = _counted(corners, mated, nonmated)
    low, high = _crossed(steps)
    start = np.searchsorted(nonmated, nonmated.dtype.type(low), side="right")
    stop = np.searchsorted(nonmated, nonmated.dtype.type(high))
    if start == stop:
        return steps
    return _counted(np.unique(np.concatenate([corners, nonmated[start:stop]])), mated, nonmated)


def _crossed(steps: Steps) -> tuple[float, float]:
    """The thresholds of the first step with FMR >= FNMR, and of the one before it."""
    _, false, true, _ = steps
    mated, nonmated = steps.mated, steps.nonmated
    if mated * nonmated >= 2**62:  # beyond the products that int64 holds
        false, true = false.astype(object), true.astype(object)
    at = int(np.argmax(false * mated >= (mated - true) * nonmated))
    return float(steps.thresholds[at]), float(steps.thresholds[at - 1])


def _counted(distinct: Similarities, mated: Similarities, nonmated: Similarities) -> Steps:
    """The steps at these ascending scores and just above the highest, from two ascending lists."""
    above = np.nextafter(distinct[-1], distinct.dtype.type(np.inf))
    thresholds = np.append(distinct, above)
    false = len(nonmated) - np.searchsorted(nonmated, thresholds)
    true = len(mated) - np.searchsorted(mated, thresholds)
    return Steps(thresholds[::-1].astype(np.float64), false[::-1], true[::-1], complete=False)
