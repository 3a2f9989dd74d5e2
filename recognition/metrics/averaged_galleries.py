"""Identification in several galleries, each searched apart at a threshold of its own, averaged.

IJB enrols half of its subjects in each of two galleries and searches both for all probes. A probe
whose subject is in the other gallery is a stranger to this one. FNIR and CMC are the means of what
each gallery gives: FNIR(FPIR) = (1 / G) Σ_g FNIR_g(T_g), T_g the smallest threshold that keeps to
the FPIR in gallery g. (`pool` counts all searches together, at one threshold.)

Source: Maze et al., IARPA Janus Benchmark-C, ICB 2018, section 4; ISO/IEC 19795-1.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Floats, Similarities
from recognition.embeddings import people_of
from recognition.errors import InputError
from recognition.metrics.identification import OpenSetPoint, cmc, fnir_at_fpir
from recognition.metrics.proportions import Interval, check_level
from recognition.metrics.resampling import draw
from recognition.metrics.searches import Searches
from recognition.metrics.verification import ROUNDING

CELLS = 2**21  # weights summed at a time

Codes = npt.NDArray[np.int64]


class AveragedPoint(NamedTuple):
    """FNIR at a target FPIR in each gallery, and their mean."""

    fnir: float
    target: float
    points: tuple[OpenSetPoint, ...]

    @property
    def resolved(self) -> bool:
        """At least one false alarm is allowed in every gallery."""
        return all(point.resolved for point in self.points)

    @property
    def reliable(self) -> bool:
        """At least 30 false alarms are allowed in every gallery (Doddington's rule of 30)."""
        return all(point.reliable for point in self.points)

    @property
    def reason(self) -> str | None:
        """Why the point is not resolved or not reliable, by the gallery that is worst."""
        worst = min(self.points, key=lambda point: point.allowed)
        return worst.reason


def averaged_fnir(tables: Sequence[Searches], target: float, rank: int = 1) -> AveragedPoint:
    """The mean of FNIR(N, R, T) over galleries, each at its own threshold for the target FPIR.

    Raises:
        InputError: no gallery; in one of them, no mated or no non-mated searches; a target that
            is no rate, a rank below 1.
    """
    _require(tables)
    points = tuple(fnir_at_fpir(table, target, rank) for table in tables)
    return AveragedPoint(sum(point.fnir for point in points) / len(points), target, points)


def averaged_rate(tables: Sequence[Searches], rank: int) -> float:
    """The mean over galleries of CMC(rank): the share of mates among the first `rank`.

    Raises:
        InputError: no gallery, no mated searches in one, a rank below 1.
    """
    _require(tables)
    return sum(float(cmc(table, [rank]).rate[0]) for table in tables) / len(tables)


class AveragedIntervals(NamedTuple):
    """Person bootstrap of averaged rates; None where an FPIR cannot be measured."""

    rates: dict[int, Interval]
    fnir: dict[float, Interval | None]


def averaged_intervals(
    tables: Sequence[Searches],
    ranks: Sequence[int],
    targets: Sequence[float],
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> AveragedIntervals:
    """Intervals of `averaged_rate` at each rank and of `averaged_fnir` at each target.

    The people on the probes are resampled, the same in all galleries: whoever is a mate in one
    and a stranger to another has one weight for both. Thresholds are set anew in every resample,
    galleries stay as they are. Resamples in which a gallery has no mated or no non-mated search
    are dropped.

    Raises:
        InputError: as for the rates; options out of range, or too few people for any resample.
    """
    _require(tables)
    check_level(level)
    if replicates < 1:
        raise InputError(
            f"expected at least 1 resample, got {replicates}; the usual number is 1000"
        )
    people = people_of(np.concatenate([table.probes for table in tables]))
    weights = draw(len(people.names), replicates, seed)
    split = np.cumsum([len(table.probes) for table in tables])[:-1]
    resampled = [
        _Resampled(table, codes, weights)
        for table, codes in zip(tables, np.split(people.codes, split), strict=True)
    ]
    resolved = {target: averaged_fnir(tables, target).resolved for target in targets}
    measured = np.all([(one.mated > 0) & (one.nonmated > 0) for one in resampled], axis=0)
    if not measured.any():
        raise InputError(
            f"none of {replicates} resamples had both mated and non-mated searches in every "
            "gallery; add people, or resamples"
        )

    def middle(each: Sequence[Floats]) -> Interval:
        means = np.mean(each, axis=0)[measured]
        outside = (1 - level) / 2
        low = np.quantile(means, outside, method="lower")
        high = np.quantile(means, 1 - outside, method="higher")
        return Interval(float(low), float(high))

    return AveragedIntervals(
        {rank: middle([one.rate(rank) for one in resampled]) for rank in ranks},
        {
            target: middle([one.fnir(target) for one in resampled]) if resolved[target] else None
            for target in targets
        },
    )


class _Resampled:
    """One gallery's searches, weighted by people: weights are (C, B)."""

    def __init__(self, table: Searches, codes: Codes, weights: Floats) -> None:
        self.weights = weights
        self.ranks = table.ranks
        self.own, self.strange = codes[table.mated], codes[~table.mated]
        self.mated, self.nonmated = (self._total(of) for of in (self.own, self.strange))
        self.alarms = _Descending(table.stranger_scores, self.strange)
        first = table.ranks == 1
        self.hits = _Descending(table.mate_scores[first], self.own[first])

    def _total(self, codes: Codes) -> Floats:
        total: Floats = np.bincount(codes, minlength=len(self.weights)) @ self.weights
        return total

    def rate(self, rank: int) -> Floats:
        """(B,) CMC(rank)."""
        with np.errstate(invalid="ignore"):
            return self._total(self.own[self.ranks <= rank]) / self.mated

    def fnir(self, target: float) -> Floats:
        """(B,) FNIR at rank 1, at the threshold that the resample sets."""
        limits = self.alarms.first_beyond(self.weights, target * self.nonmated * ROUNDING)
        with np.errstate(invalid="ignore"):
            missed: Floats = 1 - self.hits.above(self.weights, limits) / self.mated
        return missed


class _Descending:
    """Scores from the highest on, and who they are of."""

    def __init__(self, scores: Similarities, codes: Codes) -> None:
        order = np.argsort(-scores, kind="stable")
        self.scores = scores[order].astype(np.float64)
        self.codes = codes[order]

    def first_beyond(self, weights: Floats, allowed: Floats) -> Floats:
        """(B,) the highest score at which more than `allowed` is accepted; -inf if none is."""
        found = np.full(weights.shape[1], -np.inf)
        so_far, open_ = np.zeros(len(found)), np.arange(len(found))
        for part in self._parts(weights, 0, len(self.codes)):
            sums = so_far + np.cumsum(weights[self.codes[part]][:, open_], axis=0)
            beyond = sums[-1] > allowed[open_]
            places = np.count_nonzero(sums[:, beyond] <= allowed[open_[beyond]], axis=0)
            found[open_[beyond]] = self.scores[part][places]
            so_far, open_ = sums[-1][~beyond], open_[~beyond]
            if not len(open_):
                break
        return found

    def above(self, weights: Floats, limits: Floats) -> Floats:
        """(B,) the weight of what scores above each resample's own limit."""
        counts = np.searchsorted(-self.scores, -limits, side="left")
        least, most = int(counts.min()), int(counts.max())
        total: Floats = np.bincount(self.codes[:least], minlength=len(weights)) @ weights
        for part in self._parts(weights, least, most):
            inside = np.arange(part.start, part.stop)[:, None] < counts
            total += np.where(inside, weights[self.codes[part]], 0).sum(axis=0)
        return total

    def _parts(self, weights: Floats, start: int, stop: int) -> list[slice]:
        step = max(1, CELLS // weights.shape[1])
        return [slice(at, min(at + step, stop)) for at in range(start, stop, step)]


def _require(tables: Sequence[Searches]) -> None:
    if not tables:
        raise InputError("expected the searches of at least one gallery to average, got none")
