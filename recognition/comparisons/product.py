"""Which matrix product is the fastest here: the only door to torch in this package."""

import os
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Singles = npt.NDArray[np.float32]
Multiply = Callable[[Singles, Singles, Singles], None]

BLOCKS = (2048, 4096)
MANY = 2**16  # fewer rows are multiplied before a choice, or an import of torch, pays off
UNIT = 2.0**-24  # unit roundoff of float32


class Product(NamedTuple):
    """A routine that writes a bᵀ (m, n) into its third argument, and the block it is best at."""

    name: str
    block: int
    multiply: Multiply


def guard(dim: int) -> float:
    """How far a float32 product of two unit rows can be from their score, however it is summed.

    |fl(x̃·ỹ) - x̃·ỹ| <= γ_D Σ|x̃_k ỹ_k| <= γ_D ‖x̃‖ ‖ỹ‖ with γ_n = n u / (1 - n u), in any order
    of summation, with fused multiply-add or without (Higham, Accuracy and Stability of Numerical
    Algorithms, 2002, section 3.1). Rounding the two rows and the score itself to float32 adds
    3 u, underflow less than one: eight more roundings than D cover all of it.

    >>> f"{guard(512):.1e}"
    '3.1e-05'
    """
    roundings = (dim + 8) * UNIT
    return roundings / (1 - roundings)


def threads() -> int:
    """How many threads may work: OMP_NUM_THREADS where it is set, or else one per core."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def fastest(rows: Singles) -> Product:
    """The quickest way to multiply blocks of these unit `rows` (N, D), found by trying.

    Fewer than 65,536 rows are left to numpy. A routine that does not keep to `guard` (torch when
    it is told to multiply in bfloat16 or TF32) is no candidate, whatever its speed.
    """
    if len(rows) < MANY:
        return Product("numpy", max(1, min(len(rows), BLOCKS[0])), _numpy)
    best, shortest = Product("numpy", BLOCKS[0], _numpy), np.inf
    for name, multiply in _routines():
        if not _keeps_to_guard(multiply, rows):
            continue
        for block in BLOCKS:
            took = _seconds(multiply, rows, block) / block**2
            if took < shortest:
                best, shortest = Product(name, block, multiply), took
    return best


def _routines() -> Iterator[tuple[str, Multiply]]:
    yield "numpy", _numpy
    try:
        import torch
    except ImportError:
        return

    def multiply(a: Singles, b: Singles, out: Singles) -> None:
        one, two, product = (torch.from_numpy(x) for x in (a, b, out))
        torch.mm(one, two.T, out=product)

    yield "torch", multiply


def _numpy(a: Singles, b: Singles, out: Singles) -> None:
    np.matmul(a, b.T, out=out)


def _keeps_to_guard(multiply: Multiply, rows: Singles) -> bool:
    a, b = rows[:512], rows[512:1024]
    out = np.empty((len(a), len(b)), np.float32)
    multiply(a, b, out)
    exact = a.astype(np.float64) @ b.T.astype(np.float64)
    return bool((np.abs(out - exact) <= guard(rows.shape[1])).all())


def _seconds(multiply: Multiply, rows: Singles, block: int) -> float:
    """The shorter of two runs: a busy machine only ever adds to the time."""
    a, b = rows[:block], rows[block : 2 * block]
    out = np.empty((len(a), len(b)), np.float32)
    times = []
    for _ in range(2):
        start = time.perf_counter()
        multiply(a, b, out)
        times.append(time.perf_counter() - start)
    return min(times)
