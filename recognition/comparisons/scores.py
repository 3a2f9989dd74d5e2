"""The table from which all verification rates follow: two kinds of scores, and who took part."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Similarities, Stepped, Steps, count_steps
from recognition.errors import InputError


class ScoreTable(Stepped, Protocol):
    """What verification rates are read from, however many comparisons there were.

    `Scores` and `ScoreLists` hold every score; a `Tally` holds all mated scores, the exact tail
    of the non-mated ones, and counts below it.
    """

    @property
    def mated(self) -> Similarities:
        """(P,) every mated score."""
        ...

    @property
    def nonmated_count(self) -> int:
        """N, the number of non-mated comparisons."""
        ...

    def false_matches(self, threshold: float) -> int:
        """#{v >= t} of the non-mated comparisons."""
        ...

    def threshold_allowing(self, errors: int) -> float:
        """The smallest threshold known to have #{v >= t} <= errors."""
        ...


@dataclass(frozen=True)
class ScoreLists:
    """P mated and N non-mated comparisons, higher meaning more alike, of nobody knows whom.

    Intervals have to take them for independent, which comparisons that share people are not;
    `Scores` knows better.

    Attributes:
        mated: (P,) similarity of two pictures of one person.
        nonmated: (N,) similarity of pictures of two people.

    Raises:
        InputError: no score of one kind, or one that is not finite.
    """

    mated: Similarities
    nonmated: Similarities

    def __post_init__(self) -> None:
        for kind in ("mated", "nonmated"):
            scores = getattr(self, kind)
            if scores.ndim != 1 or not len(scores) or scores.dtype not in (np.float32, np.float64):
                raise InputError(
                    f"{kind} scores must be a flat, not empty array of float32 or float64, not "
                    f"shape {scores.shape} of {scores.dtype}; compare at least 2 people, one of "
                    "them with 2 pictures"
                )
            if not np.isfinite(scores).all():
                raise InputError(
                    f"{kind} scores must be finite, not NaN or infinite; count pictures that "
                    "could not be embedded as failures instead of scoring them"
                )

    @property
    def nonmated_count(self) -> int:
        """N, the number of non-mated comparisons."""
        return len(self.nonmated)

    @cached_property
    def steps(self) -> Steps:
        """What is accepted at every distinct score; sorted once, when first asked for."""
        return count_steps(self.mated, self.nonmated)

    def false_matches(self, threshold: float) -> int:
        """#{v >= t} of the non-mated comparisons."""
        return accepted(self.nonmated, threshold)

    def threshold_allowing(self, errors: int) -> float:
        """The smallest t with #{v >= t} <= errors."""
        return threshold_allowing(self.nonmated, errors)


@dataclass(frozen=True)
class Scores(ScoreLists):
    """P mated and N non-mated comparisons, higher meaning more alike, and who took part.

    Attributes:
        mated: (P,) similarity of two pictures of one person.
        nonmated: (N,) similarity of pictures of two people.
        mated_person: (P,) the person of each mated pair, in 0 .. people - 1.
        nonmated_persons: (N, 2) the two people of each non-mated pair.
        people: how many people there are, also those without a mated pair.

    Raises:
        InputError: no pair of one kind, a score that is not finite, people that do not fit.
    """

    mated_person: npt.NDArray[np.int32]
    nonmated_persons: npt.NDArray[np.int32]
    people: int

    def __post_init__(self) -> None:
        super().__post_init__()
        one, two = self.mated_person, self.nonmated_persons
        fits = one.shape == self.mated.shape and two.shape == (len(self.nonmated), 2)
        if not fits or min(one.min(), two.min()) < 0 or max(one.max(), two.max()) >= self.people:
            raise InputError(
                f"expected one person per mated and two per non-mated score, all below "
                f"{self.people}; got shapes {one.shape} and {two.shape} for {len(self.mated)} and "
                f"{len(self.nonmated)} scores; build Scores with compare_all"
            )


def accepted(scores: Similarities, threshold: float) -> int:
    """#{s >= t}, compared in float64: a float32 score never rounds the threshold to itself."""
    if np.isnan(threshold):
        raise InputError("expected a threshold, not NaN; pass a number or an infinity")
    return int(np.count_nonzero(scores >= np.float64(threshold)))


def threshold_allowing(scores: Similarities, errors: int) -> float:
    """The smallest t with #{s >= t} <= errors, among numbers of the scores' type.

    With s sorted in descending order it is the number after s_(errors + 1): whoever ties with it
    is rejected with it. It is -inf where all are allowed, just above the largest where none is.
    """
    if errors >= len(scores):
        return -np.inf
    place = len(scores) - 1 - errors
    first_rejected = np.partition(scores, place)[place]
    # in the scores' own type: what float64 holds between two float32 would round back to a score
    return float(np.nextafter(first_rejected, scores.dtype.type(np.inf)))
