"""A face on a photograph, and who finds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Face:
    """Where a detector sees a face, in pixels of the upright photograph.

    Attributes:
        box: (4,) float32, left, top, right, bottom; it may reach beyond the photograph.
        landmarks: (5, 2) float32, x and y of the eye on the left of the picture, the eye on the
            right, the tip of the nose, the corner of the mouth on the left, and that on the right.
        score: the detector's probability that it is a face.
    """

    box: Floats
    landmarks: Floats
    score: float


class Detector(Protocol):
    """Finds the faces on photographs."""

    @property
    def name(self) -> str:
        """Which detector, which version, which settings: one line that is the same for the same."""
        ...

    def detect(self, photos: Sequence[Pixels]) -> list[list[Face]]:
        """The faces on each photograph (H, W, 3) uint8 RGB, the largest box first.

        The photographs may be of different sizes; one that is too small to hold a face has none.
        """
        ...
