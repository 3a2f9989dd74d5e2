"""A detector and a network that tests can see through, and photographs made for them."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from recognition.contract import Contract, Preprocessing
from recognition.faces.face import Face, Floats, Pixels

SIDE = 40  # of the largest face


def drawn(*scores: float, shade: int = 90) -> Pixels:
    """A photograph on which `FakeDetector` finds a face for each score, the largest first.

    The first pixels of the last row say how many, and how certain each is.
    """
    pixels = np.full((60, 400, 3), 20, np.uint8)
    pixels[-1, 0] = len(scores)
    for i, score in enumerate(scores):
        pixels[-1, 1 + i] = round(score * 200)
        left, side = 10 + i * (SIDE + 4), SIDE - 4 * i
        pixels[10 : 10 + side, left : left + side] = (shade, 10 * i + 5, 255 - shade)
    return pixels


def save_photo(path: Path, *scores: float, shade: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.fromarray(drawn(*scores, shade=shade)).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    return path


class FakeDetector:
    """Reads from a photograph of `drawn` where its faces are; anything else has none."""

    def __init__(self, name: str = "fake detector 1") -> None:
        self.name = name
        self._seen: list[int] = []  # several threads call it

    @property
    def seen(self) -> int:
        return sum(self._seen)

    def detect(self, photos: Sequence[Pixels]) -> list[list[Face]]:
        self._seen.append(len(photos))
        return [self._faces(pixels) for pixels in photos]

    def _faces(self, pixels: Pixels) -> list[Face]:
        if pixels.shape != (60, 400, 3):
            return []
        return [self._face(i, pixels[-1, 1 + i, 0] / 200) for i in range(int(pixels[-1, 0, 0]))]

    def _face(self, i: int, score: float) -> Face:
        left, side = 10.0 + i * (SIDE + 4), SIDE - 4.0 * i
        box = np.array([left, 10, left + side, 10 + side], np.float32)
        eyes = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
        return Face(box, box[:2] + side * eyes, float(score))


class FakeEmbedder:
    """The mean colour of nine fields of the crop, whatever else is in the batch."""

    def __init__(self, name: str = "fake", mean: float = 127.5) -> None:
        self.contract = Contract(
            name,
            hashlib.sha256(name.encode()).hexdigest(),
            27,
            Preprocessing(mean=(mean, mean, mean)),
            versions={"numpy": "2"},
        )

    def embed(self, crops: Pixels) -> Floats:
        rows = [
            [
                field.mean(axis=(0, 1))
                for band in np.array_split(crop, 3)
                for field in np.array_split(band, 3, 1)
            ]
            for crop in crops
        ]
        return (np.array(rows, np.float32).reshape(len(crops), 27) - 127.5) / 128
