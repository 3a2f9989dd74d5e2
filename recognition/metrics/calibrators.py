"""Scores made into log-likelihood ratios: two maps that are fitted on some people for others.

Both never fall as the score rises, so they change no ranking. Judge them on people that they
were not fitted on: `cross_calibrated` does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from recognition.comparisons.halves import split_scores
from recognition.comparisons.scores import Scores, ScoreTable
from recognition.comparisons.steps import Floats, Steps
from recognition.errors import InputError
from recognition.metrics.calibration import check_prior, pool_adjacent_violators

Bools: TypeAlias = npt.NDArray[np.bool_]
STEPS = 200  # of Newton's; ten are usual
TOLERANCE = 1e-13  # of the loss; below it Newton's last step squares what is left


class Calibrator(Protocol):
    """A fitted map from scores to log-likelihood ratios, in nats."""

    def llr(self, scores: npt.ArrayLike) -> Floats:
        """The log-likelihood ratio of each score, in the shape of `scores`."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """What JSON can keep, for `calibrator_from_dict`."""
        ...


@dataclass(frozen=True)
class LogisticCalibrator:
    """l = slope * score + offset.

    Attributes:
        slope: nats per unit of score, at least 0.
        offset: nats.
        prior: the prior that the fit cared most about.
    """

    slope: float
    offset: float
    prior: float = 0.5

    def __post_init__(self) -> None:
        check_prior(self.prior)
        if not (np.isfinite([self.slope, self.offset]).all() and self.slope >= 0):
            raise InputError(
                f"expected a finite slope of at least 0 and a finite offset, got {self.slope} and "
                f"{self.offset}; fit them with fit_logistic"
            )

    def llr(self, scores: npt.ArrayLike) -> Floats:
        """The log-likelihood ratio of each score, in the shape of `scores`."""
        llrs: Floats = self.slope * _scores(scores) + self.offset
        return llrs

    def as_dict(self) -> dict[str, Any]:
        """What JSON can keep, for `calibrator_from_dict`."""
        return {
            "kind": "logistic",
            "slope": self.slope,
            "offset": self.offset,
            "prior": self.prior,
        }


@dataclass(frozen=True)
class IsotonicCalibrator:
    """l = llrs[k], k the last pool whose lowest score is reached: a staircase.

    Attributes:
        lowest: (K,) the lowest score of each pool, ascending, the first one -inf.
        llrs: (K,) nats, finite, never falling.
    """

    lowest: tuple[float, ...]
    llrs: tuple[float, ...]

    def __post_init__(self) -> None:
        lowest, llrs = np.array(self.lowest), np.array(self.llrs)
        fits = lowest.ndim == 1 and len(lowest) > 0 and lowest.shape == llrs.shape
        if not (
            fits
            and lowest[0] == -np.inf
            and np.isfinite(lowest[1:]).all()
            and np.isfinite(llrs).all()
            and (np.diff(lowest) > 0).all()
            and (np.diff(llrs) >= 0).all()
        ):
            raise InputError(
                "expected the lowest score of each pool, ascending from -inf, and one finite LLR "
                f"for each, never falling; got {lowest.size} and {llrs.size} numbers; fit them "
                "with fit_isotonic"
            )

    def llr(self, scores: npt.ArrayLike) -> Floats:
        """The log-likelihood ratio of each score, in the shape of `scores`."""
        # a float32 score is compared in float64, in which it reaches its own step
        places = np.searchsorted(np.array(self.lowest), _scores(scores), side="right") - 1
        llrs: Floats = np.array(self.llrs)[places]
        return llrs

    def as_dict(self) -> dict[str, Any]:
        """What JSON can keep, for `calibrator_from_dict`; the first step, -inf, is left out."""
        return {"kind": "isotonic", "lowest": list(self.lowest[1:]), "llrs": list(self.llrs)}


def calibrator_from_dict(kept: Mapping[str, Any]) -> LogisticCalibrator | IsotonicCalibrator:
    """The calibrator that `as_dict` was called on.

    Raises:
        InputError: nothing that `as_dict` would give.

    >>> calibrator_from_dict(LogisticCalibrator(20.0, -8.0).as_dict()).llr([0.5])
    array([2.])
    """
    try:
        if kept["kind"] == "logistic":
            return LogisticCalibrator(
                float(kept["slope"]), float(kept["offset"]), float(kept["prior"])
            )
        if kept["kind"] == "isotonic":
            return IsotonicCalibrator(
                (-np.inf, *map(float, kept["lowest"])), tuple(map(float, kept["llrs"]))
            )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"expected what a calibrator's as_dict gives, but {error!r} came up; keep all of it"
        ) from error
    raise InputError(f"unknown kind of calibrator {kept['kind']!r}; known: logistic, isotonic")


def fit_logistic(scores: ScoreTable, *, prior: float = 0.5) -> LogisticCalibrator:
    """Logistic regression of who is who on the score, as if a share `prior` were mated.

    Minimises π mean ln(1 + e^-z) over mated + (1 - π) mean ln(1 + e^z) over non-mated, with
    z = slope * score + offset + logit π, over slope >= 0, by Newton's method. Scores that are no
    higher for mated comparisons than for others carry no evidence: slope and offset are then 0.
    Without a penalty, so stretching or shifting the scores changes no LLR.

    Args:
        scores: every mated and every non-mated score.
        prior: π, strictly between 0 and 1. Away from ½ it fits best where the rarer decision is
            made, e.g. 0.01 for where 99 of 100 comparisons are non-mated.

    Raises:
        InputError: a prior out of range, scores of which some are only counted, or kinds that no
            score has in common: the best slope is then infinite.

    Source: Brümmer and du Preez, Computer Speech and Language 20 (2006); Platt (1999).

    >>> from recognition.comparisons.scores import ScoreLists
    >>> u, v = np.array([0.2, 0.6, 0.7]), np.array([0.1, 0.3, 0.4])
    >>> fit_logistic(ScoreLists(u, v)).slope > 0
    True
    """
    check_prior(prior)
    steps = scores.steps
    if not steps.complete:
        raise InputError(
            f"expected every score, but some of {steps.nonmated} non-mated ones are only counted; "
            "fit on the comparisons of fewer people, or with fit_isotonic"
        )
    values = steps.thresholds[1:]
    true, false = np.diff(steps.true), np.diff(steps.false)
    u, v = true / steps.mated, false / steps.nonmated
    if float((u - v) @ (values - values[-1])) <= 0:
        return LogisticCalibrator(0.0, 0.0, prior)
    if values[true > 0].min() >= values[false > 0].max():
        raise InputError(
            "expected mated and non-mated scores that overlap, but all mated ones are as high as "
            "the others or higher, so that no slope is steep enough; fit on more comparisons, or "
            "with fit_isotonic"
        )
    return _newton(values, prior * u, (1 - prior) * v, prior)


@np.errstate(all="ignore")  # what is lost in rounding is refused at the end
def _newton(values: Floats, u: Floats, v: Floats, prior: float) -> LogisticCalibrator:
    """Minimise Σ u ln(1 + e^-z) + v ln(1 + e^z), which is strictly convex where kinds overlap."""
    count = len(values)  # quartiles, unlike the ends, hardly move with an outlier
    middle, reach = values[count // 2], values[count // 4] - values[3 * count // 4]
    x = (values - middle) / reach  # (T,)
    slope, offset = 0.0, float(logit(prior))
    found = _loss(slope * x + offset, u, v)
    for _ in range(STEPS):
        rise, shift, gain = _step(x, slope * x + offset, u, v)
        if gain <= TOLERANCE * found:
            slope, offset = (slope + rise) / reach, offset + shift - logit(prior)
            if slope <= 0:
                return LogisticCalibrator(0.0, 0.0, prior)  # means differ by rounding alone
            return LogisticCalibrator(float(slope), float(offset - slope * middle), prior)
        for share in 0.5 ** np.arange(100):
            nearer = slope + share * rise, offset + share * shift
            if (loss := _loss(nearer[0] * x + nearer[1], u, v)) < found:
                break
        else:
            break
        (slope, offset), found = nearer, loss
    raise InputError(
        f"expected scores that logistic regression can place, but those from {values[-1]} to "
        f"{values[0]} leave the best slope lost in rounding; look for outliers, or fit with "
        "fit_isotonic"
    )


def _step(x: Floats, z: Floats, u: Floats, v: Floats) -> tuple[float, float, float]:
    """Newton's step in slope and offset, and twice what a parabola would win by it."""
    p, q = expit(z), expit(-z)  # 1 - p would round to 0 long before q does
    pull, weight = u * q - v * p, (u + v) * p * q
    total = weight.sum()
    centre = weight @ x / total  # about it, slope and offset are found apart
    spread = weight @ (x - centre) ** 2
    rise, lift = pull @ (x - centre) / spread, pull.sum() / total
    return rise, lift - centre * rise, rise**2 * spread + lift**2 * total


