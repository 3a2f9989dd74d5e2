"""Steps that rows missed, made up for before anybody reads them.

Without a gradient, a step of SGD is linear in a row and its momentum: (w, v) ← M (w, v), with the
same 2 x 2 matrix M for every row. So a row that missed steps needs only to know which was the last
one it has, and the product of the matrices since then gives it what it missed, in one pass.

What is missed lies in the optimiser's state of the weight, as tensors and plain numbers:

    last      (C,) int32, the number of the step up to which each row is
    steps     how many steps there were
    missed    the matrices of the latest steps, row by row, four numbers each

Whoever reads rows of a weight calls `bring_up` before; it finds the state by the weight.
"""

import math
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from margin_losses.tiles import tiles

MOMENTUM = "momentum_buffer"  # as torch.optim.SGD calls it, whose state can be loaded
LAST, STEPS, MISSED = "last", "steps", "missed"
LONGEST = (
    1024  # matrices that are kept; rows that missed more than half as many are brought up then
)
IDENTITY = (1.0, 0.0, 0.0, 1.0)

State = dict[str, Any]
Matrix = Sequence[float]

_owed: dict[int, tuple["weakref.ref[Tensor]", State]] = {}  # by id; gone with the weight


def bring_up(weight: Tensor, index: Tensor | None = None) -> None:
    """Give rows the steps that they missed, in place: these, (n,), each once, or all of them."""
    if _owed:  # compiled code has no break here as long as nothing is owed
        _bring_up(weight, index)


def bring_up_own(weight: Tensor, rows: Tensor) -> None:
    """The same of the batch's own rows, (B,), which may come twice or be elsewhere."""
    if _owed:
        here = rows[(rows >= 0) & (rows < len(weight))]
        _bring_up(weight, here.unique())  # type: ignore[no-untyped-call]


def miss(weight: Tensor, state: State, index: Tensor, matrix: Matrix) -> None:
    """Count a step that only the rows of `index` took; it is `matrix` for all others.

    The rows of `index` have missed nothing before.
    """
    if tuple(matrix) == IDENTITY:
        return
    if _find(weight) is not state:
        bring_up(weight)  # what another optimiser left
    if LAST not in state:
        last = torch.zeros(len(weight), dtype=torch.int32, device=weight.device)
        state.update({LAST: last, STEPS: 0, MISSED: []})
    state[STEPS] += 1
    state[MISSED].append(list(matrix))
    state[LAST].index_fill_(0, index, state[STEPS])
    remember(weight, state)
    if len(state[MISSED]) > LONGEST:
        kept = LONGEST // 2
        late = (state[LAST] < state[STEPS] - kept).nonzero().squeeze(1)
        _make_up(weight, state, late)
        del state[MISSED][:-kept]


def remember(weight: Tensor, state: State) -> None:
    """From here on this is what the rows of the weight missed, if they did."""
    key = id(weight)
    if not state.get(MISSED):
        _owed.pop(key, None)
    elif _find(weight) is not state:
        _owed[key] = (weakref.ref(weight, lambda _: _owed.pop(key, None)), state)


def restored(weight: Tensor, saved: State) -> Tensor:
    """`last` as it was saved; loading an optimiser makes it of the weight's dtype.

    Raises:
        ValueError: it is not of this weight, or does not fit the steps beside it.
    """
    steps, missed = saved.get(STEPS), saved.get(MISSED)
    last: Tensor = torch.as_tensor(saved[LAST]).to(weight.device, torch.int32)
    if last.shape != weight.shape[:1]:
        raise ValueError(
            f"{LAST}: expected a step for each of the {len(weight)} rows, got {tuple(last.shape)}"
        )
    if isinstance(steps, int) and isinstance(missed, list):
        matrices = all(len(each) == 4 and all(map(math.isfinite, each)) for each in missed)
        if matrices and ((last <= steps) & (last >= steps - len(missed))).all():
            return last
    raise ValueError(f"{LAST}, {STEPS} and {MISSED} do not belong together")


@torch.compiler.disable  # type: ignore[untyped-decorator]
@torch.no_grad()
def _bring_up(weight: Tensor, index: Tensor | None) -> None:
    state = _find(weight)
    if state is None:
        return
    if index is not None:
        last = state[LAST]
        index = index.to(last.device)
        _make_up(weight, state, index[last[index] < state[STEPS]])
        return
    _make_up(weight, state, (state[LAST] < state[STEPS]).nonzero().squeeze(1))
    state[LAST].zero_()
    state[STEPS] = 0
    state[MISSED].clear()
    remember(weight, state)


def _find(weight: Tensor) -> State | None:
    """What the rows of this weight missed, if any did."""
    reference, state = _owed.get(id(weight), (None, None))
    return state if reference is not None and reference() is weight else None


def _make_up(weight: Tensor, state: State, index: Tensor) -> None:
    """Give these rows, which all missed some, each there once, what they missed."""
    if not len(index):
        return
    last, velocity = state[LAST], state.get(MOMENTUM)
    behind = state[STEPS] - last[index]
    products = _products(state[MISSED], int(behind.max())).to(weight.device)
    ones = (1,) * (weight.ndim - 1)
    for tile in tiles(len(index), weight[0].numel(), weight.device):
        at = index[tile]
        here = at.to(weight.device)  # the head may have been moved, its optimiser cannot be
        rows = weight.index_select(0, here)
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        missed = products[behind[tile].to(weight.device)].to(rows.dtype)
        a, b, c, d = (each.view(-1, *ones) for each in missed.unbind(1))
        now = rows * a
        if velocity is not None:
            v = velocity.index_select(0, at).to(rows)
            now.addcmul_(v, b)
            velocity.index_copy_(0, at, v.mul_(d).addcmul_(rows, c).to(velocity))
        weight.index_copy_(0, here, now.to(weight.dtype))
    last.index_fill_(0, index, state[STEPS])


def _products(missed: list[Matrix], longest: int) -> Tensor:
    """The product of the latest k matrices, newest on the left, for k = 0, ..., longest: (k, 4).

    None is the quotient of two others, which would lose digits as the matrices shrink.
    """
    a, b, c, d = IDENTITY
    found = [(a, b, c, d)]
    for number in range(1, longest + 1):
        e, f, g, h = missed[-number]
        a, b, c, d = a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h
        found.append((a, b, c, d))
    return torch.tensor(found, dtype=torch.float64)
