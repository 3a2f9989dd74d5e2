"""Flips, cuts and losses: in the cache they change no answer, in the store they are told."""

import shutil
import sqlite3
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from fuzz import SOAK, refused

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.gallery import search_copy
from recognition.gallery.answers import Answer
from recognition.gallery.cache import TYPES
from recognition.gallery.damage import check, repair
from recognition.gallery.embedded_gallery import FILE
from recognition.gallery.embedded_gallery import EmbeddedGallery as Gallery
from recognition.gallery.records import PAGE, Numbers

DIMENSION = 32
VECTORS = 100_000 if SOAK else 2_000
OF_CACHE, OF_STORE = (200, 60) if SOAK else (24, 10)
CONTRACT = Contract("test", "ab" * 32, DIMENSION, Preprocessing())
Held = dict[bytes, str]  # whose every vector is


class Whole(NamedTuple):
    """A gallery before anything happens to it."""

    folder: Path
    held: Held
    answers: list[Answer]


def answers_of(gallery: Gallery) -> list[Answer]:
    """Of one probe and of several, which are searched in other ways."""
    probes = np.random.default_rng(1).standard_normal((6, DIMENSION))
    probes[3:] = [gallery.samples(f"name {number}")[0].vector for number in (0, 1, 5)]
    return [
        *gallery.identify(probes[:1], threshold=0.9),
        *gallery.identify(probes[3], threshold=0.9),
        *gallery.identify(probes, threshold=0.9),
    ]


def read(folder: Path) -> Held:
    with Gallery.open(folder) as gallery:
        return held_by(gallery)


def held_by(gallery: Gallery) -> Held:
    with gallery._store.snapshot() as snapshot:
        rows = snapshot.rows(DIMENSION, most=2 * VECTORS)
        names = snapshot.names(set(rows.people.tolist()))
    return {
        vector.tobytes(): names[person]
        for vector, person in zip(rows.vectors, rows.people.tolist(), strict=True)
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Five samples a person, most of them in the cache; every 20th is gone, some came later."""
    folder = tmp_path_factory.mktemp("whole") / "g"
    rows = np.random.default_rng(0).standard_normal((VECTORS, DIMENSION), np.float32)
    names = [f"name {number % (VECTORS // 5)}" for number in range(VECTORS)]
    with pytest.MonkeyPatch.context() as patch, Gallery.create(folder, CONTRACT) as gallery:
        patch.setattr(search_copy, "FLUSHED", VECTORS // 3)
        patch.setattr(search_copy, "WHOLE", VECTORS // 4)
        for half in (slice(0, VECTORS // 2), slice(VECTORS // 2, VECTORS)):
            gallery.enroll_many(rows[half], names[half])
        for number in range(7, VECTORS // 5, 20):
            gallery.remove(f"name {number}")
        gallery.enroll("late", -rows[:3])
        found = Whole(folder, held_by(gallery), answers_of(gallery))
    assert not list(folder.glob(f"{FILE}-*")), "all of it is in the file"
    return found


def damage(path: Path, random: np.random.Generator) -> str:
    """A bit, some bytes, the end or all of a file, none of it as it was."""
    raw = path.read_bytes()
    place = int(random.integers(len(raw)))
    kind = str(random.choice(["bit", "bit", "zeros", "noise", "cut", "more", "gone"]))
    if kind == "gone":
        path.unlink()
        return kind
    length = int(random.integers(1, 3 * PAGE))
    part = raw[place : place + length]
    new = {
        "bit": bytes([raw[place] ^ 1 << int(random.integers(8))]) + part[1:],
        "zeros": bytes(len(part)),
        "noise": random.bytes(len(part)),
        "cut": b"",
        "more": random.bytes(length) + part,
    }[kind]
    rest = b"" if kind == "cut" else raw[place + length :]
    path.write_bytes(raw[:place] + new + rest)
    return kind if raw != path.read_bytes() else "nothing"


def test_whatever_happens_to_the_cache_is_found_and_changes_no_answer(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_copy, "FLUSHED", VECTORS // 3)
    folder = Path(shutil.copytree(whole.folder, tmp_path / "g"))
    random = np.random.default_rng(2)
    met: dict[str, int] = {}
    names = ["parts.json", *(f"{key}.bin" for key in TYPES)]
    for number in range(OF_CACHE):
        files = sorted((folder / "cache").rglob(names[number % len(names)]))
        path = files[int(random.integers(len(files)))]
        kind = damage(path, random)
        met[kind] = met.get(kind, 0) + 1
        with Gallery.open(folder) as gallery:
            assert len(gallery.problems) == (kind != "nothing"), "once: it is not read again"
            assert answers_of(gallery) == whole.answers, (path.name, kind)
        with Gallery.open(folder) as gallery:
            assert not gallery.problems, "it was made again"
    print(f"the cache of {VECTORS:,} vectors: {met}")


def test_whatever_happens_to_the_store_is_told_and_the_rest_is_saved(
    whole: Whole, tmp_path: Path
) -> None:
    folder, target = tmp_path / "g", tmp_path / "new"
    random = np.random.default_rng(3)
    met: dict[str, int] = {}
    lost: Numbers = np.zeros(OF_STORE, np.int64)
    for number in range(OF_STORE):
        shutil.copytree(whole.folder, folder)
        kind = "nothing"
        while kind in ("nothing", "gone"):
            kind = damage(folder / FILE, random)
            if kind == "gone":
                with pytest.raises(InputError, match="there is no"):
                    check(folder)
                shutil.copyfile(whole.folder / FILE, folder / FILE)
        findings = check(folder)
        if findings:
            repair(folder, target, contract=CONTRACT)
            held = read(target)
            assert held.items() <= whole.held.items(), kind
            lost[number] = len(whole.held) - len(held)
            if lost[number]:
                assert any(finding.lost for finding in findings), (kind, findings)
            shutil.rmtree(target)
            refused(lambda: read(folder), lambda held: held.items() <= whole.held.items())
        else:  # it hit what nothing is said with
            with Gallery.open(folder) as gallery:
                assert held_by(gallery) == whole.held, kind
                assert answers_of(gallery) == whole.answers, kind
        told = f"{kind}{'' if findings else ', of no matter'}"
        met[told] = met.get(told, 0) + 1
        shutil.rmtree(folder)
    print(f"the store of {VECTORS:,} vectors: {met}, samples lost {sorted(lost.tolist())}")


def test_a_removal_of_somebody_else_is_noticed(whole: Whole, tmp_path: Path) -> None:
    """Numbers of samples that went have no sum of their own, so the store's own samples are asked."""
    folder = Path(shutil.copytree(whole.folder, tmp_path / "g"))
    connection = sqlite3.connect(folder / FILE)
    with connection:
        connection.execute("UPDATE gone SET sample = 1 WHERE change = 1")
    connection.close()
    (finding,) = check(folder)
    assert str(finding) == "store: of the samples that are said to be gone, 1 is there"
    assert not finding.lost
    with Gallery.open(folder) as gallery:
        assert gallery.problems == ("it has other samples than the store",)
        assert answers_of(gallery) == whole.answers
        vector = gallery.samples("name 0")[0].vector
        assert gallery.identify(vector, threshold=0.9)[0].name == "name 0"
    assert check(folder) == [], "the next to write has put it right"
    with Gallery.open(folder) as gallery:
        assert not gallery.problems
        assert answers_of(gallery) == whole.answers
