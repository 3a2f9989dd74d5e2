"""The backbones one can ask for by name."""

import difflib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from recognition.backbones import timm_models
from recognition.backbones.facenet import inception_resnet_v1
from recognition.backbones.iresnet import (
    iresnet18,
    iresnet34,
    iresnet50,
    iresnet100,
    iresnet200,
)
from recognition.backbones.mobilefacenet import MobileFaceNet
from recognition.backbones.small import SmallCNN
from recognition.contract import Preprocessing
from recognition.errors import InputError


class Standardisation(NamedTuple):
    """How pixels become a network's input: (value - mean) / std, values in [0, 255]."""

    mean: float
    std: float


FACENET = Standardisation(127.5, 128.0)
INSIGHTFACE = Standardisation(127.5, 127.5)


class Backbone(NamedTuple):
    """How to build a network, and what it takes and gives.

    Attributes:
        build: makes the network with fresh weights from torch's global generator.
        input_size: side of the square RGB picture it takes, (B, 3, side, side) in about [-1, 1].
        embedding_dim: numbers it gives per picture; they are not normalised.
        standardisation: how its pixels come to [-1, 1].
        packages: installed ones beside torch whose code it is.
    """

    build: Callable[[], nn.Module]
    input_size: int
    embedding_dim: int
    standardisation: Standardisation = FACENET
    packages: tuple[str, ...] = ()

    @property
    def preprocessing(self) -> Preprocessing:
        """What it is given where nothing else is said: all of a picture, stretched to its size."""
        side, (mean, std) = self.input_size, self.standardisation
        return Preprocessing("whole", side, side, mean=(mean,) * 3, std=(std,) * 3)


BACKBONES: dict[str, Backbone] = {
    "small": Backbone(SmallCNN, SmallCNN.input_size, SmallCNN.embedding_dim),
    "mobilefacenet": Backbone(MobileFaceNet, 112, 512, INSIGHTFACE),
    "iresnet18": Backbone(iresnet18, 112, 512, INSIGHTFACE),
    "iresnet34": Backbone(iresnet34, 112, 512, INSIGHTFACE),
    "iresnet50": Backbone(iresnet50, 112, 512, INSIGHTFACE),
    "iresnet100": Backbone(iresnet100, 112, 512, INSIGHTFACE),
    "iresnet200": Backbone(iresnet200, 112, 512, INSIGHTFACE),
    "inception_resnet_v1": Backbone(inception_resnet_v1, 160, 512, packages=("facenet-pytorch",)),
}
TIMM = timm_models.PREFIX
NAMES = f"{', '.join(BACKBONES)} or {TIMM}NAME"


def create_backbone(name: str) -> nn.Module:
    """A network with fresh weights.

    Raises:
        InputError: no backbone has this name.
    """
    return find_backbone(name).build()


def find_backbone(name: str) -> Backbone:
    """The entry of `BACKBONES`, or one for a model of timm, `timm:mobilenetv3_small_050`.

    Raises:
        InputError: no backbone has this name, or timm is not installed.
    """
    if name.startswith(TIMM):
        model = name.removeprefix(TIMM)
        timm_models.require_known(model)
        build = partial(timm_models.timm_backbone, model)
        return Backbone(build, timm_models.SIDE, timm_models.EMBEDDING_DIM, packages=("timm",))
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"unknown backbone {name[:60]!r}; {hint}known: {NAMES}")
    return BACKBONES[name]
