"""The class axis cut into chunks, and the logits of one chunk, in memory that is used again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from margin_losses.embedding import normalize
from margin_losses.kernels.routines import Routine, add_product, multiply
from margin_losses.logits import Logits, pool

# lengths whose squares, and whose products with a gradient, are well inside float32
LOW, HIGH = 1e-10, 1e10
PROJECTED = 512  # rows at a time: they are still in a core's cache when they are read again


@dataclass(frozen=True)
class Task:
    """How the chunks are to be multiplied.

    Attributes:
        logits: of the classes that are not the sample's own.
        size: rows of the flattened weight to a chunk.
        routine: what multiplies.
        half: the products of the gradients may be in bfloat16.
    """

    logits: Logits
    size: int
    routine: Routine
    half: bool


class Products:
    """Products of matrices for one axis, in memory that is used again."""

    def __init__(self, task: Task, x: Tensor, rows: int) -> None:
        self.routine, self.half = task.routine, task.half
        batch, dim = x.shape
        if task.half:
            narrow = x.new_empty(0, dtype=torch.bfloat16)
            self.slopes, self.x = narrow.new_empty(rows, batch), narrow.new_empty(batch, dim)
            self.weight, self.found = (narrow.new_empty(rows, dim) for _ in range(2))

    def logits(self, weight: Tensor, x: Tensor, out: Tensor) -> Tensor:
        """⟨w_j, x_i⟩, (c K, D), (B, D) -> (c K, B), into `out`."""
        return multiply(weight, x.t(), out, self.routine)

    def of_rows(self, slopes: Tensor, x: Tensor, out: Tensor) -> None:
        """The gradient of rows: (c K, B), (B, D) -> (c K, D), into `out`."""
        if not self.half:
            multiply(slopes, x, out, self.routine)
            return
        left, found = self.slopes[: len(slopes)], self.found[: len(slopes)]
        out.copy_(torch.mm(left.copy_(slopes), self.x.copy_(x), out=found))

    def add_of_x(self, total: Tensor, slopes: Tensor, weight: Tensor) -> None:
        """The gradient of x, added: (B, D) += (c K, B)ᵀ (c K, D)."""
        if not self.half:
            add_product(total, slopes.t(), weight, self.routine)
            return
        left, right = self.slopes[: len(slopes)], self.weight[: len(slopes)]
        total.add_(left.copy_(slopes).t() @ right.copy_(weight))


class Chunk(NamedTuple):
    """Some classes.

    Attributes:
        number: which chunk it is.
        start: its first row in the flattened weight.
        stop: behind its last row.
        weight: (c K, D) in the dtype of x, as it is stored; unit rows if they are `extreme`.
        inverse: (c K, 1) 1/‖w‖, where the weight should be of unit length and is not; or None.
        extreme: some rows are so long or short, or 0, that they were normalised with care.
        samples: the rows of the batch whose own class is here.
        columns: which of these classes it is.
    """

    number: int
    start: int
    stop: int
    weight: Tensor
    inverse: Tensor | None
    extreme: bool
    samples: Tensor
    columns: Tensor


class Values(NamedTuple):
    """The logits of a batch to a chunk, none of them hidden.

    Attributes:
        z: (B, c).
        plain: (B, c) before the margin changed them; the same tensor as `z` where it did not.
        back: turns a gradient of `z` (B, c), which it may overwrite, into one of the products with
            the chunk's weight as it is stored, (B, c K).
    """

    z: Tensor
    plain: Tensor
    back: Callable[[Tensor], Tensor]


class Axis:
    """The class axis as chunks, for one batch. Everything here is without autograd."""

    def __init__(
        self, x: Tensor, weight: Tensor, rows: Tensor, norms: Tensor | None, task: Task
    ) -> None:
        self.x, self.weight, self.task = x, weight, task
        self.classes = len(weight)
        self.centers = weight.shape[1] if weight.ndim == 3 else 1
        self.flat = weight.detach().flatten(0, -2)
        self.step = max(1, task.size // self.centers)  # classes
        self.norms = self._lengths() if norms is None else norms
        self.order = rows.argsort()
        self.sorted = rows[self.order]
        edges = torch.arange(0, self.classes + self.step, self.step, device=rows.device)
        self.bounds: list[int] = torch.searchsorted(self.sorted, edges).tolist()
        usual = (self.norms > LOW) & (self.norms < HIGH)
        parts = torch.split(usual, self.step * self.centers) if len(usual) else ()
        self.usual: list[bool] = torch.stack([p.all() for p in parts]).tolist() if parts else []
        self.room = x.new_empty(self.most, len(x))
        self.products = Products(task, x, self.most)
        self.spare = x.new_empty(min(PROJECTED, self.most), x.shape[1])

    @property
    def count(self) -> int:
        """How many chunks there are."""
        return -(-self.classes // self.step)

    @property
    def most(self) -> int:
        """Rows of the largest chunk."""
        return min(self.step * self.centers, len(self.flat))

    @property
    def is_bounded(self) -> bool:
        """Sums over thousands of rows, as the chunks have them, stay inside the dtype's range."""
        return self.unit or bool((self.norms < HIGH).all())

    @property
    def unit(self) -> bool:
        """The class weights are to be of unit length."""
        return self.task.logits.geometry.unit_weight

    def _lengths(self) -> Tensor:
        wide = torch.promote_types(self.flat.dtype, torch.float32)
        parts = torch.split(self.flat, self.task.size)
        if not len(self.flat):
            return self.flat.new_empty(0, dtype=wide)
        return torch.cat([torch.linalg.vector_norm(part.to(wide), dim=1) for part in parts])

    def __iter__(self) -> Iterator[Chunk]:
        for number in range(self.count):
            first = number * self.step
            start, stop = first * self.centers, min(first + self.step, self.classes) * self.centers
            weight = self.flat[start:stop].to(self.x.dtype)
            extreme = self.unit and not self.usual[number]
            inverse = None
            if extreme:
                weight = normalize(weight)[0]
            elif self.unit:
                inverse = self.norms[start:stop, None].to(self.x.dtype).reciprocal()
            mine = slice(self.bounds[number], self.bounds[number + 1])
            samples, columns = self.order[mine], self.sorted[mine] - first
            yield Chunk(number, start, stop, weight, inverse, extreme, samples, columns)

    def values(self, chunk: Chunk) -> Values:
        """The logits of a chunk; they last until those of the next are asked for."""
        room = self.room[: len(chunk.weight)]
        products = self.products.logits(chunk.weight, self.x, room)
        logits, scale = self.task.logits, self.task.logits.geometry.scale
        if logits.transform is None and self.centers == 1:
            slope = scale if chunk.inverse is None else scale * chunk.inverse
            z = products.mul_(slope).t()
            return Values(z, z, lambda gradient: gradient.t().mul_(slope).t())
        if chunk.inverse is not None:
            products.mul_(chunk.inverse)
        with torch.enable_grad():
            leaf = products.t().requires_grad_()
            pooled = pool(leaf, self.centers)
            z = logits.scaled(pooled)

        def back(gradient: Tensor) -> Tensor:
            (found,) = torch.autograd.grad(z, leaf, gradient)
            return found if chunk.inverse is None else found * chunk.inverse.t()

        return Values(z.detach().clone(), scale * pooled.detach(), back)

    def rows_at(self, index: Tensor) -> Tensor:
        """Rows of the flattened weight in the dtype of x, (B, D); 0 where the index is negative."""
        if not len(self.flat):
            return torch.zeros_like(self.x)
        rows = self.flat[index.clamp(min=0)].to(self.x.dtype)
        return torch.where(index[:, None] >= 0, rows, 0)

    def to_stored_rows(self, chunk: Chunk, raw: Tensor) -> None:
        """Make a gradient of the chunk's weight one of the rows as they are stored, in place.

        Args:
            chunk: some classes.
            raw: (c K, D) the gradient where unit rows are divided by a constant length.
        """
        if chunk.extreme:
            with torch.enable_grad():
                stored = self.flat[chunk.start : chunk.stop].to(raw.dtype).requires_grad_()
                unit, _ = normalize(stored)
            raw.copy_(torch.autograd.grad(unit, stored, raw)[0])
        elif chunk.inverse is not None:
            parts = (torch.split(t, PROJECTED) for t in (raw, chunk.weight, chunk.inverse.square()))
            for part, weight, shrink in zip(*parts, strict=True):
                both = torch.mul(part, weight, out=self.spare[: len(part)])
                along = both.sum(1, keepdim=True).mul_(shrink)
                part.addcmul_(weight, along, value=-1)
