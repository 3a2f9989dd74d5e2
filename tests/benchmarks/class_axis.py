"""What the class axis costs: time, memory and exactness of a head beside its peers.

    python tests/benchmarks/class_axis.py                    # everything, about ten minutes
    python tests/benchmarks/class_axis.py --sizes 128x10000  # one size

Each time is of one forward and one backward pass with fresh gradients, float32, D = 512, ArcFace
with m = 0.5 and s = 64. The methods take turns in one process, so that a busy moment hits all of
them; ratios of medians are what to look at. Memory is the peak of resident memory of a fresh
process beyond the weight and its gradient.
"""

import argparse
import gc
import math
import os
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor

from margin_losses import ArcFace, Auto, Chunked, FusedSGD, MarginHead, dense, margin_softmax

D, S, M = 512, 64.0, 0.5
SIZES = ("128x10000", "128x100000", "256x500000")
BARS = {"128x10000": 0.50, "128x100000": 0.30, "256x500000": 0.28}
MEMORY_BARS = {"128x10000": 32, "128x100000": 48, "256x500000": 64}
PEER = "pytorch-metric-learning ArcFace"
# the peers' share of page faults goes away when the allocator keeps what it had
TUNED = {"MALLOC_MMAP_THRESHOLD_": str(2**40), "MALLOC_TRIM_THRESHOLD_": str(2**40)}
Step = Callable[[], object]


