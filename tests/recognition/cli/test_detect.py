"""`recognition detect`: what it prints, and its exit codes."""

import json

import pytest
from face_fakes import FakeDetector, save_photo
from typer.testing import CliRunner

from recognition.cli import app
from recognition.faces import detection


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setattr(detection, "Mtcnn", FakeDetector)
    monkeypatch.chdir(tmp_path)
    save_photo(tmp_path / "photos/a.png", 0.99, 0.4, shade=20)
    save_photo(tmp_path / "photos/none.png")
    (tmp_path / "photos/text.jpg").write_text("hello")
    return tmp_path


def run(*words):
    result = CliRunner().invoke(app, ["detect", *words], env={"COLUMNS": "200"})
    return result.exit_code, result.stdout, result.stderr


def test_it_says_what_it_found_and_what_not(photos):
    code, said, _ = run("photos", "--out", "crops")
    assert code == 0
    assert "2 photographs, 1 face, 1 crop" in said
    assert "1 doubtful, below 0.95, not cropped:\n  a.png#1: 0.40" in said
    assert "none.png: no face" in said
    assert "text.jpg: text; give a photograph" in said
    assert "Written to crops" in said
    assert (photos / "crops/faces.csv").is_file()
    code, said, _ = run("photos", "-o", "more", "--doubtful")
    assert "1 face, 2 crops" in said
    assert "cropped as well" in said


def test_json_has_every_face(photos):
    code, said, _ = run("photos", "--json", "--size", "160")
    told = json.loads(said)
    assert code == 0
    assert (told["photographs"], told["size"], told["detector"]) == (2, "160", "fake detector 1")
    assert [face["certain"] for face in told["faces"]] == [True, False]
    assert told["faces"][0]["box"] == [10, 10, 50, 50]
    assert set(told["faces"][0]["landmarks"]) == set(detection.MARKS)
    assert told["faces"][1]["crop"] is None
    assert [skip["path"] for skip in told["skipped"]] == ["text.jpg"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["photos/text.jpg"], "text.jpg"),
        (["missing"], "missing"),
        (["photos", "--size", "113"], "112x96"),
        (["photos", "--min-score", "7"], "min_score"),
        (["photos", "--out", "photos"], "photos"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(photos, words, named):
    before = sorted(photos.rglob("*"))
    code, said, error = run(*words)
    assert (code, said) == (2, "")
    assert named in error
    assert len(error.splitlines()) == 1
    assert sorted(photos.rglob("*")) == before
