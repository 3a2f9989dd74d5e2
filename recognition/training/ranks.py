"""This process among those that train together: its part of batches and classes, and what they agree on.

Every process sees the same numbers of the same global batch, so all take the same decisions. Where
one alone can know something (a picture that was broken, a validation), it is told.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """One of `world` processes; alone by default.

    Attributes:
        rank: of this process, 0 <= rank < world.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks for all."""
        return self.rank == 0

    def part(self, size: int) -> slice:
        """This process's rows of `size`: in the order of the ranks, one more in the first of them.

        >>> [Ranks(rank, 3).part(8) for rank in range(3)]
        [slice(0, 3, None), slice(3, 6, None), slice(6, 8, None)]
        """
        each, more = divmod(size, self.world)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def any(self, flag: bool, device: torch.device | str = "cpu") -> bool:
        """Whether it is so on any process."""
        if self.world == 1:
            return flag
        found = torch.tensor(int(flag), device=device)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found)

    def told(self, value: T) -> T:
        """What the first process has."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, 0)
        return box[0]

    def every(self, value: T) -> list[T]:
        """What each process has, by rank."""
        if self.world == 1:
            return [value]
        found: list[T | None] = [None] * self.world
        dist.all_gather_object(found, value)
        return found  # type: ignore[return-value]

    def gathered(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        """The rows of all processes, one after the other by rank; on the first process alone.

        Args:
            rows: this process's, (sizes[rank], ...).
            sizes: how many each has.

        Returns:
            (Σ sizes, ...) on the CPU; on the others what they gave.
        """
        if self.world == 1:
            return rows
        if not self.first:
            dist.send(rows.contiguous(), 0)
            return rows
        whole = torch.empty(sum(sizes), *rows.shape[1:], dtype=rows.dtype)
        whole[: sizes[0]] = rows
        start = sizes[0]
        for rank, size in enumerate(sizes[1:], 1):
            part = torch.empty(size, *rows.shape[1:], dtype=rows.dtype, device=rows.device)
            dist.recv(part, rank)
            whole[start : start + size] = part
            start += size
        return whole

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()


ALONE = Ranks()


def is_first() -> bool:
    """Whether this process is the only one, or the first that torchrun began."""
    return os.environ.get("RANK", "0") == "0"
