"""ArcFace's residual networks, so that insightface's published weights load into them.

The block is the improved residual unit of ArcFace, BN-conv-BN-PReLU-conv-BN with the stride in the
second convolution, and the end its option E, BN-dropout-FC-BN (Deng et al., arXiv:1801.07698,
section 3.2). Of Duta et al.'s improved residual networks (arXiv:2004.04989) they bear the name;
their stages are not theirs. Names, shapes and order of the tensors are those of insightface's
recognition/arcface_torch/backbones/iresnet.py; tests/golden/backbones.json lists them.
"""

from torch import Tensor, nn

from recognition.backbones.precision import outside_autocast

WIDTHS = (64, 128, 256, 512)  # of the four stages; each halves the side of the picture
SIDE = 112


class Unit(nn.Module):
    """(B, before, H, W) -> (B, width, H / stride, W / stride).

    The way around has a convolution of its own where the stride is not 1.
    """

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1:
            around = nn.Conv2d(before, width, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(around, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        change = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        change = self.bn3(self.conv2(change))
        return change + self.downsample(x)  # type: ignore[no-any-return]


class IResNet(nn.Module):
    """Four stages of units and a layer over all places: (B, 3, 112, 112) -> (B, embedding_dim).

    The last normalisation learns no scale: its weight stays 1.
    Fresh weights are for training: in evaluation mode, before the running statistics have seen a few
    batches, what 50 layers and more give overflows float32.

    Args:
        depths: units in each stage.
        embedding_dim: numbers it gives for a picture.
        dropout: before the last layer; the paper has 0.4, insightface 0.
    """

    def __init__(
        self, depths: tuple[int, int, int, int], *, embedding_dim: int = 512, dropout: float = 0.0
    ) -> None:
        super().__init__()
        first, last = WIDTHS[0], WIDTHS[-1]
        self.conv1 = nn.Conv2d(3, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.prelu = nn.PReLU(first)
        befores = (first, *WIDTHS[:-1])
        for number, stage in enumerate(zip(befores, WIDTHS, depths, strict=True), start=1):
            self.add_module(f"layer{number}", _stage(*stage))
        self.bn2 = nn.BatchNorm2d(last)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(last * (SIDE >> len(WIDTHS)) ** 2, embedding_dim)
        self.features = nn.BatchNorm1d(embedding_dim)
        self.features.weight.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(x)))
        for number in range(1, len(WIDTHS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        x = self.dropout(self.bn2(x).flatten(1))
        return outside_autocast(x, self.fc, self.features)


def _stage(before: int, width: int, depth: int) -> nn.Sequential:
    rest = (Unit(width, width, 1) for _ in range(1, depth))
    return nn.Sequential(Unit(before, width, 2), *rest)


def iresnet18() -> IResNet:
    """24.0 M parameters."""
    return IResNet((2, 2, 2, 2))


def iresnet34() -> IResNet:
    """34.1 M parameters."""
    return IResNet((3, 4, 6, 3))


def iresnet50() -> IResNet:
    """43.6 M parameters."""
    return IResNet((3, 4, 14, 3))


def iresnet100() -> IResNet:
    """65.2 M parameters: what papers call R100."""
    return IResNet((3, 13, 30, 3))


def iresnet200() -> IResNet:
    """118.8 M parameters."""
    return IResNet((6, 26, 60, 6))
