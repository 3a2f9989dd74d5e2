"""`recognition verify`: a score, a threshold and its source, and an exit code to rely on."""

import json
from types import SimpleNamespace

import pytest
from face_fakes import FakeDetector, FakeEmbedder, save_photo
from typer.testing import CliRunner

from recognition.cli import app, verification
from recognition.errors import InputError
from recognition.faces.trusted_threshold import Threshold


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setattr(verification, "load_embedder", lambda model, device: FakeEmbedder())
    monkeypatch.setattr(verification, "Mtcnn", lambda device: FakeDetector())
    monkeypatch.chdir(tmp_path)
    save_photo(tmp_path / "a.png", 0.99, shade=20)
    save_photo(tmp_path / "b.png", 0.99, 0.98, 0.4, shade=220)
    save_photo(tmp_path / "none.png")
    return tmp_path


def run(*words):
    result = CliRunner().invoke(app, ["verify", *words], env={"COLUMNS": "200"})
    return result.exit_code, " ".join(result.stdout.split()), result.stderr


def test_the_verdict_is_the_exit_code(photos):
    code, said, _ = run("a.png", "b.png", "--threshold", "-1")
    assert code == 0
    assert "threshold -1.0000, given with --threshold" in said
    assert "the same person: the score is at or above the threshold" in said
    assert "b.png: the largest of 2 certain faces was compared" in said
    code, said, _ = run("a.png", "b.png", "--threshold", "0.9999")
    assert code == 1
    assert "not the same person" in said


def test_without_a_threshold_it_says_the_score_and_how_to_get_one(photos):
    code, said, _ = run("a.png", "b.png")
    assert code == 2
    assert said.startswith("score ")
    assert "threshold none" in said
    for step in ("recognition embed", "recognition evaluate", "--calibration"):
        assert step in said


def test_json_has_everything(photos):
    code, said, _ = run("a.png", "b.png", "--threshold", "0.9999", "--json")
    told = json.loads(said)
    assert code == 1
    assert told["verdict"] == "different"
    assert told["threshold"]["value"] == 0.9999
    assert told["contract"]["model"] == "fake"
    first, second = told["photographs"]
    assert first["box"] == [10, 10, 50, 50]
    assert (second["other_certain_faces"], second["doubtful_detections"]) == (1, 1)
    code, said, _ = run("a.png", "a.png", "--json")
    assert code == 2
    told = json.loads(said)
    assert (told["verdict"], told["threshold"], told["same_file"]) == ("undecided", None, True)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["a.png", "none.png", "--threshold", "0"], "none.png"),
        (["a.png", "missing.png", "--threshold", "0"], "missing.png"),
        (["a.png", "b.png", "--threshold", "2"], "cosine"),
        (["a.png", "b.png", "--threshold", "nan"], "cosine"),
        (["a.png", "b.png", "--fmr", "0.1"], "--calibration"),
        (["a.png", "b.png", "--threshold", "0", "--calibration", "x"], "give one"),
        (["a.png", "b.png", "--calibration", "x"], "x"),
        (["a.png", "b.png", "--min-score", "2"], "min_score"),
    ],
)
def test_what_cannot_be_decided_is_one_sentence_and_code_2(photos, words, named):
    code, said, error = run(*words)
    assert (code, said) == (2, "")
    assert error.startswith("recognition: ")
    assert named in error
    assert len(error.splitlines()) == 1


def test_missing_weights_are_code_2(photos, monkeypatch):
    def none(model, device):
        raise InputError("no weights of a face network are here; name a file with --model")

    monkeypatch.setattr(verification, "load_embedder", none)
    code, _, error = run("a.png", "b.png", "--threshold", "0")
    assert code == 2
    assert "no weights" in error


def test_a_program_that_breaks_is_no_answer(photos, monkeypatch):
    def broken(model, device):
        raise ZeroDivisionError

    monkeypatch.setattr(verification, "load_embedder", broken)
    code, said, error = run("a.png", "b.png", "--threshold", "0")
    assert (code, said) == (70, "")
    assert "ZeroDivisionError" in error


def test_a_calibration_is_read_and_told(photos):
    contract = FakeEmbedder().contract.to_json()
    rows = [
        {"key": "threshold@fmr=0.001", "value": 0.25, "note": "few", "counts": {"nonmated": 12345}},
        {
            "key": "fmr@fmr=0.001",
            "value": 2e-3,
            "low": 1e-3,
            "high": 4e-3,
            "counts": {"people": 40},
        },
    ]
    section = {"key": "thresholds", "rows": rows}
    results = {"format": 1, "input": {"contract": contract}, "sections": [section]}
    (photos / "results.json").write_text(json.dumps(results))
    code, said, _ = run("a.png", "a.png", "--calibration", ".")
    assert code == 0
    assert "threshold 0.2500, set for FMR at most 0.001" in said
    assert "12,345 comparisons of different people among 40" in said
    assert "0.002 (0.001 to 0.004 at 95 %)" in said
    assert "few" in said
    assert "byte for byte" in said


def test_the_weights_of_a_run_decide_about_real_photographs(shared_data, tmp_path):
    """From end to end; the weights are random, so only a photograph and itself are alike."""
    import torch
    from safetensors.torch import save_file

    from recognition.backbones import create_backbone

    torch.manual_seed(0)
    weights = tmp_path / "arcface-0.backbone.safetensors"
    save_file(dict(create_backbone("small").state_dict()), weights, {"backbone": "small"})
    people = shared_data / "photos/people"
    photo, other = people / "obama/obama.jpg", people / "rose_leslie/img1.jpg"
    words = ["--model", str(weights), "--threshold", "0.99999"]
    code, said, _ = run(str(photo), str(photo), *words)
    assert code == 0, said
    code, said, _ = run(str(photo), str(other), *words)
    assert code == 1, said


@pytest.mark.parametrize(("score", "threshold"), [(0.76126, 0.76134), (0.761349, 0.76135)])
def test_a_score_below_the_threshold_is_not_shown_as_being_at_it(score, threshold):
    done = SimpleNamespace(score=score, threshold=Threshold(threshold, "given"))
    digits = verification._digits(done)
    assert f"{score:.{digits}f}" != f"{threshold:.{digits}f}"
    assert verification._digits(SimpleNamespace(score=0.5, threshold=None)) == 4
    assert verification._digits(SimpleNamespace(score=0.5, threshold=Threshold(0.5, "given"))) == 4
