"""What a training run is asked to do: every number of it, in sections, as a file has them.

Importing this is quick; the heads and networks there are get looked up when a configuration is made.
"""

import math
import re
from dataclasses import dataclass, field, fields
from itertools import pairwise
from types import MappingProxyType

from recognition.errors import InputError
from recognition.training.config_checks import (
    MANY,
    Between,
    check_choices,
    check_limits,
    check_types,
    said,
)

LIMITS = MappingProxyType(
    {
        "data.validation_share": Between(0, 1, open_low=True, open_high=True),
        "data.people": Between(0, MANY),
        "data.workers": Between(1, 256),
        "model.sample_rate": Between(0, 1, open_low=True),
        "optimiser.lr": Between(0, 10, open_low=True),
        "optimiser.head_lr": Between(0, 10),
        "optimiser.momentum": Between(0, 1, open_high=True),
        "optimiser.weight_decay": Between(0, 10),
        "optimiser.head_weight_decay": Between(0, 10),
        "optimiser.clip": Between(0, MANY),
        "optimiser.accumulate": Between(1, 10_000),
        "optimiser.ema": Between(0, 1, open_high=True),
        "schedule.warmup": Between(0, 1),
        "schedule.factor": Between(0, 1, open_low=True),
        "schedule.power": Between(0, 10, open_low=True),
        "augment.turn": Between(0, math.pi),
        "augment.zoom": Between(0, 0.9),
        "augment.shift": Between(0, 1),
        "augment.light": Between(0, 1),
        "validation.every": Between(0, MANY),
        "run.steps": Between(1, MANY),
        "run.batch_size": Between(2, MANY),
        "run.seed": Between(0, 2**32 - 1),
        "run.save_every": Between(1, MANY),
        "run.patience": Between(1, MANY),
    }
)
CHOICES = MappingProxyType(
    {
        "optimiser.name": ("sgd", "adamw"),
        "schedule.name": ("constant", "steps", "cosine", "polynomial"),
        "run.precision": ("32", "bf16"),
    }
)
LARGEST_ADAMW = 0.05  # whatever the gradient, AdamW goes about so far in each number at each step


@dataclass(frozen=True)
class DataConfig:
    """What is learned from, and who is kept apart for validation.

    Attributes:
        pictures: a folder with one folder a person, a `.rec` of MXNet, or a `.csv` with the columns
            path and label.
        validation: other people's pictures; of `pictures` a share of the people is kept apart where
            it is empty.
        validation_share: of the people, kept apart.
        people: how many people to take, drawn at random; 0 for all.
        workers: threads that read and decode pictures.
    """

    pictures: str = ""
    validation: str = ""
    validation_share: float = 0.1
    people: int = 0
    workers: int = 2

    def __post_init__(self) -> None:
        _check(self)
        if self.people and not self.pictures:
            raise InputError(
                f"data.people: goes with pictures of one's own, got {self.people} beside drawn "
                "faces; leave it out, or name pictures"
            )


@dataclass(frozen=True)
class ModelConfig:
    """The network and what it is trained with.

    Attributes:
        backbone: a name in `BACKBONES`, or `timm:NAME`.
        head: a margin by name with options, `arcface:m=0.5,s=64`.
        sample_rate: share of the classes a step is over; 1 for all of them.
    """

    backbone: str = "small"
    head: str = "arcface"
    sample_rate: float = 1.0

    def __post_init__(self) -> None:
        _check(self)
        from margin_losses.registry import HeadSpec
        from recognition.backbones.registry import find_backbone

        find_backbone(self.backbone)
        try:
            HeadSpec.parse(self.head)
        except ValueError as error:
            raise InputError(f"model.head: {error}") from None


