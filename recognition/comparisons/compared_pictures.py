"""Which two pictures each score is of: what is known of a picture, asked of a comparison."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.embeddings import people_of

Rows = npt.NDArray[np.int64]


class Compared(NamedTuple):
    """The rows of both pictures of each comparison, in the order in which `Scores` has them."""

    mated: tuple[Rows, Rows]
    nonmated: tuple[Rows, Rows]


def all_pairs(labels: npt.ArrayLike) -> Compared:
    """Which pictures `compare_all` compares, pair by pair.

    >>> all_pairs(["b", "a", "b"]).mated
    (array([0]), array([2]))
    """
    codes = people_of(labels).codes
    order = np.argsort(codes, kind="stable")
    first, second = (order[side] for side in np.triu_indices(len(order), 1))
    return marked_pairs(first, second, codes[first] == codes[second])


def rows_of_mated(labels: npt.ArrayLike, places: Rows) -> tuple[Rows, Rows]:
    """Which pictures the mated scores at these places are of, without a list of all pairs.

    >>> rows_of_mated(["b", "a", "b", "b"], np.array([0, 2]))
    (array([0, 2]), array([2, 3]))
    """
    order, ends = _sorted(labels)
    after = np.arange(1, len(order) + 1)
    return _rows_at(order, after, ends - after, places)


def rows_of_nonmated(labels: npt.ArrayLike, places: Rows) -> tuple[Rows, Rows]:
    """Which pictures the non-mated scores at these places are of, without a list of all pairs.

    >>> rows_of_nonmated(["b", "a", "b"], np.array([1]))
    (array([1]), array([2]))
    """
    order, ends = _sorted(labels)
    return _rows_at(order, ends, len(order) - ends, places)


def _sorted(labels: npt.ArrayLike) -> tuple[Rows, Rows]:
    """The rows in the order of their people, and where the pictures of each one's person end."""
    people = people_of(labels)
    order = np.argsort(people.codes, kind="stable")
    return order, np.cumsum(people.pictures)[people.codes[order]]


def _rows_at(order: Rows, begin: Rows, counts: Rows, places: Rows) -> tuple[Rows, Rows]:
    """Of pairs listed row by row, each row with the `counts` ones from `begin` on."""
    starts = np.cumsum(counts) - counts
    one = np.searchsorted(starts, places, side="right") - 1
    return order[one], order[begin[one] + places - starts[one]]


def listed_pairs(labels: npt.ArrayLike, first: Rows, second: Rows) -> Compared:
    """Which pictures `compare_pairs` compares, pair by pair."""
    codes = people_of(labels).codes
    return marked_pairs(first, second, codes[first] == codes[second])


def marked_pairs(first: Rows, second: Rows, mated: npt.NDArray[np.bool_]) -> Compared:
    """Which pictures `compare_marked` compares, pair by pair."""
    return Compared((first[mated], second[mated]), (first[~mated], second[~mated]))
