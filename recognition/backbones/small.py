"""A network small enough to train on two cores while one waits."""

from typing import ClassVar

from torch import nn


class SmallCNN(nn.Sequential):
    """Four strided convolutions and a linear layer: (B, 3, 64, 64) -> (B, 128), 0.6 M parameters.

    The end is ArcFace's option E (arXiv:1801.07698, section 3.2): batch normalisation, a fully
    connected layer over all places, batch normalisation.
    """

    input_size: ClassVar[int] = 64
    embedding_dim: ClassVar[int] = 128

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96, 192)) -> None:
        layers: list[nn.Module] = []
        for before, after in zip((3, *widths), widths, strict=False):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.PReLU(after),
            ]
        places = (self.input_size >> len(widths)) ** 2
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Linear(places * widths[-1], self.embedding_dim, bias=False),
            nn.BatchNorm1d(self.embedding_dim),
        )
