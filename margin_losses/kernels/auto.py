"""The kernel for a size, by rules that give the same answer every time."""

from dataclasses import dataclass

import torch
from torch import Tensor

from margin_losses.kernels.chunked import Chunked, Policy, Update
from margin_losses.kernels.dense import Kernel, Sums, dense
from margin_losses.kernels.routines import choose_routine
from margin_losses.logits import Logits
from margin_losses.margin import is_whole

DENSE_UP_TO = 1024  # rows of the weight: beyond, chunks are faster, and by more and more
TILE = 2**22  # bytes of one chunk's logits, so that they stay in the processor's cache
SHORTEST, LONGEST = 1024, 8192


@dataclass(frozen=True)
class Auto:
    """`dense` for up to 1,024 classes, `Chunked` beyond: `store` within a budget, else `recompute`.

    The choice depends on the sizes, the dtype, the processor's model and the budget, never on a
    timing or on the memory that happens to be free: the same run makes the same sums again.
    `choose` tells it, and what it tells can be given to a head in place of "auto".

    Args:
        budget: bytes that stored terms may take, 2 for each of the (B, C) logits; if not given, as
            many as the weight itself takes, so that they fit whenever B <= 2 D.
        update: takes the weight's gradient chunk by chunk, and rules `dense` out; see `FusedSGD`.
    """

    budget: int | None = None
    update: Update | None = None

    def __post_init__(self) -> None:
        if self.budget is not None and (not is_whole(self.budget) or self.budget < 0):
            raise ValueError(
                f"Auto: expected a budget in bytes, a whole number >= 0, got {self.budget!r}"
            )

    def choose(self, x: Tensor, weight: Tensor) -> Kernel:
        """The kernel for these (B, D) and (C, [K,] D).

        >>> Auto().choose(torch.empty(128, 512), torch.empty(100_000, 512))  # doctest: +SKIP
        Chunked(policy='store', size=7693, routine='mm', update=None)
        """
        rows = weight.shape[:-1].numel()
        if rows <= DENSE_UP_TO and self.update is None:
            return dense
        batch = max(len(x), 1)
        size = TILE // (4 * batch)
        size = min(max(size, SHORTEST), LONGEST)
        size = -(-rows // -(-rows // size))  # as many chunks, and none of them short
        budget = weight.nbytes if self.budget is None else self.budget
        bytes_each = 8 if x.dtype == torch.float64 else 2
        policy: Policy = "store" if batch * rows * bytes_each <= budget else "recompute"
        routine = choose_routine(x.device, x.dtype)
        return Chunked(policy, size, routine, self.update)

    def __call__(self, x: Tensor, weight: Tensor, rows: Tensor, logits: Logits) -> Sums:
        """As `Kernel` says."""
        return self.choose(x, weight)(x, weight, rows, logits)
