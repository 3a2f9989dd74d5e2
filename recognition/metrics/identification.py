"""One picture against everyone enrolled: who is this, and is it anyone we know?

The conventions are those of verification: a candidate counts when score >= threshold, a rate is
at most its target, and ties count against the system: whoever scores as much as the mate stands
before the mate. (NIST counts candidates "at or above" the threshold; ISO/IEC 19795-1 writes
"greater than". They differ only where a score equals the threshold.)

Sources: ISO/IEC 19795-1:2021; NIST FRTE 1:N Identification; Dhamija, Günther and Boult, Reducing
Network Agnostophobia, NeurIPS 2018 (OSCR).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import accepted
from recognition.comparisons.steps import Similarities, count_steps
from recognition.errors import InputError
from recognition.metrics.searches import Searches, pool
from recognition.metrics.verification import (
    ENOUGH_ERRORS,
    allowed_errors,
    doubt,
    threshold_at_fmr,
)

Floats = npt.NDArray[np.float64]


__all__ = [
    "CumulativeMatch",
    "OpenSetCurve",
    "OpenSetPoint",
    "Searches",
    "Selectivity",
    "cmc",
    "fnir",
    "fnir_at_fpir",
    "fpir",
    "oscr_area",
    "oscr_curve",
    "pool",
    "rank_one_rate",
    "selectivity",
]


def fpir(searches: Searches, threshold: float) -> float:
    """FPIR(N, T): share of the non-mated searches with a candidate at or above T.

    A search that failed is a true reject, even where T is -inf.

    Raises:
        InputError: no non-mated searches, or a threshold that is NaN.

    Source: ISO/IEC 19795-1; NIST FRTE 1:N.
    """
    _require(searches, strangers=True)
    strangers = searches.stranger_scores
    return accepted(strangers[strangers > -np.inf], threshold) / len(strangers)


def fnir(searches: Searches, threshold: float, rank: int = 1) -> float:
    """FNIR(N, R, T): share of the mated searches whose mate is not in the top R, or below T.

    1 - FNIR is also known as TPIR and as DIR@FAR; FNIR(N, R, -inf) = 1 - CMC(R). A search that
    failed is a miss.

    Raises:
        InputError: no mated searches, a rank below 1, or a threshold that is NaN.

    Source: ISO/IEC 19795-1; NIST FRTE 1:N.
    """
    _require(searches, mated=True)
    return _missed(searches, threshold, rank) / len(searches.ranks)


def _missed(searches: Searches, threshold: float, rank: int) -> int:
    found = searches.mate_scores[searches.ranks <= _checked(rank)]
    return len(searches.ranks) - accepted(found, threshold)


def _checked(rank: int) -> int:
    if rank < 1:
        raise InputError(f"expected a rank from 1 on, not {rank}")
    return rank


def rank_one_rate(searches: Searches) -> float:
    """Share of the mated searches in which nobody else scores as high as the mate: CMC(1).

    Raises:
        InputError: no mated searches.
    """
    _require(searches, mated=True)
    return int((searches.ranks == 1).sum()) / len(searches.ranks)


class CumulativeMatch(NamedTuple):
    """How often the mate is among the first k, with and without the benefit of ties.

    `rate` is the one to report. Probes of people who are not enrolled have no mate to find: they
    are left out, and `excluded` says how many they are.
    """

    ranks: npt.NDArray[np.int64]  # (K,)
    rate: Floats  # (K,) ties against the mate
    optimistic: Floats  # (K,) ties in favour of the mate
    mated: int
    excluded: int

    @property
    def tied(self) -> bool:
        """Whether ties make a difference at any of the ranks."""
        return bool((self.rate != self.optimistic).any())


def cmc(searches: Searches, ranks: Sequence[int] | None = None) -> CumulativeMatch:
    """CMC(k) = #{mated searches: rank <= k} / #{mated searches}, the cumulative match curve.

    rank = 1 + #{other people: score >= that of the mate}; people are ranked, not pictures. The
    optimistic curve counts > instead. From k = N on both are 1, unless searches failed.

    Args:
        searches: also non-mated ones, which are left out.
        ranks: the k to report, all of 1 .. N if None.

    Raises:
        InputError: no mated searches, no ranks, or one below 1.

    Source: NIST FRTE 1:N; Grother, Micheals and Phillips, AVBPA 2003.
    """
    _require(searches, mated=True)
    asked = range(1, searches.largest_gallery + 1) if ranks is None else ranks
    if not len(asked):
        raise InputError("expected at least one rank, got none; rank 1 is the usual one")
    at = np.array([_checked(rank) for rank in asked], np.int64)
    mated = len(searches.ranks)
    rate, optimistic = (
        np.searchsorted(np.sort(found), at, side="right") / mated
        for found in (searches.ranks, searches.ranks_optimistic)
    )
    return CumulativeMatch(at, rate, optimistic, mated, len(searches.probes) - mated)


class OpenSetPoint(NamedTuple):
    """What identification does at the threshold for a target FPIR.

    Where `resolved` is false the target is below one false alarm: the numbers are those of no
    observed false alarm, and `reason` says what could be measured.
    """

    fnir: float  # missed / mated
    threshold: float
    fpir: float  # achieved, at most the target
    target: float
    missed: int
    mated: int
    allowed: int
    nonmated: int

    @property
    def dir(self) -> float:
        """DIR@FAR = TPIR = 1 - FNIR."""
        return 1 - self.fnir

    @property
    def resolved(self) -> bool:
        """At least one false alarm is allowed: target * nonmated >= 1."""
        return self.allowed >= 1

    @property
    def reliable(self) -> bool:
        """At least 30 false alarms are allowed (Doddington's rule of 30)."""
        return self.allowed >= ENOUGH_ERRORS

    @property
    def reason(self) -> str | None:
        """Why the point is not resolved or not reliable, in one sentence; None if it is both."""
        return doubt("FPIR", self.target, self.nonmated, "non-mated searches", "false alarms")


def fnir_at_fpir(searches: Searches, target: float, rank: int = 1) -> OpenSetPoint:
    """FNIR(N, R, T) where at most `target` of the strangers are taken for someone enrolled.

    T is the smallest threshold with FPIR <= target: that of `threshold_at_fmr` on the best score
    of each non-mated search. It holds for this size of gallery.

    Raises:
        InputError: no mated or no non-mated searches, a target that is no rate, a rank below 1.
    """
    _require(searches, mated=True, strangers=True)
    strangers = searches.stranger_scores
    threshold = threshold_at_fmr(strangers, target)
    missed, mated = _missed(searches, threshold, rank), len(searches.ranks)
    return OpenSetPoint(
        fnir=missed / mated,
        threshold=threshold,
        fpir=fpir(searches, threshold),
        target=target,
        missed=missed,
        mated=mated,
        allowed=allowed_errors(target, len(strangers)),
        nonmated=len(strangers),
    )


class Selectivity(NamedTuple):
    """Candidates that a search for a stranger puts before an examiner; may exceed 1."""

    mean: float  # candidates / nonmated; a lower bound where it is not exact
    candidates: int
    nonmated: int
    exact: bool  # False: a search kept only candidates at or above T, others may be there too


def selectivity(searches: Searches, threshold: float) -> Selectivity:
    """SEL(N, T) = #{non-mate candidates at or above T} / #{non-mated searches}.

    Exact where every non-mated search has its last kept candidate below T, or its whole gallery
    kept; elsewhere at least what is returned. Keep more candidates to know.

    Raises:
        InputError: no non-mated searches, or a threshold that is NaN.

    Source: ISO/IEC 19795-1; NIST FRTE 1:N.
    """
    _require(searches, strangers=True)
    rows, kept = searches.scores[~searches.mated], searches.kept[~searches.mated]
    candidates = accepted(rows[rows > -np.inf], threshold)
    full = (rows >= np.float64(threshold)).sum(axis=1) >= kept
    cut = kept < searches.gallery[~searches.mated]
    return Selectivity(candidates / len(rows), candidates, len(rows), not (full & cut).any())


@dataclass(frozen=True)
class OpenSetCurve:
    """FPIR and DIR at every threshold that makes a difference, from reject-all to accept-all.

    Attributes:
        thresholds: (T,) descending: just above the highest score, then each distinct score.
        fpir: (T,) ascending from 0; up to 1 unless searches failed.
        dir: (T,) ascending from 0 up to CMC(1).
    """

    thresholds: Floats
    fpir: Floats
    dir: Floats


def oscr_curve(searches: Searches) -> OpenSetCurve:
    """The open-set classification rate curve: (FPIR(T), DIR(T) at rank 1) for every score T.

    DIR(T) = #{mated: rank = 1, score >= T} / #{mated} is the correct classification rate, and
    FPIR(T) the false positive rate of Dhamija et al. A mate that ties with another person is not
    the one answer, so it is not correct.

    Raises:
        InputError: no mated or no non-mated searches, or none of all of them could be made.

    Source: Dhamija et al. 2018, section 4.
    """
    _require(searches, mated=True, strangers=True)
    hits, strangers = _hits(searches), searches.stranger_scores
    seen = strangers[strangers > -np.inf]
    if not len(hits) + len(seen):
        raise InputError(
            "expected a score to draw a curve from, but nobody was found at rank 1 and all "
            "searches for strangers failed; embed more of the pictures"
        )
    thresholds, false, true, _ = count_steps(hits, seen)
    return OpenSetCurve(thresholds, false / len(strangers), true / len(searches.ranks))


def oscr_area(searches: Searches) -> float:
    """∫ DIR d FPIR from 0 to 1, as a step function that never looks ahead.

    DIR at a budget x is the largest with FPIR <= x, so the area is the mean of DIR over all
    numbers of false alarms 0 .. S - 1, which counts pairs:
    #{(mated u at rank 1, stranger v): u > v} / (M S). A mate that ties with a stranger is lost.
    It is at most CMC(1), and does not depend on a threshold.

    Raises:
        InputError: no mated or no non-mated searches.

    Source: Dhamija et al. 2018; the area under their curve as it is usually reported (AUOSCR).
    """
    _require(searches, mated=True, strangers=True)
    strangers = np.sort(searches.stranger_scores)
    beaten = int(np.searchsorted(strangers, _hits(searches), side="left").sum())
    return beaten / (len(searches.ranks) * len(strangers))


def _hits(searches: Searches) -> Similarities:
    hits: Similarities = searches.mate_scores[searches.ranks == 1]
    return hits


def require_both(searches: Searches) -> None:
    """Refuse a table of one kind of searches only.

    Raises:
        InputError: no mated or no non-mated searches.
    """
    _require(searches, mated=True, strangers=True)


def _require(searches: Searches, *, mated: bool = False, strangers: bool = False) -> None:
    if mated and not searches.mated.any():
        raise InputError(
            f"expected searches for people who are enrolled, but none of {len(searches.probes)} "
            "is; enrol some of the people on the probes"
        )
    if strangers and searches.mated.all():
        raise InputError(
            f"expected searches for strangers, but all {len(searches.probes)} probes show "
            "people who are enrolled; leave some people out of the gallery"
        )
