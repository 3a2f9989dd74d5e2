"""Templates against templates: the pairs of a list and the searches of 1:N, from one product.

All pairs of IJB's lists lie between the templates that are enrolled and those that are searched
for. The product of these two is made a block at a time, and each block serves the list, from which
its pairs are picked, and every gallery. Gathering the two vectors of each pair instead reads and
writes a hundred times as much.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.threads import threads
from recognition.embeddings import Floats
from recognition.errors import InputError
from recognition.metrics.searches import Condensed, Names, Searches, assemble, condense, places_of
from recognition.progress import Watch, unwatched
from recognition.protocols import TemplatePairs, TemplateSet
from recognition.search.score_blocks import score_blocks

Singles = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

CHUNK = 2**18  # pairs looked up at a time, so that their places stay in the cache
SLAB = 2**28  # scores held at a time to pick pairs from, a gigabyte: IJB-C's are a quarter
KEPT = 1  # candidates of a search: rates need the best one, and the mate's rank


class Compared(NamedTuple):
    """What templates score."""

    scores: Singles  # (M,) of the pairs, in their order
    searches: tuple[Searches, ...]  # in each gallery apart


def score_templates(
    vectors: Floats,
    pairs: TemplatePairs,
    subjects: Names,
    galleries: Sequence[TemplateSet] = (),
    probes: TemplateSet | None = None,
    *,
    watch: Watch = unwatched,
) -> Compared:
    """cos(x_s, x_t) of listed pairs, and what every probe finds in each gallery.

    Products are summed in float64 and rounded to float32, see `score_blocks`.

    Args:
        vectors: (T, D) unit, in float64: those of `pool_templates`.
        pairs: places among the templates.
        subjects: (T,) the name of the person on each template.
        galleries: each with one template of every subject in it.
        probes: a probe whose subject is not in a gallery is non-mated there.
        watch: told how many templates are compared.

    Raises:
        InputError: places beyond the templates, a gallery with two templates of one subject.
    """
    count = len(vectors)
    parts = [pairs.first, pairs.second, *(one.templates for one in galleries)]
    parts += [] if probes is None else [probes.templates]
    if not len(pairs.first) or any(part.min() < 0 or part.max() >= count for part in parts):
        raise InputError(
            f"expected pairs of places below {count}, the number of templates; pool all templates "
            "that the list names"
        )
    searched = () if probes is None else tuple(galleries)
    rows = _all(count, pairs.second, *([probes.templates] if probes else []))
    columns = _all(count, pairs.first, *(one.templates for one in searched))
    row, column = _inverse(count, rows), _inverse(count, columns)
    picked = _Picked(pairs, row, column)
    kept = [_Gallery(one, column, subjects) for one in searched]
    shown = np.zeros(0, np.int64) if probes is None else np.sort(row[probes.templates])
    enrolled = vectors[columns]
    step = max(1, SLAB // len(columns))
    slab = np.empty((min(step, len(rows)), len(columns)), np.float32)
    with watch("comparing templates", len(rows)) as advance:
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            for part, block in score_blocks(vectors[some], enrolled, slab):
                first, stop = start + part.start, start + part.stop
                mine = shown[slice(*np.searchsorted(shown, [first, stop]))]
                for gallery in kept if len(mine) else ():
                    gallery.search(block[mine - first], subjects[rows[mine]])
                advance(stop)
            picked.pick(slab, start, start + len(some))
    return Compared(picked.scores, tuple(one.table(subjects[rows[shown]]) for one in kept))


def _all(count: int, *parts: npt.NDArray[np.integer]) -> Places:
    there = np.zeros(count, bool)
    for part in parts:
        there[part] = True
    return np.flatnonzero(there)


def _inverse(count: int, places: Places) -> Places:
    inverse = np.full(count, -1)
    inverse[places] = np.arange(len(places))
    return inverse


class _Picked:
    """The scores of listed pairs, picked from a slab of rows at a time."""

    def __init__(self, pairs: TemplatePairs, row: Places, column: Places) -> None:
        self.pairs, self.row, self.column = pairs, row, column
        self.scores = np.empty(len(pairs.first), np.float32)

    def pick(self, slab: Singles, start: int, stop: int) -> None:
        """The pairs in the rows from `start` to `stop`, which are all in the slab."""
        parts = [slice(at, at + CHUNK) for at in range(0, len(self.scores), CHUNK)]
        with ThreadPoolExecutor(threads()) as pool:
            for _ in pool.map(lambda part: self._pick(slab, start, stop, part), parts):
                pass  # what was raised is raised here

    def _pick(self, slab: Singles, start: int, stop: int, part: slice) -> None:
        cells = self.row[self.pairs.second[part]]
        columns = self.column[self.pairs.first[part]]
        inside = np.flatnonzero((cells >= start) & (cells < stop))
        if len(inside) < len(cells):
            cells, columns = cells[inside], columns[inside]
        cells -= start
        cells *= slab.shape[1]
        cells += columns
        self.scores[part][inside] = slab.ravel().take(cells)


class _Gallery:
    """Searches in one gallery, a block of probes at a time."""

    def __init__(self, gallery: TemplateSet, column: Places, subjects: Names) -> None:
        names = subjects[gallery.templates]
        order = np.argsort(names)
        self.people = names[order]
        self.columns = column[gallery.templates[order]]
        if (self.people[1:] == self.people[:-1]).any():
            raise InputError(
                f"expected one template of each subject in gallery {gallery.name!r}, got "
                f"{len(names)} of {len(np.unique(names))} subjects; pool theirs into one"
            )
        self.parts: list[Condensed] = []
        self.own: list[Places] = []

    def search(self, block: Singles, shown: Names) -> None:
        self.own.append(places_of(shown, self.people))
        self.parts.append(condense(block[:, self.columns], self.own[-1], KEPT))

    def table(self, shown: Names) -> Searches:
        return assemble(self.parts, shown, np.concatenate(self.own), self.people)
