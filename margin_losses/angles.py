"""What margins do to angles: add to them, multiply them, and what becomes of those past π."""

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from margin_losses.margin import Margin, Target, as_tensor

Past = Literal["paper", "linear", "clipped", "easy", "continuous"]
"""What cos(θ + m) is past θ = π - m, where the paper's formula would rise again.

* `paper`: cos(θ + m) all the same; not monotone.
* `linear`: cos θ - m sin m, as most published code has it. It jumps down there, by
  cos m + m sin m - 1: 0.117 at m = 0.5.
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
    return unroll(m * angle)


def unroll(angle: Tensor) -> Tensor:
    """(-1)^k cos(a) - 2k for a in [kπ, (k+1)π], (B,): cos that goes on falling past π."""
    piece = (angle.detach() / math.pi).floor()
    return (1 - 2 * (piece % 2)) * angle.cos() - 2 * piece


def divide_angle(cos: Tensor, m: float) -> Tensor:
    """cos(θ/m) of cos θ, elementwise, for m >= 1.

    Its derivative sin(θ/m) / (m sin θ) is 1/m² at θ = 0 and grows without bound towards θ = π; there
    sin θ is taken as √eps of the dtype at least, so that it stays below 1/(m √eps).
    """
    return _DivideAngle.apply(cos, m)  # type: ignore[no-untyped-call, no-any-return]


class _DivideAngle(torch.autograd.Function):
    @staticmethod
    def forward(cos: Tensor, m: float) -> Tensor:
        return (cos.clamp(-1, 1).acos() / m).cos()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.m = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (cos,) = ctx.saved_tensors
        m, cos = ctx.m, cos.clamp(-1, 1)
        sin = ((1 - cos) * (1 + cos)).sqrt()
        least = math.sqrt(torch.finfo(cos.dtype).eps)
        slope = (cos.acos() / m).sin() / (m * sin.clamp(min=least))
        return gradient * torch.where((sin < least) & (cos > 0), 1 / m**2, slope), None


def check_choice(margin: Margin, name: str, known: tuple[str, ...]) -> None:
    """Refuse a parameter that is not among these."""
    given = getattr(margin, name)
    if given not in known:
        raise ValueError(
            f"{type(margin).__name__}: unknown {name}={given!r}; known: {', '.join(known)}"
        )


def check_past(margin: Margin) -> None:
    """Refuse a policy that is none."""
    check_choice(margin, "past", PAST)
