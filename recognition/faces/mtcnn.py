"""MTCNN with facenet-pytorch's weights (Zhang et al. 2016, arXiv:1604.02878).

It finds what facenet-pytorch's `detect_face` finds, faster on photographs of varied size and
in memory that does not grow with their number.
"""

from collections.abc import Sequence
from importlib import metadata
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recognition.errors import InputError
from recognition.faces.areas import AreaSums
from recognition.faces.face import Face, Floats, Pixels
from recognition.faces.facenet_mtcnn import network
from recognition.faces.models.network import require_device
from recognition.faces.proposals import Proposals, scales
from recognition.faces.torchvision_operators import suppression

BATCH = 64  # crops that go through a network at once
SMALLEST = 8  # pixels: what is smaller cannot be told from anything


class Refined(NamedTuple):
    """What the second and third network say of crops: probability, corrections, landmarks."""

    score: Tensor
    corrections: Tensor
    points: Tensor


class Mtcnn:
    """The detector of facenet-pytorch, with its defaults; several threads may share one.

    Photographs are (H, W, 3) uint8 RGB arrays of any sizes, one or many at a time. Faces come with
    the largest box first. With the default thresholds it also reports what is no face, mostly below
    `pipeline.CERTAIN`.

    Args:
        min_face_size: the side of the smallest face in pixels, at least 8. Twice the size takes
            about a quarter of the time.
        thresholds: the probabilities that the three networks ask for.
        device: where they run, as torch names it.

    Raises:
        InputError: facenet-pytorch is not installed, or an option makes no sense.
    """

    def __init__(
        self,
        *,
        min_face_size: float = 20,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        device: str = "cpu",
    ) -> None:
        """Load the networks."""
        _require_options(min_face_size, thresholds)
        self._device = require_device(device)
        self._min_face_size, self._thresholds = min_face_size, thresholds
        self._nms = suppression()
        self._proposals = Proposals(network("PNet"), self._device)
        self._rnet, self._onet = (
            _channels_last(network(name)).to(self._device) for name in ("RNet", "ONet")
        )

    @property
    def name(self) -> str:
        """The detector, its version and settings."""
        thresholds = "/".join(f"{value:g}" for value in self._thresholds)
        return (
            f"mtcnn (facenet-pytorch {metadata.version('facenet-pytorch')}, "
            f"min_face_size={self._min_face_size:g}, thresholds={thresholds})"
        )

    def detect(self, photos: Sequence[Pixels]) -> list[list[Face]]:
        """The faces on each photograph, the largest box first.

        Raises:
            InputError: something is no (H, W, 3) array of uint8; it says which and what it is.
        """
        for place, pixels in enumerate(photos):
            _require_photo(place, pixels)
        with torch.inference_mode():
            return [self._faces(pixels) for pixels in photos]

    def _faces(self, pixels: Pixels) -> list[Face]:
        levels = list(scales(min(pixels.shape[:2]), self._min_face_size))
        if not levels:
            return []
        photo = AreaSums(pixels)
        boxes = self._first(photo, levels)
        boxes = self._second(photo, boxes)
        boxes, points = self._third(photo, boxes)
        rows = boxes.numpy()
        area = (rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1])
        return [
            Face(rows[place, :4].copy(), points[place].numpy().copy(), float(rows[place, 4]))
            for place in np.argsort(-area, kind="stable")
        ]

    def _first(self, photo: AreaSums, levels: Sequence[float]) -> Tensor:
        """Boxes (N, 5) with their probabilities, square."""
        found = []
        for scale in levels:
            level = self._proposals.at(photo, scale, self._thresholds[0])
            found.append(level[self._nms(level[:, :4], level[:, 4], 0.5)])
        rows = torch.cat(found)
        rows = rows[self._nms(rows[:, :4], rows[:, 4], 0.7)]
        sides = (rows[:, 2:4] - rows[:, :2]).repeat(1, 2)
        return _square(torch.cat([rows[:, :4] + rows[:, 5:] * sides, rows[:, 4:5]], dim=1))

    def _second(self, photo: AreaSums, boxes: Tensor) -> Tensor:
        boxes, refined = self._refine(self._rnet, photo, boxes, 24, self._thresholds[1])
        keep = self._nms(boxes[:, :4], boxes[:, 4], 0.7)
        return _square(_corrected(boxes[keep], refined.corrections[keep]))

    def _third(self, photo: AreaSums, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (N, 5) with their probabilities, and landmarks (N, 5, 2)."""
        boxes, refined = self._refine(self._onet, photo, boxes, 48, self._thresholds[2])
        sides = boxes[:, 2:4] - boxes[:, :2] + 1
        points = refined.points.reshape(-1, 2, 5).transpose(1, 2)
        points = sides[:, None] * points + boxes[:, None, :2] - 1
        boxes = _corrected(boxes, refined.corrections)
        keep = torch.from_numpy(_outermost(boxes.numpy(), 0.7))
        return boxes[keep], points[keep]

    def _refine(
        self, net: nn.Module, photo: AreaSums, boxes: Tensor, side: int, threshold: float
    ) -> tuple[Tensor, Refined]:
        """The boxes of which the network is sure, with its probabilities, and what it says."""
        crops = _within(boxes, photo)
        there = (crops[:, 2:] > crops[:, :2]).all(1)  # a box can lie beyond the photograph
        boxes, crops = boxes[torch.from_numpy(there)], crops[there]
        said = [self._said(net, photo.crops(part, side)) for part in _batches(crops)]
        if not said:
            return boxes, Refined(torch.empty(0), torch.empty(0, 4), torch.empty(0, 10))
        refined = Refined(*map(torch.cat, zip(*said, strict=True)))
        sure = refined.score > threshold
        boxes = torch.cat([boxes[sure, :4], refined.score[sure, None]], dim=1)
        return boxes, Refined(*(each[sure] for each in refined))

    def _said(self, net: nn.Module, crops: Floats) -> Refined:
        count = len(crops)
        room = np.zeros((1 << (count - 1).bit_length(), *crops.shape[1:]), np.float32)
        room[:count] = crops  # a few numbers of crops only, for torch prepares each anew
        batch = torch.from_numpy(room).permute(0, 3, 1, 2).to(self._device)
        corrections, *points, probabilities = (each.cpu()[:count] for each in net(batch))
        return Refined(
            probabilities[:, 1], corrections, points[0] if points else corrections[:, :0]
        )


def _channels_last(net: nn.Module) -> nn.Module:
    for weights in net.parameters():
        if weights.ndim == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return net


def _batches(crops: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return [crops[start : start + BATCH] for start in range(0, len(crops), BATCH)]


def _square(boxes: Tensor) -> Tensor:
    """Made as wide as high about their middles."""
    sides = boxes[:, 2:4] - boxes[:, :2]
    longer = sides.amax(1, keepdim=True) if len(sides) else sides[:, :1]
    corner = boxes[:, :2] + sides * 0.5 - longer * 0.5
    return torch.cat([corner, corner + longer, boxes[:, 4:]], dim=1)


def _corrected(boxes: Tensor, corrections: Tensor) -> Tensor:
    """Moved by shares of their sides, which are counted in pixels from the first to the last."""
    sides = (boxes[:, 2:4] - boxes[:, :2] + 1).repeat(1, 2)
    return torch.cat([boxes[:, :4] + corrections * sides, boxes[:, 4:]], dim=1)


def _within(boxes: Tensor, photo: AreaSums) -> npt.NDArray[np.int64]:
    """Whole pixels, cut to the photograph; facenet-pytorch counts them from 1."""
    corners = boxes[:, :4].trunc().to(torch.int64).numpy()
    corners[:, :2] = np.maximum(corners[:, :2], 1) - 1
    corners[:, 2:] = np.minimum(corners[:, 2:], [photo.width, photo.height])
    return corners


def _outermost(boxes: Floats, threshold: float) -> npt.NDArray[np.int64]:
    """Places that stay where a box goes that shares more than this of the smaller with a better."""
    sides = boxes[:, 2:4] - boxes[:, :2] + 1
    areas = sides[:, 0] * sides[:, 1]
    left = np.argsort(boxes[:, 4])  # the order of equal scores as facenet-pytorch has it
    kept = []
    while left.size:
        best, left = left[-1], left[:-1]
        kept.append(best)
        corner = np.maximum(boxes[best, :2], boxes[left, :2])
        shared = np.maximum(np.minimum(boxes[best, 2:4], boxes[left, 2:4]) - corner + 1, 0).prod(1)
        left = left[shared / np.minimum(areas[best], areas[left]) <= threshold]
    return np.array(kept, np.int64)


def _require_photo(place: int, pixels: object) -> None:
    if isinstance(pixels, np.ndarray):
        if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size:
            return
        came = f"{pixels.dtype} of shape {pixels.shape}"
    else:
        came = f"a {type(pixels).__name__}"
    raise InputError(
        f"photo {place}: expected pixels (height, width, 3) in RGB, uint8 from 0 to 255, got {came}; "
        "load_photo reads a file so"
    )


def _require_options(min_face_size: float, thresholds: tuple[float, float, float]) -> None:
    if not SMALLEST <= min_face_size < float("inf"):
        raise InputError(
            f"min_face_size: expected pixels, at least {SMALLEST}, got {min_face_size!r}; 20 is usual"
        )
    if len(list(thresholds)) != 3 or not all(0 < value < 1 for value in thresholds):
        raise InputError(
            f"thresholds: expected three probabilities between 0 and 1, got {thresholds!r}; "
            "(0.6, 0.7, 0.7) is usual"
        )
