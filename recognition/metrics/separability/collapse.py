"""Neural collapse: do people shrink to points, and do the points keep as far apart as they can?

Papyan, Han and Donoho, PNAS 117 (2020), arXiv:2008.08186, on unit embeddings. Where the paper has
as many pictures of every class, we have: S_W over all pictures, as there, and the centre of the
class means, so that a simplex of means is one whatever the numbers of pictures are.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.embeddings import Floats
from recognition.errors import InputError
from recognition.metrics.separability.moments import (
    NOTHING,
    ClassMoments,
    Features,
    blocks_of,
    settled,
    squared_distances,
)
from recognition.progress import Watch, unwatched


class SimplexDistance(NamedTuple):
    """NC2: how far class means are from a simplex; all 0 where they are one.

    Attributes:
        equinorm: std_c ‖m_c - m‖ / mean_c ‖m_c - m‖.
        equiangular: std over pairs of the cosine between m_c - m and m_k - m.
        max_angle: mean over pairs of |cosine + 1/(C - 1)|.
        possible: whether so many people fit: C <= D + 1.
    """

    equinorm: float
    equiangular: float
    max_angle: float
    possible: bool


class PairVariance(NamedTuple):
    """CDNV: the mean over pairs of people, and of each person's own pairs.

    Attributes:
        value: the mean over all pairs of the people with two pictures or more.
        each: (C',) each such person's mean over the pairs with the others.
        people: (C',) their places among the people.
    """

    value: float
    each: Floats
    people: npt.NDArray[np.int64]


def within_collapse(moments: ClassMoments) -> float:
    """NC1: tr(S_W Σ_B⁺) / C with Σ_B = (1/C) Σ_c (m_c - m)(m_c - m)ᵀ; lower is better, 0 is best.

    Raises:
        InputError: nobody has two pictures, or all people have the same mean.
    """
    if moments.pictures.max() < 2:
        raise InputError("expected someone with 2 pictures, or no scatter is known; add pictures")
    gaps = _gaps(moments.means)
    _, lengths, directions = np.linalg.svd(gaps, full_matrices=False)
    used = lengths > NOTHING * np.sqrt(len(gaps))  # means are as exact as numbers near 1
    along = ((directions[used] @ moments.within) * directions[used]).sum(axis=1)
    return float((along / lengths[used] ** 2).sum())


def simplex_distance(moments: ClassMoments, *, watch: Watch = unwatched) -> SimplexDistance:
    """NC2: equal lengths, equal angles, and the largest angle that C directions can all have.

    Time is C² D, memory a block of cosines.

    Raises:
        InputError: a person whose mean is the centre of all, and has no direction.

    >>> from recognition.metrics.separability import class_moments, features_of
    >>> moments = class_moments(features_of([[1, 0], [-1, 0], [1, 0]], ["ann", "bob", "ann"]))
    >>> simplex_distance(moments)
    SimplexDistance(equinorm=0.0, equiangular=0.0, max_angle=0.0, possible=True)
    """
    gaps = _gaps(moments.means)
    lengths = np.linalg.norm(gaps, axis=1)
    if not lengths.all():
        name = str(moments.people.names[lengths.argmin()])
        raise InputError(
            f"the mean of {name!r} is the centre of all people, so it has no direction and no "
            "angles; leave this person out"
        )
    unit = gaps / lengths[:, None]
    people, dim = unit.shape
    pairs = people * (people - 1)
    # the sum of all cosines is ‖Σ u‖², those of each with itself included
    mean = float(((unit.sum(axis=0) ** 2).sum() - people) / pairs)
    squares = far = 0.0
    for part in blocks_of(people, people, watch, "angles of people"):
        here = np.arange(part.start, part.stop)
        cosines = unit[part] @ unit.T
        beside = np.abs(cosines - mean)
        beside[here - part.start, here] = 0
        squares += float((beside**2).sum())
        cosines += 1 / (people - 1)
        cosines[here - part.start, here] = 0
        far += float(np.abs(cosines).sum())
    equinorm = float(lengths.std() / lengths.mean())
    equiangular = float(np.sqrt(squares / pairs))
    return SimplexDistance(equinorm, equiangular, far / pairs, people <= dim + 1)


def pair_variance(moments: ClassMoments, *, watch: Watch = unwatched) -> PairVariance:
    """CDNV: (σ_a² + σ_b²) / (2 ‖m_a - m_b‖²), the mean over pairs of people; lower is better.

    σ_c² is the mean squared distance of a person's pictures to their mean, so people with one
    picture are left out. Two people with the same mean make it infinite. Time is C² D, memory a
    block of distances.

    Raises:
        InputError: fewer than two people with two pictures.

    Source: Galanti, György and Hutter, ICLR 2022, arXiv:2112.15121.
    """
    people = np.flatnonzero(moments.pictures > 1)
    if len(people) < 2:
        raise InputError(f"expected 2 people with 2 pictures, got {len(people)}; add pictures")
    spread = moments.squares[people] / moments.pictures[people]
    means = moments.apart[people]
    each = np.empty(len(people))
    for part in blocks_of(len(people), len(people), watch, "variance of pairs of people"):
        distance = squared_distances(means, part)
        varied = np.full(distance.shape, np.inf)
        both = spread[part, None] + spread
        np.divide(both, 2 * distance, out=varied, where=distance >= NOTHING**2)
        each[part] = varied.sum(axis=1) / (len(people) - 1)  # 0 with itself, infinitely far
    return PairVariance(float(each.mean()), each, people)


def weight_duality(moments: ClassMoments, weights: Floats, own: npt.NDArray[np.int64]) -> float:
    """NC3: ‖W/‖W‖_F - M/‖M‖_F‖_F of class weights and centred class means; 0 is best, 2 worst.

    Args:
        moments: of `class_moments`.
        weights: (C', D) unit class weights: heads on cosines use nothing else of them.
        own: (C',) the place among the people of whom each stands for.

    Raises:
        InputError: all these people have the same mean.
    """
    gaps = _gaps(moments.means[own])
    difference = weights / np.linalg.norm(weights) - gaps / np.linalg.norm(gaps)
    return float(np.linalg.norm(difference))


def nearest_mean_disagreement(
    features: Features, moments: ClassMoments, weights: Floats, own: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """NC4: (N',) whether the best class weight and the nearest class mean name two people.

    Of the N' pictures of the people who have a class weight, in their order; the mean of it is NC4,
    lower is better. Weights are unit vectors, as in `weight_duality`.
    """
    chosen = np.flatnonzero(np.isin(features.people.codes, own))
    means = moments.means[own]
    half = (means**2).sum(axis=1) / 2  # argmin ‖x - m‖ = argmax x·m - ‖m‖²/2
    differ = np.empty(len(chosen), bool)
    for part in blocks_of(len(chosen), len(own)):
        unit = features.unit[chosen[part]]
        differ[part] = (unit @ weights.T).argmax(axis=1) != (unit @ means.T - half).argmax(axis=1)
    return differ


def _gaps(means: Floats) -> Floats:
    """(C, D) class means less the mean of these; which must not all be 0."""
    gaps = settled(means - means.mean(axis=0))
    if not gaps.any():
        raise InputError(
            "expected people whose means differ, but all are the same; check the labels"
        )
    return gaps
