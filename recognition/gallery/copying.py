"""A gallery copied to another, such as from a folder to Milvus; it can be begun again."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from recognition.contract import require_same
from recognition.errors import InputError
from recognition.gallery.accept import Enrolment
from recognition.gallery.answers import Person
from recognition.gallery.interface import Gallery
from recognition.gallery.store import Sample
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
    with _opened(target, source) as copy:
        require_same(source.contract, copy.contract, names=("the gallery", f"the copy {target}"))
        there = {person.name: person for person in copy.people()}
        people = source.people()
        added = samples = 0
        waiting: list[Enrolment] = []
        with watch("copying people", len(people)) as advance:
            for done, person in enumerate(people, 1):
                new = _missing(source, copy, person, there.get(person.name))
                if new.sources:
                    waiting.append(new)
                elif new.metadata:
                    copy.describe(person.name, new.metadata)
                added += bool(new.sources or new.metadata)
                samples += len(new.sources)
                if done == len(people) or sum(len(one.sources) for one in waiting) >= AT_ONCE:
                    copy.enroll_many(waiting, contract=source.contract)
                    waiting = []
                    advance(done)
        if source.threshold is not None and source.threshold != copy.threshold:
            copy.set_threshold(source.threshold)
    return Exported(added, samples, len(people) - added)


def _opened(target: Path | str, source: Gallery) -> Gallery:
    try:
        return Gallery.create(target, source.contract)
    except InputError:
        return Gallery.open(target)  # or what is wrong with it


def _missing(source: Gallery, copy: Gallery, person: Person, there: Person | None) -> Enrolment:
    """What the copy does not have of a person."""
    samples, told = source.samples(person.name), dict(person.metadata)
    if there is not None:
        samples = _without(samples, copy.samples(person.name))
        nothing = object()
        told = {k: v for k, v in told.items() if there.metadata.get(k, nothing) != v}
    return Enrolment(
        person.name,
        [sample.vector for sample in samples],
        [sample.source for sample in samples],
        [sample.digest for sample in samples],
        told,
    )


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
