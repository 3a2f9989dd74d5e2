"""A gallery in a folder: its files. What all kinds do is in `test_conformance.py`."""

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.gallery import search_copy as module
from recognition.gallery.answers import Answer, Candidate, Threshold
from recognition.gallery.embedded_gallery import EmbeddedGallery

CONTRACT = Contract("test", "ab" * 32, 4, Preprocessing())
NASTY = [
    "../../x", "CON", "a\0b", "😀", "\u202eright-to-left", "x" * 10_000, "=cmd()", "<script>",
    "new\nline", "' OR 1=1 --", " ", "é", "e\u0301",
]  # fmt: skip


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[EmbeddedGallery]:
    with EmbeddedGallery.create(tmp_path / "people.gallery", CONTRACT) as gallery:
        yield gallery


@pytest.mark.parametrize("flushed", [1, 10**6])
def test_erasing_leaves_no_byte(
    gallery: EmbeddedGallery, flushed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSHED", flushed)
    tag = np.frombuffer(b"NEE?DLE?NEE?DLE?", "<f4")
    for number in range(30):
        gallery.enroll(f"person {number}", np.eye(4)[number % 4] + number)
    gallery.enroll("HAYSTACK", tag, sources=["PHOTOGRAPH"], metadata={"SECRET": 1})
    needles = (b"NEE?DLE?", b"HAYSTACK", b"PHOTOGRAPH", b"SECRET")
    assert all(any(needle in raw for raw in _files(gallery)) for needle in needles)
    receipt = gallery.erase("HAYSTACK")
    assert (receipt.samples, receipt.complete, receipt.left) == (1, True, ())
    assert not any(needle in raw for raw in _files(gallery) for needle in needles)
    assert len(gallery) == 30
    assert len(gallery.identify(np.eye(4)[0], top=100)[0].candidates) == 30


def _files(gallery: EmbeddedGallery) -> list[bytes]:
    return [path.read_bytes() for path in gallery.folder.rglob("*") if path.is_file()]


def test_names_are_no_paths(gallery: EmbeddedGallery) -> None:
    for number, name in enumerate(NASTY):
        gallery.enroll(name, np.eye(4)[number % 4] + number / 100)
    outside = {path.name for path in gallery.folder.parent.iterdir()}
    assert outside == {"people.gallery"}
    for name in NASTY:
        gallery.erase(name)
    assert len(gallery) == 0


def test_it_is_made_where_there_is_nothing_and_opened_where_there_is(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(InputError, match="exists already"):
        EmbeddedGallery.create(tmp_path / "taken", CONTRACT)
    with pytest.raises(InputError, match="recognition gallery create"):
        EmbeddedGallery.open(tmp_path / "none")
    (tmp_path / "taken" / "gallery.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(InputError, match="repair"):
        EmbeddedGallery.open(tmp_path / "taken")


def test_only_the_owner_can_read_it(
    gallery: EmbeddedGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSHED", 1)
    gallery.enroll("ada", [1, 0, 0, 0])
    for path in [gallery.folder, *gallery.folder.rglob("*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "remove", "stray"])
def test_a_damaged_cache_is_found_said_and_made_again(
    gallery: EmbeddedGallery,
    damage: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "FLUSHED", 1)
    for number in range(8):
        gallery.enroll(f"person {number}", np.eye(4)[number % 4] + number)
    expected = gallery.identify(np.eye(4), top=8)
    gallery.close()
    files = sorted(path for path in gallery.folder.glob("cache/**/*") if path.is_file())
    assert len(files) > 7
    for path in files:
        copy = gallery.folder.with_name("copy")
        shutil.copytree(gallery.folder, copy)
        target, raw = copy / path.relative_to(gallery.folder), path.read_bytes()
        if damage == "remove":
            target.unlink()
        elif damage == "stray":
            target.with_name("stray.part").write_bytes(raw)
        else:
            flipped = bytes([raw[0] ^ 1]) + raw[1:]
            target.write_bytes({"cut": raw[:-1], "flip": flipped, "longer": raw + b"x"}[damage])
        caplog.clear()
        with EmbeddedGallery.open(copy) as again:
            assert bool(again.problems) == ("is damaged" in caplog.text) == (damage != "stray")
            assert again.identify(np.eye(4), top=8) == expected
        caplog.clear()
        with EmbeddedGallery.open(copy) as again:
            assert not again.problems, "it was written again"
            assert again.identify(np.eye(4), top=8) == expected
        assert not caplog.text
        shutil.rmtree(copy)


def test_a_cache_of_another_time_is_not_used(
    gallery: EmbeddedGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that was put back from a backup counts on from there."""
    monkeypatch.setattr(module, "FLUSHED", 1)
    gallery.enroll("ada", np.eye(4)[0])
    gallery.close()
    backup = (gallery.folder / "gallery.sqlite3").read_bytes()
    for later in (["bob"], ["bob", "cy"]):
        with EmbeddedGallery.open(gallery.folder) as again:
            for name in later:
                again.enroll(name, np.eye(4)[1])
        (gallery.folder / "gallery.sqlite3").write_bytes(backup)
        with EmbeddedGallery.open(gallery.folder) as again:
            assert again.problems
            (answer,) = again.identify(np.eye(4)[1], threshold=0)
            assert [one.name for one in answer.candidates] == ["ada"]


def test_an_answer_is_plain_data() -> None:
    answer = Answer.of((Candidate("ada", 0.5, "a.jpg"),), Threshold(0.4))
    assert answer.as_dict()["name"] == "ada"
    assert Threshold.from_json(Threshold(0.4).to_json()) == Threshold(0.4)
    for wrong in ("", "[]", '{"value": "a"}', '{"value": 1, "rule": "x"}', '{"value": 1e999}'):
        with pytest.raises(InputError):
            Threshold.from_json(wrong)
