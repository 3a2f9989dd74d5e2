"""A margin that grows: λ parts of the plain logit to one part of the margin's."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from margin_losses.margins import Geometry, Margin, Target

ITERATION = "iteration"


@dataclass(frozen=True)
class Annealed(Margin):
    """z_y = (λ z_plain + z_margin) / (1 + λ), λ = max(minimum, base (1 + gamma · iteration)^-power).

    L-Softmax and SphereFace start from scratch this way: without it m = 4 begins at a loss of
    about 205 for 10,575 classes at scale 64. The defaults are SphereFace's, which end at λ = 5: one
    sixth of the logit is the margin's. An iteration is one forward pass in training mode, so k
    accumulated batches count k times (divide gamma by k), as do passes that activation checkpointing
    repeats. The count is a buffer of the head: it is saved and resumed.

    Source: arXiv:1612.02295, section 5.1; arXiv:1704.08063, appendix G.
    """

    margin: Margin
    base: float = 1500.0
    gamma: float = 0.1
    power: float = 1.0
    minimum: float = 5.0

    def __post_init__(self) -> None:
        if not isinstance(self.margin, Margin):
            raise ValueError(f"Annealed: expected a margin like ArcFace(), got {self.margin!r}")
        for name in ("base", "gamma", "power", "minimum"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"Annealed: expected a finite {name} >= 0, got {value:g}")

    @property
    def geometry(self) -> Geometry:  # type: ignore[override]
        """That of the margin inside."""
        return self.margin.geometry

    @property
    def allows_bias(self) -> bool:  # type: ignore[override]
        """As the margin inside does."""
        return self.margin.allows_bias

    def weight(self, iteration: Tensor) -> Tensor:
        """λ at an iteration, float64."""
        growth = 1 + self.gamma * iteration.double()
        return (self.base * growth**-self.power).clamp(min=self.minimum)

    def target_logit(self, t: Target) -> Tensor:
        kept = self.weight(t.state[ITERATION])
        share = (kept / (1 + kept)).to(t.plain.dtype)
        return share * t.plain + (1 - share) * self.margin.target_logit(t)

    def init(self) -> dict[str, Tensor]:
        # whole numbers: a float16 copy of the head must not stop counting at 2,048
        return {**self.margin.init(), ITERATION: torch.zeros((), dtype=torch.int64)}

    def observe(self, t: Target) -> Mapping[str, Tensor]:
        return {**self.margin.observe(t), ITERATION: t.state[ITERATION] + 1}
