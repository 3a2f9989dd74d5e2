"""The copy of a gallery that is searched: kept up with the store, and written to the cache.

Parts follow each other by number of the sample. Those at the end are in memory only; when one
comes, those before it that are not much larger are joined with it, so that there are never many.
Once they are much they are written to the cache. Who is gone is masked at once, and left out of
what is written later.
"""

import logging
import threading
from collections.abc import Sequence

import numpy as np

from recognition.datasets._files import reason, shown
from recognition.errors import InputError
from recognition.gallery.cache import Cache, Cached, joined
from recognition.gallery.snapshot import Snapshot

FLUSHED = 2**15  # rows in memory before they are written to the cache
WHOLE = 2**18  # rows of a part that is joined with no other when more come
LOG = logging.getLogger(__name__)


class Searched:
    """What is searched, at the state of the last snapshot that was looked at."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.problems: tuple[str, ...] = ()
        self.guard = threading.RLock()
        self._parts: list[Cached] = []
        self._found: tuple[list[Cached], list[str]] | None = None  # in the cache, not yet taken
        self._state: tuple[int, int] | None = None
        self._damaged = False

    def look(self) -> None:
        """Read the cache where that is due. Before a snapshot is taken: no part is newer then."""
        with self.guard:
            much = sum(len(part.samples) for part in self._loose()) >= 2 * FLUSHED
            # somebody else has written them by now; but a damaged cache is as it was
            if self._state is None or (much and not self._damaged):
                self._read()

    def at(self, snapshot: Snapshot) -> tuple[Cached, ...]:
        """The parts as they are to be searched in a snapshot no older than the last one.

        Raises:
            InputError: the store is damaged.
        """
        with self.guard:
            state = snapshot.state
            if self._found is not None:
                self._take(*self._found, snapshot)
                self._found = None
            elif self._state is None or state != self._state:
                self._follow(snapshot, self._state[1] if self._state else 0)
            self._state = state
            return tuple(self._parts)

    def flush(self, snapshot: Snapshot) -> None:
        """Write to the cache what is in memory only, once it is much. Only for the writer."""
        with self.guard:
            if sum(part.living for part in self._loose()) < FLUSHED and not self._damaged:
                return
            self._adopt(snapshot)
            loose, kept = self._loose(), self._named()
            count = sum(part.living for part in loose)
            while kept and kept[-1].living <= min(count, WHOLE):
                count += kept[-1].living
                loose.insert(0, kept.pop())
            waste = [part for part in kept if 2 * part.living < len(part.samples)]
            kept = [part for part in kept if 2 * part.living >= len(part.samples)]
            try:
                self._parts = self.cache.write(kept, [*([part] for part in waste), loose])
                self._damaged = False
            except OSError as error:
                self._say("could not be written", [reason(error)])

    def purge(self, snapshot: Snapshot) -> None:
        """Leave those who are gone out of every file. Only for the writer.

        Raises:
            OSError: neither could files be written without them, nor be taken away.
        """
        with self.guard:
            self._adopt(snapshot)
            whole = [part for part in self._named() if part.part.alive.all()]
            mixed = [part for part in self._named() if not part.part.alive.all()]
            loose = [joined([part]) for part in self._loose() if part.living]
            if mixed or self._damaged:
                try:
                    written = self.cache.write(whole, [[part] for part in mixed])
                except OSError as error:
                    self._say("could not be written", [reason(error)])
                    loose = [joined([p]) for p in [*whole, *mixed] if p.living] + loose
                    self.cache.clear()
                    written = []
                self._parts = [*written, *loose]
                self._damaged = False
            else:
                self._parts = [*whole, *loose]
            self.cache.clean()
            self._parts.sort(key=lambda part: int(part.samples[0]))

    def _named(self) -> list[Cached]:
        return [part for part in self._parts if part.name]

    def _loose(self) -> list[Cached]:
        return [part for part in self._parts if not part.name]

    def _read(self) -> None:
        known = {part.name: part for part in self._named()}
        if self._state is None or set(self.cache.names()) != set(known):
            self._found = self.cache.load(known)

    def _adopt(self, snapshot: Snapshot) -> None:
        """Go on from what other writers have left; nobody writes but this one."""
        if not self._damaged:
            self._read()
        self.at(snapshot)

    def _take(self, parts: list[Cached], problems: list[str], snapshot: Snapshot) -> None:
        self._parts = sorted(parts, key=lambda part: int(part.samples[0]))
        if not problems:
            self._follow(snapshot, 0)
            problems = self._differences(snapshot)
        if problems:
            self._say("is damaged", problems)
            self._damaged = True
            self.problems = (*self.problems, *problems)
            self._parts = []
            self._follow(snapshot, 0)

    def _say(self, what: str, why: Sequence[str]) -> None:
        LOG.warning(
            "the cache at %s %s (%s); what is searched is made from the store, which is the truth",
            shown(self.cache.folder),
            what,
            "; ".join(why),
        )

    def _differences(self, snapshot: Snapshot) -> list[str]:
        """What shows that the cache is of another gallery, or of another time of this one."""
        numbers = [part.samples[part.part.alive] for part in self._parts]
        living, total = sum(map(len, numbers)), sum(int(each.sum()) for each in numbers)
        count, expected = snapshot.tally()
        if living != count:
            return [f"it has {living} samples, and the store {count}"]
        if total != expected:
            return ["it has other samples than the store"]
        for part in self._parts:
            alive = np.flatnonzero(part.part.alive)
            if part.name and len(alive):
                place = int(alive[-1])
                number = int(part.samples[place])
                same = snapshot.rows(part.part.rows.vectors.shape[1], number - 1, 1)
                if not (
                    np.array_equal(same.samples, [number])
                    and np.array_equal(same.people, [part.part.people[place]])
                    and np.array_equal(same.vectors[0], part.part.rows.vectors[place])
                ):
                    return [f"sample {number} is another in the store"]
        return []

    def _follow(self, snapshot: Snapshot, change: int) -> None:
        """Add the samples that are new, and mask those that went after a change."""
        gone = snapshot.gone(change)
        if len(gone):
            self._parts = [part.without(gone) for part in self._parts]
        last = int(self._parts[-1].samples[-1]) if self._parts else 0
        while True:
            rows = snapshot.rows(self.cache.dimension, last)
            if not len(rows.samples):
                return
            last = int(rows.samples[-1])
            try:
                self._parts.append(Cached.of(rows))
            except InputError as error:
                raise InputError(f"{snapshot.path}: {error}") from error
            self._join()

    def _join(self) -> None:
        """Join what is last in memory with those before it that are not much larger."""
        while len(self._parts) > 1:
            *_, before, last = self._parts
            if before.name or before.living > min(2 * last.living, FLUSHED):
                return
            self._parts[-2:] = [joined([before, last])] if before.living else [last]
