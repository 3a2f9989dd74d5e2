"""What a training run is asked to do: every number of it, in sections, as a file has them."""

from dataclasses import dataclass, field, fields
from types import MappingProxyType


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


@dataclass(frozen=True)
class OptimiserConfig:
    """How parameters are changed.

    Attributes:
        name: `sgd` or `adamw`.
        lr: the highest learning rate of the backbone.
        head_lr: that of the head; 0 for the same.
        momentum: of SGD.
        weight_decay: of the backbone's matrices; neither of norms, of slopes nor of biases.
        head_weight_decay: of the class weights.
        clip: largest norm of the backbone's gradient; 0 for any.
        accumulate: batches whose gradients are averaged for one step.
        ema: of the backbone's average over the steps, which is then what is validated and kept: how
            much of it stays at each step; 0 for none.
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


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rates go from step to step, as shares of the highest.

    Attributes:
        name: `constant`, `steps`, `cosine` or `polynomial`.
        warmup: share of the steps over which they rise.
        milestones: of `steps`: shares of all steps after which they are multiplied by `factor`.
        factor: of `steps`.
        power: of `polynomial`: (1 - t) ** power.
    """

    name: str = "cosine"
    warmup: float = 0.05
    milestones: tuple[float, ...] = (0.5, 0.7, 0.9)
    factor: float = 0.1
    power: float = 2.0


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


@dataclass(frozen=True)
class ValidationConfig:
    """How good the network is on people it does not learn from, while it learns.

    Attributes:
        every: steps from one validation to the next; 0 for the end alone.
        metric: by which the best is kept: `eer`, `auc`, `rank1`, `tar@fmr=0.01`, `fnir@fpir=0.01`.
    """

    every: int = 500
    metric: str = "eer"


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


SECTIONS = MappingProxyType({each.name: each.default_factory for each in fields(TrainConfig)})