@dataclass(frozen=True)
class OptimiserConfig:
    """How parameters are changed.

    Attributes:
        name: `sgd` or `adamw`.
        lr: the highest learning rate of the backbone; of AdamW at most 0.05.
        head_lr: that of the head; 0 for the same.
        momentum: of SGD.
        weight_decay: of the backbone's matrices; neither of norms, of slopes nor of biases.
        head_weight_decay: of the class weights.
        clip: largest norm of the backbone's gradient; 0 for any.
        accumulate: batches whose gradients are averaged for one step.
        ema: of the backbone's average over the steps, which is then what is validated and kept: how
            much of it stays at each step; 0 for none.
        catch_up: of sampled classes, whether those that a step is not over decay and drift on all the
            same, which they make up for before they are next read; else they stay as they are.
    """

    name: str = "sgd"
    lr: float = 0.1
    head_lr: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    head_weight_decay: float = 5e-4
    clip: float = 5.0
    accumulate: int = 1
    ema: float = 0.0
    catch_up: bool = False

    def __post_init__(self) -> None:
        _check(self)
        largest = max(self.lr, self.head_lr)
        if self.name == "adamw" and largest > LARGEST_ADAMW:
            raise InputError(
                f"optimiser.lr: of adamw expected at most {LARGEST_ADAMW:g}, as it goes about so "
                f"far in every number at every step, got {largest:g}; 0.001 is usual"
            )


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rates go from step to step, as shares of the highest.

    Attributes:
        name: `constant`, `steps`, `cosine` or `polynomial`.
        warmup: share of the steps over which they rise.
        milestones: of `steps`: shares of all steps after which they are multiplied by `factor`,
            ascending, none before the warm-up is over.
        factor: of `steps`.
        power: of `polynomial`: (1 - t) ** power.
    """

    name: str = "cosine"
    warmup: float = 0.05
    milestones: tuple[float, ...] = (0.5, 0.7, 0.9)
    factor: float = 0.1
    power: float = 2.0

    def __post_init__(self) -> None:
        _check(self)
        inside = all(0 < share < 1 for share in self.milestones)
        if not inside or any(one >= other for one, other in pairwise(self.milestones)):
            raise InputError(
                "schedule.milestones: expected shares of the steps between 0 and 1, ascending, as "
                f"[0.5, 0.7, 0.9], got {said(self.milestones)}"
            )
        if self.name == "steps" and not self.milestones:
            raise InputError(
                "schedule.milestones: steps goes down at them, expected one at least, got none; "
                "name some, as [0.5, 0.7, 0.9], or take the schedule constant"
            )
        if self.name == "steps" and self.milestones[0] < self.warmup:
            raise InputError(
                f"schedule.milestones: expected all of them after the warm-up, which takes "
                f"{self.warmup:g} of the steps, got {said(self.milestones)}; shorten the warm-up"
            )


@dataclass(frozen=True)
class AugmentConfig:
    """Small random changes of every picture; `recognition.training.augment` says what each is.

    Attributes:
        mirror: whether half of the pictures are mirrored, left to right.
        turn: largest rotation, radians.
        zoom: largest relative change of size.
        shift: largest shift, as a share of the side.
        light: largest relative change of brightness and of contrast.
    """

    mirror: bool = True
    turn: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    light: float = 0.2

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class ValidationConfig:
    """How good the network is on people it does not learn from, while it learns.

    Attributes:
        every: steps from one validation to the next; 0 for the end alone.
        metric: by which the best is kept: `eer`, `auc`, `rank1`, `tar@fmr=0.01`, `fnir@fpir=0.01`.
    """

    every: int = 500
    metric: str = "eer"

    def __post_init__(self) -> None:
        _check(self)
        from recognition.training.metric import check_metric

        check_metric(self.metric)


@dataclass(frozen=True)
class RunConfig:
    """How long, on what, and from which seed.

    Attributes:
        steps: of the optimiser.
        batch_size: pictures a batch.
        seed: of weights, batches, augmentation and whatever is drawn on the way.
        save_every: steps from one checkpoint to the next.
        device: `cpu`, `cuda`, `cuda:1`, `mps`.
        precision: `32` or `bf16`, which is mixed.
        patience: batches in a row whose loss is not finite before training stops.
    """

    steps: int = 1000
    batch_size: int = 128
    seed: int = 0
    save_every: int = 500
    device: str = "cpu"
    precision: str = "32"
    patience: int = 10

    def __post_init__(self) -> None:
        _check(self)
        if not re.fullmatch(r"cpu|mps|cuda(:[0-9]{1,3})?", self.device):
            raise InputError(
                f"run.device: expected cpu, cuda, cuda:0, cuda:1, ... or mps, got "
                f"{said(self.device)}"
            )


@dataclass(frozen=True)
class TrainConfig:
    """A whole run.

    >>> TrainConfig().optimiser.name
    'sgd'
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        for each in fields(self):
            section = getattr(self, each.name)
            if type(section) is not SECTIONS[each.name]:
                raise InputError(
                    f"{each.name}: expected a {SECTIONS[each.name].__name__}, got {said(section)}"
                )
        if self.model.sample_rate < 1 and self.optimiser.name == "adamw":
            raise InputError(
                "model.sample_rate: the gradient of sampled classes is sparse, which adamw does "
                f"not take, got sample_rate {self.model.sample_rate:g}; take the optimiser sgd, or "
                "sample_rate 1"
            )


def higher_is_better(metric: str) -> bool:
    """Whether more of it is better, as of `auc`; of `eer` less is.

    Raises:
        InputError: no such metric.

    >>> higher_is_better("tar@fmr=0.01"), higher_is_better("fnir@fpir=0.01")
    (True, False)
    """
    from recognition.training.metric import HIGHER_IS_BETTER, check_metric

    check_metric(metric)
    return HIGHER_IS_BETTER[metric]


def flat(config: TrainConfig) -> dict[str, object]:
    """Every value by its key, in the order of the sections.

    >>> flat(TrainConfig())["optimiser.lr"]
    0.1
    """
    return {
        f"{section}.{each.name}": getattr(getattr(config, section), each.name)
        for section, kind in SECTIONS.items()
        for each in fields(kind)
    }


def _check(section: object) -> None:
    check_types(section)
    check_choices(section, CHOICES)
    check_limits(section, LIMITS)


SECTIONS: MappingProxyType[str, type] = MappingProxyType(
    {
        "data": DataConfig,
        "model": ModelConfig,
        "optimiser": OptimiserConfig,
        "schedule": ScheduleConfig,
        "augment": AugmentConfig,
        "validation": ValidationConfig,
        "run": RunConfig,
    }
)
DEFAULTS = MappingProxyType(
    {
        f"{section}.{each.name}": each.default
        for section, kind in SECTIONS.items()
        for each in fields(kind)
    }
)
