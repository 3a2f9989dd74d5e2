"""Seconds and memory of comparing all pairs, against nothing but the matrix product they need.

    python tests/benchmarks/all_pairs.py                      # 100,000 pictures of 512 numbers
    python tests/benchmarks/all_pairs.py --resume-proof       # kill -9 in the middle, and go on
    python tests/benchmarks/all_pairs.py --people 100000 --million

The floor is the fastest blocked float32 product of the same triangle that numpy or torch offer,
all threads in one block or a block for each thread, with nothing done to a score. `tally_all` is
timed with its checks, its sorting and its sample, for the tail alone and with the curve; all take
turns in one process. Where the processor is quicker in bfloat16, the tail alone is found with
such products and decided in float64; its result is the same bit for bit, so it is held against
the float32 floor too, and the bfloat16 product alone and the tail in float32 are shown
beside it. Ratios are medians over the rounds. Seconds of processor time are shown beside those on
the clock: on a machine that others use as well, only their ratio means something.
Memory is the peak of a process of its own that makes the embeddings and compares them.

What was expected before anything was measured: the tail alone at 80 % of the floor or more, the
curve at 40 % or more, under 1.5 GB for 100,000 pictures; peers slower by a factor of ten to a
hundred at sizes that they can bear, as they keep, gather or sort every score.

The embeddings are synthetic: a person's direction and noise around it, both with most of their
length in some of the coordinates, so that non-mated scores spread as those of trained networks
do. --spread 0 is the other extreme, directions even in all dimensions; there the scores crowd, more
of them are within rounding of a threshold, and the curve is dearest.
"""

import argparse
import hashlib
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons import product
from recognition.comparisons.all_pairs import _tally, tally_all
from recognition.comparisons.product import Product, Singles
from recognition.comparisons.sorted_rows import sort_rows
from recognition.comparisons.tally import Tally
from recognition.comparisons.threads import threads, workers
from recognition.comparisons.walk import Plan

Labels = npt.NDArray[np.int64]


def faces(args: argparse.Namespace) -> tuple[Singles, Labels]:
    """(N, D) embeddings and their (N,) people, in random order; no copy is made on the way."""
    random = np.random.default_rng(args.seed)
    scale = ((1 + np.arange(args.dim)) ** -args.spread).astype(np.float32)
    centres = random.standard_normal((args.people, args.dim), np.float32) * scale
    labels = random.permutation(np.repeat(np.arange(args.people), args.pictures))
    rows = np.empty((len(labels), args.dim), np.float32)
    for top in range(0, len(rows), 4096):
        part = slice(top, top + 4096)
        noise = random.standard_normal(rows[part].shape, np.float32) * scale
        rows[part] = centres[labels[part]] + np.float32(args.noise) * noise
    return rows, labels


class Floor(NamedTuple):
    """A routine, the block it multiplies, and whether each thread has a block of its own."""

    product: Product
    block: int
    apart: bool

    def __str__(self) -> str:
        return f"{self.product.name}, blocks of {self.block}" + ", one a thread" * self.apart


def triangle(rows: Singles, best: Floor, most: int | None = None) -> float:
    """Every pair once (or `most` blocks of them), and nothing else; pairs a second."""
    local = threading.local()
    count = 0

    def multiply(across: slice, down: slice) -> None:
        if not hasattr(local, "room"):
            local.room = np.empty(best.block**2, np.int16 if best.product.coarse else np.float32)
        height, width = across.stop - across.start, down.stop - down.start
        out = local.room[: height * width].reshape(height, width)
        best.product.multiply(across, down, out)

    parts = [slice(k, min(k + best.block, len(rows))) for k in range(0, len(rows), best.block)]
    blocks = [(one, two) for at, one in enumerate(parts) for two in parts[at:]][:most]
    count = sum((one.stop - one.start) * (two.stop - two.start) for one, two in blocks)
    if best.apart:
        with workers() as pool:
            pool.submit(multiply, *blocks[0]).result()
            began = time.perf_counter()
            list(pool.map(multiply, *zip(*blocks, strict=True)))
    else:
        multiply(*blocks[0])
        began = time.perf_counter()
        for block in blocks:
            multiply(*block)
    return count / (time.perf_counter() - began)


