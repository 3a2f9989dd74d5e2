"""The plain logits of a geometry, and the row of the weight that stands for the own class."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from margin_losses.embedding import normalize
from margin_losses.margin import Geometry


@dataclass(frozen=True)
class Logits:
    """The logits of the classes that are not the sample's own: z_j = scale · f(⟨x, w_j⟩).

    `x` comes as the geometry wants it, unit or plain; the weight comes as it is stored.

    Attributes:
        geometry: what is unit length, and the scale.
        transform: f, what a margin makes of the other classes' cosines, (B, c) -> (B, c),
            elementwise in the second axis; the identity if not given.
    """

    geometry: Geometry
    transform: Callable[[Tensor], Tensor] | None = None

    def products(self, x: Tensor, weight: Tensor) -> Tensor:
        """⟨x, w_j⟩ with the nearest sub-centre of each class: (B, D), (C, [K,] D) -> (B, C).

        Autocast multiplies cosines in half precision; other products could overflow in float16.
        """
        weight = weight.to(x.dtype)
        if self.geometry.unit_weight:
            weight = normalize(weight)[0]
        flat = weight.flatten(0, -2)
        if self.geometry.is_cosine:
            found = F.linear(x, flat).to(x.dtype)
        else:
            with torch.autocast(x.device.type, enabled=False):
                found = F.linear(x, flat)
        return pool(found, 1 if weight.ndim == 2 else weight.shape[1])

    def scaled(self, products: Tensor) -> Tensor:
        """Logits of products, (B, c) -> (B, c)."""
        kept = products if self.transform is None else self.transform(products)
        return self.geometry.scale * kept

    def __call__(self, x: Tensor, weight: Tensor) -> Tensor:
        """(B, D), (C, [K,] D) -> (B, C)."""
        return self.scaled(self.products(x, weight))


def pool(products: Tensor, centers: int) -> Tensor:
    """The largest product of each class: (B, C K) -> (B, C); at a tie the first centre has it."""
    if centers == 1:
        return products
    return products.view(len(products), products.shape[1] // centers, centers).max(-1).values


@torch.no_grad()
def own_rows(x: Tensor, weight: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Where the own class is in the weight flattened to rows, (B,), and whether it is here, (B,).

    With sub-centres it is the nearest of them. Rows outside the weight are not here.
    """
    here = (rows >= 0) & (rows < len(weight))
    rows = rows.where(here, 0)
    if weight.ndim == 2 or not len(weight):
        return rows, here
    centers = normalize(weight[rows].to(x.dtype))[0]  # (B, K, D)
    nearest = (centers @ x[:, :, None]).squeeze(-1).argmax(-1)
    return rows * weight.shape[1] + nearest, here


def gather_own(x: Tensor, weight: Tensor, rows: Tensor) -> Tensor:
    """The own classes' rows as `x` has its dtype, (B, D); 0 where `rows` is outside the weight."""
    if not len(weight):
        return torch.zeros_like(x)
    index, here = own_rows(x, weight, rows)
    own = weight.flatten(0, -2)[index].to(x.dtype)
    return torch.where(here[:, None], own, 0)
