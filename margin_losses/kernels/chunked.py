"""The class axis in chunks: never (B, C), never a normalised copy of the weight.

A forward pass sums e^{z_ij} over the negatives. Either it keeps the sum alone, and the backward
pass makes the logits of every chunk once more: four products of matrices where three would do
(`recompute`). Or it keeps every e^{z_ij - m_i}, with m_i the largest logit of the row so far, in
bfloat16, and multiplies it by the weight at once: three products (`store`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from margin_losses.embedding import clip
from margin_losses.kernels.axis import Axis, Chunk, Task
from margin_losses.kernels.dense import Sums
from margin_losses.kernels.memory import room_beside
from margin_losses.kernels.routines import Routine, multiplies_bfloat16
from margin_losses.logits import Logits, own_rows
from margin_losses.margin import is_whole

Policy = Literal["recompute", "store"]
Update = Callable[[int, int, Tensor], None]
"""Takes the gradient of rows start to stop of the flattened weight, (stop - start, D)."""


@dataclass(frozen=True)
class Chunked:
    """A kernel over chunks of classes, with its own backward pass.

    Equal to `dense` in value and gradient: to rounding with `recompute`; with `store` but for the
    weight's gradient, whose terms are rounded to bfloat16 once (about 3e-4 of it in all; nothing is
    rounded where x is float64). Under autocast the two products of the gradients are in bfloat16,
    if the processor has instructions for it; the logits stay in float32. It has no second
    derivative: take `dense` for that. A large weight keeps the memory of its last gradient for the
    next one.

    Args:
        policy: `recompute` needs memory for one chunk; `store` 2 bytes more for each logit.
        size: rows of the weight to a chunk.
        routine: what multiplies: `mm`, or `onednn` for CPUs on which that is faster.
        update: takes the weight's gradient chunk by chunk in place of autograd; see `FusedSGD`.
    """

    policy: Policy = "recompute"
    size: int = 4096
    routine: Routine = "mm"
    update: Update | None = None

    def __post_init__(self) -> None:
        for name, known in (("policy", ("recompute", "store")), ("routine", ("mm", "onednn"))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"Chunked: unknown {name} {getattr(self, name)!r}; known: {', '.join(known)}"
                )
        if not is_whole(self.size) or self.size < 1:
            raise ValueError(f"Chunked: expected a whole number size >= 1, got {self.size!r}")

    def __call__(self, x: Tensor, weight: Tensor, rows: Tensor, logits: Logits) -> Sums:
        """As `Kernel` says."""
        index, here = own_rows(x, weight, rows)
        half = (
            torch.is_autocast_enabled(x.device.type)
            and x.dtype == torch.float32
            and multiplies_bfloat16()
        )
        plan = _Plan(
            task=Task(logits, self.size, self.routine, half),
            store=self.policy == "store",
            wants_x=torch.is_grad_enabled() and x.requires_grad,
            wants_weight=torch.is_grad_enabled() and weight.requires_grad,
            update=self.update,
        )
        # an own class that is elsewhere sorts before all that are here
        rows, index = rows.where(here, -1), index.where(here, -1)
        found = _Chunked.apply(x, weight, rows, index, plan)  # type: ignore[no-untyped-call]
        return Sums(*found[:3])


@dataclass(frozen=True)
class _Plan:
    task: Task
    store: bool
    wants_x: bool
    wants_weight: bool
    update: Update | None


class _Kept(NamedTuple):
    """What a forward pass leaves to the backward pass; the last three are empty if it recomputes."""

    norms: Tensor  # (C K,) lengths of the weight's rows
    top: Tensor  # (B,) the largest logit of the negatives
    lean: Tensor  # (B, D) Σ e^{z - top} dz/d⟨x, w⟩ w over the negatives
    terms: Tensor  # (C K, B) its e^{z - shift} dz/d⟨x, w⟩
    shifts: Tensor  # (chunks, B) the largest logit up to and with each chunk


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, rows: Tensor, index: Tensor, plan: _Plan
    ) -> tuple[Tensor, ...]:
        """The fields of `Sums`, and those of `_Kept`."""
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            axis = Axis(x, weight, rows, None, plan.task)
            return (*_sum(axis, index, plan),)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, ctx.plan = inputs
        negative, _, plain_top, *kept = output
        ctx.mark_non_differentiable(plain_top, *kept)
        ctx.set_materialize_grads(False)  # the terms would get zeros of their size
        ctx.save_for_backward(*tensors, negative, *kept)

    @staticmethod
    def backward(
        ctx: Any, of_negative: Tensor | None, of_own: Tensor | None, *_: None
    ) -> tuple[Any, ...]:
        x, weight, rows, index, negative, *kept = ctx.saved_tensors
        of_negative = torch.zeros_like(negative) if of_negative is None else of_negative
        of_own = torch.zeros_like(x) if of_own is None else of_own
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            axis = Axis(x, weight, rows, kept[0], ctx.plan.task)
            found = _Back(axis, index, negative, _Kept(*kept), of_negative, of_own, ctx.plan)
            of_x, of_weight = found.gradients(weight)
        if torch.is_grad_enabled():  # the caller wants to differentiate once more
            roots = (x, weight, of_negative, of_own)
            of_x, of_weight = (_once(of, *roots) for of in (of_x, of_weight))
        return of_x, of_weight, None, None, None


def _sum(axis: Axis, index: Tensor, plan: _Plan) -> tuple[Tensor, ...]:
    x, batch = axis.x, len(axis.x)
    top = best = x.new_full((batch,), -torch.inf)
    total = x.new_zeros(batch)
    # a sum of rows near the end of the dtype's range could pass it
    store = plan.store and (plan.wants_x or plan.wants_weight) and axis.is_bounded
    kept = _Kept(
        norms=axis.norms,
        top=top,
        lean=torch.zeros_like(x) if store else x.new_empty(0),
        terms=_room_for_terms(axis) if store else x.new_empty(0),
        shifts=x.new_empty(axis.count if store else 0, batch),
    )
    for chunk in axis:
        values = axis.values(chunk)
        highest = _hide(values.z, chunk).amax(1)
        plain = highest if values.plain is values.z else _hide(values.plain, chunk).amax(1)
        best, higher = torch.maximum(best, plain), torch.maximum(top, highest)
        shift = higher.where(higher > -torch.inf, 0)
        shrink = (top - shift).exp()
        terms = values.z.sub_(shift[:, None]).exp_()
        total = total * shrink + terms.sum(1)
        top = higher
        if store:
            slopes = values.back(terms)
            kept.terms[chunk.start : chunk.stop] = slopes.t()
            kept.shifts[chunk.number] = shift
            kept.lean.mul_(shrink[:, None])
            if plan.wants_x:
                axis.products.add_of_x(kept.lean, slopes.t(), chunk.weight)
    negative = torch.where(total > 0, total.log() + top, -torch.inf)
    return negative, axis.rows_at(index), best, *kept._replace(top=top)


def _hide(z: Tensor, chunk: Chunk) -> Tensor:
    """Take the own classes out of the sum, in place."""
    z[chunk.samples, chunk.columns] = -torch.inf
    return z


def _room_for_terms(axis: Axis) -> Tensor:
    dtype = torch.float64 if axis.x.dtype == torch.float64 else torch.bfloat16
    like = axis.x.new_empty(0, dtype=dtype)
    return room_beside(axis.weight, "terms", len(axis.flat), (len(axis.x),), like)


@dataclass(frozen=True)
class _Back:
    """The gradients of one batch."""

    axis: Axis
    index: Tensor
    negative: Tensor
    kept: _Kept
    of_negative: Tensor
    of_own: Tensor
    plan: _Plan

    def gradients(self, weight: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Of x and of the weight; None for the weight where an update has taken it."""
        plan, axis = self.plan, self.axis
        stored = len(self.kept.shifts) > 0
        of_x = self._lean() if stored else torch.zeros_like(axis.x)
        direct = plan.update is None and weight.dtype == axis.x.dtype
        of_weight = None
        if plan.wants_weight and plan.update is None:
            of_weight = room_beside(weight, "gradient", len(weight), weight.shape[1:], weight)
        room = axis.x.new_empty(0 if direct else axis.most, axis.x.shape[1])
        for chunk in axis if plan.wants_weight or not stored else ():
            slopes, x = self._stored(chunk) if stored else self._again(chunk)
            if plan.wants_x and not stored:
                axis.products.add_of_x(of_x, slopes, chunk.weight)
            if not plan.wants_weight:
                continue
            rows = slice(chunk.start, chunk.stop)
            into = room[: len(chunk.weight)]
            if direct and of_weight is not None:
                into = of_weight.flatten(0, -2)[rows]
            self._of_rows(chunk, slopes, x, into)
            if plan.update is not None:
                plan.update(chunk.start, chunk.stop, into)
            elif not direct and of_weight is not None:
                of_weight.flatten(0, -2)[rows] = clip(into, weight.dtype).to(weight.dtype)
        return of_x if plan.wants_x else None, of_weight

    def _of_rows(self, chunk: Chunk, slopes: Tensor, x: Tensor, into: Tensor) -> None:
        self.axis.products.of_rows(slopes, x, into)
        self.axis.to_stored_rows(chunk, into)
        own = self.of_own[chunk.samples]
        into.index_add_(0, self.index[chunk.samples] - chunk.start, own)
        if not self.plan.task.logits.geometry.is_cosine:  # others are bounded
            into.copy_(clip(into, into.dtype))

    def _share(self, shift: Tensor) -> Tensor:
        """What e^{z - shift} is multiplied by, (B, 1)."""
        level = self.negative.where(self.negative > -torch.inf, 0)
        return (self.of_negative * (shift - level).exp())[:, None]

    def _lean(self) -> Tensor:
        top = self.kept.top
        return self.kept.lean * self._share(top.where(top > -torch.inf, 0))

    def _stored(self, chunk: Chunk) -> tuple[Tensor, Tensor]:
        """Factors of the rows' gradient: (c K, B) from memory, and (B, D)."""
        terms = self.kept.terms[chunk.start : chunk.stop]
        if not self.plan.task.half:
            terms = self.axis.room[: len(terms)].copy_(terms)
        return terms, self.axis.x * self._share(self.kept.shifts[chunk.number])

    def _again(self, chunk: Chunk) -> tuple[Tensor, Tensor]:
        """The same from logits that are made once more."""
        values = self.axis.values(chunk)
        _hide(values.z, chunk)
        level = self.negative.where(self.negative > -torch.inf, 0)
        shares = values.z.sub_(level[:, None]).exp_().mul_(self.of_negative[:, None])
        return values.back(shares).t(), self.axis.x


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(gradient: Tensor, *_: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor, ...]:
        raise RuntimeError(
            "Chunked has no second derivative; give the head kernel=dense to differentiate twice"
        )


def _once(gradient: Tensor | None, *roots: Tensor) -> Tensor | None:
    """The gradient, with an error in store for who differentiates it."""
    return None if gradient is None else _Once.apply(gradient, *roots)  # type: ignore[no-untyped-call]
