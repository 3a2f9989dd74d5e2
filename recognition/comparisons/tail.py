"""The highest scores seen so far, in bounded memory."""

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import Singles

Places = npt.NDArray[np.int32]


class Tail:
    """At least the `want` highest scores with their pairs; never more than `most` of them.

    Every score seen that is at or above `floor` is held. The floor only rises, so that none is
    ever missed: to the want-th highest score, or just above it where more than `most` reach it,
    so that a value that countless pairs share is left below rather than held in part.
    Which scores are left in the end depends on the scores alone, not on their order: a value is
    stepped over exactly if more than `most` scores of all reach it and fewer than `want` exceed it.
    """

    def __init__(self, want: int, most: int, floor: float) -> None:
        self.want, self.most, self.floor = want, most, floor
        self.raised = False  # whether the floor is known not to be too high
        self._parts: list[tuple[Singles, Places, Places]] = []
        self._held = 0

    def __len__(self) -> int:
        return self._held

    def add(self, scores: Singles, first: Places, second: Places) -> None:
        """Hold those of the scores that reach the floor."""
        keep = scores >= np.float64(self.floor)
        self._parts.append((scores[keep], first[keep], second[keep]))
        self._held += int(keep.sum())
        if self._held > self.most:
            self.cut()

    def cut(self) -> None:
        """Raise the floor to the want-th highest score, or above it."""
        scores, first, second = self.held()
        if len(scores) < self.want:
            return
        floor = np.partition(scores, len(scores) - self.want)[len(scores) - self.want]
        if int((scores >= floor).sum()) > self.most:
            floor = np.nextafter(floor, np.float32(np.inf))
        keep = scores >= floor
        self._parts, self._held = [(scores[keep], first[keep], second[keep])], int(keep.sum())
        self.floor, self.raised = float(floor), True

    def held(self) -> tuple[Singles, Places, Places]:
        """Scores and pairs, in the order in which they came."""
        if not self._parts:
            return np.empty(0, np.float32), np.empty(0, np.int32), np.empty(0, np.int32)
        scores, first, second = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        self._parts = [(scores, first, second)]
        return scores, first, second