def _loss(z: Floats, u: Floats, v: Floats) -> float:
    return float((u * np.logaddexp(0, -z) + v * np.logaddexp(0, z)).sum())


def fit_isotonic(scores: ScoreTable) -> IsotonicCalibrator:
    """The best non-decreasing map to LLRs, by pooling adjacent violators, kept finite.

    To the scores one mated and one non-mated comparison are added both below the lowest and above
    the highest: Laplace's rule of succession at either end. Without them the ends would be
    certain, and one mated comparison of new people below all others would cost infinitely much.
    A score between two pools has the LLR of the lower one. Tied scores are pooled first. On the
    fitted scores its Cllr is at least minCllr, and comes close to it with many comparisons.

    Where the steps are not complete, scores between two thresholds share a pool.

    Source: Zadrozny and Elkan, KDD 2002; Brümmer and du Preez (2006).

    >>> from recognition.comparisons.scores import ScoreLists
    >>> fit_isotonic(ScoreLists(np.array([0.5, 0.9]), np.array([0.1, 0.6]))).llr([0.0, 0.7, 1.0])
    array([-0.6931, 0. , 0.6931])
    """
    steps = scores.steps
    ends = [np.inf, *steps.thresholds, -np.inf]
    padded = Steps(np.array(ends), _padded(steps.false), _padded(steps.true))
    pools = pool_adjacent_violators(padded)
    return IsotonicCalibrator(tuple(map(float, pools.lowest)), tuple(map(float, pools.llrs)))


