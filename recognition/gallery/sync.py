"""A gallery brought up to date with a folder or a file: only what changed is embedded."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed
from recognition.datasets.pictures import Skipped
from recognition.gallery.interface import Gallery
from recognition.progress import Watch, unwatched

MANY = 2**14  # pictures enrolled in one transaction
PAUSE = 2.0  # seconds after which what is embedded is enrolled


class Item(NamedTuple):
    """A picture of a person.

    Attributes:
        name: of the person.
        source: what it is called, such as its path.
        digest: sha256 of its bytes.
    """

    name: str
    source: str
    digest: str


class Changed(NamedTuple):
    """A picture that took the place of another one of the same name."""

    item: Item
    before: tuple[str, ...]  # digests


Vector = npt.NDArray[np.float32]
Embed = Callable[[Sequence[Item]], Iterable[Vector | str]]


@dataclass(frozen=True)
class Plan:
    """What a gallery lacks, and what it has too much.

    Attributes:
        unchanged: how many pictures are enrolled as they are.
        added: pictures that are new.
        changed: pictures whose bytes are others than those enrolled.
        gone: what is enrolled and is there no more.
        skipped: pictures that are there twice.
    """

    unchanged: int
    added: tuple[Item, ...]
    changed: tuple[Changed, ...]
    gone: tuple[Item, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class Synced:
    """What became of a plan.

    Attributes:
        unchanged: how many pictures were enrolled as they are.
        added: pictures that were enrolled.
        changed: pictures that took the place of older ones.
        gone: what is enrolled and was there no more.
        removed: whether those who are gone were taken out.
        skipped: pictures that could not be used, each with the reason.
    """

    unchanged: int
    added: tuple[Item, ...]
    changed: tuple[Item, ...]
    gone: tuple[Item, ...]
    removed: bool
    skipped: tuple[Skipped, ...]


def plan(known: Iterable[tuple[str, str, str]], items: Sequence[Item]) -> Plan:
    """What to do so that a gallery holds these pictures. A picture is known by its person and bytes.

    A picture that two people have is skipped: it would make them one.

    Args:
        known: name, source and digest of what is enrolled.
        items: what is to be.

    >>> found = plan([("ada", "1.jpg", "a"), ("ada", "2.jpg", "b"), ("bob", "1.jpg", "c")],
    ...              [Item("ada", "1.jpg", "a"), Item("ada", "2.jpg", "x"), Item("cy", "1.jpg", "y")])
    >>> [len(found.added), len(found.changed), len(found.gone), found.unchanged]
    [1, 1, 1, 1]
    """
    enrolled = [Item(*each) for each in known]
    wanted, skipped = _once(items)
    have = {(item.name, item.digest) for item in enrolled}
    want = {(item.name, item.digest) for item in wanted}
    stale: dict[tuple[str, str], list[str]] = {}
    for item in enrolled:
        if (item.name, item.digest) not in want:
            stale.setdefault((item.name, item.source), []).append(item.digest)
    new = [item for item in wanted if (item.name, item.digest) not in have]
    changed = [
        Changed(item, tuple(stale.pop((item.name, item.source))))
        for item in new
        if (item.name, item.source) in stale
    ]
    replaced = {change.item for change in changed}
    return Plan(
        len(wanted) - len(new),
        tuple(item for item in new if item not in replaced),
        tuple(changed),
        tuple(Item(*who, digest) for who, digests in stale.items() for digest in digests),
        tuple(skipped),
    )


def carry_out(
    gallery: Gallery,
    planned: Plan,
    embed: Embed,
    *,
    remove: bool = False,
    watch: Watch = unwatched,
) -> Synced:
    """Do it. Whoever stops it keeps what was done, but for the last seconds if he is killed.

    Args:
        gallery: the gallery.
        planned: of `plan`.
        embed: the embedding of each picture, in their order, or why there is none.
        remove: take out what is gone; else it is told only.
        watch: told how many pictures are embedded.

    Raises:
        InputError: the gallery cannot be written, or embeddings are none of its contract.
    """
    before = {change.item: change.before for change in planned.changed}
    work = sorted([*planned.added, *before], key=lambda item: item.name)
    skipped = list(planned.skipped)
    writing = _Writing(gallery, before)
    with watch("embedding", len(work)) as advance:
        try:
            for number, (item, found) in enumerate(zip(work, embed(work), strict=True), 1):
                if isinstance(found, str):
                    skipped.append(Skipped(item.source, found))
                else:
                    writing.add(item, found)
                advance(number)
        finally:
            writing.flush()
    if remove:
        for name, digests in _by_person(planned.gone).items():
            with gallery.alone() as alone:
                if not alone or gallery.digests([name]):
                    gallery.discard(name, digests)
    return Synced(
        planned.unchanged + writing.known,
        tuple(item for item in writing.done if item not in before),
        tuple(item for item in writing.done if item in before),
        planned.gone,
        remove,
        tuple(skipped),
    )


class _Writing:
    """Pictures on their way into a gallery: many in a transaction, but none waits for long."""

    def __init__(self, gallery: Gallery, before: Mapping[Item, Sequence[str]]) -> None:
        self._gallery, self._before = gallery, before
        self._pending: list[tuple[Item, Vector]] = []
        self._last = time.monotonic()
        self.done: list[Item] = []
        self.known = 0  # that somebody else has enrolled since the plan was made

    def add(self, item: Item, embedding: Vector) -> None:
        self._pending.append((item, embedding))
        if len(self._pending) >= MANY or time.monotonic() - self._last > PAUSE:
            self.flush()

    def flush(self) -> None:
        """Enrol what is pending; a changed picture together with the end of the one before."""
        pending, self._pending = self._pending, []
        self._last = time.monotonic()
        if not pending:
            return
        with self._gallery.alone() as alone:
            have = self._gallery.digests(item.name for item, _ in pending) if alone else set()
            known = {item for item, _ in pending if (item.name, item.digest) in have}
            self._write([each for each in pending if each[0] not in known])
            for item in known & self._before.keys():
                self._gallery.discard(item.name, self._before[item])
        self.known += len(known)

    def _write(self, pending: Sequence[tuple[Item, Vector]]) -> None:
        new = [(item, row) for item, row in pending if item not in self._before]
        if new:
            self._gallery.enroll_many(
                np.stack([row for _, row in new]),
                [item.name for item, _ in new],
                sources=[item.source for item, _ in new],
                digests=[item.digest for item, _ in new],
            )
        for item, row in pending:
            if item in self._before:
                self._gallery.enroll(
                    item.name,
                    row,
                    sources=[item.source],
                    digests=[item.digest],
                    replacing=self._before[item],
                )
        self.done += [item for item, _ in pending]


def _by_person(items: Iterable[Item]) -> dict[str, list[str]]:
    digests: dict[str, list[str]] = {}
    for item in items:
        digests.setdefault(item.name, []).append(item.digest)
    return digests


def _once(items: Iterable[Item]) -> tuple[list[Item], list[Skipped]]:
    """Each picture once, and none that two people have."""
    first: dict[str, Item] = {}
    owners: dict[str, set[str]] = {}
    skipped = []
    for item in items:
        owners.setdefault(item.digest, set()).add(item.name)
        if first.setdefault(item.digest, item) is not item and item.name == first[item.digest].name:
            skipped.append(Skipped(item.source, f"the same as {first[item.digest].source}"))
    for digest, names in owners.items():
        if len(names) > 1:
            whose = listed(sorted(names))
            item = first.pop(digest)
            skipped.append(Skipped(item.source, f"pictures of {whose} are the same; keep one"))
    return list(first.values()), skipped
