"""Margin softmax as pure functions of tensors; `MarginHead` is their shell."""

import math
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from margin_losses.embedding import Embedding, normalize
from margin_losses.kernels import Kernel, Sampled, dense
from margin_losses.logits import Logits, gather_own
from margin_losses.margin import NO_STATE, Geometry, Margin, State, Target
from margin_losses.missed_steps import bring_up, bring_up_own
from margin_losses.shards import HERE, Here

# ‖w‖‖x‖ may overflow where ⟨w, x⟩ does not; a margin multiplies it by up to 2m - 1 = 31 more
ROOM = 64


class Terms(NamedTuple):
    """The loss before the margin.

    Attributes:
        target: what the margin may look at.
        negative: (B,) log Σ e^{z_j} of the other classes.
        top: (B,) the largest plain logit among them, without gradient.
    """

    target: Target
    negative: Tensor
    top: Tensor


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
    state: State = NO_STATE,
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
    scale = torch.ones_like(u) * geometry.scale
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
    margin: Margin,
    geometry: Geometry,
    *,
    state: State = NO_STATE,
    kernel: Kernel = dense,
    classes: Here = HERE,
    observe: bool = False,
) -> Terms:
    """The own class and the sum of the others, of checked input.

    Args:
        e: the embeddings, (B, D).
        weight: (C, [K,] D) the part of the class axis that is here.
        labels: (B,) in the whole axis.
        margin: what may change the other classes' logits, and keeps the state.
        geometry: what the plain logits are.
        state: running statistics of the margin.
        kernel: how the class axis is summed.
        classes: where it is.
        observe: this is a training batch; its statistics are in the target's state.
    """
    if isinstance(kernel, Sampled):
        bring_up_own(weight, labels - classes.start)  # the others when they are drawn
    else:
        bring_up(weight)
    x = factor(e, geometry, weight)
    batch = (e, x, weight, labels, margin, geometry)
    logits, state = before(*batch, state=state, kernel=kernel, classes=classes, observe=observe)
    sums = classes.combine(kernel(classes.spread(x), weight, labels - classes.start, logits))
    target = target_of(e, x, classes.own(sums.own), labels, logits.geometry, state)
    return Terms(target, sums.negative, sums.top)


@torch.no_grad()
def before(
    e: Embedding,
    x: Tensor,
    weight: Tensor,
    labels: Tensor,
    margin: Margin,
    geometry: Geometry,
    *,
    state: State,
    kernel: Kernel,
    classes: Here,
    observe: bool,
) -> tuple[Logits, State]:
    """The logits of the other classes, and the state, as constants of this batch."""
    observe = observe and margin.observes
    geometry = margin.rescale(geometry, state)
    if not (observe or margin.changes_negatives):
        return Logits(geometry), state
    rows = labels - classes.start
    own = classes.own(gather_own(x, weight, rows))
    t = target_of(e, x, own, labels, geometry, state)
    if observe:
        if margin.reads_negatives:
            sums = kernel(classes.spread(x), weight, rows, Logits(geometry))
            t = t._replace(negative=classes.combine(sums).negative)
        state = classes.agree(margin.observe(t), state)
        geometry = margin.rescale(geometry, state)
    change = partial(margin.negatives, t=t._replace(state=state, negative=None))
    return Logits(geometry, change if margin.changes_negatives else None), state


def margin_logits(
    e: Embedding,
    weight: Tensor,
    labels: Tensor,
    margin: Margin,
    geometry: Geometry,
    *,
    state: State = NO_STATE,
    kernel: Kernel = dense,
    observe: bool = False,
) -> tuple[Tensor, State]:
    """All logits with the margin in the own class's, (B, C), of checked input; and the state."""
    x = factor(e, geometry, weight)
    batch = (e, x, weight, labels, margin, geometry)
    logits, state = before(*batch, state=state, kernel=kernel, classes=HERE, observe=observe)
    own = gather_own(x, weight, labels)
    target = target_of(e, x, own, labels, logits.geometry, state)
    z = logits(x, weight)
    return z.scatter(1, labels[:, None], margin.target_logit(target)[:, None]), state


