"""Margins that look at the other classes too: the hardest of them count otherwise.

Running statistics change in `observe` alone, which the head calls for training batches; in
evaluation they stay as they are. A batch without samples changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from margin_losses.angles import add_angle, check_choice
from margin_losses.margin import COSINE, Geometry, Margin, State, Target, check, running
from margin_losses.margins import AMSoftmax, ArcFace

HARDNESS = "hardness"

Form = Literal["adaptive", "fixed"]
"""What a hard negative becomes: `adaptive` is t cos + t - 1, `fixed` is cos + t - 1."""


@dataclass(frozen=True)
class CurricularFace(ArcFace):
    """ArcFace whose hard negatives count little at first and more as the batch gets better.

    z_y = s cos(θ + m); a negative with cos θ_j > cos(θ + m) becomes z_j = s cos θ_j (h + cos θ_j).
    The running mean h <- momentum · h + (1 - momentum) · mean cos θ is the buffer `hardness`, the
    paper's t; it starts at 0 and is updated before it is used. While h is small the hard negatives
    weigh less than without the margin, except that one at cos θ_j = -0.9 becomes 0.81: the paper's
    formula, kept.

    Huang, Wang, Tai, Liu, Shen, Li, Li, Huang, "CurricularFace", CVPR 2020, arXiv:2004.00288.
    """

    momentum: float = 0.99
    formula: ClassVar[str] = "s cos(θ + m); hard z_j = s cos θ_j (h + cos θ_j)"
    paper: ClassVar[str] = "Huang et al. 2020, arXiv:2004.00288"
    neutral: ClassVar[Mapping[str, float] | None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, "momentum", 0, 1, "is the share of the running mean that is kept")

    def negatives(self, cos: Tensor, t: Target) -> Tensor:
        hard = cos > add_angle(t, self.m, self.past)[:, None]
        return torch.where(hard, cos * (t.state[HARDNESS] + cos), cos)

    def init(self, num_classes: int) -> dict[str, Tensor]:
        return {HARDNESS: torch.zeros(())}

    def observe(self, t: Target) -> State:
        if not len(t.cos):
            return t.state
        mean = running(t.state[HARDNESS], t.cos.mean(), self.momentum)
        return {**t.state, HARDNESS: mean}


@dataclass(frozen=True)
class MVSoftmax(AMSoftmax):
    """Mis-classified vectors: AM-Softmax, z_y = s (cos θ - m), with heavier hard negatives.

    A negative with cos θ_j > cos θ - m becomes s (t cos θ_j + t - 1), or s (cos θ_j + t - 1) in the
    `fixed` form. t = 1 leaves it alone. The scale and t are those of FaceX-Zoo; the authors' own
    code has t = 1.2, and drops the margin where cos θ < 0.

    Wang, Zhang, Wang, Fu, Shi, Mei, "Mis-classified Vector Guided Softmax Loss", AAAI 2020,
    arXiv:1912.00833.
    """

    t: float = 1.12
    form: Form = "adaptive"
    geometry: ClassVar[Geometry] = COSINE._replace(scale=32.0)
    formula: ClassVar[str] = "s (cos θ - m); hard z_j = s (t cos θ_j + t - 1)"
    paper: ClassVar[str] = "Wang et al. 2020, arXiv:1912.00833"
    neutral: ClassVar[Mapping[str, float] | None] = {"m": 0, "t": 1}

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_weighting(self)

    def negatives(self, cos: Tensor, t: Target) -> Tensor:
        return _heavier(cos, t.cos - self.m, self.t, self.form)


@dataclass(frozen=True)
class MVArcFace(ArcFace):
    """Mis-classified vectors: ArcFace, z_y = s cos(θ + m), with heavier hard negatives.

    As `MVSoftmax`, where hard is cos θ_j > cos(θ + m). The authors' code is `past="easy"`.
    """

    t: float = 1.12
    form: Form = "adaptive"
    geometry: ClassVar[Geometry] = COSINE._replace(scale=32.0)
    formula: ClassVar[str] = "s cos(θ + m); hard z_j = s (t cos θ_j + t - 1)"
    paper: ClassVar[str] = "Wang et al. 2020, arXiv:1912.00833"
    neutral: ClassVar[Mapping[str, float] | None] = {"m": 0, "t": 1}

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_weighting(self)

    def negatives(self, cos: Tensor, t: Target) -> Tensor:
        return _heavier(cos, add_angle(t, self.m, self.past), self.t, self.form)


def _check_weighting(margin: Margin) -> None:
    check(margin, "t", 1, 10, "makes hard negatives heavier")
    check_choice(margin, "form", get_args(Form))


def _heavier(cos: Tensor, own: Tensor, t: float, form: Form) -> Tensor:
    """What is above the own class, (B,), among the others' cosines, (B, c), is raised."""
    raised = (t * cos if form == "adaptive" else cos) + (t - 1)
    return torch.where(cos > own[:, None], raised, cos)
