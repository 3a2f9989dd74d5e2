"""A gallery copied to another, such as from a folder to Milvus; it can be begun again."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recognition.contract import Contract, require_same
from recognition.errors import InputError
from recognition.gallery.answers import Person
from recognition.gallery.interface import Gallery
from recognition.gallery.milvus_address import is_milvus
from recognition.gallery.records import Sample
from recognition.progress import Watch, unwatched

AT_ONCE = 4096  # samples enrolled together


class Exported(NamedTuple):
    """What was copied.

    Attributes:
        people: who got samples, or something said of them, that the target did not have.
        samples: how many those were.
        present: people whom the target had already, with everything.
    """

    people: int
    samples: int
    present: int


def export_gallery(source: Gallery, target: Path | str, watch: Watch = unwatched) -> Exported:
    """Copy people, samples, what is said of them, and the threshold to another gallery.

    The target is made where it is not there. What it has already is not copied again, so a copy
    that was interrupted goes on when it is asked for again, and a second one changes nothing. Who
    is in the target only stays there; the threshold is set last, to the source's where it has one.
    Dates of enrolment are those of the copy.

    Args:
        source: any gallery.
        target: a folder, or `milvus://host:port/name`.
        watch: told how many people are done.

    Raises:
        InputError: the target has embeddings of another model, or cannot be written.
    """
    used = source.threshold
    if used is not None and used.score == "template" and is_milvus(target):
        raise InputError(
            f"expected a threshold for best scores, by which people are searched on Milvus, got "
            f"{used} for templates; calibrate the gallery for best scores first"
        )
    with _opened(target, source) as copy:
        require_same(source.contract, copy.contract, names=("the gallery", f"the copy {target}"))
        there = {person.name: person for person in copy.people()}
        people = source.people()
        added = samples = 0
        waiting = _Waiting()
        with watch("copying people", len(people)) as advance:
            for done, person in enumerate(people, 1):
                new, told = _missing(source, copy, person, there.get(person.name))
                if new:
                    waiting.add(person.name, new, told)
                elif told:
                    copy.describe(person.name, told)
                added += bool(new or told)
                samples += len(new)
                if len(waiting.samples) >= AT_ONCE or done == len(people):
                    waiting.enroll(copy, source.contract)
                    waiting = _Waiting()
                    advance(done)
        if used is not None and used != copy.threshold:
            copy.set_threshold(used)
    return Exported(added, samples, len(people) - added)


class _Waiting:
    """Samples that are to be enrolled together."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.names: list[str] = []
        self.metadata: dict[str, dict[str, Any]] = {}

    def add(self, name: str, samples: Sequence[Sample], metadata: dict[str, Any]) -> None:
        self.samples += samples
        self.names += [name] * len(samples)
        self.metadata[name] = metadata

    def enroll(self, gallery: Gallery, contract: Contract) -> None:
        if self.samples:
            gallery.enroll_many(
                np.stack([sample.vector for sample in self.samples]),
                self.names,
                sources=[sample.source for sample in self.samples],
                digests=[sample.digest for sample in self.samples],
                metadata=self.metadata,
                contract=contract,
            )


def _opened(target: Path | str, source: Gallery) -> Gallery:
    try:
        return Gallery.create(target, source.contract)
    except InputError:
        return Gallery.open(target)  # or what is wrong with it


def _missing(
    source: Gallery, copy: Gallery, person: Person, there: Person | None
) -> tuple[list[Sample], dict[str, Any]]:
    """The samples that the copy does not have of a person, and what is not said there."""
    samples, told = source.samples(person.name), dict(person.metadata)
    if there is not None:
        samples = _without(samples, copy.samples(person.name))
        nothing = object()
        told = {k: v for k, v in told.items() if there.metadata.get(k, nothing) != v}
    return samples, told


def _without(samples: Sequence[Sample], others: Sequence[Sample]) -> list[Sample]:
    """Samples that are not among the others, each of which accounts for one."""
    have = Counter(map(_key, others))
    left = []
    for sample in samples:
        if have[_key(sample)]:
            have[_key(sample)] -= 1
        else:
            left.append(sample)
    return left


def _key(sample: Sample) -> tuple[bytes, str, str]:
    return sample.vector.tobytes(), sample.source, sample.digest
