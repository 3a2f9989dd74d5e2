"""Margins that look at how long an embedding is, which says how good its picture was.

Running statistics change in `observe` alone, which the head calls for training batches; in
evaluation they stay as they are. A batch without samples changes nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from margin_losses.angles import RISES, Past, add_angle, check_choice, check_past
from margin_losses.margin import Margin, SingleMargin, State, Target, check, running

NORM_MEAN, NORM_STD = "norm_mean", "norm_std"


@dataclass(frozen=True)
class AdaFace(SingleMargin):
    """A margin on the angle for poor pictures, on the cosine for good ones, by ‖x‖.

    z_y = s (cos(θ - m n̂) - m - m n̂), n̂ = clip(h (‖x‖ - mean) / (std + 0.001), -1, 1), without a
    gradient through n̂. At n̂ = -1 it is ArcFace, at 0 CosFace. The lengths, between 0.001 and 100,
    make the running mean and deviation, the buffers `norm_mean` and `norm_std`, of which `alpha` is
    replaced each batch; one sample has no deviation, so then the old one stays. They start at the
    authors' 20 and 100, with which n̂ is near 0. θ - m n̂ is `clipped` to [0, π], as in the authors'
    code, with zero gradient beyond; with `paper` it is not, and the score turns back there.

    Kim, Jain, Liu, "AdaFace", CVPR 2022, arXiv:2204.00964.
    """

    m: float = 0.4
    h: float = 0.333
    alpha: float = 0.01
    past: Literal["clipped", "paper"] = "clipped"
    formula: ClassVar[str] = "s (cos(θ - m n̂) - m - m n̂)"
    paper: ClassVar[str] = "Kim et al. 2022, arXiv:2204.00964"
    neutral: ClassVar[Mapping[str, float] | None] = {"m": 0}
    shortest: ClassVar[float] = 0.001
    longest: ClassVar[float] = 100.0

    def __post_init__(self) -> None:
        check(self, "m", 0, math.pi / 2, "is an angle in radians", angle=True)
        check(self, "h", 0, 100, "multiplies the standardised length")
        check(self, "alpha", 0, 1, "is the share of the running statistics that is replaced")
        check_choice(self, "past", ("clipped", "paper"))

    @property
    def monotone(self) -> bool:
        return self.past == "clipped"

    def quality(self, t: Target) -> Tensor:
        """The standardised length n̂ in [-1, 1], (B,), without gradient."""
        norm = t.norm.detach().clamp(self.shortest, self.longest)
        mean, std = (t.state[name].to(norm.dtype) for name in (NORM_MEAN, NORM_STD))
        return (self.h * (norm - mean) / (std + 1e-3)).clamp(-1, 1)

    def logit(self, t: Target, m: float | Tensor) -> Tensor:
        shift = m * self.quality(t)
        angle = t.angle - shift
        if self.past == "clipped":
            angle = angle.clamp(0, math.pi)
        return t.scale * (angle.cos() - m - shift)

    def init(self, num_classes: int) -> dict[str, Tensor]:
        return {NORM_MEAN: torch.tensor(20.0), NORM_STD: torch.tensor(100.0)}

    def observe(self, t: Target) -> State:
        norm = t.norm.clamp(self.shortest, self.longest)
        found = dict(t.state)
        if len(norm) > 0:
            found[NORM_MEAN] = running(found[NORM_MEAN], norm.mean(), 1 - self.alpha)
        if len(norm) > 1:
            found[NORM_STD] = running(found[NORM_STD], norm.std(), 1 - self.alpha)
        return found


@dataclass(frozen=True)
class MagFace(Margin):
    """ArcFace with a margin that grows with ‖x‖, and a penalty for short embeddings.

    z_y = s cos(θ + m(a)), and weight · (a / upper_norm² + 1 / a) is added to the loss, where a is
    ‖x‖ clipped to [lower_norm, upper_norm] and m(a) goes from lower_margin to upper_margin in a
    straight line; the gradient goes through a in both. The authors' code is `past="easy"`, which is
    not monotone. See `least_weight` for how large the weight has to be.

    Meng, Zhao, Huang, Zhou, "MagFace", CVPR 2021, arXiv:2103.06627.
    """

    lower_margin: float = 0.45
    upper_margin: float = 0.8
    lower_norm: float = 10.0
    upper_norm: float = 110.0
    weight: float = 35.0
    past: Past = "linear"
    formula: ClassVar[str] = "s cos(θ + m(‖x‖))"
    paper: ClassVar[str] = "Meng et al. 2021, arXiv:2103.06627"
    neutral: ClassVar[Mapping[str, float] | None] = {
        "lower_margin": 0,
        "upper_margin": 0,
        "weight": 0,
    }

    def __post_init__(self) -> None:
        for name in ("lower_margin", "upper_margin"):
            check(self, name, 0, math.pi / 2, "is an angle in radians", angle=True)
        for name in ("lower_norm", "upper_norm"):
            check(self, name, 1e-3, 1e6, "is a length of an embedding")
        check(self, "weight", 0, 1e6, "multiplies the penalty")
        check_past(self)
        if self.lower_margin > self.upper_margin or self.lower_norm >= self.upper_norm:
            raise ValueError(
                "MagFace: expected lower_margin <= upper_margin and lower_norm < upper_norm, got "
                f"{self.lower_margin:g} and {self.upper_margin:g}, "
                f"{self.lower_norm:g} and {self.upper_norm:g}"
            )

    @property
    def monotone(self) -> bool:
        """As the others, among embeddings of one length."""
        return self.past not in RISES

    @property
    def slope(self) -> float:
        """How fast the margin grows with the length."""
        return (self.upper_margin - self.lower_margin) / (self.upper_norm - self.lower_norm)

    def least_weight(self, scale: float) -> float:
        """The weight above which no embedding gains by being as short as `lower_norm`.

        s K / (1/l² - 1/u²) for a slope K of the margin and lengths from l to u: the margin pulls a
        length by less than s K, the penalty pushes it at l by weight · (1/l² - 1/u²).

        >>> MagFace().least_weight(64.0)
        22.6
        """
        pushed = 1 / self.lower_norm**2 - 1 / self.upper_norm**2
        return scale * self.slope / pushed

    def clipped(self, norm: Tensor) -> Tensor:
        """The length a, (B,)."""
        return norm.clamp(self.lower_norm, self.upper_norm)

    def target_logit(self, t: Target) -> Tensor:
        m = self.lower_margin + self.slope * (self.clipped(t.norm) - self.lower_norm)
        return t.scale * add_angle(t, m, self.past)

    def penalty(self, t: Target) -> Tensor:
        a = self.clipped(t.norm)
        return self.weight * (a / self.upper_norm**2 + 1 / a)
