"""Which of a block's float32 products need a second look, and what the others count for."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import HALF_UNIT, Halves, Singles, singles_of
from recognition.comparisons.steps import Counts, Floats

Wheres = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]

FEW = 0.06  # of a tile: so few are copied out and sorted, more are compared where they are


class Find(NamedTuple):
    """What a tile holds.

    Attributes:
        sure: (T,) how many scores are at or above each threshold beyond doubt.
        places: (Q,) flat places in the tile of the scores that have to be computed exactly.
        products: (Q,) what the float32 product has there.
    """

    sure: Counts
    places: Wheres
    products: Singles


class Sieve:
    """A floor, descending thresholds below it, and how far a product can be from its score.

    A product p at least `guard` above a threshold belongs to a score above it, one that far
    below it to a score below it. What is between is left to `decide`, as is all that may reach
    the floor. `hidden` stands for a pair that is not to be counted.
    """

    hidden: float = np.nan
    rounding = 0.0  # of a product, relative to itself, on top of the guard

    def __init__(self, thresholds: Floats, floor: float, guard: float) -> None:
        self.thresholds, self.floor, self.guard = thresholds, floor, guard
        down, up = np.float32(-np.inf), np.float32(np.inf)
        self._low = np.nextafter((thresholds - guard).astype(np.float32), down)
        self._high = np.nextafter((thresholds + guard).astype(np.float32), up)
        self._edge = np.nextafter(np.float32(floor - guard), down)
        ends = np.stack([self._low[::-1], self._high[::-1]], axis=1).ravel()  # ascending
        self._edges = np.append(ends, self._edge)
        self._keys = _ordered(self._edges).astype(np.int64) << 32

    def sift(self, tile: Singles, marks: Marks) -> Find:
        """Count what is sure, and find what is not; `marks` (3, tile.size) are for scratch.

        Memory that is there already spares the time that fresh pages take, which is as long as
        comparing.
        """
        flat, (above, beyond, doubt) = tile.reshape(-1), marks
        sure = np.zeros(len(self.thresholds), np.int64)
        rest = len(self.thresholds)
        doubt[:] = False
        np.greater_equal(flat, self._low[rest - 1] if rest else self._edge, out=above)
        while rest and np.count_nonzero(above) > FEW * len(flat):  # from the lowest upwards
            rest -= 1
            np.greater_equal(flat, self._high[rest], out=beyond)
            sure[rest] = np.count_nonzero(beyond)
            beyond ^= above
            doubt |= beyond
            np.greater_equal(flat, self._low[rest - 1] if rest else self._edge, out=above)
        places = np.flatnonzero(above)
        if rest:
            keys = (_ordered(flat[places]).astype(np.int64) << 32) | places
            keys.sort()
            at = keys.searchsorted(self._keys[-2 * rest - 1 :])
            sure[:rest] = (len(keys) - at[1::2])[::-1]
            doubtful = [keys[i:j] for i, j in zip(at[:-1:2], at[1::2], strict=True)]
            places = np.concatenate([*doubtful, keys[at[-1] :]]) & 0xFFFFFFFF
        if rest < len(self.thresholds):
            places = np.concatenate([np.flatnonzero(doubt), places])
        return Find(sure, places, flat[places])

    def decide(self, find: Find, scores: Singles) -> tuple[Counts, Marks]:
        """#{v >= t} in the tile, and which of the `scores` of its places may be in the tail.

        Raises:
            ArithmeticError: a product farther from its score than float32 can put it, which
                would leave all the others in doubt.
        """
        off = np.abs(find.products - scores) - self.rounding * np.abs(find.products)
        if off.max(initial=0) > self.guard:
            raise ArithmeticError(
                f"a matrix product is off by {off.max():.1e} here, more than the {self.guard:.1e} "
                "that its rounding allows; multiply in full precision (no TF32, no bfloat16)"
            )
        high = find.products >= self._edge
        near, scores = find.products[~high], scores[~high]
        above = len(self._low) - np.searchsorted(self._low[::-1], near, side="right")
        reached = above[scores >= self.thresholds[above]]
        return find.sure + np.bincount(reached, minlength=len(self.thresholds)), high


class CoarseSieve(Sieve):
    """A floor above 0, for products that are rounded to bfloat16 and come as their bits.

    Rounding keeps the order: what belongs to a score at or above the floor is not rounded below
    the next bfloat16 under floor - guard. The bits of positive numbers are in the order of the
    numbers, and those of negative ones below them, so whole numbers are compared.
    """

    hidden = -(2**15)
    rounding = HALF_UNIT

    def __init__(self, floor: float, guard: float) -> None:
        super().__init__(np.empty(0), floor, guard)
        self._bits = np.int16(self._edge.view(np.int32) >> 16)  # cuts off, which is downwards
        self._edge = singles_of(np.array(self._bits))[()]

    @staticmethod
    def serves(floor: float, guard: float) -> bool:
        """Whether the floor is far enough above 0."""
        return floor - guard > 0

    def sift(self, tile: Halves, marks: Marks) -> Find:  # type: ignore[override]
        """Find what may reach the floor."""
        flat = tile.reshape(-1)
        places = np.flatnonzero(np.greater_equal(flat, self._bits, out=marks[0]))
        return Find(np.zeros(0, np.int64), places, singles_of(flat[places]))


def _ordered(values: Singles) -> npt.NDArray[np.int32]:
    """The bits of float32 numbers as whole numbers in the same order."""
    bits = np.ascontiguousarray(values).view(np.int32)
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
