"""The people most alike a probe, exactly: by bounds of all rows, then one by one.

For one probe or two a look at all codes lists some rows and bounds the others (`shortlist`). Where
that does not settle it, and for more probes, one look at all vectors, in eight bits, bfloat16 or
float32, bounds what the best row of each small block can score (`bounds`). Blocks are taken from
the highest bound down until no other can hold one of the best; their rows are multiplied in
float32, and those whose place is not settled by it in float64. So the answer does not depend on
which product was quick, on the number of probes, or on how many people are asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import guard
from recognition.embeddings import Floats, as_scores, unit_rows
from recognition.search.bounds import block_bounds
from recognition.search.quantised import Quantised, Singles, quantise
from recognition.search.shortlist import shortlists

Places = npt.NDArray[np.int64]

BLOCK = 32  # rows bounded together
TOGETHER = 1024  # probes bounded together
AHEAD = 8  # blocks looked at beyond the number of people asked for
FEW = 2  # probes for each of which all codes are read


class Part(NamedTuple):
    """Vectors that are searched, each of a person.

    Attributes:
        rows: (n, D) vectors with their eight bits.
        people: (n,) number of the person.
        alive: (n,) whether the row is still to be found.
    """

    rows: Quantised
    people: Places
    alive: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, vectors: Singles, people: Places) -> Self:
        """Vectors nobody has removed yet.

        Raises:
            InputError: a row without a direction, or one that is not finite.
        """
        return cls(quantise(vectors), people, np.ones(len(vectors), bool))

    def __repr__(self) -> str:
        """Without the vectors: they are somebody's."""
        return f"Part({len(self.rows)} vectors)"


class Hit(NamedTuple):
    """A person found: number, score, and the place of the best row, part by part."""

    person: int
    score: float
    part: int
    place: int


def best_people(
    parts: Sequence[Part], probes: Floats, k: int, *, numbers: str = "quickest"
) -> list[list[Hit]]:
    """The k people most alike each of (m, D) unit probes, by their best row.

    Scores are products of unit rows in float64, rounded by `as_scores`. Equal ones are listed by
    number of the person; where the k-th and the next are equal, all equals are listed, so there
    may be more than k, and the caller can choose among them. Of equal rows of a person the first
    is named. `numbers` is what all vectors are looked at in: `float32`, `int8` where the machine
    has its product, or what is `quickest`; the answer is the same.
    """
    if len(probes) <= FEW and numbers != "float32":
        listed = [_by_shortlist(parts, probe, k) for probe in probes]
    else:
        listed = [None] * len(probes)
    left = [at for at, hits in enumerate(listed) if hits is None]
    others = iter(_by_blocks(parts, probes[left], k, numbers))
    return [next(others) if hits is None else hits for hits in listed]


def _by_shortlist(parts: Sequence[Part], probe: Floats, k: int) -> list[Hit] | None:
    """The people, if no row that is not listed can be one of the best."""
    lists = shortlists([part.rows for part in parts], probe)
    if lists is None:
        return None
    found = _Found(parts, probe, k)
    upper = np.concatenate([one.upper for one in lists]) if lists else np.empty(0, np.float32)
    firsts = np.cumsum([0, *(len(one.upper) for one in lists)])

    def look_at(some: Places) -> None:
        for number, rows in _by_part(some, firsts):
            found.look_at(number, lists[number].places[rows])

    _downwards(found, upper, look_at)
    settled = all(one.rest < found.floor or one.rest == -np.inf for one in lists)
    return found.hits() if settled else None


def _by_blocks(parts: Sequence[Part], probes: Floats, k: int, numbers: str) -> Iterator[list[Hit]]:
    for start in range(0, len(probes), TOGETHER):
        some = probes[start : start + TOGETHER]
        bounds = [block_bounds(part.rows, part.alive, some, BLOCK, numbers) for part in parts]
        for at, probe in enumerate(some):
            yield _by_bounds(parts, [bound[at] for bound in bounds], probe, k)


