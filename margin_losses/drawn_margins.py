"""Margins drawn by chance for each sample of a training batch: ElasticFace."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from margin_losses.margin import State, Target, check
from margin_losses.margins import ArcFace, CosFace

DRAWN = "drawn"


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


def _draw(t: Target, m: float, sigma: float, most: float) -> Tensor:
    return (m + sigma * torch.randn_like(t.cos)).clamp(0, most)


def _larger_to_harder(margins: Tensor, cos: Tensor) -> Tensor:
    """The same margins, the largest for the smallest cosine; the first of equal ones gets more."""
    hardest_first = cos.argsort(stable=True)
    return torch.empty_like(margins).scatter(0, hardest_first, margins.sort(descending=True).values)
