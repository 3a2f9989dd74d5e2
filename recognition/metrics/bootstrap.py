"""Resamples of any number that is read from the steps of the error curve.

In a resample that draws person i w_i times, a non-mated pair (i, j) counts w_i w_j times and a
mated pair of person i w_i times, so a resample of the people is a table of steps like any other,
and every metric of steps can be asked about it. Where nobody knows the people, comparisons are
drawn instead: that takes them for independent, and the intervals are too narrow if they are not.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import ScoreLists, Scores
from recognition.comparisons.steps import Floats, Steps
from recognition.errors import InputError
from recognition.metrics.resampling import draw

WORK = 2**28  # scores gone through, all resamples together: some ten seconds
LEAST = 100  # resamples, however many scores there are


class CornerSampler:
    """The corners of the error curve in resamples of the people.

    Between two mated scores all non-mated ones are taken together, and the other way round: along
    such a run one error rate rests while the other moves, and the best threshold, the vertices
    of the hull and the area lie at its ends. What needs every step, as the equal error rate of
    FVC2000 does, is not to be read from corners.
    """

    def __init__(self, scores: Scores) -> None:
        values = np.concatenate([scores.nonmated, scores.mated])
        order = np.argsort(-values, kind="stable")
        self._people = scores.people
        split = len(scores.nonmated)
        self._block, self._thresholds = _runs(values[order], order >= split)
        block_of = np.empty(len(values), np.int64)
        block_of[order] = self._block
        # sorted by block, so that one pass sums each
        false = np.argsort(block_of[:split], kind="stable")
        true = np.argsort(block_of[split:], kind="stable")
        self._false_blocks, self._true_blocks = block_of[:split][false], block_of[split:][true]
        self._one, self._two = scores.nonmated_persons[false].T.copy()
        self._mated = scores.mated_person[true]
        self._above = float(np.nextafter(values.max(), values.dtype.type(np.inf)))

    def steps(self, weights: Floats) -> Steps | None:
        """The corners where person i counts `weights[i]` times; None without pairs of each kind."""
        blocks = len(self._thresholds)
        false = np.bincount(self._false_blocks, weights[self._one] * weights[self._two], blocks)
        true = np.bincount(self._true_blocks, weights[self._mated], blocks)
        if not false.any() or not true.any():
            return None
        kept = (false > 0) | (true > 0)
        return Steps(
            np.append(self._above, self._thresholds[kept]),
            np.append(0, np.cumsum(false[kept])).astype(np.int64),
            np.append(0, np.cumsum(true[kept])).astype(np.int64),
        )

    def resamples(self, replicates: int, seed: int) -> Iterator[Steps]:
        """The corners in each resample that has pairs of each kind."""
        for weights in draw(self._people, replicates, seed).T:
            steps = self.steps(weights)
            if steps is not None:
                yield steps


def _runs(
    descending: npt.NDArray[np.floating], mated: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], Floats]:
    """(N,) the run each score is in, and the lowest score of each run; a tie is never parted."""
    starts = np.flatnonzero(np.append(True, descending[1:] < descending[:-1]))
    sizes = np.diff(np.append(starts, len(descending)))
    own = np.add.reduceat(mated.astype(np.int64), starts)
    kind = np.where(own == 0, 0, np.where(own == sizes, 1, 2))  # non-mated, mated, a tie of both
    new = np.append(True, (kind[1:] != kind[:-1]) | (kind[1:] == 2))
    lowest = descending[np.append(starts[1:], len(descending)) - 1]
    last = np.append(np.flatnonzero(new)[1:], len(starts)) - 1
    return np.repeat(np.cumsum(new) - 1, sizes), lowest[last].astype(np.float64)


def resampled_lists(steps: Steps, replicates: int, seed: int) -> Iterator[Steps]:
    """Every step in resamples of the comparisons: P mated and N non-mated ones are drawn anew."""
    random = np.random.default_rng(seed)
    shares = (np.diff(steps.false) / steps.nonmated, np.diff(steps.true) / steps.mated)
    for _ in range(replicates):
        false, true = (
            np.append(0, np.cumsum(random.multinomial(total, share)))
            for total, share in zip((steps.nonmated, steps.mated), shares, strict=True)
        )
        yield Steps(steps.thresholds, false, true, steps.complete)


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
        metrics: functions of the corners of the curve; of mere lists they get every step.
        replicates: how many resamples; those without pairs of each kind are dropped.
        seed: equal seeds draw alike.

    Raises:
        InputError: no resample had both mated and non-mated comparisons.
    """
    resamples = (
        CornerSampler(scores).resamples(replicates, seed)
        if isinstance(scores, Scores)
        else resampled_lists(scores.steps, replicates, seed)
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
