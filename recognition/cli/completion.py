"""What a shell offers after a tab: names that are known without loading torch.

Tests hold them to be those of the registries.
"""

from collections.abc import Callable, Sequence

HEADS = (
    "softmax",
    "normface",
    "lsoftmax",
    "sphereface",
    "smsoftmax",
    "amsoftmax",
    "cosface",
    "arcface",
    "subcenterarcface",
    "combinedmargin",
    "spherefacer",
    "curricularface",
    "mvsoftmax",
    "mvarcface",
    "adaface",
    "magface",
    "elasticarcface",
    "elasticarcfaceplus",
    "elasticcosface",
    "elasticcosfaceplus",
    "fixedadacos",
    "adacos",
)
BACKBONES = (
    "small",
    "mobilefacenet",
    "iresnet18",
    "iresnet34",
    "iresnet50",
    "iresnet100",
    "iresnet200",
    "inception_resnet_v1",
)
PARTS = (
    "verification",
    "thresholds",
    "calibration",
    "identification",
    "retrieval",
    "separability",
    "neighbours",
)
PUBLISHED = ("vggface2", "casia-webface")


def among(names: Sequence[str]) -> Callable[[str], list[str]]:
    """What typer asks for the names that go on from what is typed.

    >>> among(HEADS)("mv")
    ['mvsoftmax', 'mvarcface']
    """

    def fitting(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return fitting
