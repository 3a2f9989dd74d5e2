"""How far people are apart against how far their own pictures scatter."""

from typing import NamedTuple

import numpy as np

from recognition.embeddings import Floats
from recognition.errors import InputError
from recognition.metrics.resampling import draw
from recognition.metrics.separability.moments import (
    NOTHING,
    ClassMoments,
    blocks_of,
    squared_distances,
)
from recognition.progress import Watch, unwatched

FLAT = 1e-12  # of the largest variance: directions with less are taken to have none
BESIDE = 1e-9  # share of tr S_B in such directions that is more than rounding


class FisherRatio(NamedTuple):
    """tr(S_W⁺ S_B), and the number of directions, of all D, in which pictures scatter at all."""

    value: float
    rank: int


class DaviesBouldin(NamedTuple):
    """The index, and what it is the mean of: (C,) each person's likeness to the most alike one."""

    value: float
    likeness: Floats


def trace_ratio(moments: ClassMoments) -> float:
    """The trace ratio tr S_B / tr S_W, variance between people over within; higher is better.

    Infinite where no picture differs from its person's mean.

    Raises:
        InputError: all pictures are alike, or nobody has two.

    Source: Fukunaga, Introduction to Statistical Pattern Recognition (1990), chapter 10.
    """
    within, between = _traces(moments)
    return between / within if within else np.inf


def trace_ratio_resamples(
    moments: ClassMoments, *, replicates: int = 1000, seed: int = 0
) -> Floats:
    """(B,) the ratio in resamples of the people; NaN where all pictures drawn are alike.

    A person drawn twice counts twice, at the same place: with few people the ratio of a resample
    is lower on average than that of all.
    """
    weights = draw(len(moments.means), replicates, seed)  # (C, B)
    pictures, apart = moments.pictures.astype(np.float64), moments.apart
    counted = pictures @ weights
    spread = (pictures * (apart**2).sum(axis=1)) @ weights / counted
    middle = (pictures[:, None] * apart).T @ weights / counted  # (D, B)
    between = np.maximum(spread - (middle**2).sum(axis=0), 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Floats = between / (moments.squares @ weights / counted)
    return ratios


def _traces(moments: ClassMoments) -> tuple[float, float]:
    within, between = moments.trace_within, moments.trace_between
    if moments.pictures.max() < 2:
        raise InputError(
            "expected someone with 2 pictures, or no scatter within people is known; add pictures"
        )
    if not within and not between:
        raise InputError(
            "expected embeddings that differ, but all are alike: the ratio is 0 / 0; check the model"
        )
    return within, between


def fisher_ratio(moments: ClassMoments) -> FisherRatio:
    """tr(S_W⁺ S_B): as the trace ratio, but each direction by its own scatter; higher is better.

    No linear map of the embeddings that can be undone changes it. It rewards directions in which
    pictures hardly scatter, so it needs several times as many pictures as dimensions.

    Directions without scatter are left out where people do not differ in them either.

    Raises:
        InputError: people differ in directions in which no picture scatters, so that the ratio is
            infinite; usually fewer than D + C pictures.

    Source: Fisher, Annals of Eugenics 7 (1936); Fukunaga (1990), chapter 10, criterion J1.
    """
    _traces(moments)
    variances, directions = np.linalg.eigh(moments.within)
    used = variances > FLAT * max(variances[-1], 0.0)
    weighted = np.sqrt(moments.pictures / moments.total)[:, None] * moments.apart
    along = ((weighted @ directions) ** 2).sum(axis=0)  # (D,) variance between people
    if along[~used].sum() > BESIDE * along.sum():
        raise InputError(
            f"pictures scatter in {int(used.sum())} of {len(used)} directions and people differ "
            f"in others, so Fisher's ratio is infinite; it needs more than {len(used)} + "
            f"{len(moments.means)} pictures here, and has {moments.total}"
        )
    return FisherRatio(float((along[used] / variances[used]).sum()), int(used.sum()))


def calinski_harabasz(moments: ClassMoments) -> float:
    """[tr S_B / (C - 1)] / [tr S_W / (N - C)]; higher is better.

    The trace ratio times (N - C) / (C - 1). Infinite where no picture differs from its person's
    mean; scikit-learn then says 1.

    Raises:
        InputError: as `trace_ratio`.

    Source: Caliński and Harabasz, Communications in Statistics 3 (1974).
    """
    people = len(moments.means)
    return trace_ratio(moments) * (moments.total - people) / (people - 1)


def davies_bouldin(moments: ClassMoments, *, watch: Watch = unwatched) -> DaviesBouldin:
    """(1/C) Σ_c max_{k≠c} (σ_c + σ_k) / ‖m_c - m_k‖; lower is better, 0 is best.

    σ_c is the mean distance of a person's pictures to their mean; 0 for a single picture. Two
    people with the same mean are infinitely alike; scikit-learn passes over them.

    Source: Davies and Bouldin, IEEE PAMI 1 (1979).
    """
    spread = moments.lengths / moments.pictures
    likeness = np.empty(len(spread))
    for part in blocks_of(len(spread), len(spread), watch, "Davies-Bouldin"):
        distance = np.sqrt(squared_distances(moments.apart, part))
        alike = np.full(distance.shape, np.inf)
        np.divide(spread[part, None] + spread, distance, out=alike, where=distance >= NOTHING)
        likeness[part] = alike.max(axis=1)  # 0 to itself, which is infinitely far
    return DaviesBouldin(float(likeness.mean()), likeness)
