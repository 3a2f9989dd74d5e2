"""False matches by who was taken for whom: counted at one threshold, or at one after the other."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Counts, Floats, Similarities
from recognition.metrics.meetings import TABLED, Meetings, People, codes_of

Codes = npt.NDArray[np.int64]


class Matches(NamedTuple):
    """False matches, as far as the interval of their share depends on them.

    Attributes:
        total: how many there are.
        errors: (C,) E_i, those that person i takes part in.
        squares: Σ_{i<j} e_ij².
        crossed: Σ_{i<j} e_ij m_ij, for people who met m_ij times.
    """

    total: int
    errors: Counts
    squares: float
    crossed: float

    @classmethod
    def of(cls, persons: People, meetings: Meetings) -> "Matches":
        """Those between the people of each row (K, 2)."""
        people = len(meetings.of)
        codes, often = np.unique(codes_of(persons, people), return_counts=True)
        return cls(
            len(persons),
            np.bincount(persons.ravel(), minlength=people),
            float((often**2).sum()),
            float((often * _met(codes, meetings)).sum()),
        )


def at_each(
    scores: Similarities, persons: People, meetings: Meetings, thresholds: Floats
) -> Iterator[Matches]:
    """`Matches.of` those at or above each of the thresholds (T,), in descending order.

    Every comparison is counted once, where it is first accepted: O(K + T C). What is yielded
    holds until the next one.
    """
    people = len(meetings.of)
    groups = grouped(scores, thresholds)[:0:-1]
    place, seen = _places(persons, people, groups)
    count, errors = 0, np.zeros(people, np.int64)
    squares = crossed = 0.0
    for group in groups:
        if len(group):
            codes = codes_of(persons[group], people)
            found, often = np.unique(codes, return_counts=True)
            at = place(found)
            squares += float((often * (2 * seen[at] + often)).sum())
            crossed += float((often * _met(found, meetings)).sum())
            seen[at] += often
            count += len(group)
            errors += np.bincount(persons[group].ravel(), minlength=people)
        yield Matches(count, errors, squares, crossed)


def grouped(scores: Similarities, thresholds: Floats) -> list[Codes]:
    """T + 1 groups of places: those below all T ascending thresholds, at the first of them, ..."""
    reached = np.searchsorted(thresholds, scores, side="right").astype(np.uint16)
    order = np.argsort(reached, kind="stable")
    ends = np.cumsum(np.bincount(reached, minlength=len(thresholds) + 1))
    return np.split(order, ends[:-1])


def counted_below(
    scores: Similarities, persons: People, people: int, thresholds: Floats
) -> Iterator[Counts]:
    """(C,) of each person's scores, how many are below each of the ascending thresholds (T,)."""
    below = np.zeros(people, np.int64)
    for group in grouped(scores, thresholds)[:-1]:
        below = below + np.bincount(persons[group], minlength=people)
        yield below


def _met(codes: Codes, meetings: Meetings) -> Floats:
    return meetings.between(np.stack(np.divmod(codes, len(meetings.of)), axis=1))


def _places(
    persons: People, people: int, groups: list[Codes]
) -> tuple[Callable[[Codes], Codes], npt.NDArray[np.int32]]:
    """Where the count of each pair of people stands, and the counts, all 0."""
    if people**2 <= TABLED:
        return lambda codes: codes, np.zeros(people**2, np.int32)
    each = [np.unique(codes_of(persons[group], people)) for group in groups]
    known = np.unique(np.concatenate(each))
    return lambda codes: np.searchsorted(known, codes), np.zeros(len(known), np.int32)
