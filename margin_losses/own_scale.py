"""Softmax on cosines that chooses its own scale: AdaCos.

Running statistics change in `observe` alone, which the head calls for training batches; in
evaluation they stay as they are. A batch without samples changes nothing.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from margin_losses.margin import COSINE, LARGEST_SCALE, Geometry, Margin, State, Target

ADAPTIVE_SCALE = "adaptive_scale"


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
