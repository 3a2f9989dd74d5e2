"""Margin softmax as pure functions of tensors; `MarginHead` is a thin shell around them."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from margin_losses.embedding import Embedding, clip, normalize
from margin_losses.kernels import Kernel, Logits, dense
from margin_losses.margins import Geometry, Margin, Target

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
    u, v = (torch.where(nowhere, math.sqrt(2), chord) for chord in (u, v))
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
        scale=clip(scale, scale.dtype),  # ‖w‖‖x‖ may overflow where ⟨w, x⟩ does not
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


def margin_softmax(
    embeddings: Tensor | Embedding,
    weight: Tensor,
    labels: Tensor,
    margin: Margin,
    geometry: Geometry | None = None,
    *,
    kernel: Kernel = dense,
    state: Mapping[str, Tensor] = NO_STATE,
) -> Tensor:
    """-log p(own class) with a margin, one loss per sample, (B,).

    Args:
        embeddings: (B, D).
        weight: (C, D), or (C, D + 1) with a bias column.
        labels: (B,) whole numbers in [0, C).
        margin: the formula of the own class's logit.
        geometry: what the plain logits are; the margin's own if not given.
        kernel: how the class axis is summed.
        state: running statistics of the margin (`margin.init()` at the start).

    >>> x, w = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> from margin_losses.margins import COSINE, CosFace
    >>> margin_softmax(x, w, torch.tensor([0]), CosFace(m=0.35), COSINE._replace(scale=8.0))
    tensor([0.0055])
    """
    geometry = margin.geometry if geometry is None else geometry
    e = Embedding.of(embeddings)
    x = factor(e, geometry, weight)
    sums = kernel(x, weight, labels, Logits(geometry))
    target = target_of(e, x, sums.own, labels, geometry, state)
    return two_term_loss(margin.target_logit(target), sums.negative)
