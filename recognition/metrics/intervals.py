"""How far the numbers could be off, by the method that the simulation of coverage keeps for each.

All comparisons of one person rise and fall together, so pairs are not independent and intervals
that treat them so are too narrow. There are two ways out, and both go by people:

* `CLUSTERED_WILSON` sums variances by person (`clustered`): for shares, TAR at a target FMR, the
  EER and the AUC. With 200 people it covers about as often as it says, with 40 or a few people
  who make most false matches less often, and it stays wide where no error was seen.
* `PERSON_BOOTSTRAP` draws as many people as there are, with replacement; everything of a person
  counts as often as the person is drawn, thresholds are set anew, and the interval holds the
  middle 95 % of the resamples: for what has no such formula. Where every resample agrees it has no
  width, which is no certainty, and with few errors it covers less often than it says.

Source: Fogliato, Patil and Perona, arXiv:2306.01198; Bolle, Ratha and Pankanti, Computer Vision
and Image Understanding 93 (2004), the subsets bootstrap; tests/benchmarks/coverage.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import Scores
from recognition.embeddings import people_of
from recognition.errors import InputError
from recognition.metrics.clustered import Clusters, PersonTally
from recognition.metrics.identification import fnir_at_fpir
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.proportions import Interval, check_level, wilson
from recognition.metrics.resampling import Floats, Resampled, draw
from recognition.metrics.searches import Searches
from recognition.metrics.verification import ROUNDING, equal_error_rate

__all__ = [
    "CLUSTERED_WILSON",
    "PERSON_BOOTSTRAP",
    "IdentificationIntervals",
    "Interval",
    "TallyIntervals",
    "VerificationIntervals",
    "identification_intervals",
    "mean_interval",
    "tally_intervals",
    "verification_intervals",
    "wilson",
]

CLUSTERED_WILSON = "person-clustered Wilson"
PERSON_BOOTSTRAP = "person bootstrap"


@dataclass(frozen=True)
class VerificationIntervals:
    """Intervals of verification rates; None for a TAR at an FMR that cannot be measured.

    `methods` names how each was made, under "tar", "eer" and "auc".
    `equal_error_rate_resamples` (B,) are EERs of resampled people. For two models scored on
    the same pictures with the same seed, resample b draws the same people: differences are paired.
    """

    tar: Mapping[float, Interval | None]
    equal_error_rate: Interval
    area_under_curve: Interval
    methods: Mapping[str, str]
    equal_error_rate_resamples: Floats = field(repr=False, compare=False)


class TallyIntervals(NamedTuple):
    """Intervals from the tail of a large table; None where the tail does not reach."""

    tar: Mapping[float, Interval | None]
    equal_error_rate: Interval | None
    methods: Mapping[str, str]


@dataclass(frozen=True)
class IdentificationIntervals:
    """Intervals of identification rates; None for an FNIR at an FPIR that cannot be measured.

    `methods` names how each was made, under "rank-one" and "fnir".
    """

    rank_one_rate: Interval
    fnir: Mapping[float, Interval | None]
    methods: Mapping[str, str]


def verification_intervals(
    scores: Scores,
    targets: Sequence[float],
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> VerificationIntervals:
    """Intervals of TAR at each target FMR, of the EER and of the AUC.

    All are person-clustered Wilson intervals, in which the error of the threshold counts too. Each
    resample for differences of EERs counts a non-mated pair of persons i and j w_i w_j times, a
    mated pair w_i times.

    Args:
        scores: all comparisons, with the people they are of.
        targets: FMRs, at most which false matches are allowed.
        replicates: how many resamples. Those without a mated or a non-mated comparison, which
            only a handful of people can give, are dropped.
        seed: equal seeds give equal resamples.
        level: how often such intervals hold the true rate.

    Raises:
        InputError: options out of range, or too few people for any resample to count.
    """
    _check(replicates, level)
    resampled = Resampled(scores, draw(scores.people, replicates, seed))
    _require(resampled.weights.shape[1], replicates)
    clusters = Clusters.of(scores)
    tar = {target: clusters.tar(target, level=level) for target in targets}
    equal, area = clusters.eer(level=level), clusters.auc(level=level)
    methods = dict.fromkeys(("tar", "eer", "auc"), CLUSTERED_WILSON)
    return VerificationIntervals(tar, equal, area, methods, resampled.equal_error_rate())


def tally_intervals(
    tally: PersonTally, targets: Sequence[float], *, level: float = 0.95
) -> TallyIntervals:
    """Intervals of TAR at each target FMR and of the EER, from the tail of a large table.

    The same as `verification_intervals` gives where the tail holds twice the false matches that
    a target allows; the ROC's slope is else taken over what it does hold.

    Raises:
        InputError: a level out of range, or people that do not fit the scores.
    """
    clusters = Clusters.of_tail(tally)
    tar = {target: clusters.tar(target, level=level) for target in targets}
    reached = clusters.knows(equal_error_rate(tally).threshold)
    equal = clusters.eer(level=level) if reached else None
    return TallyIntervals(tar, equal, {"tar": CLUSTERED_WILSON, "eer": CLUSTERED_WILSON})


def identification_intervals(
    candidates: Searches,
    fpir_targets: Sequence[float],
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> IdentificationIntervals:
    """Intervals of the rank-one rate and of FNIR at each target FPIR.

    The rank-one rate has a person-clustered Wilson interval. For FNIR the people on the probes
    are resampled, whoever is both enrolled and, in another gallery, a stranger with one weight
    for both; the galleries stay as they are. Exact in each resample; those without a mated or a
    non-mated search are dropped.

    Raises:
        InputError: no mated or no non-mated searches, options out of range, or too few people
            for any resample to count.
    """
    _check(replicates, level)
    resolved = {target: fnir_at_fpir(candidates, target).resolved for target in fpir_targets}
    again = identification_resamples(candidates, fpir_targets, replicates=replicates, seed=seed)
    fnir = {
        target: _middle(missed, level) if resolved[target] else None
        for target, missed in again.fnir.items()
    }
    first = candidates.ranks == 1
    own = people_of(candidates.probes).codes[candidates.mated]
    methods = {"rank-one": CLUSTERED_WILSON, "fnir": PERSON_BOOTSTRAP}
    return IdentificationIntervals(share_interval(first, own, level=level), fnir, methods)


class IdentificationResamples(NamedTuple):
    """What each resample of the people on the probes gives."""

    rank_one: Floats  # (B,)
    fnir: dict[float, Floats]  # (B,) at each target FPIR


def identification_resamples(
    candidates: Searches, fpir_targets: Sequence[float], *, replicates: int = 1000, seed: int = 0
) -> IdentificationResamples:
    """The rank-one rate and FNIR at each target FPIR in resamples of the people on the probes.

    Searches for the same probes are resampled alike by equal seeds, so their differences are
    paired.

    Raises:
        InputError: see `identification_intervals`.
    """
    _check(replicates, 0.95)
    people = people_of(candidates.probes)
    weights = draw(len(people.names), replicates, seed)
    own, strange = people.codes[candidates.mated], people.codes[~candidates.mated]
    totals = [np.bincount(codes, minlength=len(weights)) @ weights for codes in (own, strange)]
    measured = (totals[0] > 0) & (totals[1] > 0)
    _require(int(measured.sum()), replicates)
    weights = weights[:, measured]
    mated, nonmated = (total[measured] for total in totals)
    first = candidates.ranks == 1
    hits = _Tail(candidates.mate_scores[first], own[first], weights)
    alarms = _Tail(candidates.stranger_scores, strange, weights)
    fnir: dict[float, Floats] = {}
    for target in fpir_targets:
        thresholds = alarms.first_beyond(target * nonmated * ROUNDING)
        fnir[target] = (mated - hits.above(thresholds)) / mated
    found = np.bincount(own[first], minlength=len(weights)) @ weights
    return IdentificationResamples(found / mated, fnir)


class _Tail:
    """Weights of descending scores, summed from the top, in each of B resamples."""

    def __init__(
        self, scores: npt.NDArray[np.floating], codes: npt.NDArray[np.int64], weights: Floats
    ) -> None:
        order = np.argsort(-scores)
        self.scores = scores[order].astype(np.float64)
        self.codes = codes[order]
        self.weights = weights

    def _sums(self, replicate: int) -> Floats:
        return np.append(0, np.cumsum(self.weights[self.codes, replicate]))

    def first_beyond(self, allowed: Floats) -> Floats:
        """(B,) the highest score at which more than `allowed` is accepted; -inf if none is."""
        ends = np.append(self.scores, -np.inf)
        return ends[
            [
                np.searchsorted(self._sums(b)[1:], limit, side="right")
                for b, limit in enumerate(allowed)
            ]
        ]

    def above(self, limits: Floats) -> Floats:
        """(B,) the weight of what scores above each resample's own limit."""
        counts = np.searchsorted(-self.scores, -limits, side="left")
        return np.array([self._sums(b)[count] for b, count in enumerate(counts)])


