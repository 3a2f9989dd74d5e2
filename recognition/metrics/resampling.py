"""Verification in many resamples of the people at once, exactly, without sorting twice."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recognition.comparisons import Scores
from recognition.metrics.verification import ROUNDING, crossing, mann_whitney

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

CUTS = 96  # per kind of spacing: a finer ladder costs more products, a coarser one more walking


def draw(people: int, replicates: int, seed: int) -> Floats:
    """(people, replicates) how often each person is drawn, `people` draws with replacement."""
    random = np.random.default_rng(seed)
    even = np.full(people, 1 / people)
    return random.multinomial(people, even, size=replicates).T.astype(np.float64, order="C")


class _Steps(NamedTuple):
    """Weights accepted at descending thresholds: before a block, then after each of its ties."""

    false: Floats
    true: Floats


class Resampled:
    """What is accepted in B resamples of the people, at any threshold.

    In a resample that draws person i w_i times, a non-mated pair (i, j) counts w_i w_j times and
    a mated pair of person i w_i times. All scores are put in one descending order and cut into
    some 300 blocks that never part a tie. What is accepted at the ends of the blocks comes from
    products of matrices; the exact place of a threshold is then found by walking through one
    block. So nothing is rounded to a grid, and no resample is ever sorted.

    Memory is some 80 bytes a score and 16 bytes per block and resample. Time grows with
    blocks x people² x B, and no faster than scores x B where people are many: 1,000 resamples
    take 4 seconds for 5 million scores of 300 people, 10 for 8 million scores of 2,000.

    Resamples without a mated or a non-mated comparison measure nothing and are dropped.
    """

    def __init__(self, scores: Scores, weights: Floats) -> None:
        self._sort(scores)
        ends = self._cut()
        self.blocks = [slice(a, b) for a, b in itertools.pairwise(ends)]
        nothing = np.zeros((1, weights.shape[1]))
        ends_false, ends_true = (  # (blocks + 1, B): accepted before the first, after each
            np.cumsum(np.concatenate([nothing, weight]), axis=0)
            for weight in (self._nonmated(weights), self._mated(weights))
        )
        measured = (ends_false[-1] > 0) & (ends_true[-1] > 0)
        self.weights = weights[:, measured]
        self.false, self.true = ends_false[:, measured], ends_true[:, measured]
        self.nonmated, self.mated = self.false[-1], self.true[-1]

    def _sort(self, scores: Scores) -> None:
        keys = -np.concatenate([scores.nonmated, scores.mated])
        order = np.argsort(keys)
        self.keys = keys[order]  # ascending, so scores descend
        one, two = scores.nonmated_persons.T
        self.one = np.concatenate([one, scores.mated_person])[order]
        self.two = np.concatenate([two, np.full_like(scores.mated_person, -1)])[order]

    def _cut(self) -> Places:
        """Where blocks end: evenly, evenly among the mated, and ever finer towards the tail."""
        last = len(self.keys) - 1
        mated = np.flatnonzero(self.two < 0)
        places = [
            np.linspace(0, last, CUTS),
            np.geomspace(1, last, CUTS),
            mated[np.linspace(0, len(mated) - 1, CUTS).astype(np.int64)],
        ]
        at = self.keys[np.unique(np.concatenate(places).astype(np.int64))]
        # both sides of a tie: a tie larger than a block is then a block of its own
        left, right = (np.searchsorted(self.keys, at, side) for side in ("left", "right"))
        right = right[right - left > 1]
        return np.unique(np.concatenate([[0], left, right, [last + 1]]))

    def _mated(self, weights: Floats) -> Floats:
        """(blocks, B) the weight of the mated pairs in each block."""
        persons = [self.one[block][self.two[block] < 0] for block in self.blocks]
        counts = np.stack([np.bincount(one, minlength=len(weights)) for one in persons])
        weight: Floats = counts.astype(np.float64) @ weights
        return weight

    def _nonmated(self, weights: Floats) -> Floats:
        """(blocks, B) the weight of the non-mated pairs in each block, Σ_i w_i Σ_j e_ij w_j.

        Row (block, i) of one sparse matrix holds e_ij, how many pairs of i with j are in the
        block. Only rows with a pair are multiplied, many at a time.
        """
        people, replicates = weights.shape
        sizes = [block.stop - block.start for block in self.blocks]
        row = np.repeat(np.arange(len(sizes)) * people, sizes) + self.one
        pair = self.two >= 0
        entries = (np.ones(pair.sum()), (row[pair], self.two[pair]))
        met = sparse.coo_array(entries, shape=(len(sizes) * people, people)).tocsr()
        filled = np.flatnonzero(np.diff(met.indptr))
        met = met[filled]
        total = np.zeros((len(sizes), replicates))
        step = max(1, 2**22 // replicates)
        for start in range(0, len(filled), step):
            part, rows = met[start : start + step], filled[start : start + step]
            if 20 * part.nnz > part.shape[0] * people:  # measured: dense is then the faster one
                part = part.toarray()
            block, one = np.divmod(rows, people)
            first = np.flatnonzero(np.append(True, block[1:] != block[:-1]))
            weight = (part @ weights) * weights[one]
            total[block[first]] += np.add.reduceat(weight, first, axis=0)
        return total

    def _walk(self, block: slice, replicate: int, before: tuple[float, float]) -> _Steps:
        one, two, keys = self.one[block], self.two[block], self.keys[block]
        w = self.weights[:, replicate]
        mated = two < 0
        ends = np.flatnonzero(np.append(keys[1:] != keys[:-1], True))
        first = w[one]
        false = np.cumsum(np.where(mated, 0, first * w[two]))[ends]
        true = np.cumsum(np.where(mated, first, 0))[ends]
        return _Steps(
            *(np.append(0, gain) + start for gain, start in zip((false, true), before, strict=True))
        )

    def _at(self, reached: npt.NDArray[np.bool_], read: Callable[[_Steps, int], float]) -> Floats:
        """`read` the steps of the first block at whose end each resample has `reached`."""
        return np.array(
            [
                read(self._walk(self.blocks[t], b, (self.false[t, b], self.true[t, b])), b)
                for b, t in enumerate(reached[1:].argmax(axis=0))
            ]
        )

    def tar_at_fmr(self, target: float) -> Floats:
        """TAR (B,) at each resample's own threshold, by the rule of `threshold_at_fmr`."""
        allowed = target * self.nonmated * ROUNDING

        def read(steps: _Steps, b: int) -> float:
            beyond = np.flatnonzero(steps.false > allowed[b])
            kept = beyond[0] - 1 if len(beyond) else -1
            return float(steps.true[kept] / self.mated[b])

        reached = self.false > allowed
        reached[-1] = True  # everything may be accepted
        return self._at(reached, read)

    def equal_error_rate(self) -> Floats:
        """EER (B,) by the rule of `equal_error_rate`."""

        def read(steps: _Steps, b: int) -> float:
            false, true = (counts.astype(np.int64) for counts in steps)
            at = crossing(false, true, int(self.nonmated[b]), int(self.mated[b]))
            missed = (self.mated[b] - true[at]) / self.mated[b]
            return float(false[at] / self.nonmated[b] + missed) / 2

        counts = (self.false, self.true, self.nonmated, self.mated)
        false, true, nonmated, mated = (count.astype(np.int64) for count in counts)
        return self._at(false * mated >= (mated - true) * nonmated, read)

    def area_under_curve(self) -> Floats:
        """AUC (B,), exact between blocks; inside a block the order of the whole sample is used."""
        false, true = np.diff(self.false, axis=0), np.diff(self.true, axis=0)
        within = np.array([self._inside(block) for block in self.blocks])
        beaten = self.nonmated - self.false[1:] + within[:, None] * false
        areas: Floats = (true * beaten).sum(axis=0) / (self.mated * self.nonmated)
        return areas

    def _inside(self, block: slice) -> float:
        keys, mated = self.keys[block], self.two[block] < 0
        if mated.all() or not mated.any():
            return 0.0  # of no pairs
        return mann_whitney(-keys[mated], -keys[~mated])
