"""Where the class axis is: all of it here, or a part of it on every process of a group."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from margin_losses.kernels import Sums
from margin_losses.margin import State, is_whole

if TYPE_CHECKING:  # a torch built without it can do all else
    from torch.distributed import ProcessGroup

Part = tuple[int, int]


class Here:
    """The whole class axis is in this process: nothing to exchange."""

    start: int = 0

    def size(self, num_classes: int) -> int:
        """How many of the classes are here."""
        return num_classes

    def spread(self, x: Tensor) -> Tensor:
        """The factor (B, D) as it goes into the kernel of each part."""
        return x

    def own(self, own: Tensor) -> Tensor:
        """The own classes' rows (B, D) from those of each part, 0 where they are elsewhere."""
        return own

    def combine(self, sums: Sums) -> Sums:
        """The sums over the whole axis from those over each part."""
        return sums

    def agree(self, state: State, old: State) -> State:
        """One state for all parts, where each might have drawn its own; `old` was one before."""
        return state


HERE = Here()


@dataclass(frozen=True)
class Shard(Here):
    """Classes start, ..., stop - 1 are here, the others on the other processes of the group.

    Every process has the whole batch (see `gather_batch`), makes its own `Shard` at the same time
    as the others, and runs the same heads in the same order: each forward and backward pass is a
    few exchanges of (B,) and (B, D) numbers, and a process that leaves one out stops the others.
    The loss and the gradient of the embeddings are then those of the whole axis, on every process;
    the gradient of the weight is that of the rows here, and must not be averaged over the group.
    A part may be empty. First derivatives only.

    A copy shares the group. One with the default group can be pickled, for a process that has the
    same part; other groups have no meaning outside their process, and pickling them is a TypeError.

    Attributes:
        start: first class here.
        stop: one past the last class here; `start` for an empty part.
        group: who has the parts; the default group if None.
        parts: (start, stop) of each process of the group, by rank.

    Raises:
        ValueError: there is no such group, this process is not in it, or the parts leave out a class
            or have it twice; the last is raised on every process alike.
    """

    start: int = field()  # without field() the class attribute of Here would be its default
    stop: int
    group: "ProcessGroup | None" = field(default=None, repr=False)
    parts: tuple[Part, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _rank(self.group)
        parts: list[Any] = [None] * dist.get_world_size(self.group)
        # checked after the exchange: if one process refused before it, the others would wait
        dist.all_gather_object(parts, (self.start, self.stop), self.group)
        if not _covers(parts):
            raise ValueError(
                "Shard: expected parts [start, stop) that have every class from 0 on exactly once, "
                f"got {_shown(parts)}; Shard.even(num_classes) makes such parts"
            )
        object.__setattr__(self, "parts", tuple(parts))

    @classmethod
    def even(cls, num_classes: int, group: "ProcessGroup | None" = None) -> "Shard":
        """Parts in the order of the ranks, of equal size or one more in the first of them."""
        rank, ranks = _rank(group), dist.get_world_size(group)
        size, more = divmod(num_classes, ranks)
        start = rank * size + min(rank, more)
        return cls(start, start + size + (rank < more), group)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Shard":
        return self

    def __getstate__(self) -> dict[str, Any]:
        if self.group is not None:
            raise TypeError(
                "Shard: a process group cannot be pickled; save the head's state_dict, "
                "or give no group, which is the default one"
            )
        return vars(self)

    def size(self, num_classes: int) -> int:
        """How many of the classes are here.

        Raises:
            ValueError: the parts are those of another number of classes.
        """
        covered = max(stop for start, stop in self.parts if start < stop)
        if covered != num_classes:
            raise ValueError(
                f"Shard: expected parts of {num_classes} classes, got {covered} in all: "
                f"{_shown(self.parts)}"
            )
        return self.stop - self.start

    def spread(self, x: Tensor) -> Tensor:
        """The factor (B, D) as it is; its gradient is the sum of what each part makes of it."""
        return _Spread.apply(x, self.group)  # type: ignore[no-untyped-call, no-any-return]

    def own(self, own: Tensor) -> Tensor:
        """The own classes' rows (B, D): the sum, since all parts but one have 0."""
        return _Collect.apply(own, self.group)  # type: ignore[no-untyped-call, no-any-return]

    def combine(self, sums: Sums) -> Sums:
        """The logsumexp and the maximum over all parts; `own` stays that of this part."""
        peaks = torch.stack([sums.negative.detach(), sums.top])
        dist.all_reduce(peaks, dist.ReduceOp.MAX, self.group)
        peak, top = peaks
        peak = torch.where(peak == -torch.inf, 0, peak)
        total = _Collect.apply((sums.negative - peak).exp(), self.group)  # type: ignore[no-untyped-call]
        nothing = total == 0
        negative = torch.where(nothing, -torch.inf, torch.where(nothing, 1, total).log() + peak)
        return Sums(negative, sums.own, top)

    def agree(self, state: State, old: State) -> State:
        """The state of the group's first process, as far as it is not the old one."""
        group = dist.group.WORLD if self.group is None else self.group
        first = dist.get_global_rank(group, 0)  # type: ignore[arg-type]
        agreed = dict(state)
        for name in sorted(state):
            if state[name] is not old.get(name):
                agreed[name] = _own_copy(state[name])
                dist.broadcast(agreed[name], first, self.group)
        return agreed


def gather_batch(
    x: Tensor, labels: Tensor, group: "ProcessGroup | None" = None, *, averaged: bool = False
) -> tuple[Tensor, Tensor]:
    """The batches of all processes, one after the other by rank: (b, D), (b,) -> (B, D), (B,).

    They may differ in size, and be empty. Each process gets the gradient of its own rows, without
    an exchange: behind a `Shard` it is complete on every process. The loss is that of the whole
    batch, so the gradients of the network's parameters add up over the group.

    Args:
        x: this process's embeddings.
        labels: their classes.
        group: whose batches; the default group if None.
        averaged: the parameters' gradients are averaged afterwards instead, as by
            DistributedDataParallel; the gradient of `x` is multiplied by the number of processes to
            make up for it.

    Raises:
        ValueError: there is no such group, or this process is not in it.
    """
    rank, ranks = _rank(group), dist.get_world_size(group)
    sizes = _gather(torch.tensor([len(x)], device=x.device), [1] * ranks, group).tolist()
    factor = ranks if averaged else 1
    rows = _GatherRows.apply(x, sizes, rank, factor, group)  # type: ignore[no-untyped-call]
    return rows, _gather(labels, sizes, group)


class _Spread(torch.autograd.Function):
    """Forward the same numbers, backward the sum over the group."""

    @staticmethod
    def forward(x: Tensor, group: "ProcessGroup | None") -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Any], output: Tensor) -> None:
        ctx.group = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        _refuse_second_derivative()
        return _sum(gradient, ctx.group), None


