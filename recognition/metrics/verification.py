"""One picture against one other: are these two the same person?

Accept when score >= threshold. A rate is at most its target, never the nearest and never
interpolated; ties count against the system; what cannot be measured says so.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons import ScoreTable, Similarities, Stepped, accepted, threshold_allowing
from recognition.comparisons.steps import Floats
from recognition.errors import InputError

ROUNDING = 1 + 1e-12  # floor(0.29 * 100) is 28: forgive the last bits of target * trials
ONE_ERROR = {"false matches": "false match", "false alarms": "false alarm"}
ENOUGH_ERRORS = 30  # Doddington's rule: within 30 % of the true rate, at 90 % confidence


def fmr(scores: ScoreTable, threshold: float) -> float:
    """#{v >= t} / N: the share of non-mated comparisons that are accepted (ISO/IEC 19795-1).

    >>> from recognition.comparisons import compare_all
    >>> scores = compare_all([[1, 0], [1, 0], [0, 1]], ["ann", "ann", "bob"])
    >>> fmr(scores, 0.0), fmr(scores, 0.5)
    (1.0, 0.0)
    """
    return scores.false_matches(threshold) / scores.nonmated_count


def fnmr(scores: ScoreTable, threshold: float) -> float:
    """#{u < t} / P: the share of mated comparisons that are rejected (ISO/IEC 19795-1)."""
    mated = len(scores.mated)
    return (mated - accepted(scores.mated, threshold)) / mated


def allowed_errors(target: float, trials: int) -> int:
    """Errors allowed: k = floor(target * trials), forgiving the rounding of the product."""
    if not 0 <= target <= 1:
        raise InputError(f"expected a rate between 0 and 1, not {target!r}; 0.001 is one in 1000")
    return min(trials, int(np.floor(target * trials * ROUNDING)))


def threshold_at_fmr(nonmated: Similarities, target: float) -> float:
    """The smallest t with #{v >= t} <= k, k = floor(target * N), among numbers of their type.

    With v sorted in descending order it is the number after v_(k+1): whoever ties with v_(k+1)
    is rejected with it. It is -inf for k = N, and just above the largest score for k = 0.

    Args:
        nonmated: (N,) scores, in any order.
        target: the highest share of them to accept.

    Raises:
        InputError: no scores, NaN among them, or a target that is no rate.

    >>> scores = np.array([0.1, 0.2, 0.2, 0.3])
    >>> [int((scores >= threshold_at_fmr(scores, rate)).sum()) for rate in (0.25, 0.5, 0.75)]
    [1, 1, 3]
    """
    if nonmated.dtype.kind != "f":
        nonmated = nonmated.astype(np.float64)
    if not len(nonmated) or np.isnan(nonmated).any():
        raise InputError(
            f"expected non-mated scores without NaN to set a threshold, got {len(nonmated)}; "
            "compare pictures of different people, and leave out those not embedded"
        )
    return threshold_allowing(nonmated, allowed_errors(target, len(nonmated)))


def doubt(rate: str, target: float, trials: int, what: str, errors: str) -> str | None:
    """Why `target` is not, or hardly, measured by so many trials; None where it is."""
    allowed = allowed_errors(target, trials)
    if not allowed:
        return (
            f"{rate} {target:g} cannot be measured with {trials:,} {what}; "
            f"the smallest is {3 / trials:.1e} at 95 %"  # the rule of three
        )
    if allowed < ENOUGH_ERRORS:
        errors = ONE_ERROR[errors] if allowed == 1 else errors
        return (
            f"{rate} {target:g} rests on at most {allowed} {errors} among {trials:,} {what}; "
            f"{ENOUGH_ERRORS} are needed to trust it (Doddington's rule)"
        )
    return None


class OperatingPoint(NamedTuple):
    """What verification does at the threshold for a target FMR.

    Where `resolved` is false the target is below one false match: the numbers are those of no
    observed false match, and `reason` says what could be measured.
    """

    tar: float  # accepted / mated = 1 - FNMR
    threshold: float
    fmr: float  # achieved, at most the target
    target: float
    accepted: int
    mated: int
    allowed: int
    nonmated: int

    @property
    def resolved(self) -> bool:
        """At least one false match is allowed: target * nonmated >= 1."""
        return self.allowed >= 1

    @property
    def reliable(self) -> bool:
        """At least 30 false matches are allowed (Doddington's rule of 30)."""
        return self.allowed >= ENOUGH_ERRORS

    @property
    def reason(self) -> str | None:
        """Why the point is not resolved or not reliable, in one sentence; None if it is both."""
        return doubt("FMR", self.target, self.nonmated, "non-mated comparisons", "false matches")


