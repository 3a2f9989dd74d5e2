"""Several processes train as one would: every head, sampled or not; and other numbers can go on."""

import json
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fuzz import SOAK
from PIL import Image

from recognition.training.checkpoint import BEST, LAST, read_checkpoint
from recognition.training.ranks import Ranks

SCRIPT = Path(__file__).parents[2] / "training_ranks.py"


def launch(ranks: int, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The script by so many processes of torchrun, or by one without it."""
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks)]
    return subprocess.run(
        [sys.executable, *(torchrun if ranks > 1 else []), SCRIPT, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@cache
def steps(ranks: int, folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    done = launch(ranks, "steps", folder / f"{ranks}.pt")
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, torch.Tensor]] = torch.load(
        folder / f"{ranks}.pt", weights_only=True
    )
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.mark.parametrize(
    "ranks",
    [pytest.param(2, marks=pytest.mark.skipif(not SOAK, reason="make soak has two as well")), 3],
)
def test_losses_gradients_and_parameters_are_those_of_one_process(ranks: int, folder: Path) -> None:
    alone, together = steps(1, folder), steps(ranks, folder)
    assert alone.keys() == together.keys()
    assert len(alone) > 2 * 20
    for case, expected in alone.items():
        found = together[case]
        assert found.keys() == expected.keys(), case
        for name, value in expected.items():
            largest = value.abs().max().clamp(min=1e-30)
            assert found[name].shape == value.shape, (case, name)
            assert (found[name] - value).abs().max() <= 1e-9 * largest, (case, name)


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of nine steps on small noise that differs from person to person."""
    faces = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(0)
    for person in range(10):
        own = random.integers(0, 200, (4, 4, 3))
        (faces / f"p{person}").mkdir()
        for number in range(4):
            picture = own + random.integers(0, 50, own.shape)
            Image.fromarray(picture.astype(np.uint8)).save(faces / f"p{person}" / f"{number}.png")
    return json.dumps({
        "data.pictures": str(faces), "data.validation_share": 0.4, "data.workers": 1,
        "model.backbone": "tiny", "model.head": "elasticarcface:s=8", "model.sample_rate": 0.7,
        "run.steps": 9, "run.batch_size": 7, "run.save_every": 2, "validation.every": 3,
        "optimiser.lr": 0.05, "optimiser.ema": 0.5, "optimiser.catch_up": True,
    })  # fmt: skip


def near(one: Path, two: Path) -> bool:
    a, b = read_checkpoint(one), read_checkpoint(two)
    assert a.tensors.keys() == b.tensors.keys()
    assert a.told["people"] == b.told["people"]
    return all(
        torch.allclose(a.tensors[name], b.tensors[name], rtol=1e-4, atol=1e-5) for name in a.tensors
    )


@pytest.mark.parametrize(
    "next_ranks",
    [2, pytest.param(4, marks=pytest.mark.skipif(not SOAK, reason="make soak has four as well"))],
)
def test_what_three_began_others_and_one_go_on_with(
    configuration: str, tmp_path: Path, next_ranks: int
) -> None:
    done = launch(1, "run", tmp_path / "alone", CONFIGURATION=configuration)
    assert done.returncode == 0, done.stderr[-3000:]
    done = launch(3, "run", tmp_path / "run", CONFIGURATION=configuration, DIES="1:3")
    assert done.returncode != 0
    assert time.time() - float((tmp_path / "run" / "died").read_text()) < 30
    assert read_checkpoint(tmp_path / "run" / LAST).told["step"] == 2
    dies = "0:7:no room here"
    done = launch(next_ranks, "run", tmp_path / "run", CONFIGURATION=configuration, DIES=dies)
    assert done.returncode != 0
    assert "no room here" in done.stderr
    assert time.time() - float((tmp_path / "run" / "died").read_text()) < 30
    assert read_checkpoint(tmp_path / "run" / LAST).told["step"] == 6
    done = launch(1, "run", tmp_path / "run", CONFIGURATION=configuration)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in (LAST, BEST):
        assert near(tmp_path / "run" / name, tmp_path / "alone" / name)
    results: dict[str, Any] = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["steps"], results["skipped"]) == (9, [])


def test_whoever_dies_all_stop_within_half_a_minute_and_say_why(
    configuration: str, tmp_path: Path
) -> None:
    done = launch(1, "dying", tmp_path, CONFIGURATION=configuration)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, tuple[float, str]]] = json.loads(done.stdout)
    assert len(found) == 5
    for death, each in found.items():
        assert all(seconds < 30 for seconds, _ in each.values()), death
        failed = [rank for rank, (_, said) in each.items() if "MemoryError: no room here" in said]
        survived = [said for rank, (_, said) in each.items() if "has stopped on process" in said]
        assert (len(failed), len(survived)) == ("killed" not in death, 2), (death, each)
        why = f"process {failed[0]}: no room here" if failed else "another process is gone"
        assert all(why in said for said in survived), (death, survived)


def test_parts_are_all_of_it_and_nearly_equal() -> None:
    for size in (0, 1, 7, 12):
        for world in (1, 2, 5):
            parts = [Ranks(rank, world).part(size) for rank in range(world)]
            assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
            assert parts[-1].stop == size
            sizes = [part.stop - part.start for part in parts]
            assert max(sizes) - min(sizes) <= 1
