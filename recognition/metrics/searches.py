"""The table from which every identification rate follows: what Q searches found, and no more.

A search compares one probe with all N people enrolled. Rates need the score and the rank of the
mate, the best score of a stranger, and for a closer look the best few candidates; the other N
scores are counted and forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Similarities
from recognition.embeddings import people_of
from recognition.errors import InputError

Codes = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]

KEPT = 20  # candidates of a search: what an examiner would look through
NOWHERE = int(np.iinfo(np.int64).max)  # the rank of a mate that no search could be made for


@dataclass(frozen=True)
class Searches:
    """The answers of Q searches, each in a gallery where a person stands once.

    Searches in galleries of different sizes can share a table, see `pool`. A search that failed
    because the probe could not be embedded is a row without candidates, see `with_failures`.

    Attributes:
        probes: (Q,) the person on the picture that is searched for.
        mated: (Q,) whether that person is enrolled; M of them are, S = Q - M are strangers.
        gallery: (Q,) how many people were searched among; 0 for a search that failed.
        mate_scores: (M,) the score of the right person; -inf for a search that failed.
        ranks: (M,) 1 + how many other people score no less than the mate: ties count against the
            system. NOWHERE, beyond every rank, for a search that failed.
        ranks_optimistic: (M,) 1 + how many other people score more than the mate.
        scores: (Q, L) the best candidates of each search, descending, equal ones by name; -inf
            where there are no more.
        codes: (Q, L) the place of each candidate's name in `people`; -1 where there are no more.
        people: (C,) the names of all who are enrolled anywhere, sorted.

    Raises:
        InputError: shapes, orders or ranks that contradict this description.
    """

    probes: Names
    mated: npt.NDArray[np.bool_]
    gallery: Counts
    mate_scores: Similarities
    ranks: Counts
    ranks_optimistic: Counts
    scores: Similarities
    codes: Codes
    people: Names

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_candidates(self)
        _check_mates(self)

    @cached_property
    def failed(self) -> npt.NDArray[np.bool_]:
        """(Q,) searches that could not be made."""
        none: npt.NDArray[np.bool_] = self.scores[:, 0] == -np.inf
        return none

    @cached_property
    def kept(self) -> Counts:
        """(Q,) how many candidates of each search are in the table."""
        kept: Counts = np.count_nonzero(self.codes >= 0, axis=1).astype(np.int64)
        return kept

    @cached_property
    def stranger_scores(self) -> Similarities:
        """(S,) the best score of each non-mated search; -inf for one that failed."""
        best: Similarities = self.scores[~self.mated, 0]
        return best

    @property
    def labels(self) -> Names:
        """(Q, L) the name of each candidate, empty where there are no more."""
        names: Names = np.append(self.people, "")[self.codes]
        return names

    @property
    def largest_gallery(self) -> int:
        """People in the largest gallery that was searched."""
        return int(self.gallery.max())


def _check_shapes(found: Searches) -> None:
    shape = found.scores.shape
    searches, mates = found.probes.shape, (int(np.count_nonzero(found.mated)),)
    whole = (found.mated.shape, found.gallery.shape, shape[:1])
    partial = (found.mate_scores.shape, found.ranks.shape, found.ranks_optimistic.shape)
    fits = len(shape) == 2 and 0 not in shape and found.codes.shape == shape
    if not fits or set(whole) != {searches} or set(partial) != {mates}:
        raise InputError(
            f"expected scores and codes of shape (Q, L), probes, mated and gallery of shape (Q,), "
            f"ranks of shape (M,) for the mated; got {shape}, {found.codes.shape}, {searches}, "
            f"{', '.join(map(str, whole + partial))}; build Searches with search_people"
        )


def _check_candidates(found: Searches) -> None:
    scores, codes = found.scores, found.codes
    if np.isnan(scores).any() or (scores == np.inf).any():
        raise InputError(
            "expected finite scores, no NaN; leave out pictures that could not be embedded, and "
            "count them with with_failures"
        )
    if (scores[:, 1:] > scores[:, :-1]).any():
        raise InputError("expected scores to descend along each row; sort the candidates")
    ordered = np.sort(codes, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    out = ((codes >= 0) != (scores > -np.inf)) | (codes >= len(found.people)) | (codes < -1)
    sizes = (found.kept > found.gallery) | ((found.kept == 0) != (found.gallery == 0))
    if out.any() or twice.any() or sizes.any() or (found.people[1:] <= found.people[:-1]).any():
        raise InputError(
            "expected each person once among the candidates of a search, by their place in the "
            "sorted names, -1 for scores of -inf, and no more candidates than the gallery has "
            "people; build Searches with search_people"
        )


def _check_mates(found: Searches) -> None:
    rows = np.flatnonzero(found.mated)
    own = places_of(found.probes, found.people)
    stands = (found.codes == own[:, None]) & (found.codes >= 0)
    scores, mate = found.scores[rows], found.mate_scores[:, None]
    no_less = np.count_nonzero((scores >= mate) & (scores > -np.inf), axis=1)
    more = np.count_nonzero(scores > mate, axis=1)
    gone = found.failed[rows]
    listed = stands[rows].any(axis=1)
    within = found.ranks <= found.kept[rows]  # then all that it counts is in the table
    wrong = np.stack(
        [
            (found.ranks == NOWHERE) != gone,
            (found.ranks_optimistic == NOWHERE) != gone,
            (found.mate_scores == -np.inf) != gone,
            np.isnan(found.mate_scores) | (found.mate_scores == np.inf),
            ~gone & (found.ranks > found.gallery[rows]),
            (found.ranks_optimistic > found.ranks) | (found.ranks_optimistic < 1),
            more >= found.ranks_optimistic,
            within & ((no_less != found.ranks) | (more + 1 != found.ranks_optimistic) | ~listed),
            listed & (np.where(stands[rows], scores, -np.inf).max(axis=1) != found.mate_scores),
        ]
    )
    if wrong.any() or stands[~found.mated].any():
        raise InputError(
            "expected the person on each mated probe to be enrolled, with a score and a rank that "
            "agree with the candidates, and nobody on the other probes to be; build Searches with "
            "search_people or tabulate"
        )


def places_of(wanted: Names, names: Names) -> npt.NDArray[np.int64]:
    """(Q,) the place of each wanted name among the sorted names, -1 where it is not there."""
    if not len(names):
        return np.full(len(wanted), -1)
    places = np.searchsorted(names, wanted).clip(max=len(names) - 1)
    return np.where(names[places] == wanted, places, -1)


def tabulate(
    scores: Similarities, enrolled: npt.ArrayLike, probes: npt.ArrayLike, *, keep: int = KEPT
) -> Searches:
    """The table of Q searches whose scores are all there.

    Args:
        scores: (Q, N) the similarity of each probe to each person enrolled.
        enrolled: (N,) the name of each person, once.
        probes: (Q,) the person on each probe.
        keep: candidates to keep of each search.

    Raises:
        InputError: scores that are not finite, names that do not fit, a person enrolled twice,
            nothing to keep.

    >>> found = tabulate(np.array([[0.2, 0.9], [0.4, 0.3]]), ["ann", "bob"], ["bob", "cy"])
    >>> found.ranks, found.stranger_scores, found.labels[:, 0]
    (array([1]), array([0.4]), array(['bob', 'ann'], dtype='<U3'))
    """
    matrix = scores.ndim == 2 and 0 not in scores.shape and scores.dtype.kind == "f"
    if not matrix or not np.isfinite(scores).all():
        raise InputError(
            f"expected a matrix of finite scores, a row per probe and a column per person, got "
            f"shape {scores.shape} of {scores.dtype}; leave out what could not be embedded"
        )
    columns = people_of(enrolled, scores.shape[1], what="names of the enrolled")
    shown = people_of(probes, len(scores), what="probe labels")
    if len(columns.names) != len(columns.codes):
        raise InputError(
            f"expected each person to be enrolled once, but {len(columns.codes)} columns are of "
            f"{len(columns.names)} people; keep the best score of each person"
        )
    own = places_of(shown.names, columns.names)[shown.codes]
    in_order = scores[:, np.argsort(columns.codes)]
    parts = condense(in_order, own, check_keep(keep))
    return assemble([parts], shown.names[shown.codes], own, columns.names)


Condensed = tuple[Similarities, Counts, Counts, Similarities, Codes]


def check_keep(keep: int) -> int:
    """`keep`, if it keeps anything."""
    if keep < 1:
        raise InputError(f"expected to keep at least 1 candidate of a search, not {keep}")
    return keep


def condense(block: Similarities, own: npt.NDArray[np.int64], keep: int) -> Condensed:
    """What is kept of the scores (b, N): mate scores, both ranks, and the best with their places.

    Columns are in the order of names, `own` (b,) is the column of each probe's person or -1.
    """
    mated = np.flatnonzero(own >= 0)
    mates = block[mated, own[mated]]
    rows = block[mated]
    no_less = np.count_nonzero(rows >= mates[:, None], axis=1).astype(np.int64)  # mate is the 1
    more = np.count_nonzero(rows > mates[:, None], axis=1).astype(np.int64)
    return mates, no_less, more + 1, *_best(block, min(keep, block.shape[1]))


def _best(block: Similarities, keep: int) -> tuple[Similarities, Codes]:
    """(b, keep) the best scores of each row, and their columns; equal ones in order of columns."""
    if keep == 1:  # the first of equal ones, in a single pass
        first = block.argmax(axis=1)
        best = block[np.arange(len(block)), first]
        return best[:, None], first[:, None].astype(np.int32)
    last = block.shape[1] - keep
    worst_kept = cast(Similarities, np.partition(block, last, axis=1)[:, last])
    row, column = np.nonzero(block >= worst_kept[:, None])  # more than `keep` where it ties
    score = block[row, column]
    order = np.lexsort((-score, row))  # stable, so equal scores stay in order of columns
    first = np.searchsorted(row, np.arange(len(block)))
    chosen = order[np.arange(len(row)) - first[row] < keep]
    shape = (len(block), keep)
    return score[chosen].reshape(shape), column[chosen].astype(np.int32).reshape(shape)


def assemble(
    parts: Sequence[Condensed], probes: Names, own: npt.NDArray[np.int64], people: Names
) -> Searches:
    """The table of what was condensed block by block, all searches in one gallery."""
    mates, ranks, optimistic, scores, codes = (
        np.concatenate(list(column)) for column in zip(*parts, strict=True)
    )
    gallery = np.full(len(probes), len(people), np.int64)
    return Searches(probes, own >= 0, gallery, mates, ranks, optimistic, scores, codes, people)


def pool(tables: Sequence[Searches]) -> Searches:
    """The searches of several galleries in one table, at one threshold.

    Raises:
        InputError: nothing to pool.
    """
    if not tables:
        raise InputError("expected at least one table of searches to pool, got none")
    people = np.unique(np.concatenate([table.people for table in tables]))
    width = max(table.scores.shape[1] for table in tables)

    def widened(table: Searches) -> tuple[Similarities, Codes]:
        missing = ((0, 0), (0, width - table.scores.shape[1]))
        scores = cast(Similarities, np.pad(table.scores, missing, constant_values=-np.inf))
        codes = np.append(np.searchsorted(people, table.people), -1)[table.codes]
        return scores, np.pad(codes, missing, constant_values=-1).astype(np.int32)

    scores, codes = zip(*map(widened, tables), strict=True)
    return Searches(
        np.concatenate([table.probes for table in tables]),
        np.concatenate([table.mated for table in tables]),
        np.concatenate([table.gallery for table in tables]),
        np.concatenate([table.mate_scores for table in tables]),
        np.concatenate([table.ranks for table in tables]),
        np.concatenate([table.ranks_optimistic for table in tables]),
        np.concatenate(scores),
        np.concatenate(codes),
        people,
    )


def with_failures(
    searches: Searches, *, mated: npt.ArrayLike = (), nonmated: npt.ArrayLike = ()
) -> Searches:
    """The same searches, and those that could not be made because no embedding was to be had.

    In every rate a failed search for somebody enrolled is a miss and one for a stranger a true
    reject (NIST FRTE 1:N), at any threshold and any rank.

    Args:
        searches: those that were made.
        mated: (F,) the people on pictures that failed, while they were enrolled.
        nonmated: (G,) the people on pictures that failed, while they were not.

    Raises:
        InputError: labels that are no names.

    >>> made = tabulate(np.array([[0.9], [0.4]]), ["ann"], ["ann", "cy"])
    >>> with_failures(made, mated=["ann"]).mate_scores
    array([ 0.9, -inf])
    """
    own = people_of(mated, what="labels of failed mated probes")
    strange = people_of(nonmated, what="labels of failed non-mated probes")
    lost, others = len(own.codes), len(strange.codes)
    if not lost + others:
        return searches
    nowhere = np.full(lost, NOWHERE)
    empty = (lost + others, searches.scores.shape[1])
    named = [people.names[people.codes] for people in (own, strange)]
    type_ = searches.scores.dtype
    return Searches(
        np.concatenate([searches.probes, *named]),
        np.concatenate([searches.mated, np.arange(lost + others) < lost]),
        np.concatenate([searches.gallery, np.zeros(lost + others, np.int64)]),
        np.concatenate([searches.mate_scores, np.full(lost, -np.inf, type_)]),
        np.concatenate([searches.ranks, nowhere]),
        np.concatenate([searches.ranks_optimistic, nowhere]),
        np.concatenate([searches.scores, np.full(empty, -np.inf, type_)]),
        np.concatenate([searches.codes, np.full(empty, -1, np.int32)]),
        searches.people,
    )
