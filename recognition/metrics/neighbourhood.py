"""The nearest others of every picture: whose they are, by how much, and who is found too often.

`recognition.search.find_neighbours` makes the table, everything here is counted from it. Scores are
cosines summed in float64 and rounded to float32; where they tie, the lower row stands first, and
the tie counts against the person.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from recognition.embeddings import People, require_pairs
from recognition.errors import InputError

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

USUAL = 0.05  # the share of pictures whose best own score is lower than what is usual


@dataclass(frozen=True)
class Neighbourhood:
    """Of N pictures, what is nearest to each.

    Attributes:
        people: names, and who is on each picture.
        neighbours: (N, k) rows of the nearest other pictures, best first, whosoever they are.
        scores: (N, k) their scores.
        own: (N,) the best score to another picture of the same person, -inf where there is none.
        impostor: (N,) the best score to a picture of another person.
        impostor_place: (N,) the row of that picture.

    Raises:
        InputError: arrays that do not fit each other, fewer than two people, or nobody with two
            pictures.
    """

    people: People
    neighbours: Places
    scores: Singles
    own: Singles
    impostor: Singles
    impostor_place: Places

    def __post_init__(self) -> None:
        n = len(self.people.codes)
        each = (self.own, self.impostor, self.impostor_place)
        fits = self.neighbours.shape == self.scores.shape and self.neighbours.ndim == 2
        if not fits or any(one.shape != (n,) for one in each) or len(self.neighbours) != n:
            raise InputError(
                f"expected k neighbours for each of {n} pictures and one best score of each kind, "
                f"got shapes {self.neighbours.shape}, {self.scores.shape} and "
                f"{[one.shape for one in each]}; build it with find_neighbours"
            )
        require_pairs(self.people)

    @property
    def k(self) -> int:
        """How many neighbours each picture has."""
        return int(self.neighbours.shape[1])

    @cached_property
    def queries(self) -> Mask:
        """(N,) pictures with another one of their person."""
        several: Mask = self.people.pictures[self.people.codes] > 1
        return several

    @property
    def hits(self) -> Mask:
        """(Q,) whether the nearest other picture of each query is of the same person."""
        nearer: Mask = self.own[self.queries] > self.impostor[self.queries]
        return nearer

    @property
    def margins(self) -> Floats:
        """(Q,) best own score less best score of anybody else; at most 0 where it is no hit."""
        own, impostor = (x[self.queries].astype(np.float64) for x in (self.own, self.impostor))
        return own - impostor

    @cached_property
    def occurrences(self) -> Places:
        """(N,) in how many other pictures' k nearest each one is; k on average."""
        return np.bincount(self.neighbours.ravel(), minlength=len(self.own)).astype(np.int64)

    @property
    def never_found(self) -> Mask:
        """(N,) pictures that are among nobody's k nearest."""
        never: Mask = self.occurrences == 0
        return never


def hubness(occurrences: Places) -> float:
    """E[(O - k)³] / σ³, the skewness of how often pictures are found; 0 is even, higher is worse.

    In many dimensions a few pictures, hubs, are near to everybody and are found in place of the
    right ones.

    Raises:
        InputError: all pictures are found equally often, so that there is nothing to divide by.

    Source: Radovanović, Nanopoulos and Ivanović, JMLR 11 (2010), section 2.

    >>> hubness(np.array([0, 0, 0, 4]))
    1.1547
    """
    beside = occurrences - occurrences.mean()
    spread = float(beside.std()) ** 3
    if not spread:
        raise InputError(
            "expected pictures that are found unequally often, but all are found "
            f"{occurrences[0]} times; ask for fewer neighbours, or add pictures"
        )
    return float((beside**3).mean()) / spread


@dataclass(frozen=True)
class Doubt:
    """A picture that lies among another person's pictures.

    Attributes:
        picture: its row.
        person: the place of its person among the names.
        other: the place of the other person.
        votes: how many of its first `of` neighbours are the other's.
        of: min(k, pictures of the other person).
        own: its best score to its own person.
        score: its best score to the other one.
    """

    picture: int
    person: int
    other: int
    votes: int
    of: int
    own: float
    score: float


