"""Enrol, identify, reject, forget."""

import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.gallery import searched as module
from recognition.gallery.answers import Answer, Candidate, Threshold
from recognition.gallery.gallery import Gallery

CONTRACT = Contract("test", "ab" * 32, 4, Preprocessing())
NASTY = [
    "../../x", "CON", "a\0b", "😀", "\u202eright-to-left", "x" * 10_000, "=cmd()", "<script>",
    "new\nline", "' OR 1=1 --", " ", "é", "e\u0301",
]  # fmt: skip


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "people.gallery", CONTRACT) as gallery:
        yield gallery


def test_people_are_found_and_strangers_are_unknown(gallery: Gallery) -> None:
    gallery.enroll("ada", [[1, 0, 0, 0], [1, 1, 0, 0]], sources=["a.jpg", "b.jpg"])
    gallery.enroll("bob", [0, 0, 2, 0])
    gallery.set_threshold(Threshold(0.8))
    ada, bob, nobody = gallery.identify([[2, 2, 0, 0], [0, 0, 1, 0.1], [1, 1, 1, 1]])
    assert (ada.name, ada.score, ada.candidates[0].source) == ("ada", 1.0, "b.jpg")
    assert bob.name == "bob"
    assert nobody.name is None
    assert [one.name for one in nobody.candidates] == ["ada", "bob"], "runners-up all the same"
    assert nobody.margin == nobody.candidates[0].score - nobody.candidates[1].score


def test_without_a_threshold_everybody_is_unknown(gallery: Gallery) -> None:
    gallery.enroll("ada", [1, 0, 0, 0])
    (answer,) = gallery.identify([1, 0, 0, 0])
    assert (answer.name, answer.score, answer.threshold) == (None, 1.0, None)
    (answer,) = gallery.identify([1, 0, 0, 0], threshold=1.0)
    assert answer.name == "ada", "accepted at score >= threshold"


def test_an_empty_gallery_knows_nobody(gallery: Gallery) -> None:
    (answer,) = gallery.identify([1, 0, 0, 0], threshold=-1.0)
    assert answer == Answer(None, Threshold(-1.0), ())
    assert answer.score is None
    assert answer.margin is None


def test_equal_scores_are_listed_by_name_whatever_k(gallery: Gallery) -> None:
    for name in ("cy", "bo", "al", "di"):
        gallery.enroll(name, [1, 0, 0, 0])
    for top in (1, 2, 3, 4, 9):
        (answer,) = gallery.identify([1, 0, 0, 0], top=top, threshold=0.5)
        assert [one.name for one in answer.candidates] == ["al", "bo", "cy", "di"][:top]
        assert answer.name == "al"


def test_it_is_the_same_after_opening_again(gallery: Gallery) -> None:
    gallery.enroll("ada", [[1, 0, 0, 0]], metadata={"since": 2024})
    gallery.enroll("ada", [[0, 1, 0, 0]], metadata={"team": "x"})
    gallery.set_threshold(Threshold(0.5, "fpir", 0.01, 0.004, 0.02, 10, 20, "cd", "2026-01-01"))
    with Gallery.open(gallery.folder) as again:
        (person,) = again.people()
        assert (person.name, person.samples) == ("ada", 2)
        assert person.metadata == {"since": 2024, "team": "x"}
        assert again.threshold == gallery.threshold
        assert again.contract == CONTRACT
        assert again.identify([0, 3, 0, 0]) == gallery.identify([0, 3, 0, 0])


def test_who_is_removed_is_found_no_more_also_by_others(gallery: Gallery) -> None:
    gallery.enroll("ada", [1, 0, 0, 0])
    gallery.enroll("bob", [1, 1, 0, 0])
    with Gallery.open(gallery.folder) as reader:
        assert reader.identify([1, 0, 0, 0], threshold=0)[0].name == "ada"
        assert gallery.remove("ada") == 1
        assert reader.identify([1, 0, 0, 0], threshold=0)[0].name == "bob"
        gallery.enroll("ada", [1, 0, 0, 0])
        assert reader.identify([1, 0, 0, 0], threshold=0)[0].name == "ada"
    with pytest.raises(InputError, match="expected the name of somebody enrolled, got 'eve'"):
        gallery.remove("eve")


