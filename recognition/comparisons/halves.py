"""Two halves of the people: what is chosen on one is judged on the other."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import Scores
from recognition.errors import InputError

Bools = npt.NDArray[np.bool_]


class Halves(NamedTuple):
    """Comparisons within each half of the people; those between the halves are in neither.

    Attributes:
        parts: the comparisons within the first half, and within the second.
        mated: (P,) 0 or 1, the half of each mated comparison.
        nonmated: (N,) 0 or 1, the half of each non-mated comparison, or -1 between the halves.
        of_person: (people,) 0 or 1.
    """

    parts: tuple[Scores, Scores]
    mated: npt.NDArray[np.int64]
    nonmated: npt.NDArray[np.int64]
    of_person: npt.NDArray[np.int64]

    def judged(self, whole: Scores, mated: npt.ArrayLike, nonmated: npt.ArrayLike) -> Scores:
        """The comparisons within the halves, in the order they came, with other scores.

        Args:
            whole: all comparisons, of which these are the halves.
            mated: (P,) their new scores.
            nonmated: (N,) theirs; those of comparisons between the halves are left out.
        """
        inside = self.nonmated >= 0
        return Scores(
            np.asarray(mated),
            np.asarray(nonmated)[inside],
            whole.mated_person,
            whole.nonmated_persons[inside],
            whole.people,
        )


def split_scores(scores: Scores, *, seed: int = 0) -> Halves:
    """Deal the people into two halves at random, those with mated comparisons evenly.

    Everything mated stays, and about half of the non-mated comparisons. Parts number their
    people as the whole does.

    Args:
        scores: all comparisons, with the people they are of.
        seed: equal seeds give equal halves.

    Raises:
        InputError: a half without mated or without non-mated comparisons.
    """
    of_person = _deal(scores, seed)
    mated = of_person[scores.mated_person]
    sides = of_person[scores.nonmated_persons]
    nonmated = np.where(sides[:, 0] == sides[:, 1], sides[:, 0], -1)
    one, two = (_part(scores, mated == half, nonmated == half) for half in (0, 1))
    return Halves((one, two), mated, nonmated, of_person)


def _deal(scores: Scores, seed: int) -> npt.NDArray[np.int64]:
    """(people,) 0 or 1, dealt in turn to the people with mated comparisons, then to the others."""
    order = np.random.default_rng(seed).permutation(scores.people)
    has_mated = np.bincount(scores.mated_person, minlength=scores.people)[order] > 0
    halves = np.empty(scores.people, np.int64)
    halves[order[np.argsort(~has_mated, kind="stable")]] = np.arange(scores.people) % 2
    return halves


def _part(scores: Scores, mated: Bools, nonmated: Bools) -> Scores:
    if not mated.any() or not nonmated.any():
        raise InputError(
            "expected mated and non-mated comparisons in each half of the people, but one half "
            f"of {scores.people} people has {mated.sum()} and {nonmated.sum()}; compare at least "
            "4 people, 2 of them with 2 pictures"
        )
    return Scores(
        scores.mated[mated],
        scores.nonmated[nonmated],
        scores.mated_person[mated],
        scores.nonmated_persons[nonmated],
        scores.people,
    )
