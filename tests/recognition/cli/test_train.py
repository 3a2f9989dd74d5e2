"""`recognition train`: what is typed becomes what is asked of the library."""

import json
import logging
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from recognition.cli import app
from recognition.cli.console import INTERRUPTED
from recognition.errors import InputError
from recognition.training.config import DEFAULTS, TrainConfig, flat
from recognition.training.config_files import changed, write_config
from recognition.training.stopping import Stopped

TRAIN = get_command(app).commands["train"]  # type: ignore[attr-defined]


class Asked:
    """What `run_training` was called with; it trains nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[TrainConfig, Path, bool]] = []
        self.start: Path | None = None
        self.error: BaseException | None = None
        self.best: dict[str, Any] = {"step": 1200, "metric": "eer", "value": 0.0423}

    def __call__(
        self,
        config: TrainConfig,
        folder: Path,
        *,
        resume: bool,
        start: Path | None,
        watch: object,
        command: str,
    ) -> dict[str, Any]:
        assert callable(watch)
        assert command.startswith("recognition")
        self.start = start
        self.calls.append((config, folder, resume))
        if self.error is not None:
            raise self.error
        logging.getLogger("recognition.training.run").warning("the loss rises")
        estimate = {"value": 0.0423, "low": 0.03, "high": 0.05}
        return {
            "best": self.best, "estimates": {"eer": estimate}, "validation": {"people": 30},
            "last_estimates": {"eer": estimate}, "config": {"validation": {"metric": "eer"}},
            "steps": 2000, "skipped": [{}], "broken": [], "warnings": ["x"] * 3,
        }  # fmt: skip

    @property
    def config(self) -> TrainConfig:
        return self.calls[-1][0]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    module, found = ModuleType("recognition.training.run"), Asked()
    module.run_training = found  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    return found


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def refused(asked: Asked, *arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert not asked.calls
    return " ".join(result.stderr.split())


def test_without_a_word_it_is_the_defaults_on_drawn_faces(asked: Asked) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    ((config, folder, resume),) = asked.calls
    assert config == changed(TrainConfig(), {"validation.every": 200})
    assert re.fullmatch(r"runs/drawn-\d{8}-\d{6}", folder.as_posix())
    assert not resume
    assert result.stdout.startswith(
        "On 30 people never learned from, the equal error rate is 4.23 %"
    )
    assert result.stdout.splitlines()[-3:] == [
        f"Written to {folder}",
        f"To look at: {folder / 'report.html'}",
        f"To use: recognition embed PHOTOGRAPHS --model {folder}",
    ]


@pytest.mark.parametrize(
    ("words", "every"),
    [(["--steps", 60], 12), (["--steps", 3], 1), (["--steps", 9000], 500),
     (["--steps", 60, "--validate-every", 0], 0), (["--config", "my.toml", "--steps", 60], 500)],
)  # fmt: skip
def test_a_run_is_validated_often_enough_to_tell_whether_it_improves(
    words: list[object], every: int, asked: Asked
) -> None:
    Path("my.toml").write_text("[run]\nseed = 3\n")
    assert run(*words).exit_code == 0
    assert asked.config.validation.every == every


TYPED = {
    "data.validation": ("--validate", "/other"),
    "data.validation_share": ("--validation-share", 0.2),
    "data.people": ("--people", 7),
    "data.workers": ("--workers", 3),
    "model.backbone": ("--backbone", "inception_resnet_v1"),
    "model.head": ("--head", "cosface:m=0.2,s=16"),
    "model.sample_rate": ("--sample-rate", 0.3),
    "optimiser.lr": ("--lr", 0.03),
    "optimiser.head_lr": ("--head-lr", 0.04),
    "optimiser.momentum": ("--momentum", 0.5),
    "optimiser.weight_decay": ("--weight-decay", 0.006),
    "optimiser.head_weight_decay": ("--head-weight-decay", 0.007),
    "optimiser.clip": ("--clip", 2.0),
    "optimiser.accumulate": ("--accumulate", 4),
    "optimiser.ema": ("--ema", 0.99),
    "schedule.name": ("--schedule", "steps"),
    "schedule.warmup": ("--warmup", 0.25),
    "schedule.factor": ("--factor", 0.2),
    "schedule.power": ("--power", 3.0),
    "augment.turn": ("--turn", 0.15),
    "augment.zoom": ("--zoom", 0.11),
    "augment.shift": ("--shift", 0.06),
    "augment.light": ("--light", 0.3),
    "validation.every": ("--validate-every", 33),
    "validation.metric": ("--metric", "tar@fmr=0.01"),
    "run.steps": ("--steps", 99),
    "run.batch_size": ("--batch-size", 12),
    "run.seed": ("--seed", 5),
    "run.save_every": ("--save-every", 44),
    "run.device": ("--device", "cuda:1"),
    "run.precision": ("--precision", "bf16"),
}


def test_every_flag_is_for_its_own_value(asked: Asked) -> None:
    words = [word for pair in TYPED.values() for word in pair]
    result = run("/faces", *words, "--milestones", "0.3,0.6", "--no-mirror", "--catch-up")
    assert result.exit_code == 0, result.output
    wanted = {key: value for key, (_, value) in TYPED.items()}
    wanted |= {"data.pictures": "/faces", "augment.mirror": False}
    wanted |= {"schedule.milestones": (0.3, 0.6)}
    for key, value in wanted.items():
        assert value != DEFAULTS[key]
        assert flat(asked.config)[key] == value, key
    left = {key for key, value in flat(asked.config).items() if value == DEFAULTS[key]}
    assert left == {"optimiser.name", "run.patience"}


def test_the_optimiser_is_a_flag_too(asked: Asked) -> None:
    assert run("--optimiser", "adamw", "--lr", 0.001).exit_code == 0
    assert asked.config == changed(
        TrainConfig(),
        {"optimiser.name": "adamw", "optimiser.lr": 0.001, "validation.every": 200},
    )


def test_every_value_has_a_flag_that_tells_its_default() -> None:
    """But for the patience, which is for files."""
    keys = {each.name.replace("_", ".", 1): each for each in TRAIN.params}
    assert set(DEFAULTS) - set(keys) == {"run.patience"}
    for key in set(DEFAULTS) & set(keys) - {"data.pictures"}:
        told = re.search(r"\[default: (.*)\]$", keys[key].help)[1]  # type: ignore[index]
        value = DEFAULTS[key]
        numbers = isinstance(value, float | int) and not isinstance(value, bool)
        if key == "validation.every":
            assert told == f"a fifth of the steps, {value} at most"
        elif told not in ("all", "that of --lr") and numbers:
            assert float(told) == value


def test_flags_go_before_the_file_and_the_file_before_defaults(asked: Asked) -> None:
    Path("my.toml").write_text("[run]\nsteps = 7\nseed = 3\n[augment]\nmirror = false\n")
    assert run("--config", "my.toml", "--steps", 8, "--mirror").exit_code == 0
    assert asked.config == changed(TrainConfig(), {"run.steps": 8, "run.seed": 3})


def test_data_is_kept_so_that_a_run_goes_on_from_anywhere(asked: Asked, tmp_path: Path) -> None:
    Path("my.toml").write_text("[data]\nvalidation = 'others.rec'\n")
    assert run("faces", "--config", "my.toml", "--out", "here").exit_code == 0
    ((config, folder, _),) = asked.calls
    assert config.data.pictures == str(tmp_path / "faces")
    assert config.data.validation == str(tmp_path / "others.rec")
    assert folder == Path("here")


@pytest.mark.parametrize("data", ["faces", "sets/faces/", "faces/../faces"])
def test_a_run_is_named_after_its_data(data: str, asked: Asked) -> None:
    assert run(data).exit_code == 0
    assert re.fullmatch(r"runs/faces-\d{8}-\d{6}", asked.calls[0][1].as_posix())


def test_a_file_that_makes_no_sense_is_named(asked: Asked) -> None:
    Path("my.toml").write_text("[run]\nstep = 7\n")
    message = refused(asked, "--config", "my.toml")
    assert message.startswith("recognition: my.toml: unknown key 'run.step'; did you mean 'steps'?")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lr", "-1"], "optimiser.lr: expected 0 < lr <= 10, got -1"),
        (["--lr", "nan"], "optimiser.lr: expected 0 < lr <= 10, got nan"),
        (["--lr", "fast"], "Invalid value for '--lr'"),
        (["--head", "arcfase"], "unknown margin 'arcfase'; did you mean 'arcface'?"),
        (["--metric", "err"], "did you mean 'eer'?"),
        (["--milestones", "0.5;0.7"], "--milestones: expected numbers with commas between them"),
        (["--milestones", "0.7,0.5"], "schedule.milestones: expected shares of the steps between"),
        (["--people", 5], "data.people: goes with pictures of one's own"),
        (["--optimiser", "adamw"], "optimiser.lr: of adamw expected at most 0.05"),
        (["--config", "none.toml"], "no such file"),
        (["--resume", "none"], "no such file"),
        (["--speed", "high"], "No such option"),
    ],
)
def test_options_that_make_no_sense(words: list[object], message: str, asked: Asked) -> None:
    assert message in refused(asked, *words)


@pytest.fixture
def begun(asked: Asked, tmp_path: Path) -> Path:
    """The folder of a run that was stopped."""
    folder = tmp_path / "one run"
    folder.mkdir()
    values = {"data.pictures": str(tmp_path / "faces"), "run.steps": 50}
    write_config(changed(TrainConfig(), values), folder / "config.toml")
    return folder


def test_a_run_goes_on_with_its_own_settings(begun: Path, asked: Asked) -> None:
    result = run("--resume", begun)
    assert result.exit_code == 0
    assert f"--model '{begun}'" in result.stdout, "to be typed, spaces and all"
    ((config, folder, resume),) = asked.calls
    assert (config.run.steps, folder, resume) == (50, begun, True)


def test_what_changes_no_result_may_change_and_is_said(begun: Path, asked: Asked) -> None:
    free = ["--device", "mps", "--workers", 1, "--save-every", 9, "--validate-every", 8]
    result = run("faces", "--resume", begun, *free)  # the same data may be named again
    assert result.exit_code == 0, result.output
    assert "run.device is 'mps', and was 'cpu'" in result.stderr.splitlines()
    assert asked.config.run.save_every == 9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["other"], "data.pictures is "),
        (["--lr", 0.2], "optimiser.lr is 0.2, and was 0.1: a run that goes on keeps it; leave it"),
        (
            ["--steps", 60],
            "run.steps is 60, and was 50, on which the learning rates of the schedule",
        ),
        (
            ["--config", "x.toml"],
            "--resume has the settings and the folder of its run; leave --conf",
        ),
        (["--out", "x"], "--resume has the settings and the folder of its run; leave --out out"),
    ],
)
def test_what_would_end_elsewhere_is_refused(
    words: list[object], message: str, begun: Path, asked: Asked
) -> None:
    assert message in refused(asked, "--resume", begun, *words)


def test_ctrl_c_says_how_to_go_on(begun: Path, asked: Asked) -> None:
    asked.error = KeyboardInterrupt()
    (begun / "last.safetensors").touch()
    result = run("--resume", begun)
    assert result.exit_code == INTERRUPTED
    assert f"recognition train --resume '{begun}' goes on after the last ch" in result.stderr
    asked.error = Stopped(1200)
    assert f"recognition train --resume '{begun}' goes on after step 1,200" in (
        run("--resume", begun).stderr
    )


def test_ctrl_c_before_the_first_checkpoint(asked: Asked) -> None:
    asked.error = KeyboardInterrupt()
    result = run()
    assert result.exit_code == INTERRUPTED
    assert "stopped; nothing was written" in result.stderr


def test_what_the_library_refuses_is_one_sentence(asked: Asked) -> None:
    asked.error = InputError("2 people are in both")
    result = run()
    assert (result.exit_code, result.stderr) == (2, "recognition: 2 people are in both\n")


def test_json_is_the_results_and_nothing_else(asked: Asked) -> None:
    result = run("--json")
    assert json.loads(result.stdout)["best"] == asked.best


def test_how_it_went_is_told_in_sentences(asked: Asked) -> None:
    told = " ".join(run("faces", "--from", "other").stdout.split())
    assert asked.start == Path("other")
    assert "rate is 4.23 % (95 %: 3.00–5.00), by the network after step 1,200 of 2,000." in told
    assert "About 42 of 1,000 pairs would be judged wrongly" in told
    assert "Look at this first: 3 warnings, 1 step that changed nothing." in told
    assert "decoded" not in told
    assert "the loss rises" in run().stderr, "when it is said, not at the end"
    asked.best = {}
    assert "Nothing can be said of people never seen" in run().stdout
    assert "Written to " in run().stdout
