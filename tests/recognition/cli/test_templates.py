"""`recognition evaluate` with templates: IJB's folder, and columns of anybody's file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_ijb import small_ijb
from typer.testing import CliRunner, Result

from recognition.cli import app
from recognition.datasets.ijb import read_ijb
from recognition.evaluation.everything import evaluate
from recognition.evaluation.ijb import evaluate_ijb
from recognition.evaluation.options import Options
from recognition.templates import Pooling, pool_templates

FAST = ["--resamples", 20]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def results(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    return found


def rows(found: dict[str, Any]) -> dict[str, Any]:
    return {row["key"]: row for section in found["sections"] for row in section["rows"]}


def test_ijb_is_judged_by_order_or_by_name(tmp_path: Path) -> None:
    drawn = small_ijb(12, seed=1)
    folder = drawn.write(tmp_path / "IJBC")
    expected = evaluate_ijb(
        drawn.embeddings, read_ijb(folder), pooling=Pooling("unit"), options=Options(replicates=20)
    )
    order = np.random.default_rng(0).permutation(len(drawn.names))
    np.save(tmp_path / "a.npy", drawn.embeddings)  # no labels, no names
    np.savez(
        tmp_path / "b.npz", embeddings=drawn.embeddings[order], ids=np.array(drawn.names)[order]
    )
    asked = ("--ijb", folder, "--pooling", "unit-pictures", *FAST, "--out")
    result = run(tmp_path / "a.npy", *asked, tmp_path / "a")
    assert result.exit_code == 0, result.output
    found = rows(results(tmp_path / "a"))
    assert [row.key for row in expected] == list(found)
    for row in expected:
        assert found[row.key]["value"] == row.estimate.value, row.key
    assert "1:1 over the" in result.stdout
    assert "FNIR at FPIR 0.1" in result.stdout
    pictures = {"roc.png", "det.png", "scores.png", "cmc.png"}
    assert pictures <= {path.name for path in (tmp_path / "a").iterdir()}
    result = run(tmp_path / "b.npz", *asked, tmp_path / "b", "--only", "identification")
    assert result.exit_code == 0, result.output
    named = rows(results(tmp_path / "b"))
    assert named
    assert all(found[key] == row for key, row in named.items())


def test_faces_that_failed_are_named(tmp_path: Path) -> None:
    drawn = small_ijb(12, seed=1)
    folder = drawn.write(tmp_path / "IJBC")
    several = [t for t in drawn.probes if (drawn.templates == t).sum() > 1]
    gone = int(np.flatnonzero(drawn.templates == several[0])[0])
    embeddings = drawn.embeddings.copy()
    embeddings[gone] = np.nan
    np.savez(tmp_path / "a.npz", embeddings=embeddings, ids=drawn.names)
    asked = ("--ijb", folder, "--only", "identification", *FAST, "--out", tmp_path / "out")
    result = run(tmp_path / "a.npz", *asked)
    assert result.exit_code == 0, result.output
    assert f"failed '{gone + 1}.jpg'" in result.stderr
    found = results(tmp_path / "out")
    assert found["input"]["failures"][0]["id"] == f"{gone + 1}.jpg"
    assert "1 of" in found["input"]["notes"][1]


@pytest.fixture
def frames(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Twelve people with three videos each, of two clips of two frames; the last video failed."""
    random = np.random.default_rng(0)
    labels = np.repeat([f"p{i:02d}" for i in range(12)], 12)
    centres = random.normal(size=(12, 16)).repeat(12, axis=0)
    columns = {
        "embeddings": (centres + random.normal(size=(144, 16))).astype(np.float32),
        "labels": labels,
        "video": np.arange(144) // 4,
        "clip": np.arange(144) // 2,
        "sharpness": random.uniform(0.2, 1, 144),
        "sex": np.where(labels < "p06", "f", "m"),
        "frame": np.arange(144),
    }
    columns["embeddings"][[7, 140, 141, 142, 143]] = np.nan
    np.savez(tmp_path / "frames.npz", **columns)
    return tmp_path / "frames.npz", columns


