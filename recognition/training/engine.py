"""Steps on Lightning Fabric, one device: forward, backward, and what a number that is not finite does.

A step whose loss or gradient is not finite changes nothing, running statistics included; it is
counted, and named with the pictures of its batch.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from recognition.backbones.registry import find_backbone
from recognition.errors import InputError
from recognition.training.augment import augment, to_input
from recognition.training.config import RunConfig, TrainConfig
from recognition.training.monitor import other_cosine
from recognition.training.optimisers import set_share
from recognition.training.schedules import share_at
from recognition.training.state import State, seeded
from recognition.training.supply import Batch

PRECISION = {"32": "32-true", "bf16": "bf16-mixed"}
DRAWS, CHANGES = 1, 2  # what seeds are for: dropout and whatever the head draws; augmentation


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


def make_fabric(run: RunConfig, loggers: Sequence[Any] = ()) -> Fabric:
    """Fabric on the one device of a run.

    Raises:
        InputError: this machine does not have it.
    """
    name, _, number = run.device.partition(":")
    try:
        return Fabric(
            accelerator=name,
            devices=[int(number)] if number else 1,
            precision=PRECISION[run.precision],  # type: ignore[arg-type]
            loggers=list(loggers),
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise InputError(f"device {run.device!r} cannot be used here: {reason}") from None


class Engine:
    """Takes steps of a run."""

    def __init__(self, state: State, config: TrainConfig, fabric: Fabric) -> None:
        self.state, self.config, self.fabric = state, config, fabric
        self.backbone, self.optimiser = fabric.setup(state.backbone, state.optimisers.backbone)
        self.head, self.head_optimiser = fabric.setup(state.head, state.optimisers.head)
        self.head.mark_forward_method("loss_and_statistics")
        self.standardisation = find_backbone(config.model.backbone).standardisation

    def step(self, batches: Sequence[Batch]) -> Report:
        """One step on the mean gradient of these batches.

        Raises:
            InputError: too many steps in a row could not be taken.
        """
        state, run = self.state, self.config.run
        set_share(state.optimisers, share_at(self.config.schedule, state.step, run.steps))
        torch.manual_seed(seeded(run.seed, DRAWS, state.step))
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
            self.head_optimiser.step()
            self._average()
            state.in_a_row = 0
        except _NotFiniteError as error:
            why = str(error)
            _restore(state, before)
            self._skip(why, batches)
        self.optimiser.zero_grad()
        self.head_optimiser.zero_grad()
        state.step += 1
        loss, accuracy, angle, cosine = (
            torch.stack(sums).mean(0).tolist() if sums else [math.nan] * 4
        )
        lr, head_lr = self._rates()
        return Report(state.step, loss, accuracy, angle, cosine, gradient, lr, head_lr, why)

    def _backward(self, batch: Batch, number: int, of: int) -> Tensor:
        """Gradients of one batch; its loss, accuracy, angle and cosine."""
        state, run = self.state, self.config.run
        images, labels = batch.images.to(self.fabric.device), batch.labels.to(self.fabric.device)
        generator = torch.Generator().manual_seed(seeded(run.seed, CHANGES, state.step, number))
        pictures = augment(to_input(images, self.standardisation), self.config.augment, generator)
        embeddings = self.backbone(pictures)
        if not bool(embeddings.isfinite().all()):
            raise _NotFiniteError("embeddings are not finite")
        loss, statistics = self.head.loss_and_statistics(embeddings, labels)
        if not bool(loss.isfinite()):
            raise _NotFiniteError("the loss is not finite")
        self.fabric.backward(loss / of)
        cosine = torch.tensor(other_cosine(embeddings, labels))
        return torch.stack(
            [each.detach().float().cpu() for each in (loss, *statistics[:2], cosine)]
        )

    def _clip(self) -> float:
        most = self.config.optimiser.clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.state.backbone.parameters(), most)
        if not bool(norm.isfinite()):
            raise _NotFiniteError("the backbone's gradient is not finite")
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
        names = [name for batch in batches for name in batch.ids]
        state.skipped.append({"step": state.step + 1, "why": why, "pictures": names})
        state.in_a_row += 1
        if state.in_a_row >= run.patience:
            raise InputError(
                f"training with {state.head.margin!r} has run away: {why} at step "
                f"{state.step + 1}, {state.in_a_row} in a row; try a smaller learning rate "
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
