"""The pictures behind the errors: of two people the pairs most alike, of one person the least.

One bad picture, or one person under two names, must not fill a list. Among false matches any two
people are named once and no picture more than twice, among misses no person more than twice.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.compared_pictures import Compared, rows_of_mated, rows_of_nonmated
from recognition.comparisons.scores import ScoreLists
from recognition.comparisons.steps import Similarities
from recognition.comparisons.tally import Tally
from recognition.embeddings import people_of
from recognition.evaluation.rows import Listing, Section

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
RowsAt = Callable[[Rows], tuple[Rows, Rows]]  # places among scores -> both rows of each

MOST = 12  # pairs in a list
OFTEN = 2  # how often a picture is among false matches, and a person among misses
LOOKED_AT = 4096  # scores that are looked at first
FALSE_MATCHES, MISSES = "false-matches", "misses"
HEADINGS = ("picture", "person", "picture too", "person too", "score")
NOTE = (
    f"The worst pairs, at most {MOST} of each kind: no two people twice and no picture more than "
    "twice among the false matches, no person more than twice among the misses"
)


class Pairs(NamedTuple):
    """M pairs: the lower row of each (M,), the higher one, and the person on either."""

    first: Rows
    second: Rows
    person: Rows
    other: Rows


Spent = Callable[[Pairs, int, "Counter[int]"], Mask]  # what a pair that is listed leaves out


def worst_pairs(
    scores: ScoreLists,
    labels: npt.ArrayLike | None,
    *,
    ids: npt.ArrayLike | None = None,
    compared: Compared | None = None,
) -> tuple[Listing, Listing]:
    """The lists `false-matches` and `misses`; of equal scores the pair of the lowest rows is first.

    Args:
        scores: of all pairs of the pictures, or of those in `compared`.
        labels: (N,) the person on each picture; with `compared` None where nobody knows, and a
            picture then stands for its person.
        ids: (N,) names of the pictures; their rows if None.
        compared: the rows of each pair of a list; None for all pairs, as `compare_all` has them.
    """
    if compared is None:
        everyone = np.asarray(labels)
        mated: RowsAt = partial(rows_of_mated, everyone)
        nonmated: RowsAt = partial(rows_of_nonmated, everyone)
    else:
        mated, nonmated = _looked_up(compared.mated), _looked_up(compared.nonmated)
    return _listings((scores.nonmated, nonmated), (scores.mated, mated), labels, ids)


def worst_of_tally(
    tally: Tally, labels: npt.ArrayLike, *, ids: npt.ArrayLike | None = None
) -> tuple[Listing, Listing]:
    """The same of all pairs of a tally, whose tail knows the pictures of the highest scores.

    False matches are those of the tail: fewer than twelve where it holds fewer, which only happens
    where countless scores are equal or few people fill it.
    """
    one, other = tally.tail_pairs.T
    everyone = np.asarray(labels)
    return _listings(
        (tally.tail, _looked_up((one, other))),
        (tally.mated, partial(rows_of_mated, everyone)),
        labels,
        ids,
    )


def with_worst(section: Section, lists: tuple[Listing, ...]) -> Section:
    """Verification with these lists; any other section as it is."""
    if section.key != "verification":
        return section
    return replace(section, notes=(*section.notes, NOTE), lists=lists)


def _looked_up(rows: tuple[Rows, Rows]) -> RowsAt:
    return lambda places: (rows[0][places], rows[1][places])


def _listings(
    nonmated: tuple[Similarities, RowsAt],
    mated: tuple[Similarities, RowsAt],
    labels: npt.ArrayLike | None,
    ids: npt.ArrayLike | None,
) -> tuple[Listing, Listing]:
    scores, rows = mated
    false = _highest(*nonmated, labels, _people_or_pictures)
    lowest = _highest(-scores, rows, labels, _person)
    missed = [(one, other, -score) for one, other, score in lowest]
    return (
        _listing(FALSE_MATCHES, "Two people, most alike: false matches?", false, labels, ids),
        _listing(MISSES, "One person, least alike: misses?", missed, labels, ids),
    )


def _highest(
    scores: Similarities, rows: RowsAt, labels: npt.ArrayLike | None, spent: Spent
) -> list[tuple[int, int, float]]:
    """Both rows and the score of the highest pairs, the highest first."""
    codes = None if labels is None else people_of(labels).codes
    looked_at = LOOKED_AT
    while True:
        places = _from_the_top(scores, looked_at)
        pairs = _ordered(*rows(places), codes)
        chosen = _chosen(scores[places], pairs, spent)
        if len(chosen) == MOST or len(places) == len(scores):
            return [
                (int(pairs.first[at]), int(pairs.second[at]), float(scores[places[at]]))
                for at in chosen
            ]
        looked_at *= 64


def _from_the_top(scores: Similarities, want: int) -> Rows:
    """The places of the highest scores, so many and all that tie with the last of them."""
    if want >= len(scores):
        return np.arange(len(scores))
    last = np.partition(scores, len(scores) - want)[len(scores) - want]
    return np.flatnonzero(scores >= last)


def _ordered(one: Rows, other: Rows, codes: Rows | None) -> Pairs:
    first, second = np.minimum(one, other), np.maximum(one, other)
    if codes is None:
        return Pairs(first, second, first, second)
    return Pairs(first, second, codes[first], codes[second])


def _chosen(scores: Similarities, pairs: Pairs, spent: Spent) -> list[int]:
    """Places of the highest scores, one after the other, without what those before leave out."""
    left, listed, chosen = np.ones(len(scores), bool), Counter[int](), list[int]()
    while len(chosen) < MOST and left.any():
        best = scores.max(where=left, initial=-np.inf)
        ties = np.flatnonzero(left & (scores == best))
        place = int(ties[np.lexsort((pairs.second[ties], pairs.first[ties]))[0]])
        chosen.append(place)
        left &= ~spent(pairs, place, listed)
        left[place] = False
    return chosen


def _people_or_pictures(pairs: Pairs, place: int, listed: "Counter[int]") -> Mask:
    """Other pairs of the same two people, and those of a picture that is listed often enough."""
    two = {int(pairs.person[place]), int(pairs.other[place])}
    out: Mask = np.isin(pairs.person, list(two)) & np.isin(pairs.other, list(two))
    for picture in (int(pairs.first[place]), int(pairs.second[place])):
        listed[picture] += 1
        if listed[picture] == OFTEN:
            out |= (pairs.first == picture) | (pairs.second == picture)
    return out


def _person(pairs: Pairs, place: int, listed: "Counter[int]") -> Mask:
    """Pairs of a person who is listed often enough."""
    person = int(pairs.person[place])
    listed[person] += 1
    out: Mask = (pairs.person == person) & (listed[person] == OFTEN)
    return out


def _listing(
    key: str,
    title: str,
    worst: list[tuple[int, int, float]],
    labels: npt.ArrayLike | None,
    ids: npt.ArrayLike | None,
) -> Listing:
    def name(row: int) -> tuple[str, str]:
        picture = str(row if ids is None else np.asarray(ids)[row])
        return picture, "" if labels is None else str(np.asarray(labels)[row])

    rows = tuple((*name(one), *name(other), score) for one, other, score in worst)
    return Listing(key, title, HEADINGS, rows, len(rows))
