"""Class matrices as other libraries lay them out."""

from typing import Literal, get_args

import torch
from torch import Tensor

Layout = Literal["CD", "DC"]
"""Which way a class matrix lies.

* `CD`: a class is a row, as here, in `nn.Linear`, insightface, opensphere, open-metric-learning.
* `DC`: a class is a column, as in pytorch-metric-learning, AdaFace, CurricularFace, MagFace.

The K sub-centres of a class are neighbours: rows c K to c K + K - 1 of (C K, D), as insightface's
MXNet code has them, or those columns of (D, C K), as pytorch-metric-learning.
"""


def from_layout(weight: Tensor, layout: Layout, centers: int) -> Tensor:
    """A class matrix as a head keeps it, (C, D), or (C, K, D) for K > 1; a copy.

    Args:
        weight: (C K, D) or (C, K, D) for "CD", (D, C K) for "DC".
        layout: which way it lies.
        centers: K.

    Raises:
        ValueError: not a finite matrix of a floating dtype, or not K sub-centres a class.
    """
    _check_layout(layout)
    _check_floats(weight, "weight")
    shapes = "(C K, D) or (C, K, D)" if layout == "CD" else "(D, C K)"
    if weight.ndim not in ((2, 3) if layout == "CD" else (2,)) or 0 in weight.shape:
        raise ValueError(
            f"weight: layout {layout!r} is {shapes} with nothing empty, got {tuple(weight.shape)}"
        )
    rows = weight.detach().t() if layout == "DC" else weight.detach()
    whole = len(rows) % centers == 0 if rows.ndim == 2 else rows.shape[1] == centers
    if not whole:
        raise ValueError(
            f"weight: layout {layout!r} is {shapes}, and {tuple(weight.shape)} does not hold "
            f"K = {centers} sub-centres a class; centers= says how many there are"
        )
    rows = rows.reshape(-1, centers, rows.shape[-1])
    # a column of (D, C) must not stay strided in the copy
    return rows.squeeze(1).clone(memory_format=torch.contiguous_format)


def to_layout(weight: Tensor, layout: Layout) -> Tensor:
    """A head's (C, D) or (C, K, D) as (C K, D), "CD", or (D, C K), "DC"; a copy."""
    _check_layout(layout)
    rows = weight.detach().flatten(0, -2)
    rows = rows.t() if layout == "DC" else rows
    return rows.clone(memory_format=torch.contiguous_format)


def check_bias(bias: Tensor, rows: Tensor) -> Tensor:
    """One number per class, (C,), in the dtype of the rows.

    Raises:
        ValueError: it is not.
    """
    _check_floats(bias, "bias")
    if bias.shape != rows.shape[:1]:
        raise ValueError(
            f"bias: expected one number per class, ({len(rows)},), got {tuple(bias.shape)}"
        )
    return bias.detach().to(rows)


def _check_layout(layout: Layout) -> None:
    if layout not in get_args(Layout):
        raise ValueError(
            f"layout: expected 'CD' (a class is a row) or 'DC' (a class is a column), got {layout!r}"
        )


def _check_floats(value: Tensor, what: str) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"{what}: expected a torch tensor, got {type(value).__name__}")
    if not value.is_floating_point():
        raise ValueError(f"{what}: expected a floating dtype, got {value.dtype}; call .float()")
    if not value.isfinite().all():
        raise ValueError(f"{what}: expected finite numbers, got NaN or infinity")
