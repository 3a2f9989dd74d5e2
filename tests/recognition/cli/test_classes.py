"""`recognition classes`: people of a run that was trained a little, from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from recognition.cli import app
from recognition.datasets.drawn import draw_faces
from recognition.training.config import TrainConfig
from recognition.training.config_files import changed
from recognition.training.run_files import Run, read_run, write_run
from recognition.training.state import fresh

PEOPLE = ["ada", "bob", "=cy()"]


def run(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["classes", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "old"
    config = changed(TrainConfig(), {"data.workers": 1, "model.head": "cosface:s=16"})
    write_run(folder, Run(config, fresh(config, PEOPLE)))
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    drawn = draw_faces(2, 3, size=64)
    for number, (image, label) in enumerate(zip(drawn.images, drawn.labels, strict=True)):
        (folder / label).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / label / f"{number}.png")
    return folder


def test_people_are_listed_let_in_and_dropped(old: Path, pictures: Path, tmp_path: Path) -> None:
    assert run("list", old).splitlines() == PEOPLE
    assert json.loads(run("list", old, "--json"))["people"] == PEOPLE
    told = run("add", old, pictures, "-o", tmp_path / "more")
    assert "5 people now: 2 added, 0 removed" in told
    assert "--from" in told
    assert run("list", tmp_path / "more").splitlines() == [*PEOPLE, "p000", "p001"]
    told = run("remove", tmp_path / "more", "bob", "p000", "-o", tmp_path / "fewer", "--json")
    assert json.loads(told)["removed"] == ["bob", "p000"]
    left = read_run(tmp_path / "fewer").state
    assert left.people == ["ada", "=cy()", "p001"]
    before = read_run(old).state
    assert left.head.weight[1].equal(before.head.weight[2])
    assert list((tmp_path / "fewer" / "weights").iterdir())
    assert run("list", old).splitlines() == PEOPLE, "the old run stays as it is"


def test_directions_go_out_and_in(old: Path, tmp_path: Path) -> None:
    run("export", old, "-o", tmp_path / "d.npz")
    with np.load(tmp_path / "d.npz") as file:
        rows, people = file["embeddings"], file["labels"].tolist()
    assert people == PEOPLE
    assert np.allclose(np.linalg.norm(rows, axis=1), 1)
    new = np.concatenate([rows[::-1], rows[:1] + rows[1:2]])
    names = np.array([*people, "dan"])
    np.savez(tmp_path / "other.npz", embeddings=new, labels=names, ids=names)
    assert "1 added" in run("import", old, tmp_path / "other.npz", "-o", tmp_path / "turned")
    told = json.loads(run("export", tmp_path / "turned", "-o", tmp_path / "e.npz", "--json"))
    assert (told["out"], told["people"]) == (str(tmp_path / "e.npz"), len(names))
    assert told["dimensions"] == rows.shape[1]
    with np.load(tmp_path / "e.npz") as file:
        unit = new / np.linalg.norm(new, axis=1, keepdims=True)
        assert np.allclose(file["embeddings"], unit, atol=1e-6)


def test_what_does_not_fit_is_refused_and_makes_nothing(
    old: Path, pictures: Path, tmp_path: Path
) -> None:
    wide = tmp_path / "wide.npz"
    np.savez(wide, embeddings=np.ones((1, 5)), labels=np.array(["x"]), ids=np.array(["x"]))
    for words, reason in (
        (("add", old, wide), "128 numbers"),
        (("add", old, tmp_path / "missing"), "missing"),
        (("remove", old, "zoe"), "'zoe'"),
        (("remove", old, *PEOPLE), "left"),
        (("add", tmp_path, pictures), "folder of a run"),
        (("import", old, pictures.parent / "nothing.npz"), "nothing.npz"),
    ):
        assert reason in run(*words, "-o", tmp_path / "out", code=2)
        assert not (tmp_path / "out").exists()
    assert "named .npz" in run("export", old, "-o", tmp_path / "out.csv", code=2)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine").touch()
    assert "exists already" in run("remove", old, "bob", "-o", taken, code=2)
