"""`recognition embed`, as a person at a terminal meets it, and what `evaluate` makes of its files."""

import json
from pathlib import Path

import numpy as np
import pytest
from face_fakes import FakeDetector, FakeEmbedder, save_photo
from typer.testing import CliRunner

from recognition import embed_folder, read_embeddings
from recognition.cli import app
from recognition.cli.embed_output import _named
from recognition.faces.face import Face
from recognition.faces.face_file import LeftOut


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    """Neither weights nor a detector's networks are there: the doors they come by hand out fakes."""
    monkeypatch.setattr(
        "recognition.faces.models.loading.load_embedder",
        lambda model, device="cpu": FakeEmbedder(model or "fake"),
    )
    monkeypatch.setattr("recognition.faces.mtcnn.Mtcnn", lambda device="cpu": FakeDetector())


@pytest.fixture
def people(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, person in enumerate(["ann", "bob", "cid", "dan"]):
        for picture in range(3):
            shade = 50 * number + 3 * picture
            save_photo(tmp_path / f"people/{person}/{picture}.png", 0.99, 0.4, shade=shade)
    save_photo(tmp_path / "people/ann/none.png", shade=7)
    (tmp_path / "people/bob/text.jpg").write_text("hello")
    return tmp_path / "people"


def embed(*arguments: object):
    return CliRunner().invoke(app, ["embed", *map(str, arguments)])


def evaluate(*arguments: object):
    few = ["--only", "verification", "--resamples", "50"]
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments), *few])


def told(result) -> str:
    return " ".join((result.stdout + result.stderr).split())


def test_the_summary_tells_what_was_done(people):
    result = embed("people", "-o", "faces.npz")
    assert result.exit_code == 0, result.output
    words = told(result)
    assert "13 photographs, 12 faces embedded by fake (" in words
    assert "12 doubtful, below 0.95, not embedded" in words
    assert "ann/0.png#1: 0.40" in words
    assert "and 2 more" in words
    assert "2 skipped: ann/none.png: no face bob/text.jpg: text; give a photograph" in words
    assert "Written to faces.npz, what was skipped to faces.skipped.csv" in words
    again = embed("people", "-o", "faces.npz")
    assert "embedded: 0 photographs now, 13 unchanged" in told(again)


def test_a_doubtful_score_is_not_shown_as_the_threshold():
    face = Face(np.zeros(4, np.float32), np.zeros((5, 2), np.float32), 0.9499)
    assert _named(LeftOut("a.jpg", 0, face)) == "a.jpg#0: 0.94"


def test_json_says_it_all(people):
    result = embed("people", "--json", "--labelled")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["photographs"], said["faces"], said["embedded_now"], said["reused"]) == (
        13,
        12,
        13,
        0,
    )
    assert said["without_face"] == ["ann/none.png"]
    assert said["contract"]["model"] == "fake"
    assert len(said["doubtful"]) == 12
    assert [skip["path"] for skip in said["skipped"]] == ["ann/none.png", "bob/text.jpg"]
    assert Path(said["out"]).exists()


def test_who_gets_a_label_is_seen(people):
    assert "4 people: ann, bob, cid, dan" in told(embed("people", "-o", "a.npz", "--labelled"))
    for number in range(3):
        save_photo(people / f"more{number}/1.png", 0.99, shade=200 + number)
    assert "7 people: ann, bob, cid, dan, more0 and 2 more" in told(
        embed("people", "-o", "a.npz", "--labelled")
    )
    alone = told(embed("people/ann/0.png", "-o", "b.npz"))
    assert alone.startswith("1 photograph, 1 face embedded by fake (")
    assert alone.endswith("Written to b.npz"), "nothing was skipped, and no list is named"


def test_what_differs_between_two_settings_is_named_alone(people):
    embed("people")
    for words, held, asked in (
        (["--min-score", "0.8"], "of probability 0.95 or more", "of probability 0.8 or more"),
        (["--labelled"], "a row for each face", "a row for each photograph, labelled"),
    ):
        said = told(embed("people", *words))
        assert f"holds faces {held}, and what was asked for is faces {asked}; the two" in said


def test_where_nothing_can_be_used_it_exits_with_2(people, tmp_path):
    result = embed("people/bob/text.jpg")
    assert result.exit_code == 2
    assert "give a photograph" in result.stderr
    assert not (tmp_path / "faces.npz").exists()
    assert embed("nowhere").exit_code == 2
    assert embed("people", "-o", "faces.txt").exit_code == 2


