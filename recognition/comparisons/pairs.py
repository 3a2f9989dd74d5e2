"""Every picture against every other one, every score kept."""

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import ScoreLists, Scores
from recognition.embeddings import Floats, as_scores, people_of, require_pairs, unit_rows
from recognition.errors import InputError


def compare_all(embeddings: npt.ArrayLike, labels: npt.ArrayLike) -> Scores:
    """cos(x_i, x_j) for all pairs i < j of N pictures: N (N - 1) / 2 comparisons.

    Products are summed in float64 and rounded by `as_scores`: equal embeddings tie exactly, nothing
    leaves [-1, 1], and neither the order of the pictures nor the tiles the work is cut into show
    in a score.
    Beside the result (12 bytes a pair) a tile of 32 MiB is in memory.

    Args:
        embeddings: (N, D) real numbers of any float type, not necessarily normalised.
        labels: (N,) the person on each picture, text or whole numbers. People are numbered in
            the order of their names.

    Raises:
        InputError: embeddings that have no direction, labels that do not fit them, fewer than
            two people, or nobody with two pictures.

    >>> scores = compare_all([[1, 0], [1, 0], [0, 2]], ["ann", "ann", "bob"])
    >>> scores.mated, scores.nonmated
    (array([1.], dtype=float32), array([0., 0.], dtype=float32))
    """
    unit = unit_rows(embeddings)
    people = people_of(labels, len(unit))
    require_pairs(people)
    order = np.argsort(people.codes, kind="stable")
    return _compare_sorted(unit[order], people.codes[order], people.pictures)


def compare_pairs(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
) -> Scores:
    """cos(x_i, x_j) for the pairs of a list, each kind in the order of the list.

    Args:
        embeddings: (N, D), as for `compare_all`.
        labels: (N,) the person on each picture: they say which pairs are mated.
        first: (M,) rows of the embeddings.
        second: (M,) rows, one for each of the first.

    Raises:
        InputError: embeddings or labels that cannot be used, rows that do not exist or are not two
            by two, a picture paired with itself, no pair of one kind.

    >>> rows = np.array([0, 1]), np.array([1, 2])
    >>> scores = compare_pairs([[1, 0], [2, 0], [0, 2]], ["ann", "ann", "bob"], *rows)
    >>> scores.mated, scores.nonmated
    (array([1.], dtype=float32), array([0.], dtype=float32))
    """
    unit = unit_rows(embeddings)
    people = people_of(labels, len(unit))
    both = _rows(first, second, len(unit))
    cosines = _cosines(unit, both)
    persons = people.codes[both].astype(np.int32)
    mated = persons[0] == persons[1]
    return Scores(
        cosines[mated],
        cosines[~mated],
        persons[0, mated],
        persons[:, ~mated].T,
        len(people.names),
    )


def compare_marked(
    embeddings: npt.ArrayLike,
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    mated: npt.NDArray[np.bool_],
) -> ScoreLists:
    """cos(x_i, x_j) for the pairs of a list that alone says which are mated.

    Args:
        embeddings: (N, D), as for `compare_all`.
        first: (M,) rows of the embeddings.
        second: (M,) rows, one for each of the first.
        mated: (M,) whether both rows of a pair show one person; nobody knows whom.

    Raises:
        InputError: as for `compare_pairs`.

    >>> rows = np.array([0, 1]), np.array([1, 2])
    >>> compare_marked([[1, 0], [2, 0], [0, 2]], *rows, np.array([True, False])).mated
    array([1.], dtype=float32)
    """
    unit = unit_rows(embeddings)
    both = _rows(first, second, len(unit))
    if np.shape(mated) != both.shape[1:]:
        raise InputError(
            f"expected one mark for each of {both.shape[1]} pairs, got shape {np.shape(mated)}; "
            "pass mated of the same list"
        )
    cosines = _cosines(unit, both)
    return ScoreLists(cosines[mated], cosines[~mated])


def _rows(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], rows: int
) -> npt.NDArray[np.int64]:
    """Pairs of rows (2, M), each of two rows that exist."""
    if np.ndim(first) != 1 or np.shape(first) != np.shape(second):
        raise InputError(
            f"expected a second row for each first one, got shapes {np.shape(first)} and "
            f"{np.shape(second)}; pass two flat lists of rows"
        )
    both = np.stack([first, second])
    if both.size and not 0 <= both.min() <= both.max() < rows:
        raise InputError(
            f"expected pairs of rows below {rows}, got rows from {both.min()} to "
            f"{both.max()}; make the list of pairs for these embeddings"
        )
    alone = both[0] == both[1]
    if alone.any():
        raise InputError(
            f"expected pairs of two pictures, but row {both[0][alone][0]} is paired with itself; "
            "a picture is always like itself: leave such pairs out"
        )
    return both


def _cosines(unit: Floats, both: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The cosine of each pair (2, M), a block at a time."""
    step = max(1, 2**21 // unit.shape[1])
    parts = [
        as_scores(np.einsum("ij,ij->i", unit[a], unit[b]))
        for a, b in (both[:, at : at + step] for at in range(0, both.shape[1], step))
    ]
    return np.concatenate(parts or [np.empty(0, np.float32)])


def _compare_sorted(
    unit: Floats,
    codes: npt.NDArray[np.int64],
    pictures: npt.NDArray[np.int64],
    tile: int | None = None,
) -> Scores:
    """All pairs of rows that are sorted by person, so that each row splits into two slices."""
    n = len(unit)
    ends = np.cumsum(pictures)[codes]  # where the pictures of the row's person end
    mated_total = int((pictures * (pictures - 1) // 2).sum())
    mated = np.empty(mated_total, np.float32)
    nonmated = np.empty(n * (n - 1) // 2 - mated_total, np.float32)
    mated_person = np.empty(mated_total, np.int32)
    persons = np.empty((len(nonmated), 2), np.int32)
    numbers = codes.astype(np.int32)
    tile = tile or max(1, 2**22 // n)
    m = k = 0  # how many of each kind are written
    for top in range(0, n, tile):
        cosines = as_scores(unit[top : top + tile] @ unit[top:].T)
        for i, row in enumerate(cosines, start=top):
            end = int(ends[i])
            same, other = row[i - top + 1 : end - top], row[end - top :]
            mated[m : m + len(same)] = same
            mated_person[m : m + len(same)] = numbers[i]
            nonmated[k : k + len(other)] = other
            persons[k : k + len(other), 0] = numbers[i]
            persons[k : k + len(other), 1] = numbers[end:]
            m, k = m + len(same), k + len(other)
    return Scores(mated, nonmated, mated_person, persons, len(pictures))
