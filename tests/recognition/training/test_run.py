"""A run that is killed at any moment ends as the one that was left alone."""

import csv
import json
import math
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copytree, rmtree
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
from recognition.evaluation import Estimate
from recognition.training import engine as engine_module
from recognition.training import run as module
from recognition.training import stopping
from recognition.training.beginning import begun, codes_of
from recognition.training.checkpoint import BEST, LAST, read_checkpoint
from recognition.training.config import TrainConfig
from recognition.training.config_files import changed
from recognition.training.held_folder import alone
from recognition.training.run import RESULTS, run_training
from recognition.training.run_files import CONFIG, Run, read_config_of, read_run, write_run
from recognition.training.sets import read_sets

PEOPLE, PICTURES, SIDE = 9, 5, 16
STEPS = 240 if SOAK else 24  # of runs that are killed


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
    assert names == {CONFIG, LAST, BEST, RESULTS, "report.html", "log.csv", "run.log", "weights"}
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


@pytest.mark.parametrize("number", stopping.SIGNALS, ids=lambda each: each.name)
def test_ctrl_c_keeps_every_step_so_far(
    number: signal.Signals, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though no checkpoint is due, nor is it where a step begins that the signal comes."""
    config = config_of(faces, run__save_every=100)
    run_training(config, tmp_path / "whole")
    before = signal.signal(number, signal.default_int_handler)
    clip = engine_module.Engine._clip

    def clipped(self: Any) -> float:
        if self.state.step == 3:
            signal.raise_signal(number)
        return clip(self)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(engine_module.Engine, "_clip", clipped)
            with pytest.raises(stopping.Stopped, match="after step 4"):
                run_training(config, tmp_path / "run")
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    assert read_run(tmp_path / "run").state.step == 4
    run_training(config, tmp_path / "run", resume=True)
    assert equal(tmp_path / "run" / LAST, tmp_path / "whole" / LAST)
    assert len(rows(tmp_path / "run")) == 6


def test_sampled_classes_that_catch_up_go_on_to_the_same_end(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(faces, model__sample_rate=0.2, optimiser__catch_up=True)
    run_training(config, tmp_path / "alone")
    killed_at(monkeypatch, 5, config, tmp_path / "run")
    run_training(config, tmp_path / "run", resume=True)
    assert all(equal(tmp_path / "alone" / name, tmp_path / "run" / name) for name in (LAST, BEST))


@pytest.mark.parametrize("head", ["arcface:s=8", "elasticarcface:s=8"])
def test_runs_killed_at_random_moments_end_as_the_one_left_alone(
    head: str, faces: Path, tmp_path: Path
) -> None:
    """With SIGKILL, in processes; sampled classes and augmentation draw as they would have."""
    if head != "arcface:s=8" and not SOAK:
        pytest.skip("make soak kills the head that draws as well")
    values = {
        "data.pictures": str(faces), "data.validation_share": 0.4, "model.head": head,
        "model.sample_rate": 0.6, "augment.turn": 0.1, "run.steps": STEPS, "run.batch_size": 8,
        "run.save_every": 3, "validation.every": 8, "data.workers": 1,
    }  # fmt: skip
    worker = Path(__file__).parents[2] / "training_worker.py"
    found = {}
    for name, kills in (("alone", 0), ("killed", 40 if SOAK else 3)):
        done = subprocess.run(
            [sys.executable, worker, tmp_path / name, "0.6", str(kills), "1"],
            input=json.dumps(values), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found[name] = json.loads(done.stdout)
    assert len(found["killed"]["killed_at"]) >= (15 if SOAK else 1), "it was over too soon"
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
    with alone(folder), pytest.raises(InputError, match="another process trains in"):
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
    state = begun(other, tmp_path / "new", read_sets(other), False, tmp_path / "old", "cpu")
    assert sorted(state.people) == np.unique(new.labels).tolist()
    assert (state.step, state.best) == (0, {})
    for person in set(old.state.people) & set(state.people):
        a, b = old.state.people.index(person), state.people.index(person)
        assert torch.equal(old.state.head.weight[a], state.head.weight[b])
    results = run_training(other, tmp_path / "new", start=tmp_path / "old")
    assert results["steps"] == 1
    codes = codes_of(new, state.people)
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


def test_the_best_is_what_is_kept_whatever_the_last_checkpoint_knows(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after a better one was kept, and not validated at that step again."""
    values = iter([0.5, 0.4, 0.1, 0.45])
    monkeypatch.setattr(module, "judge", lambda *_, **__: {"eer": Estimate(next(values, 0.45))})
    config = config_of(faces, run__steps=9, run__save_every=5, validation__every=2)
    killed_at(monkeypatch, 7, config, tmp_path / "run")
    assert read_checkpoint(tmp_path / "run" / LAST).told["best"]["step"] == 4
    later = changed(config, {"validation.every": 0})
    results = run_training(later, tmp_path / "run", resume=True)
    assert results["best"] == {"step": 6, "metric": "eer", "value": 0.1}
    kept = read_checkpoint(tmp_path / "run" / BEST)
    assert kept.told["step"] == 6
    (tmp_path / "run" / BEST).write_bytes(b"x")
    with pytest.raises(InputError, match=r"best\.safetensors.*remove it to go on"):
        run_training(later, tmp_path / "run", resume=True)
    (tmp_path / "run" / BEST).unlink()
    assert run_training(later, tmp_path / "run", resume=True)["best"]["step"] == 9


def test_what_was_broken_before_a_stop_is_in_the_results(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    copytree(faces, broken)
    config = config_of(broken, run__steps=30, run__save_every=25, model__head="arcface:s=64")
    learned = read_sets(config).learn.ids.tolist()
    (broken / learned[3]).write_bytes(b"GIF89a")
    whole = run_training(config, tmp_path / "whole")
    killed_at(monkeypatch, 29, config, tmp_path / "run")
    results = run_training(config, tmp_path / "run", resume=True)
    assert [each["picture"] for each in results["broken"]] == [learned[3]]
    assert results["broken"] == whole["broken"]
    again = run_training(config, tmp_path / "run", resume=True)
    own = {"seconds": 0, "resumed": 0, "peak_gib": 0}  # of the process that came to the end
    assert {**again, **own} == {**results, **own}


def test_a_monitor_that_goes_on_says_nothing_new_of_what_it_saw(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recognition.training.monitor.FEW", 2)
    monkeypatch.setattr("recognition.training.monitor.ALIKE", -1.0)
    config = config_of(faces)
    whole = run_training(config, tmp_path / "whole")
    assert any("alike" in text for text in whole["warnings"])
    killed_at(monkeypatch, 5, config, tmp_path / "run")
    results = run_training(config, tmp_path / "run", resume=True)
    assert results["warnings"] == whole["warnings"]
    said = (tmp_path / "run" / "run.log").read_text()
    assert said.count("alike") == 1


def test_a_run_that_was_killed_before_it_began_begins_anew(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(faces, run__steps=2)
    folder = tmp_path / "run"

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_config", killed)
        with pytest.raises(Killed):
            run_training(config, folder)
    (folder / f"{LAST}.part").write_bytes(b"half")
    with pytest.raises(InputError, match=r"with its config\.toml"):
        run_training(config, folder, resume=True)
    assert run_training(config, folder)["steps"] == 2
    assert not list(folder.glob("*.part"))
    with pytest.raises(InputError, match="exists already"):
        run_training(config, folder)
    with pytest.raises(InputError, match="expected the folder of a run"):
        run_training(config, tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()


def test_a_configuration_changed_by_hand_is_seen_by_the_checkpoint(
    faces: Path, tmp_path: Path
) -> None:
    config, folder = (
        config_of(faces, schedule__name="constant", schedule__warmup=0.0),
        tmp_path / "run",
    )
    run_training(config, folder)
    told = folder / CONFIG
    before = told.read_text()
    told.write_text(before.replace("lr = 0.02", "lr = 0.03"))
    with pytest.raises(InputError, match=r"optimiser\.lr is 0\.03, and was 0\.02"):
        run_training(read_config_of(folder), folder, resume=True)
    faces.rename(tmp_path / "moved")
    try:
        told.write_text(before.replace(str(faces), str(tmp_path / "moved")))
        moved = read_config_of(folder)
        with pytest.raises(InputError, match="has taken 6 steps"):
            run_training(changed(moved, {"run.steps": 3}), folder, resume=True)
        results = run_training(changed(moved, {"run.steps": 9}), folder, resume=True)
    finally:
        (tmp_path / "moved").rename(faces)
    run_training(changed(config, {"run.steps": 9}), tmp_path / "whole")
    assert results["steps"] == 9
    assert equal(folder / LAST, tmp_path / "whole" / LAST)


def test_weights_that_ran_away_are_never_kept(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = engine_module.Engine.step

    def hostile(self: Any, batches: Any) -> Any:
        report = taken(self, batches)
        if report.step == 4:
            with torch.no_grad():
                self.state.head.weight[0] = math.nan
        return report

    monkeypatch.setattr(engine_module.Engine, "step", hostile)
    with pytest.raises(InputError, match=r"run away.*the last checkpoint is sound"):
        run_training(config_of(faces), tmp_path / "run")
    assert all(bool(value.isfinite().all()) for value in tensors(tmp_path / "run" / LAST).values())


def test_a_run_with_an_average_may_begin_with_one_without(faces: Path, tmp_path: Path) -> None:
    run_training(config_of(faces, optimiser__ema=0.0), tmp_path / "old")
    config = config_of(faces, run__steps=1)
    state = begun(config, tmp_path / "new", read_sets(config), False, tmp_path / "old", "cpu")
    assert state.average is not None
    for one, two in zip(state.average.parameters(), state.backbone.parameters(), strict=True):
        assert torch.equal(one, two)
    assert run_training(config, tmp_path / "new", start=tmp_path / "old")["steps"] == 1


def test_a_metric_that_cannot_be_told_is_told(faces: Path, tmp_path: Path) -> None:
    config = config_of(faces, validation__metric="tar@fmr=0.001")
    results = run_training(config, tmp_path / "run")
    assert results["best"] == {}
    assert sum("tar@fmr=0.001 cannot be told" in text for text in results["warnings"]) == 1


def test_pictures_to_validate_on_that_are_broken_are_told(faces: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    copytree(faces, broken)
    config = config_of(broken)
    victim = read_sets(config).validation.ids[2]
    (broken / victim).write_bytes(b"no picture")
    (text,) = [t for t in run_training(config, tmp_path / "run")["warnings"] if "validate on" in t]
    assert "1 of 20 pictures" in text
    assert str(victim) in text


def test_a_device_that_is_not_here_leaves_no_folder(faces: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a device")
    with pytest.raises(InputError, match="device 'cuda'"):
        run_training(config_of(faces, run__device="cuda"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
