"""A trained head on disk: safetensors, nothing else."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from torch import nn

from recognition.backbones.registry import find_backbone
from recognition.training.checkpoint import save_whole
from recognition.training.head_comparison import Run
from recognition.training.loop import Trained
from recognition.training.recipe import Recipe


def save_weights(run: Run, trained: Trained, folder: Path, recipe: Recipe) -> None:
    """Write `HEAD-SEED.backbone.safetensors` and `HEAD-SEED.classes.safetensors` of a comparison."""
    save_network(
        trained.backbone,
        trained.head,
        trained.people.tolist(),
        folder,
        backbone_name=recipe.backbone,
        head_name=run.head,
        seed=run.seed,
        name=run.asked,
    )


def save_network(
    backbone: nn.Module,
    head: nn.Module,
    people: Sequence[str],
    folder: Path,
    *,
    backbone_name: str,
    head_name: str,
    seed: int,
    name: str,
) -> None:
    """Write `NAME-SEED.backbone.safetensors` and `NAME-SEED.classes.safetensors`.

    The metadata says what is needed to use them: the backbone's name, how pictures are prepared,
    the head's setting, and which person each row of the class weights stands for.
    """
    folder.mkdir(exist_ok=True)
    kind = find_backbone(backbone_name)
    side, (mean, std) = kind.input_size, kind.standardisation
    shared = {"head": head_name, "seed": str(seed), "backbone": backbone_name}
    preparation = f"RGB, resized to {side} x {side}, (value - {mean:g}) / {std:g}"
    input_ = json.dumps(asdict(kind.preprocessing))  # what faces read
    described = {"input": preparation, "preprocessing": input_}
    start = re.sub(r"[^\w.=-]", "_", name)[:150]  # a head's options are no path, and can be long
    _save(backbone, folder / f"{start}-{seed}.backbone.safetensors", {**shared, **described})
    told = {**shared, "people": json.dumps(list(people))}
    _save(head, folder / f"{start}-{seed}.classes.safetensors", told)


def _save(module: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    tensors = {name: value.contiguous() for name, value in module.state_dict().items()}
    save_whole(path, tensors, metadata)
