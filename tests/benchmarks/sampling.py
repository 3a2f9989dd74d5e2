"""Seconds of a training step on sampled classes: forward, backward and optimiser.

    python tests/benchmarks/sampling.py --classes 100000 --batch 128 --dim 512 --rate 0.1

Ours is `MarginHead(sample_rate=...)` with `RowSGD`, which leaves rows that are not sampled alone, and
with `catch_up=True`, when they make up for the steps they missed. Against it stands what insightface's second
Partial FC does, written anew: classes drawn by rand, topk and sort of the whole axis, `weight[index]`
by autograd, so with a dense gradient of all classes, ArcFace on the sub-matrix, and
`torch.optim.SGD`. Its margin is applied to the own column alone, which is less work than there.
All methods take turns in one process; the table has medians and ratios of medians, and the shortest
times, which a busy machine spoils less.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from margin_losses import ArcFace, Auto, Chunked, Kernel, MarginHead, RowSGD, dense

SCALE, MARGIN = 64.0, 0.5
Step = Callable[[Tensor, Tensor], Tensor]


def ours(args: argparse.Namespace, inner: Kernel, *, catch_up: bool = False) -> Step:
    head = MarginHead(
        args.dim,
        args.classes,
        ArcFace(MARGIN),
        scale=SCALE,
        kernel=inner,
        sample_rate=args.rate,
    )
    optimiser = RowSGD(
        head.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, catch_up=catch_up
    )

    def step(x: Tensor, y: Tensor) -> Tensor:
        optimiser.zero_grad()
        loss = head(x, y)
        loss.backward()
        optimiser.step()
        return loss

    return step


def insightface(args: argparse.Namespace, *, fused: bool) -> Step:
    weight = nn.Parameter(torch.randn(args.classes, args.dim) * args.dim**-0.5)
    optimiser = torch.optim.SGD(
        [weight], lr=0.1, momentum=0.9, weight_decay=5e-4, fused=fused or None
    )
    count = int(args.rate * args.classes)

    def step(x: Tensor, y: Tensor) -> Tensor:
        optimiser.zero_grad()
        order = torch.rand(args.classes)
        own = y.unique()
        order[own] = 2.0
        index = order.topk(max(count, len(own)))[1].sort()[0]
        rows = torch.searchsorted(index, y)
        cos = F.linear(F.normalize(x), F.normalize(weight[index])).clamp(-1, 1)
        at = torch.arange(len(y))
        with_margin = (cos[at, rows].acos() + MARGIN).cos()
        loss = F.cross_entropy(SCALE * cos.index_put((at, rows), with_margin), rows)
        loss.backward()
        optimiser.step()
        return loss

    return step


def methods(args: argparse.Namespace) -> dict[str, Step]:
    store = Chunked(policy="store", routine=args.routine)
    recompute = Chunked(policy="recompute", routine=args.routine)
    return {
        "ours, auto + RowSGD": ours(args, Auto()),
        "ours, auto + RowSGD(catch_up=True)": ours(args, Auto(), catch_up=True),
        "ours, dense + RowSGD": ours(args, dense),
        f"ours, recompute, {args.routine} + RowSGD": ours(args, recompute),
        f"ours, store, {args.routine} + RowSGD": ours(args, store),
        "insightface's way + SGD": insightface(args, fused=False),
        "insightface's way + SGD(fused=True)": insightface(args, fused=True),
    }


def measure(steps: dict[str, Step], args: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds of each, the methods taking turns; the first two rounds warm up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(args.repeats + 2):
        x = torch.randn(args.batch, args.dim, requires_grad=True)
        y = torch.randint(args.classes, (args.batch,))
        for name, step in steps.items():
            start = time.perf_counter()
            loss = step(x, y)
            elapsed = time.perf_counter() - start
            if not math.isfinite(loss.item()):
                raise SystemExit(f"{name}: the loss is {loss.item()}")
            x.grad = None
            if repeat >= 2:
                times[name].append(1e3 * elapsed)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--routine", choices=["mm", "onednn"], default="mm")
    args = parser.parse_args()
    torch.manual_seed(0)
    times = measure(methods(args), args)
    found = {name: statistics.median(each) for name, each in times.items()}
    references = [name for name in found if name.startswith("insightface")]
    print(
        f"B={args.batch} D={args.dim} C={args.classes:,} rate={args.rate:g}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    width = max(map(len, found))
    print(f"{'method':{width}}  {'ms':>8}  {'best':>8}  {'to SGD':>7}  {'to fused':>8}")
    for name, ms in found.items():
        to_sgd, to_fused = (ms / found[reference] for reference in references)
        print(f"{name:{width}}  {ms:8.2f}  {min(times[name]):8.2f}  {to_sgd:7.2f}  {to_fused:8.2f}")


if __name__ == "__main__":
    main()
