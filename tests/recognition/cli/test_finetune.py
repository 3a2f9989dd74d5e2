"""`recognition finetune` and `recognition project`, from the outside."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape
from typer.testing import CliRunner, Result

from recognition.cli import app
from recognition.contract import Contract, Preprocessing
from recognition.datasets.embedding_files import read_embeddings
from recognition.errors import InputError
from recognition.gallery.ingest import enroll_files
from recognition.gallery.interface import Gallery
from recognition.report.finetuning_tables import verdict
from recognition.report.html.finetuned import document
from recognition.report.html.render import render
from recognition.training.projection import Projection, read_projection, save_projection

CONTRACT = Contract("net", "ab" * 32, 8, Preprocessing())
INERT = '"><img src=x onerror=alert(1)><script>alert(1)</script>'
PEOPLE, PICTURES = 16, 4
QUICK = ["--steps", 5, "--folds", 2]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def arrays(contract: Contract | None = CONTRACT) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    who = np.repeat(random.normal(size=(PEOPLE, 8)), PICTURES, axis=0)
    rows = len(who)
    found: dict[str, np.ndarray] = {
        "embeddings": (who + random.normal(size=who.shape)).astype(np.float32),
        "labels": np.repeat([f"p{n:02}" for n in range(PEOPLE)], PICTURES),
        "ids": np.array([f"{n}.jpg" for n in range(rows)]),
        "scores": random.random(rows),
        "boxes": random.random((rows, 4)).astype(np.float32),
        "settings": np.array("{}"),
    }
    if contract is not None:
        found["contract"] = np.array(contract.to_json())
    found["embeddings"][[3, 9, 17]] = np.array([np.nan, 0, np.inf])[:, None]
    return found


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faces") / "faces.npz"
    np.savez(path, **arrays())
    return path


@pytest.fixture(scope="module")
def finished(faces: Path) -> tuple[Result, Path]:
    out = faces.with_name("run")
    return run("finetune", faces, *QUICK, "-o", out), out


def test_it_writes_the_whole_run_folder_and_a_verdict(finished: tuple[Result, Path]) -> None:
    result, out = finished
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {
        "report.html", "results.json", "projection.safetensors", "run.log",
    }  # fmt: skip
    results = json.loads((out / "results.json").read_text())
    assert results["input"]["people"] == PEOPLE
    assert [failure["id"] for failure in results["input"]["failures"]] == [
        "3.jpg", "9.jpg", "17.jpg",
    ]  # fmt: skip
    assert results["input"]["contract"]["sha256"] == CONTRACT.sha256
    assert sum(fold["people"] for fold in results["folds"]) == PEOPLE
    assert results["estimates"]["raw"]["eer"]["value"] == results["difference"]["other"]
    saved = read_projection(out).projection
    assert saved.contract == CONTRACT
    assert saved.told["verdict"] == results["verdict"]
    assert (saved.told["head"], saved.told["people"]) == ("arcface:m=0.4,s=10", PEOPLE)
    assert "3 pictures could not be embedded" in result.stdout
    assert "as they came" in result.stdout
    starts = {
        "gains": "It gains: ",
        "loses": "It loses: ",
        "not told apart": "It cannot be told apart with 16 people",
        "nothing learned": "It gains nothing",
    }
    assert starts[results["verdict"]] in result.stdout
    log = (out / "run.log").read_text()
    assert "fold 2 of 2: 8 people left out" in log
    assert "steps taken" in log


def test_its_page_has_the_verdict_the_folds_and_what_was_left_out(
    finished: tuple[Result, Path],
) -> None:
    out = finished[1]
    results = json.loads((out / "results.json").read_text())
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page == render(document(results))
    for told in (*verdict(results), "Each fold by itself", "3 pictures without an embedding"):
        assert str(escape(told)) in page
    assert page.count("<td>8</td>") == 2 * 2, "people left out and learned from, of both folds"
    results["input"]["source"] = results["command"] = INERT
    results["input"]["failures"] = [{"id": INERT, "label": INERT, "reason": INERT}] * 101
    hostile = render(document(results))
    assert "<img" not in hostile
    assert "<script>alert" not in hostile
    assert "And 1 more in results.json." in hostile
    assert hostile.count("&lt;img src=x") == 4 + 3 * 100


def test_json_is_what_is_written(faces: Path, finished: tuple[Result, Path]) -> None:
    out = faces.with_name("again")
    result = run("finetune", faces, *QUICK, "--json", "-o", out)
    assert result.stdout == (out / "results.json").read_text()
    one, other = (
        json.loads((folder / "results.json").read_text()) for folder in (out, finished[1])
    )
    assert one["folds"] == other["folds"], "the same seed"


def test_a_file_is_projected_and_all_else_is_kept(
    faces: Path, finished: tuple[Result, Path], tmp_path: Path
) -> None:
    result = run("project", faces, "--with", finished[1], "-o", tmp_path / "p.npz")
    assert result.exit_code == 0, result.output
    before, after = arrays(), dict(np.load(tmp_path / "p.npz"))
    assert list(after) == list(before)
    for name in before.keys() - {"embeddings", "contract"}:
        assert after[name].dtype == before[name].dtype
        np.testing.assert_array_equal(after[name], before[name])
    saved = read_projection(finished[1])
    good = np.ones(len(before["ids"]), bool)
    good[[3, 9, 17]] = False
    wanted = saved.projection.apply(before["embeddings"][good])
    np.testing.assert_array_equal(after["embeddings"][good], wanted)
    one, other = read_embeddings(faces), read_embeddings(tmp_path / "p.npz")
    assert other.failures == one.failures, "with their reasons"
    assert other.contract == saved.contract_of(CONTRACT) != CONTRACT
    assert "64 embeddings projected from 8 to 8 dimensions, by net + projection" in " ".join(
        result.stdout.split()
    )


def test_projected_embeddings_are_not_projected_again_nor_mixed_with_others(
    faces: Path, finished: tuple[Result, Path], tmp_path: Path
) -> None:
    projected = tmp_path / "p.npz"
    assert run("project", faces, "--with", finished[1], "-o", projected).exit_code == 0
    again = run("project", projected, "--with", finished[1], "-o", tmp_path / "q.npz")
    assert again.exit_code == 2
    assert "cannot be compared" in again.stderr
    mixed = run("evaluate", faces, "--cohort", projected, "--out", tmp_path / "run")
    assert mixed.exit_code == 2
    assert "cannot be compared" in mixed.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]


def test_without_a_contract_a_mark_says_that_it_is_projected(tmp_path: Path) -> None:
    bare, run_folder = tmp_path / "bare.npz", tmp_path / "projection.safetensors"
    told = arrays(None)
    del told["labels"]
    np.savez(bare, **told)
    half = Projection(np.eye(4, 8, dtype=np.float32), told={"verdict": "loses"})
    save_projection(run_folder, half)
    result = run("project", bare, "--with", run_folder, "-o", tmp_path / "p.npz", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["rows"], said["failures"], said["dimensions"]) == (64, 3, 4)
    assert (said["contract"], said["verdict"]) == (None, "loses")
    after = dict(np.load(tmp_path / "p.npz"))
    assert json.loads(after["projection"].item())["sha256"] == read_projection(run_folder).sha256
    assert after["embeddings"].shape == (64, 4)
    labelled = {**after, "labels": arrays()["labels"]}
    np.savez(tmp_path / "labelled.npz", **labelled)
    for verb in (["project", "--with", run_folder], ["finetune"]):
        again = run(verb[0], tmp_path / "labelled.npz", *verb[1:], "-o", tmp_path / "q.npz")
        assert again.exit_code == 2
        assert "projected already" in again.stderr


def test_other_formats_and_what_only_unpickling_could_read(tmp_path: Path) -> None:
    told = arrays(None)
    projection = tmp_path / "projection.safetensors"
    save_projection(projection, Projection(np.eye(2, 8, dtype=np.float32)))
    np.save(tmp_path / "a.npy", told["embeddings"])
    lines = [f"{name},{at}" for name, at in zip(told["labels"], told["ids"], strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["label,id", *lines, ""]))
    result = run("project", tmp_path / "a.npy", "--with", projection, "-o", tmp_path / "b.npz")
    assert result.exit_code == 0, result.output
    read = read_embeddings(tmp_path / "b.npz")
    assert read.embeddings.shape == (61, 2)
    assert [failure.id for failure in read.failures] == ["3.jpg", "9.jpg", "17.jpg"]
    np.savez(tmp_path / "o.npz", **told, things=np.array([{}] * 64, object))
    result = run("project", tmp_path / "o.npz", "--with", projection, "-o", tmp_path / "c.npz")
    assert result.exit_code == 0, result.output
    assert "left out, as it is no plain array: things" in result.stdout
    assert "did not find that this projection gains" in result.stdout


def test_bad_input_is_one_sentence_and_nothing_is_written(faces: Path, tmp_path: Path) -> None:
    single = tmp_path / "single.npz"
    np.savez(single, embeddings=np.eye(20), labels=np.arange(20))
    nameless = tmp_path / "nameless.npz"
    np.savez(nameless, embeddings=np.eye(20))
    other = tmp_path / "projection.safetensors"
    contract = replace(CONTRACT, sha256="cd" * 32)
    save_projection(other, Projection(np.eye(8, dtype=np.float32), contract=contract))
    before = sorted(tmp_path.iterdir())
    out = ["-o", tmp_path / "out"]
    for arguments, said in [
        (["finetune", single, *out], "several pictures a person"),
        (["finetune", nameless, *out], "expected labels"),
        (["finetune", faces, "--folds", 9, *out], "for 9 folds"),
        (["finetune", faces, "--head", "arc", *out], "unknown margin"),
        (["finetune", faces, "--dim", 9, *out], "at most the 8 dimensions"),
        (["finetune", faces, "-o", tmp_path], "exists already"),
        (["project", faces, "--with", other, "-o", tmp_path / "p.npz"], "cannot be compared"),
        (["project", faces, "--with", tmp_path / "no", "-o", tmp_path / "p.npz"], "no"),
        (["project", faces, "--with", other, *out], "expected a .npz file"),
        (["project", faces, "--with", other, "-o", faces], "is what is to be projected"),
        (["project", faces, "--with", other, "-o", single], "is there already; name another"),
        (["project", faces, "--with", other, "-o", tmp_path / "x" / "p.npz"], "expected a folder"),
    ]:
        result = run(*arguments)
        assert result.exit_code == 2, said
        assert said in result.stderr
        assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_gallery_takes_one_kind_and_not_the_other(
    faces: Path, finished: tuple[Result, Path], tmp_path: Path
) -> None:
    projected = tmp_path / "p.npz"
    assert run("project", faces, "--with", finished[1], "-o", projected).exit_code == 0
    table = read_embeddings(projected)
    assert table.contract is not None
    gallery = Gallery.create(tmp_path / "people.gallery", table.contract)
    with pytest.raises(InputError, match="cannot be compared"):
        enroll_files(gallery, [faces])
    enroll_files(gallery, [projected])
    gallery.identify(table.embeddings[:1], threshold=0.5, contract=table.contract)
    with pytest.raises(InputError, match="cannot be compared"):
        gallery.identify(table.embeddings[:1], threshold=0.5, contract=CONTRACT)
