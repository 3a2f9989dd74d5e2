"""The head one trains: a class matrix and a margin, as an `nn.Module`."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from margin_losses.embedding import Embedding, widen
from margin_losses.functional import check_labels, factor, terms, two_term_loss
from margin_losses.kernels import Kernel, Logits, dense
from margin_losses.margins import Geometry, Margin, Target, is_whole
from margin_losses.registry import HeadSpec, check_scale

Reduction = Literal["mean", "sum", "none"]


class MarginHead(nn.Module):
    """Margin softmax over `num_classes` classes.

    Its weight is a parameter: give `head.parameters()` to the optimiser and save the head with the
    network.

    Args:
        embedding_dim: D.
        num_classes: C.
        margin: a margin, or its name with options: `"arcface:m=0.4"`, `"cosface:m=0.3,s=30"`.
        scale: s; the paper's if not given.
        bias: one number per class added to its logit; only where the margin's formula has it.
        kernel: how the class axis is summed.

    Attributes:
        weight: (C, D), or (C, D + 1) with a bias, which is then the last column.
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
            margin, named = HeadSpec.parse(margin)
            if named is not None and scale is not None:
                raise ValueError(f"scale given twice: s={named:g} in the name and scale={scale:g}")
            scale = named if scale is None else scale
        if not isinstance(margin, Margin):
            raise ValueError(
                f"margin: expected a margin like ArcFace(m=0.5), or its name, got {margin!r}"
            )
        if bias and not margin.allows_bias:
            raise ValueError(f"{margin!r} has no bias in its formula; leave out bias=True")
        self.embedding_dim = embedding_dim
        self.num_classes = num_classes
        self.margin = margin
        self.geometry: Geometry = margin.geometry
        if scale is not None:
            self.geometry = margin.geometry._replace(scale=check_scale(scale))
        self.kernel = kernel
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_dim + bias))
        for name, value in margin.init().items():
            self.register_buffer(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw class weights of about unit length, so that every geometry starts alike."""
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)
        with torch.no_grad():
            self.weight[:, self.embedding_dim :] = 0
        for name, value in self.margin.init().items():
            self.get_buffer(name).copy_(value)

    def forward(
        self, embeddings: Tensor | Embedding, labels: Tensor, *, reduction: Reduction = "mean"
    ) -> Tensor:
        """The loss: a scalar, or (B,) with `reduction="none"`; float32 at least.

        Args:
            embeddings: (B, D), not normalised; or `Embedding.of(x)`, shared by several heads.
            labels: (B,) whole numbers in [0, C).
            reduction: over the batch. A sum of losses may overflow, their mean does not.

        Raises:
            ValueError: shapes, dtypes or values that do not fit; nothing has changed by then. Under
            torch.compile values are not looked at: check labels before.
        """
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction: expected 'mean', 'sum' or 'none', got {reduction!r}")
        e = self._embedding(embeddings)
        labels = check_labels(labels, len(e.norm), self.num_classes)
        target, negative = terms(
            e, self.weight, labels, self.geometry, kernel=self.kernel, state=self._state()
        )
        if self.training:
            target = self._observe(target)
        losses = two_term_loss(self.margin.target_logit(target), negative)
        if reduction == "none":
            return losses
        # dividing first, the sum of finite losses cannot overflow
        return (losses / len(losses)).sum() if reduction == "mean" else losses.sum()

    def logits(self, embeddings: Tensor | Embedding) -> Tensor:
        """The logits without a margin, (B, C): for inference and accuracy."""
        e = self._embedding(embeddings)
        weight = widen(self.weight)
        return Logits(self.geometry)(factor(e, self.geometry, weight), weight)

    def extra_repr(self) -> str:
        bias = ", bias=True" if self.weight.shape[1] > self.embedding_dim else ""
        kernel = "" if self.kernel is dense else f", kernel={self.kernel!r}"
        scale = f", scale={self.geometry.scale:g}"
        return f"{self.embedding_dim}, {self.num_classes}, {self.margin!r}{scale}{bias}{kernel}"

    def _state(self) -> Mapping[str, Tensor]:
        return dict(self.named_buffers())

    @torch.no_grad()
    def _observe(self, target: Target) -> Target:
        state = self.margin.observe(target)
        for name, value in state.items():
            self.get_buffer(name).copy_(value)
        return target._replace(state=self._state())

    def _embedding(self, embeddings: Tensor | Embedding) -> Embedding:
        e = Embedding.of(embeddings)
        if e.unit.shape[-1] != self.embedding_dim:
            raise ValueError(
                f"embeddings: this head takes {self.embedding_dim} numbers each, "
                f"got {e.unit.shape[-1]}"
            )
        return e