def quickest(rows: Singles, coarse: bool = False) -> Floor | None:
    """The best of every routine and block, each tried three times in turn on warm memory."""
    pace: dict[Floor, float] = {}
    products = [each for each in product._products(rows) if each.coarse == coarse]
    for _ in range(3):
        for routine in products:
            for block in (512, 1024, 2048, 4096, 8192):
                for apart in (False, True):
                    floor = Floor(routine, block, apart)
                    if (3 if apart else 2) * block <= len(rows):
                        blocks = max(2 * threads(), 2**22 // block**2)
                        pace[floor] = max(pace.get(floor, 0.0), triangle(rows, floor, blocks))
    for floor, speed in pace.items():
        print(f"  {floor!s:45} {2e-9 * rows.shape[1] * speed:6.0f} GF/s")
    return max(pace, key=lambda each: pace[each], default=None)


def fine_alone(rows: Singles) -> product.Candidates:
    return product.candidates(rows)._replace(coarse=())


def take_turns(methods: dict[str, Callable[[], object]], rounds: int, pairs: int) -> None:
    clock: dict[str, list[float]] = {name: [] for name in methods}
    cpu: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds):
        for name, method in methods.items():
            began, worked = time.perf_counter(), time.process_time()
            method()
            clock[name].append(time.perf_counter() - began)
            cpu[name].append(time.process_time() - worked)
    first = next(iter(methods))
    width = max(map(len, methods))
    print(
        f"{'':{width}}  {'s':>8}  {'Mpairs/s':>8}  {'of floor':>8}  {'CPU s':>8}  {'of floor':>8}"
    )
    for name in methods:
        share, worked_share = (
            statistics.median(a / b for a, b in zip(times[first], times[name], strict=True))
            for times in (clock, cpu)
        )
        seconds = statistics.median(clock[name])
        print(
            f"{name:{width}}  {seconds:8.2f}  {pairs / seconds / 1e6:8.0f}  {share:8.1%}  "
            f"{statistics.median(cpu[name]):8.2f}  {worked_share:8.1%}",
            flush=True,
        )


def speed(args: argparse.Namespace) -> None:
    rows, labels = faces(args)
    pairs = len(rows) * (len(rows) - 1) // 2
    unit = sort_rows(rows, labels).rounded
    best, coarse = quickest(unit), quickest(unit, coarse=True)
    if best is None:
        raise SystemExit("expected at least 1,024 pictures")
    print(f"floor: {best}; {pairs:,} pairs")
    methods: dict[str, Callable[[], object]] = {
        "the product alone": lambda: triangle(unit, best),
        "tally_all, tail alone": lambda: tally_all(rows, labels, curve=0),
        "tally_all with curve": lambda: tally_all(rows, labels),
        "  tail alone, all in float32": lambda: _tally(
            rows, labels, 1e-4, 0, None, None, Plan(candidates=fine_alone)
        ),
    }
    if coarse is not None:
        methods["  the product alone in bfloat16"] = lambda: triangle(unit, coarse)
    take_turns(methods, args.rounds, pairs)