def loss_of(found: Terms, margin: Margin) -> Tensor:
    """-log p(own class), with the margin's penalty, (B,)."""
    losses = two_term_loss(margin.target_logit(found.target), found.negative)
    penalty = margin.penalty(found.target)
    return losses if penalty is None else losses + penalty


def margin_softmax(
    embeddings: Tensor | Embedding,
    weight: Tensor,
    labels: Tensor,
    margin: Margin,
    geometry: Geometry | None = None,
    *,
    kernel: Kernel = dense,
    state: State | None = None,
) -> Tensor:
    """-log p(own class) with a margin, one loss per sample, (B,).

    Args:
        embeddings: (B, D).
        weight: (C, D), (C, K, D) with sub-centres, or (C, D + 1) with a bias column where the margin
            allows one.
        labels: (B,) whole numbers in [0, C).
        margin: the formula of the own class's logit.
        geometry: what the plain logits are; the margin's own if not given.
        kernel: how the class axis is summed.
        state: running statistics of the margin; those of the start if not given.

    Raises:
        ValueError: shapes, dtypes or labels that do not fit.

    >>> x, w = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> from margin_losses import COSINE, CosFace
    >>> margin_softmax(x, w, torch.tensor([0]), CosFace(m=0.35), COSINE._replace(scale=8.0))
    tensor([0.0055])
    """
    e = Embedding.of(embeddings)
    geometry = margin.geometry if geometry is None else geometry
    _check_weight(weight, e, margin, geometry)
    labels = check_labels(labels, len(e.norm), len(weight))
    if state is None:
        state = {name: v.to(weight.device) for name, v in margin.init(len(weight)).items()}
    found = terms(e, weight, labels, margin, geometry, kernel=kernel, state=state)
    return loss_of(found, margin)


def check_geometry(margin: Margin, geometry: Geometry, centers: int) -> None:
    """Refuse what is not defined: changed negatives or sub-centres where there are no cosines.

    Raises:
        ValueError: the margin does not fit the geometry, or the geometry several centres.
    """
    if margin.changes_negatives and not geometry.is_cosine:
        raise ValueError(
            f"{margin!r} looks at the other classes' cosines; it is not defined for logits "
            f"{geometry}, only for s cos θ"
        )
    if centers > 1 and not geometry.unit_weight:
        raise ValueError(
            f"{margin!r} has logits {geometry}, for which the nearest of {centers} sub-centres "
            "depends on their lengths; take a margin on unit class weights, like ArcFace()"
        )


def check_labels(
    labels: Tensor, batch: int, num_classes: int, ignore_index: int | None = None
) -> Tensor:
    """The labels as int64.

    Raises:
        ValueError: not one whole number in [0, num_classes), or `ignore_index`, per embedding.
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
    wrong = (labels < 0) | (labels >= num_classes)
    if ignore_index is not None:
        wrong &= labels != ignore_index
    if wrong.any():
        raise ValueError(
            f"labels: expected 0 <= label < {num_classes} (num_classes), "
            f"got {int(labels[wrong][0])}; number the classes from 0, and give rows without a class "
            "a label of their own, ignore_index"
        )
    return labels


def _check_weight(weight: Tensor, e: Embedding, margin: Margin, geometry: Geometry) -> None:
    dim = e.unit.shape[-1]
    widths = (dim, dim + 1) if margin.allows_bias else (dim,)
    if weight.ndim not in (2, 3) or 0 in weight.shape or weight.shape[-1] not in widths:
        raise ValueError(
            f"weight: {margin!r} takes (C, {' or '.join(map(str, widths))}) for these embeddings, "
            f"or (C, K, {dim}) with sub-centres, got {tuple(weight.shape)}; one row per class"
        )
    if not weight.is_floating_point():
        raise ValueError(f"weight: expected a floating dtype, got {weight.dtype}; call .float()")
    check_geometry(margin, geometry, 1 if weight.ndim == 2 else weight.shape[1])
    if len(weight) < margin.fewest_classes:
        raise ValueError(
            f"{margin!r} is defined for {margin.fewest_classes} classes or more, got {len(weight)}"
        )
