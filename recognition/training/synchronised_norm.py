"""Batch normalisation over the batch of all processes: Ioffe & Szegedy, arXiv:1502.03167.

    y = γ (x - μ) / √(σ² + ε) + β, with μ and σ² of each channel over all rows of all processes

Each process has its rows' count, mean and sum of squared distances from it. They are put together
as Chan, Golub & LeVeque have it (The American Statistician 37, 1983): the sums of squares add up,
and so do the squared distances of the means from their common mean, n times each. Nothing is the
difference of two large numbers, as the mean of squares minus the square of the mean is.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from recognition.errors import InputError


class Synchronised(TorchFunctionMode):
    """While it lasts, batch normalisation is over the batches of all processes.

    It is `torch.nn.functional.batch_norm` that is another, so whichever modules call it stay what
    they are, with their names and their buffers. All processes run the same modules in the same
    order, and so do their backward passes; one may have no rows.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        called = batch_norm if func is F.batch_norm else func
        return called(*args, **(kwargs or {}))


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.batch_norm` of the rows of all processes, of which (n, C, ...) are here.

    Its gradients by γ and β are those of the rows here, to be added up over the processes. First
    derivatives only.

    Raises:
        InputError: fewer than two values a channel in all.
    """
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    count, mean, squares = _moments(x.detach())
    if count < 2:
        raise InputError(
            f"expected at least 2 values of each channel to normalise by, got {count:.0f} on all "
            "processes together; take larger batches"
        )
    if running_mean is not None and running_var is not None:
        _follow(running_mean, mean, momentum)
        _follow(running_var, squares / (count - 1), momentum)
    inverse = (squares / count + eps).rsqrt()
    return _Normalise.apply(x, weight, bias, mean, inverse, count)  # type: ignore[no-untyped-call, no-any-return]


class _Normalise(torch.autograd.Function):
    """Mean and inverse deviation come from x and its like elsewhere; backward knows it."""

    @staticmethod
    def forward(
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        inverse: Tensor,
        count: float,
    ) -> Tensor:
        y = _standard(x, mean, inverse)
        if weight is not None:
            y *= _by_channel(weight, x)
        if bias is not None:
            y += _by_channel(bias, x)
        return y.to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, bias, mean, inverse, ctx.count = inputs
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.bias = None if bias is None else bias.dtype

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        standard = _standard(x, mean, inverse)
        gradient = gradient.to(standard.dtype)
        axes = _axes(x)
        of_bias, of_weight = gradient.sum(axes), (gradient * standard).sum(axes)
        of_x = None
        if ctx.needs_input_grad[0]:  # alike on all processes
            both = _sum(torch.stack([of_bias, of_weight])) / ctx.count
            slope = inverse if weight is None else inverse * weight
            pull, turn, slope = (_by_channel(each, x) for each in (*both, slope))
            of_x = (slope * (gradient - pull - standard * turn)).to(x.dtype)
        return (
            of_x,
            None if weight is None else of_weight.to(weight.dtype),
            None if ctx.bias is None else of_bias.to(ctx.bias),
            None,
            None,
            None,
        )


def _moments(x: Tensor) -> tuple[float, Tensor, Tensor]:
    """Of all processes: how many values a channel, their mean (C,), and Σ (x - mean)², (C,)."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    count = x.new_full(x.shape[1:2], x.numel() // max(x.shape[1], 1))
    total = x.sum(_axes(x))
    mean = total / count.clamp(min=1)
    squares = (x - _by_channel(mean, x)).square_().sum(_axes(x))
    counts, means, each = _every(torch.stack([count, mean, squares])).double().unbind(1)  # (P, C)
    counted = counts.sum(0)
    whole = (counts * means).sum(0) / counted.clamp(min=1)
    apart = each.sum(0) + (counts * (means - whole).square()).sum(0)
    return float(counted.max()), whole.to(x.dtype), apart.to(x.dtype)


def _standard(x: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
    """(x - μ) / √(σ² + ε), in the dtype of the statistics; a new tensor."""
    return (x - _by_channel(mean, x)).mul_(_by_channel(inverse, x))


@torch.no_grad()
def _follow(running: Tensor, value: Tensor, momentum: float) -> None:
    """Running statistics, in place."""
    running.mul_(1 - momentum).add_(value, alpha=momentum)


def _axes(x: Tensor) -> list[int]:
    """All but the channels'."""
    return [0, *range(2, x.ndim)]


def _by_channel(each: Tensor, x: Tensor) -> Tensor:
    """(C,) as (1, C, 1, ...)."""
    return each.view(-1, *(1,) * (x.ndim - 2))


def _every(x: Tensor) -> Tensor:
    """What each process has, (P, ...)."""
    if not dist.is_initialized():
        return x[None]
    found = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(found, x)
    return torch.stack(found)


def _sum(x: Tensor) -> Tensor:
    """Over the processes."""
    if dist.is_initialized():
        dist.all_reduce(x)
    return x