def _by_bounds(parts: Sequence[Part], bounds: list[Singles], probe: Floats, k: int) -> list[Hit]:
    found = _Found(parts, probe, k)
    upper = np.concatenate(bounds) if bounds else np.empty(0, np.float32)
    firsts = np.cumsum([0, *(len(bound) for bound in bounds)])

    def look_at(some: Places) -> None:
        for number, blocks in _by_part(some, firsts):
            places = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
            found.look_at(number, places[places < len(parts[number].rows)])

    _downwards(found, upper, look_at)
    return found.hits()


def _by_part(some: Places, firsts: Places) -> Iterator[tuple[int, Places]]:
    """Numbers counted through all parts, as each part counts them."""
    which = np.searchsorted(firsts, some, side="right") - 1
    for number in np.unique(which).tolist():
        yield number, some[which == number] - firsts[number]


def _downwards(found: "_Found", upper: Singles, look_at: Callable[[Places], None]) -> None:
    """Look at what may score most, and on until nothing else can be among the best."""
    wanted = found.k + AHEAD
    first = (
        np.argpartition(-upper, wanted)[:wanted] if wanted < len(upper) else np.arange(len(upper))
    )
    look_at(first[upper[first] > -np.inf])
    found.raise_floor()
    upper[first] = -np.inf
    rest = np.flatnonzero(upper >= max(found.floor, np.finfo(np.float32).min))
    rest = rest[np.argsort(-upper[rest], kind="stable")]
    while len(rest):
        wanted *= 2
        look_at(rest[:wanted])
        found.raise_floor()
        rest = rest[wanted:]
        rest = rest[upper[rest] >= found.floor]


class _Found:
    """Rows that may be among the best, and how good one has to be."""

    def __init__(self, parts: Sequence[Part], probe: Floats, k: int) -> None:
        self.parts, self.probe, self.k = parts, probe, k
        self.single = probe.astype(np.float32)
        self.guard = np.float32(2 * guard(len(probe)))
        self.floor = np.float32(-np.inf)
        self.rows: list[tuple[int, Places, Singles]] = []

    def look_at(self, number: int, places: Places) -> None:
        """Rows of a part, in any order."""
        part = self.parts[number]
        places = np.sort(places[part.alive[places]])
        # by one thread: those of a product would spin on while the next search needs its core
        scores = np.einsum("ij,j->i", part.rows.vectors[places], self.single)
        scores /= part.rows.lengths[places]
        keep = scores >= self.floor
        self.rows.append((number, places[keep], scores[keep]))

    def raise_floor(self) -> None:
        """The k-th best person's score, less what float32 may be off on either side."""
        if not self.rows:
            return
        people = np.concatenate([self.parts[n].people[p] for n, p, _ in self.rows])
        scores = np.concatenate([s for _, _, s in self.rows])
        order = np.argsort(-scores, kind="stable")
        _, first = np.unique(people[order], return_index=True)
        if len(first) >= self.k:
            kth = scores[order[np.sort(first)[self.k - 1]]]
            self.floor = max(self.floor, np.float32(kth - 2 * self.guard))

    def hits(self) -> list[Hit]:
        best: dict[int, Hit] = {}
        for number, places, rough in self.rows:
            part = self.parts[number]
            places = places[rough >= self.floor]
            if not len(places):
                continue
            unit = unit_rows(part.rows.vectors[places])
            scores = as_scores(np.einsum("ij,j->i", unit, self.probe))
            for person, score, place in zip(
                part.people[places].tolist(), scores.tolist(), places.tolist(), strict=True
            ):
                one = Hit(person, score, number, place)
                other = best.get(person)
                if other is None or (-score, number, place) < (-other.score, *other[2:]):
                    best[person] = one
        ranked = sorted(best.values(), key=lambda hit: (-hit.score, hit.person))
        last = ranked[self.k - 1].score if len(ranked) > self.k else -np.inf
        return [hit for hit in ranked if hit.score >= last]
