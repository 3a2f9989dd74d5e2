"""The table of a long list of pairs, most of them non-mated: IJB compares sixteen million."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Similarities, Steps, corner_steps
from recognition.errors import InputError

Singles = npt.NDArray[np.float32]
People = npt.NDArray[np.int32]


@dataclass(frozen=True)
class ListedScores:
    """Every score of a list of M pairs, and who is on them. Nothing in it is rounded or cut.

    What verification reads of so many scores are numbers of those above a threshold; they are
    looked up in scores that were sorted once.

    Attributes:
        scores: (M,) float32, in the order of the list.
        is_mated: (M,) whether the pair shows one person.
        first: (M,) the person on one of the two.
        second: (M,) the person on the other.
        people: how many people there are.

    Raises:
        InputError: arrays that do not fit, scores that are not finite, pairs of one kind.
    """

    scores: Singles
    is_mated: npt.NDArray[np.bool_]
    first: People
    second: People
    people: int

    def __post_init__(self) -> None:
        shapes = {x.shape for x in (self.scores, self.is_mated, self.first, self.second)}
        if len(shapes) > 1 or self.scores.ndim != 1 or self.scores.dtype != np.float32:
            raise InputError(
                "expected a float32 score, a kind and two people for each pair, got shapes "
                f"{sorted(shapes)} and {self.scores.dtype}; build ListedScores with score_templates"
            )
        if not 0 < len(self.mated) < len(self.scores):
            raise InputError(
                f"expected mated and non-mated pairs, got {len(self.mated)} mated ones of "
                f"{len(self.scores)}; look at the list"
            )
        # NaN is sorted to the end, and survives a minimum
        ends = (*self.ascending[[0, -1]], self.mated.min(), self.mated.max())
        if not all(map(np.isfinite, ends)):
            raise InputError("expected finite scores, no NaN; leave out what was not embedded")

    @cached_property
    def mated(self) -> Singles:
        """(P,) the mated scores, in the order of the list."""
        return self.scores[self.is_mated]

    @cached_property
    def mated_person(self) -> People:
        """(P,) the person of each."""
        return self.first[self.is_mated]

    @cached_property
    def ascending(self) -> Singles:
        """(N,) the non-mated scores, ascending."""
        chosen = self.scores[~self.is_mated]
        chosen.sort()
        return chosen

    @property
    def nonmated_count(self) -> int:
        """N, the number of non-mated comparisons."""
        return len(self.scores) - len(self.mated)

    @cached_property
    def steps(self) -> Steps:
        """The corners of the curve: see `corner_steps`."""
        return corner_steps(np.sort(self.mated), self.ascending)

    def false_matches(self, threshold: float) -> int:
        """#{v >= t} of the non-mated comparisons.

        Raises:
            InputError: a threshold that is NaN.
        """
        if np.isnan(threshold):
            raise InputError("expected a threshold, not NaN; pass a number or an infinity")
        return self.nonmated_count - int(np.searchsorted(self.ascending, _at_least(threshold)))

    def threshold_allowing(self, errors: int) -> float:
        """The smallest t with #{v >= t} <= errors, among numbers of float32."""
        if errors >= self.nonmated_count:
            return -np.inf
        first_rejected = self.ascending[self.nonmated_count - 1 - errors]
        return float(np.nextafter(first_rejected, np.float32(np.inf)))

    def tail(self, floor: float) -> tuple[Similarities, npt.NDArray[np.int32]]:
        """The non-mated scores (K,) at or above `floor`, and the two people of each (K, 2)."""
        high = self.scores >= _at_least(floor)
        at = np.flatnonzero(high & ~self.is_mated)
        return self.scores[at], np.stack([self.first[at], self.second[at]], axis=1)


def _at_least(threshold: float) -> np.float32:
    """The smallest float32 that is no less, so that comparing in float32 decides as in float64."""
    with np.errstate(over="ignore"):
        rounded = np.float32(threshold)
    if np.float64(rounded) < threshold:
        rounded = np.nextafter(rounded, np.float32(np.inf))
    return np.float32(rounded)
