"""Which matrix product is the fastest here: the only door to torch in this package."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.threads import threads

Singles = npt.NDArray[np.float32]
Halves = npt.NDArray[np.int16]  # the bits of bfloat16, which numpy does not know
Multiply = Callable[[slice, slice, npt.NDArray[Any]], None]

MANY = 2**16  # fewer rows are multiplied before a choice, or an import of torch, pays off
SMALL, LARGE = 1024, 2048  # rows of a block: small ones for few rows, or for many threads
MANY_THREADS = 8
TRIALS = 3
GAIN = 0.8  # of the time: what a coarse product must save to be worth its second looks
CHECKED = 512  # rows that a routine is tried on
UNIT = 2.0**-24  # unit roundoff of float32
HALF_UNIT = 2.0**-8  # unit roundoff of bfloat16


class Product(NamedTuple):
    """Products of rows with rows, made in the calling thread.

    Attributes:
        name: of the routine.
        guard: how far a product can be from its score, however it is summed.
        coarse: whether products are rounded to bfloat16 on top of that, and come as `Halves`.
        multiply: writes x_i · y_j, the rows of one slice with those of another, into an array.
    """

    name: str
    guard: float
    coarse: bool
    multiply: Multiply


class Candidates(NamedTuple):
    """Routines to choose from, and the rows of a block they are given."""

    block: int
    fine: tuple[Product, ...]
    coarse: tuple[Product, ...] = ()


class Choice(NamedTuple):
    """The quickest routine, and one that is quicker but coarse, where there is one."""

    block: int
    fine: Product
    coarse: Product | None


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


def coarse_guard(dim: int, lost: float) -> float:
    """How far a bfloat16 product can be from the score, before it is itself rounded to bfloat16.

    Where rounding took at most `lost` of any row, |x·y - x̃·ỹ| <= ‖x - x̃‖ + ‖x̃‖ ‖y - ỹ‖ <=
    lost (2 + lost). Products of two bfloat16 numbers are exact in float32, in which they are summed;
    a processor that cuts sums off there, or rounds them to odd, is off by at most a unit of their
    last place, which for sums below 1 is no more than `guard` has for each.

    >>> f"{coarse_guard(512, 0.0012):.4f}"
    '0.0024'
    """
    return lost * (2 + lost) + guard(dim) * (1 + lost) ** 2


def candidates(rows: Singles) -> Candidates:
    """The products for unit `rows` (N, D): numpy's, and torch's where there are many rows.

    A routine that does not keep to its guard (torch when it is told to multiply float32 in
    bfloat16 or TF32) is left out, whatever its speed.
    """
    if len(rows) < MANY:
        return Candidates(min(len(rows), SMALL), (_numpy(rows),))
    kept = [product for product in _products(rows) if _keeps_to_guard(product, rows)]
    fine = tuple(product for product in kept if not product.coarse)
    coarse = tuple(product for product in kept if product.coarse)
    return Candidates(SMALL if threads() > MANY_THREADS else LARGE, fine or (_numpy(rows),), coarse)


def choose(found: Candidates) -> Choice:
    """The fastest of the candidates, each tried a few times in turn; the shortest time counts."""
    if len(found.fine) == 1 and not found.coarse:
        return Choice(found.block, found.fine[0], None)
    pace = _race([*found.fine, *found.coarse], found.block)
    fine = min(found.fine, key=lambda product: pace[product.name])
    quick = [p for p in found.coarse if pace[p.name] < GAIN * pace[fine.name]]
    return Choice(found.block, fine, min(quick, key=lambda p: pace[p.name], default=None))


def singles_of(halves: Halves) -> Singles:
    """bfloat16 numbers, given as bits, in float32.

    >>> singles_of(np.array([0x3F80, -0x4000], np.int16))
    array([ 1., -2.], dtype=float32)
    """
    return (halves.astype(np.int32) << 16).view(np.float32)


def _race(products: Iterable[Product], block: int) -> dict[str, float]:
    pace = dict.fromkeys(products, np.inf)
    one, two = slice(0, block), slice(block, 2 * block)
    out = {coarse: _room(coarse, block, block) for coarse in (False, True)}
    for _ in range(TRIALS):
        for product in pace:
            start = time.perf_counter()
            product.multiply(one, two, out[product.coarse])
            pace[product] = min(pace[product], time.perf_counter() - start)
    return {product.name: seconds for product, seconds in pace.items()}


def _room(coarse: bool, height: int, width: int) -> npt.NDArray[Any]:
    return np.empty((height, width), np.int16 if coarse else np.float32)


def _products(rows: Singles) -> Iterator[Product]:
    yield _numpy(rows)
    try:
        import torch
    except ImportError:
        return
    limit = guard(rows.shape[1])
    whole = torch.from_numpy(rows)

    def fine(across: slice, down: slice, out: Singles) -> None:
        torch.mm(whole[across], whole[down].T, out=torch.from_numpy(out))

    yield Product("torch", limit, False, fine)
    halves = whole.bfloat16()
    lost = max(
        float((part - half.float()).norm(dim=1).max())
        for part, half in zip(torch.split(whole, 2**12), torch.split(halves, 2**12), strict=True)
    )

    def coarse(across: slice, down: slice, out: Halves) -> None:
        product = torch.from_numpy(out).view(torch.bfloat16)
        torch.mm(halves[across], halves[down].T, out=product)

    yield Product(
        "torch bfloat16", coarse_guard(rows.shape[1], lost * (1 + HALF_UNIT)), True, coarse
    )


def _numpy(rows: Singles) -> Product:
    def multiply(across: slice, down: slice, out: Singles) -> None:
        np.matmul(rows[across], rows[down].T, out=out)

    return Product("numpy", guard(rows.shape[1]), False, multiply)


def _keeps_to_guard(product: Product, rows: Singles) -> bool:
    """Whether it does on some rows; the walk looks at every product that it asks the score of.

    The rows are multiplied with themselves too: where all terms of a sum are positive, a routine
    that sums in few bits shows it.
    """
    across, down = slice(0, CHECKED), slice(0, 2 * CHECKED)
    exact = rows[across].astype(np.float64) @ rows[down].T.astype(np.float64)
    out = _room(product.coarse, *exact.shape)
    try:
        product.multiply(across, down, out)
    except RuntimeError:  # torch without such a routine on this machine
        return False
    made = singles_of(out) if product.coarse else out
    rounding = HALF_UNIT * np.abs(made) if product.coarse else 0
    return bool((np.abs(made - exact) <= product.guard + rounding).all())
