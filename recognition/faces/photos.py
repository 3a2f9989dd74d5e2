"""Photographs as the detector sees them: upright, RGB, whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from recognition.faces.face import Pixels


class PhotoFile(NamedTuple):
    """A file that should hold a photograph.

    Attributes:
        id: its path from the folder that was named, with `/` on every system; unique in a run.
        path: where it lies.
    """

    id: str
    path: Path


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph, decoded.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, turned upright by its EXIF orientation.
        digest: sha256 of the file's bytes, in hexadecimal digits.
        orientation: what EXIF said, 1 to 8; 1 where it said nothing.
    """

    pixels: Pixels
    digest: str
    orientation: int
