"""Why training goes wrong, in words: what can be known before it, and what its steps show.

`check_before` and `Monitor` look at plain numbers, so that a loop of one's own can ask them too.
"""

import math
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from margin_losses import MarginHead

FEW = 20  # steps behind a mean
ALIKE = 0.95  # mean cosine of different people's embeddings, of which no network begins
AT_LEAST = 100  # steps after a warm-up before the loss must have moved
LARGE = 6  # times FixedAdaCos's scale: 64 is 4.9 times it for CASIA-WebFace's 10,575 people


class Seen(NamedTuple):
    """What a step showed.

    Attributes:
        loss: of the batch.
        cosine: mean cosine between embeddings of different people in it.
        gradient: norm of the backbone's gradient, before it was clipped.
        lr: the backbone's learning rate.
    """

    loss: float
    cosine: float
    gradient: float
    lr: float


def check_before(head: MarginHead, modules: Iterable[nn.Module],
                 optimisers: Iterable[Optimizer]) -> list[str]:  # fmt: skip
    """What is wrong already before the first step, a sentence each.

    A parameter that no optimiser steps; a scale s of unit vectors that C classes cannot use: beyond
    several times √2 ln(C - 1), which AdaCos fixes (Zhang et al. 2019, arXiv:1905.00292), the loss
    only knows right and wrong; and at a small one it cannot fall below
    ln(1 + (C - 1) exp(-s C / (C - 1))), which is CosFace's eq. 6 solved for the loss (Wang et al.
    2018, arXiv:1801.09414).
    """
    told = []
    stepped = {id(p) for each in optimisers for group in each.param_groups for p in group["params"]}
    left = [
        f"{type(module).__name__}'s {name}"
        for module in modules
        for name, p in module.named_parameters()
        if p.requires_grad and id(p) not in stepped
    ]
    if left:
        more = f" and {len(left) - 1} more" if left[1:] else ""
        told.append(
            f"no optimiser steps {left[0]}{more}: give head.parameters() to an optimiser, as well "
            "as the network's"
        )
    classes, scale = head.num_classes, float(head.geometry.scale)
    if not head.geometry.is_cosine or head.margin.chooses_scale:
        return told
    if classes > 2 and scale > LARGE * math.sqrt(2) * math.log(classes - 1):
        told.append(
            f"scale {scale:g} is large for {classes} classes: gradients vanish wherever the right "
            f"class is ahead; fixedadacos would take {math.sqrt(2) * math.log(classes - 1):.3g}"
        )
    if classes > 1:
        floor = math.log1p((classes - 1) * math.exp(-scale * classes / (classes - 1)))
        if floor > 0.1 * math.log(classes):
            told.append(
                f"scale {scale:g} is small for {classes} classes: even perfect embeddings have a "
                f"loss of {floor:.3g}; take a larger one"
            )
    return told


def other_cosine(embeddings: Tensor, labels: Tensor) -> float:
    """Mean cosine between embeddings of different people in a batch; nan where there is one only."""
    with torch.no_grad():
        unit = torch.nn.functional.normalize(embeddings.float())
        apart = labels[:, None] != labels[None, :]
        return float((unit @ unit.T)[apart].mean()) if bool(apart.any()) else math.nan


class Monitor:
    """Looks at every step, and says each thing once.

    Args:
        num_classes: C, from which the loss that knows nothing follows.
    """

    def __init__(self, num_classes: int) -> None:
        self.blind = math.log(max(num_classes, 2))
        self.losses: deque[float] = deque(maxlen=FEW)
        self.cosines: deque[float] = deque(maxlen=FEW)
        self.gradients: deque[float] = deque(maxlen=FEW)
        self.first = math.nan
        self.lowest = math.inf
        self.steps = 0
        self.rose = 0  # the last step whose learning rate was higher than the one before
        self.lr = math.inf
        self.said: set[str] = set()

    def see(self, seen: Seen) -> list[str]:
        """What this step shows that was not said before."""
        self.steps += 1
        if seen.lr > self.lr:
            self.rose = self.steps
        self.lr = seen.lr
        for values, value in zip(
            (self.losses, self.cosines, self.gradients), seen[:3], strict=True
        ):
            if math.isfinite(value):
                values.append(value)
        if len(self.losses) < FEW:
            return []
        mean = sum(self.losses) / len(self.losses)
        if math.isnan(self.first):
            self.first = mean
        self.lowest = min(self.lowest, mean)
        found = {name: text for name, text in self._signs(mean, seen.lr).items()
                 if name not in self.said}  # fmt: skip
        self.said.update(found)
        return list(found.values())

    def _signs(self, mean: float, lr: float) -> dict[str, str]:
        signs = {}
        cosine = sum(self.cosines) / len(self.cosines) if self.cosines else 0.0
        if cosine > ALIKE:
            signs["alike"] = (
                f"all embeddings are alike: the mean cosine between different people is "
                f"{cosine:.3f}; try a smaller learning rate than {lr:g}, a longer warm-up, or a "
                "network that ends with batch normalisation"
            )
        if self.gradients and max(self.gradients) == 0:
            signs["still"] = (
                f"no gradient reached the backbone in {FEW} steps: its embeddings are detached, or "
                "every loss is 0"
            )
        if mean > 1.5 * max(self.first, self.lowest + 0.5 * self.blind):
            signs["rising"] = (
                f"the loss rises: {mean:.3g} over the last {FEW} steps, after {self.lowest:.3g}; "
                f"try a smaller learning rate than {lr:g}, or clip gradients"
            )
        # means of few batches go up and down by a percent
        stays = mean > 0.99 * self.first and self.lowest > 0.97 * self.first
        stays = stays and self.steps - self.rose >= AT_LEAST
        if stays and mean > 0.5 * self.blind and "rising" not in signs:
            signs["stuck"] = (
                f"the loss has not fallen in {self.steps} steps: {mean:.3g}, and {self.first:.3g} "
                f"at first; is the learning rate of {lr:g} too small or too large, is the head in "
                "the optimiser, do the labels belong to the pictures?"
            )
        return signs
