"""A photograph, and parts of it, made smaller by averaging areas."""

from itertools import pairwise
from typing import cast

import numpy as np
import numpy.typing as npt

from recognition.faces.face import Floats, Pixels

Places = npt.NDArray[np.int64]
Sums = npt.NDArray[np.int32]


class AreaSums:
    """The sum of any rectangle of a photograph in four look-ups, exact (a summed-area table).

    A pixel of a smaller picture is the mean of the pixels that it touches, the same whole ones as
    in torch's `interpolate(mode="area")`: from floor(i n / m) to ceil((i + 1) n / m).
    """

    def __init__(self, pixels: Pixels) -> None:
        """Of a photograph (H, W, 3) uint8."""
        self.height, self.width = pixels.shape[:2]
        table = np.zeros((self.height + 1, self.width + 1, 3), np.int32)
        np.cumsum(pixels, axis=1, dtype=np.int32, out=table[1:, 1:])
        for above, row in pairwise(table):
            np.add(above, row, out=row)
        # what exceeds 32 bits wraps round, and wraps back where sums are subtracted
        self._table = table

    def resized(self, height: int, width: int) -> Floats:
        """The whole photograph as (height, width, 3), each value from -1 to 1."""
        top, bottom = _windows(np.array(self.height), height)
        left, right = _windows(np.array(self.width), width)
        rows = self._table[bottom] - self._table[top]
        sums = rows.take(right, axis=1) - rows.take(left, axis=1)
        return _scaled(sums, (bottom - top)[:, None] * (right - left))

    def crops(self, boxes: Places, side: int) -> Floats:
        """Parts (N, side, side, 3) of it, each value from -1 to 1.

        Args:
            boxes: (N, 4) left, top, right, bottom within the photograph, at least a pixel large.
            side: of the crops.
        """
        (left, top), (right, bottom) = boxes[:, :2].T, boxes[:, 2:].T
        above, below = (side_of + top[:, None] for side_of in _windows(bottom - top, side))
        before, after = (side_of + left[:, None] for side_of in _windows(right - left, side))
        table, row = self._table.reshape(-1, 3), self.width + 1

        def corners(y: Places, x: Places) -> Sums:
            places = y[:, :, None] * row + x[:, None, :]
            return cast(Sums, table.take(places, axis=0, mode="clip"))

        sums = corners(below, after)
        sums -= corners(above, after)
        sums -= corners(below, before)
        sums += corners(above, before)
        return _scaled(sums, (below - above)[:, :, None] * (after - before)[:, None, :])


def _windows(length: Places, count: int) -> tuple[Places, Places]:
    """Where each of `count` even parts of a length begins and ends, rounded outwards."""
    edge = np.arange(count + 1) * length[..., None]
    return edge[..., :-1] // count, -(-edge[..., 1:] // count)


def _scaled(sums: Sums, areas: Places) -> Floats:
    means = sums.astype(np.float32)
    means /= areas[..., None].astype(np.float32)
    means -= np.float32(127.5)
    means *= np.float32(0.0078125)
    return means
