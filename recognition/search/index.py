"""Indexes of people of any kind: what faiss proposes is scored again, and what it missed is missed.

An exact index gives the answer of `best_people`. An approximate one may miss a person, but never
misstates a score: of everybody proposed, all samples are scored in float64. Rows are numbered in
the order they were given, without faiss's maps of ids, which take the same id twice; rows that are
dead are masked in the search, since faiss cannot take a row out of a graph.
"""

from collections.abc import Sequence
from copy import copy
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import guard
from recognition.embeddings import Floats, as_scores, unit_rows
from recognition.errors import InputError
from recognition.progress import Watch, unwatched
from recognition.search.index_kinds import Exact, Hnsw, Ivf, Kind
from recognition.search.neighbourhood import by_products
from recognition.search.quantised import Singles
from recognition.search.scan import Hit, Part, best_people

Places = npt.NDArray[np.int64]

ADDED = 2**14  # rows added at a time
TRAINED = 64  # rows a cell is trained on
LEAST = 39  # faiss's own least
SPARE = 16  # rows proposed beyond the people asked for
WIDER = 4
BATCH = 256  # probes at a time
SEED = 1234


class Index(Protocol):
    """People who can be searched for."""

    @property
    def kind(self) -> Kind:
        """Of the index."""
        ...

    def best(self, probes: Floats, k: int) -> list[list[Hit]]:
        """The k people most alike each of (m, D) unit probes, as `best_people` lists them."""
        ...

    def masked(self, alive: npt.NDArray[np.bool_]) -> "Index":
        """The same, of which only these rows, counted through all parts, are found."""
        ...

    def row(self, hit: Hit) -> int:
        """The row of a hit, counted through all parts."""
        ...

    def nbytes(self) -> int:
        """What it holds in memory, beside the vectors themselves."""
        ...


def build_index(kind: Kind, parts: Sequence[Part], *, watch: Watch = unwatched) -> Index:
    """An index of everybody who is alive in the parts.

    Raises:
        InputError: too few rows for so many cells.
    """
    if isinstance(kind, Exact) and kind.numbers != "float16":
        return _Scan(kind, parts)
    return _Proposing(kind, parts, watch)


class _Scan:
    """All rows, by `best_people`."""

    def __init__(self, kind: Exact, parts: Sequence[Part]) -> None:
        self.kind: Kind = kind
        self.numbers = kind.numbers
        self.parts = parts

    def best(self, probes: Floats, k: int) -> list[list[Hit]]:
        return best_people(self.parts, probes, k, numbers=self.numbers)

    def masked(self, alive: npt.NDArray[np.bool_]) -> "_Scan":
        return _Scan(Exact(self.numbers), _masked(self.parts, alive))

    def row(self, hit: Hit) -> int:
        return hit.place + sum(len(part.rows) for part in self.parts[: hit.part])

    def nbytes(self) -> int:
        if self.numbers == "float32":
            return 0  # it multiplies the vectors themselves
        return sum(part.rows.codes.nbytes + 3 * part.rows.steps.nbytes for part in self.parts)


class _Proposing:
    """Rows that faiss proposes; the people on them are scored in full."""

    def __init__(self, kind: Kind, parts: Sequence[Part], watch: Watch) -> None:
        self.kind: Kind = kind
        self.parts = parts
        self.vectors = _Rows(parts)
        self.alive = np.concatenate([p.alive for p in parts]) if parts else np.empty(0, bool)
        self.order = np.argsort(self.vectors.people, kind="stable")
        self.sorted_people = self.vectors.people[self.order]
        self.index, self.off = _filled(kind, self.vectors, watch)

    def best(self, probes: Floats, k: int) -> list[list[Hit]]:
        found: list[list[Hit]] = []
        for start in range(0, len(probes), BATCH):
            found += self._best(probes[start : start + BATCH], k)
        return found

    def masked(self, alive: npt.NDArray[np.bool_]) -> "_Proposing":
        other = copy(self)
        other.alive = alive
        other.parts = _masked(self.parts, alive)
        return other

    def row(self, hit: Hit) -> int:
        return hit.place + int(self.vectors.firsts[hit.part])

    def nbytes(self) -> int:
        faiss = _faiss()
        return 0 if self.index is None else int(faiss.serialize_index(self.index).nbytes)

    def _best(self, probes: Floats, k: int) -> list[list[Hit]]:
        living = int(self.alive.sum())
        found: list[list[Hit]] = [[] for _ in probes]
        left, width = list(range(len(probes))), k + SPARE
        while left and living:
            if not self.kind.approximate and 2 * width >= living:
                for at, hits in zip(left, best_people(self.parts, probes[left], k), strict=True):
                    found[at] = hits
                break
            scores, rows = self._propose(probes[left].astype(np.float32), min(width, living))
            again = []
            for at, listed, places in zip(left, scores, rows, strict=True):
                hits = self._scored(probes[at], places[places >= 0])
                if self._settled(hits, listed, places, k, width >= living):
                    found[at] = first_people(hits, k)
                else:
                    again.append(at)
            left, width = again, width * WIDER
        return found

    def _settled(
        self, hits: list[Hit], scores: Singles, places: Places, k: int, whole: bool
    ) -> bool:
        """Whether more proposals would say no more: surely so, or as far as this kind goes."""
        if self.kind.approximate:
            return whole or len(hits) >= k or bool((places < 0).any())
        return len(hits) >= k and hits[k - 1].score > float(scores[-1]) + self.off

    def _propose(self, probes: Singles, width: int) -> tuple[Singles, Places]:
        with by_products():
            chosen = None if self.alive.all() else self._selector()
            search = _of_numpy(self.index, "search")
            scores, rows = search(probes, width, params=_params(self.kind, chosen))
        return scores, rows

    def _selector(self) -> Any:
        faiss = _faiss()
        return faiss.IDSelectorBitmap(np.packbits(self.alive, bitorder="little"))

    def _scored(self, probe: Floats, rows: Places) -> list[Hit]:
        """Everybody on some rows, by all their samples, the best first."""
        people = np.unique(self.vectors.people[rows])
        starts = np.searchsorted(self.sorted_people, people)
        ends = np.searchsorted(self.sorted_people, people, side="right")
        theirs = [self.order[a:b] for a, b in zip(starts, ends, strict=True)]
        if not theirs:
            return []
        every = np.concatenate(theirs)
        every = every[self.alive[every]]
        scores = as_scores(np.einsum("ij,j->i", unit_rows(self.vectors.take(every)), probe))
        best: dict[int, Hit] = {}
        for row, score in zip(every.tolist(), scores.tolist(), strict=True):
            person = int(self.vectors.people[row])
            if person not in best or score > best[person].score:  # the first of equal rows stays
                part, place = self.vectors.at(row)
                best[person] = Hit(person, score, part, place)
        return sorted(best.values(), key=lambda hit: (-hit.score, hit.person))


