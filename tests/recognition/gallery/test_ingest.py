"""Files into a gallery: whole, once, and on from where it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import damaged

from recognition import enroll_files
from recognition.contract import Contract, Preprocessing
from recognition.datasets import embedding_chunks
from recognition.errors import InputError
from recognition.gallery.embedded_gallery import EmbeddedGallery as Gallery

CONTRACT = Contract("test", "", 6, Preprocessing())


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gallery]:
    original = embedding_chunks.EmbeddingStream.chunks
    monkeypatch.setattr(embedding_chunks.EmbeddingStream, "chunks", lambda s: original(s, 50))
    with Gallery.create(tmp_path / "people.gallery", CONTRACT) as gallery:
        yield gallery


def write(path: Path, count: int = 230, seed: int = 0, **change: Any) -> Path:
    random = np.random.default_rng(seed)
    rows = random.standard_normal((count, 6)).astype(np.float32)
    rows[7::50] = np.nan
    names = [f"person {n % 60}" for n in range(count)]
    arrays = {
        "embeddings": rows,
        "labels": names,
        "ids": [f"{path.name} {n}" for n in range(count)],
    }
    np.savez(path, **{**arrays, **change})
    return path


def held(gallery: Gallery) -> Any:
    with gallery._store.snapshot() as snapshot:
        rows = snapshot.rows(6)
        names = snapshot.names(rows.people.tolist())
        sources = snapshot.sources(rows.samples.tolist())
    return sorted(
        (names[p], sources[s], v.tobytes())
        for s, p, v in zip(rows.samples.tolist(), rows.people.tolist(), rows.vectors, strict=True)
    )


def test_every_row_is_enrolled_once_however_often(gallery: Gallery, tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.npz"), write(tmp_path / "b.npz", seed=1)
    first = enroll_files(gallery, [one, two])
    assert (first.enrolled, first.known, first.failed) == (450, 0, 10)
    assert first.failures[0].id == "a.npz 7"
    before = held(gallery)
    assert len(before) == 450
    assert ("person 1", "a.npz 1") in {key[:2] for key in before}
    again = enroll_files(gallery, [two, one])
    assert (again.enrolled, again.known) == (0, 450)
    assert held(gallery) == before
    gallery.remove("person 3")
    assert enroll_files(gallery, [one, two]).enrolled == 8


def test_one_file_may_be_named_alone(gallery: Gallery, tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz")
    assert enroll_files(gallery, str(path)).enrolled == 225
    assert enroll_files(gallery, path).known == 225


def test_who_was_interrupted_goes_on(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.npz")
    whole = Gallery.create(tmp_path / "whole.gallery", CONTRACT)
    enroll_files(whole, [path])
    real, calls = Gallery.enroll_many, []

    def stopped(self: Gallery, *args: Any, **options: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(self, *args, **options)

    monkeypatch.setattr(Gallery, "enroll_many", stopped)
    with pytest.raises(KeyboardInterrupt):
        enroll_files(gallery, [path])
    assert len(held(gallery)) == 98, "two chunks, each whole"
    done = enroll_files(gallery, [path])
    assert (done.enrolled, done.known) == (127, 98)
    assert held(gallery) == held(whole)
    whole.close()


def test_a_row_that_is_there_twice_is_one_and_two_people_may_share_one(
    gallery: Gallery, tmp_path: Path
) -> None:
    rows = np.ones((120, 6), np.float32)
    names = np.array(["ada", "bob"] * 60)
    path = write(tmp_path / "a.npz", 120, embeddings=rows, labels=names)
    found = enroll_files(gallery, [path])
    assert (found.enrolled, found.known) == (2, 118)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"embeddings": np.ones((230, 5), np.float32)}, "expected 6 dimensions"),
        ({"labels": ["a"] * 229 + [" "]}, "row 29"),
        ({"embeddings": np.vstack([np.ones((229, 6)), np.full((1, 6), 1e30)])}, "lengths"),
    ],
)
def test_if_anything_is_wrong_nothing_is_enrolled(
    gallery: Gallery, tmp_path: Path, change: Any, words: str
) -> None:
    good, bad = write(tmp_path / "a.npz"), write(tmp_path / "b.npz", **change)
    for paths in ([good, bad], [bad]):
        with pytest.raises(InputError, match=words):
            enroll_files(gallery, paths)
    with pytest.raises(InputError, match=r"none\.npz"):
        enroll_files(gallery, [good, tmp_path / "none.npz"])
    assert len(gallery) == 0


def test_a_damaged_file_changes_nothing(gallery: Gallery, tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", 60)
    enroll_files(gallery, [path])
    before, refusals = held(gallery), 0
    for _, raw in damaged(path.read_bytes(), count=6):
        path.write_bytes(raw)
        try:
            enroll_files(gallery, [path])
        except InputError:
            refusals += 1
    assert refusals > 20
    assert held(gallery) == before, "what passes is what was written"


def test_another_model_is_refused_unless_somebody_vouches(tmp_path: Path) -> None:
    mine, theirs = (Contract(n, n * 32, 6, Preprocessing()) for n in ("ab", "cd"))
    with Gallery.create(tmp_path / "g", mine) as gallery:
        with pytest.raises(InputError, match="--trust"):
            enroll_files(gallery, [write(tmp_path / "a.npz")])
        other = write(tmp_path / "b.npz", contract=theirs.to_json())
        for trusted in (False, True):
            with pytest.raises(InputError, match="cannot be compared"):
                enroll_files(gallery, [other], trusted=trusted)
        assert enroll_files(gallery, [write(tmp_path / "a.npz")], trusted=True).enrolled == 225
        same = write(tmp_path / "c.npz", seed=2, contract=mine.to_json())
        assert enroll_files(gallery, [same]).enrolled == 225
