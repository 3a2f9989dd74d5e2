"""All pairs of places, block by block: products find what has to be scored, scores decide."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons import pilot
from recognition.comparisons.product import Candidates, Product, Singles, candidates, choose
from recognition.comparisons.sieve import CoarseSieve, Find, Sieve
from recognition.comparisons.sorted_rows import SortedRows
from recognition.comparisons.steps import Counts, Floats
from recognition.comparisons.tail import Places
from recognition.comparisons.threads import threads, workers
from recognition.comparisons.work import Saving, Work, new_tail
from recognition.progress import Advance

TILE = 2**18  # scores looked through at once, so that they stay in a core's own cache
AHEAD = 2  # blocks in work for each thread: none waits, and little is held
MOST_ASKED = 2e-3  # of the scores: with more in doubt than that, a fine product is quicker


class Plan(NamedTuple):
    """How the work is cut. Of this, only `least_tail` and `sample` show in the result."""

    candidates: Callable[[Singles], Candidates] = candidates
    tile: int = TILE
    least_tail: int = 2**16  # kept however small a share that is: little to hold, and exact
    sample: int = 2**22
    seconds: float = 30.0  # between two checkpoints, at least
    pause: float = 20.0  # and so many times as long as the last one took


class Look(NamedTuple):
    """What a block added.

    Attributes:
        counts: (T,) scores at or above each threshold.
        scores: those that reach the floor, with the places of their rows in `first`, `second`.
        crowded: whether a coarse product left too many scores in doubt.
    """

    counts: Counts
    scores: Singles
    first: Places
    second: Places
    crowded: bool


class Row(NamedTuple):
    """A row of blocks: places that are compared with one another and with all that follow."""

    across: slice
    exact: Floats


class Scratch(threading.local):
    """Memory that each thread uses again: fresh pages take as long as comparing does."""

    def __init__(self, cells: int, tile: int) -> None:
        self.block = np.empty(cells, np.float32)
        self.marks = np.empty((3, tile), np.bool_)

    def room(self, coarse: bool, height: int, width: int) -> npt.NDArray[Any]:
        """A block of products."""
        cells = self.block.view(np.int16) if coarse else self.block
        return cells[: height * width].reshape(height, width)


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

    def finish(self) -> None:
        """Compare until the tail is long enough; one pass, but for a freak of the sample."""
        rows = self._rows
        found = self._plan.candidates(rows.rounded)
        with workers() as pool:
            self._block, self._fine, self._coarse = pool.submit(choose, found).result()
            width = min(self._block, len(rows))
            self._scratch = Scratch(width**2, max(self._plan.tile, width))
            while True:
                self._compare(pool)
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
        floor, work.settled = pilot.tail_floor(seen, share, self._fine.guard)
        work.row, work.tail = 0, new_tail(want, floor)

    def _compare(self, pool: ThreadPoolExecutor) -> None:
        """Threads look through blocks; what they find is added in the order of the blocks."""
        waiting: deque[Future[Look] | int] = deque()
        for task in self._tasks():
            waiting.append(pool.submit(self._look, *task) if isinstance(task, tuple) else task)
            while len(waiting) > AHEAD * threads():
                self._add(waiting.popleft())
        while waiting:
            self._add(waiting.popleft())

    def _tasks(self) -> Iterator[tuple[Row, slice, Product, Sieve] | int]:
        """Blocks, and after those of a row the place where the next row begins."""
        rows, n, step = self._rows, len(self._rows), self._block
        for top in range(self._work.row, n, step):
            across = slice(top, min(top + step, n))
            row = Row(across, rows.exact(across))
            for left in range(top, n, step):
                down = slice(left, min(left + step, n))
                if rows.ends[top] < down.stop:  # or else all of it shows one person
                    yield row, down, *self._means()
            yield across.stop

    def _means(self) -> tuple[Product, Sieve]:
        """The product, and the sieve that suits it, for what is known by now."""
        work, coarse = self._work, self._coarse
        counted = work.thresholds if not work.widened else work.thresholds[:0]
        if coarse and not len(counted) and CoarseSieve.serves(work.tail.floor, coarse.guard):
            return coarse, CoarseSieve(work.tail.floor, coarse.guard)
        return self._fine, Sieve(counted, work.tail.floor, self._fine.guard)

    def _add(self, done: "Future[Look] | int") -> None:
        work = self._work
        if isinstance(done, int):
            work.row, n = done, len(self._rows)
            self._saving.maybe(work)
            if self._progress is not None:
                again = "again, for a longer tail" if work.widened else ""
                self._progress(work.row * n - work.row * (work.row + 1) // 2, again)
            return
        look = done.result()
        work.counts[: len(look.counts)] += look.counts
        work.tail.add(look.scores, look.first, look.second)
        if look.crowded:
            self._coarse = None

    def _look(self, row: Row, down: slice, product: Product, sieve: Sieve) -> Look:
        """Multiply a block, and look through it while it is in the cache."""
        across, left = row.across, down.start
        height, width = across.stop - across.start, down.stop - left
        block = self._scratch.room(product.coarse, height, width)
        product.multiply(across, down, block)
        if self._rows.ends[across.stop - 1] > left:
            # the same person, and whom a row was compared with before, reach no threshold
            for line, end in zip(block, self._rows.ends[across] - left, strict=True):
                line[: max(end, 0)] = sieve.hidden
        find = self._sift(sieve, block)
        i, j = np.divmod(find.places, width)
        scores = self._rows.scores(row.exact, i, left + j)
        counts, high = sieve.decide(find, scores)
        high &= scores >= np.float64(sieve.floor)
        first, second = (x[high].astype(np.int32) for x in (across.start + i, left + j))
        crowded = product.coarse and len(scores) > MOST_ASKED * block.size
        return Look(counts, scores[high], first, second, crowded)

    def _sift(self, sieve: Sieve, block: npt.NDArray[Any]) -> Find:
        height, width = block.shape
        step = max(1, self._plan.tile // width)
        finds = []
        for top in range(0, height, step):
            tile = block[top : top + step]
            find = sieve.sift(tile, self._scratch.marks[:, : tile.size])
            finds.append(find._replace(places=find.places + top * width))
        sure, places, products = zip(*finds, strict=True)
        return Find(np.sum(sure, axis=0), np.concatenate(places), np.concatenate(products))
