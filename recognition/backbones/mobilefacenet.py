"""A network for telephones, so that insightface's published weights load into it.

MobileFaceNet (Chen et al., arXiv:1804.07573, table 1): inverted residual bottlenecks of MobileNetV2
with PReLU, and a depthwise convolution over all places, each with a weight of its own, where others
take the mean. Widths, numbers of blocks, and names, shapes and order of the tensors are those of
insightface's `mbf`, recognition/arcface_torch/backbones/mobilefacenet.py, which is twice as wide as
the paper's; tests/golden/backbones.json lists them.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from recognition.backbones.precision import outside_autocast


class Chain(nn.Module):
    """Layers one after the other, added to what came in where it is a residual."""

    def __init__(self, *layers: nn.Module, residual: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.layers(x)
        return x + change if self.residual else change


class MobileFaceNet(nn.Module):
    """(B, 3, 112, 112) -> (B, embedding_dim), 2.06 M parameters."""

    def __init__(self, *, embedding_dim: int = 512) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _convolution(3, 128, 3, stride=2),
            _convolution(128, 128, 3, groups=64),
            _bottleneck(128, 128, 128, stride=2),
            Chain(*_residuals(4, 128, 128)),
            _bottleneck(128, 256, 256, stride=2),
            Chain(*_residuals(6, 256, 256)),
            _bottleneck(256, 512, 256, stride=2),
            Chain(*_residuals(2, 256, 256)),
        )
        self.conv_sep = _convolution(256, 512, 1)
        self.features = Chain(
            _linear(512, 512, 7, padding=0, groups=512),
            nn.Flatten(),
            nn.Linear(512, embedding_dim, bias=False),
            nn.BatchNorm1d(embedding_dim),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return outside_autocast(self.layers(x), self.conv_sep, self.features)


def _linear(
    before: int, after: int, side: int, *, padding: int, stride: int = 1, groups: int = 1
) -> Chain:
    """A convolution and its normalisation."""
    convolution = nn.Conv2d(
        before, after, side, stride=stride, padding=padding, groups=groups, bias=False
    )
    return Chain(convolution, nn.BatchNorm2d(after))


def _convolution(before: int, after: int, side: int, *, stride: int = 1, groups: int = 1) -> Chain:
    """The same with PReLU; the picture keeps its side but for the stride."""
    chain = _linear(before, after, side, padding=side // 2, stride=stride, groups=groups)
    chain.layers.append(nn.PReLU(after))
    return chain


def _bottleneck(
    before: int, inside: int, after: int, *, stride: int = 1, residual: bool = False
) -> Chain:
    """To `inside` channels, a filter for each of them, and back to `after`, without PReLU."""
    return Chain(
        _convolution(before, inside, 1),
        _convolution(inside, inside, 3, stride=stride, groups=inside),
        _linear(inside, after, 1, padding=0),
        residual=residual,
    )


def _residuals(count: int, width: int, inside: int) -> Iterator[Chain]:
    return (_bottleneck(width, inside, width, residual=True) for _ in range(count))
