"""Margins around a margin: a schedule, a detached gradient, a margin for each class."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from margin_losses.margin import Geometry, Margin, SingleMargin, State, Target, is_whole

ITERATION = "iteration"
CLASS_MARGINS = "class_margins"


@dataclass(frozen=True)
class Wrapper(Margin):
    """All that the margin inside is, until something is changed."""

    margin: Margin

    def __post_init__(self) -> None:
        if not _is(self.margin, Margin):
            name = type(self).__name__
            raise ValueError(f"{name}: expected a margin like ArcFace(), got {self.margin!r}")

    @property
    def geometry(self) -> Geometry:  # type: ignore[override]
        """That of the margin inside, as are the others."""
        return self.margin.geometry

    @property
    def allows_bias(self) -> bool:  # type: ignore[override]
        return self.margin.allows_bias

    @property
    def centers(self) -> int:  # type: ignore[override]
        return self.margin.centers

    @property
    def neutral(self) -> Mapping[str, float] | None:  # type: ignore[override]
        return None

    @property
    def reads_negatives(self) -> bool:  # type: ignore[override]
        return self.margin.reads_negatives

    @property
    def chooses_scale(self) -> bool:  # type: ignore[override]
        return self.margin.chooses_scale

    @property
    def fewest_classes(self) -> int:  # type: ignore[override]
        return self.margin.fewest_classes

    @property
    def monotone(self) -> bool:
        return self.margin.monotone

    @property
    def changes_negatives(self) -> bool:
        return self.margin.changes_negatives

    @property
    def observes(self) -> bool:
        return self.margin.observes

    def target_logit(self, t: Target) -> Tensor:
        return self.margin.target_logit(t)

    def negatives(self, cos: Tensor, t: Target) -> Tensor:
        return self.margin.negatives(cos, t)

    def penalty(self, t: Target) -> Tensor | None:
        return self.margin.penalty(t)

    def init(self, num_classes: int) -> dict[str, Tensor]:
        return self.margin.init(num_classes)

    def observe(self, t: Target) -> State:
        return self.margin.observe(t)

    def rescale(self, geometry: Geometry, state: State) -> Geometry:
        return self.margin.rescale(geometry, state)


@dataclass(frozen=True)
class Annealed(Wrapper):
    """z_y = (λ z_plain + z_margin) / (1 + λ), λ = max(minimum, base (1 + gamma · iteration)^-power).

    L-Softmax and SphereFace start from scratch this way: without it m = 4 begins at a loss of
    about 205 for 10,575 classes at scale 64. The defaults are SphereFace's, which end at λ = 5: one
    sixth of the logit is the margin's. An iteration is one forward pass in training mode, so k
    accumulated batches count k times (divide gamma by k), as do passes that activation checkpointing
    repeats. The count is a buffer of the head: it is saved and resumed.

    Source: arXiv:1612.02295, section 5.1; arXiv:1704.08063, appendix G.
    """

    base: float = 1500.0
    gamma: float = 0.1
    power: float = 1.0
    minimum: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("base", "gamma", "power", "minimum"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"Annealed: expected a finite {name} >= 0, got {value:g}")

    @property
    def observes(self) -> bool:
        return True

    def weight(self, iteration: Tensor) -> Tensor:
        """λ at an iteration, float64."""
        growth = 1 + self.gamma * iteration.double()
        return (self.base * growth**-self.power).clamp(min=self.minimum)

    def target_logit(self, t: Target) -> Tensor:
        kept = self.weight(t.state[ITERATION])
        share = (kept / (1 + kept)).to(t.plain.dtype)
        return share * t.plain + (1 - share) * self.margin.target_logit(t)

    def init(self, num_classes: int) -> dict[str, Tensor]:
        # whole numbers: a float16 copy of the head must not stop counting at 2,048
        count = torch.zeros((), dtype=torch.int64)
        return {**self.margin.init(num_classes), ITERATION: count}

    def observe(self, t: Target) -> State:
        return {**self.margin.observe(t), ITERATION: t.state[ITERATION] + 1}


@dataclass(frozen=True)
class Detached(Wrapper):
    """The value of the margin inside, with the gradient of the plain logit.

    What insightface has shipped as ArcFace since 2022-12, and opensphere for all its angular heads
    ("characteristic gradient detachment"): the margin is added without a gradient. The loss is the
    same; d z_y / d cos θ is s, and not s sin(θ + m) / sin θ. It is not the derivative of the loss.

    It is about the own class alone. What a margin makes of the other classes' logits, as
    CurricularFace and SphereFace-R v2 do, keeps its exact gradient, and so does a penalty.

    Source: Liu et al. 2022, "SphereFace Revived", arXiv:2109.05565, section 3.5.
    """

    def target_logit(self, t: Target) -> Tensor:
        return t.plain + (self.margin.target_logit(t) - t.plain).detach()


@dataclass(frozen=True)
class PerClass(Wrapper):
    """The margin inside with its own m for each class: larger for the rare, smaller for the common.

    The numbers are the buffer `class_margins` of the head, saved and resumed with it, and in
    evaluation they count as in training. For a Landmark-2020-like head on sub-centres,
    m_c = a n_c^(-1/4) + b for a class of n_c samples. Margins that draw m themselves, or read it for
    the other classes too, are refused.

    Args:
        margin: one made by a single number m, like ArcFace or CosFace.
        m: (C,) that number for each class.
    """

    m: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if (
            not isinstance(self.margin, SingleMargin)
            or type(self.margin).target_logit is not SingleMargin.target_logit
            or self.margin.changes_negatives
        ):
            raise ValueError(
                "PerClass: expected a margin that a single m makes for the own class alone, like "
                f"ArcFace(), got {self.margin!r}"
            )
        object.__setattr__(self, "m", tuple(m if is_whole(m) else float(m) for m in self.m))
        for m in set(self.m):
            type(self.margin)(**{**vars(self.margin), "m": m})  # its own check of m

    def __repr__(self) -> str:
        few = ", ".join(f"{m:g}" for m in self.m[:3])
        return f"PerClass({self.margin!r}, m=({few}{', ...' if len(self.m) > 3 else ''}))"

    def init(self, num_classes: int) -> dict[str, Tensor]:
        if len(self.m) != num_classes:
            raise ValueError(
                f"PerClass: expected one m for each of the {num_classes} classes, got {len(self.m)}"
            )
        margins = torch.tensor(self.m, dtype=torch.get_default_dtype())
        return {**self.margin.init(num_classes), CLASS_MARGINS: margins}

    def target_logit(self, t: Target) -> Tensor:
        m = t.state[CLASS_MARGINS].to(t.cos.dtype)[t.label]
        return self.margin.logit(t, m)  # type: ignore[attr-defined, no-any-return]


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind)
