"""The people most alike a probe, exactly: by bounds of whole blocks of rows, then one by one.

One look at all vectors, in eight bits or in float32, bounds what the best row of each small block
can score. Blocks are taken from the highest bound down until no other can hold one of the best;
their rows are multiplied in float32, and those whose place is not settled by it in float64. So the
answer does not depend on which product was quick, on the number of probes, or on how many people
are asked for.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self, cast

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import guard
from recognition.embeddings import Floats, as_scores, unit_rows
from recognition.search.quantised import LARGEST, Codes, Quantised, Singles, quantise, slack

Places = npt.NDArray[np.int64]

BLOCK = 32  # rows bounded together
STEP = 2**16  # rows multiplied at a time
FEW = 16  # probes for which memory, not arithmetic, sets the pace
TRIALS = 3
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
    is named. Bounds from `numbers` float32, int8 or the quickest of them lead to the same answer.
    """
    if not len(probes):
        return []
    bounds = [_bounds(part, probes, numbers) for part in parts]
    return [
        _search(parts, [bound[:, at] for bound in bounds], probe, k)
        for at, probe in enumerate(probes)
    ]


def _bounds(part: Part, probes: Floats, numbers: str = "quickest") -> Singles:
    """(ceil(n / BLOCK), m) no row of a block scores more than this; -inf where none is alive."""
    product = _product(part, probes, numbers)
    blocks = -(-len(part.rows) // BLOCK)
    found = np.empty((blocks, len(probes)), np.float32)
    for start in range(0, len(part.rows), STEP):
        stop = min(start + STEP, len(part.rows))
        scores = product(slice(start, stop))
        scores[~part.alive[start:stop]] = -np.inf
        found[start // BLOCK : -(-stop // BLOCK)] = _highest(scores)
    return found


def _highest(scores: Singles) -> Singles:
    whole = len(scores) // BLOCK * BLOCK
    highest: Singles = scores[:whole].reshape(-1, BLOCK, scores.shape[1]).max(axis=1)
    if whole == len(scores):
        return highest
    return np.concatenate([highest, scores[whole:].max(axis=0, keepdims=True)])


def _product(part: Part, probes: Floats, numbers: str) -> Callable[[slice], Singles]:
    """Upper bounds of the scores of some rows, (n, m), by the quicker of two products."""
    floats = _Floats(part, probes)
    if numbers != "quickest":
        eight = _EightBits(part, probes)
        return eight if numbers == "int8" and len(part.rows) and eight.right() else floats
    if len(probes) > FEW or len(part.rows) < STEP:
        return floats
    eight = _EightBits(part, probes)
    return eight if _pays(eight, floats, *eight.codes.shape) else floats


_found: dict[tuple[int, ...], bool] = {}


def _pays(eight: "_EightBits", floats: "_Floats", *shape: int) -> bool:
    """Whether eight bits are right and quicker here: tried once for each number of probes."""
    if shape not in _found:
        _found[shape] = eight.right() and _pace(eight) < _pace(floats)
    return _found[shape]


def _pace(product: Callable[[slice], Singles]) -> float:
    seconds = []
    for _ in range(TRIALS):
        start = time.perf_counter()
        product(slice(0, STEP))
        seconds.append(time.perf_counter() - start)
    return min(seconds)


class _EightBits:
    """Upper bounds from products of codes, which are whole numbers and exact."""

    def __init__(self, part: Part, probes: Floats) -> None:
        self.rows = part.rows
        # probes in float32 differ from those in float64 by less than guard has for it
        coded = quantise(probes.astype(np.float32))
        self.codes = np.ascontiguousarray(coded.codes.T)
        self.steps = coded.steps
        self.lost = coded.lost

    def __call__(self, rows: slice) -> Singles:
        part = self.rows.part(rows)
        scores: Singles = _whole_product(part.codes, self.codes) * part.steps[:, None]
        scores *= self.steps
        scores += slack(part.lost[:, None], self.lost, len(self.codes))
        return scores

    def right(self) -> bool:
        """Whether this machine has the product, and it is exact where sums are largest."""
        rows = np.concatenate([self.rows.codes[:64], self.codes.T, -self.codes.T])
        extreme = np.full((3, len(self.codes)), LARGEST, np.int8)
        extreme[1] *= -1
        rows = np.concatenate([rows, extreme])
        try:
            product = _whole_product(rows, self.codes)
        except (AttributeError, RuntimeError):
            return False
        return bool((product == rows.astype(np.int64) @ self.codes.astype(np.int64)).all())


def _whole_product(rows: Codes, columns: Codes) -> npt.NDArray[np.int32]:
    import torch

    product = torch._int_mm(
        torch.from_numpy(np.require(rows, requirements="C")), torch.from_numpy(columns)
    )
    return cast(npt.NDArray[np.int32], product.numpy())


class _Floats:
    """Upper bounds from products in float32."""

    def __init__(self, part: Part, probes: Floats) -> None:
        self.part = part
        self.probes = probes.astype(np.float32).T
        self.guard = np.float32(2 * guard(len(self.probes)))

    def __call__(self, rows: slice) -> Singles:
        scores: Singles = self.part.rows.vectors[rows] @ self.probes
        scores /= self.part.rows.lengths[rows, None]
        scores += self.guard
        return scores


def _search(parts: Sequence[Part], bounds: list[Singles], probe: Floats, k: int) -> list[Hit]:
    upper = np.concatenate(bounds) if bounds else np.empty(0, np.float32)
    firsts = np.cumsum([0, *(len(bound) for bound in bounds)])
    order = np.argsort(-upper, kind="stable")
    order = order[: np.count_nonzero(upper > -np.inf)]
    found = _Found(parts, probe, k)
    taken, wanted = 0, k + AHEAD
    while taken < len(order):
        if upper[order[taken]] < found.floor:
            break
        blocks = order[taken : taken + wanted]
        blocks = blocks[upper[blocks] >= found.floor]
        found.look_at(blocks, firsts)
        taken += len(blocks)
        wanted *= 2
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
        which = np.searchsorted(firsts, blocks, side="right") - 1
        for number in np.unique(which):
            part = self.parts[number]
            starts = (blocks[which == number] - firsts[number]) * BLOCK
            places = (starts[:, None] + np.arange(BLOCK)).ravel()
            places = places[places < len(part.rows)]
            places = np.sort(places[part.alive[places]])
            scores = part.rows.vectors[places] @ self.single / part.rows.lengths[places]
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
