"""Pictures of people, decoded and of one size: what every dataset reader returns."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Skipped(NamedTuple):
    """A file that was passed over, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Pictures:
    """N pictures with the person on each.

    Attributes:
        images: (N, H, W, 3) uint8, RGB.
        labels: (N,) str, the person on each picture.
        ids: (N,) str, unique: the file's path relative to the root, or a made-up one.
        source: where they come from, in words.
        skipped: the files that could not be used, each with its reason.
        notes: what else to say of them, a sentence each.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.str_]
    ids: npt.NDArray[np.str_]
    source: str
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def people(self) -> npt.NDArray[np.str_]:
        """The distinct people, sorted."""
        return np.unique(self.labels)

    def of(self, people: npt.NDArray[np.str_]) -> "Pictures":
        """Only the pictures of these people, in the same order."""
        keep = np.isin(self.labels, people)
        return replace(self, images=self.images[keep], labels=self.labels[keep], ids=self.ids[keep])
