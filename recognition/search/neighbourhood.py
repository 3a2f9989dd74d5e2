"""The nearest others of every picture, by faiss: the only door to it.

faiss multiplies in float32, whose last digits depend on how many rows are multiplied at once, and
lists equal scores in an order that depends on k. So it only proposes: whatever could be among the
best, by the bound of `comparisons.product.guard`, is scored again in float64 and rounded, as all
other scores are, and rows for which its list cannot be shown to hold the best are done in full.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import guard
from recognition.embeddings import Floats, People, as_scores, people_of, require_pairs, unit_rows
from recognition.errors import InputError
from recognition.metrics.neighbourhood import Neighbourhood, Places, Singles
from recognition.progress import Watch, unwatched
from recognition.search.score_blocks import score_blocks

SPARE = 16  # candidates beyond a person's own pictures and k
CELLS = 2**20  # candidates in memory at a time, some 50 MiB with what sorts them
NUMBERS = 2**22  # numbers gathered at a time to score candidates again


def find_neighbours(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, *, k: int = 10, watch: Watch = unwatched
) -> Neighbourhood:
    """The k nearest other pictures of each, the nearest of its person and of anybody else.

    A picture is taken out of what it searches by its row, not by its score, so another copy of it
    stays in. Equal scores are listed by row. A person with more pictures than k has its nearest
    impostor found all the same. What comes does not depend on blocks or threads.

    Time grows with N²; memory is the embeddings in float64 and float32, a block of candidates, and
    the result.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture.
        k: how many neighbours; all N - 1 where there are fewer.
        watch: told how many pictures are done.

    Raises:
        InputError: embeddings without a direction, labels that do not fit them, fewer than two
            people, nobody with two pictures, or a k below 1.

    >>> found = find_neighbours([[1, 0], [3, 1], [1, 1], [0, 1]], ["a", "a", "b", "b"], k=2)
    >>> found.neighbours.tolist(), found.impostor_place.tolist()
    ([[1, 2], [0, 2], [1, 0], [2, 1]], [2, 2, 1, 1])
    """
    if k < 1:
        raise InputError(f"expected at least 1 neighbour, got {k}; 10 are usual")
    unit = unit_rows(embeddings)
    people = people_of(labels, len(unit))
    require_pairs(people)
    task = _Task(unit, unit.astype(np.float32), people.codes, min(k, len(unit) - 1))
    best = _Best.empty(len(unit), task.k)
    with watch("searching neighbours", len(unit)) as advance:
        left, done = [], 0
        for rows, width in _batches(people.pictures[people.codes], task.k, len(unit)):
            missed = task.propose(rows, width, best)
            left.append(missed)
            done += len(rows) - len(missed)
            advance(done)
        for rows in _parts(np.concatenate(left), len(unit)):
            task.in_full(rows, best)
            done += len(rows)
            advance(done)
    own = _nearest_own(unit, people)
    return Neighbourhood(
        people, best.neighbours, best.scores, own, best.impostor, best.impostor_place
    )


class _Best(NamedTuple):
    """What is filled row by row."""

    neighbours: Places
    scores: Singles
    impostor: Singles
    impostor_place: Places

    @classmethod
    def empty(cls, n: int, k: int) -> "_Best":
        return cls(
            np.empty((n, k), np.int64),
            np.empty((n, k), np.float32),
            np.empty(n, np.float32),
            np.empty(n, np.int64),
        )

    def put(self, rows: Places, found: "_Best", which: npt.NDArray[np.bool_]) -> None:
        """Take over those of what was found that are of these rows."""
        self.neighbours[rows] = found.neighbours[which]
        self.scores[rows] = found.scores[which]
        self.impostor[rows] = found.impostor[which]
        self.impostor_place[rows] = found.impostor_place[which]


class _Task(NamedTuple):
    """What is searched, in both precisions."""

    unit: Floats  # (N, D)
    single: Singles  # (N, D)
    codes: npt.NDArray[np.int64]  # (N,)
    k: int

    def propose(self, rows: Places, width: int, best: _Best) -> Places:
        """Fill what a list of `width` candidates of each row decides; the rows it does not.

        With g the guard, a candidate is scored again if its own score is within 2 g of the k-th
        or of the best impostor: nothing below can be among the best. What was not listed has at
        most the last score listed plus g: if the best do not all exceed this, the row is left.
        """
        if 2 * width >= len(self.unit):  # then the list is no shorter a way
            return rows
        g = guard(self.unit.shape[1])
        scores, places = _search(self.single[rows], self.single, width)
        unseen = scores.min(axis=1).astype(np.float64) + g
        scores[places == rows[:, None]] = -np.inf
        others = self.codes[places] != self.codes[rows][:, None]
        kth = np.partition(scores, -self.k, axis=1)[:, -self.k].astype(np.float64)
        first = np.where(others, scores, -np.inf).max(axis=1).astype(np.float64)
        wanted = scores >= (kth - 2 * g)[:, None]
        wanted |= others & (scores >= (first - 2 * g)[:, None])
        wanted &= scores > -np.inf
        exact = np.full(scores.shape, -np.inf, np.float32)
        row, column = np.nonzero(wanted)
        exact[row, column] = self._scored(rows[row], places[row, column])
        filled = _ranked(exact, places, others, self.k)
        sure = np.minimum(filled.scores[:, -1], filled.impostor) > unseen
        best.put(rows[sure], filled, sure)
        left: Places = rows[~sure]
        return left

    def _scored(self, one: Places, other: Places) -> Singles:
        """(M,) x_i · y_j of pairs of rows, as in `score_blocks`."""
        found = np.empty(len(one))
        step = max(1, NUMBERS // self.unit.shape[1])
        for start in range(0, len(one), step):
            part = slice(start, start + step)
            found[part] = np.einsum("ij,ij->i", self.unit[one[part]], self.unit[other[part]])
        return as_scores(found)

    def in_full(self, rows: Places, best: _Best) -> None:
        """Fill rows by all their scores."""
        for part, block in score_blocks(self.unit[rows], self.unit):
            here = rows[part]
            block[np.arange(len(here)), here] = -np.inf
            for row, scores in zip(here, block, strict=True):
                kth = np.partition(scores, -self.k)[-self.k]
                listed = np.flatnonzero(scores >= kth)  # by row; ties with the k-th among them
                listed = listed[np.argsort(-scores[listed], kind="stable")[: self.k]]
                rival = int(np.where(self.codes != self.codes[row], scores, -np.inf).argmax())
                best.neighbours[row], best.scores[row] = listed, scores[listed]
                best.impostor[row], best.impostor_place[row] = scores[rival], rival


def _ranked(scores: Singles, places: Places, others: npt.NDArray[np.bool_], k: int) -> _Best:
    """The k best of each row and the best of `others`, equal scores by place."""
    by_place = np.argsort(places, axis=1)
    scores = np.take_along_axis(scores, by_place, axis=1)
    places = np.take_along_axis(places, by_place, axis=1)
    others = np.take_along_axis(others, by_place, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    rival = np.where(others, scores, -np.inf).argmax(axis=1)  # the first of equals
    rows = np.arange(len(scores))
    return _Best(
        np.take_along_axis(places, order, axis=1),
        np.take_along_axis(scores, order, axis=1),
        np.where(others[rows, rival], scores[rows, rival], np.float32(-np.inf)),
        places[rows, rival],
    )


def _batches(own: Places, k: int, n: int) -> Iterator[tuple[Places, int]]:
    """Rows, and how many candidates each needs: its person's pictures, k more, and some spare.

    Widths are powers of two, and rows of one width come together.
    """
    widths = 2 ** np.ceil(np.log2(own + k + SPARE)).astype(np.int64)
    for width in np.unique(widths):
        rows = np.flatnonzero(widths == width)
        step = max(1, CELLS // int(min(width, n)))
        for start in range(0, len(rows), step):
            yield rows[start : start + step], int(width)


def _parts(rows: Places, n: int) -> Iterator[Places]:
    """Rows, as many at a time as make a block of scores."""
    step = max(32, CELLS // n)
    return (rows[start : start + step] for start in range(0, len(rows), step))


def _search(queries: Singles, base: Singles, width: int) -> tuple[Singles, Places]:
    """The `width` highest products of each query with the base, and their rows."""
    import faiss

    with by_products():
        scores, places = faiss.knn(queries, base, width, metric=faiss.METRIC_INNER_PRODUCT)
    return scores, places


@contextmanager
def by_products() -> Iterator[None]:
    """Few queries by a product of matrices too: by default faiss then goes ten times slower."""
    import faiss

    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = 1
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = before


def _nearest_own(unit: Floats, people: People) -> Singles:
    """(N,) the best score to another picture of the same person, -inf for a single one."""
    order = np.argsort(people.codes, kind="stable")
    best = np.full(len(unit), -np.inf, np.float32)
    ends = np.cumsum(people.pictures)
    for end, pictures in zip(ends, people.pictures, strict=True):
        if pictures > 1:
            mine = order[end - pictures : end]
            rows = unit[mine]
            for part, block in score_blocks(rows, rows):
                here = np.arange(part.start, part.stop)
                block[here - part.start, here] = -np.inf
                best[mine[part]] = block.max(axis=1)
    return best
