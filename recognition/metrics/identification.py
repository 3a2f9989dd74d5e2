"""One picture against everyone enrolled: who is this, and is it anyone we know?

The conventions are those of verification: a candidate counts when score >= threshold, a rate is
at most its target, and ties count against the system.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons import Similarities, accepted
from recognition.errors import InputError
from recognition.metrics.verification import (
    ENOUGH_ERRORS,
    allowed_errors,
    doubt,
    threshold_at_fmr,
)


@dataclass(frozen=True)
class Candidates:
    """The answers of Q searches in a gallery of k people, each person once in every row.

    Galleries of different sizes can share a table: a row is then filled up with score -inf and
    an empty label at its end, which no rate counts.

    Attributes:
        scores: (Q, k) similarity to each person enrolled, descending along the row.
        labels: (Q, k) str, the person each score belongs to.
        probes: (Q,) str, the person on the picture.
        mated: (Q,) whether that person is enrolled, that is, among the row's labels.

    Raises:
        InputError: shapes, order or labels that contradict this description.
    """

    scores: Similarities
    labels: npt.NDArray[np.str_]
    probes: npt.NDArray[np.str_]
    mated: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        shape = self.scores.shape
        shapes = (self.labels.shape, self.probes.shape, self.mated.shape)
        if len(shape) != 2 or 0 in shape or shapes != (shape, shape[:1], shape[:1]):
            raise InputError(
                f"expected scores and labels of shape (Q, k), probes and mated of shape (Q,); "
                f"got {shape}, {', '.join(map(str, shapes))}; build Candidates with search_people"
            )
        best, padded = self.scores[:, 0], self.scores == -np.inf
        if not np.isfinite(best).all() or np.isnan(self.scores).any():
            raise InputError(
                "expected a finite best score in every search and no NaN; leave out pictures "
                "that could not be embedded, and count them"
            )
        if (self.scores[:, 1:] > self.scores[:, :-1]).any():
            raise InputError("expected scores to descend along each row; sort the candidates")
        enrolled = self._mates.sum(axis=1)
        if (enrolled != self.mated).any() or (self.labels[padded] != "").any():
            raise InputError(
                "expected each mated probe's person once among its candidates, no other probe's "
                "person, and empty labels for scores of -inf; keep every person enrolled, once"
            )

    @cached_property
    def _mates(self) -> npt.NDArray[np.bool_]:
        """(Q, k) where the candidate is the person on the picture."""
        mates: npt.NDArray[np.bool_] = self.labels == self.probes[:, None]
        return mates & (self.scores > -np.inf)

    @cached_property
    def mate_scores(self) -> Similarities:
        """(M,) the score of the right person, for each mated probe."""
        return self.scores[self._mates]

    @cached_property
    def ranks(self) -> npt.NDArray[np.int64]:
        """(M,) for each mated probe, 1 + how many other people score no less than the mate."""
        rivals = self.scores[self.mated] >= self.mate_scores[:, None]
        ranks: npt.NDArray[np.int64] = rivals.sum(axis=1, dtype=np.int64)  # the mate is the 1
        return ranks

    @cached_property
    def stranger_scores(self) -> Similarities:
        """(S,) the best score of each non-mated probe."""
        best: Similarities = self.scores[~self.mated, 0]
        return best


def pool(tables: Sequence[Candidates]) -> Candidates:
    """The searches of several galleries in one table, shorter rows filled up with -inf and "".

    Raises:
        InputError: nothing to pool.
    """
    if not tables:
        raise InputError("expected at least one table of candidates to pool, got none")
    width = max(table.scores.shape[1] for table in tables)

    def widen(cells: npt.NDArray[np.generic], fill: float | str) -> npt.NDArray[np.generic]:
        missing = ((0, 0), (0, width - cells.shape[1]))
        return np.pad(cells, missing, constant_values=fill)

    return Candidates(
        np.concatenate([widen(table.scores, -np.inf) for table in tables]),
        np.concatenate([widen(table.labels, "") for table in tables]),
        np.concatenate([table.probes for table in tables]),
        np.concatenate([table.mated for table in tables]),
    )


def fpir(candidates: Candidates, threshold: float) -> float:
    """Share of the non-mated searches with a candidate at or above t (ISO/IEC 19795-1).

    Raises:
        InputError: no non-mated searches.
    """
    _require(candidates, strangers=True)
    return accepted(candidates.stranger_scores, threshold) / len(candidates.stranger_scores)


def fnir(candidates: Candidates, threshold: float, rank: int = 1) -> float:
    """Share of the mated searches whose mate is not in the top `rank`, or below t.

    1 - FNIR is also known as TPIR and as DIR@FAR (NIST FRTE 1:N, ISO/IEC 19795-1).

    Raises:
        InputError: no mated searches, or a rank below 1.
    """
    _require(candidates, mated=True)
    return _missed(candidates, threshold, rank) / len(candidates.mate_scores)


def _missed(candidates: Candidates, threshold: float, rank: int = 1) -> int:
    if rank < 1:
        raise InputError(f"expected a rank from 1 on, not {rank}")
    mates = candidates.mate_scores
    return len(mates) - accepted(mates[candidates.ranks <= rank], threshold)


def rank_one_rate(candidates: Candidates) -> float:
    """Share of the mated searches in which nobody else scores as high as the mate: CMC(1).

    Raises:
        InputError: no mated searches.
    """
    _require(candidates, mated=True)
    return int((candidates.ranks == 1).sum()) / len(candidates.ranks)


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


def fnir_at_fpir(candidates: Candidates, target: float) -> OpenSetPoint:
    """FNIR at rank 1 where at most `target` of the strangers are taken for someone enrolled.

    The threshold is that of `threshold_at_fmr` on the best score of each non-mated search.

    Raises:
        InputError: no mated or no non-mated searches, or a target that is no rate.
    """
    _require(candidates, mated=True, strangers=True)
    strangers = candidates.stranger_scores
    threshold = threshold_at_fmr(strangers, target)
    missed, mated = _missed(candidates, threshold), len(candidates.mate_scores)
    return OpenSetPoint(
        fnir=missed / mated,
        threshold=threshold,
        fpir=fpir(candidates, threshold),
        target=target,
        missed=missed,
        mated=mated,
        allowed=allowed_errors(target, len(strangers)),
        nonmated=len(strangers),
    )


def _require(candidates: Candidates, *, mated: bool = False, strangers: bool = False) -> None:
    if mated and not candidates.mated.any():
        raise InputError(
            f"expected searches for people who are enrolled, but none of {len(candidates.probes)} "
            "is; enrol some of the people on the probes"
        )
    if strangers and candidates.mated.all():
        raise InputError(
            f"expected searches for strangers, but all {len(candidates.probes)} probes show "
            "people who are enrolled; leave some people out of the gallery"
        )