def tar_at_fmr(scores: ScoreTable, target: float) -> OperatingPoint:
    """TAR = #{u >= t} / P at `threshold_at_fmr`, also known as TAR@FAR.

    Raises:
        InputError: a target that is no rate.
    """
    nonmated, mated = scores.nonmated_count, len(scores.mated)
    allowed = allowed_errors(target, nonmated)
    threshold = scores.threshold_allowing(allowed)
    hits = accepted(scores.mated, threshold)
    achieved = scores.false_matches(threshold) / nonmated
    return OperatingPoint(hits / mated, threshold, achieved, target, hits, mated, allowed, nonmated)


@dataclass(frozen=True)
class ErrorCurve:
    """FMR and FNMR at every threshold that makes a difference, from reject-all to accept-all.

    Attributes:
        thresholds: (T,) descending: just above the highest score, then each distinct score.
        fmr: (T,) ascending.
        fnmr: (T,) descending.
    """

    thresholds: Floats
    fmr: Floats
    fnmr: Floats

    def thinned(self, points: int) -> "ErrorCurve":
        """About `points` of the steps, for plotting: even in FNMR and in the logarithm of FMR.

        Each is a step of the exact curve, both ends among them; nothing is interpolated.
        """
        if points < 2:
            raise InputError(f"expected at least 2 points for a curve, not {points}")
        lowest = self.fmr[np.searchsorted(self.fmr, 0, side="right")]
        by_fmr = np.geomspace(lowest, 1, points // 2)
        by_fnmr = np.linspace(0, 1, points - points // 2)
        ends = [0, len(self.fmr) - 1]
        steps = np.concatenate(
            [
                ends,
                np.searchsorted(self.fmr, by_fmr, side="right") - 1,
                np.searchsorted(-self.fnmr, -by_fnmr).clip(max=ends[1]),
            ]
        )
        keep = np.unique(steps)
        return ErrorCurve(self.thresholds[keep], self.fmr[keep], self.fnmr[keep])


def error_curve(scores: Stepped) -> ErrorCurve:
    """(t, FMR(t), FNMR(t)) for every distinct score t: ROC and DET are two ways to draw it."""
    steps = scores.steps
    return ErrorCurve(steps.thresholds, steps.fmr, steps.fnmr)


class EqualErrorRate(NamedTuple):
    """Where FMR and FNMR cross: between `low` and `high`, reported as `rate`, their middle."""

    low: float
    rate: float
    high: float
    threshold: float


def equal_error_rate(scores: Stepped) -> EqualErrorRate:
    """The rate at which FMR and FNMR meet, by the rule of FVC2000.

    t1 is the highest threshold with FNMR <= FMR and t2 the lowest with FNMR >= FMR, over all
    distinct scores; the one with the smaller FMR + FNMR gives both ends, t1 if they are equal.

    Source: Maio et al., FVC2000: Fingerprint Verification Competition, PAMI 2002, section 4.
    """
    thresholds, false, true, _ = scores.steps
    at = crossing(false, true, int(false[-1]), int(true[-1]))
    low, high = sorted((false[at] / false[-1], (true[-1] - true[at]) / true[-1]))
    return EqualErrorRate(float(low), float(low + high) / 2, float(high), float(thresholds[at]))


def crossing(
    false: npt.NDArray[np.int64], true: npt.NDArray[np.int64], nonmated: int, mated: int
) -> int:
    """The step of FVC2000's rule, from what is accepted at descending thresholds.

    Compared as whole numbers, FMR = false / nonmated against FNMR = 1 - true / mated.
    """
    if mated * nonmated >= 2**62:  # beyond the products that int64 holds
        false, true = false.astype(object), true.astype(object)
    excess = false * mated - (mated - true) * nonmated  # ∝ FMR - FNMR, never falls
    t1 = int(np.searchsorted(excess, 0))
    t2 = int(np.searchsorted(excess, 0, side="right")) - 1
    total = false * mated + (mated - true) * nonmated  # ∝ FMR + FNMR
    return t1 if total[t1] <= total[t2] else t2


def area_under_curve(scores: Stepped) -> float:
    """P(u > v) + ½ P(u = v) for a mated u and a non-mated v: the area under the ROC curve.

    Exact where the steps are complete: the Mann-Whitney statistic with mid-ranks, counted in
    whole numbers. Elsewhere scores between two thresholds count as ties.

    Source: Hanley and McNeil, Radiology 143 (1982).
    """
    steps = scores.steps
    pairs = 2 * steps.mated * steps.nonmated
    gained = np.diff(steps.false).astype(np.int64 if pairs < 2**63 else object)
    return int((gained * (steps.true[1:] + steps.true[:-1])).sum()) / pairs


def mann_whitney(mated: Similarities, nonmated: Similarities) -> float:
    """The share of all (mated, nonmated) in which the first is higher, ties counting half."""
    ascending = np.sort(nonmated)
    beaten = np.searchsorted(ascending, mated, side="left").sum()
    beaten_or_tied = np.searchsorted(ascending, mated, side="right").sum()
    return int(beaten + beaten_or_tied) / (2 * len(mated) * len(nonmated))