@pytest.mark.parametrize("flushed", [1, 10**6])
def test_erasing_leaves_no_byte(
    gallery: Gallery, flushed: int, monkeypatch: pytest.MonkeyPatch
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


def _files(gallery: Gallery) -> list[bytes]:
    return [path.read_bytes() for path in gallery.folder.rglob("*") if path.is_file()]


def test_names_are_data(gallery: Gallery) -> None:
    for number, name in enumerate(NASTY):
        gallery.enroll(name, np.eye(4)[number % 4] + number / 100)
    assert [person.name for person in gallery.people()] == sorted(NASTY, key=str.encode)
    outside = {path.name for path in gallery.folder.parent.iterdir()}
    assert outside == {"people.gallery"}
    for name in NASTY:
        gallery.erase(name)
    assert len(gallery) == 0


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        ([np.nan, 0, 0, 1], "finite"),
        ([0, 0, 0, 0], "direction"),
        ([1e-60, 0, 0, 0], "lengths"),
        ([1e60, 0, 0, 0], "lengths"),
        ([1, 0, 0], "expected 4 dimensions"),
        (["a", "b", "c", "d"], "real numbers"),
    ],
)
def test_what_cannot_be_enrolled_changes_nothing(gallery: Gallery, vector: Any, words: str) -> None:
    with pytest.raises(InputError, match=f"'ada'.*{words}"):
        gallery.enroll("ada", vector)
    with pytest.raises(InputError, match=words):
        gallery.identify(vector)
    assert gallery.people() == []


def test_bad_names_sources_and_contracts_are_refused(gallery: Gallery) -> None:
    other = replace(CONTRACT, model="other", sha256="cd" * 32)
    for wrong, words in (
        ({"name": ""}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "ada", "sources": ["a", "b"]}, "source"),
        ({"name": "ada", "contract": other}, "other .*test "),
    ):
        with pytest.raises(InputError, match=words):
            gallery.enroll(embeddings=[1, 0, 0, 0], **wrong)
    with pytest.raises(InputError, match="probes and the gallery"):
        gallery.identify([1, 0, 0, 0], contract=other)
    with pytest.raises(InputError, match="top"):
        gallery.identify([1, 0, 0, 0], top=0)
    assert gallery.people() == []


def test_it_is_made_where_there_is_nothing_and_opened_where_there_is(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(InputError, match="exists already"):
        Gallery.create(tmp_path / "taken", CONTRACT)
    with pytest.raises(InputError, match="recognition gallery create"):
        Gallery.open(tmp_path / "none")
    (tmp_path / "taken" / "gallery.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(InputError, match="repair"):
        Gallery.open(tmp_path / "taken")


def test_only_the_owner_can_read_it(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSHED", 1)
    gallery.enroll("ada", [1, 0, 0, 0])
    for path in [gallery.folder, *gallery.folder.rglob("*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "remove", "stray"])
def test_a_damaged_cache_is_found_said_and_made_again(
    gallery: Gallery, damage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
        with Gallery.open(copy) as again:
            assert bool(again.problems) == ("is damaged" in caplog.text) == (damage != "stray")
            assert again.identify(np.eye(4), top=8) == expected
        caplog.clear()
        with Gallery.open(copy) as again:
            assert not again.problems, "it was written again"
            assert again.identify(np.eye(4), top=8) == expected
        assert not caplog.text
        shutil.rmtree(copy)


def test_a_cache_of_another_time_is_not_used(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that was put back from a backup counts on from there."""
    monkeypatch.setattr(module, "FLUSHED", 1)
    gallery.enroll("ada", np.eye(4)[0])
    gallery.close()
    backup = (gallery.folder / "gallery.sqlite3").read_bytes()
    for later in (["bob"], ["bob", "cy"]):
        with Gallery.open(gallery.folder) as again:
            for name in later:
                again.enroll(name, np.eye(4)[1])
        (gallery.folder / "gallery.sqlite3").write_bytes(backup)
        with Gallery.open(gallery.folder) as again:
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
