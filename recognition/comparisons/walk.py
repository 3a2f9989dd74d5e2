"""All pairs of places, block by block: products find what has to be scored, scores decide."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons import pilot
from recognition.comparisons.product import Product, Singles, fastest, guard, threads
from recognition.comparisons.sieve import Sieve, Wheres
from recognition.comparisons.sorted_rows import SortedRows
from recognition.comparisons.steps import Counts, Floats
from recognition.comparisons.tail import Places
from recognition.comparisons.work import Saving, Work, new_tail
from recognition.progress import Advance

TILE = 2**20  # scores looked through at once: in small pieces threads wait for each other
GATHER = 64  # pairs whose rows stay in a core's own cache


class Plan(NamedTuple):
    """How the work is cut. Of this, only `least_tail` and `sample` show in the result."""

    product: Callable[[Singles], Product] = fastest
    tile: int = TILE
    least_tail: int = 2**16  # kept however small a share that is: little to hold, and exact
    sample: int = 2**22
    seconds: float = 30.0  # between two checkpoints, at least
    pause: float = 20.0  # and so many times as long as the last one took


class Look(NamedTuple):
    """What some rows of a block added.

    Attributes:
        counts: (T,) scores at or above each threshold.
        scores: those that reach the floor, with the places of their rows in `first`, `second`.
        asked: how many scores were computed exactly.
    """

    counts: Counts
    scores: Singles
    first: Places
    second: Places
    asked: int


class Walk:
    """Rows of blocks from top to bottom, each from its diagonal to the right."""

    def __init__(
        self,
        rows: SortedRows,
        work: Work,
        plan: Plan,
        saving: Saving,
        progress: Advance | None,
    ) -> None:
        self._rows, self._work, self._plan = rows, work, plan
        self._saving, self._progress = saving, progress
        self._guard = guard(rows.given.shape[1])
        self._crowded = False  # whether the last block asked for most of its columns

    def finish(self) -> None:
        """Compare until the tail is long enough; one pass, but for a freak of the sample."""
        rows = self._rows
        with ThreadPoolExecutor(threads()) as self._pool:
            self._product = self._plan.product(rows.rounded)
            size = min(self._product.block, len(rows)) ** 2
            self._buffer, self._marks = np.empty(size, np.float32), np.empty(size, np.bool_)
            while True:
                self._compare()
                tail = self._work.tail
                if tail.want == rows.nonmated:
                    return
                tail.cut()
                if tail.raised or self._work.settled:
                    return
                self._widen()

    def _widen(self) -> None:
        """Begin anew with a lower floor, for the tail alone: what is counted stays counted."""
        work, want = self._work, self._work.tail.want
        work.widened += 1
        share = want / self._rows.nonmated * 4**work.widened
        seen = pilot.sample(self._rows, self._plan.sample)
        floor, work.settled = pilot.tail_floor(seen, share, self._guard)
        work.row, work.tail = 0, new_tail(want, floor)

    def _compare(self) -> None:
        work, rows, n, step = self._work, self._rows, len(self._rows), self._product.block
        counted = work.thresholds if not work.widened else work.thresholds[:0]
        for top in range(work.row, n, step):
            across = slice(top, min(top + step, n))
            exact = rows.exact(across)
            for left in range(top, n, step):
                down = slice(left, min(left + step, n))
                if rows.ends[top] < down.stop:  # or else all of it shows one person
                    sieve = Sieve(counted, work.tail.floor, self._guard)
                    self._block(sieve, exact, across, down)
            work.row = across.stop
            self._saving.maybe(work)
            if self._progress is not None:
                again = "again, for a longer tail" if work.widened else ""
                self._progress(work.row * n - work.row * (work.row + 1) // 2, again)

    def _block(self, sieve: Sieve, upper: Floats, across: slice, down: slice) -> None:
        """Compare the rows `across`, of which `upper` has the exact ones, with those `down`."""
        rows, work, left = self._rows, self._work, down.start
        height, width = across.stop - across.start, down.stop - left
        block = self._buffer[: height * width].reshape(height, width)
        marks = self._marks[: height * width].reshape(height, width)
        self._product.multiply(rows.rounded[across], rows.rounded[down], block)
        if rows.ends[across.stop - 1] > left:
            # the same person, and whom a row was compared with before, reach no threshold
            for row, end in zip(block, rows.ends[across] - left, strict=True):
                row[: max(end, 0)] = np.nan
        lower = None
        if self._crowded:
            parts = [slice(left + part.start, left + part.stop) for part in _parts(width)]
            lower = np.concatenate(list(self._pool.map(rows.exact, parts)))

        def look(part: slice) -> Look:
            found = self._look(sieve, block[part], marks[part], upper[part], lower, left)
            return found._replace(first=found.first + np.int32(across.start + part.start))

        asked = 0
        for found in self._pool.map(look, _parts(height)):
            work.counts[: len(found.counts)] += found.counts
            work.tail.add(found.scores, found.first, found.second)
            asked += found.asked
        self._crowded = asked > width

    def _look(
        self,
        sieve: Sieve,
        block: Singles,
        marks: npt.NDArray[np.bool_],
        upper: Floats,
        lower: Floats | None,
        left: int,
    ) -> Look:
        """What these rows of a block add, tile by tile; `first` counts from its first row."""
        counts, asked = np.zeros(len(sieve.thresholds), np.int64), 0
        kept: list[tuple[Singles, Wheres, Wheres]] = []
        size = self._plan.tile * (1 if len(sieve.thresholds) else 4)  # a tail alone is little work
        step = max(1, size // block.shape[1])
        for top in range(0, len(block), step):
            find = sieve.sift(block[top : top + step], marks[top : top + step])
            i, j = np.divmod(find.places, block.shape[1])
            scores = self._scores(upper[top : top + step], lower, i, j, left)
            reached, high = sieve.decide(find, scores)
            high &= scores >= np.float64(sieve.floor)
            kept.append((scores[high], top + i[high], left + j[high]))
            counts += reached
            asked += len(scores)
        found, first, second = (np.concatenate(part) for part in zip(*kept, strict=True))
        return Look(counts, found, first.astype(np.int32), second.astype(np.int32), asked)

    def _scores(
        self, upper: Floats, lower: Floats | None, i: Wheres, j: Wheres, left: int
    ) -> Singles:
        """Σ_k x_k y_k in float64, rounded to float32: the score, whoever asks."""
        scores = np.empty(len(i), np.float32)
        for k in range(0, len(i), GATHER):
            part = slice(k, k + GATHER)
            other = self._rows.exact(left + j[part]) if lower is None else lower[j[part]]
            scores[part] = np.einsum("ij,ij->i", upper[i[part]], other)
        return scores


def _parts(length: int) -> list[slice]:
    """Twice as many parts as threads, so that none waits long for the others."""
    step = -(-length // (2 * threads()))
    return [slice(k, min(k + step, length)) for k in range(0, length, step)]
