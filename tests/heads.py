"""Small heads that several tests share, and a pass through one."""

import torch
from torch import Tensor

from margin_losses import MarginHead

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def double_head(name: str, **options) -> MarginHead:
    torch.manual_seed(0)
    return MarginHead(4, 5, name, **options).double()


def gradients(head: MarginHead, x: Tensor, *args, **options) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, and its gradients, of one pass that draws the same numbers each time."""
    torch.manual_seed(1)
    x = x.clone().requires_grad_()
    loss = head(x, *args, **options)
    return (loss.detach(), *torch.autograd.grad(loss.sum(), (x, head.weight)))


def assert_same_buffers(one: MarginHead, other: MarginHead) -> None:
    pairs = zip(one.named_buffers(), other.named_buffers(), strict=True)
    for (name, value), (same, expected) in pairs:
        assert name == same
        assert torch.equal(value, expected), name
