"""`recognition compare`, from the outside."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from picture_files import insightface_payloads, write_bin, write_records
from PIL import Image
from safetensors.numpy import load_file
from typer.testing import CliRunner, Result

from recognition.cli import app
from recognition.datasets import fetchers
from recognition.datasets.drawn import draw_faces
from recognition.errors import InputError
from recognition.training import head_comparison as comparing

COMMAND = [sys.executable, "-c", "from recognition.cli import main; main()", "compare"]
FAST = ["--steps", "2", "--batch-size", "8"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people, four pictures each, a folder a person."""
    root = tmp_path_factory.mktemp("people")
    drawn = draw_faces(8, 4, size=32)
    for image, label, name in zip(drawn.images, drawn.labels, drawn.ids, strict=True):
        (root / label).mkdir(exist_ok=True)
        Image.fromarray(image).save(root / f"{name}.png")
    return root


@pytest.fixture(scope="module")
def finished(people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("out") / "run"
    return run(people, *FAST, "--seeds", 2, "--out", out), out


def test_it_writes_the_whole_run_folder_and_prints_tables(finished: tuple[Result, Path]) -> None:
    result, out = finished
    assert result.exit_code == 0, result.output
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    heads = ["softmax", "normface", "lsoftmax", "sphereface", "smsoftmax", "cosface", "arcface"]
    assert names == {
        "results.json", "table.md", "report.html", "scores.png", "det.png", "fnir.png", "run.log",
        *(f"weights/{head}-{seed}.{part}.safetensors"
          for head in heads for seed in (0, 1) for part in ("backbone", "classes")),
    }  # fmt: skip
    for head in heads:
        assert head in result.stdout
    assert "judged on 4 people never seen (16 pictures)" in result.stdout
    assert f"Written to {out}\nTo look at: {out}/report.html\n" in result.stdout
    assert oct(out.stat().st_mode & 0o777) == "0o700"
    assert [p.name for p in out.parent.iterdir()] == ["run"]


def test_results_hold_every_number(finished: tuple[Result, Path]) -> None:
    results = json.loads((finished[1] / "results.json").read_text())
    assert results["seeds"] == [0, 1]
    assert results["versions"]["torch"]
    assert results["recipe"]["steps"] == 2
    assert results["data"][0]["test"]["people"] == 4
    for head in results["heads"]:
        assert {"eer", "auc", "rank1", "w-ec", "w-inter", "intra", "inter"} <= set(
            head["estimates"]
        )
        eer = head["estimates"]["eer"]
        assert 0 <= eer["low"] <= eer["value"] <= eer["high"] <= 1
        values = [r["estimates"]["eer"]["value"] for r in head["runs"]]
        assert eer["spread"] == pytest.approx(np.std(values, ddof=1))
        assert len(head["runs"][0]["losses"]) == 2
    # 96 non-mated comparisons cannot tell an FMR of 0.001
    unresolved = results["heads"][0]["estimates"]["tar@fmr=0.001"]
    assert unresolved["value"] is None
    assert "cannot be measured with 96 non-mated comparisons" in unresolved["note"]
    assert "not resolved" in finished[0].stdout


def test_heads_start_alike(finished: tuple[Result, Path]) -> None:
    """After two small steps class weights still agree to a percent: the start was the same."""
    one, other = (
        load_file(finished[1] / "weights" / f"{head}-0.classes.safetensors")["weight"]
        for head in ("normface", "arcface")
    )
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99


def test_json_goes_to_standard_output_alone(people: Path, tmp_path: Path) -> None:
    result = run(people, *FAST, "--head", "arcface:m=0.3", "--json", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    results = json.loads(result.stdout)
    assert results == json.loads((tmp_path / "run" / "results.json").read_text())
    assert [head["settings"] for head in results["heads"]] == [["arcface:m=0.3"]]
    assert results["differences"] is None


def test_two_folders_and_one_margin_twice(people: Path, tmp_path: Path) -> None:
    for side, some in (("learn", range(4)), ("test", range(4, 8))):
        for person in some:
            shutil.copytree(people / f"p00{person}", tmp_path / side / f"p00{person}")
    heads = ["--head", "arcface:m=0.2,s=8", "--head", "arcface:m=0.4,s=8"]
    folders = ["--train", tmp_path / "learn", "--test", tmp_path / "test"]
    result = run(*folders, *FAST, *heads, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [head["name"] for head in results["heads"]] == ["arcface:m=0.2,s=8", "arcface:m=0.4,s=8"]
    assert results["data"][0]["learn"]["people"] == 4
    assert results["data"][0]["learn"]["sha256"] != results["data"][0]["test"]["sha256"]


def test_it_draws_faces_when_no_data_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("--quick", *FAST, "--head", "normface")
    assert result.exit_code == 0, result.output
    assert (
        "drawn faces (90 people x 10 pictures, seed 1000): learned from 60 people" in result.stdout
    )
    assert [path.name.startswith("drawn-") for path in (tmp_path / "runs").iterdir()] == [True]


def test_tuning_chooses_on_people_held_out(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(comparing.TRIALS, "normface", ["normface:s=4", "normface:s=32"])
    out = tmp_path / "run"
    heads = ["--head", "normface", "--head", "cosface:m=0.1,s=8"]
    result = run(people, *FAST, "--tune", "--test-share", 0.25, *heads, "--out", out)
    assert result.exit_code == 0, result.output
    tuned, fixed = json.loads((out / "results.json").read_text())["heads"]
    trials = tuned["runs"][0]["trials"]
    assert [trial["head"] for trial in trials] == ["normface:s=4", "normface:s=32"]
    assert tuned["settings"] == [min(trials, key=lambda trial: trial["eer"])["head"]]
    assert fixed["runs"][0]["trials"] == []
    assert "held out for it" in result.stdout


def test_files_that_cannot_be_read_are_skipped_and_listed(people: Path, tmp_path: Path) -> None:
    shutil.copytree(people, tmp_path / "people")
    (tmp_path / "people" / "p000" / "broken.png").write_bytes(b"no picture")
    result = run(tmp_path / "people", *FAST, "--head", "normface", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "p000/broken.png" in result.stderr
    (skipped,) = json.loads((tmp_path / "run" / "results.json").read_text())["data"][0]["skipped"]
    assert skipped["path"] == "p000/broken.png"
    assert skipped["reason"]


def refuse(*arguments: object, expecting: str, at: Path) -> None:
    before = sorted(at.rglob("*"))
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert expecting in " ".join(result.stderr.split()), result.stderr
    assert "Traceback" not in result.output
    assert sorted(at.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--head", "arcfase"], "unknown margin 'arcfase'; did you mean 'arcface'?"),
        (["--head", "arcface:q=1"], "arcface has no option 'q'; known: m, past, s, k"),
        (["--head", "arcface:m=28.6"], "m=0.4992 is the same angle"),
        (["--head", "normface:s=-1"], "expected a number 0 < s <= 1000"),
        (["--head", "arcface", "--head", "ArcFace"], "is named twice"),
        (["--backbone", "resnet"], "unknown backbone 'resnet'; did you mean 'iresnet"),
        (["--steps", 0], "steps: expected a whole number >= 1, got 0"),
        (["--lr", "nan"], "lr: expected 0 <= lr <= 10, got nan"),
        (["--device", "abacus"], "device 'abacus' cannot be used here"),
        (["--test-share", 2], "expected a share between 0 and 1"),
        (["--train", "."], "--train goes with --test"),
        (["--data", "olivetti"], "expected one source"),
        (["--seeds", 0], "Invalid value for '--seeds'"),
        (["--speed", "high"], "No such option: --speed"),
    ],
)
def test_options_that_make_no_sense(
    options: list[object], message: str, people: Path, tmp_path: Path
) -> None:
    refuse(people, *options, "--out", tmp_path / "run", expecting=message, at=tmp_path)


def folder_of(root: Path, people: Path, persons: int, pictures: int) -> Path:
    for person in range(persons):
        (root / f"p{person}").mkdir(parents=True)
        for picture in range(pictures):
            shutil.copy(
                people / f"p00{person}" / f"0{picture}.png", root / f"p{person}" / f"{picture}.png"
            )
    return root


def test_folders_that_cannot_be_compared(people: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "unreadable" / "ann").mkdir(parents=True)
    (tmp_path / "unreadable" / "ann" / "1.png").write_text("no picture")
    one = folder_of(tmp_path / "one person", people, 1, 4)
    single = folder_of(tmp_path / "one picture each", people, 8, 1)
    options = [*FAST, "--out", tmp_path / "run"]
    for folder, message in (
        (tmp_path / "missing", "missing"),
        (tmp_path / "empty", "empty"),
        (tmp_path / "unreadable", "1.png"),
        (one, "1 people"),
        (single, "several pictures a person"),
    ):
        refuse(folder, *options, expecting=message, at=tmp_path)
    same = ["--train", people, "--test", people]
    refuse(*same, *options, expecting="people are in both folders", at=tmp_path)


def test_a_run_folder_is_never_overwritten(people: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("mine")
    refuse(people, "--out", tmp_path / "run", expecting="exists already", at=tmp_path)
    assert (tmp_path / "run" / "precious").read_text() == "mine"


def test_a_data_set_that_cannot_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(**_: object) -> None:
        raise InputError("Olivetti faces are not in the cache and could not be downloaded")

    monkeypatch.setattr("recognition.cli.comparison.fetch_olivetti", nowhere)
    message = "could not be downloaded"
    refuse("--data", "olivetti", "--out", tmp_path / "run", expecting=message, at=tmp_path)
    assert fetchers.fetch_olivetti is not nowhere


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_stopping_leaves_nothing_behind(kill: signal.Signals, people: Path, tmp_path: Path) -> None:
    options = [str(people), "--steps", "100000", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        [*COMMAND, *options], stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        until = time.monotonic() + 120
        while not list(tmp_path.glob(".run.*.partial/run.log")):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)
        time.sleep(1)
        process.send_signal(kill)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "stopped; nothing was written" in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_real_faces(shared_data: Path, tmp_path: Path) -> None:
    orl = shared_data / "orl_faces"
    result = run(
        orl, "--steps", 40, "--head", "normface", "--head", "arcface", "--out", tmp_path / "run"
    )
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "learned from 20 people (200 pictures), judged on 20 people" in said
    assert max(map(len, result.stdout.splitlines()[:-1])) <= 80
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    for head in results["heads"]:
        assert head["estimates"]["eer"]["value"] < 0.35  # it has learned something about faces


def test_help_says_what_there_is() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "compare" in result.stdout
    assert "Exit codes" in result.stdout


# -- other sources than folders --------------------------------------------------------------------


@pytest.fixture(scope="module")
def records(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = sorted(people.rglob("*.png"))
    known = sorted({file.parent.name for file in files})
    payloads = insightface_payloads(
        [known.index(file.parent.name) for file in files], [file.read_bytes() for file in files]
    )
    return write_records(tmp_path_factory.mktemp("records") / "train.rec", payloads)


@pytest.fixture(scope="module")
def table(people: Path) -> Path:
    rows = [f"{file.relative_to(people)},{file.parent.name}\n" for file in people.rglob("*.png")]
    path = people / "pictures.csv"
    path.write_text("image,person\n" + "".join(rows))
    return path


@pytest.mark.parametrize("kind", ["records", "table"])
def test_records_and_tables_are_compared_on(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(kind)
    result = run(path, *FAST, "--head", "normface", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "judged on 4 people never seen (16 pictures)" in result.stdout


def test_people_drawn_at_random_are_said(records: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run(records, *FAST, "--head", "normface", "--people", 6, "--seed", 3, "--out", out)
    assert result.exit_code == 0, result.output
    said = f"6 of 8 people of pictures in {records} were chosen at random (seed 3)"
    assert said in result.stdout.replace("\n", " ")
    assert said in result.stderr
    entry = json.loads((out / "results.json").read_text())["data"][0]
    assert (entry["learn"]["people"], entry["test"]["people"]) == (3, 3)
    assert entry["notes"] == [f"{said}: 24 of 32 pictures"]
    assert said in (out / "table.md").read_text()


def test_people_of_a_list_are_compared_on(people: Path, tmp_path: Path) -> None:
    names = sorted(folder.name for folder in people.iterdir() if folder.is_dir())
    listing = tmp_path / "people.txt"
    folds = [names[:4], names[4:6], names[6:]]
    rows = [[f"{len(fold)}\n", *(f"{name}\t4\n" for name in fold)] for fold in folds]
    listing.write_text("3\n" + "".join(line for fold in rows for line in fold))
    options = ["--head", "normface", "--people", f"{listing}:1-2", "--out", tmp_path / "run"]
    result = run(people, *FAST, *options)
    assert result.exit_code == 0, result.output
    entry = json.loads((tmp_path / "run/results.json").read_text())["data"][0]
    assert entry["learn"]["people"] + entry["test"]["people"] == 6
    assert "chosen by name (0 of the 6 named are not there)" in entry["notes"][0]


def test_a_bin_is_refused_with_the_way_out(people: Path, tmp_path: Path) -> None:
    path = write_bin(tmp_path / "lfw.bin", [b"-", b"-"], [True])
    for arguments in ([path], ["--train", people, "--test", path]):
        result = run(*arguments, *FAST, "--out", tmp_path / "run")
        assert result.exit_code == 2
        assert "does not know the people" in result.stderr
        assert not (tmp_path / "run").exists()


def test_people_goes_with_pictures_of_ones_own(tmp_path: Path) -> None:
    result = run("--people", 20, "--quick", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "--people goes with" in result.stderr


def test_worst_pairs_and_maps_are_written_and_shown_if_asked(people: Path, tmp_path: Path) -> None:
    heads = ["--head", "normface", "--head", "arcface"]
    out = tmp_path / "out"
    found = run(people, *FAST, *heads, "--seeds", 2, "--include-images", "--out", out)
    assert found.exit_code == 0, found.output
    results = json.loads((out / "results.json").read_text())
    names = {str(path.relative_to(people)) for path in people.rglob("*.png")}
    for head in results["heads"]:
        first, second = head["runs"]
        assert [each["key"] for each in first["worst"]] == ["false-matches", "misses"]
        for listing in first["worst"]:
            assert listing["rows"]
            for one, who, other, whom, score in listing["rows"]:
                assert {one, other} <= names
                assert (one.split("/")[0], other.split("/")[0]) == (who, whom)
                assert (who == whom) == (listing["key"] == "misses")
                assert -1 <= score <= 1
        assert (first["map"]["shown"], first["map"]["of"], second["map"]) == (16, 16, None)
        assert set(first["map"]["picture"]) <= names
        assert min(first["seconds_a_step"], first["pictures_a_second"]) > 0
    assert results["peak_gib"] > 0.01
    for side in ("learn", "test"):
        data = results["data"][0][side]
        assert (data["fewer_than_2"], data["fewer_than_5"]) == (0, 4)
        assert data["copies"]["total"] == 0
    assert results["data"][0]["on_both_sides"] == 0
    page = (out / "report.html").read_text()
    assert "data:image/jpeg;base64," in page


def test_without_asking_no_picture_is_in_the_report(finished: tuple[Result, Path]) -> None:
    assert "data:image/jpeg" not in (finished[1] / "report.html").read_text()


def test_one_picture_under_two_names_and_on_both_sides_is_told(tmp_path: Path) -> None:
    drawn = draw_faces(8, 4, size=32)
    for image, label, name in zip(drawn.images, drawn.labels, drawn.ids, strict=True):
        for side in ("learn", "test"):
            path = tmp_path / side / f"{side} {label}" / f"{Path(name).name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            other = drawn.images[::-1][drawn.ids.tolist().index(name)]
            Image.fromarray(image if side == "learn" else 255 - other).save(path)
    copied = next((tmp_path / "learn").rglob("*.png"))
    for side, place in (("learn", "new"), ("test", "other")):
        (tmp_path / side / place).mkdir()
        shutil.copy(copied, tmp_path / side / place / "1.png")
    sources = ["--train", tmp_path / "learn", "--test", tmp_path / "test"]
    heads = ["--head", "normface", "--map", "none"]
    found = run(*sources, *FAST, *heads, "--out", tmp_path / "out")
    assert found.exit_code == 0, found.output
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    (data,) = results["data"]
    assert data["on_both_sides"] == 1
    assert (data["learn"]["copies"]["total"], data["test"]["copies"]["total"]) == (1, 0)
    assert (data["learn"]["fewer_than_2"], data["learn"]["fewer_than_5"]) == (1, 9)
    assert results["heads"][0]["runs"][0]["map"] is None
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "1 picture of those judged is among those learned from" in page
    assert "One picture, two names, among those learned from" in page
    assert "One picture, two names, among those judged" not in page
