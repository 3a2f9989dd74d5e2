"""How a backbone and a head are trained: the numbers, all in one place."""

import math
from dataclasses import dataclass, fields

import torch

from recognition.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """AdamW with a short warm-up and a cosine decay to zero.

    Attributes:
        backbone: a name in `BACKBONES`.
        steps: batches seen; the same for every data set, so a run takes the same time on each.
        batch_size: pictures a batch.
        lr: the highest learning rate.
        weight_decay: on matrices only, neither on norms nor on class weights: decay would turn
            the length of a class weight, which some heads use and others ignore, into a
            difference between heads.
        warmup: share of the steps over which the learning rate rises.
        mirror: whether half of the pictures are mirrored, left to right.
        turn: largest rotation, radians.
        zoom: largest relative change of size.
        shift: largest shift, as a share of the side.
        light: largest relative change of brightness and of contrast.
        device: where to train.
    """

    backbone: str = "small"
    steps: int = 500
    batch_size: int = 64
    lr: float = 4e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    mirror: bool = True
    turn: float = 0.15
    zoom: float = 0.1
    shift: float = 0.06
    light: float = 0.2
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, low in (("steps", 1), ("batch_size", 2)):
            if getattr(self, name) < low:
                raise InputError(f"{name}: expected {low} or more, got {getattr(self, name)}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
                raise InputError(f"{field.name}: expected a finite number >= 0, got {value:g}")
        if self.lr == 0:
            raise InputError("lr: expected a number > 0, got 0")
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"device {self.device!r} cannot be used here: {reason}") from None

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, 0 <= step < steps."""
        rise = max(1, round(self.warmup * self.steps))
        if step < rise:
            return self.lr * (step + 1) / rise
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))
