"""What changes the parameters: one optimiser of the backbone, and one of the head."""

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from margin_losses import MarginHead
from margin_losses.optimisers import RowSGD
from recognition.errors import InputError
from recognition.training.config import OptimiserConfig


class Optimisers(NamedTuple):
    """Two, as the class weights may be stepped a few rows at a time."""

    backbone: torch.optim.Optimizer
    head: torch.optim.Optimizer


def make_optimisers(backbone: nn.Module, head: MarginHead, config: OptimiserConfig) -> Optimisers:
    """Optimisers at the highest learning rates.

    `sgd` is v <- momentum v + g + decay w, w <- w - lr v, as the papers have it; of sampled classes
    `RowSGD`, which steps the rows that were sampled, and with `catch_up` gives all others the decay
    and the momentum of the step before they are next read. `adamw` has torch's betas and decays apart from
    the gradient. Weights decay where they are matrices: norms, slopes and biases do not. Parameters
    that need no gradient are left out, and each group's `highest` is its highest learning rate.

    Args:
        backbone: its parameters are in the first optimiser.
        head: its parameters are in the second.
        config: the numbers.

    Raises:
        InputError: `adamw` for sampled classes, whose gradient is sparse.
    """
    if config.name == "adamw" and head.sample_rate is not None:
        raise InputError(
            "the gradient of sampled classes is sparse, which adamw does not take; take sgd, or a "
            "head without sample_rate"
        )
    groups = _groups(backbone.parameters(), config.lr, config.weight_decay)
    of_head = _groups(head.parameters(), config.head_lr or config.lr, config.head_weight_decay)
    rows = head.sample_rate is not None
    return Optimisers(_optimiser(groups, config), _optimiser(of_head, config, rows=rows))


def settle(optimisers: Optimisers) -> None:
    """Give all class weights the steps that they missed, so that whoever reads them may."""
    if isinstance(optimisers.head, RowSGD):
        optimisers.head.settle()


def set_share(optimisers: Optimisers, share: float) -> None:
    """Set every learning rate to this share of its highest."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["highest"] * share


def _groups(
    parameters: Iterable[nn.Parameter], lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Matrices, which decay, and the rest; both are there, so that states fit whatever is in them."""
    trained = [p for p in parameters if p.requires_grad]
    shared = {"lr": lr, "highest": lr}
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay, **shared},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0, **shared},
    ]


def _optimiser(
    groups: list[dict[str, Any]], config: OptimiserConfig, *, rows: bool = False
) -> torch.optim.Optimizer:
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    kind = partial(RowSGD, catch_up=config.catch_up) if rows else torch.optim.SGD
    return kind(groups, lr=config.lr, momentum=config.momentum)
