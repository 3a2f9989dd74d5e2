"""Embeddings, normalised once and shared by any number of heads."""

from typing import Any, NamedTuple

import torch
from torch import Tensor


def widen(x: Tensor) -> Tensor:
    """The same numbers in float32, or in float64 where they come so.

    The gradient goes back in the dtype of `x`, clipped to the largest number that dtype can hold:
    a float16 embedding gets 65504 where the exact gradient overflows, never an infinity.
    """
    return _Widen.apply(x)  # type: ignore[no-untyped-call, no-any-return]


class _Widen(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        return x.to(wide) if x.dtype != wide else x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.dtype = inputs[0].dtype

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        narrow: Tensor = clip(gradient, ctx.dtype).to(ctx.dtype)
        return narrow


def clip(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Infinities and everything else beyond `dtype` become its largest number."""
    limit = torch.finfo(dtype).max
    return x.clamp(-limit, limit)


def normalize(x: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors and lengths of the rows of `x`: (..., D) -> (..., D), (...).

    A zero row has no direction: its unit vector is 0, with zero gradient. No epsilon: rows are
    divided by their largest component first, so squares neither overflow nor vanish.
    """
    unit, norm = _Normalize.apply(x)  # type: ignore[no-untyped-call]
    return unit, norm.squeeze(-1)


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        peak = x.abs().amax(-1, keepdim=True)
        scaled = x / torch.where(peak == 0, 1, peak)
        length = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
        unit = scaled / torch.where(length == 0, 1, length)
        return unit, clip(length * peak, x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*output)

    @staticmethod
    def backward(ctx: Any, of_unit: Tensor, of_norm: Tensor) -> Tensor:
        unit, norm = ctx.saved_tensors
        dtype = unit.dtype
        # a gradient at the end of the dtype's range is divided by its peak, as x is
        of_unit, of_norm = clip(of_unit, dtype), clip(of_norm, dtype)
        peak = of_unit.detach().abs().amax(-1, keepdim=True)
        scaled = of_unit / torch.where(peak == 0, 1, peak)
        tangent = scaled - unit * (unit * scaled).sum(-1, keepdim=True)
        # a zero row has unit = 0, so the tangent alone must be stopped
        stretch = torch.where(norm == 0, 0, clip(peak / torch.where(norm == 0, 1, norm), dtype))
        gradient: Tensor = clip(tangent * stretch, dtype) + unit * of_norm
        return gradient


class Embedding(NamedTuple):
    """A batch of embeddings with its directions and lengths.

    Make one with `Embedding.of` and give it to every head: the work is done once.

    Attributes:
        plain: (B, D) the embeddings, in float32 or float64.
        unit: (B, D) their directions; 0 where an embedding is 0.
        norm: (B,) their lengths.
    """

    plain: Tensor
    unit: Tensor
    norm: Tensor

    @classmethod
    def of(cls, x: "Tensor | Embedding") -> "Embedding":
        """Normalise `x` (B, D), or hand back what is an `Embedding` already.

        Raises:
            ValueError: `x` is not (B, D), not of a floating dtype, empty, or not finite.

        >>> Embedding.of(torch.tensor([[3.0, 4.0]])).norm
        tensor([5.])
        """
        if isinstance(x, Embedding):
            return x
        _check(x)
        plain = widen(x)
        return cls(plain, *normalize(plain))


def _check(x: Tensor) -> None:
    if not isinstance(x, Tensor):
        raise ValueError(
            f"embeddings: expected a torch tensor, got {type(x).__name__}; torch.as_tensor makes one"
        )
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(
            f"embeddings: expected a batch of shape (B, D) with at least one row, "
            f"got {tuple(x.shape)}"
        )
    if not x.is_floating_point():
        way = "take .real" if x.is_complex() else "call .float()"
        raise ValueError(f"embeddings: expected a floating dtype, got {x.dtype}; {way}")
    if torch.compiler.is_compiling():
        return  # reading values would break the graph
    finite = x.detach().isfinite().all(-1)
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise ValueError(
            f"embeddings: expected finite numbers, got NaN or infinity in row {row}; "
            "look at the learning rate and at the network's input"
        )
