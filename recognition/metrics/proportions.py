"""How far a share of independent trials could be off: Wilson, and Clopper and Pearson.

Comparisons that share a person are not independent trials. These are for people, for one search
per person, or, with `wilson_share`, for the number of trials that dependent ones are worth.
"""

import math
from typing import NamedTuple

from scipy.special import ndtri, stdtrit
from scipy.stats import beta

from recognition.errors import InputError


class Interval(NamedTuple):
    """Both ends belong to it."""

    low: float
    high: float


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share of independent trials: `wilson_share` of s / n and n.

    Raises:
        InputError: no trials, successes that are not among them, or a level out of range.

    Source: Wilson, Journal of the American Statistical Association 22 (1927).

    >>> wilson(0, 30)
    Interval(low=0.0, high=0.1135)
    """
    _check_counts(successes, trials)
    return wilson_share(successes / trials, trials, level)


def wilson_share(
    share: float, trials: float, level: float = 0.95, *, freedom: float = math.inf
) -> Interval:
    """(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n) for a share p of n trials.

    Args:
        share: between 0 and 1; it need not be a whole number of trials.
        trials: how many independent trials it is worth, above 0, whole or not.
        level: how often such intervals hold the true share.
        freedom: z is the quantile of Student's t with so many degrees of freedom, of the normal
            distribution where they are infinite: fewer where n itself had to be estimated.

    Raises:
        InputError: a share, trials, a level or degrees of freedom out of range.

    >>> wilson_share(0.25, 17.5)
    Interval(low=0.1059, high=0.4841)
    """
    check_level(level)
    if not 0 <= share <= 1 or not 0 < trials < math.inf or not freedom > 0:
        raise InputError(
            "expected a share between 0 and 1 and trials and degrees of freedom above 0, got "
            f"{share}, {trials} and {freedom}; without a trial there is no share to be unsure of"
        )
    inside = (1 + level) / 2
    # scipy.stats finds the same quantiles, with checks that take a hundred times as long
    z = ndtri(inside) if math.isinf(freedom) else stdtrit(freedom, inside)
    z2 = float(z) ** 2
    share, trials = float(share), float(trials)  # not numpy's
    middle = share + z2 / (2 * trials)
    reach = math.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2)))
    # both ends solve (1 + z²/n) x² - (2p + z²/n) x + p² = 0: by their product the low one, which
    # keeps its digits where it is small, and is 0 where p is
    low = share**2 / (middle + reach)
    high = (middle + reach) / (1 + z2 / trials)
    return Interval(low, 1.0 if share == 1 else min(1.0, high))


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """The exact interval of s of n independent trials: never covers less often than `level`.

    From the (1 - level) / 2 quantile of Beta(s, n - s + 1), 0 where s = 0, to the
    (1 + level) / 2 quantile of Beta(s + 1, n - s), 1 where s = n. Wider than Wilson's, which
    covers `level` on average.

    Raises:
        InputError: no trials, successes that are not among them, or a level out of range.

    Source: Clopper and Pearson, Biometrika 26 (1934).

    >>> clopper_pearson(0, 30)
    Interval(low=0.0, high=0.1157)
    """
    _check_counts(successes, trials)
    check_level(level)
    failures, outside = trials - successes, (1 - level) / 2
    low = float(beta.ppf(outside, successes, failures + 1)) if successes else 0.0
    high = float(beta.isf(outside, successes + 1, failures)) if failures else 1.0
    return Interval(low, high)


def check_level(level: float) -> None:
    """Refuse what is no level of confidence.

    Raises:
        InputError: a level that is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"expected a level between 0 and 1, got {level}; the usual one is 0.95")


def _check_counts(successes: int, trials: int) -> None:
    if not 0 <= successes <= trials or not trials:
        raise InputError(
            f"expected successes among trials, got {successes} of {trials}; count both over the "
            "same trials, and at least one"
        )
