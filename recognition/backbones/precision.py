"""The end of a network in its own precision, whatever the rest is computed in."""

import torch
from torch import Tensor, nn


def outside_autocast(x: Tensor, *layers: nn.Module) -> Tensor:
    """The layers one after the other, in the precision of their weights.

    Under `torch.autocast` the embedding so stays float32, as insightface's networks keep it: a
    bfloat16 has eight bits, with which the angles of near faces are all the same.
    """
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        with torch.autocast(kind, enabled=False):
            return _through(x.to(next(layers[0].parameters()).dtype), layers)
    return _through(x, layers)


def _through(x: Tensor, layers: tuple[nn.Module, ...]) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x
