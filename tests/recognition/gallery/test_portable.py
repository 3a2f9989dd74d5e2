"""People out of one gallery and into another, and files that are none of it."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fuzz import SOAK, damaged, refused

from recognition.contract import Contract, Preprocessing
from recognition.datasets.embedding_files import read_embeddings
from recognition.errors import InputError
from recognition.gallery import portable
from recognition.gallery.interface import Gallery
from recognition.gallery.portable import export_people, import_people

CONTRACT = Contract("test", "ab" * 32, 3, Preprocessing())
NAMES = ["ada", "../../x", "a\0b", "end\0", "😀", "\u202etxet", "=cmd()", "x" * 10_000, "new\nline"]


@pytest.fixture
def full(tmp_path: Path):
    with Gallery.create(tmp_path / "full", CONTRACT) as gallery:
        for number, name in enumerate(NAMES):
            rows = np.eye(3)[[number % 3] * (1 + number % 2)] + number / 7
            sources = [f"{name[:50]}/{n}.jpg" for n in range(len(rows))]
            gallery.enroll(
                name,
                rows + np.arange(len(rows))[:, None],
                sources=sources,
                digests=[f"{number}-{n}" for n in range(len(rows))],
                metadata={"since": number},
            )
        yield gallery


def test_what_was_exported_is_the_same_when_imported(full: Gallery, tmp_path: Path) -> None:
    done = export_people(full, tmp_path / "out")
    assert (done.people, done.samples) == (len(NAMES), 13)
    for path in (done.embeddings, done.listing):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Gallery.create(tmp_path / "other", CONTRACT) as other:
        assert import_people(other, done.listing) == (len(NAMES), 13, 0)
        for name in NAMES:
            for mine, theirs in zip(full.samples(name), other.samples(name), strict=True):
                assert (mine.vector == theirs.vector).all()
                assert mine[1:] == theirs[1:]
        assert [(one.name, one.metadata) for one in other.people()] == [
            (one.name, one.metadata) for one in full.people()
        ]
        assert import_people(other, done.embeddings) == (len(NAMES), 0, 13), "nobody twice"


def test_one_person_alone_is_exported_and_nobody_elses_bytes(full: Gallery, tmp_path: Path) -> None:
    done = export_people(full, tmp_path / "ada", ["ada", "ada"])
    assert (done.people, done.samples) == (1, 1)
    assert b"cmd" not in done.embeddings.read_bytes() + done.listing.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        export_people(full, tmp_path / "ada", ["ada"])
    with pytest.raises(InputError, match="got 'eve'; recognition gallery list"):
        export_people(full, tmp_path / "eve", ["eve"])
    assert not (tmp_path / "eve.npz").exists()


def test_other_programs_can_read_it(full: Gallery, tmp_path: Path) -> None:
    done = export_people(full, tmp_path / "out")
    found = read_embeddings(done.embeddings)
    told = json.loads(done.listing.read_text())
    names = [told["people"][int(label)]["name"] for label in found.labels]
    assert set(names) == set(NAMES)


def test_another_contract_is_refused_before_anybody_is_enrolled(
    full: Gallery, tmp_path: Path
) -> None:
    done = export_people(full, tmp_path / "out")
    with Gallery.create(tmp_path / "o", replace(CONTRACT, sha256="cd" * 32)) as other:
        with pytest.raises(InputError, match="cannot be compared"):
            import_people(other, done.listing)
        assert len(other) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update(format=2),
        lambda told: told["people"].pop(),
        lambda told: told["people"].append(told["people"][0]),
        lambda told: told["people"][0].update(name=""),
        lambda told: told["people"][0].update(name=["ada"]),
        lambda told: told["people"][0].update(name="\ud800"),
        lambda told: told["people"][0].update(samples=[]),
        lambda told: told["people"][0].update(metadata=[]),
        lambda told: told["people"][0]["samples"][0].update(source=1),
        lambda told: told.pop("contract"),
    ],
    ids=range(10),
)
def test_a_listing_that_was_changed_is_refused(full: Gallery, tmp_path: Path, change) -> None:
    done = export_people(full, tmp_path / "out")
    told = json.loads(done.listing.read_text())
    change(told)
    done.listing.write_text(json.dumps(told))
    with Gallery.create(tmp_path / "o", CONTRACT) as other:
        with pytest.raises(InputError, match="cannot be read"):
            import_people(other, done.listing)
        assert len(other) == 0


@pytest.mark.parametrize("which", [".npz", ".json"])
def test_damaged_files_are_refused_or_read_as_they_are(
    full: Gallery, tmp_path: Path, which: str
) -> None:
    good = export_people(full, tmp_path / "out", ["ada", "😀", "end\0"])
    path = good.embeddings.with_suffix(which)
    raw = path.read_bytes()
    tried = refusals = 0
    with Gallery.create(tmp_path / "other", CONTRACT) as other:
        for _, bad in damaged(raw, count=1000 if SOAK else 8):
            path.write_bytes(bad)
            tried += 1
            refusals += refused(
                lambda: import_people(other, good.embeddings),
                lambda done: done.people == 3 and done.samples + done.known == len(_ids(full)),
            )
    assert refusals > tried / 2


def _ids(full: Gallery) -> list[str]:
    return [sample.source for name in ("ada", "😀", "end\0") for sample in full.samples(name)]


@pytest.mark.parametrize("bad", [np.float64([[1, 2, 3]]), np.float32([[0, 0, 0]]), np.float32([[np.nan, 1, 1]])], ids=range(3))  # fmt: skip
def test_embeddings_that_no_model_makes_are_refused(
    full: Gallery, tmp_path: Path, bad: np.ndarray
) -> None:
    done = export_people(full, tmp_path / "out", ["ada"])
    np.savez(done.embeddings, embeddings=bad, labels=np.array([0]))
    with Gallery.create(tmp_path / "o", CONTRACT) as other:
        with pytest.raises(InputError, match="cannot be read"):
            import_people(other, done.embeddings)
        assert len(other) == 0


def test_both_files_are_written_or_none(
    full: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(portable, "written_whole", full_disk)
        with pytest.raises(OSError, match="No space left"):
            export_people(full, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))
    assert export_people(full, tmp_path / "out").people == len(NAMES)