class _Collect(torch.autograd.Function):
    """Forward the sum over the group, backward the same numbers.

    What follows is computed alike on every process, so each has the whole gradient already: summing
    it would count the loss once for each process.
    """

    @staticmethod
    def forward(x: Tensor, group: "ProcessGroup | None") -> Tensor:
        return _sum(x, group)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Any], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        _refuse_second_derivative()
        return gradient, None


class _GatherRows(torch.autograd.Function):
    """Forward the rows of every process, backward those of this one."""

    @staticmethod
    def forward(
        x: Tensor, sizes: list[int], rank: int, factor: int, group: "ProcessGroup | None"
    ) -> Tensor:
        return _gather(x, sizes, group)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, sizes, rank, ctx.factor, _ = inputs
        start = sum(sizes[:rank])
        ctx.rows = slice(start, start + sizes[rank])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_second_derivative()
        return ctx.factor * gradient[ctx.rows], None, None, None, None


def _refuse_second_derivative() -> None:
    # once_differentiable is not enough: torch.autograd.grad walks around the error it plants
    if torch.is_grad_enabled():
        raise NotImplementedError(
            "a class axis on several processes has first derivatives only; leave out "
            "create_graph=True, or keep all classes in one process"
        )


def _own_copy(x: Tensor) -> Tensor:
    """What a collective may write into: contiguous, and nobody else's."""
    return x.clone(memory_format=torch.contiguous_format)


def _sum(x: Tensor, group: "ProcessGroup | None") -> Tensor:
    total = _own_copy(x)
    dist.all_reduce(total, group=group)
    return total


def _gather(x: Tensor, sizes: list[int], group: "ProcessGroup | None") -> Tensor:
    """The rows of all processes, (n, ...) -> (Σ sizes, ...), padded on the way to one size."""
    padded = x.new_zeros(max(sizes), *x.shape[1:])
    padded[: len(x)] = x
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded, group)
    return torch.cat([part[:n] for part, n in zip(parts, sizes, strict=True)])


def _rank(group: "ProcessGroup | None") -> int:
    if not (dist.is_available() and dist.is_initialized()):
        raise ValueError(
            "Shard: expected a process group, got none; call "
            "torch.distributed.init_process_group first, or keep all classes in one process"
        )
    rank = dist.get_rank(group)
    if rank < 0:
        raise ValueError(
            f"Shard: expected a group that this process is in, got one without rank "
            f"{dist.get_rank()}; make the head on the processes of the group alone"
        )
    return rank


def _covers(parts: Sequence[tuple[Any, Any]]) -> bool:
    """Whether each class from 0 on is in one part, and there is one."""
    if not all(is_whole(start) and is_whole(stop) and 0 <= start <= stop for start, stop in parts):
        return False
    held = sorted((start, stop) for start, stop in parts if start < stop)
    stops = [stop for _, stop in held]
    return [start for start, _ in held] == [0, *stops[:-1]]


def _shown(parts: Sequence[tuple[Any, Any]]) -> str:
    return ", ".join(f"rank {i}: [{start}, {stop})" for i, (start, stop) in enumerate(parts))
