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
    return _by_kind(codes, first, second)


def listed_pairs(labels: npt.ArrayLike, first: Rows, second: Rows) -> Compared:
    """Which pictures `compare_pairs` compares, pair by pair."""
    return _by_kind(people_of(labels).codes, first, second)


def _by_kind(codes: Rows, first: Rows, second: Rows) -> Compared:
    same = codes[first] == codes[second]
    return Compared((first[same], second[same]), (first[~same], second[~same]))
