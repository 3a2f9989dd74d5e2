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
