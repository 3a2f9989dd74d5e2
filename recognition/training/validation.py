"""How good a network is on people it does not learn from, by the numbers `compare` has."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from recognition.backbones import Standardisation
from recognition.datasets.picture_source import PictureSource
from recognition.errors import InputError
from recognition.evaluation import Estimate, evaluate_strangers
from recognition.progress import Advance
from recognition.protocols import open_set_split
from recognition.training.loop import embed

REPLICATES = 200  # behind the intervals of a validation on the way
TOGETHER = 256  # pictures embedded at a time


class Embedded(NamedTuple):
    """Embeddings of the pictures that could be decoded.

    Attributes:
        embeddings: (N, D), not normalised.
        labels: (N,) the person on each.
        broken: how many pictures could not be decoded.
    """

    embeddings: npt.NDArray[np.float32]
    labels: npt.NDArray[np.str_]
    broken: int


def check_validation(source: PictureSource) -> None:
    """Refuse people by whom nothing can be told, before anything is trained.

    Raises:
        InputError: too few people, or too few pictures of each.
    """
    people = len(np.unique(source.labels))
    if people < 2 or len(source) == people:
        raise InputError(
            f"expected at least 2 people with several pictures to validate on, got {len(source)} "
            f"pictures of {people} people; name others with --validate, or keep a larger share apart"
        )
    open_set_split(source.labels, seed=0)


def embed_source(
    backbone: nn.Module,
    source: PictureSource,
    *,
    standardisation: Standardisation,
    workers: int,
    places: range | None = None,
    advance: Advance | None = None,
) -> Embedded:
    """One forward pass of each picture, or of those at some places, decoded by threads.

    Raises:
        InputError: none of them could be decoded.
    """
    wanted = range(len(source)) if places is None else places
    found, labels, broken = [], [], 0

    def load(place: int) -> npt.NDArray[np.uint8] | None:
        try:
            return source.load(place)
        except InputError:
            return None

    with ThreadPoolExecutor(max(1, workers)) as pool:
        for start in range(0, len(wanted), TOGETHER):
            some = wanted[start : start + TOGETHER]
            loaded = dict(zip(some, pool.map(load, some), strict=True))
            whole = {place: image for place, image in loaded.items() if image is not None}
            broken += len(loaded) - len(whole)
            if whole:
                images = np.stack(list(whole.values()))
                found.append(embed(backbone, images, standardisation=standardisation))
                labels.append(source.labels[list(whole)])
            if advance is not None:
                advance(start + len(some))
    if not found:
        raise InputError(f"none of the {len(wanted)} pictures of {source.source} can be decoded")
    return Embedded(np.concatenate(found), np.concatenate(labels), broken)


def joined(parts: Sequence[Embedded]) -> Embedded:
    """What several processes embedded, in order."""
    return Embedded(
        np.concatenate([part.embeddings for part in parts]),
        np.concatenate([part.labels for part in parts]),
        sum(part.broken for part in parts),
    )


def judge(embedded: Embedded, *, replicates: int = REPLICATES) -> Mapping[str, Estimate]:
    """The numbers of `evaluate_strangers`; none where embeddings are not finite.

    A deep network that has hardly begun can be so: in evaluation its running statistics are still
    those of no pictures.
    """
    if not np.isfinite(embedded.embeddings).all():
        return {}
    with torch.random.fork_rng(devices=[]):
        return evaluate_strangers(
            embedded.embeddings, embedded.labels, replicates=replicates
        ).estimates
