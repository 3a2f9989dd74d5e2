"""What a margin is: a formula for the logit of the sample's own class, and what it may look at.

With z the logits, the loss of a sample with label y falls into two terms,

    L = -log( e^{z_y} / (e^{z_y} + Σ_{j≠y} e^{z_j}) ) = -logsigmoid( z_y - log Σ_{j≠y} e^{z_j} )

and only the second one sees the class axis. A margin makes z_y from a handful of numbers per
sample, the `Target`; the `Geometry` says what the plain logits z_j are. All angles are in radians.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

State = Mapping[str, Tensor]
NO_STATE: State = MappingProxyType({})
LARGEST_SCALE = 1000.0


class Geometry(NamedTuple):
    """What a plain logit is: scale · ⟨x or x/‖x‖, w or w/‖w‖⟩."""

    unit_embedding: bool
    unit_weight: bool
    scale: float | Tensor  # a tensor without dimensions where it is learnt

    @property
    def is_cosine(self) -> bool:
        """Both sides are of unit length."""
        return self.unit_embedding and self.unit_weight

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
        state: the margin's running statistics, and what `observe` made for this batch.
        negative: (B,) log Σ_{j≠y} e^{z_j}, for `observe` of a margin that `reads_negatives`.
    """

    plain: Tensor
    cos: Tensor
    sin: Tensor
    angle: Tensor
    scale: Tensor
    norm: Tensor
    label: Tensor
    state: State = NO_STATE
    negative: Tensor | None = None


@dataclass(frozen=True)
class Margin:
    """Base of every margin, and itself none.

    Attributes:
        geometry: what the plain logits are.
        formula: the own class's logit, to print.
        paper: where it comes from.
        allows_bias: the formula reads the plain logit alone, so a bias may be in it.
        centers: how many sub-centres a class has unless the head is told.
        neutral: parameters that make it no margin, or None where none do.
        reads_negatives: `observe` wants `Target.negative`.
        chooses_scale: the scale is the margin's own (see `rescale`); a head is not to be given one.
        fewest_classes: the smallest number of classes it is defined for.
    """

    geometry: ClassVar[Geometry] = COSINE
    formula: ClassVar[str] = "s cos θ"
    paper: ClassVar[str] = ""
    allows_bias: ClassVar[bool] = False
    centers: ClassVar[int] = 1
    neutral: ClassVar[Mapping[str, float] | None] = MappingProxyType({})
    reads_negatives: ClassVar[bool] = False
    chooses_scale: ClassVar[bool] = False
    fewest_classes: ClassVar[int] = 1

    @property
    def monotone(self) -> bool:
        """A closer embedding never scores lower, and never higher than without the margin."""
        return True

    @property
    def changes_negatives(self) -> bool:
        """The other classes' logits are not the plain ones."""
        return type(self).negatives is not Margin.negatives

    @property
    def observes(self) -> bool:
        """There is something to do for each training batch."""
        return type(self).observe is not Margin.observe

    def target_logit(self, t: Target) -> Tensor:
        """The logit of the own class, (B,)."""
        return t.plain

    def negatives(self, cos: Tensor, t: Target) -> Tensor:
        """What takes the place of the other classes' cosines, elementwise.

        Args:
            cos: (B, c) cosines to some of the classes; the own one, if among them, is hidden later.
            t: the own class, as constants.
        """
        return cos

    def penalty(self, t: Target) -> Tensor | None:
        """What is added to the loss of each sample, (B,), or None."""
        return None

    def init(self, num_classes: int) -> dict[str, Tensor]:
        """Running statistics before the first step; the head keeps them as buffers."""
        return {}

    def observe(self, t: Target) -> State:
        """The state for this training batch, from constants; called before everything else.

        Entries that `init` has are running statistics and are kept; others, like margins drawn for
        each sample, last for the batch.
        """
        return t.state

    def rescale(self, geometry: Geometry, state: State) -> Geometry:
        """The geometry with the scale of this moment, for a margin that learns it."""
        return geometry


@dataclass(frozen=True)
class SingleMargin(Margin):
    """A margin made by one number m, which may also differ from sample to sample."""

    def logit(self, t: Target, m: float | Tensor) -> Tensor:
        """The logit of the own class for this m, a number or (B,)."""
        raise NotImplementedError

    def target_logit(self, t: Target) -> Tensor:
        return self.logit(t, self.m)  # type: ignore[attr-defined]


def is_whole(value: object) -> bool:
    """A whole number of any library, but not True or False."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check(
    margin: Margin, name: str, low: float, high: float, what: str, *, angle: bool = False
) -> None:
    """Refuse a parameter that is no number in [low, high]; NaN is outside."""
    given = getattr(margin, name)
    value = float(given) if isinstance(given, Real) else math.nan
    if low <= value <= high:
        return
    shown = f"{value:g}" if isinstance(given, Real) else repr(given)
    hint = ""
    if angle and high < value <= 180:
        hint = f"; if {shown} is in degrees, {name}={math.radians(value):.4g} is the same angle"
    raise ValueError(
        f"{type(margin).__name__}: {name} {what}, expected {low:g} <= {name} <= {high:.4g}, "
        f"got {shown}{hint}"
    )


def as_tensor(m: float | Tensor, like: Tensor) -> Tensor:
    """A number as a tensor of the same dtype and device."""
    return m if isinstance(m, Tensor) else torch.full((), m, dtype=like.dtype, device=like.device)


def running(before: Tensor, now: Tensor, kept: float) -> Tensor:
    """The next running mean, in the dtype of the batch, which may be wider than the buffer's."""
    return kept * before.to(now.dtype) + (1 - kept) * now
