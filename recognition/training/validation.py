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
        broken: why, of each picture that could not be decoded.
    """

    embeddings: npt.NDArray[np.float32]
    labels: npt.NDArray[np.str_]
    broken: tuple[str, ...]


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
    found, labels, broken = [], [], list[str]()

    def load(place: int) -> npt.NDArray[np.uint8] | str:
        try:
            return source.load(place)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        for start in range(0, len(wanted), TOGETHER):
            some = wanted[start : start + TOGETHER]
            loaded = dict(zip(some, pool.map(load, some), strict=True))
            whole = {at: image for at, image in loaded.items() if not isinstance(image, str)}
            broken += [image for image in loaded.values() if isinstance(image, str)]
            if whole:
                images = np.stack(list(whole.values()))
                found.append(embed(backbone, images, standardisation=standardisation))
                labels.append(source.labels[list(whole)])
            if advance is not None:
                advance(start + len(some))
    if not found:
        if wanted:
            raise InputError(
                f"none of the {len(wanted)} pictures of {source.source} can be decoded"
            )
        return Embedded(np.empty((0, 0), np.float32), source.labels[:0], ())
    return Embedded(np.concatenate(found), np.concatenate(labels), tuple(broken))


def joined(parts: Sequence[Embedded]) -> Embedded:
    """What several processes embedded, in order."""
    some = [part for part in parts if len(part.labels)]
    return Embedded(
        np.concatenate([part.embeddings for part in some]),
        np.concatenate([part.labels for part in some]),
        tuple(reason for part in parts for reason in part.broken),
    )


def judge(embedded: Embedded, *, replicates: int = REPLICATES) -> Mapping[str, Estimate]:
    """The numbers of `evaluate_strangers`; none where embeddings are not finite, or have no direction.

    A deep network that has hardly begun can be so: in evaluation its running statistics are still
    those of no pictures.
    """
    lengths = np.linalg.norm(embedded.embeddings, axis=1)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        return {}
    with torch.random.fork_rng(devices=[]):
        return evaluate_strangers(
            embedded.embeddings, embedded.labels, replicates=replicates
        ).estimates
