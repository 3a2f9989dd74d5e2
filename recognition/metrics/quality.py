"""Is quality worth anything? Errors as the comparisons of lowest quality are discarded.

A comparison is as good as the worse of its two pictures. The threshold is fixed once, on all
comparisons, and the false non-match rate is measured again on those that are left:

    FNMR(d) = #{u < t, q >= q_d} / #{q >= q_d},   q_d the highest quality with #{q < q_d} / P <= d

Conventions:

* d counts mated comparisons. Comparisons of equal quality are discarded together: where that would
  be more than d allows, none of them is. The curve is a staircase that never looks ahead.
* The false match rate beside it is that of the non-mated comparisons with q >= q_d at the same
  threshold; how many they are is another share than d.
* The ideal order discards every missed comparison before any other, (E - k) / (P - k) after k of
  P with E missed; no quality of pictures need be able to reach it. A random order changes nothing
  on average: E / P.

Sources: Grother and Tabassi, Performance of Biometric Quality Measures, IEEE TPAMI 29 (2007);
ISO/IEC 29794-1:2024, which calls it the error versus discard characteristic (EDC).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import Scores
from recognition.comparisons.steps import Counts, Floats, Similarities
from recognition.errors import InputError
from recognition.metrics.mean_resamples import resampled_totals
from recognition.metrics.resampling import draw
from recognition.metrics.verification import ROUNDING
from recognition.progress import Advance

PARTIAL = 0.2  # up to which discarding is of any use in practice
TAIL = 4  # times the allowed false matches are looked through first


@dataclass(frozen=True)
class ErrorDiscard:
    """What is left, and what goes wrong in it, at every quality that makes a difference.

    Attributes:
        qualities: (L,) ascending; whatever is below is discarded.
        mated: (L,) mated comparisons left; all of them at first.
        missed: (L,) those of them below the threshold.
        nonmated: (L,) non-mated comparisons left.
        matched: (L,) those of them at or above the threshold.
    """

    qualities: Floats
    mated: Floats
    missed: Floats
    nonmated: Floats
    matched: Floats

    @property
    def discarded(self) -> Floats:
        """(L,) the share of the mated comparisons that is discarded, ascending from 0."""
        gone: Floats = 1 - self.mated / self.mated[0]
        return gone

    @property
    def fnmr(self) -> Floats:
        """(L,) of the mated comparisons that are left."""
        rate: Floats = self.missed / self.mated
        return rate

    @property
    def fmr(self) -> Floats:
        """(L,) of the non-mated comparisons that are left, NaN where none is."""
        with np.errstate(invalid="ignore"):
            rate: Floats = self.matched / self.nonmated
        return rate

    def places(self, shares: npt.ArrayLike) -> Counts:
        """Where at most these shares of the mated comparisons are discarded.

        Raises:
            InputError: a share that is not from 0 to below 1.
        """
        asked = np.asarray(shares, np.float64)
        if asked.size and not (asked.min() >= 0 and asked.max() < 1):
            raise InputError(
                f"expected shares to discard from 0 to below 1, not {asked.tolist()}; 0.1 is usual"
            )
        kept = np.searchsorted(-self.mated, -(1 - asked) * self.mated[0] * (2 - ROUNDING), "right")
        places: Counts = kept - 1
        return places


def error_versus_discard(
    scores: Scores, mated_quality: Floats, nonmated_quality: Floats, threshold: float
) -> ErrorDiscard:
    """Errors of what is left as comparisons of low quality are discarded, each tie at once.

    Args:
        scores: all comparisons.
        mated_quality: (P,) of each mated comparison, higher is better.
        nonmated_quality: (N,) of each non-mated one.
        threshold: accept at score >= threshold, set on all comparisons.

    Raises:
        InputError: qualities that are not finite, or not one for each comparison.

    >>> from recognition.comparisons import compare_all
    >>> scores = compare_all([[1, 0], [1, 1], [1, 0], [0, 1]], ["ann", "ann", "ann", "bob"])
    >>> scores.mated
    array([0.7071, 1.    , 0.7071], dtype=float32)
    >>> error_versus_discard(scores, np.array([1.0, 2, 1]), np.array([1.0, 1, 2]), 0.9).fnmr
    array([0.667, 0.   ])
    """
    qualities = tuple(np.asarray(each, np.float64) for each in (mated_quality, nonmated_quality))
    kinds = scores.mated, scores.nonmated
    for one, kind in zip(qualities, kinds, strict=True):
        if one.shape != kind.shape or not np.isfinite(one).all():
            raise InputError(
                f"expected one finite quality for each of {len(kind)} comparisons, got shape "
                f"{one.shape}; leave out pictures whose quality is not known"
            )
    missed = scores.mated < np.float64(threshold)
    ones = np.ones(len(missed))
    levels, mated, of_missed = _left(qualities[0], ones, missed)
    matched = np.sort(qualities[1][scores.nonmated >= np.float64(threshold)])
    nonmated = np.sort(qualities[1])
    left = (len(each) - np.searchsorted(each, levels) for each in (nonmated, matched))
    return ErrorDiscard(levels, mated, of_missed, *(each.astype(np.float64) for each in left))


def _left(
    quality: Floats, weights: Floats, missed: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """Distinct qualities, and the weight of all and of the missed from each of them on."""
    order = np.argsort(quality, kind="stable")
    return _left_sorted(quality[order], weights[order], missed[order])


def _left_sorted(
    quality: Floats, weights: Floats, missed: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    first = np.flatnonzero(np.append(True, quality[1:] != quality[:-1]))
    whole, wrong = (
        np.cumsum(each[::-1])[::-1][first] for each in (weights, np.where(missed, weights, 0))
    )
    some = whole > 0
    return quality[first][some], whole[some], wrong[some]


def mean_fnmr(curve: ErrorDiscard, up_to: float = PARTIAL) -> float:
    """∫ FNMR(d) d d / D from 0 to D: the area under the curve, as a rate.

    Raises:
        InputError: D that is not above 0 and at most 1.
    """
    return _mean_of_steps(curve.discarded, curve.fnmr, up_to)


def ideal_mean(missed: float, mated: float, up_to: float = PARTIAL) -> float:
    """The same of the ideal order; it is at most that of any other.

    Raises:
        InputError: D that is not above 0 and at most 1.

    >>> ideal_mean(1, 10, 0.2)  # 1 of 10 for the first tenth, then none
    0.05
    """
    gone = np.arange(np.ceil(missed) + 1).clip(max=missed)
    rates = (missed - gone) / np.maximum(mated - gone, 1)
    return _mean_of_steps(gone / mated, rates, up_to)


def ideal_fnmr(missed: float, mated: float, shares: Floats) -> Floats:
    """(K,) FNMR of the ideal order after these shares are discarded."""
    gone = np.minimum(np.floor(shares * mated * ROUNDING), missed)
    rates: Floats = (missed - gone) / (mated - gone).clip(min=1)
    return rates


def _mean_of_steps(places: Floats, heights: Floats, up_to: float) -> float:
    if not 0 < up_to <= 1:
        raise InputError(f"expected an end above 0 and at most 1, not {up_to!r}; 0.2 is usual")
    ends = np.append(places[1:], 1.0).clip(max=up_to)
    widths = (ends - places).clip(min=0)
    return float(heights @ widths / up_to)


def possible_gain(curve: ErrorDiscard) -> float:
    """(random - found) / (random - ideal) of the mean FNMR up to PARTIAL: 1 is ideal, 0 chance.

    Below 0 the quality is worse than none. NaN where no comparison is missed, or all are.
    """
    chance = float(curve.fnmr[0])
    best = ideal_mean(float(curve.missed[0]), float(curve.mated[0]), PARTIAL)
    if not chance - best > 0:
        return np.nan
    return (chance - mean_fnmr(curve, PARTIAL)) / (chance - best)


class DiscardResamples(NamedTuple):
    """What resamples of the people give, each with its own threshold."""

    fnmr: Floats  # (B, K) at each share
    partial: Floats  # (B,) mean FNMR up to PARTIAL
    whole: Floats  # (B,) mean FNMR
    gain: Floats  # (B,) NaN where nothing is missed


def discard_resamples(
    scores: Scores,
    mated_quality: Floats,
    target: float,
    shares: npt.ArrayLike,
    *,
    replicates: int = 1000,
    seed: int = 0,
    progress: Advance | None = None,
) -> DiscardResamples:
    """The curve in resamples of the people: thresholds and the discarded are set anew in each.

    Raises:
        InputError: shares or a target that are none, or no resample with both kinds.
    """
    weights = draw(scores.people, replicates, seed)
    totals = resampled_totals(scores, weights)
    weights, nonmated = weights[:, totals.measured], totals.nonmated[totals.measured]
    limits = _limits(scores, target * nonmated * ROUNDING, weights)
    order = np.argsort(mated_quality, kind="stable")
    quality, values = mated_quality[order], scores.mated[order]
    person = scores.mated_person[order]
    found = []
    for b, limit in enumerate(limits):
        parts = _left_sorted(quality, weights[person, b], values <= limit)
        curve = ErrorDiscard(*parts, parts[1], parts[1])
        means = mean_fnmr(curve), mean_fnmr(curve, 1.0), possible_gain(curve)
        found.append([*curve.fnmr[curve.places(shares)], *means])
        if progress is not None:
            progress(b + 1)
    columns = np.array(found)
    return DiscardResamples(columns[:, :-3], *columns[:, -3:].T)


def _limits(scores: Scores, allowed: Floats, weights: Floats) -> Similarities:
    """(B,) the highest non-mated score that each resample rejects; -inf where it rejects none."""
    total = len(scores.nonmated)
    length = min(total, TAIL * int(allowed.max() + 1))
    while True:
        limits = _limits_within(scores, length, allowed, weights)
        if length == total or not (limits == -np.inf).any():
            return limits
        length = min(total, TAIL * length)


def _limits_within(scores: Scores, length: int, allowed: Floats, weights: Floats) -> Similarities:
    """As far as the so many highest scores say."""
    highest = np.argpartition(-scores.nonmated, length - 1)[:length]
    highest = highest[np.argsort(-scores.nonmated[highest], kind="stable")]
    one, two = scores.nonmated_persons[highest].T
    values = np.append(scores.nonmated[highest].astype(np.float64), -np.inf)
    places = [
        np.searchsorted(np.cumsum(weights[one, b] * weights[two, b]), limit, side="right")
        for b, limit in enumerate(allowed)
    ]
    found: Floats = values[places]
    return found
