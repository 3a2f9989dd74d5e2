"""`recognition index bench` at the terminal."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from recognition.cli import app
from recognition.contract import Contract, Preprocessing
from recognition.gallery.embedded_gallery import Gallery


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    who = np.repeat(np.arange(60), 4)
    rows = random.standard_normal((60, 8))[who] + 0.3 * random.standard_normal((240, 8))
    np.savez(tmp_path / "faces.npz", embeddings=rows.astype(np.float32), labels=who)
    return tmp_path / "faces.npz"


def run(*words: Any) -> Any:
    return CliRunner().invoke(
        app, ["index", "bench", *map(str, words)], env={"COLUMNS": "80"}, catch_exceptions=False
    )


def test_it_prints_a_table_that_fits_and_says_what_it_recommends(vectors: Path) -> None:
    done = run(vectors, "--kinds", "exact", "--kinds", "ivf:nlist=3,nprobe=1", "--k", 3)
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    for words in ("exact", "nlist=3,nprobe=1", "added", "@1, @3", "Recommended: exact"):
        assert words in done.stdout
    assert "144 samples of 48 people, 8 dimensions; 48 searches" in " ".join(done.stdout.split())


def test_the_choice_is_written_into_a_file_or_a_gallery(vectors: Path, tmp_path: Path) -> None:
    done = run(vectors, "--json", "--kinds", "exact:int8", "--write", tmp_path / "choice.json")
    told = json.loads(done.stdout)
    assert json.loads((tmp_path / "choice.json").read_bytes()) == told
    assert told["recommended"] == "exact:int8"
    contract = Contract("a", "ab" * 32, 8, Preprocessing())
    Gallery.create(tmp_path / "people.gallery", contract).close()
    done = run(vectors, "--kinds", "exact:float16", "--write", tmp_path / "people.gallery")
    assert "searched by exact:float16 from now on" in " ".join(done.stdout.split())
    with Gallery.open(tmp_path / "people.gallery") as gallery:
        assert str(gallery.index) == "exact:float16"


def test_what_makes_no_sense_is_a_sentence_and_exit_code_2(vectors: Path, tmp_path: Path) -> None:
    contract = Contract("a", "ab" * 32, 9, Preprocessing())
    Gallery.create(tmp_path / "other.gallery", contract).close()
    for words, said in (
        (["--kinds", "flat"], "expected a kind of index"),
        (["--kinds", "ivf"], "fewer cells"),
        (["--queries", tmp_path / "none.npz"], "none.npz"),
        (["--write", tmp_path / "none.gallery"], "gallery create"),
        (["--write", tmp_path / "no" / "a.json"], "a folder that there is"),
        (["--write", tmp_path / "other.gallery"], "9 dimensions"),
        (["--write", tmp_path], "gallery.sqlite3"),
        (["--threshold", "nan"], "finite"),
    ):
        done = run(vectors, *words)
        assert done.exit_code == 2, words
        assert said in " ".join(done.stderr.split()), done.stderr
        assert done.stdout == ""
