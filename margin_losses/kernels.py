"""Sums over the class axis: the only place that sees every class.

A kernel is a function `(x, weight, rows, logits) -> Sums`. `dense` is the specification; a faster
one must equal it in value and gradient.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from margin_losses.embedding import normalize, widen
from margin_losses.margins import Geometry


@dataclass(frozen=True)
class Logits:
    """The plain logits of a geometry, z_j = scale · ⟨x, w_j⟩.

    `x` comes as the geometry wants it, unit or plain; the weight comes as it is stored.
    """

    geometry: Geometry

    def __call__(self, x: Tensor, weight: Tensor) -> Tensor:
        """(B, D), (C, D) -> (B, C), in the dtype of `x`.

        Autocast multiplies cosines in half precision; other products could overflow in float16.
        """
        weight = weight.to(x.dtype)
        if self.geometry.unit_weight:
            weight = normalize(weight)[0]
        if self.geometry.unit_weight and self.geometry.unit_embedding:
            return self.geometry.scale * F.linear(x, weight).to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            return self.geometry.scale * F.linear(x, weight)


class Sums(NamedTuple):
    """What the loss needs of the class axis.

    Attributes:
        negative: (B,) log Σ_{j≠y} e^{z_j}; -inf where no class is left, with zero gradient.
        own: (B, D) the weight of the own class in the dtype of `x`, with its bias column if there is
            one; 0 where `rows` is outside the weight.
        top: (B,) the largest z_j, j ≠ y, without gradient.
    """

    negative: Tensor
    own: Tensor
    top: Tensor


class Kernel(Protocol):
    """The signature every kernel has."""

    def __call__(self, x: Tensor, weight: Tensor, rows: Tensor, logits: Logits) -> Sums:
        """`x` (B, D), `weight` (C, D), `rows` (B,) the row of the own class, if it is here."""
        ...


def dense(x: Tensor, weight: Tensor, rows: Tensor, logits: Logits) -> Sums:
    """The specification: all (B, C) logits at once.

    The own class is hidden before the sum, never subtracted after it: at s = 64 and cosines of 0.9
    and 0.2, subtracting leaves -inf in float32.
    """
    weight = widen(weight)
    own_column = torch.arange(len(weight), device=weight.device) == rows[:, None]  # (B, C)
    hidden = logits(x, weight).masked_fill(own_column, -torch.inf)
    here = (rows >= 0) & (rows < len(weight))
    own = torch.where(here[:, None], weight[rows.where(here, 0)], 0).to(x.dtype)
    return Sums(_logsumexp(hidden), own, hidden.detach().amax(1))


def _logsumexp(z: Tensor) -> Tensor:
    """Log Σ e^z over the last axis; a row of -inf gives -inf with zero gradient, not NaN."""
    top = z.detach().amax(-1, keepdim=True)
    top = torch.where(top == -torch.inf, 0, top)
    total = (z - top).exp().sum(-1)
    empty = total == 0
    return torch.where(empty, -torch.inf, torch.where(empty, 1, total).log() + top.squeeze(-1))
