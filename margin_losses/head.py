"""The head one trains: a class matrix and a margin, as an `nn.Module`."""

from collections.abc import Iterable, Sequence
from typing import Literal, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from margin_losses.classes import add_classes, remove_classes
from margin_losses.embedding import Embedding, normalize, widen
from margin_losses.functional import (
    check_geometry,
    check_labels,
    factor,
    loss_of,
    margin_logits,
    terms,
)
from margin_losses.kernels import Auto, Kernel, Sampled
from margin_losses.layouts import Layout, check_bias, from_layout, to_layout
from margin_losses.logits import Logits
from margin_losses.margin import Geometry, Margin, State, is_whole
from margin_losses.missed_steps import bring_up
from margin_losses.reduction import (
    Reduction,
    Statistics,
    check_sample_weight,
    reduce,
    statistics_of,
)
from margin_losses.registry import HeadSpec, check_centers, check_scale
from margin_losses.shards import HERE, Here

T = TypeVar("T")


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
        kernel: how the class axis is summed: "auto" is `Auto()`, `dense` up to 1,024 classes and
            chunks beyond.
        sample_rate: in training mode the loss is over the batch's own classes and others drawn at
            random, this share of all, and the weight's gradient is sparse (see `kernels.Sampled`).
            Over every class if not given, in evaluation mode, and in `logits`.
        shard: which part of the classes is in this process; labels are those of the whole axis. Give
            each process a seed of its own before it draws its rows, and one and the same where
            classes are sampled, so that the sample is that of the whole axis.

    Attributes:
        weight: (C, D); (C, K, D) with several sub-centres; (C, D + 1) with a bias, which is then the
            last column. A shard has only its own rows.
        margin: the margin.
        geometry: what the plain logits are, with the scale.

    Raises:
        ValueError: sizes below 1, an unknown margin, a scale, bias or sample rate that makes no
            sense.

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
        kernel: Kernel | Literal["auto"] = "auto",
        sample_rate: float | None = None,
        shard: Here = HERE,
    ) -> None:
        super().__init__()
        for size in (embedding_dim, num_classes):
            if not is_whole(size) or size < 1:
                raise ValueError(
                    "MarginHead: expected whole numbers embedding_dim >= 1 and num_classes >= 1, "
                    f"got {embedding_dim!r} and {num_classes!r}"
                )
        margin, scale, centers = _spec(margin, scale, centers)
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
        self.kernel: Kernel = _kernel(kernel)
        self.sample_rate, self.shard = sample_rate, shard
        self._summing(training=True)  # refuses a senseless rate
        k = check_centers(margin.centers if centers is None else centers)
        check_geometry(margin, self.geometry, k)
        row = (embedding_dim + bias,) if k == 1 else (k, embedding_dim)
        self.weight = nn.Parameter(torch.empty(shard.size(num_classes), *row))
        for name, value in margin.init(num_classes).items():
            self.register_buffer(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw class weights of about unit length, so that every geometry starts alike."""
        bring_up(self.weight)  # what was missed is of the rows that go
        self.draw(self.weight)
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

        Raises:
            ValueError: input that does not fit, or a head that holds only a part of the classes.
        """
        self.refuse_part("logits")
        e = self._embedding(embeddings)
        bring_up(self.weight)
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

    @torch.no_grad()
    def prototypes(self) -> Tensor:
        """The directions of the classes, unit rows in float32 or float64; a copy, without gradient.

        (C, D), or (C, K, D) with several sub-centres. A bias is left out; a zero row stays 0. Where
        ‖w‖ counts, as in plain softmax, they are not the whole of the class.

        Raises:
            ValueError: a head that holds only a part of the classes.
        """
        self.refuse_part("prototypes")
        bring_up(self.weight)
        return normalize(widen(self.weight[..., : self.embedding_dim]))[0]

    @torch.no_grad()
    def class_matrix(self, layout: Layout = "CD") -> Tensor:
        """The class weights as another library lays them out: (C K, D), or (D, C K) for "DC"; a copy.

        As stored, not normalised, and without a bias, which is `head.weight[:, -1]`. The way back
        is `from_weights`; `layouts.Layout` says who uses which.

        Raises:
            ValueError: an unknown layout, or a head that holds only a part of the classes.
        """
        self.refuse_part("class_matrix")
        bring_up(self.weight)
        return to_layout(self.weight[..., : self.embedding_dim], layout)

    def add_classes(
        self,
        new: int | Tensor,
        *,
        margins: Sequence[float] | Tensor | None = None,
        optimiser: Optimizer | None = None,
    ) -> range:
        """Let `new` classes in, between two steps; the range of their labels.

        `head.weight` becomes another parameter, of the same dtype and device and without a gradient:
        the optimiser must step that one from now on. Give the optimiser and it does, with a momentum
        (and whatever else it keeps of the weight's shape) of 0 for the new rows; or make a new one.
        Wrap the head for several processes afterwards. Running statistics stay as they are, as does a
        scale that was chosen for the old number of classes (`FixedAdaCos`).

        Args:
            new: how many, drawn as at the start; or their weights (n, D), (n, K, D) with sub-centres,
                for instance mean embeddings of new people. They are taken as they are: where ‖w‖
                counts, their lengths do. A bias is 0 unless it is their last column.
            margins: m of each new class, for a margin that has one for each (`PerClass`).
            optimiser: the one that steps the weight.

        Raises:
            ValueError: rows, margins or an optimiser that do not fit, a kernel that steps the weight
                itself, or a head that holds only a part of the classes; nothing has changed by then.
        """
        return add_classes(self, new, margins, optimiser)

    def remove_classes(
        self, labels: Tensor | Iterable[int], *, optimiser: Optimizer | None = None
    ) -> Tensor:
        """Drop classes, between two steps; what their labels become, (C,) int64, -1 for those gone.

        The others keep their order: train on with `new = mapping[labels]`. `head.weight` becomes
        another parameter, as in `add_classes`, and an optimiser that is given follows.

        Args:
            labels: the classes to drop, each once.
            optimiser: the one that steps the weight.

        Raises:
            ValueError: labels that are no classes or come twice, too few classes left, an optimiser
                that does not fit, a kernel that steps the weight itself, or a head that holds only a
                part of the classes; nothing has changed by then.
        """
        return remove_classes(self, labels, optimiser)

    @classmethod
    def from_weights(
        cls,
        weight: Tensor,
        margin: Margin | str,
        *,
        layout: Layout = "CD",
        centers: int | None = None,
        scale: float | None = None,
        bias: Tensor | None = None,
        kernel: Kernel | Literal["auto"] = "auto",
    ) -> Self:
        """A head of a class matrix from elsewhere, which is copied; its dtype and device are kept.

        Args:
            weight: (C, D), or (D, C) for the layout "DC"; with sub-centres (C K, D), (D, C K) or our
                own (C, K, D). `layouts.Layout` says which library has which.
            margin: as in the constructor; other libraries may count angles in degrees.
            layout: which way the matrix lies.
            centers: K; that of (C, K, D), or else the margin's, if not given.
            scale: s; the paper's if not given.
            bias: (C,), where the margin's formula has it, like that of `nn.Linear`.
            kernel: how the class axis is summed.

        Raises:
            ValueError: a matrix, layout, bias, or number that does not fit.

        >>> linear = nn.Linear(4, 3)
        >>> MarginHead.from_weights(linear.weight, "softmax", bias=linear.bias)
        MarginHead(4, 3, Softmax(), scale=1, bias=True)
        """
        spec = _spec(margin, scale, centers)
        k = spec.margin.centers if spec.centers is None else spec.centers
        if spec.centers is None and getattr(weight, "ndim", 2) == 3:
            k = weight.shape[1]
        rows = from_layout(weight, layout, check_centers(k))
        head = cls(
            rows.shape[-1],
            len(rows),
            spec.margin,
            scale=spec.scale,
            centers=k,
            bias=bias is not None,
            kernel=kernel,
        ).to(rows.device)
        if bias is not None:
            rows = torch.cat([rows, check_bias(bias, rows)[:, None]], 1)
        head.weight = nn.Parameter(rows)
        return head

    def extra_repr(self) -> str:
        centers = f", centers={self.weight.shape[1]}" if self.weight.ndim == 3 else ""
        bias = ", bias=True" if self.weight.shape[-1] > self.embedding_dim else ""
        kernel = "" if self.kernel == Auto() else f", kernel={self.kernel!r}"
        scale = "" if self.margin.chooses_scale else f", scale={self.geometry.scale:g}"
        rate = "" if self.sample_rate is None else f", sample_rate={self.sample_rate:g}"
        shard = f", shard={self.shard!r}" if self._is_part else ""
        return (
            f"{self.embedding_dim}, {self.num_classes}, {self.margin!r}"
            f"{scale}{centers}{bias}{kernel}{rate}{shard}"
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
        weights = check_sample_weight(sample_weight, e)
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
            kernel=self._summing(self.training),
            classes=self.shard,
            observe=self.training,
        )
        self._keep(found.target.state)
        losses = loss_of(found, self.margin)
        statistics = statistics_of(found, weights)
        if reduction == "none" and kept is not None:
            losses = losses.new_zeros(batch).index_put((kept,), losses)
            weights = (
                None if weights is None else weights.new_zeros(batch).index_put((kept,), weights)
            )
        return reduce(losses, weights, reduction), statistics

    @torch.no_grad()
    def draw(self, rows: Tensor) -> None:
        """Fill rows of weight as at the start, in place: about unit length, without a bias."""
        nn.init.normal_(rows, std=self.embedding_dim**-0.5)
        rows[..., self.embedding_dim :] = 0

    def _summing(self, training: bool) -> Kernel:
        """The kernel of a pass in this mode."""
        if self.sample_rate is None or not training:
            return self.kernel
        return Sampled(self.sample_rate, self.kernel, self.shard.start, self.num_classes)

    @property
    def _is_part(self) -> bool:
        return type(self.shard) is not Here

    def refuse_part(self, what: str) -> None:
        """Raise a ValueError where only a part of the classes is here."""
        if self._is_part:
            start = self.shard.start
            raise ValueError(
                f"{what}: expected a head with all of its {self.num_classes} classes, this one holds "
                f"those from {start} to {start + len(self.weight) - 1}; put the parts' weights "
                "together, in order, and give them to MarginHead.from_weights"
            )

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


def _spec(margin: Margin | str, scale: float | None, centers: int | None) -> HeadSpec:
    """A margin or its name, with what was asked for beside it."""
    if isinstance(margin, str):
        named = HeadSpec.parse(margin)
        margin = named.margin
        scale = _once("scale", "s", named.scale, scale)
        centers = _once("centers", "k", named.centers, centers)
    if not isinstance(margin, Margin):
        raise ValueError(
            f"margin: expected a margin like ArcFace(m=0.5), or its name, got {margin!r}"
        )
    if scale is not None and margin.chooses_scale:
        raise ValueError(f"{margin!r} chooses its own scale; leave out scale= and s=")
    return HeadSpec(margin, scale, centers)


def _kernel(kernel: object) -> Kernel:
    if kernel == "auto":
        return Auto()
    if not callable(kernel) or isinstance(kernel, type):
        raise ValueError(
            f"kernel: expected 'auto', dense, or one like Chunked('recompute'), got {kernel!r}"
        )
    return kernel


def _once(what: str, option: str, named: T | None, given: T | None) -> T | None:
    if named is not None and given is not None:
        raise ValueError(f"{what} given twice: {option}={named} in the name and {what}={given}")
    return given if named is None else named
