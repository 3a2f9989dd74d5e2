"""What scores are worth as evidence: the cost of log-likelihood ratios, and of probabilities.

A log-likelihood ratio (LLR) is l = ln p(score | same person) - ln p(score | different people),
in nats: positive speaks for the same person. Comparisons of each kind are averaged apart, so
nothing depends on how many of each there happen to be; where a prior matters it is given.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from recognition.comparisons.steps import Counts, Floats, Stepped, Steps, count_steps
from recognition.errors import InputError
from recognition.metrics.hull import convex_hull
from recognition.metrics.verification import ROUNDING

LN2 = float(np.log(2))  # nats in a bit


def cllr(mated: npt.ArrayLike, nonmated: npt.ArrayLike) -> float:
    """½ [mean log2(1 + e^-l) over mated + mean log2(1 + e^l) over non-mated], in bits.

    0 where every LLR is infinitely right, 1 where every LLR is 0: a system that says nothing.
    Above 1 it misleads. Infinite only where an LLR is infinitely wrong.

    Args:
        mated: (P,) LLRs of comparisons of one person, in nats, infinities allowed.
        nonmated: (N,) LLRs of comparisons of two people.

    Raises:
        InputError: no LLR of one kind, or NaN among them.

    Source: Brümmer and du Preez, Application-independent evaluation of speaker detection,
    Computer Speech and Language 20 (2006).

    >>> cllr([0.0], [0.0]), cllr([np.inf], [-np.inf])
    (1.0, 0.0)
    """
    u, v = _llrs(mated, "mated"), _llrs(nonmated, "non-mated")
    return (_mean(np.logaddexp(0, -u)) + _mean(np.logaddexp(0, v))) / (2 * LN2)


def min_cllr(scores: Stepped) -> float:
    """The Cllr of the best non-decreasing map from these scores to LLRs, in bits.

    It says how well the scores tell people apart, calibrated or not, and no increasing map
    changes it. The map is found by pooling adjacent violators, and tied scores get one LLR.
    Where the steps are not complete, scores between two thresholds are taken for tied: then it
    is an upper bound.

    Source: Brümmer and du Preez (2006); Zadrozny and Elkan, KDD 2002.

    >>> from recognition.comparisons.scores import ScoreLists
    >>> min_cllr(ScoreLists(np.array([0.5, 0.9]), np.array([0.1, 0.5, 0.6])))
    0.5747
    """
    return pool_adjacent_violators(scores.steps).cllr


def calibration_loss(mated: npt.ArrayLike, nonmated: npt.ArrayLike) -> float:
    """Cllr - minCllr of the same LLRs, in bits: what better calibration could still win.

    Never negative; infinite where Cllr is.

    Raises:
        InputError: no LLR of one kind, or NaN among them.

    >>> calibration_loss([1.0, 2.0], [-1.0, 1.5]) > 0
    True
    """
    u, v = _llrs(mated, "mated"), _llrs(nonmated, "non-mated")
    best = pool_adjacent_violators(count_steps(u, v)).cllr
    return max(0.0, cllr(u, v) - best)  # equal but for rounding where nothing is left to win


@dataclass(frozen=True)
class Pools:
    """Neighbouring scores that share an LLR, from the lowest scores to the highest.

    Attributes:
        lowest: (K,) the lowest score of each pool, ascending.
        true: (K,) mated scores in each pool.
        false: (K,) non-mated scores in each pool.
    """

    lowest: Floats
    true: Counts
    false: Counts

    @property
    def llrs(self) -> Floats:
        """(K,) ln(true / P) - ln(false / N), never falling: logit(true share) less the prior's.

        Infinite in a pool of one kind only.
        """
        with np.errstate(divide="ignore"):
            true, false = np.log(self.true / self.true.sum()), np.log(self.false / self.false.sum())
        llrs: Floats = np.maximum.accumulate(true - false)  # the last bit of a logarithm may fall
        return llrs

    @property
    def cllr(self) -> float:
        """The Cllr of the pooled scores at these LLRs, in bits."""
        one = _pooled(self.true, np.logaddexp(0, -self.llrs))
        two = _pooled(self.false, np.logaddexp(0, self.llrs))
        return (one + two) / (2 * LN2)


def pool_adjacent_violators(steps: Steps) -> Pools:
    """The pools in which the share of mated scores rises with the score, and rises most.

    They are what lies between neighbouring vertices of the ROC convex hull. Tied scores are
    pooled first, and neighbours of equal share are one pool.

    Source: Ayer et al., Annals of Mathematical Statistics 26 (1955); Fawcett and Niculescu-Mizil,
    PAV and the ROC convex hull, Machine Learning 68 (2007).
    """
    hull = convex_hull(steps)
    return Pools(hull.thresholds[:0:-1], np.diff(hull.true)[::-1], np.diff(hull.false)[::-1])


def posterior(llr: npt.ArrayLike, prior: float) -> Floats:
    """P(same person | score) = σ(l + logit π), for the prior probability π of a mated pair.

    Raises:
        InputError: a prior that is not strictly between 0 and 1.

    >>> posterior([0.0, np.log(99)], 0.01)
    array([0.01, 0.5 ])
    """
    check_prior(prior)
    probabilities: Floats = expit(np.asarray(llr, np.float64) + logit(prior))
    return probabilities


def brier_score(mated: npt.ArrayLike, nonmated: npt.ArrayLike, *, prior: float = 0.5) -> float:
    """π mean (1 - p)² over mated + (1 - π) mean p² over non-mated, p the posterior at prior π.

    The mean squared error of the posteriors where a share π of the comparisons is mated: 0 is
    best, π (1 - π) is what the prior alone gets. At π = P / (P + N) it is the plain mean.

    Args:
        mated: (P,) LLRs of comparisons of one person, in nats.
        nonmated: (N,) LLRs of comparisons of two people.
        prior: π, strictly between 0 and 1.

    Raises:
        InputError: no LLR of one kind, NaN among them, or a prior out of range.

    Source: Brier, Monthly Weather Review 78 (1950), of one of its two classes.

    >>> brier_score([0.0], [0.0])
    0.25
    """
    u, v = _llrs(mated, "mated"), _llrs(nonmated, "non-mated")
    missed = 1 - posterior(u, prior)
    return prior * _mean(missed**2) + (1 - prior) * _mean(posterior(v, prior) ** 2)


def expected_calibration_error(
    mated: npt.ArrayLike, nonmated: npt.ArrayLike, *, prior: float = 0.5, bins: int = 15
) -> float:
    """Σ_b |Σ_{i in b} w_i (p_i - y_i)|: how far posteriors are from the shares that came true.

    y is 1 for a mated comparison and 0 for another; weights are π / P and (1 - π) / N and sum
    to 1. The bins have equal mass, since posteriors crowd at 0 and 1 and bins of equal width
    would be two full ones and many empty: a comparison belongs to bin floor(B c), c the weight of
    all with a lower posterior. Ties share a bin, so bins can be larger than others, and empty;
    an empty bin adds nothing. With few comparisons in a bin it is too high.

    Args:
        mated: (P,) LLRs of comparisons of one person, in nats.
        nonmated: (N,) LLRs of comparisons of two people.
        prior: π, strictly between 0 and 1.
        bins: B, at least 1.

    Raises:
        InputError: no LLR of one kind, NaN among them, a prior or bins out of range.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015; bins of equal mass as in Nixon et al.,
    Measuring calibration in deep learning, arXiv:1904.01685.

    >>> expected_calibration_error([0.0, 0.0], [0.0])
    0.0
    """
    if bins < 1:
        raise InputError(f"expected at least 1 bin, not {bins}; 15 are usual")
    p = posterior(_llrs(mated, "mated"), prior)
    q = posterior(_llrs(nonmated, "non-mated"), prior)
    values = np.concatenate([p, q])
    below = prior * _share_below(p, values) + (1 - prior) * _share_below(q, values)
    places = np.floor(bins * below * ROUNDING).astype(np.int64).clip(max=bins - 1)
    gaps = np.concatenate([prior / len(p) * (p - 1), (1 - prior) / len(q) * q])
    return float(np.abs(np.bincount(places, gaps)).sum())


def check_prior(prior: float) -> None:
    """Refuse a prior that leaves nothing to decide."""
    if not 0 < prior < 1:
        raise InputError(
            f"expected a prior probability strictly between 0 and 1, not {prior!r}; 0.5 takes "
            "mated and non-mated comparisons for equally likely"
        )


def _llrs(values: npt.ArrayLike, kind: str) -> Floats:
    llrs = np.asarray(values, np.float64)
    if llrs.ndim != 1 or not len(llrs) or np.isnan(llrs).any():
        raise InputError(
            f"{kind} LLRs must be a flat, not empty list of numbers without NaN, not shape "
            f"{llrs.shape}; leave out comparisons that were not scored"
        )
    return llrs


def _share_below(scores: Floats, values: Floats) -> Floats:
    shares: Floats = np.searchsorted(np.sort(scores), values) / len(scores)
    return shares


def _mean(costs: Floats) -> float:
    return float((costs / len(costs)).sum())  # divided first, so that huge costs do not overflow


def _pooled(counts: Counts, costs: Floats) -> float:
    """The mean cost where pools with nobody in them have no cost, be it infinite."""
    some = counts > 0
    return float((counts[some] / counts.sum() * costs[some]).sum())
