"""Steps on Lightning Fabric: forward, backward, and what a number that is not finite does.

Of several processes each has a part of the batch and a part of the classes. The backbone is
data-parallel: DistributedDataParallel averages its gradients, so `gather_batch` multiplies those of
the embeddings by the number of processes, and they are the gradients of the mean over the whole
batch. The head sees that batch on every process, and draws what it draws from one seed. Batch
normalisation is over the whole batch, each of several that are accumulated by itself.

A step whose loss or gradient is not finite changes nothing, running statistics included; it is
counted, and named with the pictures of its batch.
"""

import math
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from margin_losses.shards import gather_batch
from recognition.backbones.registry import find_backbone
from recognition.errors import InputError
from recognition.training.augment import augment, to_input
from recognition.training.config import RunConfig, TrainConfig
from recognition.training.monitor import other_cosine
from recognition.training.optimisers import set_share
from recognition.training.ranks import Ranks
from recognition.training.schedules import share_at
from recognition.training.state import State, seeded
from recognition.training.supply import Batch
from recognition.training.synchronised_norm import Synchronised

PRECISION = {"32": "32-true", "bf16": "bf16-mixed"}
# what seeds are for: dropout, by rank; augmentation; whatever the head draws
DROPOUT, CHANGES, DRAWS = 1, 2, 3
PATIENCE = timedelta(minutes=30)  # the longest that others wait, for a validation for instance


class Report(NamedTuple):
    """What a step was.

    Attributes:
        step: its number, from 1.
        loss: the mean over its batches.
        accuracy: share of pictures whose own class has the largest plain logit.
        angle: mean angle to the own class, radians.
        cosine: mean cosine between embeddings of different people.
        gradient: norm of the backbone's gradient before clipping.
        lr: of the backbone.
        head_lr: of the head.
        skipped: why it changed nothing; empty where it was taken.
    """

    step: int
    loss: float
    accuracy: float
    angle: float
    cosine: float
    gradient: float
    lr: float
    head_lr: float
    skipped: str = ""


class _NotFiniteError(Exception):
    """A number of this step is not finite."""