@dataclass(frozen=True)
class Copy:
    """Two pictures under two names with nearly the same embedding: rows, `one` below `other`."""

    one: int
    other: int
    score: float


@dataclass(frozen=True)
class TwoNames:
    """Two names that seem to be one person.

    Attributes:
        one: the place of a person among the names.
        other: that of a later one.
        one_hits: how many pictures of the one have the other as their nearest other person.
        other_hits: the same the other way round.
        score: the lower one of the medians of these pictures' scores to the other name.
    """

    one: int
    other: int
    one_hits: int
    other_hits: int
    score: float


def two_names(found: Neighbourhood) -> list[TwoNames]:
    """Pairs of people who have each other as the nearest other person, as near as if they were one.

    Of both, at least half of the pictures have their nearest impostor in the other one, and the
    median of these scores is one that 95 % of all pictures reach with their best own score: in any
    crowd some strangers are each other's nearest, and one wrong label draws all its person's
    pictures to another name, but not the reverse. The most alike come first.
    """
    codes, pictures = found.people.codes, found.people.pictures
    usual = float(np.quantile(found.own[found.queries], USUAL, method="lower"))
    rivals = codes[found.impostor_place]
    pairs = np.stack([codes, rivals])
    ordered, which, hits = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
    sides = np.split(np.argsort(which.ravel(), kind="stable"), np.cumsum(hits)[:-1])
    enough = {
        (int(one), int(other)): rows
        for one, other, rows in zip(*ordered, sides, strict=True)
        if 2 * len(rows) >= pictures[one]
    }
    named = []
    for (one, other), rows in enough.items():
        if one < other and (other, one) in enough:
            others = enough[other, one]
            score = min(float(np.median(found.impostor[side])) for side in (rows, others))
            if score >= usual:
                named.append(TwoNames(one, other, len(rows), len(others), score))
    return sorted(named, key=lambda pair: (-pair.score, pair.one, pair.other))


def mislabelled(found: Neighbourhood, known: Sequence[TwoNames] = ()) -> list[Doubt]:
    """Pictures that are nearer to another person than to their own, and among that one's pictures.

    No own picture is nearer than the nearest of the other person, who has two pictures or more and
    most of the first min(k, as many as that) neighbours. People with one picture are not judged: it
    has nothing to be near to. Pairs in `known` are left out, for there all pictures look so. The
    clearest come first.
    """
    codes, pictures = found.people.codes, found.people.pictures
    rivals = codes[found.impostor_place]
    looked_at = np.minimum(found.k, pictures[rivals])
    theirs = codes[found.neighbours] == rivals[:, None]
    votes = (theirs & (np.arange(found.k) < looked_at[:, None])).sum(axis=1)
    doubted = found.queries & (found.own <= found.impostor)
    doubted &= (looked_at > 1) & (2 * votes > looked_at)
    same = {(pair.one, pair.other) for pair in known}
    doubts = [
        Doubt(
            int(row),
            int(codes[row]),
            int(rivals[row]),
            int(votes[row]),
            int(looked_at[row]),
            float(found.own[row]),
            float(found.impostor[row]),
        )
        for row in np.flatnonzero(doubted)
        if tuple(sorted((int(codes[row]), int(rivals[row])))) not in same
    ]
    return sorted(doubts, key=lambda each: (each.own - each.score, each.picture))


def copies(found: Neighbourhood, least: float = 0.99) -> list[Copy]:
    """Pairs of pictures under two names whose score is at least `least`, the most alike first.

    Of each picture the nearest one under another name is looked at.

    Raises:
        InputError: a score that cosines do not have.
    """
    if not -1 <= least <= 1:
        raise InputError(f"expected a score between -1 and 1, got {least}; the usual one is 0.99")
    rows = np.flatnonzero(found.impostor >= np.float64(least))
    others = found.impostor_place[rows]
    pairs = {
        (min(int(a), int(b)), max(int(a), int(b))): float(score)
        for a, b, score in zip(rows, others, found.impostor[rows], strict=True)
    }
    ordered = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    return [Copy(one, other, score) for (one, other), score in ordered]
