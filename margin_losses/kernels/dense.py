"""The specification of a kernel: a sum over the class axis, and what a faster one must equal."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from margin_losses.embedding import widen
from margin_losses.logits import Logits, gather_own


class Sums(NamedTuple):
    """What the loss needs of the class axis.

    Attributes:
        negative: (B,) log Σ_{j≠y} e^{z_j}; -inf where no class is left, with zero gradient.
        own: (B, D) the weight of the own class in the dtype of `x`, its nearest sub-centre if it has
            several, with its bias column if there is one; 0 where `rows` is outside the weight.
        top: (B,) the largest plain logit of another class, without gradient: what accuracy asks.
    """

    negative: Tensor
    own: Tensor
    top: Tensor


class Kernel(Protocol):
    """The signature every kernel has."""

    def __call__(self, x: Tensor, weight: Tensor, rows: Tensor, logits: Logits) -> Sums:
        """Sum over the class axis.

        Args:
            x: (B, D) as the geometry wants it.
            weight: (C, D), or (C, K, D) with sub-centres, as it is stored; C may be 0.
            rows: (B,) the row of the own class; outside [0, C) where it is elsewhere.
            logits: the logits of the others.
        """
        ...


def dense(x: Tensor, weight: Tensor, rows: Tensor, logits: Logits) -> Sums:
    """The specification: all (B, C) logits at once.

    The own class is hidden before the sum, never subtracted after it: at s = 64 and cosines of 0.9
    and 0.2, subtracting leaves -inf in float32.
    """
    weight = widen(weight)
    own = gather_own(x, weight, rows)
    if not len(weight):
        return Sums(0 * x.sum(1) - torch.inf, own, x.new_full((len(x),), -torch.inf))
    own_column = torch.arange(len(weight), device=weight.device) == rows[:, None]  # (B, C)
    products = logits.products(x, weight)
    top = (logits.geometry.scale * products.detach()).masked_fill(own_column, -torch.inf).amax(1)
    hidden = logits.scaled(products).masked_fill(own_column, -torch.inf)
    return Sums(_logsumexp(hidden), own, top)


def _logsumexp(z: Tensor) -> Tensor:
    """Log Σ e^z over the last axis; a row of -inf gives -inf with zero gradient, not NaN."""
    top = z.detach().amax(-1, keepdim=True)
    top = torch.where(top == -torch.inf, 0, top)
    total = (z - top).exp().sum(-1)
    empty = total == 0
    return torch.where(empty, -torch.inf, torch.where(empty, 1, total).log() + top.squeeze(-1))
