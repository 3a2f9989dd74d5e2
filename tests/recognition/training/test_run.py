"""A run that is killed at any moment ends as the one that was left alone."""

import csv
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pytest
import torch
from fuzz import SOAK
from PIL import Image
from safetensors import safe_open
from torch import nn

from recognition.backbones import registry
from recognition.backbones.registry import Backbone
from recognition.datasets.drawn import draw_faces
from recognition.errors import InputError
from recognition.training import engine as engine_module
from recognition.training import run as module
from recognition.training.checkpoint import BEST, LAST, read_checkpoint
from recognition.training.config import TrainConfig
from recognition.training.config_files import changed
from recognition.training.run import RESULTS, run_training
from recognition.training.run_files import CONFIG, Run, read_run, write_run
from recognition.training.sets import read_sets

PEOPLE, PICTURES, SIDE = 9, 5, 16


class Tiny(nn.Sequential):
    """16 x 16 pictures to 8 numbers."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 5, 4), nn.PReLU(4), nn.Flatten(), nn.Dropout(0.2),
                         nn.Linear(36, 8), nn.BatchNorm1d(8))  # fmt: skip


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BACKBONES, "tiny", Backbone(Tiny, SIDE, 8))
    monkeypatch.setattr(module, "FINAL_REPLICATES", 20)
    monkeypatch.setattr(module, "REPLICATES", 20)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    drawn = draw_faces(PEOPLE, PICTURES, size=SIDE)
    for number, (image, label) in enumerate(zip(drawn.images, drawn.labels, strict=True)):
        (folder / label).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / label / f"{number}.png")
    return folder


def config_of(faces: Path, **values: Any) -> TrainConfig:
    """Six steps on the tiny network; `run__steps=3` changes a number."""
    given = {
        "data.pictures": str(faces), "data.validation_share": 0.4, "model.backbone": "tiny",
        "model.head": "curricularface:s=8", "run.steps": 6, "run.batch_size": 6,
        "run.save_every": 2, "validation.every": 2, "optimiser.ema": 0.5, "optimiser.lr": 0.02,
        **{key.replace("__", "."): value for key, value in values.items()},
    }  # fmt: skip
    return changed(TrainConfig(), given)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return dict(read_checkpoint(path).tensors)


def equal(one: Path, two: Path) -> bool:
    a, b = tensors(one), tensors(two)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


class Killed(BaseException):
    """As abrupt as SIGKILL, for this process's part."""


def killed_at(
    monkeypatch: pytest.MonkeyPatch, step: int, config: TrainConfig, folder: Path
) -> None:
    """Nothing comes after some steps of a run."""
    taken = engine_module.Engine.step

    def counted(self: Any, batches: Any) -> Any:
        if self.state.step == step:
            raise Killed
        return taken(self, batches)

    with monkeypatch.context() as patch:
        patch.setattr(engine_module.Engine, "step", counted)
        with pytest.raises(Killed):
            run_training(config, folder)


def test_a_run_leaves_all_it_promises(faces: Path, tmp_path: Path) -> None:
    config = config_of(faces)
    results = run_training(config, tmp_path / "run")
    folder = tmp_path / "run"
    names = {path.name for path in folder.iterdir()} - {"tensorboard", ".lock"}
    assert names == {CONFIG, LAST, BEST, RESULTS, "log.csv", "run.log", "weights"}
    assert results == json.loads((folder / RESULTS).read_text())
    assert (results["steps"], results["people"], results["skipped"]) == (6, 5, [])
    assert results["best"]["metric"] == "eer"
    told = rows(folder)
    assert [row["step"] for row in told] == [*"123456"]
    validated = [float(row["validation"]) for row in told]
    assert [not math.isnan(value) for value in validated] == [False, True, False, True] + [
        False
    ] * 2
    best = min([*validated[1:5:2], results["last_estimates"]["eer"]["value"]])
    assert results["best"]["value"] == best
    assert results["estimates"]["eer"]["value"] == best
    (network,) = (folder / "weights").glob("*.backbone.safetensors")
    kept = read_checkpoint(folder / BEST)
    with safe_open(network, "pt") as file:
        assert file.metadata()["backbone"] == "tiny"
        for name, value in kept.part("average").items():
            assert torch.equal(file.get_tensor(name), value)
    assert read_run(folder).state.step == 6
    assert (folder.stat().st_mode | (folder / LAST).stat().st_mode) & 0o077 == 0


