"""Do pictures of one person lie together, and all pictures over the whole sphere?"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from recognition.embeddings import Floats
from recognition.errors import InputError
from recognition.metrics.proportions import Interval
from recognition.metrics.resampling import draw
from recognition.metrics.separability.moments import ClassMoments, Features
from recognition.progress import Watch, unwatched

TILE = 1024  # rows and columns of a tile of products


class Alignment(NamedTuple):
    """The mean over mated pairs, and by person (C,): what is summed, and over how many pairs."""

    value: float
    sums: Floats
    pairs: npt.NDArray[np.int64]


class Uniformity(NamedTuple):
    """ln of a mean over all pairs, and (N,) each picture's own mean over the others."""

    value: float
    each: Floats


def alignment(moments: ClassMoments) -> Alignment:
    """The mean of ‖x - y‖² over all pairs of one person; lower is better, 0 is best.

    From sums alone: a person's pairs sum up to n_c Σ ‖x_i - m_c‖².

    Raises:
        InputError: nobody has two pictures.

    Source: Wang and Isola, ICML 2020, arXiv:2005.10242, with α = 2.

    >>> from recognition.metrics.separability import class_moments, features_of
    >>> alignment(class_moments(features_of([[1, 0], [0, 1], [0, 1]], ["a", "a", "b"]))).value
    2.0
    """
    pictures = moments.pictures
    sums, pairs = pictures * moments.squares, pictures * (pictures - 1) // 2
    if not pairs.any():
        raise InputError("expected a pair of one person; add pictures")
    return Alignment(float(sums.sum() / pairs.sum()), sums, pairs)


def alignment_resamples(found: Alignment, *, replicates: int = 1000, seed: int = 0) -> Floats:
    """(B,) the alignment in resamples of the people; NaN where nobody drawn has a pair."""
    weights = draw(len(found.sums), replicates, seed)
    pairs = found.pairs @ weights
    means: Floats = np.divide(
        found.sums @ weights, pairs, out=np.full(replicates, np.nan), where=pairs > 0
    )
    return means


def uniformity(features: Features, *, t: float = 2.0, watch: Watch = unwatched) -> Uniformity:
    """The logarithm of the mean of exp(-t ‖x - y‖²) over all pairs i < j; lower is better.

    0 where all pictures are alike. With ‖x - y‖² = 2 - 2 x·y no distance is needed, and half of
    the tiles of products: time is N² D, memory a tile.

    Args:
        features: of `features_of`.
        t: of the kernel; the paper's is 2.
        watch: told how many pictures are done.

    Raises:
        InputError: t that is not a finite number above 0, or so large that every pair counts 0.

    Source: Wang and Isola, ICML 2020, arXiv:2005.10242.

    >>> from recognition.metrics.separability import features_of
    >>> found = uniformity(features_of([[1, 0], [-1, 0]], ["ann", "bob"]))
    >>> found.value     # ‖x - y‖² = 4
    -8.0
    """
    if not 0 < t < math.inf:
        raise InputError(f"expected a finite t above 0, got {t}; the paper's is 2")
    unit = features.unit
    n = len(unit)
    sums = np.zeros(n)
    with watch("uniformity", n) as advance:
        for start in range(0, n, TILE):
            rows = slice(start, start + TILE)
            for right in range(start, n, TILE):
                columns = slice(right, right + TILE)
                kernel = unit[rows] @ unit[columns].T
                kernel -= 1
                np.minimum(kernel, 0, out=kernel)
                kernel *= 2 * t
                np.exp(kernel, out=kernel)
                if right == start:
                    np.fill_diagonal(kernel, 0)
                else:
                    sums[columns] += kernel.sum(axis=0)
                sums[rows] += kernel.sum(axis=1)
            advance(min(start + TILE, n))
    each = sums / (n - 1)
    if not each.any():
        raise InputError(
            f"expected a t at which some pair counts, but exp(-t |x - y|²) is 0 for all with t = {t:g}; "
            "the paper's is 2"
        )
    return Uniformity(math.log(each.mean()), each)


def pair_mean_interval(
    each: Floats, persons: npt.NDArray[np.int64], level: float = 0.95
) -> Interval:
    """Interval of a mean over all pairs, of each unit's mean over its pairs (n,), by person.

    A mean over pairs is a U-statistic: its variance is 4 times that of the units' own means, to
    first order, and these vary together where they are of one person. Student's t with C - 1
    degrees of freedom.

    Raises:
        InputError: units of fewer than two people, or a level out of range.

    Source: Hoeffding, Annals of Mathematical Statistics 19 (1948), theorem 7.1.
    """
    sums = np.bincount(persons, each - each.mean())
    people = int(np.count_nonzero(np.bincount(persons)))
    if people < 2 or not 0 < level < 1:
        raise InputError(f"expected 2 people or more and a level below 1, got {people} and {level}")
    variance = (sums**2).sum() * people / (people - 1) / len(each) ** 2
    reach = float(student.ppf((1 + level) / 2, people - 1)) * 2 * math.sqrt(variance)
    middle = float(each.mean())
    return Interval(middle - reach, middle + reach)


def uniformity_interval(found: Uniformity, persons: npt.NDArray[np.int64]) -> Interval:
    """That of the mean, carried to its logarithm by the slope there.

    Raises:
        InputError: pictures of fewer than two people.
    """
    low, high = pair_mean_interval(found.each, persons)
    reach = (high - low) / 2 / float(found.each.mean())
    return Interval(found.value - reach, min(0.0, found.value + reach))
