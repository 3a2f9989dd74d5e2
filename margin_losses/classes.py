"""Classes come and go: other rows of the weight, and all that goes along with them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from margin_losses.margin import Margin, is_whole
from margin_losses.missed_steps import bring_up
from margin_losses.wrappers import CLASS_MARGINS, PerClass, Wrapper

if TYPE_CHECKING:
    from margin_losses.head import MarginHead


@torch.no_grad()
def add_classes(
    head: "MarginHead",
    new: int | Tensor,
    margins: Sequence[float] | Tensor | None,
    optimiser: Optimizer | None,
) -> range:
    """See `MarginHead.add_classes`."""
    refuse_change(head, "add_classes")
    _check_optimiser(optimiser, head.weight)
    count, first = _check_new(head, new), head.num_classes
    m = _check_margins(head.margin, margins, count)
    margin = _with_margins(head.margin, lambda old: (*old, *m))
    _check_state(head, margin, first + count)
    bring_up(head.weight)
    weight = torch.cat([head.weight, _new_rows(head, new, count)])
    _change_margins(head, lambda old: torch.cat([old, old.new_tensor(m)]))
    _replace(head, weight, margin, lambda state: _grow(state, count), optimiser)
    return range(first, first + count)


@torch.no_grad()
def remove_classes(
    head: "MarginHead", labels: Tensor | Iterable[int], optimiser: Optimizer | None
) -> Tensor:
    """See `MarginHead.remove_classes`."""
    refuse_change(head, "remove_classes")
    _check_optimiser(optimiser, head.weight)
    stays = torch.ones(head.num_classes, dtype=torch.bool, device=head.weight.device)
    stays[_check_removed(labels, head.num_classes).to(stays.device)] = False
    kept = stays.nonzero().squeeze(1)
    fewest = max(head.margin.fewest_classes, 1)
    if len(kept) < fewest:
        raise ValueError(
            f"remove_classes: {head.margin!r} needs at least {fewest} classes, "
            f"{len(kept)} would be left"
        )
    margin = _with_margins(head.margin, lambda old: tuple(old[i] for i in kept.tolist()))
    _check_state(head, margin, len(kept))
    bring_up(head.weight)
    _change_margins(head, lambda old: old[kept])
    _replace(head, head.weight[kept], margin, lambda state: state[kept], optimiser)
    mapping = torch.full_like(stays, -1, dtype=torch.int64)
    mapping[kept] = torch.arange(len(kept), device=kept.device)
    return mapping


def refuse_change(head: "MarginHead", what: str) -> None:
    """Raise a ValueError where the rows of the weight are not to be changed."""
    head.refuse_part(what)
    if getattr(head.kernel, "update", None) is not None:
        raise ValueError(
            f"{what}: expected a kernel that leaves the weight alone, got {head.kernel!r}, whose "
            "update= knows these rows; set head.kernel = dense first, and make the update anew after"
        )


def _check_new(head: "MarginHead", new: int | Tensor) -> int:
    """How many classes these are."""
    if not isinstance(new, Tensor):
        if not is_whole(new) or new < 0:
            raise ValueError(
                "add_classes: expected how many classes, a whole number >= 0, or a tensor with "
                f"a row for each, got {new!r}"
            )
        return int(new)
    stored = tuple(head.weight.shape[1:])
    shapes = sorted({(*stored[:-1], head.embedding_dim), stored})
    if tuple(new.shape[1:]) not in shapes or not new.is_floating_point():
        wanted = " or ".join(f"(n, {', '.join(map(str, shape))})" for shape in shapes)
        raise ValueError(
            f"add_classes: this head takes rows of a floating dtype and shape {wanted}, got "
            f"{new.dtype} of {tuple(new.shape)}"
        )
    if not new.to(head.weight.dtype).isfinite().all():
        raise ValueError(
            "add_classes: expected finite numbers within the range of "
            f"{head.weight.dtype}, which the weight is"
        )
    return len(new)


def _new_rows(head: "MarginHead", new: int | Tensor, count: int) -> Tensor:
    """Rows of weight for checked classes, drawn or as given."""
    rows = head.weight.new_zeros(count, *head.weight.shape[1:])
    if isinstance(new, Tensor):
        rows[..., : new.shape[-1]] = new
    else:
        head.draw(rows)
    return rows


def _check_state(head: "MarginHead", margin: Margin, num_classes: int) -> None:
    """Refuse numbers per class that are not known how to change."""
    for name, value in margin.init(num_classes).items():
        if name != CLASS_MARGINS and value.shape != head.get_buffer(name).shape:
            raise ValueError(
                f"{margin!r} keeps numbers for each class in {name!r}, which other classes do "
                "not have; give the weights to MarginHead.from_weights with a margin made for "
                f"{num_classes} classes"
            )


def _change_margins(head: "MarginHead", change: Callable[[Tensor], Tensor]) -> None:
    buffers = dict(head.named_buffers())
    if CLASS_MARGINS in buffers:
        setattr(head, CLASS_MARGINS, change(buffers[CLASS_MARGINS]))


def _replace(
    head: "MarginHead",
    weight: Tensor,
    margin: Margin,
    rows: Callable[[Tensor], Tensor],
    optimiser: Optimizer | None,
) -> None:
    """Take other rows of weight; `rows` makes the optimiser's state of them from the old."""
    old, head.margin, head.num_classes = head.weight, margin, len(weight)
    head.weight = nn.Parameter(weight, requires_grad=old.requires_grad)
    if optimiser is not None:
        _follow(optimiser, old, head.weight, rows)


