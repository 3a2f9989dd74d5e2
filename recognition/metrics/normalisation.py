"""Scores in units of what a picture scores with strangers: z, t, zt, s and adaptive s.

A picture that looks like everybody scores high with everybody. Against a cohort C of other people,
who are neither enrolled nor searched for, its scores have a mean and a standard deviation, and a
score is counted from that mean in that unit. With e the enrolled and t the searched picture

    Z    (s - μ_e) / σ_e
    T    (s - μ_t) / σ_t
    ZT   T of the Z-normed scores: μ and σ of the cohort's Z-normed scores with t
    S    ½ [(s - μ_e) / σ_e + (s - μ_t) / σ_t]
    AS1  S with μ and σ over the K pictures of the cohort that score highest with e, and with t
    AS2  S with μ_e and σ_e over the K pictures that score highest with t, and the other way round

Conventions:

* The cohort counts by picture: somebody with ten pictures counts ten times.
* σ is that of a population (÷ n), and never below `FLOOR`: scores that hardly vary are no unit.
* A cohort smaller than K is taken whole; then AS1 and AS2 are S.
* Pictures of the cohort that tie with the K-th for AS2 share the places that are left among them,
  so that their order does not matter.
* In ZT a picture of the cohort is never compared with another one of its own person.

Sources: Matějka et al., Analysis of Score Normalization in Multilingual Speaker Recognition,
Interspeech 2017, for all of them and for the two adaptive ones above all; Auckenthaler, Carey and
Lloyd-Thomas, Digital Signal Processing 10 (2000), for Z and T.
"""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from recognition.errors import InputError

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.floating[Any]]
Method = Literal["z", "t", "zt", "s", "as1", "as2"]

METHODS: tuple[Method, ...] = get_args(Method)
SYMMETRIC: tuple[Method, ...] = ("s", "as1", "as2")  # it does not matter who is enrolled
ADAPTIVE: tuple[Method, ...] = ("as1", "as2")
TOP = 300  # K
FLOOR = 1e-3  # of σ: cosines of real cohorts vary by 0.05 to 0.1


class Spread(NamedTuple):
    """What scores are counted from, and in: shapes that broadcast against them."""

    mean: Floats
    deviation: Floats  # at least FLOOR

    def at(self, places: Any) -> "Spread":
        """Those at an index, of any kind that numpy knows."""
        return Spread(self.mean[places], self.deviation[places])


def known_method(name: str) -> Method:
    """The normalisation of this name; "as" is AS1.

    Raises:
        InputError: there is none.
    """
    wanted = {"as": "as1"}.get(name, name)
    for method in METHODS:
        if wanted == method:
            return method
    raise InputError(
        f"expected a normalisation among as (that is as1), {', '.join(METHODS)}, not {name!r}"
    )


def check_top(top: int) -> int:
    """K, if K scores can vary.

    Raises:
        InputError: fewer than 2.
    """
    if top is True or top < 2:
        raise InputError(
            f"expected the 2 highest cohort scores or more, not {top}: one has no spread; "
            f"{TOP} are usual"
        )
    return top


def spread_of(scores: Values, top: int | None = None) -> Spread:
    """Mean and standard deviation (N,) of each row of cohort scores (N, C), or of its K highest.

    They are summed in ascending order, so the order of the cohort does not show in any digit.

    Args:
        scores: of N pictures with C of the cohort.
        top: K; None, or as many as C, for all.

    Raises:
        InputError: not a matrix with 2 columns or more, scores that are not finite, K below 2.

    >>> spread_of(np.array([[0.0, 0.2, 0.4, 0.6]]), top=2)
    Spread(mean=array([0.5]), deviation=array([0.1]))
    """
    kept = _cohort_scores(scores)
    if top is not None and check_top(top) < kept.shape[1]:
        kept = np.partition(kept, -top, axis=1)[:, -top:]
    ordered = np.sort(kept, axis=1).astype(np.float64, order="C")  # layout changes sums
    return Spread(ordered.mean(axis=1), np.maximum(ordered.std(axis=1), FLOOR))


