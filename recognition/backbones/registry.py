"""The backbones one can ask for by name."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from recognition.backbones.facenet import inception_resnet_v1
from recognition.backbones.small import SmallCNN
from recognition.errors import InputError


class Backbone(NamedTuple):
    """How to build a network, and what it takes and gives.

    Attributes:
        build: makes the network with fresh weights from torch's global generator.
        input_size: side of the square RGB picture it takes, (B, 3, side, side) in about [-1, 1].
        embedding_dim: numbers it gives per picture; they are not normalised.
    """

    build: Callable[[], nn.Module]
    input_size: int
    embedding_dim: int


BACKBONES: dict[str, Backbone] = {
    "small": Backbone(SmallCNN, SmallCNN.input_size, SmallCNN.embedding_dim),
    "inception_resnet_v1": Backbone(inception_resnet_v1, 160, 512),
}


def create_backbone(name: str) -> nn.Module:
    """A network with fresh weights.

    Raises:
        InputError: no backbone has this name.
    """
    return find_backbone(name).build()


def find_backbone(name: str) -> Backbone:
    """The entry of `BACKBONES`.

    Raises:
        InputError: no backbone has this name.
    """
    if name not in BACKBONES:
        raise InputError(f"unknown backbone {name!r}; known: {', '.join(BACKBONES)}")
    return BACKBONES[name]
