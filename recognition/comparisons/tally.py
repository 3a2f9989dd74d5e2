"""The table of an all-pairs comparison too large to keep every score of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import accepted
from recognition.comparisons.steps import Counts, Floats, Steps, count_steps
from recognition.errors import InputError

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tally:
    """All mated scores, the highest non-mated ones with their pairs, and counts below them.

    All of it is exact: the table of `compare_all`, cut off at `floor`. Below it only the placed
    `thresholds` are known; what lies between two of them is not, and says so.

    Attributes:
        mated: (P,) similarity of two pictures of one person.
        mated_person: (P,) the person of each mated pair, in 0 .. people - 1.
        tail: (K,) every non-mated score at or above `floor`, descending.
        tail_pairs: (K, 2) the rows i < j of the embeddings as given.
        tail_persons: (K, 2) the people on them.
        floor: where knowledge of every single score ends; -inf where all are known.
        nonmated_count: N, the number of non-mated comparisons.
        thresholds: (T,) descending, all below `floor`.
        counts: (T,) #{v >= t} of the non-mated scores.
        nonmated_mean: mean of all N non-mated scores.
        nonmated_sd: their standard deviation (dividing by N).
        pictures: (C,) how many pictures each person has.

    Raises:
        InputError: arrays that do not fit together.
    """

    mated: Singles
    mated_person: npt.NDArray[np.int32]
    tail: Singles
    tail_pairs: npt.NDArray[np.int64]
    tail_persons: npt.NDArray[np.int32]
    floor: float
    nonmated_count: int
    thresholds: Floats
    counts: Counts
    nonmated_mean: float
    nonmated_sd: float
    pictures: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        tail, counts = self.tail, self.counts
        fits = (
            len(self.mated) == len(self.mated_person) > 0
            and self.tail_pairs.shape == self.tail_persons.shape == (len(tail), 2)
            and self.thresholds.shape == counts.shape
            and bool((np.diff(tail) <= 0).all() and (tail >= np.float64(self.floor)).all())
            and bool((np.diff(self.thresholds) < 0).all() and (self.thresholds < self.floor).all())
            and bool((np.diff(np.concatenate([[len(tail)], counts])) >= 0).all())
            and max(len(tail), *counts.tolist(), 1) <= self.nonmated_count
            and (self.floor > -np.inf or len(tail) == self.nonmated_count)
        )
        if not fits:
            raise InputError(
                "expected a descending tail at or above the floor, with the pairs and people of "
                "each score, and growing counts at descending thresholds below it, which this is "
                "not; build a Tally with tally_all"
            )

    @property
    def people(self) -> int:
        """How many people there are, also those without a mated pair."""
        return len(self.pictures)

    @property
    def complete(self) -> bool:
        """Whether every non-mated score is in the tail."""
        return len(self.tail) == self.nonmated_count

    @cached_property
    def steps(self) -> Steps:
        """What is accepted at every distinct score from `floor` on, at each threshold, at -inf."""
        if self.complete:
            return count_steps(self.mated, self.tail)
        above = self.mated[self.mated >= np.float64(self.floor)]
        if len(above) or len(self.tail):
            thresholds, false, true, _ = count_steps(above, self.tail)
        else:
            thresholds, false, true = np.array([self.floor]), np.array([0]), np.array([0])
        ascending = np.sort(self.mated).astype(np.float64)
        below = len(ascending) - np.searchsorted(ascending, self.thresholds)
        return Steps(
            np.concatenate([thresholds, self.thresholds, [-np.inf]]),
            np.concatenate([false, self.counts, [self.nonmated_count]]),
            np.concatenate([true, below, [len(ascending)]]),
            complete=False,
        )

    def false_matches(self, threshold: float) -> int:
        """#{v >= t} of the non-mated comparisons, at a threshold where it is known.

        That is at or above `floor`, at one of `thresholds`, and at -1 or below, where all are.

        Raises:
            InputError: NaN, or a threshold between those.
        """
        if threshold >= self.floor or self.complete or np.isnan(threshold):
            return accepted(self.tail, threshold)
        if threshold <= -1:
            return self.nonmated_count
        known = np.flatnonzero(self.thresholds == threshold)
        if not len(known):
            raise InputError(
                f"expected a threshold of at least {self.floor:.6f} or one of the "
                f"{len(self.thresholds)} placed below it, not {threshold!r}; take one of "
                "Tally.thresholds, or ask tally_all for a larger tail_fmr"
            )
        return int(self.counts[known[0]])

    def threshold_allowing(self, errors: int) -> float:
        """The smallest threshold known to have #{v >= t} <= errors.

        It is the smallest of all (the number after the first score that is rejected, -inf where
        all are allowed) where `allows_exactly`, elsewhere the smallest of `thresholds` that
        keeps to it, and `floor` where none does: fewer errors than allowed, never more.
        """
        if errors >= self.nonmated_count:
            return -np.inf
        if errors < len(self.tail):
            return float(np.nextafter(self.tail[errors], np.float32(np.inf)))
        kept = int(np.searchsorted(self.counts, errors, side="right"))
        return float(self.thresholds[kept - 1]) if kept else self.floor

    def allows_exactly(self, errors: int) -> bool:
        """Whether no smaller threshold than `threshold_allowing` would keep to so few errors."""
        return errors < len(self.tail) or errors >= self.nonmated_count
