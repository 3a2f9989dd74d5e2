"""Whatever is damaged, check says so and repair saves what is sound."""

import shutil
from pathlib import Path

import gallery_worker as worker
import numpy as np
import pytest
from fuzz import RANDOM, SOAK, damaged, refused

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.gallery import search_copy
from recognition.gallery.answers import Threshold
from recognition.gallery.damage import Repaired, check, repair
from recognition.gallery.embedded_gallery import Gallery
from recognition.gallery.salvage import salvaging

DIMENSION = 64
CONTRACT = Contract("test", "ab" * 32, DIMENSION, Preprocessing())
PEOPLE = 120
FLIPS = 600 if SOAK else 12


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of many pages, with a cache, somebody removed, and no log."""
    folder = tmp_path_factory.mktemp("whole") / "g"
    with pytest.MonkeyPatch.context() as patch, Gallery.create(folder, CONTRACT) as gallery:
        patch.setattr(search_copy, "FLUSHED", 100)
        names = [f"name {number}" for number in range(PEOPLE)]
        for name in names:
            samples = [worker.vector(name, at, DIMENSION) for at in range(3)]
            gallery.enroll(name, samples, sources=["s1", "s2", "s3"], metadata={"is": name})
        gallery.remove("name 7")
        gallery.set_threshold(Threshold(0.5))
    return folder


@pytest.fixture
def gallery(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "g"))


def saved(folder: Path) -> dict[str, int]:
    """Samples of everybody, each of which is what was enrolled."""
    with Gallery.open(folder) as again:
        people = again.people()
        for person in people:
            assert person.metadata in ({"is": person.name}, {})
            probes = [worker.vector(person.name, at, DIMENSION) for at in range(3)]
            found = [each for answer in again.identify(probes, top=1) for each in answer.candidates]
            exact = [each for each in found if each.name == person.name and each.score == 1]
            assert len(exact) == person.samples
        return {person.name: person.samples for person in people}


def test_nothing_is_wrong_with_a_sound_gallery_and_all_of_it_is_saved(
    gallery: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in gallery.rglob("*") if path.is_file()}
    assert check(gallery) == []
    made = repair(gallery, tmp_path / "new")
    assert made == Repaired(PEOPLE - 1, 3 * (PEOPLE - 1), ())
    assert saved(tmp_path / "new") == {f"name {n}": 3 for n in range(PEOPLE) if n != 7}
    with Gallery.open(tmp_path / "new") as new, Gallery.open(gallery) as old:
        assert new.threshold == old.threshold == Threshold(0.5)
        assert new.contract == old.contract
        assert new.people() == old.people()
    now = {path: path.read_bytes() for path in gallery.rglob("*") if path.name in "gallery.sqlite3"}
    assert all(before[path] == raw for path, raw in now.items())


def test_every_page_may_be_lost_and_the_others_are_saved(gallery: Path, tmp_path: Path) -> None:
    path = gallery / "gallery.sqlite3"
    raw, page = path.read_bytes(), 2**14
    pages = range(0, len(raw), page)
    assert len(pages) > 12
    few = 0
    for number, start in enumerate(pages):
        path.write_bytes(raw[:start] + b"\xff" * page + raw[start + page :])
        findings = check(gallery)
        assert findings
        target = tmp_path / f"new {number}"
        contract = CONTRACT if any(one.where == "contract" for one in findings) else None
        if contract:
            with pytest.raises(InputError, match="give the contract"):
                repair(gallery, target)
        made = repair(gallery, target, contract=contract)
        state = saved(target)
        assert (made.people, made.samples) == (len(state), sum(state.values()))
        few += made.samples < 2 * PEOPLE
        if start == 0:
            assert made.samples == 3 * (PEOPLE - 1), "the first page is the same in every gallery"
        shutil.rmtree(target)
    assert few <= 2, "only where the way to all samples is lost"


def test_a_flipped_byte_anywhere_in_the_store_costs_no_more_than_a_page(
    gallery: Path, tmp_path: Path
) -> None:
    path = gallery / "gallery.sqlite3"
    raw = path.read_bytes()
    random = np.random.default_rng(0)
    for number, place in enumerate(random.integers(0, len(raw), FLIPS)):
        changed = bytearray(raw)
        changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(bytes(changed))
        target = tmp_path / f"new {number}"
        made = repair(gallery, target, contract=CONTRACT)
        state = saved(target)
        assert (made.people, made.samples) == (len(state), sum(state.values()))
        if made.samples < 3 * (PEOPLE - 1):
            assert any(one.lost for one in made.findings)
        shutil.rmtree(target)


def test_whatever_is_in_the_file_is_refused_or_saved(gallery: Path, tmp_path: Path) -> None:
    path = gallery / "gallery.sqlite3"
    raw = path.read_bytes()
    target = tmp_path / "new"
    for _, bad in damaged(raw, count=max(1, RANDOM // 20)):
        path.write_bytes(bad)
        findings = check(gallery)
        assert all(str(one).count("\n") == 0 for one in findings)
        refused(lambda: repair(gallery, target, contract=CONTRACT), lambda made: made.samples >= 0)
        saved(target)
        refused(lambda: Gallery.open(gallery).close() or True, bool)
        shutil.rmtree(target)
        for left in gallery.glob("gallery.sqlite3-*"):
            left.unlink()


def test_a_schema_that_is_no_utf8_is_refused_in_a_sentence(gallery: Path) -> None:
    path = gallery / "gallery.sqlite3"
    raw = path.read_bytes()
    for before, after in (
        (b"tablepeoplepeople", b"table\xca\xff\xfeplepeople"),
        (b"CREATE TABLE people", b"CREATE TABLE (((((("),
    ):
        assert before in raw
        raw = raw.replace(before, after)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="no UTF-8"):
        Gallery.open(gallery)


def test_a_damaged_list_of_parts_is_found_whatever_it_is(gallery: Path) -> None:
    path = gallery / "cache" / "parts.json"
    raw = path.read_bytes()
    for _, bad in damaged(raw, count=max(1, RANDOM // 20)):
        path.write_bytes(bad)
        assert bad == raw or [one.where for one in check(gallery)] == ["cache"]


def test_what_is_no_gallery_is_refused(tmp_path: Path, gallery: Path) -> None:
    for work in (lambda: check(tmp_path), lambda: repair(tmp_path, tmp_path / "new")):
        with pytest.raises(InputError, match=r"there is no gallery\.sqlite3 in it"):
            work()
    with pytest.raises(InputError, match="exists already"):
        repair(gallery, gallery)


def test_records_that_cannot_be_read_are_passed_over(gallery: Path) -> None:
    with salvaging(gallery) as salvage:
        assert len(list(salvage.samples())) == 3 * (PEOPLE - 1)
        assert salvage.count("samples_of", "samples") == 3 * (PEOPLE - 1)
        assert len(salvage.names()) == PEOPLE - 1
