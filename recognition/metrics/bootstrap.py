"""Resamples of any number that is read from the corners of the error curve.

In a resample that draws person i w_i times, a non-mated pair (i, j) counts w_i w_j times and a
mated pair of person i w_i times, so a resample of the people is a table of steps like any other.
Where nobody knows the people, comparisons are drawn instead: that takes them for independent, and
what the resamples vary by is too little if they are not.

Between two mated scores all non-mated ones are taken together, and the other way round. Along such
a run one error rate rests while the other moves, so the best threshold, the vertices of the hull,
the areas and the TAR at an FMR are read at its ends alone, and nothing is lost. Where both rates
are equal, as the equal error rate of FVC2000 asks, is not to be read from corners.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import ScoreLists, Scores
from recognition.comparisons.steps import Counts, Floats, Similarities, Steps
from recognition.errors import InputError
from recognition.metrics.resampling import draw

Places = npt.NDArray[np.intp]

WORK = 2**28  # scores gone through, all resamples together: some ten seconds
LEAST = 100  # resamples, however many scores there are


def corners(steps: Steps) -> Steps:
    """The steps at which a run of scores of one kind ends; a tie of both kinds is its own run.

    >>> from recognition.comparisons.steps import count_steps
    >>> found = corners(count_steps(np.array([0.8, 0.9]), np.array([0.1, 0.2, 0.8])))
    >>> found.false, found.true
    (array([0, 0, 1, 3]), array([0, 1, 2, 2]))
    """
    false, true = np.diff(steps.false) > 0, np.diff(steps.true) > 0
    both = false & true
    ends = (false[1:] != false[:-1]) | both[1:] | both[:-1]
    kept = np.concatenate([[True], ends, [True]])
    return Steps(steps.thresholds[kept], steps.false[kept], steps.true[kept], complete=False)


class CornerSampler:
    """The corners of the error curve in resamples of the people."""

    def __init__(self, scores: Scores) -> None:
        self._people = scores.people
        self._corners = corners(scores.steps)
        order, self._true_runs = _runs(scores.mated, self._corners.true)
        self._mated = scores.mated_person[order].astype(np.intp)  # the type of indices
        order, runs = _runs(scores.nonmated, self._corners.false)
        one, two = scores.nonmated_persons[order].T.astype(np.intp)
        self._false_runs, self._one, self._two, self._often = _merged(runs, one, two, self._people)

    def steps(self, weights: Floats) -> Steps | None:
        """The corners where person i counts `weights[i]` times; None without pairs of each kind."""
        runs = len(self._corners.false) - 1
        met = self._often * weights[self._one] * weights[self._two]
        false = np.bincount(self._false_runs, met, runs)
        true = np.bincount(self._true_runs, weights[self._mated], runs)
        if not false.any() or not true.any():
            return None
        kept = np.append(True, (false > 0) | (true > 0))
        return Steps(
            self._corners.thresholds[kept],
            np.append(0, np.cumsum(false))[kept].astype(np.int64),
            np.append(0, np.cumsum(true))[kept].astype(np.int64),
            complete=False,
        )

    def resamples(self, replicates: int, seed: int) -> Iterator[Steps]:
        """The corners in each resample that has pairs of each kind."""
        for weights in draw(self._people, replicates, seed).T:
            steps = self.steps(np.ascontiguousarray(weights))
            if steps is not None:
                yield steps


def _runs(scores: Similarities, accepted: Counts) -> tuple[Places, Places]:
    """The scores' descending order, and in it the run that each is in."""
    gained = np.diff(accepted)
    return np.argsort(-scores), np.repeat(np.arange(len(gained)), gained)


def _merged(
    runs: Places, one: Places, two: Places, people: int
) -> tuple[Places, Places, Places, Counts]:
    """Each run and two people once, and how often: five times fewer where runs are long."""
    if (int(runs[-1]) + 1) * people**2 >= 2**62:  # beyond the codes that int64 holds
        return runs, one, two, np.ones_like(runs)
    codes, often = np.unique((runs * people + one) * people + two, return_counts=True)
    codes, two = np.divmod(codes, people)
    return *np.divmod(codes, people), two, often


def resampled_lists(lists: ScoreLists, replicates: int, seed: int) -> Iterator[Steps]:
    """The corners in resamples of the comparisons: P mated and N non-mated ones are drawn anew."""
    random = np.random.default_rng(seed)
    found = corners(lists.steps)
    shares = np.diff(found.false) / found.nonmated, np.diff(found.true) / found.mated
    for _ in range(replicates):
        false, true = (
            np.append(0, np.cumsum(random.multinomial(total, share)))
            for total, share in zip((found.nonmated, found.mated), shares, strict=True)
        )
        yield Steps(found.thresholds, false, true, complete=False)


def affordable(replicates: int, comparisons: int) -> int:
    """`replicates`, or fewer where there are many comparisons, but not below a hundred."""
    return min(replicates, max(LEAST, WORK // comparisons))


def bootstrap(
    scores: ScoreLists,
    metrics: Mapping[str, Callable[[Steps], float]],
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Floats]:
    """Each metric in each resample, (B,) by its name: of the people, where they are known.

    Args:
        scores: all comparisons. Of `Scores` the people are drawn, of mere lists the comparisons.
        metrics: functions of the corners of the curve.
        replicates: how many resamples; those without pairs of each kind are dropped.
        seed: equal seeds draw alike.

    Raises:
        InputError: no resample had both mated and non-mated comparisons.
    """
    resamples = (
        CornerSampler(scores).resamples(replicates, seed)
        if isinstance(scores, Scores)
        else resampled_lists(scores, replicates, seed)
    )
    found: dict[str, list[float]] = {name: [] for name in metrics}
    for steps in resamples:
        for name, metric in metrics.items():
            found[name].append(metric(steps))
    if not all(found.values()):
        raise InputError(
            f"expected resamples with both mated and non-mated comparisons, but none of "
            f"{replicates} had them; add people, or resamples"
        )
    return {name: np.array(values) for name, values in found.items()}
