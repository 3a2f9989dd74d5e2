"""How a backbone and a head are trained: the numbers, all in one place."""

import math
from dataclasses import dataclass

import torch

from recognition.backbones.registry import find_backbone
from recognition.errors import InputError

LARGEST = {
    "lr": 10,
    "weight_decay": 10,
    "warmup": 1,
    "turn": math.pi,
    "zoom": 0.9,
    "shift": 1,
    "light": 1,
}


@dataclass(frozen=True)
class Recipe:
    """AdamW with a short warm-up and a cosine decay to zero.

    Attributes:
        backbone: a name in `BACKBONES`, or `timm:NAME`.
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
    steps: int = 400
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
        find_backbone(self.backbone)
        for name, low in (("steps", 1), ("batch_size", 2)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise InputError(f"{name}: expected a whole number >= {low}, got {value}")
        for name, most in LARGEST.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise InputError(f"{name}: expected 0 <= {name} <= {most:g}, got {value:g}")
        if self.lr == 0:
            raise InputError("lr: expected a number > 0, got 0")
        self._check_device()

    def _check_device(self) -> None:
        if self.device == "meta":
            raise InputError("device 'meta' holds no numbers; train on cpu, or on cuda")
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0][:120]
            raise InputError(f"device {self.device!r} cannot be used here: {reason}") from None

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, 0 <= step < steps."""
        rise = max(1, round(self.warmup * self.steps))
        if step < rise:
            return self.lr * (step + 1) / rise
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))
