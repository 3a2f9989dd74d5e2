"""What errors cost: detection costs at a prior, and the costs of a threshold chosen elsewhere.

Of thresholds that cost the same to 12 digits, the one with the smaller FMR + FNMR is chosen, and
of those the highest.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import ScoreTable
from recognition.comparisons.steps import Floats, Stepped, Steps
from recognition.errors import InputError
from recognition.metrics.hull import convex_hull
from recognition.metrics.verification import ROUNDING, fmr, fnmr

LARGEST = 1e100  # a ratio of costs; far beyond it products leave the range of float64


@dataclass(frozen=True)
class Costs:
    """How likely a comparison is mated, and what each kind of error costs.

    Attributes:
        prior: π, the probability that a comparison is mated, strictly between 0 and 1.
        miss: C_miss > 0, the cost of rejecting a mated comparison.
        false_alarm: C_fa > 0, the cost of accepting a non-mated one.

    Raises:
        InputError: a prior or a cost outside of these.
    """

    prior: float
    miss: float = 1.0
    false_alarm: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.prior < 1:
            raise InputError(
                f"expected a prior strictly between 0 and 1, not {self.prior!r}; it is the share "
                "of mated comparisons where the system will work, e.g. 0.01"
            )
        for kind, cost in (("miss", self.miss), ("false alarm", self.false_alarm)):
            if not 0 < cost < np.inf:
                raise InputError(
                    f"expected a positive, finite cost of a {kind}, not {cost!r}; costs count "
                    "only relative to each other, so 1 will do for one of them"
                )
        small, large = sorted(self._paid)
        if not 0 < small <= large < small * LARGEST:
            raise InputError(
                f"expected costs that can be compared, but π·C_miss and (1−π)·C_fa are {small:g} "
                f"and {large:g}; keep their ratio below {LARGEST:g}"
            )

    @property
    def _paid(self) -> tuple[float, float]:
        return self.prior * self.miss, (1 - self.prior) * self.false_alarm

    @property
    def weights(self) -> tuple[float, float]:
        """What FNMR and FMR are multiplied by in the normalised cost; the smaller one is 1."""
        miss, false_alarm = self._paid
        unit = min(miss, false_alarm)
        return miss / unit, false_alarm / unit

    @property
    def threshold(self) -> float:
        """Bayes: accept at log-likelihood ratio >= log((1−π)·C_fa / (π·C_miss)), natural log."""
        miss, false_alarm = self._paid
        return math.log(false_alarm / miss)

    def expected(self, fmr: float, fnmr: float) -> float:
        """DCF = (π·C_miss·FNMR + (1−π)·C_fa·FMR) / min(π·C_miss, (1−π)·C_fa).

        1 is what the better of accepting nobody and accepting everybody costs.
        """
        miss, false_alarm = self.weights
        return miss * fnmr + false_alarm * fmr


class DetectionCost(NamedTuple):
    """A normalised cost, and the threshold and error rates at which it is paid."""

    cost: float
    threshold: float
    fmr: float
    fnmr: float


def min_dcf(scores: Stepped, costs: Costs) -> DetectionCost:
    """The least cost, minDCF = min over t of DCF(t), at most 1.

    The threshold is the lowest score that is accepted, or just above all scores; between those
    that cost the same the module's rule decides. Where the steps of the scores are not complete,
    it is the minimum over the known thresholds: the true one is at most that.

    Source: Doddington et al., The NIST speaker recognition evaluation, Speech Communication 31
    (2000); normalised as in the evaluation plans since 2008.

    >>> from recognition.comparisons.scores import ScoreLists
    >>> scores = ScoreLists(np.array([0.3, 0.9]), np.array([0.1, 0.5]))
    >>> min_dcf(scores, Costs(prior=0.01)).cost
    0.5
    """
    steps = scores.steps
    at = cheapest(steps, *costs.weights)
    rates = float(steps.fmr[at]), float(steps.fnmr[at])
    return DetectionCost(costs.expected(*rates), float(steps.thresholds[at]), *rates)


def act_dcf(llr_scores: ScoreTable, costs: Costs) -> DetectionCost:
    """The actual cost, actDCF = DCF(log((1−π)·C_fa / (π·C_miss))), at least minDCF.

    Args:
        llr_scores: natural-log likelihood ratios, as a calibration makes them. Similarities are
            none; nothing here can tell the two apart.
        costs: what is paid.

    Source: Brümmer and du Preez, Application-independent evaluation of speaker detection,
    Computer Speech & Language 20 (2006).
    """
    rates = fmr(llr_scores, costs.threshold), fnmr(llr_scores, costs.threshold)
    return DetectionCost(costs.expected(*rates), costs.threshold, *rates)


def cheapest(steps: Steps, miss: float, false_alarm: float) -> int:
    """The step with the least miss·FNMR + false_alarm·FMR, by the module's rule for equal ones."""
    misses, false_alarms = steps.fnmr, steps.fmr
    cost = miss * misses + false_alarm * false_alarms
    equal = np.flatnonzero(cost <= cost.min() * ROUNDING)
    errors = (misses + false_alarms)[equal]
    return int(equal[np.argmax(errors <= errors.min() * ROUNDING)])