def plain_arcface(x: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """ArcFace as one writes it by hand."""
    cos = F.linear(F.normalize(x), F.normalize(weight))
    own = cos.gather(1, labels[:, None]).float().clamp(-1 + 1e-7, 1 - 1e-7)
    margined = torch.cos(torch.acos(own) + M).to(cos.dtype)
    return F.cross_entropy(S * cos.scatter(1, labels[:, None], margined), labels)


def linear_cross_entropy(x: Tensor, weight: Tensor, labels: Tensor, *, chunks: bool) -> Tensor:
    """No margin, on normalised sides: the library's own fused head."""
    options = torch.nn.LinearCrossEntropyOptions() if chunks else None
    return F.linear_cross_entropy(S * F.normalize(x), F.normalize(weight), labels, options=options)


class Problem:
    """One size, and every way to take a step on it."""

    def __init__(self, size: str) -> None:
        batch, classes = map(int, size.split("x"))
        generator = torch.Generator().manual_seed(0)
        self.size, self.classes = size, classes
        self.x = torch.randn(batch, D, generator=generator).requires_grad_()
        self.y = torch.randint(classes, (batch,), generator=generator)
        self.weight = torch.empty(classes, D).normal_(generator=generator).requires_grad_()

    def step(self, loss: Callable[..., Tensor], *, half: bool = False) -> Step:
        """Loss and gradients of a function of x, weight and labels."""

        def run() -> None:
            self.x.grad = self.weight.grad = None
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                value = loss(self.x, self.weight, self.y)
            value.backward()

        return run

    def ours(self, kernel: object, *, half: bool = False) -> Step:
        def loss(x: Tensor, weight: Tensor, y: Tensor) -> Tensor:
            return margin_softmax(x, weight, y, ArcFace(M), kernel=kernel).mean()  # type: ignore[arg-type]

        return self.step(loss, half=half)

    def peer(self) -> Step:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pytorch_metric_learning.losses import ArcFaceLoss

        head = ArcFaceLoss(self.classes, D, margin=math.degrees(M), scale=S)

        def run() -> None:
            self.x.grad = head.W.grad = None
            head(self.x, self.y).backward()

        return run

    def products(self) -> Step:
        """The three products of matrices alone, into memory that is there."""
        x, weight = self.x.detach(), self.weight.detach()
        z, of_x, of_weight = (torch.empty(*s) for s in (
            (len(x), self.classes), x.shape, weight.shape,
        ))  # fmt: skip

        def run() -> None:
            torch.mm(x, weight.t(), out=z)
            torch.mm(z, weight, out=of_x)
            torch.mm(z.t(), x, out=of_weight)

        return run

    def methods(self, *, compiled: bool) -> dict[str, Step]:
        """Every method by name; the first is what the others are measured against."""
        chunk = Auto().choose(self.x, self.weight)
        size = chunk.size if isinstance(chunk, Chunked) else 1024
        found = {
            PEER: self.peer(),
            "three bare torch.mm": self.products(),
            "ours, auto": self.ours(Auto()),
            "ours, recompute": self.ours(Chunked("recompute", size)),
            "ours, auto, autocast bfloat16": self.ours(Auto(), half=True),
            "plain PyTorch": self.step(plain_arcface),
            "F.linear_cross_entropy (no margin)": self.step(
                lambda *a: linear_cross_entropy(*a, chunks=False)
            ),
        }
        if self.classes <= 100_000:
            found["ours, dense"] = self.ours(dense)
            found["F.linear_cross_entropy in chunks (no margin)"] = self.step(
                lambda *a: linear_cross_entropy(*a, chunks=True)
            )
        if compiled:
            fast = torch.compile(plain_arcface, dynamic=False)
            found["torch.compile of plain PyTorch"] = self.step(fast)
            half = torch.compile(plain_arcface, dynamic=False)
            found["torch.compile, autocast bfloat16"] = self.step(half, half=True)
        return found


def take_turns(methods: dict[str, Step], repeats: int) -> dict[str, float]:
    """Median seconds of each method, all of them once before the next round."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for turn in range(repeats + 1):
        for name, run in methods.items():
            tell(f"{name}, turn {turn} of {repeats}")
            start = perf_counter()
            run()
            if turn:  # the first is for warming up
                seconds[name].append(perf_counter() - start)
    tell("")
    return {name: statistics.median(found) for name, found in seconds.items()}


def tell(text: str) -> None:
    """Progress on one line of a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def print_times(size: str, repeats: int, *, compiled: bool, title: str = "") -> None:
    """The table of one size."""
    problem = Problem(size)
    found = take_turns(problem.methods(compiled=compiled), repeats)
    peer, products = found[PEER], found["three bare torch.mm"]
    print(f"\n{size}{title}: {Auto().choose(problem.x, problem.weight)!r}")
    print(f"  {'':46s}{'ms':>9s}{'/ peer':>9s}{'/ 3 mm':>9s}")
    for name, seconds in found.items():
        note = f"   bar {BARS[size]:.2f}" if name == "ours, auto" and size in BARS else ""
        ratios = f"{seconds / peer:9.2f}{seconds / products:9.2f}"
        print(f"  {name:46s}{1000 * seconds:9.1f}{ratios}{note}", flush=True)


def peak() -> int:
    """The most resident memory of this process so far, bytes."""
    status = Path("/proc/self/status").read_text()  # getrusage would tell the parent's, if larger
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def resident() -> int:
    """Resident memory of this process now, bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure_memory(size: str, method: str) -> None:
    """Print the peak beyond the weight and its gradient; for a fresh process."""
    batch = int(size.split("x")[0])
    small = Problem(f"{batch}x2000")  # libraries and their buffers are there
    memory_methods(small)[method]()
    del small
    gc.collect()
    problem = Problem(size)
    run = memory_methods(problem)[method]
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is what is resident now
    before = resident()
    run()
    print(max(0, peak() - before - problem.weight.nbytes) / 2**20)


def memory_methods(problem: Problem) -> dict[str, Step]:
    """What the memory table compares."""
    chunk = Auto().choose(problem.x, problem.weight)
    size = chunk.size if isinstance(chunk, Chunked) else 4096
    return {
        "ours, recompute": problem.ours(Chunked("recompute", size)),
        "ours, auto": problem.ours(Auto()),
        "plain PyTorch": problem.step(plain_arcface),
        PEER: problem.peer(),
    }


def print_memory(size: str) -> None:
    """The memory table of one size, each method in a process of its own."""
    print(f"\n{size}: peak of memory beyond the weight and its gradient")
    for method in ("ours, recompute", "ours, auto", "plain PyTorch", PEER):
        command = [sys.executable, __file__, "--memory", size, method]
        tell(f"{method}")
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        tell("")
        note = f"   bar {MEMORY_BARS[size]} MiB" if "recompute" in method else ""
        print(f"  {method:46s}{float(done.stdout):9.0f} MiB{note}", flush=True)


def print_steps(size: str, repeats: int) -> None:
    """A whole step with SGD: the update in the backward pass, behind it, and by hand."""
    problem = Problem(size)
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}

    def of_head(*, fused: bool) -> Step:
        head = MarginHead(D, problem.classes, ArcFace(M), scale=S)
        kind = FusedSGD(head, **options) if fused else torch.optim.SGD([head.weight], **options)
        return _with_step(lambda: head(problem.x, problem.y), problem.x, kind)

    def by_hand(*, fused: bool) -> Step:
        weight = problem.weight.detach().clone().requires_grad_()
        sgd = torch.optim.SGD([weight], fused=fused, **options)
        return _with_step(lambda: plain_arcface(problem.x, weight, problem.y), problem.x, sgd)

    found = take_turns(
        {
            "ours, FusedSGD": of_head(fused=True),
            "ours, torch.optim.SGD": of_head(fused=False),
            "plain PyTorch, SGD": by_hand(fused=False),
            "plain PyTorch, SGD(fused=True)": by_hand(fused=True),
        },
        repeats,
    )
    print(f"\n{size}: forward, backward and a step of SGD with momentum and weight decay")
    print(f"  {'':46s}{'ms':>9s}{'/ plain':>9s}")
    for name, seconds in found.items():
        ratio = seconds / found["plain PyTorch, SGD"]
        print(f"  {name:46s}{1000 * seconds:9.1f}{ratio:9.2f}", flush=True)


def _with_step(loss: Callable[[], Tensor], x: Tensor, optimiser: torch.optim.Optimizer) -> Step:
    def run() -> None:
        x.grad = None
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()

    return run


def print_tuned(size: str, repeats: int) -> None:
    """The ratio to the peer where nobody pays for page faults."""
    command = [sys.executable, __file__, "--tuned", size, "--repeats", str(repeats)]
    subprocess.run(command, env={**os.environ, **TUNED}, check=True)


def print_exactness() -> None:
    """Relative errors of loss and gradients against float64, own cosines of 0.6 and 0.95."""
    print("\nrelative error against float64 at 128x20000: loss, gradient of x, of the weight")
    generator = torch.Generator().manual_seed(0)
    w = F.normalize(torch.randn(20_000, D, generator=generator, dtype=torch.float64))
    y = torch.arange(128) * 150
    noise = torch.randn(128, D, generator=generator, dtype=torch.float64)
    noise = F.normalize(noise - (noise * w[y]).sum(1, keepdim=True) * w[y])
    for cosine in (0.6, 0.95):
        x = cosine * w[y] + math.sqrt(1 - cosine**2) * noise
        exact = _gradients(x, w, y, lambda *a: _our_loss(*a, dense))
        rows: dict[str, tuple[Callable[..., Tensor], bool]] = {
            "ours, recompute": (lambda *a: _our_loss(*a, Chunked("recompute")), False),
            "ours, store": (lambda *a: _our_loss(*a, Chunked("store")), False),
            "ours, store, autocast": (lambda *a: _our_loss(*a, Chunked("store")), True),
            "plain PyTorch": (plain_arcface, False),
            "plain PyTorch, autocast": (plain_arcface, True),
        }
        for name, (loss, half) in rows.items():
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                found = _gradients(x.float(), w.float(), y, loss)
            errors = [float((a - b).norm() / b.norm()) for a, b in zip(found, exact, strict=True)]
            shown = "".join(f"{error:11.1e}" for error in errors)
            print(f"  own cosine {cosine:4.2f}  {name:28s}{shown}", flush=True)


def _our_loss(x: Tensor, weight: Tensor, y: Tensor, kernel: object) -> Tensor:
    return margin_softmax(x, weight, y, ArcFace(M), kernel=kernel).mean()  # type: ignore[arg-type]


def _gradients(
    x: Tensor, weight: Tensor, y: Tensor, loss: Callable[..., Tensor]
) -> tuple[Tensor, ...]:
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    value = loss(x, weight, y)
    return value.detach(), *torch.autograd.grad(value, (x, weight))


def main() -> None:
    """All tables, or one row for a process that this one starts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="BxC", help="batch x classes")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each method (default: 5)")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--memory", nargs=2, metavar=("BxC", "METHOD"), help=argparse.SUPPRESS)
    parser.add_argument("--tuned", metavar="BxC", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    if options.memory:
        measure_memory(*options.memory)
    elif options.tuned:
        title = ", with an allocator that keeps its memory"
        print_times(options.tuned, options.repeats, compiled=False, title=title)
    else:
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, D = {D}, float32")
        for size in options.sizes:
            print_times(size, options.repeats, compiled=not options.no_compile)
        for size in options.sizes:
            print_tuned(size, options.repeats)
        for size in options.sizes:
            print_memory(size)
        for size in [size for size in options.sizes if int(size.split("x")[1]) <= 100_000]:
            print_steps(size, options.repeats)
        print_exactness()


if __name__ == "__main__":
    main()
