"""What most numbers of separability are made of: means and scatter of everybody's pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recognition.embeddings import Floats, People, people_of, unit_rows
from recognition.errors import InputError
from recognition.progress import Watch, unwatched

CELLS = 2**21  # numbers of a block, 16 MiB
NOTHING = 64 * np.finfo(np.float64).eps  # a length that rounding leaves of zero


class Features(NamedTuple):
    """Embeddings that passed the door: `unit` (N, D) rows of length 1, and who is on each."""

    unit: Floats
    people: People


def features_of(embeddings: npt.ArrayLike, labels: npt.ArrayLike) -> Features:
    """Unit embeddings and their people, which all measures of separability start from.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture.

    Raises:
        InputError: embeddings without a direction, labels that do not fit them, or fewer than
            two people.
    """
    unit = unit_rows(embeddings)
    people = people_of(labels, len(unit))
    if len(people.names) < 2:
        raise InputError(
            f"expected at least 2 people to keep apart, got {len(people.names)}; add people"
        )
    return Features(unit, people)


def blocks_of(
    rows: int, columns: int, watch: Watch = unwatched, what: str = "separability"
) -> Iterator[slice]:
    """Slices of so many rows that each, times `columns`, is about CELLS numbers; watched."""
    step = max(1, CELLS // columns)
    with watch(what, rows) as advance:
        for start in range(0, rows, step):
            part = slice(start, min(start + step, rows))
            yield part
            advance(part.stop)


@dataclass(frozen=True)
class ClassMoments:
    """Means and scatter of N unit embeddings of C people.

    Attributes:
        people: names, and who is on each picture.
        means: (C, D) m_c, the mean of a person's embeddings; shorter than 1.
        centre: (D,) m, the mean of all N.
        within: (D, D) S_W = (1/N) Σ_c Σ_{i in c} (x_i - m_c)(x_i - m_c)ᵀ.
        squares: (C,) Σ_{i in c} ‖x_i - m_c‖².
        lengths: (C,) Σ_{i in c} ‖x_i - m_c‖.
    """

    people: People
    means: Floats
    centre: Floats
    within: Floats
    squares: Floats
    lengths: Floats

    @cached_property
    def pictures(self) -> npt.NDArray[np.int64]:
        """(C,) n_c."""
        return self.people.pictures

    @property
    def total(self) -> int:
        """N."""
        return len(self.people.codes)

    @cached_property
    def apart(self) -> Floats:
        """(C, D) m_c - m; exactly 0 where only rounding differs."""
        return settled(self.means - self.centre)

    @property
    def trace_within(self) -> float:
        """Tr S_W, the mean squared distance of a picture to its person's mean."""
        return float(self.squares.sum() / self.total)

    @property
    def trace_between(self) -> float:
        """Tr S_B with S_B = (1/N) Σ_c n_c (m_c - m)(m_c - m)ᵀ."""
        return float(self.pictures @ (self.apart**2).sum(axis=1) / self.total)


def class_moments(features: Features, *, watch: Watch = unwatched) -> ClassMoments:
    """Means first, then the scatter around them, so that nothing is lost to cancellation.

    Time is N D², memory a block of rows beside (C, D) and (D, D).

    >>> found = class_moments(features_of([[1, 0], [0, 1], [-1, 0]], ["ann", "ann", "bob"]))
    >>> found.means, found.squares
    (array([[ 0.5,  0.5],
           [-1. ,  0. ]]), array([1., 0.]))
    """
    unit, people = features
    pictures = people.pictures
    n, dim = unit.shape
    one_each = (np.ones(n), (people.codes, np.arange(n)))
    sums: Floats = sparse.csr_array(one_each, shape=(len(pictures), n)) @ unit
    means = sums / pictures[:, None]
    within = np.zeros((dim, dim))
    squares, lengths = np.zeros(len(pictures)), np.zeros(len(pictures))
    for part in blocks_of(n, dim, watch, "scatter"):
        codes = people.codes[part]
        beside = settled(unit[part] - means[codes])
        far = np.linalg.norm(beside, axis=1)
        within += beside.T @ beside
        squares += np.bincount(codes, far**2, len(pictures))
        lengths += np.bincount(codes, far, len(pictures))
    return ClassMoments(people, means, sums.sum(axis=0) / n, within / n, squares, lengths)


def settled(rows: Floats) -> Floats:
    """The rows, those of a length that is only rounding set to exactly 0."""
    rows[np.linalg.norm(rows, axis=1) < NOTHING] = 0
    return rows


def squared_distances(means: Floats, part: slice) -> Floats:
    """(b, C) ‖m_a - m_k‖² of the rows of a part to all (C, D) rows, that to itself infinite.

    By products; a row with another one so near that these cancel is done again by differences.
    """
    from scipy.spatial.distance import cdist

    rows, own = means[part], np.arange(part.start, part.stop)
    lengths = (means**2).sum(axis=1)
    along = lengths[part, None] + lengths
    found: Floats = along - 2 * rows @ means.T
    found[own - part.start, own] = np.inf
    near = (found < 1e-3 * along).any(axis=1)
    if near.any():
        found[near] = cdist(rows[near], means, "sqeuclidean")
        found[own - part.start, own] = np.inf
    return found
