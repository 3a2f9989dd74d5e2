"""SGD for class weights of which a batch touches a few rows."""

import math
from collections.abc import Callable, Iterator
from numbers import Real
from types import EllipsisType
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT, StateDict

from margin_losses.missed_steps import LAST, MOMENTUM, Matrix, bring_up, miss, remember, restored
from margin_losses.tiles import tiles

OPTIONS = ("lr", "momentum", "weight_decay", "nesterov")


class RowSGD(torch.optim.Optimizer):
    """v ← μ v + g + λ w, w ← w - η v, of the rows that have a gradient; v starts at 0.

    With a gradient that is sparse in its rows, as `Sampled` gives it, only those rows of the weight
    and of the momentum are read and written. A row that is not touched stays as it is: it neither
    decays nor drifts on along its momentum, and at its next touch the momentum goes on from where
    it was. The first version of Partial FC and PLSC's sparse momentum do the same. With a dense
    gradient, as the second version of Partial FC has it, all rows decay and drift at every step;
    this is then `torch.optim.SGD`.

    With `catch_up`, it is that of sparse gradients too, to rounding, under any schedule: a row is
    given the decay and the drift of all the steps it missed, in one pass, before it is next read.
    `MarginHead` and `margin_softmax` see to that: a sampled pass brings up the rows it samples;
    `logits`, `prototypes`, `class_matrix`, a pass over all classes, and a change of classes bring
    up all. Whatever else reads the weight (`head.weight`, a copy, `state_dict` for use without this
    optimiser) finds rows as they last were: call `settle()` before, and before weights are written
    by hand. Beside weight and momentum this takes 4 bytes a row. A parameter whose `grad` is None
    misses nothing, as with torch.

    The momentum is a tensor of the weight's shape and dtype, made at the first step.

    Args:
        params: parameters or groups of them.
        lr: η.
        momentum: μ.
        weight_decay: λ.
        nesterov: step along g + λ w + μ v, with the new v, in place of v.
        catch_up: rows make up for the steps they missed.

    Raises:
        ValueError: options that make no sense; at a step, a gradient that is sparse in another way
            than by rows. Nothing has changed by then.

    >>> weight = torch.nn.Parameter(torch.ones(3, 2))
    >>> (3 * torch.embedding(weight, torch.tensor([1]), sparse=True)).sum().backward()
    >>> RowSGD([weight], lr=0.1, weight_decay=0.5).step()
    >>> weight.data
    tensor([[1.0000, 1.0000],
            [0.6500, 0.6500],
            [1.0000, 1.0000]])

    Every row but one misses a step, and makes up for it:

    >>> optimiser = RowSGD([weight], lr=0.1, weight_decay=0.5, catch_up=True)
    >>> weight.grad = weight.grad * 0
    >>> optimiser.step()
    >>> optimiser.settle()
    >>> weight.data
    tensor([[0.9500, 0.9500],
            [0.6175, 0.6175],
            [0.9500, 0.9500]])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        catch_up: bool = False,
    ) -> None:
        options = dict(zip(OPTIONS, (lr, momentum, weight_decay, nesterov), strict=True))
        super().__init__(params, {**options, "catch_up": catch_up})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """More parameters, with options of their own if given."""
        _check(**{name: param_group.get(name, self.defaults[name]) for name in OPTIONS})
        super().add_param_group(param_group)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of every parameter with a gradient; what the closure returns, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        touched = [
            (group, p, *_touched(p.grad))
            for group in self.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        for group, p, index, gradient in touched:
            bring_up(p, index)
            options = {name: group[name] for name in OPTIONS}
            velocity = self._velocity(p) if options["momentum"] else None
            update_rows(p, velocity, index, gradient, options)
            if group["catch_up"] and index is not None:
                miss(p, self.state[p], index, transition(**options))
        return loss

    def settle(self) -> None:
        """Give all rows the steps that they missed with `catch_up`, in place."""
        for p in self._parameters():
            bring_up(p)

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Go on from a saved state; that of torch.optim.SGD fits too.

        Load the weights as well, before or after: what rows miss is of the weights saved with it.

        Raises:
            ValueError: it is of other parameters.
        """
        numbers = (number for group in state_dict["param_groups"] for number in group["params"])
        saved = (state_dict["state"].get(number, {}) for number in numbers)
        pairs = zip(self._parameters(), saved, strict=False)  # how many there are is checked below
        last = {p: restored(p, of) for p, of in pairs if LAST in of}
        super().load_state_dict(state_dict)
        for p, steps in last.items():
            self.state[p][LAST] = steps

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("catch_up", self.defaults["catch_up"])
        for p in self._parameters():
            remember(p, self.state.get(p, {}))

    def _parameters(self) -> Iterator[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    def _velocity(self, p: Tensor) -> Tensor:
        state = self.state[p]
        if state.get(MOMENTUM) is None:
            state[MOMENTUM] = torch.zeros_like(p)
        velocity: Tensor = state[MOMENTUM]
        return velocity


def sgd_rows(
    rows: Tensor,
    velocity: Tensor | None,
    gradient: Tensor,
    *,
    lr: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """One step of SGD on some rows and their momentum, both in place; all of one shape.

    The momentum is left out where there is none, and 0 before the first step.
    """
    step = gradient.add(rows, alpha=weight_decay) if weight_decay else gradient
    if velocity is not None:
        velocity.mul_(momentum).add_(step)
        step = step.add(velocity, alpha=momentum) if nesterov else velocity
    rows.add_(step, alpha=-lr)


def transition(*, lr: float, momentum: float, weight_decay: float, nesterov: bool) -> Matrix:
    """What a step without a gradient makes of (w, v): the matrix of `sgd_rows` with g = 0, by rows."""
    if not momentum:
        return (1 - lr * weight_decay, 0.0, 0.0, 1.0)
    drift, decay = (momentum, 1 + momentum) if nesterov else (1, 1)
    return (1 - lr * decay * weight_decay, -lr * drift * momentum, weight_decay, momentum)


def update_rows(
    weight: Tensor,
    velocity: Tensor | None,
    index: Tensor | None,
    gradient: Tensor,
    options: dict[str, Any],
) -> None:
    """One step on the rows of `index`, or on all of them, in place, a tile at a time.

    The gradient has the rows of `index`, each there once; options are those of `sgd_rows`.
    """
    stored = [weight] if velocity is None else [weight, velocity]
    for tile in _tiles(gradient):
        if index is None:
            _step([part[tile] for part in stored], gradient[tile], options)
            continue
        at = index[tile]
        parts = [whole.index_select(0, at) for whole in stored]
        _step(parts, gradient[tile], options)
        for whole, part in zip(stored, parts, strict=True):
            whole.index_copy_(0, at, part)


def _step(parts: list[Tensor], gradient: Tensor, options: dict[str, Any]) -> None:
    rows, *velocity = parts
    sgd_rows(rows, velocity[0] if velocity else None, gradient, **options)


def _tiles(gradient: Tensor) -> Iterator[slice | EllipsisType]:
    """What to take of the first axis; all at once of a number without one."""
    if not gradient.ndim:
        return iter((...,))
    return tiles(len(gradient), math.prod(gradient.shape[1:]), gradient.device)


def _touched(gradient: Tensor) -> tuple[Tensor | None, Tensor]:
    """The rows that have a gradient, each once, or None for all of them; and their gradient."""
    if not gradient.is_sparse:
        return None, gradient
    if gradient.sparse_dim() != 1:
        raise ValueError(
            "RowSGD: expected a gradient that is dense or sparse in its rows alone (sparse_dim 1), "
            f"got {gradient.sparse_dim()} sparse dimensions; give it p.grad.to_dense()"
        )
    # autograd forgets that a gradient is coalesced when it stores it
    if not (gradient._indices()[0].diff() > 0).all():
        gradient = gradient.coalesce()
    return gradient._indices()[0], gradient._values()


def _check(lr: object, momentum: object, weight_decay: object, nesterov: object) -> None:
    """Refuse options that make no sense."""
    limits = {"lr": math.inf, "momentum": 1, "weight_decay": math.inf}
    for (name, limit), value in zip(limits.items(), (lr, momentum, weight_decay), strict=True):
        number = float(value) if isinstance(value, Real) else math.nan
        if not 0 <= number < limit:
            wanted = "a finite number >= 0" if limit == math.inf else f"0 <= {name} < {limit}"
            raise ValueError(f"RowSGD: {name}: expected {wanted}, got {value!r}")
    if nesterov and not momentum:
        raise ValueError(
            "RowSGD: nesterov looks ahead along the momentum, expected momentum > 0 with it, "
            f"got {momentum!r}; 0.9 is usual"
        )
