"""Seconds a step and peak memory of a head with a million classes, each method in a process of its own.

    python tests/benchmarks/million.py                              # 1,000,000 x 512, batch 256
    python tests/benchmarks/million.py --classes 100000             # what all methods can hold

A step is forward, backward and SGD with momentum 0.9 and weight decay 5e-4, on embeddings that are
there already, in float32. Peak memory is that of the whole process, Python and torch (about 0.3 GiB)
among it. A method that needs more than `--limit` GiB is stopped by the system, and said to be so.

* full, weight stepped in the backward pass: `MarginHead` with `FusedSGD`
* full: `MarginHead` with `torch.optim.SGD`
* sampled: `sample_rate` 0.1 with `RowSGD`
* sampled, catching up: with `RowSGD(catch_up=True)`, equal to a dense optimiser
* plain PyTorch: ArcFace on `F.linear` of normalised tensors and `F.cross_entropy`, `torch.optim.SGD`
* pytorch-metric-learning: its `ArcFaceLoss`, `torch.optim.SGD`

What was expected before anything was measured: 2.05 GB a copy of the weight; two copies (weight and
momentum) for all of ours but the second, three for that one and for plain PyTorch, which has its
logits and their gradients, 1 GB each, besides; sampled steps in an eighth of the time of full ones.
"""

import argparse
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from margin_losses import FusedSGD, MarginHead, RowSGD

OPTIONS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}
Loss = Callable[[Tensor, Tensor], Tensor]
Method = tuple[Loss, Callable[[], object]]


def fused(classes: int, dim: int) -> Method:
    head = MarginHead(dim, classes, "arcface")
    return head, FusedSGD(head, **OPTIONS).step


def full(classes: int, dim: int) -> Method:
    head = MarginHead(dim, classes, "arcface")
    return head, stepped(torch.optim.SGD(head.parameters(), **OPTIONS))


def sampled(classes: int, dim: int, *, catch_up: bool = False) -> Method:
    head = MarginHead(dim, classes, "arcface", sample_rate=0.1)
    return head, stepped(RowSGD(head.parameters(), **OPTIONS, catch_up=catch_up))


def catching_up(classes: int, dim: int) -> Method:
    return sampled(classes, dim, catch_up=True)


def plain(classes: int, dim: int) -> Method:
    weight = nn.Parameter(torch.randn(classes, dim) * dim**-0.5)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        cos = F.linear(F.normalize(x), F.normalize(weight))
        own = cos.gather(1, y[:, None]).clamp(-1 + 1e-7, 1 - 1e-7)
        moved = torch.cos(torch.acos(own) + 0.5)
        return F.cross_entropy(64 * cos.scatter(1, y[:, None], moved), y)

    return loss, stepped(torch.optim.SGD([weight], **OPTIONS))


def metric_learning(classes: int, dim: int) -> Method:
    from pytorch_metric_learning.losses import ArcFaceLoss

    loss = ArcFaceLoss(classes, dim, margin=math.degrees(0.5))
    return loss, stepped(torch.optim.SGD(loss.parameters(), **OPTIONS))


def stepped(optimiser: torch.optim.Optimizer) -> Callable[[], object]:
    def step() -> None:
        optimiser.step()
        optimiser.zero_grad()

    return step


METHODS = {
    "full, weight stepped in the backward pass": fused,
    "full": full,
    "sampled": sampled,
    "sampled, catching up": catching_up,
    "plain PyTorch": plain,
    "pytorch-metric-learning": metric_learning,
}


def measure(name: str, args: argparse.Namespace) -> None:
    """Print seconds a step and peak GiB of one method, in this process."""
    torch.manual_seed(0)
    loss, step = METHODS[name](args.classes, args.dim)
    seconds = []
    for _ in range(args.repeats + 1):
        x = torch.randn(args.batch, args.dim, requires_grad=True)
        y = torch.randint(args.classes, (args.batch,))
        began = time.perf_counter()
        loss(x, y).backward()
        step()
        seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(statistics.median(seconds[1:]), peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--classes", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=float, default=20.0, help="GiB")
    parser.add_argument("--method", choices=METHODS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.method:
        measure(args.method, args)
        return
    print(
        f"{args.classes:,} classes x {args.dim}, batch {args.batch}, float32, "
        f"{torch.get_num_threads()} threads of {os.cpu_count()} cores, {platform.machine()}, "
        f"load {os.getloadavg()[0]:.1f}, torch {torch.__version__}"
    )
    print(f"{'':42}{'s a step':>10}{'ratio':>8}{'peak GiB':>10}")
    first = None
    for name in METHODS:
        found = run(name, args)
        if found is None:
            print(f"{name:42}   needs more than {args.limit:g} GiB", flush=True)
            continue
        seconds, peak = found
        first = first or seconds
        print(f"{name:42}{seconds:10.2f}{seconds / first:8.2f}{peak:10.2f}", flush=True)


def run(name: str, args: argparse.Namespace) -> tuple[float, float] | None:
    """One method in a process of its own; None where the memory was not enough."""
    sizes = [f"--{key}={getattr(args, key)}" for key in ("classes", "dim", "batch", "repeats")]
    room = int(args.limit * 2**30)
    done = subprocess.run(
        [sys.executable, __file__, "--method", name, *sizes],
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (room, room)),
    )  # fmt: skip
    if done.returncode:
        if "memory" not in done.stderr.lower() and done.returncode > 0:
            raise SystemExit(done.stderr)
        return None
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


if __name__ == "__main__":
    main()
