"""What the best row of each block of rows can score at most, by the quickest product that is right.

Few probes wait for memory, and eight bits are a quarter of it; many wait for arithmetic, of which
processors do most in bfloat16; float32 is there always. Which is quickest is tried on the rows
themselves, once for each size of the task, and none is used that breaks its own bound.
"""

import sys
import time
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from recognition.comparisons.product import HALF_UNIT, coarse_guard, guard
from recognition.comparisons.threads import workers
from recognition.embeddings import Floats, unit_rows
from recognition.search.quantised import LARGEST, OFFSET, Codes, Quantised, Singles, quantise, slack

Alive = npt.NDArray[np.bool_]

STEP = 2**13  # rows multiplied at a time, whose codes stay in a cache
CELLS = 2**21  # scores of it: so do they
APART = 16  # probes from which each thread multiplies rows of its own, not all the same ones
SMALL = 2**16  # fewer rows, or cells of them all, are multiplied in float32 without a trial
TILE, GROUP = 16, 8  # columns that a processor multiplies at once; rows taken as one at most
TRIALS = 3
TRIED = 64  # rows on which a product must be right


def block_bounds(
    rows: Quantised, alive: Alive, probes: Floats, block: int, numbers: str = "quickest"
) -> Singles:
    """(m, ceil(n / block)) no living row of a block scores more; -inf where none is alive.

    `numbers` may be float32 or int8; the quickest is taken instead where int8 is not right here.
    """
    count = len(rows)
    bounds = _wished(rows, alive, probes, block, numbers)
    found = np.empty((len(probes), -(-count // block)), np.float32)
    step = _step(len(probes), block)

    def fill(start: int) -> None:
        stop = min(start + step, count)
        found[:, start // block : -(-stop // block)] = bounds(slice(start, stop)).T

    starts = range(0, count, step)
    if count < SMALL or len(probes) < APART:
        for start in starts:
            fill(start)
    else:
        with workers() as pool:
            for _ in pool.map(fill, starts):
                pass
    return found


def _wished(rows: Quantised, alive: Alive, probes: Floats, block: int, numbers: str) -> "_Product":
    if numbers == "float32":
        return _Floats(rows, alive, probes, block)
    eight = _EightBits(rows, alive, probes, block) if numbers == "int8" and len(rows) else None
    if eight is not None and eight.right():
        return eight
    return _quickest(rows, alive, probes, block)


def _step(probes: int, block: int) -> int:
    return max(block, min(STEP, CELLS // probes) // block * block)


_chosen: dict[tuple[int, int], type["_Product"]] = {}


def _quickest(rows: Quantised, alive: Alive, probes: Floats, block: int) -> "_Product":
    floats = _Floats(rows, alive, probes, block)
    if len(rows) < SMALL:
        return floats
    task = len(probes).bit_length(), probes.shape[1]
    if task not in _chosen:
        products: list[_Product] = [floats]
        kinds = (_EightBits,) if len(probes) < APART else (_EightBits, _Halves)
        others = [kind(rows, alive, probes, block) for kind in kinds]
        products += [product for product in others if product.right()]
        if len(probes) < APART:
            paces = [_pace(product) for product in products]
        else:
            with workers() as pool:  # in a thread that multiplies alone
                paces = [pool.submit(_pace, product).result() for product in products]
        _chosen[task] = type(products[int(np.argmin(paces))])
    return _chosen[task](rows, alive, probes, block)


def _pace(product: "_Product") -> float:
    """Seconds for as many rows as it will be given, the first call left out: it prepares itself."""
    step = min(len(product.rows), _step(len(product.probes), product.block))
    last = (len(product.rows) - step) // product.block * product.block
    seconds = []
    for trial in range(TRIALS + 1):
        first = trial * last // TRIALS // product.block * product.block  # from memory, not a cache
        start = time.perf_counter()
        product(slice(first, first + step))
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


class _Product:
    """Bounds by one kind of product, for the same probes and any rows."""

    def __init__(self, rows: Quantised, alive: Alive, probes: Floats, block: int) -> None:
        self.rows, self.alive, self.probes, self.block = rows, alive, probes, block

    def __call__(self, rows: slice) -> Singles:
        """(b, m) for rows that begin with a block."""
        raise NotImplementedError

    def right(self) -> bool:
        """Whether this machine has the product, and it keeps to its bounds where it is tried."""
        few = self.rows.part(slice(0, TRIED))
        own = unit_rows(few.vectors)
        probes = np.concatenate([self.probes, own, -own])
        try:
            bounds = type(self)(few, np.ones(len(few), bool), probes, 1)(slice(0, len(few)))
        except (AttributeError, RuntimeError):
            return False
        return bool((bounds >= own @ probes.T).all())

    def _highest(self, scores: Any, rows: slice) -> Any:
        """The highest score of each block, those of rows that are not alive left out."""
        alive = self.alive[rows]
        if not alive.all():
            scores[np.flatnonzero(~alive)] = -np.inf
        return _block_maxima(scores, self.block)


def _block_maxima(scores: Any, block: int) -> Any:
    """Of an array, or a tensor, (n, m) -> (ceil(n / block), m)."""
    whole = len(scores) // block * block
    tensor = not isinstance(scores, np.ndarray)
    grouped = scores[:whole].reshape(-1, block, scores.shape[1])
    highest = grouped.amax(dim=1) if tensor else grouped.max(axis=1)
    if whole == len(scores):
        return highest
    if tensor:
        return _torch().cat([highest, scores[whole:].amax(dim=0, keepdim=True)])
    return np.concatenate([highest, scores[whole:].max(axis=0, keepdims=True)])


class _Floats(_Product):
    """Products in float32."""

    def __init__(self, rows: Quantised, alive: Alive, probes: Floats, block: int) -> None:
        super().__init__(rows, alive, probes, block)
        self.columns = probes.astype(np.float32).T
        self.guard = np.float32(2 * guard(len(self.columns)))

    def __call__(self, rows: slice) -> Singles:
        scores = self._products(self.rows.vectors[rows])
        scores /= self.rows.lengths[rows, None]
        highest: Singles = self._highest(scores, rows)
        highest += self.guard
        return highest

    def _products(self, vectors: Singles) -> Singles:
        """By torch where it is loaded: threads of two libraries wait for each other's core."""
        if "torch" not in sys.modules:
            return cast(Singles, vectors @ self.columns)
        return cast(Singles, (_tensor(vectors) @ _tensor(self.columns)).numpy())


class _EightBits(_Product):
    """Products of codes, which are whole numbers and exact."""

    def __init__(self, rows: Quantised, alive: Alive, probes: Floats, block: int) -> None:
        super().__init__(rows, alive, probes, block)
        # probes in float32 differ from those in float64 by less than guard has for it
        coded = quantise(probes.astype(np.float32), 0)
        self.codes = np.ascontiguousarray((coded.codes - np.uint8(OFFSET)).view(np.int8).T)
        self.steps = coded.steps
        self.lost = coded.lost
        # as many rows as one: a product with few columns leaves most of the processor's tile idle
        self.group = max(1, min(GROUP, TILE // len(probes)))
        self.blocks = np.kron(np.eye(self.group, dtype=np.int8), self.codes)

    def __call__(self, rows: slice) -> Singles:
        torch = _torch()
        part = self.rows.part(rows)
        scores = self._products(part.codes).to(torch.float32).mul_(_tensor(part.steps)[:, None])
        highest: Singles = self._highest(scores, rows).numpy()
        highest *= self.steps
        lost = _block_maxima(_tensor(part.lost)[:, None], self.block).numpy()
        highest += slack(lost, self.lost, len(self.codes)).astype(np.float32)
        return highest

    def _products(self, codes: Codes) -> Any:
        """(n, m) whole numbers: of `group` rows at a time with the probes' codes, block by block."""
        torch = _torch()
        signed = (_tensor(codes) ^ OFFSET).view(torch.int8)
        whole = len(codes) // self.group * self.group
        rest = torch._int_mm(signed[whole:], _tensor(self.codes))
        if not whole:
            return rest
        wide = signed[:whole].reshape(-1, self.group * codes.shape[1])
        found = torch._int_mm(wide, _tensor(self.blocks)).reshape(whole, -1)
        return found if whole == len(codes) else torch.cat([found, rest])

    def right(self) -> bool:
        """Whether it is exact, also where sums are largest."""
        own = self.codes.T.astype(np.int64)
        extreme = LARGEST * np.array([[1], [-1], [1]]).repeat(len(self.codes), axis=1)
        rows = np.concatenate(
            [self.rows.codes[:TRIED].astype(np.int64) - OFFSET, own, -own, extreme]
        )
        try:
            product = self._products((rows + OFFSET).astype(np.uint8)).numpy()
        except (AttributeError, RuntimeError):
            return False
        exact = rows.astype(np.float64) @ self.codes.astype(np.float64)  # whole, below 2^53
        return bool((product == exact).all())


class _Halves(_Product):
    """Products in bfloat16 of rows brought to unit length, summed in float32."""

    def __init__(self, rows: Quantised, alive: Alive, probes: Floats, block: int) -> None:
        super().__init__(rows, alive, probes, block)
        self.columns = _torch().from_numpy(probes).bfloat16().T
        # rounding takes at most a unit of each component, so of the length; and then the score is
        # rounded, which may be as far below as it is large
        lost = HALF_UNIT * (1 + HALF_UNIT)
        self.slack = np.float32(coarse_guard(probes.shape[1], lost) + guard(probes.shape[1]))

    def __call__(self, rows: slice) -> Singles:
        torch = _torch()
        part = self.rows.part(rows)
        unit = _tensor(part.vectors) / _tensor(part.lengths)[:, None]
        scores = unit.bfloat16() @ self.columns
        highest: Singles = self._highest(scores, rows).to(torch.float32).numpy()
        highest += np.abs(highest) * np.float32(HALF_UNIT * (1 + HALF_UNIT)) + self.slack
        return highest


def _torch() -> Any:
    import torch

    return torch


def _tensor(array: npt.NDArray[Any]) -> Any:
    return _torch().from_numpy(np.require(array, requirements=["C", "W"]))
