"""Vectors beside a copy in eight bits, which says within known bounds what they score."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import guard
from recognition.embeddings import Floats, unit_rows

Singles = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int8]

LARGEST = 127  # -128 is left out: some processors' products of it overflow
ROWS = 2**14  # quantised at a time


class Quantised(NamedTuple):
    """(N, D) vectors x, and for each a whole multiple of a step, x / ‖x‖ = step · code + rest.

    Attributes:
        vectors: (N, D) float32, of any length.
        codes: (N, D) int8 from -127 to 127.
        steps: (N,) float32.
        lost: (N,) float32, at least ‖rest‖.
    """

    vectors: Singles
    codes: Codes
    steps: Singles
    lost: Singles

    def __len__(self) -> int:
        return len(self.steps)

    def part(self, rows: slice) -> "Quantised":
        """Views of some rows."""
        return Quantised(self.vectors[rows], self.codes[rows], self.steps[rows], self.lost[rows])


def quantise(vectors: Singles) -> Quantised:
    """Each row with a step of its own, as small as its largest component allows.

    Raises:
        InputError: a row without a direction, or one that is not finite.

    >>> made = quantise(np.array([[3, 4]], np.float32))
    >>> made.codes.tolist(), bool(np.abs(made.steps * [95, 127] - [0.6, 0.8]).max() < 0.004)
    ([[95, 127]], True)
    """
    count, dimension = vectors.shape
    codes = np.empty((count, dimension), np.int8)
    steps, lost = np.empty(count, np.float32), np.empty(count, np.float32)
    for start in range(0, count, ROWS):
        part = slice(start, start + ROWS)
        codes[part], steps[part], lost[part] = _quantised(unit_rows(vectors[part]))
    return Quantised(vectors, codes, steps, lost)


def _quantised(unit: Floats) -> tuple[Codes, Singles, Singles]:
    steps = np.abs(unit).max(axis=1, keepdims=True) / LARGEST
    steps = steps.astype(np.float32).astype(np.float64)
    codes = np.rint(unit / steps).clip(-LARGEST, LARGEST)
    rest = np.linalg.norm(unit - steps * codes, axis=1)
    upward = np.nextafter(rest.astype(np.float32), np.float32(np.inf))
    return codes.astype(np.int8), steps[:, 0].astype(np.float32), upward


def slack(lost_rows: npt.ArrayLike, lost_probes: npt.ArrayLike, dimension: int) -> Floats:
    """How far the product of the codes can be from the score.

    With x = x̃ + r and q = q̃ + t, |x·q - x̃·q̃| <= ‖r‖ ‖q‖ + ‖x̃‖ ‖t‖ <= ‖r‖ + (1 + ‖r‖) ‖t‖ by
    Cauchy and Schwarz. The product of the codes is exact; scaling it by the steps in float32 and
    rounding the score take less than `guard`.
    """
    rows, probes = np.asarray(lost_rows, np.float64), np.asarray(lost_probes, np.float64)
    bound: Floats = rows + (1 + rows) * probes + guard(dimension)
    return bound
