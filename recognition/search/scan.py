"""The people most alike a probe, exactly: by bounds of whole blocks of rows, then one by one.

One look at all vectors, in eight bits, bfloat16 or float32, bounds what the best row of each small
block can score (`bounds`). Blocks are taken from the highest bound down until no other can hold one of the best;
their rows are multiplied in float32, and those whose place is not settled by it in float64. So the
answer does not depend on which product was quick, on the number of probes, or on how many people
are asked for.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import guard
from recognition.embeddings import Floats, as_scores, unit_rows
from recognition.search.bounds import block_bounds
from recognition.search.quantised import Quantised, Singles, quantise

Places = npt.NDArray[np.int64]

BLOCK = 32  # rows bounded together
TOGETHER = 1024  # probes bounded together
AHEAD = 8  # blocks looked at beyond the number of people asked for


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
    found = []
    for start in range(0, len(probes), TOGETHER):
        some = probes[start : start + TOGETHER]
        bounds = [block_bounds(part.rows, part.alive, some, BLOCK, numbers) for part in parts]
        found += [
            _search(parts, [bound[at] for bound in bounds], probe, k)
            for at, probe in enumerate(some)
        ]
    return found


def _search(parts: Sequence[Part], bounds: list[Singles], probe: Floats, k: int) -> list[Hit]:
    upper = np.concatenate(bounds) if bounds else np.empty(0, np.float32)
    firsts = np.cumsum([0, *(len(bound) for bound in bounds)])
    found = _Found(parts, probe, k)
    wanted = k + AHEAD
    first = (
        np.argpartition(-upper, wanted)[:wanted] if wanted < len(upper) else np.arange(len(upper))
    )
    found.look_at(first[upper[first] > -np.inf], firsts)
    upper[first] = -np.inf
    rest = np.flatnonzero(upper >= max(found.floor, np.finfo(np.float32).min))
    rest = rest[np.argsort(-upper[rest], kind="stable")]
    while len(rest):
        wanted *= 2
        found.look_at(rest[:wanted], firsts)
        rest = rest[wanted:]
        rest = rest[upper[rest] >= found.floor]
    return found.hits()


class _Found:
    """Rows that may be among the best, and how good one has to be."""

    def __init__(self, parts: Sequence[Part], probe: Floats, k: int) -> None:
        self.parts, self.probe, self.k = parts, probe, k
        self.single = probe.astype(np.float32)
        self.guard = np.float32(2 * guard(len(probe)))
        self.floor = np.float32(-np.inf)
        self.rows: list[tuple[int, Places, Singles]] = []

    def look_at(self, blocks: Places, firsts: Places) -> None:
        if not len(blocks):
            return
        which = np.searchsorted(firsts, blocks, side="right") - 1
        for number in np.unique(which):
            part = self.parts[number]
            starts = (blocks[which == number] - firsts[number]) * BLOCK
            places = (starts[:, None] + np.arange(BLOCK)).ravel()
            places = places[places < len(part.rows)]
            places = np.sort(places[part.alive[places]])
            # by one thread: those of a product would spin on while the next search needs its core
            scores = np.einsum("ij,j->i", part.rows.vectors[places], self.single)
            scores /= part.rows.lengths[places]
            keep = scores >= self.floor
            self.rows.append((int(number), places[keep], scores[keep]))
        self._raise_floor()

    def _raise_floor(self) -> None:
        """The k-th best person's score, less what float32 may be off on either side."""
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
