"""Crops through a network in chunks: channel order, scale, mirror and checks, once for all."""

from collections.abc import Callable

import numpy as np

from recognition.contract import Preprocessing
from recognition.errors import InputError
from recognition.faces.face import Floats, Pixels

CHUNK = 32  # measured: InceptionResnetV1 on a core, 34, 38 and 32 crops a second at 8, 32 and 64
Forward = Callable[[Floats], Floats]


class NotFiniteError(InputError):
    """A crop whose embedding cannot be compared with anything.

    Attributes:
        reason: why, and the way out, short enough for a list.
    """

    def __init__(self, crop: int, name: str) -> None:
        way_out = "the weights are damaged, or need another mean and std"
        self.reason = f"its embedding is not finite; {way_out}"
        super().__init__(
            f"{name}: expected finite embeddings, but that of crop {crop} holds NaN or infinity; "
            f"{way_out}"
        )


def embed_in_chunks(
    forward: Forward, crops: Pixels, preprocessing: Preprocessing, dimension: int, name: str
) -> Floats:
    """Embeddings (N, D) of crops (N, H, W, 3), of which no more than a chunk is in float32.

    Args:
        forward: from (B, 3, H, W) float32 to (B, d), for any B from 1.
        crops: RGB.
        preprocessing: how the network wants them.
        dimension: D, which is 2 d where the mirrored crop's embedding is set behind.
        name: of the model, for sentences.

    Raises:
        InputError: crops of another shape or kind, or embeddings of another shape.
        NotFiniteError: an embedding holds NaN or infinity.
    """
    require_crops(crops, preprocessing, name)
    found = np.empty((len(crops), dimension), np.float32)
    for start in range(0, len(crops), CHUNK):
        part = crops[start : start + CHUNK]
        rows = _mirrored(forward, part, preprocessing)
        if rows.shape != (len(part), dimension):
            raise InputError(
                f"{name}: expected embeddings of shape {(len(part), dimension)} for {len(part)} "
                f"crops, got {rows.shape}; name a network that gives one row a crop"
            )
        _require_finite(rows, start, name)
        found[start : start + len(part)] = rows
    return found


def require_crops(crops: Pixels, preprocessing: Preprocessing, name: str) -> None:
    """Refuse what was not cut for this network.

    Raises:
        InputError: another shape than (N, height, width, 3), or another type than uint8.
    """
    shape = (preprocessing.height, preprocessing.width, 3)
    if crops.ndim != 4 or crops.shape[1:] != shape or crops.dtype != np.uint8:
        raise InputError(
            f"{name}: expected crops of shape (N, {shape[0]}, {shape[1]}, 3) in uint8 RGB, got "
            f"{crops.shape} in {crops.dtype}; cut them with recognition.faces.alignment.crop_face"
        )


def to_input(crops: Pixels, preprocessing: Preprocessing) -> Floats:
    """(B, H, W, 3) uint8 RGB -> (B, 3, H, W) float32, (value - mean) / std.

    The result is a view of channels-last memory: what torch computes fastest on.
    """
    ordered = crops[..., ::-1] if preprocessing.channels == "BGR" else crops
    values = ordered.astype(np.float32, order="C")
    values -= np.array(preprocessing.mean, np.float32)
    values /= np.array(preprocessing.std, np.float32)
    return values.transpose(0, 3, 1, 2)


def _mirrored(forward: Forward, crops: Pixels, preprocessing: Preprocessing) -> Floats:
    rows = forward(to_input(crops, preprocessing))
    if preprocessing.mirror == "none":
        return rows
    other = forward(to_input(crops[:, :, ::-1], preprocessing))
    return rows + other if preprocessing.mirror == "sum" else np.concatenate([rows, other], axis=1)


def _require_finite(rows: Floats, start: int, name: str) -> None:
    sound = np.isfinite(rows).all(axis=1)
    if not sound.all():
        raise NotFiniteError(start + int(sound.argmin()), name)
