"""Scores of everything against everything, a block of rows at a time."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from recognition.embeddings import Floats, as_scores

CELLS = 2**22  # scores in memory at a time, 48 MiB while they are rounded
LEAST = 32  # rows of a block, however many columns there are: fewer waste the processor


def score_blocks(
    rows: Floats, columns: Floats, into: npt.NDArray[np.float32] | None = None
) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
    """x_i · y_j of unit vectors (Q, D) and (N, D), as blocks (b, N) with the rows they are of.

    Products are summed in float64 and rounded by `as_scores`: equal vectors tie exactly, and neither
    the order of rows and columns nor the size of the blocks shows in a score. Blocks may be changed
    by whoever gets them; where `into` (Q, N) is given they are its rows, and all of them are there
    in the end.
    """
    step = max(LEAST, CELLS // len(columns))
    product = np.empty((min(step, len(rows)), len(columns)))
    for start in range(0, len(rows), step):
        part = slice(start, min(start + step, len(rows)))
        sums = np.matmul(rows[part], columns.T, out=product[: part.stop - start])
        yield part, as_scores(sums, None if into is None else into[part])
