"""Wilson intervals for comparisons that share people: what they are worth, told by the people.

All comparisons of one person rise and fall together. The variance of a rate p is therefore summed
by person, and the rate is given Wilson's interval for n = p (1 - p) / Var trials, as many
independent ones as would leave it as unsure. With E_i errors among the m_i comparisons of person i

    FNMR  Var = Σ_i (E_i - p m_i)² / (Σ_i m_i)²
    FMR   Var = [Σ_i (E_i - p M_i)² - Σ_{i<j} (e_ij - p m_ij)²] / M²

where person i takes part in M_i of all M non-mated comparisons, and the persons i and j meet m_ij
times: each such pair is in the sums of both, and is taken out once.

A rate at a threshold that was itself estimated moves with the threshold. To first order it is a
sum over people too: TAR at a target FMR errs by FNMR's error plus the slope dTAR / dFMR of the
ROC times FMR's, the EER by FNMR's and FMR's error in the proportion 1 : slope, and the AUC is such
a sum as it stands. The variance of that sum takes the place of Var.

Of these sums `person_intervals` makes intervals, and says by which conventions. Without a false
match, FMR's is that of independent pairs of people.

Sources: Fogliato, Patil and Perona, Confidence Intervals for Error Rates in 1:1 Matching Tasks,
IJCV 132 (2024), arXiv:2306.01198; for a quantile and what is read at it, Shorack and Wellner,
Empirical Processes (1986), chapter 18.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recognition.comparisons.listed import ListedScores
from recognition.comparisons.scores import Scores, ScoreTable, accepted
from recognition.comparisons.steps import Counts, Floats, Similarities
from recognition.errors import InputError
from recognition.metrics.false_matches import Matches, at_each, counted_below
from recognition.metrics.meetings import Meetings, People, codes_of
from recognition.metrics.person_intervals import (
    Influence,
    clustered_wilson,
    counted_interval,
    influence_of,
    interval_of,
    share_interval,
)
from recognition.metrics.proportions import Interval, check_level, wilson_share
from recognition.metrics.verification import allowed_errors, equal_error_rate, tar_at_fmr

# ROC slopes are taken between FMR / window and FMR * window: measured, see tests/benchmarks
TAR_WINDOW = 2.0
EER_WINDOW = 4.0


class PersonTally(ScoreTable, Protocol):
    """What a table of every picture against every other has to know for intervals by person.

    Attributes:
        mated_person: (P,) the person of each mated pair, in 0 .. C - 1.
        tail: (K,) the highest non-mated scores, descending; all there are above the lowest.
        tail_persons: (K, 2) the two people of each.
        pictures: (C,) how many pictures each person has.
    """

    @property
    def mated_person(self) -> People: ...
    @property
    def tail(self) -> Similarities: ...
    @property
    def tail_persons(self) -> People: ...
    @property
    def pictures(self) -> npt.NDArray[np.int64]: ...


@dataclass(frozen=True)
class Clusters:
    """Comparisons by person: the intervals of all rates that clusters of them allow.

    Attributes:
        table: the scores themselves.
        mated_person: (P,) the person of each mated pair.
        high: (K,) the non-mated scores that are known one by one.
        high_persons: (K, 2) the people of each.
        meetings: how often people were compared.
    """

    table: ScoreTable
    mated_person: People
    high: Similarities
    high_persons: People
    meetings: Meetings

    @classmethod
    def of(cls, scores: Scores) -> "Clusters":
        """Of any comparisons whose people are known: they are counted.

        >>> from recognition.comparisons.pairs import compare_all
        >>> turned = [[1, 0], [1, 1], [0, 1], [1, 2], [-1, 0], [-1, 1]]
        >>> clusters = Clusters.of(compare_all(turned, ["ann", "ann", "bob", "bob", "cy", "cy"]))
        >>> clusters.fmr(0.7)  # 3 of 12
        Interval(low=0.0319, high=0.7715)
        """
        meetings = Meetings.counted(scores.nonmated_persons, scores.people)
        return cls(scores, scores.mated_person, scores.nonmated, scores.nonmated_persons, meetings)

    @classmethod
    def of_tail(cls, tally: PersonTally) -> "Clusters":
        """Of every picture against every other, with only the highest non-mated pairs kept.

        Takes O(K + C) for a tail of K pairs of C people.

        Raises:
            InputError: a tail without its people, or pictures that give another number of
                non-mated comparisons.
        """
        meetings = Meetings.complete(tally.pictures)
        shapes = (tally.tail_persons.shape, tally.mated_person.shape)
        if meetings.total != tally.nonmated_count or shapes != (
            (len(tally.tail), 2),
            tally.mated.shape,
        ):
            raise InputError(
                f"expected {meetings.total} non-mated comparisons, as so many pictures give, and "
                f"people for all {len(tally.tail)} tail and {len(tally.mated)} mated scores; got "
                f"{tally.nonmated_count} and shapes {shapes}; count pictures and people anew"
            )
        return cls(tally, tally.mated_person, tally.tail, tally.tail_persons, meetings)

    @classmethod
    def of_list(cls, listed: ListedScores, targets: Sequence[float]) -> "Clusters":
        """Of a long list of pairs, with the people of no more false matches than are needed.

        Those are the false matches that the largest target allows, and those at the EER.
        """
        floor = equal_error_rate(listed).threshold
        for target in targets:
            allowed = allowed_errors(target, listed.nonmated_count)
            floor = min(floor, listed.threshold_allowing(allowed))
        # one score more, so that the lowest that is needed is known to be whole
        errors = listed.false_matches(floor)
        if errors < listed.nonmated_count:
            floor = float(listed.ascending[listed.nonmated_count - 1 - errors])
        high, persons = listed.tail(floor)
        meetings = Meetings.listed(listed.first, listed.second, listed.people)
        return cls(listed, listed.mated_person, high, persons, meetings)

    @property
    def people(self) -> int:
        """C, also those without a comparison."""
        return len(self.meetings.of)

    def knows(self, threshold: float) -> bool:
        """Whether the people of all non-mated comparisons at or above the threshold are known."""
        if self._reach > self.meetings.total:
            return True
        return len(self.high) > 0 and threshold > float(self.high.min())  # ties may be cut there

    def fnmr(self, threshold: float, *, level: float = 0.95) -> Interval:
        """Interval of FNMR(t), t not chosen by these scores.

        Raises:
            InputError: a threshold that is NaN, or a level out of range.
        """
        accepted(self.table.mated[:0], threshold)  # refuses NaN
        missed = self.table.mated < np.float64(threshold)
        return share_interval(missed, self.mated_person, level=level)

    def fmr(self, threshold: float, *, level: float = 0.95) -> Interval:
        """Interval of FMR(t), t not chosen by these scores.

        Without a false match, that of none among the pairs of people that met, which lie between
        the comparisons and the people in number.

        Raises:
            InputError: a threshold that is NaN, or below the known tail; a level out of range.
        """
        return self._share(Matches.of(self._matched(threshold), self.meetings), level)

    def fmrs(self, thresholds: Floats, *, level: float = 0.95) -> list[Interval]:
        """`fmr` at each of many ascending thresholds, in one pass over the comparisons.

        Raises:
            InputError: a threshold that is NaN, or below the known tail; a level out of range.
        """
        for threshold in thresholds[:1]:
            self._known(float(threshold))
        found = at_each(self.high, self.high_persons, self.meetings, thresholds)
        return [self._share(matches, level) for matches in found][::-1]

    def fnmrs(self, thresholds: Floats, *, level: float = 0.95) -> list[Interval]:
        """`fnmr` at each of many ascending thresholds, in one pass over the comparisons."""
        return [
            counted_interval(missed, self._tried, level)
            for missed in counted_below(
                self.table.mated, self.mated_person, self.people, thresholds
            )
        ]

    def tar(self, target: float, *, level: float = 0.95) -> Interval | None:
        """Interval of TAR at a target FMR, whose threshold these scores have set.

        None where not even one false match is allowed, or where the tail ends above the threshold.

        Raises:
            InputError: a target that is no rate, or a level out of range.
        """
        check_level(level)
        point = tar_at_fmr(self.table, target)
        if not point.resolved or point.allowed >= self._reach:
            return None
        fnmr = influence_of(self._missed(point.threshold), self._tried)
        fmr = self._fmr(Matches.of(self._matched(point.threshold), self.meetings))
        slope = self._slope(point.allowed, TAR_WINDOW)
        return interval_of(point.tar, fnmr.plus(fmr, slope), self._tried, level)

    def eer(self, *, level: float = 0.95) -> Interval:
        """Interval of the EER.

        Raises:
            InputError: its threshold is below the known tail, or a level out of range.
        """
        check_level(level)
        point = equal_error_rate(self.table)
        missed = self._missed(point.threshold)
        matches = Matches.of(self._matched(point.threshold), self.meetings)
        # around fewer false matches than one missed pair is worth, the slope would be chance
        errors = max(1, matches.total, round(self.meetings.total / len(self.mated_person)))
        slope = self._slope(errors, EER_WINDOW)
        both = influence_of(missed, self._tried).plus(self._fmr(matches), slope)
        return interval_of(point.rate, both, self._tried, level, scale=1 / (1 + slope))

    def auc(self, *, level: float = 0.95) -> Interval:
        """Interval of the AUC: a mated pair moves it by the share of non-mated ones it beats.

        A non-mated pair moves it by the share of mated ones that beat it, ties counting half.

        Raises:
            InputError: a tail that ends above any score, or a level out of range.

        Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), with people for pairs.
        """
        check_level(level)
        self._known(-np.inf)
        beaten = _beaten(self.table.mated, self.high)
        beating = 1 - _beaten(self.high, self.table.mated)
        area = float(beaten.mean())
        own, other = (beaten - area) / len(beaten), (beating - area) / len(beating)
        each = [(self.mated_person, own), *((one, other) for one in self.high_persons.T)]
        persons: Floats = np.stack(
            [np.bincount(of, by, self.people).astype(np.float64) for of, by in each]
        ).sum(axis=0)
        codes = np.unique(codes_of(self.high_persons, self.people), return_inverse=True)[1]
        pairs = float((np.bincount(codes, other) ** 2).sum())
        independent = float((own**2).sum() + (other**2).sum())
        moved = Influence(persons, pairs, independent)
        return interval_of(area, moved, self._tried, level)

    @property
    def _reach(self) -> int:
        """The number of false matches that are already too many to be known one by one."""
        whole = len(self.high) == self.meetings.total
        return len(self.high) + whole

    @cached_property
    def _tried(self) -> Counts:
        """(C,) m_i."""
        return np.bincount(self.mated_person, minlength=self.people)

    def _missed(self, threshold: float) -> Counts:
        """(C,) E_i of the mated comparisons."""
        below = self.table.mated < np.float64(threshold)
        return np.bincount(self.mated_person[below], minlength=self.people)

    def _matched(self, threshold: float) -> People:
        """(K, 2) the people of the false matches."""
        self._known(threshold)
        return self.high_persons[self.high >= np.float64(threshold)]

    def _known(self, threshold: float) -> None:
        accepted(self.high[:0], threshold)  # refuses NaN
        if not self.knows(threshold):
            raise InputError(
                f"expected a threshold above {self.high.min() if len(self.high) else np.inf}, "
                f"where the tail of {len(self.high)} non-mated scores ends, got {threshold}; "
                "keep a longer tail"
            )

    def _share(self, matches: Matches, level: float) -> Interval:
        share, met = matches.total / self.meetings.total, self.meetings
        if share in (0, 1):
            # Kish: (Σ m)² / Σ m² is the number of pairs of people, if all meet equally often
            return wilson_share(share, met.total**2 / met.squares, level)
        return clustered_wilson(share, self._fmr(matches), int(np.count_nonzero(met.of)), level)

    def _fmr(self, matches: Matches) -> Influence:
        met = self.meetings
        share = matches.total / met.total
        # pairs of people without a false match are in the last term only
        pairs = matches.squares - 2 * share * matches.crossed + share**2 * met.squares
        return Influence(
            (matches.errors - share * met.of) / met.total,
            float(pairs / met.total**2),
            share * (1 - share) / met.total,
        )

    def _slope(self, errors: int, window: float) -> float:
        """The rise of TAR per FMR around so many false matches, the window doubled until it meets some."""
        while True:
            ends = (min(self.meetings.total, int(errors * window)), int(errors / window))
            low, high = (self.table.threshold_allowing(end) for end in ends)
            false = self.table.false_matches(low) - self.table.false_matches(high)
            if false:
                mated = self.table.mated
                true = accepted(mated, low) - accepted(mated, high)
                return (true / len(mated)) / (false / self.meetings.total)
            window *= 2


def _beaten(scores: Similarities, others: Similarities) -> Floats:
    """For each score the share of the others that are lower, ties counting half."""
    ascending = np.sort(others)
    lower, not_higher = (np.searchsorted(ascending, scores, side) for side in ("left", "right"))
    return (lower + not_higher) / (2 * len(others))
