"""The class matrix on several processes: each keeps its own rows, and what its optimiser has of them.

A checkpoint holds the whole of it, so that other numbers of processes can go on with it.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from margin_losses import Shard
from recognition.training.checkpoint import Checkpoint
from recognition.training.optimisers import settle
from recognition.training.ranks import Ranks
from recognition.training.state import State
from recognition.training.tensor_file import Keep


def own_rows(ranks: Ranks) -> Keep:
    """Of a checkpoint's tensors, this process's rows where each process has its own."""

    def keep(name: str, shape: tuple[int, ...]) -> slice:
        # of its one parameter, the weight, an optimiser of the head keeps numbers and rows
        if shape and (name == "head.weight" or name.startswith("optimiser.head.")):
            return ranks.part(shape[0])
        return slice(None)

    return keep


@torch.no_grad()
def divide(state: State, ranks: Ranks) -> None:
    """Leave this process only its rows of a head, and of its optimiser's state."""
    if ranks.world == 1 or isinstance(state.head.shard, Shard):
        return
    settle(state.optimisers)  # what is missed is known by the weight, which goes
    head, optimiser = state.head, state.optimisers.head
    old, part = head.weight, ranks.part(head.num_classes)
    new = nn.Parameter(old[part].clone(), requires_grad=old.requires_grad)
    for group in optimiser.param_groups:
        group["params"] = [new if p is old else p for p in group["params"]]
    if old in optimiser.state:
        optimiser.state[new] = {
            name: value[part].clone() if _is_by_row(value, len(old)) else value
            for name, value in optimiser.state.pop(old).items()
        }
    head.weight, head.shard = new, Shard.even(head.num_classes)


def united(checkpoint: Checkpoint, state: State, ranks: Ranks) -> Checkpoint:
    """The checkpoint of the whole, on the first process; on the others nothing to be kept."""
    if ranks.world == 1:
        return checkpoint
    sizes = ranks.every(len(state.head.weight))
    tensors = dict(checkpoint.tensors)
    # where no row is, nothing has been stepped, and an optimiser keeps nothing
    none = state.head.weight.detach()[:0]
    for name in ranks.told(list(_divided(checkpoint, state))):
        tensors[name] = ranks.gathered(tensors.get(name, none).detach(), sizes)
    return checkpoint._replace(tensors=tensors)


def _divided(checkpoint: Checkpoint, state: State) -> Iterator[str]:
    """The names of the tensors of which each process has its rows."""
    yield "head.weight"
    parameters = [p for group in state.optimisers.head.param_groups for p in group["params"]]
    number = next(n for n, p in enumerate(parameters) if p is state.head.weight)
    rows = len(state.head.weight)
    for name, value in checkpoint.tensors.items():
        if name.startswith(f"optimiser.head.{number}.") and _is_by_row(value, rows):
            yield name


def _is_by_row(value: object, rows: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == rows
