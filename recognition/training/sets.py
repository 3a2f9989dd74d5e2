"""Whom a run learns from, and whom it is validated on."""

import hashlib
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np

from recognition.backbones.registry import find_backbone
from recognition.datasets.drawn import draw_faces
from recognition.datasets.picture_source import PictureSource, of_pictures, open_pictures
from recognition.errors import InputError
from recognition.progress import Advance, Watch, unwatched
from recognition.protocols import split_people
from recognition.training.config import TrainConfig
from recognition.training.validation import check_validation

DRAWN = 300, 20  # people, pictures of each, where no data is named


class Sets(NamedTuple):
    """Whom a run learns from, and whom it is validated on; nobody is in both."""

    learn: PictureSource
    validation: PictureSource


def read_sets(config: TrainConfig, watch: Watch = unwatched) -> Sets:
    """The pictures of a configuration; drawn faces where it names none.

    Raises:
        InputError: they cannot be read, or nothing can be learned from them or told by them.
    """
    data = config.data
    source = _opened(data.pictures, config, watch) if data.pictures else _drawn(config, watch)
    if data.validation:
        sets = Sets(source, _opened(data.validation, config, watch))
        both = np.intersect1d(sets.learn.labels, sets.validation.labels)
        if len(both):
            raise InputError(
                f"{len(both)} people are in both {data.pictures} and {data.validation}, "
                f"{str(both[0])!r} among them; validation must be on people never seen: take them "
                "out of one, or rename folders of different people"
            )
    else:
        learn, apart = split_people(
            source.labels, test=float(data.validation_share), seed=config.run.seed
        )
        sets = Sets(source.of(learn), source.of(apart))
    check_validation(sets.validation)
    people = len(np.unique(sets.learn.labels))
    if people < 2:
        raise InputError(f"expected at least 2 people to learn from, got {people}; add people")
    return sets


def _opened(path: str, config: TrainConfig, watch: Watch) -> PictureSource:
    side = find_backbone(config.model.backbone).input_size
    with ExitStack() as stack:
        advance: list[Advance] = []

        def progress(done: int, total: int) -> None:
            if not advance:
                advance.append(stack.enter_context(watch(f"looking through {path}", total)))
            advance[0](done)

        return open_pictures(
            path, side=side, people=config.data.people, seed=config.run.seed, progress=progress
        )


def _drawn(config: TrainConfig, watch: Watch) -> PictureSource:
    side = find_backbone(config.model.backbone).input_size
    with watch("drawing faces", DRAWN[0] * DRAWN[1]) as advance:
        drawn = draw_faces(*DRAWN, size=side, seed=config.run.seed, progress=advance)
    return of_pictures(drawn)


def digest_of(sets: Sets) -> str:
    """Of which pictures of which people they are; their pixels are not read for it."""
    found = hashlib.sha256()
    for source in sets:
        for names in (source.ids, source.labels):
            found.update("\0".join(names.tolist()).encode("utf-8", "surrogatepass") + b"\1")
    return found.hexdigest()
