"""How often people were compared with each other: what the errors between them are counted from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Floats
from recognition.errors import InputError

People = npt.NDArray[np.int32] | npt.NDArray[np.int64]

TABLED = 2**26  # pairs of people of which a table is made, in half a gigabyte


@dataclass(frozen=True)
class Meetings:
    """How often people were compared with each other.

    Attributes:
        of: (C,) M_i, the non-mated comparisons person i takes part in.
        total: M, all of them.
        squares: Σ_{i<j} m_ij².
        between: (K, 2) pairs of people -> (K,) m_ij.
    """

    of: Floats
    total: int
    squares: float
    between: Callable[[People], Floats]

    @classmethod
    def complete(cls, pictures: npt.NDArray[np.integer]) -> "Meetings":
        """Every picture against every picture of everybody else: m_ij = n_i n_j.

        Raises:
            InputError: pictures of fewer than two people.
        """
        n = np.asarray(pictures, np.float64)
        if n.ndim != 1 or (n > 0).sum() < 2 or n.min() < 0:
            raise InputError(
                f"expected pictures of at least 2 people, got {pictures!r}; without two there "
                "are no non-mated comparisons"
            )
        square = n**2

        def between(persons: People) -> Floats:
            one, two = n[persons].T
            met: Floats = one * two
            return met

        return cls(
            of=n * (n.sum() - n),
            total=int((n.sum() ** 2 - square.sum()) / 2),
            squares=float((square.sum() ** 2 - (square**2).sum()) / 2),
            between=between,
        )

    @classmethod
    def counted(cls, persons: People, people: int) -> "Meetings":
        """As often as the rows of `persons` (M, 2) say, in whichever order the two stand."""
        codes, met = np.unique(codes_of(persons, people), return_counts=True)

        def between(asked: People) -> Floats:
            found: Floats = met[np.searchsorted(codes, codes_of(asked, people))].astype(np.float64)
            return found

        of = np.bincount(persons.ravel(), minlength=people).astype(np.float64)
        return cls(of, len(persons), float((met.astype(np.float64) ** 2).sum()), between)

    @classmethod
    def listed(cls, first: People, second: People, people: int) -> "Meetings":
        """As often as two lists (M,) say, passing over pairs of one person with itself.

        For few people a table of all pairs of them is filled; for more, the list is sorted.
        """
        if people**2 > TABLED:
            apart = first != second
            return cls.counted(np.stack([first[apart], second[apart]], axis=1), people)
        codes = np.empty(len(first), np.int64)
        for at in range(0, len(codes), 2**18):  # a piece that the cache holds
            part = slice(at, at + 2**18)
            both = (side[part].astype(np.int64) for side in (first, second))
            codes[part] = codes_of(np.stack(list(both), axis=1), people)
        met = np.bincount(codes, minlength=people**2).reshape(people, people)  # i <= j
        np.fill_diagonal(met, 0)

        def between(asked: People) -> Floats:
            found: Floats = met.ravel()[codes_of(asked, people)].astype(np.float64)
            return found

        of = met.sum(axis=0) + met.sum(axis=1)
        squares = float(np.vdot(met, met))
        return cls(of.astype(np.float64), int(of.sum()) // 2, squares, between)


def codes_of(persons: People, people: int) -> npt.NDArray[np.int64]:
    """A whole number for each row of `persons` (M, 2), the same whichever of the two stands first."""
    one, two = persons.T.astype(np.int64)
    codes: npt.NDArray[np.int64] = np.minimum(one, two) * people + np.maximum(one, two)
    return codes