def make_fabric(run: RunConfig) -> Fabric:
    """Fabric on the device of a run; under torchrun on one device for each process.

    Raises:
        InputError: this machine does not have it.
    """
    name, _, number = run.device.partition(":")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
    options: dict[str, Any] = {"devices": [int(number)] if number else 1}
    if world > 1:
        if number:
            raise InputError(
                f"expected a kind of device for {world} processes, each of which takes its own, got "
                f"{run.device!r}; name {name!r}"
            )
        backend = "nccl" if name == "cuda" else "gloo"
        strategy = DDPStrategy(process_group_backend=backend, timeout=PATIENCE)
        options = {"devices": here, "num_nodes": world // here, "strategy": strategy}
    try:
        fabric = Fabric(
            accelerator=name,
            precision=PRECISION[run.precision],  # type: ignore[arg-type]
            **options,
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise InputError(f"device {run.device!r} cannot be used here: {reason}") from None
    if world > 1:
        fabric.launch()
    return fabric


def ranks_of(fabric: Fabric) -> Ranks:
    """Which of the processes this is."""
    return Ranks(fabric.global_rank, fabric.world_size)


class Engine:
    """Takes steps of a run."""

    def __init__(self, state: State, config: TrainConfig, fabric: Fabric) -> None:
        self.state, self.config, self.fabric = state, config, fabric
        self.ranks = ranks_of(fabric)
        self.backbone, self.optimiser = fabric.setup(state.backbone, state.optimisers.backbone)
        state.head.to(fabric.device)
        self.standardisation = find_backbone(config.model.backbone).standardisation

    def step(self, batches: Sequence[Batch]) -> Report:
        """One step on the mean gradient of these batches.

        Raises:
            InputError: too many steps in a row could not be taken.
        """
        state, run = self.state, self.config.run
        set_share(state.optimisers, share_at(self.config.schedule, state.step, run.steps))
        torch.manual_seed(seeded(run.seed, DROPOUT, state.step, self.ranks.rank))
        for module in (state.backbone, state.head):
            module.train()
        before = _buffers(state)
        sums: list[Tensor] = []
        gradient, why = math.nan, ""
        try:
            for number, batch in enumerate(batches):
                sums.append(self._backward(batch, number, len(batches)))
            gradient = self._clip()
            self.optimiser.step()
            state.optimisers.head.step()
            self._average()
            state.in_a_row = 0
        except _NotFiniteError as error:
            why = str(error)
            _restore(state, before)
            self._skip(why, batches)
        self.optimiser.zero_grad()
        state.optimisers.head.zero_grad()
        state.step += 1
        loss, accuracy, angle, cosine = (
            torch.stack(sums).mean(0).tolist() if sums else [math.nan] * 4
        )
        lr, head_lr = self._rates()
        return Report(state.step, loss, accuracy, angle, cosine, gradient, lr, head_lr, why)

    def _backward(self, batch: Batch, number: int, of: int) -> Tensor:
        """Gradients of one batch; its loss, accuracy, angle and cosine."""
        run, step = self.config.run, self.state.step
        labels = batch.labels.to(self.fabric.device)
        with self.fabric.no_backward_sync(self.backbone, enabled=number + 1 < of):
            pictures = self._pictures(batch, number)
            with self._together():
                embeddings = self.backbone(pictures)
            if self.ranks.any(not bool(embeddings.isfinite().all()), self.fabric.device):
                raise _NotFiniteError("embeddings are not finite")
            if self.ranks.world > 1:
                embeddings, labels = gather_batch(embeddings, labels, averaged=True)
            torch.manual_seed(seeded(run.seed, DRAWS, step, number))
            with self.fabric.autocast():
                loss, statistics = self.state.head.loss_and_statistics(embeddings, labels)
            if not bool(loss.isfinite()):
                raise _NotFiniteError("the loss is not finite")
            self.fabric.backward(loss / of)
        cosine = torch.tensor(other_cosine(embeddings, labels))
        return torch.stack(
            [each.detach().float().cpu() for each in (loss, *statistics[:2], cosine)]
        )

    def _together(self) -> AbstractContextManager[object]:
        """Where a forward pass of the backbone is one of all processes."""
        return Synchronised() if self.ranks.world > 1 else nullcontext()

    def _pictures(self, batch: Batch, number: int) -> Tensor:
        """This process's rows, changed as they would be in the whole batch."""
        generator = torch.Generator().manual_seed(
            seeded(self.config.run.seed, CHANGES, self.state.step, number)
        )
        images = to_input(batch.images.to(self.fabric.device), self.standardisation)
        size = sum(self.ranks.every(len(images)))
        changes, rows = self.config.augment, self.ranks.part(size)
        return augment(images, changes, generator, of=size, rows=rows)

    def _clip(self) -> float:
        most = self.config.optimiser.clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.state.backbone.parameters(), most)
        if not bool(norm.isfinite()):
            raise _NotFiniteError("the backbone's gradient is not finite")
        found = [p.grad for p in self.state.head.parameters() if p.grad is not None]
        values = (each._values() if each.is_sparse else each for each in found)
        wrong = not all(bool(each.isfinite().all()) for each in values)
        if self.ranks.any(wrong, self.fabric.device):
            raise _NotFiniteError("the head's gradient is not finite")
        return float(norm)

    @torch.no_grad()
    def _average(self) -> None:
        stays, average = self.config.optimiser.ema, self.state.average
        if average is None:
            return
        backbone = self.state.backbone
        for mean, p in zip(average.parameters(), backbone.parameters(), strict=True):
            mean.lerp_(p, 1 - stays)
        for kept, value in zip(average.buffers(), backbone.buffers(), strict=True):
            kept.copy_(value)

    def _skip(self, why: str, batches: Sequence[Batch]) -> None:
        state, run = self.state, self.config.run
        own = [name for batch in batches for name in batch.ids]
        names = [name for some in self.ranks.every(own) for name in some]
        state.skipped.append({"step": state.step + 1, "why": why, "pictures": names})
        state.in_a_row += 1
        if state.in_a_row >= run.patience:
            raise self._run_away(f"{why} at step {state.step + 1}, {state.in_a_row} in a row")
        self.require_finite()

    def require_finite(self) -> None:
        """Stop where no step can mend the weights, and nobody should keep them.

        Raises:
            InputError: a weight is not finite.
        """
        state = self.state
        for name, module in (("backbone", state.backbone), ("head", state.head)):
            if not all(bool(p.isfinite().all()) for p in module.parameters()):
                raise self._run_away(f"weights of the {name} are not finite by step {state.step}")

    def _run_away(self, why: str) -> InputError:
        state = self.state
        return InputError(
            f"training with {state.head.margin!r} has run away: {why}; try a smaller learning rate "
            f"than {self.config.optimiser.lr:g}, or a smaller scale than "
            f"{float(state.head.geometry.scale):g}; the last checkpoint is sound"
        )

    def _rates(self) -> tuple[float, float]:
        both = self.state.optimisers.backbone, self.state.optimisers.head
        backbone, head = (float(each.param_groups[0]["lr"]) for each in both)
        return backbone, head


def _buffers(state: State) -> list[Tensor]:
    """Running statistics of network and head, as they are before a step."""
    return [value.clone() for module in (state.backbone, state.head) for value in module.buffers()]


@torch.no_grad()
def _restore(state: State, before: Sequence[Tensor]) -> None:
    own = (value for module in (state.backbone, state.head) for value in module.buffers())
    for value, old in zip(own, before, strict=True):
        value.copy_(old)
