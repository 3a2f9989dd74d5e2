"""How a gallery's parts are searched: every sample, an index of some kind, or templates.

An index is made in memory when it is first used. What is enrolled later is searched beside it,
every sample, and who goes is masked in it, until either is much and it is made anew.
"""

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.embeddings import Floats
from recognition.errors import InputError
from recognition.gallery.cache import Cached
from recognition.gallery.records import Numbers
from recognition.gallery.snapshot import Snapshot
from recognition.search.index import Index, build_index, first_people
from recognition.search.index_kinds import Exact, Kind
from recognition.search.person_means import Templates, best_templates
from recognition.search.scan import Hit, Part, best_people

FRESH = 2**14  # samples beside an index, at most, or a quarter of those in it
WORN = 0.25  # of an index that may be masked

Found = tuple[list[list[Hit]], list[list[int]], bool]


class _Made(NamedTuple):
    """An index, and the samples in it, by number ascending."""

    searched: Index
    samples: Numbers


class Kinds:
    """What was made for searching a gallery, and can be used again."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._made: _Made | None = None
        self._templates: tuple[tuple[int, int], Templates] | None = None

    def forget(self) -> None:
        """Keep nothing of it: somebody is to be forgotten."""
        with self._guard:
            self._made = self._templates = None

    def templates(
        self, snapshot: Snapshot, parts: Sequence[Cached], probes: Floats, k: int
    ) -> list[list[Hit]]:
        """The best people by their templates, exactly; these are made anew after each change.

        Raises:
            InputError: a person whose samples cancel out.
        """
        with self._guard:
            if self._templates is None or self._templates[0] != snapshot.state:
                made = Templates.of(
                    [part.part for part in parts], lambda person: snapshot.names([person])[person]
                )
                self._templates = snapshot.state, made
            templates = self._templates[1]
        return best_templates(templates, probes, k)

    def samples(self, kind: Kind, parts: Sequence[Cached], probes: Floats, k: int) -> Found:
        """The best people by their samples, the number of each one's best, and if any may be missed.

        Where there are too few samples for an index of this kind, all are looked at.
        """
        made = None
        if kind.approximate or kind == Exact("float16"):
            with self._guard:
                made = self._current(kind, parts)
        if made is None:
            numbers = kind.numbers if isinstance(kind, Exact) else "quickest"
            found = best_people([part.part for part in parts], probes, k, numbers=numbers)
            return found, _numbers(found, [part.samples for part in parts]), False
        fresh, samples = _after(parts, int(made.samples[-1]))
        index = made.searched.masked(_alive(made.samples, parts))
        ours = index.best(probes, k)
        more = best_people(fresh, probes, k)
        merged, numbers_of = [], []
        for hits, others, mine, theirs in zip(
            ours, more, _numbers_of(ours, index, made), _numbers(more, samples), strict=True
        ):
            best, number = _merged(
                [*zip(hits, mine, strict=True), *zip(others, theirs, strict=True)], k
            )
            merged.append(best)
            numbers_of.append(number)
        return merged, numbers_of, kind.approximate

    def _current(self, kind: Kind, parts: Sequence[Cached]) -> _Made | None:
        made = self._made
        if made is not None and made.searched.kind == kind and not _worn(made, parts):
            return made
        self._made = None  # two of them may not fit in memory
        kept = [part for part in parts if len(part.samples)]
        if not kept:
            return None
        try:
            index = build_index(kind, [part.part for part in kept])
        except InputError:
            return None
        self._made = _Made(index, np.concatenate([part.samples for part in kept]))
        return self._made


def _worn(made: _Made, parts: Sequence[Cached]) -> bool:
    fresh = sum(len(part.rows) for part in _after(parts, int(made.samples[-1]))[0])
    dead = 1 - float(_alive(made.samples, parts).mean())
    return fresh > max(FRESH, len(made.samples) // 4) or dead > WORN


def _after(parts: Sequence[Cached], last: int) -> tuple[list[Part], list[Numbers]]:
    """What has a number above `last`."""
    fresh, samples = [], []
    for part in parts:
        rows = slice(int(np.searchsorted(part.samples, last, side="right")), len(part.samples))
        if rows.start < rows.stop:
            cut = part.part
            fresh.append(Part(cut.rows.part(rows), cut.people[rows], cut.alive[rows]))
            samples.append(part.samples[rows])
    return fresh, samples


def _alive(samples: Numbers, parts: Sequence[Cached]) -> npt.NDArray[np.bool_]:
    living = [part.samples[part.part.alive] for part in parts]
    return np.isin(samples, np.concatenate(living)) if living else np.zeros(len(samples), bool)


def _numbers(found: list[list[Hit]], samples: Sequence[Numbers]) -> list[list[int]]:
    return [[int(samples[hit.part][hit.place]) for hit in hits] for hits in found]


def _numbers_of(found: list[list[Hit]], index: Index, made: _Made) -> list[list[int]]:
    return [[int(made.samples[index.row(hit)]) for hit in hits] for hits in found]


def _merged(found: list[tuple[Hit, int]], k: int) -> tuple[list[Hit], list[int]]:
    """The k best people of both, each once, by the better sample, and the earlier of equal ones."""
    best: dict[int, tuple[Hit, int]] = {}
    for hit, number in found:
        other = best.get(hit.person)
        if other is None or (-hit.score, number) < (-other[0].score, other[1]):
            best[hit.person] = (hit, number)
    kept = first_people([hit for hit, _ in best.values()], k)
    return kept, [best[hit.person][1] for hit in kept]
