"""Three processes that share a class axis: what each of them does, and how they are run.

The tests compare what they find with the same `train` in one process.
"""

import copy
import pickle
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor

from margin_losses import MARGINS, Embedding, Kernel, Margin, MarginHead, dense
from margin_losses.functional import loss_of, terms
from margin_losses.kernels import Chunked
from margin_losses.shards import Here, Shard, gather_batch

RANKS = 3
STEPS, BATCH, DIM = 2, 5, 6
PATIENCE = timedelta(seconds=40)
Parts = tuple[tuple[int, int], ...]
Found = dict[str, Tensor]

EVEN: Parts = ((0, 4), (4, 8), (8, 12))
ALL_PARTS: tuple[Parts, ...] = (
    EVEN,
    ((0, 7), (7, 7), (7, 12)),
    ((0, 12), (12, 12), (12, 12)),
    ((0, 1), (1, 2), (2, 12)),
    ((5, 11), (0, 2), (2, 5)),
    ((0, 1), (1, 2), (0, 0)),
    ((0, 0), (0, 0), (0, 1)),
)
WRONG_PARTS: dict[str, tuple[tuple[Any, Any], ...]] = {
    "gap": ((0, 4), (5, 8), (8, 12)),
    "overlap": ((0, 4), (3, 8), (8, 12)),
    "twice": ((0, 12), (0, 12), (0, 12)),
    "late": ((1, 4), (4, 8), (8, 12)),
    "negative": ((-1, 4), (4, 8), (8, 12)),
    "backwards": ((0, 8), (8, 4), (8, 12)),
    "fraction": ((0, 4), (4, 8.0), (8, 12)),
    "nothing": ((0, 0), (0, 0), (0, 0)),
}
BATCHES = ((8, 8, 8), (5, 11, 3), (16, 1, 0))
KERNELS: dict[str, Kernel] = {
    "dense": dense,
    "recompute": Chunked(size=2),
    "store": Chunked(policy="store", size=2),
}


class Case(NamedTuple):
    """A margin trained for some steps on a class axis in parts."""

    margin: str
    parts: Parts = EVEN
    kernel: str = "dense"
    dtype: torch.dtype = torch.float64
    bias: bool = False
    centers: int = 1

    @property
    def num_classes(self) -> int:
        return parts_end(self.parts)

    def whole(self) -> "Case":
        """The case in one process that this one must equal."""
        return self._replace(parts=((0, self.num_classes),))


def parts_end(parts: Parts) -> int:
    return max(stop for _, stop in parts)


def cases() -> Iterator[Case]:
    """For every margin all parts and all kernels, paired off to be quick."""
    kernels = ("dense", "recompute", "store", "recompute", "store", "dense", "recompute")
    for name, kind in MARGINS.items():
        every = [Case(name, parts, kernels[i]) for i, parts in enumerate(ALL_PARTS)]
        if kind.allows_bias:
            every += [Case(name, EVEN, bias=True)]
        if kind.geometry.unit_weight:
            every += [Case(name, ALL_PARTS[1], centers=2)]
        yield from (case for case in every if case.num_classes >= kind.fewest_classes)
    for name in ("softmax", "arcface"):
        for dtype in (torch.float32, torch.bfloat16):
            yield Case(name, ALL_PARTS[1], dtype=dtype)


def train(case: Case, classes: Here, rows: slice, seed: int = 0) -> Found:
    """Losses and gradients of some steps in training mode, and the running statistics after them.

    Args:
        case: what to train.
        classes: where the axis is.
        rows: the classes that are here.
        seed: of what the margin draws.
    """
    margin: Margin = MARGINS[case.margin]()
    x, whole, labels = drawn(case)
    weight = whole[rows].clone().requires_grad_()
    x.requires_grad_()
    state = margin.init(case.num_classes)
    torch.manual_seed(seed)
    losses, hits, extra = [], [], {}
    for step in range(STEPS if margin.observes else 1):
        # a geometry whose logits are a few units: no term of the loss is too small to be compared
        geometry = margin.geometry
        if margin.geometry.is_cosine:
            geometry = geometry._replace(scale=8.0)
        found = terms(
            Embedding.of(x[step]),
            weight,
            labels[step],
            margin,
            geometry,
            state=state,
            kernel=KERNELS[case.kernel],
            classes=classes,
            observe=True,
        )
        losses.append(loss_of(found, margin))
        hits.append(found.target.plain > found.top)
        extra = dict(found.target.state)
        state = {name: extra[name] for name in state}
    loss = torch.stack(losses)
    (loss * torch.linspace(0.5, 1.5, loss.numel()).view_as(loss)).sum().backward()
    if x.grad is None:
        raise AssertionError("the backward pass left the embeddings out")
    of_weight = torch.zeros_like(weight) if weight.grad is None else weight.grad
    made = {"loss": loss.detach(), "hits": torch.stack(hits), "x": x.grad, "weight": of_weight}
    return made | {f"state.{name}": value for name, value in extra.items()}


