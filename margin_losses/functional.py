"""Margin softmax as pure functions of tensors; `MarginHead` is their shell."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from margin_losses.embedding import Embedding, normalize
from margin_losses.kernels import Kernel, Logits, dense
from margin_losses.margins import Geometry, Margin, Target

# ‖w‖‖x‖ may overflow where ⟨w, x⟩ does not; a margin multiplies it by up to 2m - 1 = 31 more
ROOM = 64

NO_STATE: Mapping[str, Tensor] = MappingProxyType({})


def factor(e: Embedding, geometry: Geometry, weight: Tensor) -> Tensor:
    """The left factor of the logits' product, (B, D): unit or plain, with a 1 for a bias column.

    A bias is one more column of the weight against a constant 1.
    """
    x = e.unit if geometry.unit_embedding else e.plain
    x = x.to(torch.promote_types(x.dtype, weight.dtype))
    return F.pad(x, (0, 1), value=1.0) if weight.shape[-1] == x.shape[-1] + 1 else x


def target_of(
    e: Embedding,
    x: Tensor,
    own: Tensor,
    labels: Tensor,
    geometry: Geometry,
    state: Mapping[str, Tensor] = NO_STATE,
) -> Target:
    """What the margin may look at, from the embeddings and the weights of their own classes.

    With u = ‖x̂ - ŵ‖ and v = ‖x̂ + ŵ‖ of the unit vectors, cos θ = (v² - u²)/4, sin θ = u v/2 and
    θ = 2 atan2(u, v): no epsilon, the exact tangent gradient, and zero gradient at θ = 0 and π.

    Args:
        e: the embeddings, (B, D).
        x: (B, D) or (B, D + 1), the left factor of the logits (see `factor`).
        own: the stored weight rows of the own classes, of the shape of `x`.
        labels: (B,).
        geometry: what is unit length, and the scale.
        state: running statistics of the margin.
    """
    w, w_norm = normalize(own[:, : e.unit.shape[-1]])
    plain = geometry.scale * (x * (w if geometry.unit_weight else own)).sum(-1)
    u = torch.linalg.vector_norm(e.unit - w, dim=-1)
    v = torch.linalg.vector_norm(e.unit + w, dim=-1)
    # a zero vector is a right angle away from everything: cos = 0, sin = 1, no gradient
    nowhere = (e.norm == 0) | (w_norm == 0)
    u = torch.where(nowhere, math.sqrt(2), u)
    v = torch.where(nowhere, math.sqrt(2), v)
    scale = torch.full_like(u, geometry.scale)
    if not geometry.unit_embedding:
        scale = scale * e.norm
    if not geometry.unit_weight:
        scale = scale * w_norm
    return Target(
        plain=plain,
        cos=(v - u) * (v + u) / 4,
        sin=u * v / 2,
        angle=2 * torch.atan2(u, v),
        scale=scale.clamp(max=torch.finfo(scale.dtype).max / ROOM),
        norm=e.norm,
        label=labels,
        state=state,
    )


def two_term_loss(own: Tensor, negative: Tensor) -> Tensor:
    """-log p(own class) from the own logit and the logsumexp of the others, (B,).

    -logsigmoid(z_y - log Σ_{j≠y} e^{z_j}); 0 where no other class is left. A difference beyond the
    dtype is taken as its largest number.
    """
    return -F.logsigmoid((own - negative).clamp(min=torch.finfo(own.dtype).min))


def terms(
    e: Embedding,
    weight: Tensor,
    labels: Tensor,
    geometry: Geometry,
    *,
    kernel: Kernel = dense,
    state: Mapping[str, Tensor] = NO_STATE,
) -> tuple[Target, Tensor]:
    """The two terms of the loss before a margin: the own class, and log Σ e^{z_j} of the others."""
    x = factor(e, geometry, weight)
    sums = kernel(x, weight, labels, Logits(geometry))
    return target_of(e, x, sums.own, labels, geometry, state), sums.negative


def margin_softmax(
    embeddings: Tensor | Embedding,
    weight: Tensor,
    labels: Tensor,
    margin: Margin,
    geometry: Geometry | None = None,
    *,
    kernel: Kernel = dense,
    state: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """-log p(own class) with a margin, one loss per sample, (B,).

    Args:
        embeddings: (B, D).
        weight: (C, D), or (C, D + 1) with a bias column where the margin allows one.
        labels: (B,) whole numbers in [0, C).
        margin: the formula of the own class's logit.
        geometry: what the plain logits are; the margin's own if not given.
        kernel: how the class axis is summed.
        state: running statistics of the margin; those of the start if not given.

    Raises:
        ValueError: shapes, dtypes or labels that do not fit.

    >>> x, w = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> from margin_losses.margins import COSINE, CosFace
    >>> margin_softmax(x, w, torch.tensor([0]), CosFace(m=0.35), COSINE._replace(scale=8.0))
    tensor([0.0055])
    """
    e = Embedding.of(embeddings)
    _check_weight(weight, e, margin)
    labels = check_labels(labels, len(e.norm), len(weight))
    geometry = margin.geometry if geometry is None else geometry
    state = margin.init() if state is None else state
    target, negative = terms(e, weight, labels, geometry, kernel=kernel, state=state)
    return two_term_loss(margin.target_logit(target), negative)


def check_labels(labels: Tensor, batch: int, num_classes: int) -> Tensor:
    """The labels as int64.

    Raises:
        ValueError: not one whole number in [0, num_classes) per embedding.
    """
    if not isinstance(labels, Tensor):
        raise ValueError(
            f"labels: expected a torch tensor, got {type(labels).__name__}; torch.as_tensor makes one"
        )
    if labels.shape != (batch,):
        raise ValueError(
            f"labels: expected shape ({batch},), one per embedding, got {tuple(labels.shape)}"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(
            f"labels: expected whole numbers (torch.long), got {labels.dtype}; call .long()"
        )
    labels = labels.long()
    if torch.compiler.is_compiling():
        return labels  # reading values would break the graph
    low, high = labels.aminmax()
    if int(low) < 0 or int(high) >= num_classes:
        wrong = int(low) if int(low) < 0 else int(high)
        raise ValueError(
            f"labels: expected 0 <= label < {num_classes} (num_classes), got {wrong}; "
            "number the classes from 0, and leave rows without a class out of the batch"
        )
    return labels


def _check_weight(weight: Tensor, e: Embedding, margin: Margin) -> None:
    dim = e.unit.shape[-1]
    widths = (dim, dim + 1) if margin.allows_bias else (dim,)
    if weight.ndim != 2 or not len(weight) or weight.shape[1] not in widths:
        raise ValueError(
            f"weight: {margin!r} takes (C, {' or '.join(map(str, widths))}) for these embeddings, "
            f"got {tuple(weight.shape)}; one row per class"
        )
    if not weight.is_floating_point():
        raise ValueError(f"weight: expected a floating dtype, got {weight.dtype}; call .float()")
