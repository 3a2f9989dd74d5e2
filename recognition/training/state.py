"""All that decides what training does next, and its way into a checkpoint and out again.

Whatever is drawn is drawn anew from the seed and the number of the step, so the step is all the
random state there is.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from margin_losses import MarginHead
from margin_losses.kernels import Auto, Chunked, Kernel, dense
from margin_losses.shards import HERE, Here, Shard
from recognition.backbones.registry import create_backbone, find_backbone
from recognition.errors import InputError
from recognition.training.checkpoint import Checkpoint, fill, pack, unpack
from recognition.training.config import TrainConfig
from recognition.training.optimisers import Optimisers, make_optimisers, settle
from recognition.training.ranks import ALONE, Ranks


@dataclass
class State:
    """A run between two steps.

    Attributes:
        backbone: the network that is trained.
        head: over the people learned from.
        optimisers: of both.
        people: (C,) the person of each class.
        average: of the backbone over the steps, where one is kept.
        step: how many steps were taken.
        best: the best validation yet: `step` and `value`; empty before the first.
        skipped: steps whose loss was not finite: the step, why, and the pictures of its batch.
        in_a_row: how many of them were the last ones.
        broken: pictures that could not be decoded so far, by id, each with the reason.
    """

    backbone: nn.Module
    head: MarginHead
    optimisers: Optimisers
    people: Sequence[str]
    average: nn.Module | None = None
    step: int = 0
    best: dict[str, Any] = field(default_factory=dict)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    in_a_row: int = 0
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept: the average, where there is one."""
        return self.backbone if self.average is None else self.average


def fresh(
    config: TrainConfig, people: Sequence[str], device: str | None = None, *, shard: Here = HERE
) -> State:
    """A run before its first step; the seed alone decides the weights, of a shard others.

    The device is that of the configuration unless another is given.

    Raises:
        InputError: a head that cannot be made for so few people.
    """
    model, run = config.model, config.run
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        backbone = create_backbone(model.backbone)
        head = make_head(config, len(people), shard)
    choose_kernel(head, config)
    for module in (backbone, head):
        module.to(device or run.device)
    average = deepcopy(backbone).requires_grad_(False) if config.optimiser.ema else None
    optimisers = make_optimisers(backbone, head, config.optimiser)
    return State(backbone, head, optimisers, list(people), average)


def choose_kernel(head: MarginHead, config: TrainConfig) -> None:
    """Sum over the classes as suits their number; what is chosen goes into the checkpoint."""
    batch = torch.empty(1, head.embedding_dim).expand(config.run.batch_size, -1)  # takes no memory
    head.kernel = Auto().choose(batch, head.weight)


def make_head(config: TrainConfig, classes: int, shard: Here = HERE) -> MarginHead:
    """The head of a configuration, with weights from torch's global generator."""
    rate = config.model.sample_rate
    dimension = find_backbone(config.model.backbone).embedding_dim
    try:
        return MarginHead(
            dimension,
            classes,
            config.model.head,
            sample_rate=None if rate == 1 else rate,
            shard=shard,
        )
    except ValueError as error:
        raise InputError(f"{error}; {classes} people are learned from") from None


def to_checkpoint(state: State, config: TrainConfig) -> Checkpoint:
    """Everything `from_checkpoint` needs; class weights are given the steps that they missed."""
    settle(state.optimisers)
    modules = {"backbone": state.backbone, "head": state.head, "average": state.average}
    tensors = {
        f"{part}.{name}": value
        for part, module in modules.items()
        if module is not None
        for name, value in module.state_dict().items()
    }
    packed = {name: pack(f"optimiser.{name}", each) for name, each in _named(state.optimisers)}
    for each in packed.values():
        tensors |= each.tensors
    told = {
        "config": asdict(config),
        "people": list(state.people),
        "step": state.step,
        "best": state.best,
        "skipped": state.skipped,
        "in_a_row": state.in_a_row,
        "broken": state.broken,
        "kernel": _kernel_told(state.head.kernel),
        "threads": torch.get_num_threads(),
        "optimisers": {name: each.told for name, each in packed.items()},
    }
    return Checkpoint(tensors, told)


def from_checkpoint(
    checkpoint: Checkpoint,
    config: TrainConfig,
    device: str | None = None,
    *,
    ranks: Ranks = ALONE,
) -> State:
    """The run as it was saved, on the device of the configuration unless another is given.

    Of several processes each gives the checkpoint with its own rows (`divided_classes.own_rows`), at the
    same time as the others.

    Raises:
        InputError: it is of another backbone, head, or optimiser, or was not written by this code.
    """
    told = checkpoint.told
    try:
        people = [str(person) for person in told["people"]]
        shard = HERE if ranks.world == 1 else Shard.even(len(people))
        state = fresh(config, people, device, shard=shard)
        fill(state.backbone, checkpoint.part("backbone"), "backbone")
        fill(state.head, checkpoint.part("head"), "head")
        if state.average is not None:
            fill(state.average, checkpoint.part("average"), "backbone's average")
        for name, optimiser in _named(state.optimisers):
            part = Checkpoint(checkpoint.part(f"optimiser.{name}"), told["optimisers"][name])
            unpack(optimiser, part)
        state.head.kernel = _kernel(told["kernel"])
        state.step, state.best = int(told["step"]), dict(told["best"])
        state.skipped, state.in_a_row = list(told["skipped"]), int(told["in_a_row"])
        state.broken = dict(told["broken"])
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"the checkpoint is not as recognition train writes it ({type(error).__name__}: "
            f"{json.dumps(str(error))[:80]}); it is of other code"
        ) from None
    return state


def _named(optimisers: Optimisers) -> list[tuple[str, torch.optim.Optimizer]]:
    return [("backbone", optimisers.backbone), ("head", optimisers.head)]


def _kernel_told(kernel: Kernel) -> dict[str, Any]:
    if isinstance(kernel, Chunked):
        return {"policy": kernel.policy, "size": kernel.size, "routine": kernel.routine}
    return {}


def _kernel(told: dict[str, Any]) -> Kernel:
    return Chunked(**told) if told else dense


def seeded(seed: int, *numbers: int) -> int:
    """A seed for one purpose at one step, unlike those of all others."""
    words = np.random.SeedSequence([seed, *numbers]).generate_state(2, np.uint32)
    return int(words[0]) << 31 ^ int(words[1])
