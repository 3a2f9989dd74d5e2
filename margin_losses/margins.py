"""The papers: each margin is one formula for the logit of the sample's own class.

With z the logits, the loss of a sample with label y falls into two terms,

    L = -log( e^{z_y} / (e^{z_y} + Σ_{j≠y} e^{z_j}) ) = -logsigmoid( z_y - log Σ_{j≠y} e^{z_j} )

and only the second one sees the class axis. A margin makes z_y from a handful of numbers per
sample, the `Target`; the `Geometry` says what the plain logits z_j are. Adding one is a frozen
dataclass with `target_logit`, listed in `registry.MARGINS`.

All angles are in radians.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor


class Geometry(NamedTuple):
    """What a plain logit is: scale · ⟨x or x/‖x‖, w or w/‖w‖⟩."""

    unit_embedding: bool
    unit_weight: bool
    scale: float

    def __str__(self) -> str:
        norms = "" if self.unit_weight else "‖w‖"
        norms += "" if self.unit_embedding else "‖x‖"
        return f"{norms or 's'} cos θ"


COSINE = Geometry(unit_embedding=True, unit_weight=True, scale=64.0)
NORM_COSINE = Geometry(unit_embedding=False, unit_weight=True, scale=1.0)
INNER_PRODUCT = Geometry(unit_embedding=False, unit_weight=False, scale=1.0)


class Target(NamedTuple):
    """All a margin may look at: one entry per sample, never the class axis.

    Attributes:
        plain: (B,) the logit without a margin, the same product the negatives use.
        cos: (B,) cosine of the angle θ to the own class; 0 where either vector is 0.
        sin: (B,) its sine; 1 where either vector is 0.
        angle: (B,) θ itself, in [0, π].
        scale: (B,) plain = scale · cos: s, or s with the norms the geometry keeps.
        norm: (B,) ‖x‖ before normalisation.
        label: (B,) the own class.
        state: running statistics of the margin, read-only.
    """

    plain: Tensor
    cos: Tensor
    sin: Tensor
    angle: Tensor
    scale: Tensor
    norm: Tensor
    label: Tensor
    state: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class Margin:
    """Base of every margin, and itself none."""

    geometry: ClassVar[Geometry] = COSINE
    formula: ClassVar[str] = "s cos θ"
    paper: ClassVar[str] = ""
    allows_bias: ClassVar[bool] = False  # only where the formula reads the plain logit alone

    def target_logit(self, t: Target) -> Tensor:
        """The logit of the own class, (B,)."""
        return t.plain

    def init(self) -> dict[str, Tensor]:
        """Running statistics before the first step; the head keeps them as buffers."""
        return {}

    def observe(self, t: Target) -> Mapping[str, Tensor]:
        """Running statistics after this training batch; called before `target_logit`."""
        return t.state


@dataclass(frozen=True)
class Softmax(Margin):
    """Softmax cross-entropy, the plain linear classifier: z_j = w_j · x (+ b_j)."""

    geometry: ClassVar[Geometry] = INNER_PRODUCT
    formula: ClassVar[str] = "‖w‖‖x‖ cos θ (+ b)"
    paper: ClassVar[str] = "Bridle 1990, Neurocomputing F68:227-236"
    allows_bias: ClassVar[bool] = True


@dataclass(frozen=True)
class NormFace(Margin):
    """Softmax on cosines, z_j = s cos θ_j: the honest baseline of every margin; tune its scale.

    Wang, Xiang, Cheng, Yuille, "NormFace", ACM MM 2017, arXiv:1704.06369, Eq. 6.
    """

    paper: ClassVar[str] = "Wang et al. 2017, arXiv:1704.06369, Eq. 6"


@dataclass(frozen=True)
class LSoftmax(Margin):
    """Large-margin softmax: z_y = ‖w‖‖x‖ ψ(θ), ψ(θ) = (-1)^k cos(mθ) - 2k on the k-th of m pieces.

    Liu, Wen, Yu, Yang, "Large-Margin Softmax Loss", ICML 2016, arXiv:1612.02295, Eq. 4-6.
    Trained from scratch it wants `Annealed`; the authors' schedule for MNIST is
    `Annealed(LSoftmax(4), base=1000, gamma=2.5e-5, power=35, minimum=0)`.
    """

    m: int = 4
    geometry: ClassVar[Geometry] = INNER_PRODUCT
    formula: ClassVar[str] = "‖w‖‖x‖ ψ(θ)"
    paper: ClassVar[str] = "Liu et al. 2016, arXiv:1612.02295, Eq. 4-6"

    def __post_init__(self) -> None:
        if not is_whole(self.m):
            raise ValueError(
                f"LSoftmax: expected a whole number m >= 1, got {self.m!r}; "
                "SphereFace takes a real one"
            )
        _within(self, 1, MOST_PIECES, "multiplies the angle")

    def target_logit(self, t: Target) -> Tensor:
        return t.scale * multiply_angle(t.angle, self.m)


@dataclass(frozen=True)
class SphereFace(Margin):
    """A-Softmax: z_y = ‖x‖ ψ(θ) with unit class weights; m may be real.

    Liu, Wen, Yu, Li, Raj, Song, "SphereFace", CVPR 2017, arXiv:1704.08063, Eq. 6-7. With m = 4 it
    wants `Annealed`, whose default is this paper's schedule.
    """

    m: float = 4.0
    geometry: ClassVar[Geometry] = NORM_COSINE
    formula: ClassVar[str] = "‖x‖ ψ(θ)"
    paper: ClassVar[str] = "Liu et al. 2017, arXiv:1704.08063, Eq. 6-7"

    def __post_init__(self) -> None:
        _within(self, 1, MOST_PIECES, "multiplies the angle")

    def target_logit(self, t: Target) -> Tensor:
        return t.scale * multiply_angle(t.angle, self.m)


@dataclass(frozen=True)
class SMSoftmax(Margin):
    """Soft-margin softmax: z_y = w_y · x - m on the plain, unnormalised logit.

    Liang, Wang, Lei, Liao, Li, "Soft-Margin Softmax for Deep Classification", ICONIP 2017,
    LNCS 10635:413-421, doi:10.1007/978-3-319-70096-0_43. The default m is that of the public code
    of its extension SM-Taylor (arXiv:2011.11538).
    """

    m: float = 0.6
    geometry: ClassVar[Geometry] = INNER_PRODUCT
    formula: ClassVar[str] = "‖w‖‖x‖ cos θ (+ b) - m"
    paper: ClassVar[str] = "Liang et al. 2017, doi:10.1007/978-3-319-70096-0_43"
    allows_bias: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _within(self, 0, 1000, "is subtracted from the logit")

    def target_logit(self, t: Target) -> Tensor:
        return t.plain - self.m


@dataclass(frozen=True)
class AMSoftmax(Margin):
    """Additive-margin softmax: z_y = s (cos θ - m).

    Wang, Cheng, Liu, Liu, "Additive Margin Softmax", IEEE SPL 2018, arXiv:1801.05599, Eq. 5-6.
    The same formula as `CosFace`, with this paper's scale.
    """

    m: float = 0.35
    geometry: ClassVar[Geometry] = COSINE._replace(scale=30.0)
    formula: ClassVar[str] = "s (cos θ - m)"
    paper: ClassVar[str] = "Wang et al. 2018, arXiv:1801.05599, Eq. 5-6"

    def __post_init__(self) -> None:
        _within(self, 0, 2, "is subtracted from a cosine")

    def target_logit(self, t: Target) -> Tensor:
        return t.plain - t.scale * self.m


@dataclass(frozen=True)
class CosFace(AMSoftmax):
    """Large-margin cosine loss: z_y = s (cos θ - m).

    Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu, "CosFace", CVPR 2018, arXiv:1801.09414, Eq. 4.
    """

    geometry: ClassVar[Geometry] = COSINE
    paper: ClassVar[str] = "Wang et al. 2018, arXiv:1801.09414, Eq. 4"


@dataclass(frozen=True)
class ArcFace(Margin):
    """Additive angular margin: z_y = s cos(θ + m), exact gradient.

    Deng, Guo, Xue, Zafeiriou, "ArcFace", CVPR 2019, arXiv:1801.07698, Eq. 3. Past θ = π - m, where
    cos(θ + m) would rise again, it is s (cos θ - m sin m), as most published code has it: the
    logit jumps there (by 0.117 s at m = 0.5), downwards as θ grows, so it stays monotone.
    """

    m: float = 0.5
    formula: ClassVar[str] = "s cos(θ + m)"
    paper: ClassVar[str] = "Deng et al. 2019, arXiv:1801.07698, Eq. 3"

    def __post_init__(self) -> None:
        _within(self, 0, math.pi / 2, "is an angle in radians", angle=True)

    def target_logit(self, t: Target) -> Tensor:
        return t.scale * add_angle(t, self.m)


def add_angle(t: Target, m: float) -> Tensor:
    """cos(θ + m), and cos θ - m sin m past θ = π - m, (B,)."""
    within = t.cos * math.cos(m) - t.sin * math.sin(m)
    return torch.where(t.angle <= math.pi - m, within, t.cos - m * math.sin(m))


def multiply_angle(angle: Tensor, m: float) -> Tensor:
    """ψ(θ) = (-1)^k cos(mθ) - 2k for θ in [kπ/m, (k+1)π/m], (B,): cos(mθ) made monotone."""
    piece = (angle.detach() * (m / math.pi)).floor().clamp(max=math.ceil(m) - 1)
    sign = 1 - 2 * (piece % 2)
    return sign * torch.cos(m * angle) - 2 * piece


MOST_PIECES = 16


def is_whole(value: object) -> bool:
    """A whole number of any library, but not True or False."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _within(margin: Margin, low: float, high: float, what: str, *, angle: bool = False) -> None:
    """Refuse a margin outside [low, high]; NaN is outside."""
    m: float = margin.m  # type: ignore[attr-defined]
    if low <= m <= high:
        return
    hint = ""
    if angle and high < m <= 180:
        hint = f"; if {m:g} is in degrees, m={math.radians(m):.4g} is the same angle"
    raise ValueError(
        f"{type(margin).__name__}: m {what}, expected {low:g} <= m <= {high:.4g}, got {m:g}{hint}"
    )
