"""Small random changes of a batch of pictures."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from recognition.backbones.registry import FACENET, Standardisation


class Changes(Protocol):
    """How much pictures are changed; `Recipe` says what each number is."""

    @property
    def mirror(self) -> bool: ...
    @property
    def turn(self) -> float: ...
    @property
    def zoom(self) -> float: ...
    @property
    def shift(self) -> float: ...
    @property
    def light(self) -> float: ...


def to_input(images: Tensor, standardisation: Standardisation = FACENET) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in about [-1, 1], (value - mean) / std."""
    mean, std = standardisation
    # a permuted view of channels-last pixels is a channels-last tensor: nothing is copied twice
    return images.permute(0, 3, 1, 2).float().sub_(mean).div_(std)


def augment(
    pictures: Tensor,
    recipe: Changes,
    generator: torch.Generator,
    *,
    of: int | None = None,
    rows: slice = slice(None),
) -> Tensor:
    """Mirror, turn, zoom, shift and relight each picture by its own draw, (B, 3, H, W).

    Where they are only some rows of a batch, `of` is its size, so that they are changed as there.
    """
    draws = torch.rand(len(pictures) if of is None else of, 7, generator=generator)[rows]
    draws = draws.to(pictures.device) * 2 - 1
    moved = _moved(pictures, recipe, draws)
    contrast, brightness = 1 + recipe.light * draws[:, 5], recipe.light * draws[:, 6]
    lit = moved * contrast[:, None, None, None] + brightness[:, None, None, None]
    return lit.contiguous(memory_format=torch.channels_last)


def _moved(pictures: Tensor, recipe: Changes, draws: Tensor) -> Tensor:
    """Mirrored alone they keep every pixel; else all is done by one resampling."""
    if not (recipe.turn or recipe.zoom or recipe.shift):
        mirrored = (draws[:, 2] < 0) & recipe.mirror
        return torch.where(mirrored[:, None, None, None], pictures.flip(3), pictures)
    batch = len(pictures)
    angle, zoom = recipe.turn * draws[:, 0], 1 + recipe.zoom * draws[:, 1]
    mirror = torch.where(draws[:, 2] < 0, -1.0, 1.0) if recipe.mirror else torch.ones_like(angle)
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    # grid_sample measures in half sides
    rows = [mirror * cos, -sin, 2 * recipe.shift * draws[:, 3]]
    rows += [mirror * sin, cos, 2 * recipe.shift * draws[:, 4]]
    affine = torch.stack(rows, 1).view(batch, 2, 3)
    grid = F.affine_grid(affine, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