def _padded(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """One more at the highest threshold, and one more that only the lowest accepts."""
    return np.concatenate([[0], counts + 1, [counts[-1] + 2]])


class CrossCalibrated(NamedTuple):
    """LLRs of comparisons within two halves of the people, each fitted on the other half."""

    llrs: Scores  # nats in place of scores, in the order they came; who was compared is kept
    left_out: int  # non-mated comparisons between the halves, which nobody can judge
    calibrators: tuple[Calibrator, Calibrator]  # of which the first judges the first half
    halves: npt.NDArray[np.int64]  # (people,) 0 or 1


def cross_calibrated(
    scores: Scores,
    *,
    seed: int = 0,
    fit: Callable[[ScoreTable], Calibrator] = fit_logistic,
) -> CrossCalibrated:
    """Scores as LLRs that are judged fairly: whoever is compared was not fitted on.

    People are split into two halves at random, those with mated comparisons evenly. A map is
    fitted on the comparisons within one half and applied to those within the other, both ways.
    All mated comparisons are judged, and about half of the non-mated ones; those between the
    halves are left out. More parts than two would leave out more of them.

    Args:
        scores: all comparisons, with the people they are of.
        seed: equal seeds give equal halves.
        fit: `fit_logistic`, `fit_isotonic`, or either with options.

    Raises:
        InputError: fewer than 2 people in a half, a half without comparisons of both kinds, or
            what `fit` refuses.
    """
    halves = split_scores(scores, seed=seed)
    one, two = halves.parts
    fitted = fit(two), fit(one)
    mated, nonmated = np.empty(len(halves.mated)), np.empty(len(halves.nonmated))
    for half, (part, calibrator) in enumerate(zip(halves.parts, fitted, strict=True)):
        mated[halves.mated == half] = calibrator.llr(part.mated)
        nonmated[halves.nonmated == half] = calibrator.llr(part.nonmated)
    llrs = halves.judged(scores, mated, nonmated)
    return CrossCalibrated(llrs, len(nonmated) - len(llrs.nonmated), fitted, halves.of_person)


def _scores(values: npt.ArrayLike) -> Floats:
    scores = np.asarray(values, np.float64)
    if np.isnan(scores).any():
        raise InputError(
            "expected scores without NaN; count pictures that could not be embedded as failures"
        )
    return scores
