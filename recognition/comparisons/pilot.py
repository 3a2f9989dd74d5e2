"""A look at some of the scores first: where the tail begins, and where to count."""

import numpy as np

from recognition.comparisons.product import Singles
from recognition.comparisons.sorted_rows import SortedRows
from recognition.comparisons.steps import Floats
from recognition.embeddings import as_scores

SIDE = 256  # pictures against pictures in one square of the sample
SEED = 20220714
CLUMP = 0.01  # a share of scores too large to be told apart one by one
GRID = 2.0**20


def sample(rows: SortedRows, pairs: int) -> Singles:
    """About `pairs` non-mated scores of pictures drawn evenly, ascending; the same every time."""
    random = np.random.default_rng(SEED)
    parts = []
    for _ in range(max(1, pairs // SIDE**2)):
        i, j = random.integers(len(rows), size=(2, SIDE))
        products = as_scores(
            rows.rounded[i].astype(np.float64) @ rows.rounded[j].astype(np.float64).T
        )
        parts.append(products[rows.codes[i][:, None] != rows.codes[j]])
    return np.sort(np.concatenate(parts))


def tail_floor(scores: Singles, share: float, guard: float) -> tuple[float, bool]:
    """A floor that at least a `share` of all scores reach, and whether a clump forbade one.

    The share in the sample is off by about sqrt(m f), more as its pairs share pictures: eight
    times that makes a floor that is too high a thing that happens to nobody (and then costs a
    second pass, not an error). Where a clump of nearly equal scores begins there, the floor is
    above it.
    """
    expected = len(scores) * share
    rank = int(np.ceil(expected + 8 * np.sqrt(expected) + 10))
    if rank >= len(scores):
        return -np.inf, False
    floor = float(scores[len(scores) - rank])
    above = float(np.float32(_above_clump(scores, floor, guard)))
    return above, above > floor


def rates(lowest: float, count: int) -> Floats:
    """About `count` rates above `lowest`: even in the logarithm up to 0.05, then few.

    High rates are met by most pairs of a file, which makes counting them dear, and matter to no
    decision: 0.1, 0.2 and 0.5 do. The powers of ten are always among them.

    >>> rates(0.01, 8).round(3).tolist()
    [0.015, 0.022, 0.033, 0.05, 0.1, 0.2, 0.5]
    """
    tens = np.array([0.0001, 0.001, 0.01])
    high = np.array([0.1, 0.2, 0.5])
    even = np.geomspace(lowest, 0.05, max(2, count - len(high))) if lowest < 0.05 else tens
    every = np.unique(np.concatenate([tens, even, high]).round(12))
    return every[every > lowest]


def thresholds(scores: Singles, lowest: float, count: int, floor: float, guard: float) -> Floats:
    """Where to count: descending thresholds below `floor`, about one for each of `rates`.

    A threshold for the rate f is aimed so low that it will hardly be missed: the sample is off by
    sqrt(m f). It is halfway between two multiples of 2^-20, which float32 can hold and few
    data would single out, and farther than `guard` from its neighbours, from the floor and from
    any clump of nearly equal scores, which it is above.
    """
    found: list[float] = []
    last = floor - 4 * guard
    for rate in rates(lowest, count) if count and len(scores) else ():
        expected = rate * len(scores)
        rank = max(1, int(expected - 3 * np.sqrt(expected * (1 - rate))))
        at = _above_clump(scores, float(scores[len(scores) - rank]), guard)
        at = (np.ceil(at * GRID) + 0.5) / GRID
        if at < last:
            found.append(at)
            last = at - 4 * guard
    return np.array(found)


def _above_clump(scores: Singles, at: float, guard: float) -> float:
    """The first place from `at` upwards where few scores are within twice the guard."""
    while True:
        low = np.searchsorted(scores, np.float32(at - 2 * guard))
        high = np.searchsorted(scores, np.float32(at + 2 * guard), side="right")
        if high - low <= CLUMP * len(scores) + 1:
            return at
        at = float(scores[high - 1]) + 3 * guard