class _Rows:
    """The rows of all parts, counted through."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.firsts = np.cumsum([0, *(len(part.rows) for part in parts)])
        self.people = np.concatenate([p.people for p in parts]) if parts else np.empty(0, int)

    def at(self, row: int) -> tuple[int, int]:
        part = int(np.searchsorted(self.firsts, row, side="right")) - 1
        return part, row - int(self.firsts[part])

    def take(self, rows: Places) -> Singles:
        """Vectors as they were given."""
        which = np.searchsorted(self.firsts, rows, side="right") - 1
        out = np.empty((len(rows), self.parts[0].rows.vectors.shape[1]), np.float32)
        for part in np.unique(which):
            here = which == part
            out[here] = self.parts[part].rows.vectors[rows[here] - self.firsts[part]]
        return out

    def unit(self, rows: Places) -> Singles:
        return unit_rows(self.take(rows)).astype(np.float32)


def _masked(parts: Sequence[Part], alive: npt.NDArray[np.bool_]) -> list[Part]:
    ends = np.cumsum([len(part.rows) for part in parts])
    each = np.split(alive, ends[:-1]) if len(parts) else []
    return [part._replace(alive=mine) for part, mine in zip(parts, each, strict=True)]


def first_people(hits: Sequence[Hit], k: int) -> list[Hit]:
    """The k best, equal ones by number, and all that equal the k-th."""
    hits = sorted(hits, key=lambda hit: (-hit.score, hit.person))
    last = hits[k - 1].score if len(hits) > k else -np.inf
    return [hit for hit in hits if hit.score >= last]


def _filled(kind: Kind, rows: _Rows, watch: Watch) -> tuple[Any, float]:
    """The index with all rows in it, and how far its scores can be from those in float64."""
    count = int(rows.firsts[-1])
    if not count:
        return None, 0.0
    index = _empty(kind, rows.parts[0].rows.vectors.shape[1], count)
    if not index.is_trained:
        wanted = min(count, TRAINED * kind.nlist if isinstance(kind, Ivf) else ADDED)
        chosen = np.sort(np.random.default_rng(SEED).choice(count, wanted, replace=False))
        with watch("training the index", 1) as advance:
            index.train(rows.unit(chosen))
            advance(1)
    lost = 0.0
    with watch("building the index", count) as advance, by_products():
        for start in range(0, count, ADDED):
            part = rows.unit(np.arange(start, min(start + ADDED, count)))
            index.add(part)
            if not kind.approximate:
                made = _of_numpy(index, "reconstruct_n")(start, len(part))
                lost = max(lost, float(np.linalg.norm(made - part, axis=1).max()))
            advance(start + len(part))
    return index, 2 * lost + 2 * guard(index.d)


def _of_numpy(index: Any, name: str) -> Any:
    """Faiss's own method; who imports its `torch_utils`, for tensors, replaces it everywhere."""
    return getattr(index, f"{name}_numpy", getattr(index, name))


def _faiss() -> Any:
    """Its types are not told as they are."""
    return import_module("faiss")


def _empty(kind: Kind, dimension: int, count: int) -> Any:
    faiss = _faiss()
    half, metric = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    if isinstance(kind, Exact):
        return faiss.IndexScalarQuantizer(dimension, half, metric)
    if isinstance(kind, Hnsw):
        return faiss.IndexHNSWSQ(dimension, half, kind.m, metric)
    if count < LEAST * kind.nlist:
        raise InputError(
            f"{kind}: expected at least {LEAST * kind.nlist:,} samples for {kind.nlist} cells, got "
            f"{count:,}; take fewer cells, such as {max(1, count // (2 * LEAST))}, or exact"
        )
    cells = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFScalarQuantizer(cells, dimension, kind.nlist, half, metric, False)
    cells.this.disown()
    index.own_fields = True  # the cells live as long as it does
    index.cp.seed, index.cp.spherical = SEED, True
    return index


def _params(kind: Kind, selector: Any) -> Any:
    faiss = _faiss()
    chosen = {} if selector is None else {"sel": selector}
    if isinstance(kind, Ivf):
        return faiss.SearchParametersIVF(nprobe=kind.nprobe, **chosen)
    if isinstance(kind, Hnsw):
        return faiss.SearchParametersHNSW(efSearch=kind.ef, **chosen)
    return faiss.SearchParameters(**chosen) if chosen else None
