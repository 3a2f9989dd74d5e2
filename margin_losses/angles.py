"""What margins do to angles: add to them, multiply them, and what becomes of those past π."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from margin_losses.margin import Margin, Target, as_tensor

Past = Literal["paper", "linear", "clipped", "easy", "continuous"]
"""What cos(θ + m) is past θ = π - m, where the paper's formula would rise again.

* `paper`: cos(θ + m) all the same; not monotone.
* `linear`: cos θ - m sin m, as most published code has it. It jumps down there, by
  1 - cos m - m sin m: 0.117 at m = 0.5.
* `clipped`: -1, with zero gradient.
* `easy`: the margin is for θ < π/2 alone, and cos θ beyond; it jumps up there, so is not monotone.
* `continuous`: -2 - cos(θ + m), the next piece of ψ: monotone, without a jump.
"""
PAST = get_args(Past)
RISES = ("paper", "easy")
MOST_PIECES = 16


def add_angle(t: Target, m: float | Tensor, past: Past = "linear") -> Tensor:
    """cos(θ + m), (B,), with a choice of what it is past θ = π - m."""
    m = as_tensor(m, t.cos)
    within = t.cos * m.cos() - t.sin * m.sin()
    if past == "paper":
        return within
    if past == "easy":
        return torch.where(t.cos > 0, within, t.cos)
    beyond = {
        "linear": t.cos - m * m.sin(),
        "clipped": -torch.ones_like(within),
        "continuous": -2 - within,
    }[past]
    return torch.where(t.angle <= math.pi - m, within, beyond)


def multiply_angle(angle: Tensor, m: float | Tensor) -> Tensor:
    """ψ(θ) = (-1)^k cos(mθ) - 2k for θ in [kπ/m, (k+1)π/m], (B,): cos(mθ) made monotone."""
    most = m.ceil() - 1 if isinstance(m, Tensor) else as_tensor(math.ceil(m) - 1, angle)
    piece = torch.minimum((angle.detach() * (m / math.pi)).floor(), most)
    sign = 1 - 2 * (piece % 2)
    return sign * torch.cos(m * angle) - 2 * piece


def check_past(margin: Margin, known: tuple[str, ...] = PAST) -> None:
    """Refuse a policy that is not among these."""
    past = getattr(margin, "past")  # noqa: B009 - a margin need not have one
    if past not in known:
        raise ValueError(
            f"{type(margin).__name__}: unknown policy past={past!r}; known: {', '.join(known)}"
        )
