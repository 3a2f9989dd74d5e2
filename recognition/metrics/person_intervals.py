"""Wilson intervals for a share whose comparisons rise and fall together by person.

The variance of a share is summed by person: I_i is how far person i has moved it. The interval is
Wilson's for n = p (1 - p) / Var trials, as many independent ones as would leave it as unsure.

Conventions; the first is kept because intervals then cover better (tests/benchmarks):

* Var is multiplied by C / (C - 1) for C people, and z is the quantile of Student's t with
  2 / (Σ I_i⁴ / (Σ I_i²)² - 1 / C) degrees of freedom, at most C - 1: where few people make all
  errors, Var is itself hardly known (Satterthwaite).
* Var is never taken below that of independent comparisons, which taking out pairs could give.
* Where no comparison erred, or all did, Var says nothing about how errors cluster. The rate is
  then that of independent people, which is cautious.
* A single person is one trial.

Sources: Fogliato, Patil and Perona, Confidence Intervals for Error Rates in 1:1 Matching Tasks,
IJCV 132 (2024), arXiv:2306.01198; Satterthwaite, Biometrics Bulletin 2 (1946).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Counts, Floats
from recognition.errors import InputError
from recognition.metrics.meetings import People
from recognition.metrics.proportions import Interval, wilson_share


@dataclass(frozen=True)
class Influence:
    """What moved a rate: each person, pairs of people, and chance had comparisons no people."""

    persons: Floats  # (C,) how far each has moved it
    pairs: float  # Σ_{i<j} squared, of how far each pair has: both persons' shares hold it
    independent: float  # the variance, had all comparisons been independent

    def plus(self, other: "Influence", factor: float) -> "Influence":
        """This and `factor` times the other."""
        return Influence(
            self.persons + factor * other.persons,
            self.pairs + factor**2 * other.pairs,
            self.independent + factor**2 * other.independent,
        )


def share_interval(
    successes: npt.NDArray[np.bool_], persons: People, *, level: float = 0.95
) -> Interval:
    """Interval of a share of trials each of which is of one person: FNMR, a rank-one rate, ...

    Args:
        successes: (N,) the trials counted.
        persons: (N,) the person of each, whole numbers from 0.
        level: how often such intervals hold the true share.

    Raises:
        InputError: no trials, another number of persons, or a level out of range.

    >>> share_interval(np.array([True, True, False, False]), np.array([0, 0, 1, 1]))
    Interval(low=0.0015, high=0.9985)
    """
    if successes.shape != persons.shape or not len(successes):
        raise InputError(
            f"expected one person for each of some trials, got shapes {successes.shape} and "
            f"{persons.shape}; leave out what was not tried"
        )
    tried = np.bincount(persons)
    return counted_interval(np.bincount(persons[successes], minlength=len(tried)), tried, level)


def counted_interval(successes: Counts, tried: Counts, level: float = 0.95) -> Interval:
    """As `share_interval`, from the successes (C,) and trials (C,) of each person.

    Raises:
        InputError: no trials, successes that are not among them, or a level out of range.
    """
    if successes.shape != tried.shape or not tried.any() or (successes > tried).any():
        raise InputError(
            f"expected successes among trials of each person, got shapes {successes.shape} and "
            f"{tried.shape} and {tried.sum()} trials; count both over the same people"
        )
    share = float(successes.sum() / tried.sum())
    return interval_of(share, influence_of(successes, tried), tried, level)


def influence_of(errors: Counts, tried: Counts) -> Influence:
    """Of people on a share of trials that are each of one person."""
    total = tried.sum()
    share = errors.sum() / total
    return Influence((errors - share * tried) / total, 0.0, share * (1 - share) / total)


def interval_of(
    share: float, moved: Influence, tried: Counts, level: float, scale: float = 1.0
) -> Interval:
    people = int(np.count_nonzero(tried))
    if share in (0, 1) or people == 1:
        return wilson_share(share, people, level)
    return clustered_wilson(share, moved, people, level, scale)


def clustered_wilson(
    share: float, moved: Influence, people: int, level: float, scale: float = 1.0
) -> Interval:
    noise = 4 * np.finfo(np.float64).eps * share
    squares = np.where(np.abs(moved.persons) > noise, moved.persons, 0) ** 2
    clustered = (squares.sum() - moved.pairs) * people / (people - 1)
    variance = scale**2 * max(clustered, moved.independent)
    if not variance:  # all scores tie: an EER of a half that no comparison has moved
        return wilson_share(share, people, level)
    freedom = _freedom(squares, people)
    return wilson_share(share, share * (1 - share) / variance, level, freedom=freedom)


def _freedom(squares: Floats, people: int) -> float:
    """2 / (Σ I_i⁴ / (Σ I_i²)² - 1 / C), from 1 to C - 1."""
    whole = squares.sum()
    if not whole:  # nobody differs from anybody
        return people - 1.0
    return bounded_freedom(float((squares**2).sum() / whole**2) - 1 / people, people)


def bounded_freedom(excess: float, people: int) -> float:
    """2 / excess degrees of freedom, from 1 to C - 1."""
    return min(people - 1.0, max(1.0, 2 / max(excess, 1 / people)))
