"""Embeddings sorted by person: float32 rows to multiply fast, exact rows to decide by."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import Singles
from recognition.comparisons.threads import threads
from recognition.embeddings import Floats, as_scores, people_of, unit_rows
from recognition.errors import InputError

CHUNK = 1024  # rows in float64 at a time
GATHER = 64  # pairs whose rows stay in a core's own cache
Part = TypeVar("Part")


@dataclass(frozen=True)
class SortedRows:
    """N unit vectors in the order of their people; `place` k holds row order[k] as given.

    Attributes:
        given: (N, D) as they came, any float type, in memory or mapped from a file.
        order: (N,) the row of `given` at each place.
        codes: (N,) the person at each place, ascending.
        pictures: (C,) how many pictures each person has.
        largest: (N, 1) the largest component of each row.
        norms: (N, 1) the length of each row after division by it.
        rounded: (N, D) unit vectors in float32.
    """

    given: npt.NDArray[np.generic]
    order: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int32]
    pictures: npt.NDArray[np.int64]
    largest: Floats
    norms: Floats
    rounded: Singles

    def __len__(self) -> int:
        return len(self.order)

    @cached_property
    def ends(self) -> npt.NDArray[np.int64]:
        """(N,) the place after the last picture of the same person."""
        ends: npt.NDArray[np.int64] = np.cumsum(self.pictures)[self.codes]
        return ends

    @property
    def mated(self) -> int:
        """How many pairs show one person."""
        return int((self.pictures * (self.pictures - 1) // 2).sum())

    @property
    def nonmated(self) -> int:
        """How many pairs show two people."""
        return len(self) * (len(self) - 1) // 2 - self.mated

    def exact(self, places: npt.NDArray[np.int64] | slice) -> Floats:
        """The rows at these places in float64, bit for bit those of `unit_rows`."""
        rows = self.given[self.order[places]].astype(np.float64)
        rows /= self.largest[places]
        rows /= self.norms[places]
        return rows

    def scores(
        self, unit: Floats, rows: npt.NDArray[np.int64], places: npt.NDArray[np.int64]
    ) -> Singles:
        """The score of each of M pairs: unit[rows] (M,) against what is at `places` (M,).

        Σ_k u_k x_k in float64 is divided by the length of x afterwards, where no square of it can
        be too large: a third of the work of making its unit row first.
        """
        sums = np.empty(len(rows))
        wide = self.given.dtype.itemsize > 4
        for k in range(0, len(rows), GATHER):
            part = slice(k, k + GATHER)
            other = self.given[self.order[places[part]]].astype(np.float64)
            if wide:
                other /= self.largest[places[part]]
            sums[part] = np.einsum("ij,ij->i", unit[rows[part]], other)
        if not wide:
            sums /= self.largest[places, 0]
        sums /= self.norms[places, 0]
        return as_scores(sums)


def sort_rows(embeddings: npt.ArrayLike, labels: npt.ArrayLike) -> SortedRows:
    """Check, sort by person, and round the unit rows, with no float64 copy of the whole.

    Raises:
        InputError: embeddings that have no direction, labels that do not fit them, fewer than
            two people, or nobody with two pictures.
    """
    given = np.asarray(embeddings)
    if given.ndim != 2 or 0 in given.shape or given.dtype.kind not in "fiu":
        unit_rows(given)  # says what is wrong with it
    n, dim = given.shape
    people = people_of(labels, n)
    pictures = people.pictures
    if len(pictures) < 2 or pictures.max() < 2:
        raise InputError(
            "expected at least 2 people, one of them with 2 pictures, but got "
            f"{len(pictures)} people with at most {pictures.max()}; add pictures"
        )
    largest = np.empty((n, 1))
    parts = [slice(top, top + CHUNK) for top in range(0, n, CHUNK)]

    def measure(part: slice) -> None:
        chunk = given[part] if given.dtype.kind == "f" else given[part].astype(np.float64)
        np.maximum(chunk.max(axis=1), -chunk.min(axis=1), out=largest[part, 0])

    _in_threads(measure, parts)
    unit_rows(largest)  # the largest component of a row without direction says so: 0, NaN or inf
    order = np.argsort(people.codes, kind="stable")
    codes = people.codes[order].astype(np.int32)
    rounded = np.empty((n, dim), np.float32)
    rows = SortedRows(given, order, codes, pictures, largest[order], np.empty((n, 1)), rounded)

    def turn(part: slice) -> None:
        chunk = given[order[part]].astype(np.float64)
        chunk /= rows.largest[part]
        rows.norms[part] = np.linalg.norm(chunk, axis=1, keepdims=True)
        np.divide(chunk, rows.norms[part], out=chunk)
        rounded[part] = chunk

    _in_threads(turn, parts)
    return rows


def _in_threads(work: Callable[[Part], None], parts: list[Part]) -> None:
    with ThreadPoolExecutor(threads()) as pool:
        list(pool.map(work, parts))


def mated_scores(rows: SortedRows) -> tuple[Singles, npt.NDArray[np.int32]]:
    """Score and person of every pair that shows one person, in the order of `compare_all`."""
    counts = rows.pictures * (rows.pictures - 1) // 2
    starts, offsets = (np.cumsum(x) - x for x in (rows.pictures, counts))
    scores = np.empty(rows.mated, np.float32)

    def compare(people: npt.NDArray[np.intp]) -> None:
        n = int(rows.pictures[people[0]])
        places = starts[people][:, None] + np.arange(n)
        unit = rows.exact(places.ravel()).reshape(len(people), n, -1)
        at = offsets[people][:, None]
        for top in range(0, n, CHUNK):
            products = unit[:, top : top + CHUNK] @ unit.transpose(0, 2, 1)
            upper = np.arange(n) > np.arange(top, top + products.shape[1])[:, None]
            found = as_scores(products[:, upper])
            scores[at + np.arange(found.shape[1])] = found
            at = at + found.shape[1]

    _in_threads(compare, list(_alike(rows.pictures)))
    return scores, np.repeat(np.arange(len(counts)), counts).astype(np.int32)


def _alike(pictures: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.intp]]:
    """People with the same number of pictures, two at least, together a chunk of them."""
    for n in np.unique(pictures[pictures > 1]):
        people = np.flatnonzero(pictures == n)
        step = max(1, CHUNK // int(n))
        yield from (people[k : k + step] for k in range(0, len(people), step))


def spread_of_scores(rows: SortedRows) -> tuple[float, float]:
    """Mean m and Σ (s - m)² of the scores of all N² pairs (i, j), without looking at a pair.

    With x = μ + c, μ the mean row: m = ‖μ‖² and Σ (s - m)² = ‖Cᵀ C‖² + 2 N ‖C μ‖². Nothing cancels,
    however narrow the cone; float32 products of c put the sum off by a millionth of itself.
    """
    n, dim = rows.rounded.shape
    mean = rows.rounded.sum(axis=0, dtype=np.float64) / n
    gram, along = np.zeros((dim, dim)), 0.0
    for top in range(0, n, 4 * CHUNK):
        centred = rows.rounded[top : top + 4 * CHUNK] - mean.astype(np.float32)
        gram += centred.T @ centred
        along += float(np.square(centred @ mean.astype(np.float32), dtype=np.float64).sum())
    return float(mean @ mean), float(np.square(gram).sum()) + 2 * n * along