def _check_removed(labels: Tensor | Iterable[int], num_classes: int) -> Tensor:
    """Different labels of classes, (n,) int64; n may be 0.

    Raises:
        ValueError: they are not.
    """
    wanted = f"remove_classes: expected a list of labels 0 <= label < {num_classes}, each once"
    if getattr(labels, "ndim", 1) != 1 or not hasattr(labels, "__iter__"):
        raise ValueError(f"{wanted}, got {labels!r}")
    found = labels if isinstance(labels, Tensor) else torch.tensor(list(labels))
    if len(found) == 0:
        return found.long()
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        raise ValueError(f"{wanted}, as whole numbers, got {found.dtype}")
    wrong = found[(found < 0) | (found >= num_classes)]
    if len(wrong):
        raise ValueError(f"{wanted}, got {int(wrong[0])}")
    counts = found.bincount()
    if (counts > 1).any():
        raise ValueError(f"{wanted}, got {int(counts.argmax())} more than once")
    return found.long()


def _check_optimiser(optimiser: Optimizer | None, weight: Tensor) -> None:
    """Refuse an optimiser that does not step this weight, or could not go on with other rows.

    Raises:
        ValueError: it is no optimiser, does not have the weight, or keeps something for it that is
            neither one number, nor a whole number a row, nor of the weight's shape.
    """
    if optimiser is None:
        return
    if not isinstance(optimiser, Optimizer):
        raise ValueError(f"optimiser: expected a torch.optim.Optimizer, got {optimiser!r}")
    if not any(p is weight for group in optimiser.param_groups for p in group["params"]):
        raise ValueError(
            "optimiser: expected the one that steps this head's weight, got one that does not have "
            "it; leave it out, or make it from head.parameters()"
        )
    for name, value in optimiser.state.get(weight, {}).items():
        if isinstance(value, Tensor) and value.ndim and not follows_rows(value, weight):
            raise ValueError(
                f"optimiser: expected state of the weight's shape {tuple(weight.shape)}, got "
                f"{name} of {tuple(value.shape)} from {type(optimiser).__name__}; leave it out, and "
                "make a new one from head.parameters()"
            )


def follows_rows(value: Tensor, weight: Tensor) -> bool:
    """Whether it has the weight's shape, or is a whole number for each of its rows."""
    numbered = not value.is_floating_point() and value.shape == weight.shape[:1]
    return numbered or value.shape == weight.shape


def _follow(
    optimiser: Optimizer, old: Tensor, new: Tensor, rows: Callable[[Tensor], Tensor]
) -> None:
    """Let a checked optimiser step `new` in place of `old`, its state changed by `rows`."""
    for group in optimiser.param_groups:
        group["params"][:] = [new if p is old else p for p in group["params"]]
    if old in optimiser.state:
        optimiser.state[new] = {
            name: rows(value) if isinstance(value, Tensor) and value.ndim else value
            for name, value in optimiser.state.pop(old).items()
        }


def _grow(rows: Tensor, more: int) -> Tensor:
    """The same rows, and as many more of zeros."""
    return torch.cat([rows, rows.new_zeros(more, *rows.shape[1:])])


def _with_margins(
    margin: Margin, change: Callable[[tuple[float, ...]], tuple[float, ...]]
) -> Margin:
    """The margin with other numbers for each class, where it has them."""
    if isinstance(margin, PerClass):
        return replace(margin, m=change(margin.m))
    if isinstance(margin, Wrapper):
        return replace(margin, margin=_with_margins(margin.margin, change))
    return margin


def _check_margins(
    margin: Margin, margins: Sequence[float] | Tensor | None, count: int
) -> list[float]:
    """The m of each new class, for a margin that has one for each; else none.

    Raises:
        ValueError: there are too many or too few.
    """
    while isinstance(margin, Wrapper) and not isinstance(margin, PerClass):
        margin = margin.margin
    if not isinstance(margin, PerClass):
        if margins is not None:
            raise ValueError(f"margins: {margin!r} has none for each class; leave out margins=")
        return []
    if margins is None or len(margins) != count:
        raise ValueError(
            f"margins: {margin!r} has an m for each class; expected margins= with one for each of "
            f"the {count} new ones, got {'none' if margins is None else len(margins)}"
        )
    return margins.tolist() if isinstance(margins, Tensor) else list(margins)
