"""The ROC convex hull: what remains of a curve when every cost is to be paid at its best."""

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Counts, Stepped, Steps

Places = npt.NDArray[np.intp]

EXACT = 2**63  # products below it are exact in int64


def convex_hull(steps: Steps) -> Steps:
    """The steps at the vertices of the upper convex hull of (FMR, TAR), both ends among them.

    A step is a vertex where it lies above every line between two others; those on an edge are
    left out, and of two steps with the same counts the higher threshold stays. Whatever errors
    cost, a vertex is as cheap as any step. Decided in whole numbers, so nothing is rounded: a few
    passes of numpy drop what lies on or below the line between its neighbours, and Andrew's chain,
    linear, ends what they leave.

    The vertices are not all distinct scores, so the result is not `complete`. The hull of steps
    that were not complete themselves lies inside the true one.

    Source: Provost and Fawcett, Robust Classification for Imprecise Environments, Machine
    Learning 42 (2001); Andrew, Information Processing Letters 9 (1979).

    >>> from recognition.comparisons.steps import count_steps
    >>> convex_hull(count_steps(np.array([0.5, 0.8, 0.9]), np.array([0.1, 0.6]))).thresholds[1:]
    array([0.8, 0.5, 0.1])
    """
    kept = _without_dents(steps.false, steps.true)
    chain = _chain(steps.false[kept].tolist(), steps.true[kept].tolist())
    at = kept[chain]
    return Steps(steps.thresholds[at], steps.false[at], steps.true[at], complete=False)


def _without_dents(false: Counts, true: Counts) -> Places:
    """The places of all vertices, and of few other steps.

    A vertex is above the line between any two other steps, so the steps on or below the line
    between their neighbours can all go at once.
    """
    moved = (np.diff(false) > 0) | (np.diff(true) > 0)
    kept = np.flatnonzero(np.append(True, moved))
    while len(kept) > 2:
        run, rise = np.diff(false[kept]), np.diff(true[kept])
        if int(run.max()) * int(rise.max()) >= EXACT:
            break
        above = rise[:-1] * run[1:] > rise[1:] * run[:-1]
        few = np.count_nonzero(~above) <= 0.1 * len(kept)  # what is left is cheaper in one go
        kept = kept[np.concatenate([[True], above, [True]])]
        if few:
            break
    return kept


def _chain(false: list[int], true: list[int]) -> list[int]:
    """Andrew's chain: the places at which the slope of the hull falls, in Python's integers."""
    hull: list[int] = []
    for new in range(len(false)):
        while len(hull) > 1:
            first, last = hull[-2], hull[-1]
            slope = (true[last] - true[first]) * (false[new] - false[last])
            next_slope = (true[new] - true[last]) * (false[last] - false[first])
            if slope > next_slope:
                break
            hull.pop()
        hull.append(new)
    return hull


class HullErrorRate(NamedTuple):
    """Where the hull has FMR = FNMR, and the two thresholds whose mixture gets there.

    Attributes:
        rate: FMR and FNMR, a share.
        upper: threshold of the vertex before the crossing, where FMR < FNMR.
        lower: threshold of the first vertex with FMR >= FNMR.
        complete: whether all distinct scores were known; if not, the true rate is at most `rate`.
    """

    rate: float
    upper: float
    lower: float
    complete: bool


def hull_equal_error_rate(scores: Stepped) -> HullErrorRate:
    """ROCCH-EER: the rate at which the ROC convex hull meets FMR = FNMR.

    The point is on the edge between two vertices, exact as a quotient of whole numbers: deciding
    by either threshold at random, in the right proportion, has both error rates equal to it. It
    equals max over π of min over t of π·FNMR(t) + (1−π)·FMR(t), the most that the best threshold
    can cost, and is 0 where every mated score is above every other. It is at most 1/2, also for
    scores that are worse than chance, because the ends of the hull accept nothing and everything.

    Source: Brümmer and de Villiers, The BOSARIS Toolkit User Guide (2011), ROCCH.

    >>> from recognition.comparisons.scores import ScoreLists
    >>> hull_equal_error_rate(ScoreLists(np.array([0.3, 0.9]), np.array([0.1, 0.5]))).rate
    0.25
    """
    steps = scores.steps
    thresholds, false, true, _ = convex_hull(steps)
    nonmated, mated = steps.nonmated, steps.mated
    points = list(zip(false.tolist(), true.tolist(), strict=True))
    # ∝ FMR - FNMR, which grows along the hull from -1 to 1
    excess = [accepted * mated - (mated - hits) * nonmated for accepted, hits in points]
    at = bisect_left(excess, 0)
    before, after = excess[at - 1], excess[at]
    crossing = points[at - 1][0] * after - points[at][0] * before
    rate = crossing / (nonmated * (after - before))
    return HullErrorRate(rate, float(thresholds[at - 1]), float(thresholds[at]), steps.complete)
