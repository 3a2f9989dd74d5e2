"""One backbone, one head, one recipe."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from margin_losses import MarginHead
from recognition.backbones import create_backbone
from recognition.backbones.registry import FACENET, Standardisation, find_backbone
from recognition.datasets.pictures import Pictures
from recognition.errors import InputError
from recognition.training.augment import augment, to_input
from recognition.training.recipe import Recipe

Progress = Callable[[int, float], None]  # steps done, loss


@dataclass(frozen=True)
class Trained:
    """What training leaves.

    Attributes:
        backbone: the network, in evaluation mode.
        head: the head, in evaluation mode.
        people: (C,) the person of each class.
        losses: (steps,) the loss of each batch.
        seconds: how long it took.
    """

    backbone: nn.Module
    head: MarginHead
    people: npt.NDArray[np.str_]
    losses: npt.NDArray[np.float32]
    seconds: float


def train(
    pictures: Pictures,
    head: str,
    recipe: Recipe,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Trained:
    """Train a fresh backbone with a head on these people.

    The seed alone decides the initial weights of both, the batches and their augmentation: two
    heads trained with one seed differ in nothing but the head.

    Args:
        pictures: at the backbone's input size; each person is a class.
        head: a margin by name, `"arcface:m=0.5,s=32"`.
        recipe: the rest.
        seed: of weights, batches and augmentation.
        progress: called after every step.

    Raises:
        InputError: pictures of another size, fewer than two pictures, or training that diverges.
    """
    kind = find_backbone(recipe.backbone)
    side = kind.input_size
    if pictures.images.shape[1:] != (side, side, 3) or len(pictures) < 2:
        raise InputError(
            f"{recipe.backbone} takes two pictures or more of {side} x {side} x 3, "
            f"got {pictures.images.shape}"
        )
    people, codes = np.unique(pictures.labels, return_inverse=True)
    device = torch.device(recipe.device)
    start = perf_counter()
    with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
        torch.manual_seed(seed)
        backbone = create_backbone(recipe.backbone)
        classifier = MarginHead(kind.embedding_dim, len(people), head)
        for module in (backbone, classifier):
            module.to(device)
        generator = torch.Generator().manual_seed(seed)
        batches = _batches(_tensor(pictures.images), codes, recipe, generator, device)
        losses = _descend(backbone, classifier, batches, recipe, progress)
    seconds = perf_counter() - start
    return Trained(backbone.eval(), classifier.eval(), people, losses, seconds)


def _descend(
    backbone: nn.Module,
    head: MarginHead,
    batches: Iterator[tuple[Tensor, Tensor]],
    recipe: Recipe,
    progress: Progress | None,
) -> npt.NDArray[np.float32]:
    backbone.train(), head.train()
    optimiser = torch.optim.AdamW(_groups(backbone, head, recipe))
    losses = np.empty(recipe.steps, np.float32)
    for step in range(recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr_at(step)
        images, labels = next(batches)
        embeddings = backbone(images)
        loss = head(embeddings, labels) if embeddings.isfinite().all() else embeddings.sum()
        losses[step] = loss.item()
        if not math.isfinite(losses[step]):
            raise InputError(
                f"training with {head.margin!r} has run away: at step {step} the loss is no longer "
                f"finite; try a smaller scale than {head.geometry.scale:g}, or a smaller learning "
                f"rate than {recipe.lr:g}"
            )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if progress is not None:
            progress(step + 1, float(losses[step]))
    return losses


def _groups(backbone: nn.Module, head: MarginHead, recipe: Recipe) -> list[dict[str, object]]:
    matrices = [p for p in backbone.parameters() if p.ndim > 1]
    vectors = [p for p in backbone.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": [*vectors, *head.parameters()], "weight_decay": 0.0},
    ]


def _batches(
    images: Tensor,
    codes: npt.NDArray[np.int64],
    recipe: Recipe,
    generator: torch.Generator,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled epochs without end, every batch of one size."""
    labels = torch.from_numpy(codes)
    standardisation = find_backbone(recipe.backbone).standardisation
    size = min(recipe.batch_size, len(images))
    while True:
        order = torch.randperm(len(images), generator=generator)
        for rows in torch.split(order, size):
            if len(rows) == size:  # what is left over comes first in another epoch
                batch = to_input(images[rows].to(device), standardisation)
                yield augment(batch, recipe, generator), labels[rows].to(device)


@torch.inference_mode()
def embed(
    backbone: nn.Module,
    images: npt.NDArray[np.uint8],
    *,
    standardisation: Standardisation = FACENET,
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """Embeddings (N, D) of pictures (N, H, W, 3), not normalised; one forward pass each.

    The standardisation is that of the backbone's entry in `BACKBONES`.

    Raises:
        InputError: no pictures.
    """
    if not len(images):
        raise InputError("expected at least one picture to embed, got none")
    device = next(backbone.parameters()).device
    backbone.eval()
    found = []
    for start in range(0, len(images), batch_size):
        batch = _tensor(images[start : start + batch_size]).to(device)
        found.append(backbone(to_input(batch, standardisation)).float().cpu().numpy())
        if progress is not None:
            progress(min(start + batch_size, len(images)))
    return np.concatenate(found)


def _tensor(images: npt.NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.require(images, requirements="W"))  # copies a memory map, only
