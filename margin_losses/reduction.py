"""From the losses of the samples to the loss of the batch, and how the batch did."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from margin_losses.embedding import Embedding
from margin_losses.functional import Terms

Reduction = Literal["mean", "sum", "none"]


class Statistics(NamedTuple):
    """How a batch did, from the pass that made its loss; tensors without dimensions.

    Attributes:
        accuracy: share of samples whose own class has the largest plain logit; a tie is a miss.
            Of the classes drawn for the batch, where the head samples them.
        angle: mean angle to the own class, radians.
        samples: how many counted: neither ignored nor of weight 0.
    """

    accuracy: Tensor
    angle: Tensor
    samples: Tensor


def reduce(losses: Tensor, weights: Tensor | None, reduction: Reduction) -> Tensor:
    """Losses (B,), weighted if there are weights, as `reduction` says; a mean over nothing is 0."""
    if weights is not None:
        losses = losses * weights
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    total = losses.new_tensor(max(len(losses), 1)) if weights is None else weights.sum()
    # dividing first, the sum of finite losses cannot overflow
    return (losses / torch.where(total == 0, 1, total)).sum()


@torch.no_grad()
def statistics_of(found: Terms, weights: Tensor | None) -> Statistics:
    """Accuracy and mean angle of the samples that count."""
    t = found.target
    counts = torch.ones_like(t.angle) if weights is None else (weights > 0).to(t.angle.dtype)
    share = counts / counts.sum().clamp(min=1)
    right = (t.plain > found.top).to(share.dtype)
    return Statistics((share * right).sum(), (share * t.angle).sum(), counts.sum().long())


def check_sample_weight(weights: Tensor | None, e: Embedding) -> Tensor | None:
    """The weights in the dtype and on the device of the embeddings.

    Raises:
        ValueError: not one finite number >= 0 per embedding.
    """
    if weights is None:
        return None
    got = getattr(weights, "shape", None)
    if got != e.norm.shape:
        shown = type(weights).__name__ if got is None else tuple(got)
        raise ValueError(
            f"sample_weight: expected a tensor of shape {tuple(e.norm.shape)}, one per embedding, "
            f"got {shown}"
        )
    weights = torch.as_tensor(weights, device=e.norm.device)
    weights = weights.to(e.norm.dtype)
    if not torch.compiler.is_compiling() and not (weights.isfinite() & (weights >= 0)).all():
        raise ValueError(
            "sample_weight: expected finite numbers >= 0; a weight of 0 drops a sample"
        )
    return weights
