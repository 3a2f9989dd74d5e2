"""Intervals of comparisons of which no two share a person: by counts alone, however many there are.

If each of n comparisons is of k people of its own, C = k n people in all, the sums of `clustered`
have a closed form. With p = errors / n,

    Var = p (1 - p) / n · C / (C - 1)    Σ I_i⁴ / (Σ I_i²)² - 1 / C = (1 - 2p)² / (C p (1 - p))

for FNMR, where k = 1, and for FMR, where k = 2 and every two people meet once.
"""

from dataclasses import dataclass

from recognition.comparisons.scores import ScoreLists, accepted
from recognition.comparisons.steps import Floats, Similarities
from recognition.metrics.person_intervals import bounded_freedom
from recognition.metrics.proportions import Interval, wilson_share


@dataclass(frozen=True)
class Lone:
    """Scores of nobody knows whom, each taken to be of people of its own.

    The intervals are those of `Clusters` of such people.

    Attributes:
        table: the scores.
    """

    table: ScoreLists

    @property
    def high(self) -> Similarities:
        """(N,) the non-mated scores that are known one by one: all of them."""
        return self.table.nonmated

    def fmr(self, threshold: float, *, level: float = 0.95) -> Interval:
        """Interval of FMR(t), t not chosen by these scores.

        Raises:
            InputError: a threshold that is NaN, or a level out of range.
        """
        nonmated = self.table.nonmated
        return lone_share(accepted(nonmated, threshold), len(nonmated), 2, level)

    def fmrs(self, thresholds: Floats, *, level: float = 0.95) -> list[Interval]:
        """`fmr` at each of many thresholds."""
        false, n = self.table.steps.at_least(thresholds)[0], self.table.nonmated_count
        return [lone_share(int(errors), n, 2, level) for errors in false]

    def fnmrs(self, thresholds: Floats, *, level: float = 0.95) -> list[Interval]:
        """Interval of FNMR at each of many thresholds."""
        true, n = self.table.steps.at_least(thresholds)[1], len(self.table.mated)
        return [lone_share(n - int(hits), n, 1, level) for hits in true]


def lone_share(errors: int, comparisons: int, people_each: int, level: float = 0.95) -> Interval:
    """Interval of a share of comparisons, each of so many people who are in no other.

    Raises:
        InputError: errors that are not among the comparisons, none of these, or a level out of
            range.

    >>> lone_share(3, 10, 1)
    Interval(low=0.0872, high=0.6578)
    """
    share = errors / comparisons
    if share in (0, 1):
        return wilson_share(share, comparisons, level)
    people = comparisons * people_each
    excess = (1 - 2 * share) ** 2 / (people * share * (1 - share))
    worth = comparisons * (people - 1) / people
    return wilson_share(share, worth, level, freedom=bounded_freedom(excess, people))
