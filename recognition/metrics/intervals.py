"""How far the numbers could be off: intervals that resample people, not pairs.

All comparisons of one person rise and fall together, so pairs are not independent and intervals
that treat them so are too narrow. Each resample draws as many people as there are, with
replacement; everything of a person counts as often as the person is drawn, and thresholds are
set anew. The interval holds the middle 95 % of the resamples.

Where every resample agrees, as with no error seen at all, the interval has no width: that is no
certainty, and `wilson` on the number of people says how little it is.

Source: Bolle, Ratha and Pankanti, Computer Vision and Image Understanding 93 (2004), the subsets
bootstrap; Fogliato, Patil and Perona, arXiv:2306.01198.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from recognition.comparisons import Scores
from recognition.embeddings import people_of
from recognition.errors import InputError
from recognition.metrics.identification import Candidates, fnir_at_fpir
from recognition.metrics.resampling import Floats, Resampled, draw
from recognition.metrics.verification import ROUNDING, allowed_errors


class Interval(NamedTuple):
    """Both ends belong to it."""

    low: float
    high: float


@dataclass(frozen=True)
class VerificationIntervals:
    """Intervals of verification rates; None for a TAR at an FMR that cannot be measured.

    `equal_error_rate_resamples` (B,) are the EERs behind their interval. For two models scored on
    the same pictures with the same seed, resample b draws the same people: differences are paired.
    """

    tar: Mapping[float, Interval | None]
    equal_error_rate: Interval
    area_under_curve: Interval
    equal_error_rate_resamples: Floats = field(repr=False, compare=False)


@dataclass(frozen=True)
class IdentificationIntervals:
    """Intervals of identification rates; None for an FNIR at an FPIR that cannot be measured."""

    rank_one_rate: Interval
    fnir: Mapping[float, Interval | None]


def verification_intervals(
    scores: Scores,
    targets: Sequence[float],
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> VerificationIntervals:
    """Intervals of TAR at each target FMR, of the EER and of the AUC.

    A non-mated pair of persons i and j counts w_i w_j times in a resample, a mated pair w_i
    times. TAR and EER are exact in each resample; the AUC takes the order inside one of some 300
    blocks of neighbouring scores from the whole sample.

    Args:
        scores: all comparisons, with the people they are of.
        targets: FMRs; each is met anew in each resample.
        replicates: how many resamples. Those without a mated or a non-mated comparison, which
            only a handful of people can give, are dropped.
        seed: equal seeds give equal intervals.
        level: the share of the resamples inside.

    Raises:
        InputError: options out of range, or too few people for any resample to count.
    """
    _check(replicates, level)
    resampled = Resampled(scores, draw(scores.people, replicates, seed))
    _require(resampled.weights.shape[1], replicates)
    tar: dict[float, Interval | None] = {}
    for target in targets:
        resolved = allowed_errors(target, len(scores.nonmated)) >= 1
        tar[target] = _middle(resampled.tar_at_fmr(target), level) if resolved else None
    rates = resampled.equal_error_rate()
    area = _middle(resampled.area_under_curve(), level)
    return VerificationIntervals(tar, _middle(rates, level), area, rates)


def identification_intervals(
    candidates: Candidates,
    fpir_targets: Sequence[float],
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> IdentificationIntervals:
    """Intervals of the rank-one rate and of FNIR at each target FPIR.

    The people on the probes are resampled, whoever is both enrolled and, in another gallery, a
    stranger with one weight for both; the galleries stay as they are. Exact in each resample;
    those without a mated or a non-mated search are dropped.

    Raises:
        InputError: no mated or no non-mated searches, options out of range, or too few people
            for any resample to count.
    """
    _check(replicates, level)
    resolved = {target: fnir_at_fpir(candidates, target).resolved for target in fpir_targets}
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
    fnir: dict[float, Interval | None] = {}
    for target in fpir_targets:
        thresholds = alarms.first_beyond(target * nonmated * ROUNDING)
        missed = (mated - hits.above(thresholds)) / mated
        fnir[target] = _middle(missed, level) if resolved[target] else None
    rank_one = hits.above(np.full(len(mated), -np.inf)) / mated
    return IdentificationIntervals(_middle(rank_one, level), fnir)


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


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share of independent trials.

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). Comparisons that share people are not
    independent; use it for people, or for one search per person.

    Raises:
        InputError: no trials, successes that are not among them, or a level out of range.

    Source: Wilson, Journal of the American Statistical Association 22 (1927).

    >>> wilson(0, 30)
    Interval(low=0.0, high=0.1135)
    """
    _check(1, level)
    if not 0 <= successes <= trials or not trials:
        raise InputError(f"expected successes among trials, got {successes} of {trials}")
    z2 = float(norm.ppf((1 + level) / 2)) ** 2
    share = successes / trials
    middle = share + z2 / (2 * trials)
    reach = np.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2)))
    scale = 1 + z2 / trials
    # at the ends one bound is 0 or 1 by algebra, and only nearly so by rounding
    low = 0.0 if not successes else float((middle - reach) / scale)
    high = 1.0 if successes == trials else float((middle + reach) / scale)
    return Interval(low, high)


def _middle(replicates: Floats, level: float) -> Interval:
    """The central share of the resamples; ends are values that occurred."""
    outside = (1 - level) / 2
    low = np.quantile(replicates, outside, method="lower")
    high = np.quantile(replicates, 1 - outside, method="higher")
    return Interval(float(low), float(high))


def _check(replicates: int, level: float) -> None:
    if replicates < 1 or not 0 < level < 1:
        raise InputError(
            f"expected at least 1 resample and a level between 0 and 1, got {replicates} and "
            f"{level}; the usual ones are 1000 and 0.95"
        )


def _require(measured: int, replicates: int) -> None:
    if not measured:
        raise InputError(
            f"none of {replicates} resamples had both mated and non-mated comparisons; add "
            "people, or resamples"
        )
