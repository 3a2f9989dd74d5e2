"""How far an all-pairs comparison has come: what is known, and where it is kept."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recognition.comparisons import checkpoint
from recognition.comparisons.sorted_rows import SortedRows
from recognition.comparisons.steps import Counts, Floats
from recognition.comparisons.tail import Tail
from recognition.errors import InputError

SLACK = 2**16
KINDS = {
    "row": ("<i8", 0),
    "floor": ("<f8", 0),
    "settled": ("|b1", 0),
    "widened": ("<i8", 0),
    "thresholds": ("<f8", 1),
    "counts": ("<i8", 1),
    "spread": ("<f8", 1),
    "scores": ("<f4", 1),
    "first": ("<i4", 1),
    "second": ("<i4", 1),
}


@dataclass
class Work:
    """What is known so far: all pairs of a place before `row` are compared."""

    row: int
    tail: Tail
    settled: bool  # the floor may not be lowered, whatever the tail's length
    widened: int  # how often the floor turned out too high
    thresholds: Floats
    counts: Counts
    spread: Floats


def new_tail(want: int, floor: float) -> Tail:
    """A tail that may hold half as many again before it is cut, and 2^16 more."""
    return Tail(want, want + want // 2 + SLACK, floor)


class Saving:
    """Where half-done work is kept, if anywhere."""

    def __init__(
        self, rows: SortedRows, options: str, path: Path | None, seconds: float, pause: float
    ) -> None:
        self._rows, self._path, self._seconds, self._pause = rows, path, seconds, pause
        self._next = time.monotonic() + seconds
        self._mark = ""
        if path is not None:
            data = {"embeddings": rows.given, "order": rows.order, "codes": rows.codes}
            self._mark = checkpoint.fingerprint(data, options)

    def resumed(self, want: int) -> Work | None:
        """The work as it was saved, None where nothing was."""
        found = checkpoint.load(self._path, self._mark, KINDS) if self._path else None
        if found is None:
            return None
        scores, first, second = found["scores"], found["first"], found["second"]
        n = len(self._rows)
        fits = (
            0 <= int(found["row"]) <= n
            and len(scores) == len(first) == len(second)
            and (not len(scores) or (first.min() >= 0 and max(first.max(), second.max()) < n))
            and bool((first < second).all() and np.isfinite(scores).all())
            and found["thresholds"].shape == found["counts"].shape
            and found["spread"].shape == (2,)
        )
        if not fits:
            raise InputError(
                f"expected the checkpoint of an all-pairs comparison in {self._path}, but its "
                "numbers do not fit together; delete the file to begin anew"
            )
        tail = new_tail(want, float(found["floor"]))
        tail.add(scores, first, second)
        return Work(
            int(found["row"]),
            tail,
            bool(found["settled"]),
            int(found["widened"]),
            found["thresholds"],
            found["counts"],
            found["spread"],
        )

    def maybe(self, work: Work) -> None:
        """Save, if it is time."""
        if self._path is None or time.monotonic() < self._next:
            return
        began = time.monotonic()
        scores, first, second = work.tail.held()
        values = (
            work.row,
            work.tail.floor,
            work.settled or work.tail.raised,
            work.widened,
            work.thresholds,
            work.counts,
            work.spread,
            scores,
            first,
            second,
        )
        kinds = zip(KINDS.items(), values, strict=True)
        arrays = {name: np.asarray(value, dtype) for (name, (dtype, _)), value in kinds}
        checkpoint.save(self._path, arrays, self._mark)
        took = time.monotonic() - began
        self._next = time.monotonic() + max(self._seconds, self._pause * took)

    def done(self) -> None:
        """Nothing is left to resume."""
        if self._path is not None:
            checkpoint.remove(self._path)