def spread_outside(scores: Values, own: npt.NDArray[np.bool_]) -> Spread:
    """As `spread_of`, without the scores (N, C) that are marked as of the picture's own person.

    Raises:
        InputError: not a matrix with 2 columns or more, or fewer than 2 scores left in a row.
    """
    others = ~own
    left = others.sum(axis=1)
    if _cohort_scores(scores).shape != own.shape or left.min() < 2:
        raise InputError(
            "expected a cohort with 2 pictures or more of other people for each picture in it; "
            "add people to the cohort"
        )
    exact = scores.astype(np.float64)
    mean = exact.sum(axis=1, where=others) / left
    squares = ((exact - mean[:, None]) ** 2).sum(axis=1, where=others) / left
    return Spread(mean, np.maximum(np.sqrt(squares), FLOOR))


def chosen(scores: Values, top: int) -> Floats:
    """(N, C) weights that sum to K in each row: 1 for its K highest scores, ties sharing the last.

    Raises:
        InputError: not a matrix with 2 columns or more, or K below 2.

    >>> chosen(np.array([[0.5, 0.1, 0.9, 0.5]]), top=2)
    array([[0.5, 0. , 1. , 0.5]])
    """
    found = _cohort_scores(scores)
    if check_top(top) >= found.shape[1]:
        return np.ones(found.shape)
    last = np.partition(found, -top, axis=1)[:, -top, None]
    above, tied = found > last, found == last
    room = top - above.sum(axis=1, keepdims=True)
    weights: Floats = above + tied * (room / tied.sum(axis=1, keepdims=True))
    return weights


def crossed(scores: Values, weights: Floats) -> Spread:
    """(N, M) mean and deviation of N rows of cohort scores, each over the choice of M others.

    Two products of (N, C) with (C, M). The scores are counted from their rows' means, so that
    their squares lose no digits that matter.
    """
    return _weighted(scores, weights, lambda values: values @ weights.T)


def crossed_pairs(scores: Values, weights: Floats) -> Spread:
    """(N,) as `crossed`, of each row over the choice in the same row of `weights`."""
    found = _weighted(
        scores, weights, lambda values: np.einsum("ij,ij->i", values, weights)[:, None], paired=True
    )
    return found.at(np.s_[:, 0])


def _weighted(scores: Values, weights: Floats, summed: Any, *, paired: bool = False) -> Spread:
    exact = scores.astype(np.float64)
    middle = exact.mean(axis=1, keepdims=True)
    exact -= middle
    total = weights.sum(axis=1)
    total = total[:, None] if paired else total
    mean = summed(exact) / total
    variance = summed(exact**2) / total - mean**2
    return Spread(middle + mean, np.maximum(np.sqrt(variance.clip(min=0)), FLOOR))


def counted(scores: Values, side: Spread) -> Floats:
    """(s - μ) / σ: Z with the enrolled side, T with the other.

    >>> counted(np.array([0.7]), Spread(np.array([0.1]), np.array([0.2])))
    array([3.])
    """
    found: Floats = (scores.astype(np.float64) - side.mean) / side.deviation
    return found


def normalise_scores(method: Method, scores: Values, enrolled: Spread, searched: Spread) -> Floats:
    """The normalised scores, from the spreads of both sides that the method asks for.

    Args:
        method: which formula.
        scores: the raw ones.
        enrolled: of e, broadcast against the scores.
        searched: of t; for ZT that of its Z-normed scores.

    >>> ours = Spread(np.array([0.1]), np.array([0.2])), Spread(np.array([0.3]), np.array([0.1]))
    >>> normalise_scores("s", np.array([0.7]), *ours)
    array([3.5])
    """
    if method == "z":
        return counted(scores, enrolled)
    if method == "t":
        return counted(scores, searched)
    if method == "zt":
        return counted(counted(scores, enrolled), searched)
    return (counted(scores, enrolled) + counted(scores, searched)) / 2


def _cohort_scores(scores: Values) -> Values:
    if scores.ndim != 2 or scores.shape[1] < 2 or not np.isfinite(scores).all():
        raise InputError(
            "expected finite scores with at least 2 pictures of a cohort, a row for each picture, "
            f"got shape {scores.shape}; one picture has no spread: enlarge the cohort"
        )
    return scores
