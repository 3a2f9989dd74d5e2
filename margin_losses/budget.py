"""What a training step of a head costs, before anything is bought: bytes, operations, seconds.

    step = HeadStep(10_000_000, batch=128, ranks=8)
    step.memory.total       # bytes on each process
    step.seconds(H100)      # of products, of memory, of calls, of the link

The network before the head is not in it. Bytes allocated and sent, and operations, are what the code
here does; tests count them. Seconds are those numbers divided by what a `Machine` is said to do.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Literal, NamedTuple

import torch

from margin_losses.kernels import Auto, Chunked
from margin_losses.kernels.axis import PROJECTED
from margin_losses.margin import is_whole

FLOAT, LONG = 4, 8  # bytes of an embedding's number, and of a label
LOGIT_BYTES = 64  # read and written of each logit, pass by pass over a tile: sixteen floats
# how often all touched rows are read or written: norms, products, gradient, and the step itself
FUSED_PASSES, SGD_PASSES, ROW_PASSES = 6, 15, 11
# calls of an operator: in any step, for each chunk, and for rows whose gradient is projected at a time
STEP_CALLS, CHUNK_CALLS, PROJECTION_CALLS = 300, 36, 8


@dataclass(frozen=True)
class Machine:
    """What one process computes with, a second: measured, or assumed.

    Attributes:
        products: floating point operations in products of matrices.
        bandwidth: bytes read from and written to memory.
        link: bytes sent to other processes.
        call: seconds until an operator has begun.
        latency: seconds until an exchange has.
        memory: bytes there are.
    """

    products: float
    bandwidth: float
    link: float = math.inf
    call: float = 0.0
    latency: float = 0.0
    memory: float = math.inf


class Memory(NamedTuple):
    """Bytes on each process.

    Attributes:
        weight: its rows.
        momentum: what the optimiser keeps of them.
        gradient: of the rows, and what the optimiser makes beside it; sampled rows are copies.
        logits: what is kept of (B, C) between forward and backward pass.
        work: one chunk, the lengths of the rows, and the batch's embeddings in all their forms.
    """

    weight: float
    momentum: float
    gradient: float
    logits: float
    work: float

    @property
    def total(self) -> float:
        """All of it at once."""
        return sum(self)


class Seconds(NamedTuple):
    """What a step waits for.

    Attributes:
        products: of matrices.
        memory: what is read and written besides.
        calls: of operators, which a GPU may hide behind the two above.
        link: what is sent.
    """

    products: float
    memory: float
    calls: float
    link: float

    @property
    def total(self) -> float:
        """If one comes after the other, as on a CPU."""
        return sum(self)

    @property
    def longest(self) -> float:
        """If all the others hide behind it: no step is shorter."""
        return max(self)


class Exchange(NamedTuple):
    """One collective of a step: all processes end with `nbytes` that were gathered or reduced."""

    kind: Literal["gather", "reduce"]
    what: str
    nbytes: int

    def sent(self, ranks: int) -> float:
        """Bytes that each process sends around a ring; a sum goes around twice."""
        return self.nbytes * (1 + (self.kind == "reduce")) * (ranks - 1) / ranks


@dataclass(frozen=True)
class HeadStep:
    """Forward, backward and SGD with momentum of a `MarginHead` whose classes are divided evenly.

    Args:
        classes: C of the whole axis.
        batch: embeddings of each process; every one sees those of all.
        dim: D.
        ranks: processes, with `Shard` and `gather_batch` where there are several.
        sample_rate: share of the classes that is drawn, with `RowSGD`; 1 for all.
        fused: all classes are stepped in the backward pass (`FusedSGD`), not by `torch.optim.SGD`.
        itemsize: bytes of a number of weight and momentum; 2 for bfloat16.
        slots: numbers that the optimiser keeps of each weight.
        kernel: what sums over the classes, or the rule that chooses it; a choice of `dense`, for a few
            classes, is counted as one chunk.

    Raises:
        ValueError: sizes or rates that make no sense.

    >>> HeadStep(1_000_000, batch=256).memory.weight
    2048000000.0
    """

    classes: int
    batch: int
    dim: int = 512
    ranks: int = 1
    sample_rate: float = field(default=1.0, kw_only=True)
    fused: bool = field(default=True, kw_only=True)
    itemsize: int = field(default=4, kw_only=True)
    slots: int = field(default=1, kw_only=True)
    kernel: Auto | Chunked = field(default=Auto(), kw_only=True)

    def __post_init__(self) -> None:
        for name in ("classes", "batch", "dim", "ranks"):
            size = getattr(self, name)
            if not is_whole(size) or size < 1:
                raise ValueError(f"HeadStep: {name}: expected a whole number >= 1, got {size!r}")
        if self.itemsize not in (2, 4):
            raise ValueError(
                f"HeadStep: itemsize: expected 2 or 4 bytes a number, got {self.itemsize!r}"
            )
        if not is_whole(self.slots) or self.slots < 0:
            raise ValueError(f"HeadStep: slots: expected a whole number >= 0, got {self.slots!r}")
        rate: object = self.sample_rate
        if not isinstance(rate, Real) or not 0 < float(rate) <= 1:
            raise ValueError(f"HeadStep: sample_rate: expected 0 < rate <= 1, got {rate!r}")

    @property
    def whole_batch(self) -> int:
        """B of all processes together."""
        return self.batch * self.ranks

    @property
    def rows(self) -> int:
        """Classes on the process that has most."""
        return -(-self.classes // self.ranks)

    @property
    def touched(self) -> int:
        """Of these, how many a step reads and writes."""
        return max(1, round(self.sample_rate * self.rows))

    @property
    def chosen(self) -> Chunked:
        """The kernel, by the rule if that is what was given."""
        if isinstance(self.kernel, Chunked):
            return self.kernel
        dtype = torch.bfloat16 if self.itemsize == 2 else torch.float32
        x = torch.empty(self.whole_batch, self.dim, device="meta")
        weight = torch.empty(self.touched, self.dim, dtype=dtype, device="meta")
        found = self.kernel.choose(x, weight)
        return found if isinstance(found, Chunked) else Chunked("store", self.touched)

    @property
    def memory(self) -> Memory:
        """Bytes at the highest point of a step."""
        row, batch, chosen = self.dim * self.itemsize, self.whole_batch, self.chosen
        weight = float(self.rows * row)
        # the gradient, and beside it its sum with the decay, or a copy of the rows that were drawn
        beside = 2.0 * self.touched * row
        store = chosen.policy == "store"
        chunk = min(chosen.size, self.touched)
        wide = (3 if self.itemsize == 2 else 2) * self.dim  # narrow rows are widened chunk by chunk
        return Memory(
            weight=weight,
            momentum=self.slots * weight,
            gradient=0.0 if self.fused and self.sample_rate == 1 else beside,
            logits=2.0 * batch * self.touched if store else 0.0,
            work=FLOAT * (self.touched + chunk * (2 * batch + wide) + 6.0 * batch * self.dim),
        )

    @property
    def operations(self) -> float:
        """Floating point operations of a process: three products of matrices, or four."""
        products = 3 if self.chosen.policy == "store" else 4
        return 2.0 * products * self.whole_batch * self.dim * self.touched

    @property
    def traffic(self) -> float:
        """Bytes that a process reads and writes: rows, logits, and what a draw looks at."""
        passes = FUSED_PASSES if self.fused else SGD_PASSES
        drawn = 0.0
        if self.sample_rate < 1:
            passes = ROW_PASSES
            drawn = LOGIT_BYTES * self.sample_rate * self.classes + self.rows
        rows = float(passes * self.touched * self.dim * self.itemsize)
        return rows + LOGIT_BYTES * self.whole_batch * self.touched + drawn

    @property
    def calls(self) -> float:
        """Operators that a process calls."""
        chunks = math.ceil(self.touched / self.chosen.size)
        return STEP_CALLS + CHUNK_CALLS * chunks + PROJECTION_CALLS * self.touched / PROJECTED

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """What the processes tell each other, in order; margins with statistics have a few more."""
        if self.ranks == 1:
            return ()
        batch = self.whole_batch
        embeddings = FLOAT * batch * self.dim
        return (
            Exchange("gather", "sizes of the batches", LONG * self.ranks),
            Exchange("gather", "embeddings", embeddings),
            Exchange("gather", "labels", LONG * batch),
            Exchange("reduce", "largest logits", 2 * FLOAT * batch),
            Exchange("reduce", "sums over the classes", FLOAT * batch),
            Exchange("reduce", "rows of the own classes", embeddings),
            Exchange("reduce", "gradient of the embeddings", embeddings),
        )

    @property
    def sent(self) -> float:
        """Bytes that a process sends."""
        return sum(exchange.sent(self.ranks) for exchange in self.exchanges)

    def seconds(self, machine: Machine) -> Seconds:
        """Of a step, where each process has such a machine."""
        return Seconds(
            products=self.operations / machine.products,
            memory=self.traffic / machine.bandwidth,
            calls=self.calls * machine.call,
            link=self.sent / machine.link + len(self.exchanges) * machine.latency,
        )


# Assumed, not measured: half of what NVIDIA's data sheet of the H100 SXM says (495 TFLOP/s in TF32
# without sparsity, 3.35 TB/s, 450 GB/s each way to the GPUs of the same computer), and usual launches.
H100 = Machine(
    products=0.5 * 495e12,
    bandwidth=0.5 * 3.35e12,
    link=0.5 * 450e9,
    call=5e-6,
    latency=3e-5,
    memory=80e9,
)
# the same, with 400 Gbit/s for each GPU to those of other computers
H100_APART = replace(H100, link=0.5 * 50e9, latency=1e-4)

Plans = Mapping[str, tuple[HeadStep, Machine]]
_keep, _again = Chunked("store", 16_384), Chunked("recompute", 16_384)  # Auto's are for CPU caches
PLANS: Plans = {
    "8 GPUs": (HeadStep(10_000_000, 128, ranks=8, kernel=_keep), H100),
    "8 GPUs, a tenth drawn": (
        HeadStep(10_000_000, 128, ranks=8, sample_rate=0.1, kernel=_keep),
        H100,
    ),
    "8 GPUs, logits made twice": (HeadStep(100_000_000, 128, ranks=8, kernel=_again), H100),
    "4 x 8 GPUs, logits made twice": (
        HeadStep(100_000_000, 128, ranks=32, kernel=_again),
        H100_APART,
    ),
    "4 x 8 GPUs, a tenth drawn": (
        HeadStep(100_000_000, 128, ranks=32, sample_rate=0.1, kernel=_keep),
        H100_APART,
    ),
}


def table(plans: Plans = PLANS) -> str:
    """The plans in Markdown; seconds from the longest part alone to the sum of all."""
    lines = [
        "| classes | on | GB each: weight + momentum, all | MB sent | s a step |",
        "|---|---|---|---|---|",
    ]
    for where, (step, machine) in plans.items():
        memory, seconds = step.memory, step.seconds(machine)
        kept, every = (memory.weight + memory.momentum) / 1e9, memory.total / 1e9
        lines.append(
            f"| {step.classes:,} | {where} | {kept:.1f}, {every:.1f} | {step.sent / 1e6:.0f} "
            f"| {seconds.longest:.2g} to {seconds.total:.2g} |"
        )
    return "\n".join(lines)
