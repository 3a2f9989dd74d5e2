"""Some of the classes in place of all of them: Partial FC.

A draw takes one class from each of n strata of neighbours, on an axis turned by a random amount.
Strata share no class, so n different ones come out; and as every class is equally likely to be
anywhere in the strata, each comes out with the same probability n/C. The original shuffles the
whole axis (`rand`, `topk`, `sort`), several times the cost; here only a mask of one byte a class is
as long as the axis.
"""

from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from margin_losses.kernels.dense import Kernel, Sums, dense
from margin_losses.logits import Logits
from margin_losses.missed_steps import bring_up

MANY = 2**62  # so much larger than any stratum that a remainder is as good as uniform


@dataclass(frozen=True)
class Sampled:
    """Another kernel on the own classes of the batch and a random share of all classes.

    Every own class that is here is in it; the others are drawn as if there were none, so
    that they exclude nobody, and the sample grows where own classes were not drawn. The sums are
    those over the sample, not estimates of those over all classes: a sampled loss is smaller than
    the whole one, as in the paper.

    The weight's gradient is a sparse COO tensor of the sampled rows, sorted and each there once:
    no gradient of the weight's size exists. `RowSGD` and `torch.optim.SparseAdam` take
    it. `torch.nn.utils.clip_grad_norm_` does not: clip the network's gradients alone.

    Classes are drawn anew at every call, from torch's global generator on the weight's device:
    `torch.manual_seed` repeats them. A rate of 1 draws nothing and equals the inner kernel.

    Args:
        rate: share of the classes that is drawn, max(1, round(rate · C)) of them; the paper uses 0.1.
        kernel: what sums over them.
        start: first class of the weight where it is a part of the class axis.
        of: how many classes the whole axis has; the weight's if None. The sample is one of the
            whole axis, of which each part takes its own classes: parts whose generators are alike
            draw together what one process would have drawn.

    Raises:
        ValueError: a rate outside (0, 1], or a kernel that is none or updates the weight itself.

    An et al. 2022, "Killing Two Birds with One Stone: Efficient and Robust Training of Face
    Recognition CNNs by Partial FC", arXiv:2203.15565, section 3.

    >>> Sampled(0.1).count(100_000)
    10000
    """

    rate: float
    kernel: Kernel = dense
    start: int = 0
    of: int | None = None

    def __post_init__(self) -> None:
        if not _is_number(self.rate) or not 0 < self.rate <= 1:
            raise ValueError(
                f"Sampled: expected a rate 0 < rate <= 1, the share of the classes, got {self.rate!r}"
            )
        if not _is_function(self.kernel):
            raise ValueError(f"Sampled: expected a kernel like dense, got {self.kernel!r}")
        if getattr(self.kernel, "update", None) is not None:
            raise ValueError(
                "Sampled: the kernel's own update would take sampled rows for the first ones of the "
                "weight; leave out update= and step with RowSGD"
            )

    def count(self, num_classes: int) -> int:
        """How many classes are drawn of so many."""
        return max(1, round(self.rate * num_classes))

    def __call__(self, x: Tensor, weight: Tensor, rows: Tensor, logits: Logits) -> Sums:
        """As `Kernel` says."""
        whole = len(weight) if self.of is None else self.of
        drawn = draw(whole, self.count(whole), weight.device)
        index, rows = with_own(drawn - self.start, rows, len(weight))
        bring_up(weight, index)
        return self.kernel(x, gather_rows(weight, index), rows, logits)


def with_own(drawn: Tensor, rows: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """The classes drawn and all in `rows`, sorted, (c,); and where `rows` are in it, (B,).

    Classes and rows outside [0, num_classes) are nowhere, -1.
    """
    kept = torch.zeros(num_classes + 1, dtype=torch.bool, device=rows.device)
    here = (rows >= 0) & (rows < num_classes)
    rows = rows.where(here, num_classes)
    kept[drawn.where((drawn >= 0) & (drawn < num_classes), num_classes)] = True
    kept[rows] = True  # those elsewhere share the place past the end
    index = kept[:-1].nonzero().squeeze(1)
    return index, torch.searchsorted(index, rows).where(here, -1)


def draw(num_classes: int, count: int, device: torch.device) -> Tensor:
    """`count` <= `num_classes` different classes, (count,); each with the same probability."""
    if count >= num_classes:
        return torch.arange(num_classes, device=device)
    edges = torch.arange(count + 1, device=device) * num_classes // count
    within = torch.randint(MANY, (count,), device=device) % edges.diff()
    turn = torch.randint(num_classes, (1,), device=device)
    return (edges[:-1] + within + turn) % num_classes


def gather_rows(weight: Tensor, index: Tensor) -> Tensor:
    """weight[index] for sorted, different rows; the gradient is sparse: (C, ...) -> (c, ...)."""
    return _GatherRows.apply(weight, index)  # type: ignore[no-untyped-call, no-any-return]


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(weight: Tensor, index: Tensor) -> Tensor:
        return weight.index_select(0, index)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        weight, index = inputs
        ctx.shape = weight.shape
        ctx.save_for_backward(index)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        sparse = torch.sparse_coo_tensor(
            index[None], gradient, ctx.shape, is_coalesced=True, check_invariants=False
        )
        return sparse, None


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_function(value: object) -> bool:
    return callable(value) and not isinstance(value, type)