def test_another_model_is_refused_and_fresh_is_the_way_out(people):
    assert embed("people").exit_code == 0
    result = embed("people", "--model", "other.onnx")
    assert result.exit_code == 2
    assert "by fake (" in result.stderr
    assert "other.onnx (" in result.stderr
    assert embed("people", "--model", "other.onnx", "--fresh").exit_code == 0


def test_names_cannot_move_the_cursor(people):
    save_photo(people / "ann/\x1b[31mred\n.png", 0.5)
    result = embed("people")
    assert "\x1b" not in result.stdout
    assert r"\x1b[31mred\x0a.png" in result.stdout


def test_ctrl_c_says_that_the_same_command_goes_on(people, monkeypatch):
    def stopped(self, pictures):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeDetector, "detect", stopped)
    result = embed("people")
    assert result.exit_code == 130
    assert "the same command goes on" in result.stderr
    monkeypatch.undo()


# -- evaluate --------------------------------------------------------------------------------------


def write(folder: Path, name: str, model: str = "fake", **options) -> Path:
    path = folder.parent / name
    options = {"labelled": True, **options}
    embed_folder(folder, path, model=FakeEmbedder(model), detector=FakeDetector(), **options)
    return path


def test_a_labelled_file_is_evaluated_with_its_failures_and_contract(people):
    write(people, "faces.npz")
    result = evaluate("faces.npz", "--out", "run")
    assert result.exit_code == 0, result.output
    found = json.loads(Path("run/results.json").read_text())
    assert found["input"]["contract"] == json.loads(FakeEmbedder().contract.to_json())
    assert [failure["id"] for failure in found["input"]["failures"]] == ["ann/none.png"]


def test_a_file_without_labels_says_how_to_get_them(people):
    write(people, "faces.npz", labelled=False)
    result = evaluate("faces.npz", "--out", "run")
    assert result.exit_code == 2
    assert "with --labelled" in result.stderr
    assert not Path("run").exists()


def test_a_file_without_a_contract_is_as_before(people):
    table = read_embeddings(write(people, "faces.npz"))
    np.savez("plain.npz", embeddings=table.embeddings, labels=table.labels)
    assert read_embeddings("plain.npz").contract is None
    assert evaluate("plain.npz", "--out", "run").exit_code == 0
    assert "contract" not in json.loads(Path("run/results.json").read_text())["input"]


def others(people: Path) -> Path:
    for number in range(40):
        save_photo(people.parent / f"others/s{number}/1.png", 0.99, shade=5 * number + 2)
    return people.parent / "others"


@pytest.mark.parametrize("option", ["--cohort", "--distractors"])
def test_what_is_compared_must_be_of_one_contract(option, people):
    write(people, "faces.npz")
    write(others(people), "same.npz")
    write(others(people), "other.npz", "other")
    refused = evaluate("faces.npz", option, "other.npz", "--out", "run")
    assert refused.exit_code == 2
    words = told(refused)
    assert "faces.npz and other.npz hold embeddings that cannot be compared" in words
    assert "by other (" in words
    assert not Path("run").exists()
    assert "cannot be compared" not in told(
        evaluate("faces.npz", option, "same.npz", "--out", "run")
    )


def test_another_model_may_be_compared(people):
    write(people, "faces.npz")
    write(people, "other.npz", "other")
    result = evaluate("faces.npz", "--compare", "other.npz", "--out", "run")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "contract",
    [
        "{}",
        "not json",
        FakeEmbedder().contract.to_json().replace('"dimension": 27', '"dimension": 5'),
    ],
)
def test_a_damaged_contract_is_refused(contract, tmp_path):
    path = tmp_path / "faces.npz"
    np.savez(path, embeddings=np.eye(27), labels=np.arange(27), contract=np.array(contract))
    result = evaluate(path, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "embed the photographs again" in told(result)


def test_a_column_named_contract_is_a_column(tmp_path):
    path = tmp_path / "faces.npz"
    columns = {"labels": np.arange(3), "contract": np.array(["a", "b", "c"])}
    np.savez(path, embeddings=np.eye(3), **columns)
    table = read_embeddings(path)
    assert table.contract is None
    assert table.columns["contract"].tolist() == ["a", "b", "c"]