def mean_interval(
    values: npt.ArrayLike,
    persons: npt.ArrayLike,
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Interval of the mean of `values` (N,), one per picture of `persons` (N,).

    Raises:
        InputError: values that are not finite numbers, one per person named; options out of range.

    >>> mean_interval([1.0, 1.0, 1.0], ["ann", "ann", "bob"])
    Interval(low=1.0, high=1.0)
    """
    _check(replicates, level)
    numbers = np.asarray(values, np.float64)
    people = people_of(persons, what="persons")
    if numbers.shape != people.codes.shape or not len(numbers) or not np.isfinite(numbers).all():
        raise InputError(
            f"expected one finite number for each of {len(people.codes)} labels, got shape "
            f"{numbers.shape}; leave out what was not measured"
        )
    weights = draw(len(people.names), replicates, seed)
    sums = np.bincount(people.codes, numbers) @ weights
    return _middle(sums / (people.pictures @ weights), level)


def _middle(replicates: Floats, level: float) -> Interval:
    """The central share of the resamples; ends are values that occurred."""
    outside = (1 - level) / 2
    low = np.quantile(replicates, outside, method="lower")
    high = np.quantile(replicates, 1 - outside, method="higher")
    return Interval(float(low), float(high))


def _check(replicates: int, level: float) -> None:
    check_level(level)
    if replicates < 1:
        raise InputError(
            f"expected at least 1 resample, got {replicates}; the usual number is 1000"
        )


def _require(measured: int, replicates: int) -> None:
    if not measured:
        raise InputError(
            f"none of {replicates} resamples had both mated and non-mated comparisons; add "
            "people, or resamples"
        )
