"""Margins that adapt: to the hardest other classes, to lengths, to chance, to the batch.

Running statistics change in `observe` alone, which the head calls for training batches; in
evaluation they stay as they are. A batch without samples changes nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from margin_losses.angles import RISES, Past, add_angle, check_choice, check_past
from margin_losses.margin import (
    COSINE,
    LARGEST_SCALE,
    Geometry,
    Margin,
    SingleMargin,
    State,
    Target,
    check,
)
from margin_losses.margins import AMSoftmax, ArcFace, CosFace

HARDNESS = "hardness"
NORM_MEAN, NORM_STD = "norm_mean", "norm_std"
DRAWN = "drawn"
ADAPTIVE_SCALE = "adaptive_scale"

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
        mean = _running(t.state[HARDNESS], t.cos.mean(), self.momentum)
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
            found[NORM_MEAN] = _running(found[NORM_MEAN], norm.mean(), 1 - self.alpha)
        if len(norm) > 1:
            found[NORM_STD] = _running(found[NORM_STD], norm.std(), 1 - self.alpha)
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


@dataclass(frozen=True)
class ElasticArcFace(ArcFace):
    """ArcFace with a margin drawn for each sample of a training batch: z_y = s cos(θ + N(m, σ)).

    It is drawn from torch's global generator, as dropout is, and clamped to what ArcFace accepts,
    [0, π/2]; in evaluation it is m.

    Boutros, Damer, Kirchbuchner, Kuijper, "ElasticFace", CVPRW 2022, arXiv:2109.09416.
    """

    sigma: float = 0.05
    formula: ClassVar[str] = "s cos(θ + N(m, σ))"
    paper: ClassVar[str] = "Boutros et al. 2022, arXiv:2109.09416"
    neutral: ClassVar[Mapping[str, float] | None] = {"m": 0, "sigma": 0}

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, "sigma", 0, 1, "is the deviation of the margins")

    def target_logit(self, t: Target) -> Tensor:
        return self.logit(t, t.state.get(DRAWN, self.m))

    def observe(self, t: Target) -> State:
        return {**t.state, DRAWN: _draw(t, self.m, self.sigma, math.pi / 2)}


@dataclass(frozen=True)
class ElasticArcFacePlus(ElasticArcFace):
    """ElasticFace-Arc+: the same draws, the larger ones to the samples with the smaller cosine.

    The published code means to do so and assigns them to other samples: it indexes by the sorting
    order where its inverse is needed.
    """

    sigma: float = 0.0175
    formula: ClassVar[str] = "s cos(θ + N(m, σ)), larger where cos θ is smaller"

    def observe(self, t: Target) -> State:
        drawn = super().observe(t)
        return {**drawn, DRAWN: _larger_to_harder(drawn[DRAWN], t.cos)}


@dataclass(frozen=True)
class ElasticCosFace(CosFace):
    """CosFace with a margin drawn for each sample of a training batch: z_y = s (cos θ - N(m, σ)).

    As `ElasticArcFace`, clamped to [0, 2].
    """

    sigma: float = 0.05
    formula: ClassVar[str] = "s (cos θ - N(m, σ))"
    paper: ClassVar[str] = "Boutros et al. 2022, arXiv:2109.09416"
    neutral: ClassVar[Mapping[str, float] | None] = {"m": 0, "sigma": 0}

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, "sigma", 0, 1, "is the deviation of the margins")

    def target_logit(self, t: Target) -> Tensor:
        return self.logit(t, t.state.get(DRAWN, self.m))

    def observe(self, t: Target) -> State:
        return {**t.state, DRAWN: _draw(t, self.m, self.sigma, 2.0)}


@dataclass(frozen=True)
class ElasticCosFacePlus(ElasticCosFace):
    """ElasticFace-Cos+: the same draws, the larger ones to the samples with the smaller cosine."""

    sigma: float = 0.02
    formula: ClassVar[str] = "s (cos θ - N(m, σ)), larger where cos θ is smaller"

    def observe(self, t: Target) -> State:
        drawn = super().observe(t)
        return {**drawn, DRAWN: _larger_to_harder(drawn[DRAWN], t.cos)}


@dataclass(frozen=True)
class FixedAdaCos(Margin):
    """Softmax on cosines whose scale follows from the number of classes: s = √2 ln(C - 1).

    It is the buffer `adaptive_scale`. Zhang, Zhao, Qiao, Wang, Li, "AdaCos", CVPR 2019,
    arXiv:1905.00292.
    """

    geometry: ClassVar[Geometry] = COSINE._replace(scale=1.0)  # `rescale` has the right one
    formula: ClassVar[str] = "s cos θ, s = √2 ln(C - 1)"
    paper: ClassVar[str] = "Zhang et al. 2019, arXiv:1905.00292"
    fewest_classes: ClassVar[int] = 3
    chooses_scale: ClassVar[bool] = True

    def init(self, num_classes: int) -> dict[str, Tensor]:
        return {ADAPTIVE_SCALE: torch.tensor(math.sqrt(2) * math.log(num_classes - 1))}

    def rescale(self, geometry: Geometry, state: State) -> Geometry:
        return geometry._replace(scale=state[ADAPTIVE_SCALE])


@dataclass(frozen=True)
class AdaCos(FixedAdaCos):
    """Softmax on cosines whose scale follows the batch: s <- ln(B) / cos(min(π/4, median θ)).

    B is the mean over the batch of Σ_{j≠y} e^{s cos θ_j} at the scale before; the new one is used at
    once. The median is of the angles to the own classes, the lower one of the two in the middle.
    (A much copied implementation takes it over all classes and adds a margin.) A scale that would
    not be in (0, 1000] leaves the one before. Where the head samples classes, B is that of the sample,
    so the scale is smaller.
    """

    formula: ClassVar[str] = "s cos θ, s = ln(B) / cos(min(π/4, median θ))"
    reads_negatives: ClassVar[bool] = True

    def observe(self, t: Target) -> State:
        if t.negative is None or not len(t.negative):
            return t.state
        mean = t.negative.logsumexp(0) - math.log(len(t.negative))
        scale = mean / t.angle.median().clamp(max=math.pi / 4).cos()
        sensible = (scale > 0) & (scale <= LARGEST_SCALE)  # not NaN either
        return {**t.state, ADAPTIVE_SCALE: torch.where(sensible, scale, t.state[ADAPTIVE_SCALE])}


def _running(before: Tensor, now: Tensor, kept: float) -> Tensor:
    """The next running mean, in the dtype of the batch, which may be wider than the buffer's."""
    return kept * before.to(now.dtype) + (1 - kept) * now


def _check_weighting(margin: Margin) -> None:
    check(margin, "t", 1, 10, "makes hard negatives heavier")
    check_choice(margin, "form", get_args(Form))


def _heavier(cos: Tensor, own: Tensor, t: float, form: Form) -> Tensor:
    """What is above the own class, (B,), among the others' cosines, (B, c), is raised."""
    raised = (t * cos if form == "adaptive" else cos) + (t - 1)
    return torch.where(cos > own[:, None], raised, cos)


def _draw(t: Target, m: float, sigma: float, most: float) -> Tensor:
    return (m + sigma * torch.randn_like(t.cos)).clamp(0, most)


def _larger_to_harder(margins: Tensor, cos: Tensor) -> Tensor:
    """The same margins, the largest for the smallest cosine; the first of equal ones gets more."""
    hardest_first = cos.argsort(stable=True)
    return torch.empty_like(margins).scatter(0, hardest_first, margins.sort(descending=True).values)
