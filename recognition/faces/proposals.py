"""MTCNN's first stage: where on a photograph a face could be, at every size.

The network looks at a photograph made smaller and smaller. It does so in tiles whose sides are
multiples of 16 up to 96 places, so that torch sees a few shapes only, however the photographs vary:
it prepares its convolutions for each shape anew, and keeps what it prepared. A tile also fits in
the processor's cache, where a whole photograph does not.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recognition.faces.areas import AreaSums

WINDOW, STRIDE = 12, 2  # what the network sees of a place, and from one place to the next
STEP, MOST = 16, 96  # sides of tiles, in places
SHRINK = 0.709  # from one size to the next: about half of the area
ROOM = 2 * 4 + 2  # pixels beyond two for each place that a tile needs


class Proposals:
    """PNet of Zhang et al. 2016 (arXiv:1604.02878) over a photograph at every size."""

    def __init__(self, pnet: nn.Module, device: torch.device) -> None:
        """With the weights of facenet-pytorch's network.

        Its first layer gets six more channels that are always zero, since 16 are quicker than 10.
        """
        w = {name: value.detach() for name, value in pnet.state_dict().items()}
        first, second = torch.zeros(16, 3, 3, 3), torch.zeros(16, 16, 3, 3)
        first[:10], second[:, :10] = w["conv1.weight"], w["conv2.weight"]
        last = torch.cat([w["conv4_1.weight"], w["conv4_2.weight"]])
        layers = {
            "first": (first, _longer(w["conv1.bias"]), _longer(w["prelu1.weight"])),
            "second": (second, w["conv2.bias"], w["prelu2.weight"]),
            "third": (w["conv3.weight"], w["conv3.bias"], w["prelu3.weight"]),
            "last": (last, torch.cat([w["conv4_1.bias"], w["conv4_2.bias"]])),
        }
        self._device = device
        self._layers = {
            name: [
                value.to(device, memory_format=torch.channels_last)
                if value.ndim == 4
                else value.to(device)
                for value in values
            ]
            for name, values in layers.items()
        }

    def at(self, photo: AreaSums, scale: float, threshold: float) -> Tensor:
        """Proposals (N, 9) of one size, places row by row: box, probability, four corrections."""
        height, width = int(photo.height * scale + 1), int(photo.width * scale + 1)
        found = self._map(torch.from_numpy(photo.resized(height, width)))
        mask = found[..., 1] - found[..., 0] >= _logit(threshold) - 1e-3  # spares most of a softmax
        corner, found = mask.nonzero().flip(1).to(torch.float32) * STRIDE, found[mask]
        boxes = [((corner + 1) / scale).floor(), ((corner + WINDOW) / scale).floor()]
        certain = found[:, :2].softmax(-1)[:, 1:]
        rows = torch.cat([*boxes, certain, found[:, 2:]], dim=1)
        return rows[certain[:, 0] >= threshold]

    def _map(self, picture: Tensor) -> Tensor:
        """Two logits and four corrections (rows, columns, 6) of a picture (h, w, 3)."""
        (height, width), places = (
            picture.shape[:2],
            [-(-(n - 2) // 2) - 4 for n in picture.shape[:2]],
        )
        (rows, tall), (columns, wide) = map(_tiles, places)
        canvas = torch.zeros(STRIDE * rows * tall + ROOM, STRIDE * columns * wide + ROOM, 3)
        canvas[:height, :width] = picture
        found = torch.empty(rows * tall, columns * wide, 6)
        for y in range(0, rows * tall, tall):
            for x in range(0, columns * wide, wide):
                top, left = STRIDE * y, STRIDE * x
                tile = canvas[top : top + STRIDE * tall + ROOM, left : left + STRIDE * wide + ROOM]
                ends = height - 2 - top, width - 2 - left
                found[y : y + tall, x : x + wide] = self._tile(tile, ends)
        return found[: places[0], : places[1]]

    def _tile(self, tile: Tensor, ends: tuple[int, int]) -> Tensor:
        weight, bias, slope = self._layers["first"]
        x = (
            tile.to(self._device)
            .permute(2, 0, 1)[None]
            .contiguous(memory_format=torch.channels_last)
        )
        x = F.prelu(F.conv2d(x, weight, bias), slope)
        # the picture's odd last row or column is pooled with nothing
        if ends[0] < x.shape[2]:
            x[:, :, ends[0]] = -torch.inf
        if ends[1] < x.shape[3]:
            x[:, :, :, ends[1]] = -torch.inf
        x = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
        x = torch.maximum(x[:, :, :, ::2], x[:, :, :, 1::2])
        for name in ("second", "third"):
            weight, bias, slope = self._layers[name]
            x = F.prelu(F.conv2d(x, weight, bias), slope)
        return F.conv2d(x, *self._layers["last"])[0].permute(1, 2, 0).cpu()


def scales(side: float, min_face_size: float) -> Iterator[float]:
    """How much smaller a photograph is made, until its shorter side is shorter than the window."""
    scale = WINDOW / min_face_size
    side *= scale
    while side >= WINDOW:
        yield scale
        scale *= SHRINK
        side *= SHRINK


def _tiles(places: int) -> tuple[int, int]:
    """How many tiles in a row, and the places in each."""
    count = -(-places // MOST)
    return count, STEP * -(-places // (count * STEP))


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _longer(values: Tensor) -> Tensor:
    return F.pad(values, (0, 16 - len(values)))
