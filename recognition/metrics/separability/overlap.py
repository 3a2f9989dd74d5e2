"""How much the scores of one person and those of two people have in common."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Stepped
from recognition.errors import InputError


class KolmogorovSmirnov(NamedTuple):
    """The largest difference of both distribution functions, and the threshold where it is.

    `most` is a bound above it where not every score is known, and `value` one below.
    """

    value: float
    threshold: float
    most: float


def kolmogorov_smirnov(scores: Stepped) -> KolmogorovSmirnov:
    """max_t |TAR(t) - FMR(t)|; higher is better, 1 where a threshold parts both kinds of scores.

    One less this is the least sum of both error rates, FNMR + FMR, at any threshold; and it is
    the overlap of both densities where higher scores always speak more for one person. No bins:
    read at every distinct score.

    Source: Smirnov, Bulletin Mathématique de l'Université de Moscou 2 (1939).

    >>> from recognition.comparisons.steps import count_steps
    >>> kolmogorov_smirnov(count_steps(np.array([0.5, 0.9]), np.array([0.1, 0.5])))
    KolmogorovSmirnov(value=0.5, threshold=0.9, most=0.5)
    """
    steps = scores.steps
    true, false = 1 - steps.fnmr, steps.fmr
    gap = np.abs(true - false)
    at = int(gap.argmax())
    value = most = float(gap[at])
    if not steps.complete:  # between two thresholds TAR is at most that of the lower one
        between = np.maximum(true[1:] - false[:-1], false[1:] - true[:-1])
        most = max(value, float(between.max()))
    return KolmogorovSmirnov(value, float(steps.thresholds[at]), most)


def histogram_overlap(mated: npt.NDArray[np.int64], nonmated: npt.NDArray[np.int64]) -> float:
    """Σ_b min(p_b, q_b) of two histograms over the same bins; lower is better, 0 is apart.

    It depends on the bins: wide ones let apart what is apart look alike, narrow ones the reverse.
    Name them beside the number.

    Raises:
        InputError: histograms of other shapes, with nothing in them, or negative counts.
    """
    if mated.shape != nonmated.shape or mated.ndim != 1 or not mated.any() or not nonmated.any():
        raise InputError(
            f"expected two histograms over the same bins with something in each, got shapes "
            f"{mated.shape} and {nonmated.shape}; count both with the same bins"
        )
    if min(mated.min(), nonmated.min()) < 0:
        raise InputError("expected counts of at least 0; count with numpy.histogram")
    return float(np.minimum(mated / mated.sum(), nonmated / nonmated.sum()).sum())
