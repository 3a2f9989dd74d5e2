"""Vectors beside a copy in eight bits, which says within known bounds what they score."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import guard
from recognition.comparisons.threads import workers
from recognition.embeddings import Floats, unit_rows
from recognition.errors import InputError

Singles = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]

LARGEST = 127  # -128 is left out: some processors' products of it overflow
OFFSET = 128  # of a code, as faiss reads them
SAMPLE = 2**12  # rows by which the common step is chosen
FEW = 2**-8  # of all rows need a larger one
EVEN = 0.9  # of the common step is as good as it
SHORTEST, LONGEST = 1e-30, 1e30  # of other lengths float32 loses products
ROWS = 2**11  # quantised at a time: they stay in a core's cache


class Quantised(NamedTuple):
    """(N, D) vectors x, and for each a whole multiple of a step, x / ‖x‖ = step · code + rest.

    Attributes:
        vectors: (N, D) float32, of lengths from 1e-30 to 1e30.
        codes: (N, D) uint8, 128 more than a whole number from -127 to 127.
        steps: (N,) float32; mostly alike, so that products of codes compare rows.
        lost: (N,) float32, at least ‖rest‖.
        lengths: (N,) float32, ‖x‖ as far as float32 can sum it.
    """

    vectors: Singles
    codes: Codes
    steps: Singles
    lost: Singles
    lengths: Singles

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        """Without the vectors: they are somebody's."""
        return f"Quantised({len(self)} vectors)"

    def part(self, rows: slice) -> "Quantised":
        """Views of some rows."""
        return Quantised(
            self.vectors[rows],
            self.codes[rows],
            self.steps[rows],
            self.lost[rows],
            self.lengths[rows],
        )


def quantise(vectors: Singles, common: float | None = None) -> Quantised:
    """Each row with the common step, or as large a one as its largest component needs.

    Args:
        vectors: (N, D) float32.
        common: the step, and 0 for one of each row's own; None for what all but few rows need.

    Raises:
        InputError: a row without a direction, one that is not finite, or too short or too long.

    >>> made = quantise(np.array([[3, 4]], np.float32))
    >>> made.codes.tolist(), bool(np.abs(made.steps * [95, 127] - [0.6, 0.8]).max() < 0.004)
    ([[223, 255]], True)
    """
    count, dimension = vectors.shape
    if common is None:
        common = 0.0
        if count > 1:
            some = vectors[:: -(-count // SAMPLE)]
            common = common_step(quantise(np.ascontiguousarray(some), 0).steps)
    made = Quantised(
        vectors,
        np.empty((count, dimension), np.uint8),
        *(np.empty(count, np.float32) for _ in range(3)),
    )
    parts = [made.part(slice(start, start + ROWS)) for start in range(0, count, ROWS)]
    if len(parts) < 2:  # beginning threads takes longer
        for part in parts:
            _fill(part, common)
        return made
    with workers() as pool:
        for _ in pool.map(partial(_fill, common=common), parts):
            pass
    return made


def common_step(steps: Singles) -> float:
    """The step that is enough for all rows but few, of some of them.

    >>> common_step(np.array([3, 2, 2, 2], np.float32))
    3.0
    """
    some = steps[:: -(-len(steps) // SAMPLE) or 1]
    return float(np.quantile(some, 1 - FEW, method="higher")) if len(some) else 0.0


def levelled(parts: Sequence[Quantised]) -> list[Quantised]:
    """The same vectors, anew where many steps are smaller than what is common to all the parts."""
    steps = np.concatenate([part.steps for part in parts]) if parts else np.empty(0, np.float32)
    common = common_step(steps)
    if np.count_nonzero(steps < EVEN * common) <= FEW * len(steps):
        return list(parts)
    return [quantise(part.vectors, common) for part in parts]


def _fill(part: Quantised, common: float) -> None:
    """Codes, steps and what is lost, all in float32.

    The unit row, its product with the step and their difference are each off by no more than
    `guard` in length, and so is, for its size, the length of the rest.
    """
    rows = np.array(part.vectors)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    if not (np.isfinite(largest) & (largest > 0)).all():
        unit_rows(rows)  # says what is wrong
    rows /= largest  # no square of it is lost
    scaled = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= scaled
    with np.errstate(over="ignore"):
        part.lengths[:] = (largest * scaled)[:, 0]
    if not ((part.lengths >= SHORTEST) & (part.lengths <= LONGEST)).all():
        raise InputError(
            f"expected vectors of lengths from {SHORTEST:g} to {LONGEST:g}, got "
            f"{part.lengths.min():g} to {part.lengths.max():g}; no model makes such embeddings"
        )
    steps = np.abs(rows).max(axis=1, keepdims=True) / np.float32(LARGEST)
    np.maximum(steps, np.float32(common), out=steps)
    codes = np.rint(rows / steps)
    codes.clip(-LARGEST, LARGEST, out=codes)
    part.codes[:], part.steps[:] = codes + OFFSET, steps[:, 0]
    codes *= steps
    rows -= codes
    error = np.float32(guard(rows.shape[1]))
    part.lost[:] = np.linalg.norm(rows, axis=1) * (1 + error) + 3 * error


def slack(lost_rows: npt.ArrayLike, lost_probes: npt.ArrayLike, dimension: int) -> Floats:
    """How far the product of the codes can be from the score.

    With x = x̃ + r and q = q̃ + t, |x·q - x̃·q̃| <= ‖r‖ ‖q‖ + ‖x̃‖ ‖t‖ <= ‖r‖ + (1 + ‖r‖) ‖t‖ by
    Cauchy and Schwarz. The product of the codes, which in float32 is exact for up to 1,040 numbers
    only, its scaling by the steps and the rounding of the score take less than `guard` of
    ‖x̃‖ ‖q̃‖ <= (1 + ‖r‖) (1 + ‖t‖).
    """
    rows, probes = np.asarray(lost_rows, np.float64), np.asarray(lost_probes, np.float64)
    bound: Floats = rows + (1 + rows) * (probes + (1 + probes) * guard(dimension))
    return bound
