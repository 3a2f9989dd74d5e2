"""The optimiser inside the backward pass, so that the gradient of the class weights never exists."""

import dataclasses
from collections.abc import Callable
from typing import overload

import torch
from torch import Tensor

from margin_losses.embedding import clip
from margin_losses.head import MarginHead
from margin_losses.kernels import Auto, Chunked
from margin_losses.optimisers import OPTIONS, RowSGD, update_rows


class FusedSGD(RowSGD):
    """SGD on a head's weight, applied chunk by chunk while its gradient is made.

    Equal to `torch.optim.SGD` to rounding, without the (C, D) gradient: beside the weight and its
    momentum there is one chunk. The step is taken by `loss.backward()`; `step()` says that the next
    backward pass may come. So there is one backward pass a step, no gradient to clip or to
    accumulate (`weight.grad` stays None), and no second head on the same weight. Everything else
    is trained by another optimiser:

        fused = FusedSGD(head, lr=0.1, momentum=0.9)
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)

    Args:
        head: its kernel becomes the same one with this update; `kernel="auto"` or `Chunked`.
        lr: η.
        momentum: μ.
        weight_decay: λ.
        nesterov: as in `RowSGD`.

    Raises:
        ValueError: another kernel, sampled classes, or options that make no sense.
        RuntimeError: at a second backward pass before `step()`, with nothing changed.
    """

    def __init__(
        self,
        head: MarginHead,
        lr: float,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        kernel = head.kernel
        if not isinstance(kernel, (Auto, Chunked)) or head.sample_rate is not None:
            raise ValueError(
                "FusedSGD: expected a head with kernel='auto' or Chunked(...) and without "
                f"sample_rate, got {head!r}; RowSGD takes sampled classes"
            )
        super().__init__(
            [head.weight], lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov
        )
        self._stepped = False
        head.kernel = dataclasses.replace(kernel, update=self._take)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """The backward pass has done it; from here on the next one may come."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._stepped = False
        return loss

    def _take(self, start: int, stop: int, gradient: Tensor) -> None:
        """One step on rows start to stop of the flattened weight."""
        if start == 0:
            if self._stepped:
                raise RuntimeError(
                    "FusedSGD: expected one backward pass a step, got a second one; call step() "
                    "after each, or accumulate gradients with RowSGD or torch.optim.SGD"
                )
            self._stepped = True
        (group,) = self.param_groups
        (weight,) = group["params"]
        rows = slice(start, stop)
        velocity = self._velocity(weight).flatten(0, -2)[rows] if group["momentum"] else None
        narrow = clip(gradient, weight.dtype).to(weight.dtype)
        options = {name: group[name] for name in OPTIONS}
        update_rows(weight.flatten(0, -2)[rows], velocity, None, narrow, options)
