"""Embeddings at the door: checked, brought to unit length in float64, and averaged by person."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.errors import InputError

Floats = npt.NDArray[np.float64]

GRID = 1.5 * 2.0**22  # the float64 numbers around it are 2^-30 apart
HOT = 2**15  # numbers rounded while they are in a core's own cache
CHECKED = 2**12  # rows looked at in float64 at a time


class People(NamedTuple):
    """Labels as numbers: `names` (C,) str sorted, `codes` (N,) the place of each label in it."""

    names: npt.NDArray[np.str_]
    codes: npt.NDArray[np.int64]

    @property
    def pictures(self) -> npt.NDArray[np.int64]:
        """(C,) how many pictures each person has."""
        return np.bincount(self.codes, minlength=len(self.names)).astype(np.int64)


def names_of(labels: npt.ArrayLike, *, what: str = "labels") -> npt.NDArray[np.str_]:
    """Labels (N,) as text, from text or whole numbers; floats may have been rounded together.

    Raises:
        InputError: labels that are neither, or not in one row.
    """
    try:
        given = np.asarray(labels)
    except ValueError as error:  # lists of different lengths
        raise InputError(f"{what} must be one name per picture ({error})") from None
    if given.dtype.kind == "O" and all(isinstance(x, str | int) for x in given.flat):
        given = given.astype(str)
    if given.ndim != 1 or (len(given) and given.dtype.kind not in "Uiu"):
        raise InputError(
            f"{what} must be one name (text or a whole number) per picture, not an array of "
            f"shape {given.shape} and type {given.dtype}; pass a flat list of names"
        )
    return given.astype(str)


def people_of(
    labels: npt.ArrayLike, pictures: int | None = None, *, what: str = "labels"
) -> People:
    """The people behind `labels` (N,): text or whole numbers, which are read as text.

    Raises:
        InputError: labels that are neither, or not as many as `pictures`.

    >>> people_of(["b", "a", "b"]).codes
    array([1, 0, 1])
    """
    given = names_of(labels, what=what)
    if pictures is not None and len(given) != pictures:
        raise InputError(
            f"{what} must name the person of each of {pictures} pictures, not of {len(given)}; "
            "pass one label per row of the embeddings"
        )
    names, codes = np.unique(given, return_inverse=True)
    return People(names, codes.astype(np.int64))


def require_pairs(people: People) -> None:
    """Refuse people among whom there is no pair of one person, or none of two.

    Raises:
        InputError: fewer than two people, or nobody with two pictures.
    """
    if len(people.names) < 2 or people.pictures.max() < 2:
        raise InputError(
            "expected at least 2 people, one of them with 2 pictures, but got "
            f"{len(people.names)} people with at most {people.pictures.max()}; add pictures"
        )


def unit_rows(embeddings: npt.ArrayLike, *, what: str = "embeddings") -> Floats:
    """Unit vectors x / ‖x‖, one for every row of an (N, D) array, in float64 whatever came.

    Each row is first divided by its largest component, so that neither 1e-300 nor 1e300 is lost
    in the squares.

    Raises:
        InputError: not a matrix of finite real numbers, or a row without a direction.

    >>> unit_rows([[3.0, 4.0]])
    array([[0.6, 0.8]])
    """
    given = np.asarray(embeddings)
    if given.ndim != 2 or 0 in given.shape or given.dtype.kind not in "fiu":
        raise InputError(
            f"{what} must be a matrix of real numbers, one picture a row, not an array of shape "
            f"{given.shape} and type {given.dtype}; pass shape (pictures, dimensions)"
        )
    rows = given.astype(np.float64)
    largest = np.abs(rows).max(axis=1, keepdims=True)  # NaN and inf survive a maximum
    _refuse(~np.isfinite(largest), f"{what} must be finite", "holds NaN or infinity")
    _refuse(largest == 0, f"{what} must have a direction", "is all zeros")
    rows /= largest
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def require_directions(embeddings: npt.ArrayLike, *, what: str = "embeddings") -> None:
    """Refuse what `unit_rows` refuses, with the same words, a chunk of the rows at a time.

    Raises:
        InputError: see `unit_rows`.
    """
    given = np.asarray(embeddings)
    if given.ndim != 2 or 0 in given.shape or given.dtype.kind not in "fiu":
        unit_rows(given, what=what)  # says what is wrong with it
    largest = np.empty((len(given), 1))
    for start in range(0, len(given), CHECKED):
        chunk = given[start : start + CHECKED].astype(np.float64)
        largest[start : start + CHECKED] = np.abs(chunk).max(axis=1, keepdims=True)
    unit_rows(largest, what=what)  # the largest component of a row without direction says so


def as_scores(
    products: Floats, out: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """Products of unit rows as scores: to the nearest multiple of 2^-30, in float32.

    That rounds away what the sums are off, also around 0, where float32 alone would keep it: equal
    pairs tie exactly, in whatever order and blocks the sums were made, but for the rare one whose
    product is as near to the middle of two scores as sums are off, 1e-16 or so, and that can get
    either of the two: none of 25 million random pairs of 512 numbers, summed in two orders. They
    are written into `out`, contiguous and of the same shape, where it is given.

    >>> as_scores(np.array([0.1 + 0.2 - 0.3, 0.5]))
    array([0. , 0.5], dtype=float32)
    """
    scores = np.empty(products.shape, np.float32) if out is None else out
    flat, rounded = products.reshape(-1), scores.reshape(-1)
    room = np.empty(min(HOT, len(flat)))
    for start in range(0, len(flat), HOT):
        part = flat[start : start + HOT]
        sums = np.add(part, GRID, out=room[: len(part)])
        sums -= GRID
        rounded[start : start + HOT] = sums
    return scores


def _refuse(bad: npt.NDArray[np.bool_], expected: str, came: str) -> None:
    if bad.any():
        raise InputError(
            f"{expected}, but row {int(bad.argmax())} {came} ({int(bad.sum())} such rows of "
            f"{len(bad)}); leave these pictures out and count them as failures to embed"
        )


def centres(unit: Floats, people: People) -> Floats:
    """ĉ_c = m_c / ‖m_c‖, m_c the mean of a person's unit embeddings (N, D) -> (C, D).

    Raises:
        InputError: a person whose unit embeddings cancel out.
    """
    order = np.argsort(people.codes, kind="stable")
    starts = np.searchsorted(people.codes[order], np.arange(len(people.names)))
    means = np.add.reduceat(unit[order], starts, axis=0) / people.pictures[:, None]
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    cancelled = norms[:, 0] < 64 * np.finfo(np.float64).eps  # what rounding leaves of zero
    if cancelled.any():
        raise InputError(
            f"the embeddings of {str(people.names[cancelled.argmax()])!r} cancel out, so their "
            "mean has no direction; expected pictures of one person to point the same way: "
            "check the labels"
        )
    unit_centres: Floats = means / norms
    return unit_centres
