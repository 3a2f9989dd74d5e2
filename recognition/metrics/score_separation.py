"""How far mated scores stand from the others: d', and the area under a stretch of the ROC."""

from typing import NamedTuple

import numpy as np

from recognition.comparisons.steps import Similarities, Stepped
from recognition.errors import InputError
from recognition.metrics.verification import allowed_errors


class Moments(NamedTuple):
    """Mean and standard deviation of scores; the mean square deviation is divided by N."""

    mean: float
    deviation: float


def moments_of(scores: Similarities) -> Moments:
    """Mean and standard deviation (ddof 0) of (N,) scores, summed in float64.

    Scores that are all equal have a deviation of exactly 0.

    Raises:
        InputError: no scores, or one that is not finite.

    >>> moments_of(np.array([0.1, 0.3]))
    Moments(mean=0.2, deviation=0.1)
    """
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise InputError(
            f"expected a flat, not empty array of finite scores, got shape {scores.shape}; leave "
            "out comparisons that were not scored"
        )
    first = np.float64(scores[0])
    beyond = scores - first  # zeros where all are equal, which a rounded mean would not give
    return Moments(float(first + beyond.mean()), float(beyond.std()))


def d_prime(mated: Similarities, nonmated: Similarities) -> float:
    """|μ_g - μ_i| / √((σ_g² + σ_i²) / 2), the d' of genuine (mated) and impostor scores.

    No increasing straight line changes it; any other map does. Standard deviations divide by
    the number of scores (ddof 0). Infinite where neither kind of scores varies.

    Args:
        mated: (P,) scores.
        nonmated: (N,) scores.

    Raises:
        InputError: no scores of one kind, one that is not finite, or all scores equal.

    Source: Daugman, Biometric decision landscapes, University of Cambridge TR 482 (2000).

    >>> d_prime(np.array([0.7, 0.9]), np.array([0.1, 0.3]))
    6.0
    """
    return d_prime_of_moments(moments_of(mated), moments_of(nonmated))


def d_prime_of_moments(mated: Moments, nonmated: Moments) -> float:
    """The d' where only means and standard deviations are known.

    Raises:
        InputError: moments that are not finite, negative deviations, or equal means of scores
            that do not vary.
    """
    known = np.array([mated, nonmated])
    if not np.isfinite(known).all() or known[:, 1].min() < 0:
        raise InputError(
            f"expected finite means and deviations of at least 0, got {mated} and {nonmated}; "
            "take them from at least 1 score of each kind"
        )
    apart = abs(mated.mean - nonmated.mean)
    spread = np.hypot(mated.deviation, nonmated.deviation) / np.sqrt(2)
    if apart == spread == 0:
        raise InputError(
            f"expected scores that differ, but all are {mated.mean}: d' is 0 / 0; check what "
            "was compared"
        )
    return float(apart / spread) if spread else np.inf


def partial_area(scores: Stepped, low: float, high: float) -> float:
    """∫ TAR d log FMR / log(b / a) over FMRs from a to b: the mean TAR, each decade alike.

    TAR at an FMR is the highest with at most this FMR, as in `tar_at_fmr`, so the curve is a
    staircase and the integral is exact: nothing is interpolated, and comparisons tied with one
    too many are rejected. Between 0 and 1; 1 where all mated scores are above the others. Where
    the steps are not complete it is a lower bound below their exact part.

    Args:
        scores: mated and non-mated scores.
        low: a, at least 1 / N for N non-mated scores.
        high: b, above a and at most 1.

    Raises:
        InputError: ends that are not in order, or a lower end that N scores cannot measure.

    Source: McClish, Medical Decision Making 9 (1989), for the area between two FMRs; the
    logarithmic axis is that on which face recognition draws its curves.

    >>> from recognition.comparisons.scores import ScoreLists
    >>> partial_area(ScoreLists(np.array([0.4, 0.9]), np.arange(10) / 10), 0.1, 1.0)
    0.6109
    """
    if not 0 < low < high <= 1:
        raise InputError(
            f"expected two rates with 0 < low < high <= 1, got {low!r} and {high!r}; 0.001 and "
            "0.1 are usual"
        )
    total = scores.steps.nonmated
    first = allowed_errors(low, total)
    if not first:
        raise InputError(
            f"FMR {low:g} cannot be measured with {total} non-mated comparisons; start at "
            f"{1 / total:.1e} or above, or compare more people"
        )
    steps = scores.steps
    inside = steps.false[(steps.false > first) & (steps.false < high * total)]
    allowed = np.append(first, inside)
    tar = steps.true[np.searchsorted(steps.false, allowed, side="right") - 1] / steps.mated
    rates = np.concatenate([[low], inside / total, [high]])
    widths = np.log(rates[1:] / rates[:-1]).clip(min=0)  # rounding can turn equal ends around
    return float(tar @ (widths / widths.sum()))
