"""False matches by who was taken for whom: counted at one threshold, or at one after the other."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Counts, Floats, Similarities
from recognition.metrics.meetings import TABLED, Meetings, People, codes_of

TABLE_PER_SCORE = 16  # sorting a score takes as long as adding up so many pairs of people

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
    groups = grouped(scores, thresholds)[:0:-1]
    few = len(meetings.of) ** 2 * len(groups) <= TABLE_PER_SCORE * len(scores)
    counted = _table_by_table if few else _pair_by_pair
    return counted(persons, meetings, groups)


def _table_by_table(persons: People, meetings: Meetings, groups: list[Codes]) -> Iterator[Matches]:
    """Of few people: whole tables of all pairs of them are added up."""
    people = len(meetings.of)
    seen, met = np.zeros((2, people**2))
    for group in groups:
        often = np.bincount(codes_of(persons[group], people), minlength=people**2)
        new = np.flatnonzero((often > 0) & (seen == 0))
        met[new] = _met(new, meetings)
        seen += often
        table = seen.reshape(people, people)
        errors = (table.sum(axis=0) + table.sum(axis=1)).astype(np.int64)
        yield Matches(int(seen.sum()), errors, float(seen @ seen), float(seen @ met))


def _pair_by_pair(persons: People, meetings: Meetings, groups: list[Codes]) -> Iterator[Matches]:
    """Of many people: only those pairs of them are looked at that the group has."""
    people = len(meetings.of)
    place, seen = _places(persons, people, groups)
    count, errors = 0, np.zeros(people, np.int64)
    squares = crossed = 0.0
    for group in groups:
        if len(group):
            own = persons[group]
            found, often = np.unique(codes_of(own, people), return_counts=True)
            at = place(found)
            squares += float((often * (2 * seen[at] + often)).sum())
            crossed += float((often * _met(found, meetings)).sum())
            seen[at] += often
            count += len(group)
            errors += np.bincount(own.ravel(), minlength=people)
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