def test_pictures_are_pooled_by_columns_first(
    frames: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path, columns = frames
    asked = ("--templates", "video", "--media", "clip", "--weight", "sharpness")
    how = ("--pooling", "unit-media", "--group", "sex", "--only", "verification")
    out = tmp_path / "out"
    result = run(path, *asked, *how, *FAST, "--out", out)
    assert result.exit_code == 0, result.output
    there = np.isfinite(columns["embeddings"]).all(axis=1)
    pooled = pool_templates(
        columns["embeddings"][there],
        columns["video"][there],
        columns["clip"][there],
        weights=columns["sharpness"][there],
        pooling=Pooling(media="unit"),
    )
    options = Options(replicates=20, parts=("verification",))
    found = results(out)
    expected = evaluate(pooled.vectors, columns["labels"][::4][:35], options=options)
    for row in expected.sections[0].rows:
        assert rows(found)[row.key]["value"] == pytest.approx(row.estimate.value), row.key
    assert found["input"]["pictures"] == 35
    assert [one["id"] for one in found["input"]["failures"]] == ["35"]
    assert "all 4 of its pictures failed" in found["input"]["failures"][0]["reason"]
    assert "144 pictures pooled into 35 templates with kept-norms" in " ".join(
        found["input"]["notes"]
    )
    assert "1 pictures could not be embedded" in " ".join(found["input"]["notes"])
    assert {row["group"] for row in found["groups"]["rows"]} == {"f", "m"}


def test_two_models_are_pooled_alike(frames: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    path, columns = frames
    noisy = columns["embeddings"] + np.random.default_rng(1).normal(size=(144, 16))
    np.savez(tmp_path / "other.npz", **(columns | {"embeddings": noisy.astype(np.float32)}))
    out = tmp_path / "out"
    compared = ("--compare", tmp_path / "other.npz", "--templates", "video")
    result = run(path, *compared, "--only", "verification", *FAST, "--out", out)
    assert result.exit_code == 0, result.output
    assert results(out)["comparison"]["rows"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--templates", "film"), "--templates: expected a column of the file, not 'film'"),
        (("--templates", "sex"), "template 'f' shows 'p00', 'p01' (2 such templates of 2)"),
        (("--templates", "video", "--media", "x"), "--media: expected a column"),
        (("--templates", "video", "--weight", "sex"), "--weight: expected a column of numbers"),
        (("--templates", "video", "--weight", "frame"), "expected weights above 0"),
        (("--templates", "video", "--pooling", "sum"), "a word for pooling among kept-norms"),
        (("--templates", "video", "--group", "frame"), "--group: expected a column"),
        (("--media", "clip"), "--media goes with --templates"),
        (("--pooling", "no-media"), "--pooling goes with --templates"),
        (("--ijb", ".", "--templates", "video"), "leave out --templates"),
        (("--ijb", ".", "--media", "clip"), "leave out --media"),
        (("--ijb", "."), "there is no ..._face_tid_mid.txt"),
    ],
    ids=range(12),
)
def test_what_does_not_go_together_is_refused(
    asked: tuple[str, ...], message: str, frames: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    result = run(frames[0], *asked, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_scores_have_no_templates(tmp_path: Path) -> None:
    result = run("--scores", tmp_path / "s.csv", "--templates", "video")
    assert result.exit_code == 2
    assert "--templates goes with embeddings" in result.stderr


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        ("norm", "--quality norm is the length of a picture's embedding"),
        ("sharpness", "that all pictures of a template agree in, not 'sharpness'; it has: half"),
    ],
)
def test_a_quality_that_templates_do_not_have_is_refused(
    quality: str, message: str, tmp_path: Path
) -> None:
    embeddings = np.random.default_rng(0).normal(size=(48, 8))
    video, half = np.arange(48) // 4, np.arange(48) // 24
    sharpness = np.linspace(0, 1, 48)
    columns = {"video": video, "half": half, "sharpness": sharpness}
    np.savez(tmp_path / "a.npz", embeddings=embeddings, labels=np.arange(48) // 8, **columns)
    asked = ("--templates", "video", "--quality", quality, *FAST, "--out", tmp_path / "out")
    result = run(tmp_path / "a.npz", *asked)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()
