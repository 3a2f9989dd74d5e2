"""Which matrix product is the fastest here: the only door to torch in this package."""

import os
import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Singles = npt.NDArray[np.float32]
Multiply = Callable[[Singles, Singles, Singles], None]

MANY = 2**16  # fewer rows are multiplied before a choice, or an import of torch, pays off
SMALL, LARGE, HUGE = 1024, 2048, 4096  # rows of a block, for few rows, few cores, many cores
TRIALS = 3
UNIT = 2.0**-24  # unit roundoff of float32


class Product:
    """Writes a bᵀ (m, n) into `out` by the fastest of some routines, which it finds by using them.

    All of them round within `guard`, so that it does not matter which of them did what.
    """

    def __init__(self, routines: dict[str, Multiply], block: int) -> None:
        self.block = block
        self._routines = routines
        self._pace = dict.fromkeys(routines, np.inf)
        self._left = [name for _ in range(TRIALS) for name in routines] * (len(routines) > 1)

    @property
    def name(self) -> str:
        """The routine that was the fastest up to now."""
        return min(self._pace, key=lambda name: self._pace[name])

    def multiply(self, a: Singles, b: Singles, out: Singles) -> None:
        """Whole blocks are raced over, a few for each routine; the shortest time counts."""
        if not self._left or out.size < self.block**2:
            self._routines[self.name](a, b, out)
            return
        name = self._left.pop(0)
        start = time.perf_counter()
        self._routines[name](a, b, out)
        self._pace[name] = min(self._pace[name], time.perf_counter() - start)


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
    """The product for unit `rows` (N, D): numpy's, and torch's where there are many rows.

    A routine that does not keep to `guard` (torch when it is told to multiply in bfloat16 or TF32)
    is left out, whatever its speed.
    """
    if len(rows) < MANY:
        return Product({"numpy": _numpy}, min(len(rows), SMALL))
    kept = {name: routine for name, routine in _routines() if _keeps_to_guard(routine, rows)}
    return Product(kept or {"numpy": _numpy}, LARGE if threads() <= 4 else HUGE)


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
