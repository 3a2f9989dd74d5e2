"""The head one trains: a class matrix and a margin, as an `nn.Module`."""

from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from margin_losses.embedding import Embedding, widen
from margin_losses.functional import (
    Terms,
    check_geometry,
    check_labels,
    factor,
    loss_of,
    margin_logits,
    terms,
)
from margin_losses.kernels import Kernel, dense
from margin_losses.logits import Logits
from margin_losses.margin import Geometry, Margin, State, is_whole
from margin_losses.registry import HeadSpec, check_centers, check_scale
from margin_losses.shards import HERE, Here

Reduction = Literal["mean", "sum", "none"]
T = TypeVar("T")


class Statistics(NamedTuple):
    """How a batch did, from the pass that made its loss; tensors without dimensions.

    Attributes:
        accuracy: share of samples whose own class has the largest plain logit; a tie is a miss.
        angle: mean angle to the own class, radians.
        samples: how many counted: neither ignored nor of weight 0.
    """

    accuracy: Tensor
    angle: Tensor
    samples: Tensor


class MarginHead(nn.Module):
    """Margin softmax over `num_classes` classes.

    Its weight is a parameter: give `head.parameters()` to the optimiser and save the head with the
    network.

    Args:
        embedding_dim: D.
        num_classes: C.
        margin: a margin, or its name with options: `"arcface:m=0.4"`, `"cosface:m=0.3,s=30"`.
        scale: s; the paper's if not given.
        centers: K sub-centres a class, the nearest of which counts; the margin's if not given.
        bias: one number per class added to its logit; only where the margin's formula has it.
        kernel: how the class axis is summed.

    Attributes:
        weight: (C, D); (C, K, D) with several sub-centres; (C, D + 1) with a bias, which is then the
            last column.
        margin: the margin.
        geometry: what the plain logits are, with the scale.

    Raises:
        ValueError: sizes below 1, an unknown margin, a scale or bias that makes no sense.

    >>> _ = torch.manual_seed(0)
    >>> head = MarginHead(512, 1000, "arcface:m=0.5")
    >>> head(torch.randn(8, 512), torch.arange(8))          # ln C + s²/2D + s sin m, about
    tensor(41.2, grad_fn=<SumBackward0>)
    """

    def __init__(
        self,
        embedding_dim: int,
        num_classes: int,
        margin: Margin | str,
        *,
        scale: float | None = None,
        centers: int | None = None,
        bias: bool = False,
        kernel: Kernel = dense,
    ) -> None:
        super().__init__()
        for size in (embedding_dim, num_classes):
            if not is_whole(size) or size < 1:
                raise ValueError(
                    "MarginHead: expected whole numbers embedding_dim >= 1 and num_classes >= 1, "
                    f"got {embedding_dim!r} and {num_classes!r}"
                )
        if isinstance(margin, str):
            spec = HeadSpec.parse(margin)
            margin = spec.margin
            scale = _once("scale", "s", spec.scale, scale)
            centers = _once("centers", "k", spec.centers, centers)
        if not isinstance(margin, Margin):
            raise ValueError(
                f"margin: expected a margin like ArcFace(m=0.5), or its name, got {margin!r}"
            )
        if bias and not margin.allows_bias:
            raise ValueError(f"{margin!r} has no bias in its formula; leave out bias=True")
        if num_classes < margin.fewest_classes:
            raise ValueError(
                f"{margin!r} is defined for {margin.fewest_classes} classes or more, "
                f"got {num_classes}"
            )
        self.embedding_dim = embedding_dim
        self.num_classes = num_classes
        self.margin = margin
        self.geometry: Geometry = margin.geometry
        if scale is not None:
            self.geometry = margin.geometry._replace(scale=check_scale(scale))
        self.kernel = kernel
        self.classes: Here = HERE
        k = check_centers(margin.centers if centers is None else centers)
        check_geometry(margin, self.geometry, k)
        row = (embedding_dim + bias,) if k == 1 else (k, embedding_dim)
        self.weight = nn.Parameter(torch.empty(num_classes, *row))
        for name, value in margin.init(num_classes).items():
            self.register_buffer(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw class weights of about unit length, so that every geometry starts alike."""
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)
        with torch.no_grad():
            self.weight[..., self.embedding_dim :] = 0
        self._keep(self.margin.init(self.num_classes))

    def forward(
        self,
        embeddings: Tensor | Embedding,
        labels: Tensor,
        *,
        reduction: Reduction = "mean",
        ignore_index: int | None = None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """The loss: a scalar, or (B,) with `reduction="none"`; float32 at least.

        Args:
            embeddings: (B, D), not normalised; or `Embedding.of(x)`, shared by several heads.
            labels: (B,) whole numbers in [0, C), or `ignore_index`.
            reduction: over the batch. A sum of losses may overflow, their mean does not.
            ignore_index: samples with this label contribute nothing: no loss (0 with "none"), no
                gradient, no statistics. A mean over nothing is 0.
            sample_weight: (B,) numbers >= 0 that multiply the losses; the mean divides by their
                sum, so that a weight of 0 takes the sample out of it.

        Raises:
            ValueError: shapes, dtypes or values that do not fit; nothing has changed by then. Under
            torch.compile values are not looked at: check labels before.
        """
        losses, _ = self._losses(embeddings, labels, reduction, ignore_index, sample_weight)
        return losses

    def loss_and_statistics(
        self,
        embeddings: Tensor | Embedding,
        labels: Tensor,
        *,
        reduction: Reduction = "mean",
        ignore_index: int | None = None,
        sample_weight: Tensor | None = None,
    ) -> tuple[Tensor, Statistics]:
        """The loss as `forward` has it, and how the batch did, from the same pass."""
        return self._losses(embeddings, labels, reduction, ignore_index, sample_weight)

    def logits(self, embeddings: Tensor | Embedding, labels: Tensor | None = None) -> Tensor:
        """The logits, (B, C): without a margin, or with that of these labels.

        Without labels they are for inference and accuracy. With them they go into any other
        cross-entropy, `F.cross_entropy(head.logits(x, y), y, label_smoothing=0.1)`, and a call in
        training mode counts as a forward pass; a penalty of the margin is not in them.
        """
        e = self._embedding(embeddings)
        weight = widen(self.weight)
        if labels is None:
            geometry = self.margin.rescale(self.geometry, self._state())
            return Logits(geometry)(factor(e, geometry, weight), weight)
        labels = check_labels(labels, len(e.norm), self.num_classes)
        z, state = margin_logits(
            e,
            weight,
            labels,
            self.margin,
            self.geometry,
            state=self._state(),
            kernel=self.kernel,
            observe=self.training,
        )
        self._keep(state)
        return z

    def extra_repr(self) -> str:
        centers = f", centers={self.weight.shape[1]}" if self.weight.ndim == 3 else ""
        bias = ", bias=True" if self.weight.shape[-1] > self.embedding_dim else ""
        kernel = "" if self.kernel is dense else f", kernel={self.kernel!r}"
        scale = f", scale={self.geometry.scale:g}"
        return (
            f"{self.embedding_dim}, {self.num_classes}, {self.margin!r}"
            f"{scale}{centers}{bias}{kernel}"
        )

    def _losses(
        self,
        embeddings: Tensor | Embedding,
        labels: Tensor,
        reduction: Reduction,
        ignore_index: int | None,
        sample_weight: Tensor | None,
    ) -> tuple[Tensor, Statistics]:
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction: expected 'mean', 'sum' or 'none', got {reduction!r}")
        e = self._embedding(embeddings)
        batch = len(e.norm)
        labels = check_labels(labels, batch, self.num_classes, ignore_index)
        weights = _check_sample_weight(sample_weight, e)
        kept = None if ignore_index is None else (labels != ignore_index).nonzero().squeeze(1)
        if kept is not None:
            e, labels = Embedding(*(part[kept] for part in e)), labels[kept]
            weights = None if weights is None else weights[kept]
        found = terms(
            e,
            self.weight,
            labels,
            self.margin,
            self.geometry,
            state=self._state(),
            kernel=self.kernel,
            classes=self.classes,
            observe=self.training,
        )
        self._keep(found.target.state)
        losses = loss_of(found, self.margin)
        statistics = _statistics(found, weights)
        if reduction == "none" and kept is not None:
            losses = losses.new_zeros(batch).index_put((kept,), losses)
            weights = (
                None if weights is None else weights.new_zeros(batch).index_put((kept,), weights)
            )
        return _reduce(losses, weights, reduction), statistics

    def _state(self) -> State:
        return dict(self.named_buffers())

    @torch.no_grad()
    def _keep(self, state: State) -> None:
        """Write running statistics into their buffers; what is drawn for one batch has none."""
        for name, buffer in self.named_buffers():
            if state[name] is not buffer:
                buffer.copy_(state[name])

    def _embedding(self, embeddings: Tensor | Embedding) -> Embedding:
        e = Embedding.of(embeddings)
        if e.unit.shape[-1] != self.embedding_dim:
            raise ValueError(
                f"embeddings: this head takes {self.embedding_dim} numbers each, "
                f"got {e.unit.shape[-1]}"
            )
        return e


def _reduce(losses: Tensor, weights: Tensor | None, reduction: Reduction) -> Tensor:
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
def _statistics(found: Terms, weights: Tensor | None) -> Statistics:
    t = found.target
    counts = torch.ones_like(t.angle) if weights is None else (weights > 0).to(t.angle.dtype)
    share = counts / counts.sum().clamp(min=1)
    right = (t.plain > found.top).to(share.dtype)
    return Statistics((share * right).sum(), (share * t.angle).sum(), counts.sum().long())


def _check_sample_weight(weights: Tensor | None, e: Embedding) -> Tensor | None:
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


def _once(what: str, option: str, named: T | None, given: T | None) -> T | None:
    if named is not None and given is not None:
        raise ValueError(f"{what} given twice: {option}={named} in the name and {what}={given}")
    return given if named is None else named