def train_head(name: str, shard: Here, rows: slice, seed: int = 0) -> Found:
    """The loss of a head in training mode, its statistics, and the gradients."""
    head = MarginHead(DIM, 12, name, centers=1, shard=shard).double()
    x, weight, labels = drawn(Case(name))
    with torch.no_grad():
        head.weight.copy_(weight[rows])
    torch.manual_seed(seed)
    batch = x[0].requires_grad_()
    loss, statistics = head.loss_and_statistics(batch, labels[0], ignore_index=int(labels[0, 2]))
    loss.backward()
    return {
        "loss": loss.detach(),
        "accuracy": statistics.accuracy,
        "angle": statistics.angle,
        "x": batch.grad,
        "weight": head.weight.grad,
    }


def drawn(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings (STEPS, BATCH, D), all class weights and labels; the same in every process."""
    generator = torch.Generator().manual_seed(7)
    row = (DIM + case.bias,) if case.centers == 1 else (case.centers, DIM)
    x = torch.randn(STEPS, BATCH, DIM, generator=generator, dtype=torch.float64)
    weight = torch.randn(case.num_classes, *row, generator=generator, dtype=torch.float64)
    labels = torch.arange(STEPS * BATCH).view(STEPS, BATCH) * 5 % case.num_classes
    labels[:, 1] = labels[:, 0]
    return x.to(case.dtype), weight.to(case.dtype), labels


def work(rank: int) -> dict[str, Any]:
    """All that one process finds."""
    return {
        "trained": [_trained(case, rank) for case in cases()],
        "sizes": [_shard(*parts).size(parts_end(parts)) for parts in ALL_PARTS],
        "even": {n: Shard.even(n).parts for n in (1, 2, 3, 1000)},
        "refused": {name: refusal(Shard, *wrong[rank]) for name, wrong in WRONG_PARTS.items()},
        "other numbers": refusal(Shard.even, 12 if rank else 14),
        "other size": refusal(Shard.even(12).size, 13),
        "subgroup": _in_a_subgroup(rank),
        "gathered": [_gathered(sizes, rank, averaged=False) for sizes in BATCHES],
        "averaged": [_gathered(sizes, rank, averaged=True) for sizes in BATCHES],
        "heads": {name: _head_of_a_part(name, rank) for name in MARGINS},
        "twice": _second_derivatives(rank),
        "copies": _copies(),
        "agreed": _agreed(rank),
    }


def _trained(case: Case, rank: int) -> Found:
    shard = _shard(*case.parts)
    return train(case, shard, slice(shard.start, shard.stop), seed=rank)


def _head_of_a_part(name: str, rank: int) -> Found:
    shard = Shard.even(12)
    return train_head(name, shard, slice(shard.start, shard.stop), seed=rank)


@cache
def _shard(*parts: tuple[int, int]) -> Shard:
    return Shard(*parts[dist.get_rank()])


def refusal(make: Callable[..., object], *arguments: Any) -> str:
    try:
        return f"nothing refused: {make(*arguments)}"
    except (ValueError, TypeError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"


def _in_a_subgroup(rank: int) -> dict[str, Any]:
    """Ranks 1 and 2 train by themselves, in parts of 5 and 7 classes; rank 0 is refused."""
    group = dist.new_group([1, 2])
    if rank == 0:
        return {"refused": refusal(Shard, 0, 12, group)}
    start, stop = ((0, 5), (5, 12))[rank - 1]
    shard = Shard(start, stop, group)
    return {
        "found": {name: train(Case(name), shard, slice(start, stop), rank) for name in MARGINS},
        "pickled": refusal(pickle.dumps, shard),
        "copied": copy.deepcopy(shard) is shard,
    }


def _gathered(sizes: tuple[int, ...], rank: int, *, averaged: bool) -> Found:
    """The gradient of a network with one parameter that each process has, and of its own rows."""
    case = Case("arcface")
    x, labels = global_batch(sum(sizes))
    mine = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
    network = torch.eye(DIM, dtype=torch.float64, requires_grad=True)
    local = (x[mine] @ network).requires_grad_()
    local.retain_grad()
    rows, all_labels = gather_batch(local, labels[mine], averaged=averaged)
    shard = Shard.even(case.num_classes)
    weight = drawn(case)[1][shard.start : shard.stop].requires_grad_()
    margin = MARGINS[case.margin]()
    found = terms(Embedding.of(rows), weight, all_labels, margin, margin.geometry, classes=shard)
    loss_of(found, margin).mean().backward()
    dist.all_reduce(network.grad)
    if averaged:
        network.grad /= RANKS
    return {
        "rows": rows.detach(),
        "labels": all_labels,
        "local": local.grad,
        "network": network.grad,
        "weight": weight.grad,
    }


def global_batch(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(size, DIM, generator=generator, dtype=torch.float64)
    return x, torch.arange(size) * 7 % Case("arcface").num_classes


def _second_derivatives(rank: int) -> dict[str, str]:
    """What a second derivative by x, by a weight row of an empty part, or of a batch says."""
    case = Case("arcface", ALL_PARTS[1])
    start, stop = case.parts[rank]
    shard, margin = Shard(start, stop), MARGINS[case.margin]()
    said = {}
    for name in ("x", "weight", "batch"):
        x, weight, labels = drawn(case)
        x, labels = x[0], labels[0]
        x = x.requires_grad_(name != "weight")
        weight = weight[start:stop].requires_grad_(name != "batch")
        if name == "batch":
            loss = gather_batch(x, labels)[0].square().sum()
        else:
            e = Embedding.of(x)
            found = terms(e, weight, labels, margin, margin.geometry, classes=shard)
            loss = loss_of(found, margin).sum()
        by = weight if name == "weight" else x
        said[name] = refusal(_differentiate_twice, loss, by)
    return said


def _differentiate_twice(loss: Tensor, by: Tensor) -> Tensor:
    (first,) = torch.autograd.grad(loss, by, create_graph=True)
    return torch.autograd.grad(first.square().sum(), by)[0]


def _copies() -> list[bool]:
    shard = Shard.even(5)
    return [
        copy.deepcopy(shard) is shard,
        pickle.loads(pickle.dumps(shard)) == shard,
        "parts" not in repr(shard),
    ]


def _agreed(rank: int) -> dict[str, Any]:
    """What becomes of a state in which some things are as they were, and some are made anew."""
    kept = torch.full((2,), float(rank))
    old = {"kept": kept, "count": torch.tensor(rank)}
    new = {"kept": kept, "count": old["count"] + 1, "drawn": torch.full((4, 2), rank / 4).t()}
    if rank == 1:
        new = dict(reversed(new.items()))
    state = Shard.even(4).agree(new, old)
    return {
        "state": {name: value.tolist() for name, value in state.items()},
        "untouched": [new["count"].tolist(), new["drawn"].unique().tolist()],
    }


def run(folder: Path, job: Callable[[int], Any] = work, seconds: float = 150) -> list[Any]:
    """What the job returns in each of the processes; an error of one, or too long a wait, ends all.

    Who waits for the others gives up sooner than the whole, see `PATIENCE`.
    """
    context = torch.multiprocessing.get_context("spawn")
    processes = [context.Process(target=_enter, args=(i, folder, job)) for i in range(RANKS)]
    try:
        for process in processes:
            process.start()
        _join(processes, seconds)
    finally:
        for process in processes:
            process.kill()
            process.join()
    failed = [path.read_text() for path in sorted(folder.glob("*.error"))]
    if failed or any(process.exitcode for process in processes):
        codes = [process.exitcode for process in processes]
        raise RuntimeError("\n".join([f"exit codes {codes}", *failed]))
    return [torch.load(folder / f"{i}.pt", weights_only=True) for i in range(RANKS)]


def _join(processes: list[Any], seconds: float) -> None:
    """Until all have ended well, one has not, or time is up: then -9 will be its exit code."""
    deadline = time.monotonic() + seconds
    running = {process.sentinel: process for process in processes}
    while running and time.monotonic() < deadline:
        for ended in wait(list(running), timeout=deadline - time.monotonic()):
            process = running.pop(ended)
            process.join()  # its pipe is closed a moment before it has an exit code
            if process.exitcode:
                return


def _enter(rank: int, folder: Path, job: Callable[[int], Any]) -> None:
    torch.set_num_threads(1)
    try:
        dist.init_process_group(
            "gloo",
            init_method=(folder / "meeting").as_uri(),
            rank=rank,
            world_size=RANKS,
            timeout=PATIENCE,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            torch.save(job(rank), folder / f"{rank}.pt")
        dist.barrier()
        dist.destroy_process_group()
    except Exception:
        (folder / f"{rank}.error").write_text(f"rank {rank}: {traceback.format_exc()}")
        raise SystemExit(1) from None