def peers(args: argparse.Namespace) -> None:
    """What others do, with as many pictures as they can bear; none of it checks its input."""
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from sklearn.metrics import roc_curve

    small = argparse.Namespace(**{**vars(args), "people": max(2, args.peers // args.pictures)})
    rows, labels = faces(small)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    i, j = np.triu_indices(len(rows), 1)

    def sorted_curve() -> None:
        roc_curve(labels[i] == labels[j], (unit @ unit.T)[i, j], drop_intermediate=False)

    def gathered() -> None:
        for top in range(0, len(i), 2**16):
            part = slice(top, top + 2**16)
            np.einsum("ij,ij->i", unit[i[part]], unit[j[part]])

    def calculator() -> None:
        people = torch.from_numpy(labels)
        AccuracyCalculator(include=("mean_average_precision",), k=None).get_accuracy(
            torch.from_numpy(unit), people
        )

    print(f"\npeers, {len(rows)} pictures ('of floor' is of ours here)")
    take_turns(
        {
            "tally_all with curve": lambda: tally_all(rows, labels),
            "all scores, sklearn roc_curve": sorted_curve,
            "gathered pairs of rows": gathered,
            "pytorch-metric-learning, k=None": calculator,
        },
        args.rounds,
        len(i),
    )


def digest(tally: Tally) -> str:
    found = hashlib.sha256()
    for name, value in vars(tally).items():
        if not name.startswith("_"):
            found.update(name.encode() + np.asarray(value).tobytes())
    return found.hexdigest()[:16]


def child(args: argparse.Namespace) -> None:
    """One comparison in a process of its own, with its peak of memory."""
    rows, labels = faces(args)
    pairs = len(rows) * (len(rows) - 1) // 2
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()

    def progress(done: int, note: str = "") -> None:
        seconds = time.perf_counter() - began
        print(f"  {done / pairs:6.1%} after {seconds:6.0f} s {note}", file=sys.stderr, flush=True)

    tally = _tally(
        rows,
        labels,
        args.tail_fmr,
        args.curve,
        args.checkpoint,
        progress if args.million else None,
        Plan(seconds=args.seconds),
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"peak {peak / 2**20:.2f} GiB (with the embeddings made: {before / 2**20:.2f}), "
        f"{time.perf_counter() - began:.1f} s, tail {len(tally.tail):,} from {tally.floor:.4f}, "
        f"{len(tally.thresholds)} thresholds, non-mated {tally.nonmated_mean:.4f} ± "
        f"{tally.nonmated_sd:.4f}, mated {tally.mated.mean():.4f}, result {digest(tally)}"
    )


def start(args: argparse.Namespace, **options: Any) -> subprocess.Popen[str]:
    """This script again as a child."""
    words = [sys.executable, __file__, "--child"]
    kept = ("people", "pictures", "dim", "seed", "spread", "noise", "tail_fmr", "curve", "seconds")
    for name, value in {**{name: getattr(args, name) for name in kept}, **options}.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    if args.million:
        words.append("--million")
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def memory(args: argparse.Namespace, **options: Any) -> str:
    process = start(args, **options)
    said = (process.communicate()[0]).strip()
    if process.returncode:
        raise SystemExit(f"the comparison failed with {process.returncode}")
    print(f"{len_of(args):,} pictures: {said}", flush=True)
    return said.rsplit(" ", 1)[1]


def len_of(args: argparse.Namespace) -> int:
    return int(args.people * args.pictures)


def resume_proof(args: argparse.Namespace) -> None:
    """Killed three times, each time after another checkpoint, and the same result."""
    whole = memory(args)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        options = {"checkpoint": path, "seconds": min(args.seconds, 3.0)}
        for number in range(3):
            process = start(args, **options)
            seen = path.stat().st_mtime_ns if path.exists() else 0
            while process.poll() is None and (not path.exists() or path.stat().st_mtime_ns == seen):
                time.sleep(0.05)
            if process.poll() is not None:
                raise SystemExit("it was over before it could be killed: ask for fewer --seconds")
            process.send_signal(signal.SIGKILL)
            process.communicate()
            print(f"killed for the {number + 1}. time, {path.stat().st_size / 1e6:.1f} MB are left")
        resumed = memory(args, **options)
        if resumed != whole or path.exists():
            raise SystemExit(f"the results differ: {whole} and {resumed}")
    print("the same result, bit for bit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--pictures", type=int, default=10, help="of each person")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--spread", type=float, default=0.35, help="0: even in all dimensions")
    parser.add_argument("--noise", type=float, default=0.8, help="0.8: mated scores around 0.6")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=int, default=6000, help="pictures for them; 0: none")
    parser.add_argument("--tail-fmr", type=float, default=1e-4)
    parser.add_argument("--curve", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0, help="between two checkpoints")
    parser.add_argument("--resume-proof", action="store_true")
    parser.add_argument("--million", action="store_true", help="one run with progress, no floor")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return
    print(
        f"{len_of(args):,} pictures of {args.people:,} people, D={args.dim}, "
        f"{threads()} threads of {os.cpu_count()} cores, {platform.machine()}, "
        f"load {os.getloadavg()[0]:.1f}, numpy {np.__version__}, Python {platform.python_version()}"
    )
    if args.million:
        memory(args)
    elif args.resume_proof:
        resume_proof(args)
    else:
        memory(args)
        speed(args)
        if args.peers:
            peers(args)


if __name__ == "__main__":
    main()