def test_whoever_stops_anywhere_goes_on_to_the_same_end(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(faces, optimiser__accumulate=2)
    run_training(config, tmp_path / "whole")
    for step in range(6):
        folder = tmp_path / f"stopped {step}"
        killed_at(monkeypatch, step, config, folder)
        torch.manual_seed(step)
        run_training(config, folder, resume=True)
        assert equal(folder / LAST, tmp_path / "whole" / LAST), step
        assert equal(folder / BEST, tmp_path / "whole" / BEST), step
        without = [
            {k: v for k, v in row.items() if k != "images_per_second"} for row in rows(folder)
        ]
        assert without == [
            {k: v for k, v in row.items() if k != "images_per_second"}
            for row in rows(tmp_path / "whole")
        ]


@pytest.mark.parametrize("head", ["arcface:s=8", "elasticarcface:s=8"])
def test_runs_killed_at_random_moments_end_as_the_one_left_alone(
    head: str, faces: Path, tmp_path: Path
) -> None:
    """With SIGKILL, in processes; sampled classes and augmentation draw as they would have."""
    if head != "arcface:s=8" and not SOAK:
        pytest.skip("make soak kills the head that draws as well")
    values = {
        "data.pictures": str(faces), "data.validation_share": 0.4, "model.head": head,
        "model.sample_rate": 0.6, "augment.turn": 0.1, "run.steps": 24, "run.batch_size": 8,
        "run.save_every": 3, "validation.every": 8, "data.workers": 1,
    }  # fmt: skip
    worker = Path(__file__).parents[2] / "training_worker.py"
    found = {}
    for name, kills in (("alone", 0), ("killed", 40 if SOAK else 3)):
        done = subprocess.run(
            [sys.executable, worker, tmp_path / name, "2.5", str(kills), "1"],
            input=json.dumps(values), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found[name] = json.loads(done.stdout)
    assert found["killed"]["killed_at"], "nobody was killed: it was over too soon"
    for part in (LAST, BEST):
        assert equal(tmp_path / "alone" / part, tmp_path / "killed" / part)
    assert not [name for name in found["killed"]["files"] if name.endswith(".part")]


def test_what_a_run_cannot_go_on_with_is_refused(faces: Path, tmp_path: Path) -> None:
    config = config_of(faces, run__steps=2)
    with pytest.raises(InputError, match=r"expected the folder of a run.*recognition train made"):
        run_training(config, tmp_path / "none", resume=True)
    run_training(config, tmp_path / "run")
    with pytest.raises(InputError, match="exists already"):
        run_training(config, tmp_path / "run")
    before = (tmp_path / "run" / LAST).read_bytes()
    (faces / "new").mkdir()
    Image.new("RGB", (9, 9)).save(faces / "new" / "1.png")
    try:
        with pytest.raises(InputError, match="not those that"):
            run_training(config, tmp_path / "run", resume=True)
    finally:
        rmtree(faces / "new")
    with pytest.raises(InputError, match=r"model\.head"):
        run_training(config_of(faces, model__head="arcface"), tmp_path / "run", resume=True)
    (tmp_path / "run" / LAST).write_bytes(before[:-20])
    with pytest.raises(InputError, match="damaged"):
        run_training(config, tmp_path / "run", resume=True)


def test_nothing_is_made_where_the_input_is_bad(faces: Path, tmp_path: Path) -> None:
    for values, word in (
        ({"data__validation": str(faces)}, "people are in both"),
        ({"data__validation_share": 0.01}, "at least 2 people"),
        ({"data__pictures": str(tmp_path / "missing")}, "missing"),
        ({"model__head": "lsoftmax:m=4", "data__validation_share": 0.9}, "people"),
    ):
        with pytest.raises(InputError, match=word):
            run_training(config_of(faces, **values), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_two_processes_do_not_train_in_one_folder(faces: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_training(config_of(faces, run__steps=1), folder)
    with module._alone(folder), pytest.raises(InputError, match="another process trains in"):
        run_training(config_of(faces, run__steps=1), folder, resume=True)


def test_a_disk_that_is_full_leaves_the_last_checkpoint(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(faces)
    whole = module.write_checkpoint

    def full(path: Path, checkpoint: Any) -> None:
        if checkpoint.told["step"] == 4:
            raise OSError(28, "No space left on device", str(path))
        whole(path, checkpoint)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_checkpoint", full)
        with pytest.raises(OSError, match="No space"):
            run_training(config, tmp_path / "run")
    assert read_checkpoint(tmp_path / "run" / LAST).told["step"] == 2
    run_training(config, tmp_path / "run", resume=True)
    run_training(config, tmp_path / "whole")
    assert equal(tmp_path / "run" / LAST, tmp_path / "whole" / LAST)


def test_a_picture_that_cannot_be_decoded_is_told_and_training_goes_on(
    faces: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    for path in faces.rglob("*.png"):
        copy = broken / path.relative_to(faces)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    config = config_of(broken, run__steps=8)
    learned = read_sets(config).learn.ids.tolist()
    victim = broken / learned[3]
    victim.write_bytes(victim.read_bytes()[:60])
    results = run_training(config, tmp_path / "run")
    assert [each["picture"] for each in results["broken"]] == [learned[3]]
    assert results["steps"] == 8


def test_another_run_begins_with_the_people_who_are_known(faces: Path, tmp_path: Path) -> None:
    config = config_of(faces, optimiser__ema=0.0)
    run_training(config, tmp_path / "old")
    old = read_run(tmp_path / "old")
    other = replace(config, run=replace(config.run, seed=5, steps=1))
    new = read_sets(other).learn
    assert 0 < len(set(old.state.people) & set(new.labels)) < len(old.state.people)
    state = module._begun(other, tmp_path / "new", read_sets(other), False, tmp_path / "old", "cpu")
    assert sorted(state.people) == np.unique(new.labels).tolist()
    assert (state.step, state.best) == (0, {})
    for person in set(old.state.people) & set(state.people):
        a, b = old.state.people.index(person), state.people.index(person)
        assert torch.equal(old.state.head.weight[a], state.head.weight[b])
    results = run_training(other, tmp_path / "new", start=tmp_path / "old")
    assert results["steps"] == 1
    codes = module._codes(new, state.people)
    assert [state.people[code] for code in codes] == new.labels.tolist()


def test_a_run_is_written_anew(faces: Path, tmp_path: Path) -> None:
    run_training(config_of(faces), tmp_path / "run")
    found = read_run(tmp_path / "run")
    write_run(tmp_path / "copy", Run(found.config, found.state))
    assert equal(tmp_path / "run" / LAST, tmp_path / "copy" / LAST)
    with pytest.raises(InputError, match="exists already"):
        write_run(tmp_path / "copy", found)


def test_a_network_that_learns_nothing_is_told_why(faces: Path, tmp_path: Path) -> None:
    results = run_training(config_of(faces, model__head="arcface:s=64"), tmp_path / "run")
    assert "scale 64 is large for 5 classes" in results["warnings"][0]
    assert "scale 64 is large" in (tmp_path / "run" / "run.log").read_text()
