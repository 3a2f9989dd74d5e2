"""A trained head on disk: safetensors, nothing else."""

import json
import re
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from recognition.backbones.registry import find_backbone
from recognition.contract import Preprocessing
from recognition.training.compare import Run
from recognition.training.loop import Trained
from recognition.training.recipe import Recipe


def save_weights(run: Run, trained: Trained, folder: Path, recipe: Recipe) -> None:
    """Write `HEAD-SEED.backbone.safetensors` and `HEAD-SEED.classes.safetensors`.

    The metadata says what is needed to use them: the backbone's name, how pictures are prepared,
    the head's setting, and which person each row of the class weights stands for.
    """
    folder.mkdir(exist_ok=True)
    side = find_backbone(recipe.backbone).input_size
    shared = {"head": run.head, "seed": str(run.seed), "backbone": recipe.backbone}
    preparation = f"RGB, resized to {side} x {side}, (value - 127.5) / 128"
    input_ = asdict(Preprocessing(alignment="whole", height=side, width=side))  # what faces read
    described = {"input": preparation, "preprocessing": json.dumps(input_)}
    people = json.dumps(trained.people.tolist())
    _save(trained.backbone, folder, run, "backbone", {**shared, **described})
    _save(trained.head, folder, run, "classes", {**shared, "people": people})


def _save(module: nn.Module, folder: Path, run: Run, part: str, metadata: dict[str, str]) -> None:
    tensors = {name: value.contiguous() for name, value in module.state_dict().items()}
    name = re.sub(r"[^\w.=-]", "_", run.asked)  # a head's options are no path
    save_file(tensors, folder / f"{name}-{run.seed}.{part}.safetensors", metadata)
