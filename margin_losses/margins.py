"""The papers whose margin is one formula, with numbers that stay as they are.

Adding one is a frozen dataclass with `logit` or `target_logit`, listed in `registry.MARGINS`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from margin_losses.angles import (
    MOST_PIECES,
    RISES,
    Past,
    add_angle,
    check_choice,
    check_past,
    divide_angle,
    multiply_angle,
    unroll,
)
from margin_losses.margin import (
    COSINE,
    INNER_PRODUCT,
    NORM_COSINE,
    Geometry,
    Margin,
    SingleMargin,
    Target,
    check,
    is_whole,
)


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
class LSoftmax(SingleMargin):
    """Large-margin softmax: z_y = ‖w‖‖x‖ ψ(θ), ψ(θ) = (-1)^k cos(mθ) - 2k on the k-th of m pieces.

    Liu, Wen, Yu, Yang, "Large-Margin Softmax Loss", ICML 2016, arXiv:1612.02295, Eq. 4-6.
    Trained from scratch it wants `Annealed`; the authors' schedule for MNIST is
    `Annealed(LSoftmax(4), base=1000, gamma=2.5e-5, power=35, minimum=0)`.
    """

    m: int = 4
    geometry: ClassVar[Geometry] = INNER_PRODUCT
    formula: ClassVar[str] = "‖w‖‖x‖ ψ(θ)"
    paper: ClassVar[str] = "Liu et al. 2016, arXiv:1612.02295, Eq. 4-6"
    neutral: ClassVar[Mapping[str, float]] = {"m": 1}

    def __post_init__(self) -> None:
        if not is_whole(self.m):
            raise ValueError(
                f"LSoftmax: expected a whole number m >= 1, got {self.m!r}; "
                "SphereFace takes a real one"
            )
        check(self, "m", 1, MOST_PIECES, "multiplies the angle")

    def logit(self, t: Target, m: float | Tensor) -> Tensor:
        return t.scale * multiply_angle(t.angle, m)


@dataclass(frozen=True)
class SphereFace(SingleMargin):
    """A-Softmax: z_y = ‖x‖ ψ(θ) with unit class weights; m may be real.

    Liu, Wen, Yu, Li, Raj, Song, "SphereFace", CVPR 2017, arXiv:1704.08063, Eq. 6-7. With m = 4 it
    wants `Annealed`, whose default is this paper's schedule.
    """

    m: float = 4.0
    geometry: ClassVar[Geometry] = NORM_COSINE
    formula: ClassVar[str] = "‖x‖ ψ(θ)"
    paper: ClassVar[str] = "Liu et al. 2017, arXiv:1704.08063, Eq. 6-7"
    neutral: ClassVar[Mapping[str, float]] = {"m": 1}

    def __post_init__(self) -> None:
        check(self, "m", 1, MOST_PIECES, "multiplies the angle")

    def logit(self, t: Target, m: float | Tensor) -> Tensor:
        return t.scale * multiply_angle(t.angle, m)


@dataclass(frozen=True)
class SphereFaceR(SingleMargin):
    """SphereFace on unit embeddings, in three forms of the margin, exact gradient.

    * `v0`: z_y = s ψ(θ), SphereFace's own.
    * `v1`: z_y = s cos(min(mθ, π)): -s, with zero gradient, past θ = π/m.
    * `v2`: z_y = s cos θ, and the other classes come nearer, z_j = s cos(θ_j / m).

    Liu, Wen, Raj, Singh, Weller, "SphereFace Revived", TPAMI 2022, arXiv:2109.05565. The authors
    train `Detached(SphereFaceR())`, with the loss multiplied by 50/s and, in v2, the gradient of the
    plain logits for the other classes as well.
    """

    m: float = 1.5
    form: Literal["v0", "v1", "v2"] = "v1"
    geometry: ClassVar[Geometry] = COSINE._replace(scale=30.0)
    formula: ClassVar[str] = "s cos(min(mθ, π))"
    paper: ClassVar[str] = "Liu et al. 2022, arXiv:2109.05565"
    neutral: ClassVar[Mapping[str, float]] = {"m": 1}

    def __post_init__(self) -> None:
        check(self, "m", 1, MOST_PIECES, "multiplies the angle")
        check_choice(self, "form", ("v0", "v1", "v2"))

    @property
    def changes_negatives(self) -> bool:
        return self.form == "v2"

    def logit(self, t: Target, m: float | Tensor) -> Tensor:
        if self.form == "v2":
            return t.plain
        if self.form == "v0":
            return t.scale * multiply_angle(t.angle, m)
        return t.scale * (m * t.angle).clamp(max=math.pi).cos()

    def negatives(self, cos: Tensor, t: Target) -> Tensor:
        return divide_angle(cos, self.m)


@dataclass(frozen=True)
class SMSoftmax(SingleMargin):
    """Soft-margin softmax: z_y = w_y · x - m on the plain, unnormalised logit.

    Liang, Wang, Lei, Liao, Li, "Soft-Margin Softmax for Deep Classification", ICONIP 2017,
    LNCS 10635:413-421, doi:10.1007/978-3-319-70096-0_43. The default m is that of the public code
    of its extension SM-Taylor (arXiv:2011.11538).
    """

    m: float = 0.6
    geometry: ClassVar[Geometry] = INNER_PRODUCT
    formula: ClassVar[str] = "‖w‖‖x‖ cos θ (+ b) - m"
    paper: ClassVar[str] = "Liang et al. 2017, doi:10.1007/978-3-319-70096-0_43"
    neutral: ClassVar[Mapping[str, float]] = {"m": 0}
    allows_bias: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self, "m", 0, 1000, "is subtracted from the logit")

    def logit(self, t: Target, m: float | Tensor) -> Tensor:
        return t.plain - m


@dataclass(frozen=True)
class AMSoftmax(SingleMargin):
    """Additive-margin softmax: z_y = s (cos θ - m).

    Wang, Cheng, Liu, Liu, "Additive Margin Softmax", IEEE SPL 2018, arXiv:1801.05599, Eq. 5-6.
    The same formula as `CosFace`, with this paper's scale.
    """

    m: float = 0.35
    geometry: ClassVar[Geometry] = COSINE._replace(scale=30.0)
    formula: ClassVar[str] = "s (cos θ - m)"
    paper: ClassVar[str] = "Wang et al. 2018, arXiv:1801.05599, Eq. 5-6"
    neutral: ClassVar[Mapping[str, float] | None] = {"m": 0}

    def __post_init__(self) -> None:
        check(self, "m", 0, 2, "is subtracted from a cosine")

    def logit(self, t: Target, m: float | Tensor) -> Tensor:
        return t.plain - t.scale * m


@dataclass(frozen=True)
class CosFace(AMSoftmax):
    """Large-margin cosine loss: z_y = s (cos θ - m).

    Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu, "CosFace", CVPR 2018, arXiv:1801.09414, Eq. 4.
    """

    geometry: ClassVar[Geometry] = COSINE
    paper: ClassVar[str] = "Wang et al. 2018, arXiv:1801.09414, Eq. 4"


@dataclass(frozen=True)
class ArcFace(SingleMargin):
    """Additive angular margin: z_y = s cos(θ + m), exact gradient.

    Deng, Guo, Xue, Zafeiriou, "ArcFace", CVPR 2019, arXiv:1801.07698, Eq. 3. Past θ = π - m, where
    cos(θ + m) would rise again, it is s (cos θ - m sin m), as most published code has it; see
    `angles.Past` for the other choices. The gradient that insightface has shipped since 2022 is
    `Detached(ArcFace())`.
    """

    m: float = 0.5
    past: Past = "linear"
    formula: ClassVar[str] = "s cos(θ + m)"
    paper: ClassVar[str] = "Deng et al. 2019, arXiv:1801.07698, Eq. 3"
    neutral: ClassVar[Mapping[str, float] | None] = {"m": 0}

    def __post_init__(self) -> None:
        check(self, "m", 0, math.pi / 2, "is an angle in radians", angle=True)
        check_past(self)

    @property
    def monotone(self) -> bool:
        return self.past not in RISES

    def logit(self, t: Target, m: float | Tensor) -> Tensor:
        return t.scale * add_angle(t, m, self.past)


@dataclass(frozen=True)
class SubCenterArcFace(ArcFace):
    """ArcFace with K sub-centres a class, the nearest of which counts: a home for wrong labels.

    Deng, Guo, Liu, Gong, Zafeiriou, "Sub-center ArcFace", ECCV 2020, Eq. 1. Any margin on unit
    class weights takes sub-centres by `MarginHead(..., centers=K)`; this is ArcFace with three.
    Once trained, `dominant_centers` and `outliers` find the centre to keep and the samples to drop.
    """

    centers: ClassVar[int] = 3
    formula: ClassVar[str] = "s cos(min_k θ_k + m)"
    paper: ClassVar[str] = "Deng et al. 2020, doi:10.1007/978-3-030-58621-8_43, Eq. 1"


@dataclass(frozen=True)
class CombinedMargin(Margin):
    """All three margins of the family at once: z_y = s (cos(m1 θ + m2) - m3).

    Deng, Guo, Xue, Zafeiriou, "ArcFace", CVPR 2019, arXiv:1801.07698, Eq. 4; the defaults are its
    CM1, (0.9, 0.4, 0.15) is its CM2. `past` says what cos is where m1 θ + m2 passes π: the
    `paper`'s cosine, which rises again; -1 (`clipped`); or ψ (`continuous`).
    """

    m1: float = 1.0
    m2: float = 0.3
    m3: float = 0.2
    past: Past = "paper"
    formula: ClassVar[str] = "s (cos(m1 θ + m2) - m3)"
    paper: ClassVar[str] = "Deng et al. 2019, arXiv:1801.07698, Eq. 4"
    neutral: ClassVar[Mapping[str, float]] = {"m1": 1, "m2": 0, "m3": 0}

    def __post_init__(self) -> None:
        check(self, "m1", 0, MOST_PIECES, "multiplies the angle")
        check(self, "m2", 0, math.pi / 2, "is an angle in radians", angle=True)
        check(self, "m3", 0, 2, "is subtracted from a cosine")
        check_choice(self, "past", ("paper", "clipped", "continuous"))

    @property
    def monotone(self) -> bool:
        return self.past != "paper" and self.m1 >= 1

    def target_logit(self, t: Target) -> Tensor:
        angle = self.m1 * t.angle + self.m2
        if self.past == "clipped":
            angle = angle.clamp(max=math.pi)
        cos = unroll(angle) if self.past == "continuous" else angle.cos()
        return t.scale * (cos - self.m3)