def hter(scores: ScoreTable, threshold: float) -> float:
    """(FMR(t) + FNMR(t)) / 2, the half total error rate, at a t chosen on other data.

    Source: Bengio and Mariéthoz, The Expected Performance Curve: a New Assessment Measure for
    Person Authentication, Odyssey 2004.
    """
    return (fmr(scores, threshold) + fnmr(scores, threshold)) / 2


@dataclass(frozen=True)
class ExpectedPerformance:
    """What each trade-off between the two errors comes to on data it was not chosen on.

    Attributes:
        weights: (W,) c, the weight of false matches.
        thresholds: (W,) t_c, chosen on the first data.
        hter: (W,) half total error rates at t_c on the second data.
    """

    weights: Floats
    thresholds: Floats
    hter: Floats


def expected_performance(
    dev: ScoreTable, test: ScoreTable, weights: npt.ArrayLike
) -> ExpectedPerformance:
    """The expected performance curve: HTER_test(t_c) with t_c = argmin_dev c·FMR + (1−c)·FNMR.

    t_c is the lowest score of `dev` that is accepted there, or just above all of them. Between
    thresholds that cost the same the module's rule decides: c = 0 takes the fewest false matches
    that no miss allows, and c = 1 the fewest misses. Where the steps of `dev` are not complete,
    only the known thresholds are compared.

    Args:
        dev: scores to choose thresholds on.
        test: scores of other people.
        weights: (W,) c, between 0 and 1.

    Raises:
        InputError: no weights, or one that is no share.

    Source: Bengio, Mariéthoz and Keller, The Expected Performance Curve, ICML 2005 workshop on
    ROC Analysis in Machine Learning.

    >>> from recognition.comparisons.scores import ScoreLists
    >>> dev = ScoreLists(np.array([0.3, 0.9]), np.array([0.1, 0.5]))
    >>> expected_performance(dev, dev, [0.0, 1.0]).thresholds
    array([0.3, 0.9])
    """
    shares = np.asarray(weights, np.float64)
    if shares.ndim != 1 or not len(shares) or not ((shares >= 0) & (shares <= 1)).all():
        raise InputError(
            f"expected a flat list of weights between 0 and 1, not {weights!r}; numpy.linspace"
            "(0, 1, 11) draws the whole curve"
        )
    hull = convex_hull(dev.steps)  # a vertex is as good as any step, and there are few
    steps = [cheapest(hull, 1 - share, share) for share in shares.tolist()]
    thresholds = hull.thresholds[steps]
    different, places = np.unique(thresholds, return_inverse=True)
    rates = np.array([hter(test, threshold) for threshold in different.tolist()])
    return ExpectedPerformance(shares, thresholds, rates[places])
