"""What trained sub-centres tell: which one a class lives at, and which samples are far from it.

A head with K sub-centres a class lets wrongly labelled and odd samples gather at some of them. The
paper trains with K = 3, drops the samples that are farther than 75° from their class's dominant
centre, and trains anew with K = 1 on the rest.

Deng, Guo, Liu, Gong, Zafeiriou, "Sub-center ArcFace", ECCV 2020, section 3.3.
"""

import copy
import math
from collections.abc import Iterator
from numbers import Real

import torch
from torch import Tensor, nn

from margin_losses.classes import refuse_change
from margin_losses.embedding import Embedding
from margin_losses.functional import check_labels, target_of
from margin_losses.head import MarginHead
from margin_losses.logits import own_rows
from margin_losses.margin import COSINE
from margin_losses.missed_steps import bring_up

BLOCK = 2**22  # numbers of the gathered centres (n, K, D) that are in memory at once


@torch.no_grad()
def dominant_centers(embeddings: Tensor | Embedding, labels: Tensor, weight: Tensor) -> Tensor:
    """The sub-centre that is the nearest one for most samples of its class, (C,) int64.

    At a tie the lower index has it. A class without samples gets 0, the lowest: nothing speaks for
    another.

    Args:
        embeddings: (N, D), not normalised.
        labels: (N,) whole numbers in [0, C).
        weight: (C, K, D), a head's weight; (C, D) is one centre a class.

    Raises:
        ValueError: shapes, dtypes or labels that do not fit.
    """
    e, labels, weight = _checked(embeddings, labels, weight)
    classes, k, _ = weight.shape
    votes = weight.new_zeros(classes * k, dtype=torch.int64)
    for part in _blocks(len(labels), weight):
        nearest, _ = own_rows(e.unit[part], weight, labels[part])
        votes += nearest.bincount(minlength=classes * k)
    return votes.view(classes, k).argmax(1)


@torch.no_grad()
def outliers(
    embeddings: Tensor | Embedding,
    labels: Tensor,
    weight: Tensor,
    angle: float = math.radians(75),
) -> Tensor:
    """Which samples are farther than `angle` from the dominant centre of their class, (N,) bool.

    Farther is strict. A zero vector is a right angle away from everything.

    Args:
        embeddings: (N, D), not normalised; all samples, for the dominant centre is among them.
        labels: (N,) whole numbers in [0, C).
        weight: (C, K, D), a head's weight; (C, D) is one centre a class.
        angle: radians, in [0, π].

    Raises:
        ValueError: shapes, dtypes, labels or an angle that do not fit.
    """
    _check_angle(angle)
    e, labels, weight = _checked(embeddings, labels, weight)
    centers = _of(weight, dominant_centers(e, labels, weight))
    far = torch.empty_like(labels, dtype=torch.bool)
    for part in _blocks(len(labels), weight):
        here = Embedding(*(field[part] for field in e))
        own = centers[labels[part]].to(here.unit.dtype)
        far[part] = target_of(here, here.unit, own, labels[part], COSINE).angle > angle
    return far


@torch.no_grad()
def keep_dominant(head: MarginHead, embeddings: Tensor | Embedding, labels: Tensor) -> MarginHead:
    """A copy of the head with one centre a class, the dominant one of these samples.

    All else is copied with it: margin, scale, kernel, running statistics, mode. Its `state_dict`
    goes into a head made with `centers=1`.

    Raises:
        ValueError: samples that do not fit, a head with one centre a class already, one that holds
            only a part of the classes, or a kernel that steps the weight itself.
    """
    if head.weight.ndim != 3:
        raise ValueError("keep_dominant: expected a head with several sub-centres a class, got one")
    refuse_change(head, "keep_dominant")
    found = dominant_centers(embeddings, labels, head.weight)
    rows = nn.Parameter(_of(head.weight, found), requires_grad=head.weight.requires_grad)
    # what the memo has is not copied: the head with these rows in place of its weight
    return copy.deepcopy(head, {id(head.weight): rows})


def _of(weight: Tensor, centers: Tensor) -> Tensor:
    """One centre of each class: (C, K, D), (C,) -> (C, D)."""
    return weight[torch.arange(len(weight), device=weight.device), centers]


def _blocks(samples: int, weight: Tensor) -> Iterator[slice]:
    """Samples whose classes' centres fit into a block."""
    size = max(1, BLOCK // weight[0].numel())
    return (slice(start, start + size) for start in range(0, samples, size))


def _checked(
    embeddings: Tensor | Embedding, labels: Tensor, weight: Tensor
) -> tuple[Embedding, Tensor, Tensor]:
    """Embeddings and labels, and the weight as (C, K, D)."""
    e = Embedding.of(embeddings)
    dim = e.unit.shape[-1]
    if weight.ndim not in (2, 3) or 0 in weight.shape or weight.shape[-1] != dim:
        raise ValueError(
            f"weight: expected (C, K, {dim}) for these embeddings, or (C, {dim}), got "
            f"{tuple(weight.shape)}"
        )
    if not weight.is_floating_point():
        raise ValueError(f"weight: expected a floating dtype, got {weight.dtype}; call .float()")
    bring_up(weight)
    weight = weight.unsqueeze(1) if weight.ndim == 2 else weight
    e = Embedding(*(field.to(torch.promote_types(field.dtype, weight.dtype)) for field in e))
    return e, check_labels(labels, len(e.norm), len(weight)), weight


def _check_angle(angle: object) -> None:
    value = float(angle) if isinstance(angle, Real) else math.nan
    if 0 <= value <= math.pi:
        return
    hint = ""
    if math.pi < value <= 180:
        hint = f"; if it is in degrees, angle={math.radians(value):.4g} is the same one"
    raise ValueError(
        f"outliers: expected an angle in radians, 0 <= angle <= π, got {angle!r}{hint}"
    )
