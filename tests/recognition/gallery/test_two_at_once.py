"""Two that do the same at the same time: everything is enrolled once, and neither is refused."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recognition.contract import Contract, Preprocessing
from recognition.gallery.embedded_gallery import EmbeddedGallery as Gallery
from recognition.gallery.ingest import Ingested, enroll_files
from recognition.gallery.portable import Imported, export_people, import_people
from recognition.gallery.sync import Item, Synced, carry_out, plan

CONTRACT = Contract("test", "", 3, Preprocessing())
ADA, BOB, EVE = Item("ada", "1.jpg", "u"), Item("bob", "1.jpg", "v"), Item("eve", "1.jpg", "w")


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "g", CONTRACT) as gallery:
        yield gallery


def both(gallery: Gallery, work: Callable[[Gallery], Any], looks: str) -> list[Any]:
    """What two get who work on one gallery, each after both have looked, if they are let."""
    meeting = threading.Barrier(2)
    results: list[Any] = []

    def looked(self: Gallery, *given: Any) -> Any:
        found = look(self, *given)
        with suppress(threading.BrokenBarrierError):
            meeting.wait(0.3)
        return found

    def run() -> None:
        with Gallery.open(gallery.folder) as mine:
            try:
                results.append(work(mine))
            except BaseException as error:
                results.append(error)

    with pytest.MonkeyPatch.context() as patch:
        look = getattr(Gallery, looks)
        patch.setattr(Gallery, looks, looked)
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return results


def samples(gallery: Gallery) -> dict[str, int]:
    return {person.name: person.samples for person in gallery.people()}


def test_a_file_that_two_read_is_enrolled_once(gallery: Gallery, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    np.savez(tmp_path / "a.npz", embeddings=rows, labels=[f"person {n % 4}" for n in range(40)])
    found = both(gallery, lambda mine: enroll_files(mine, [tmp_path / "a.npz"]), "digests")
    assert sorted(found, key=lambda one: one.known) == [
        Ingested(40, 0, 0, ()),
        Ingested(0, 40, 0, ()),
    ]
    assert samples(gallery) == {f"person {n}": 10 for n in range(4)}


def test_an_export_that_two_import_is_there_once(gallery: Gallery, tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "other", CONTRACT) as other:
        other.enroll("ada", np.eye(3))
        done = export_people(other, tmp_path / "out")
    found = both(gallery, lambda mine: import_people(mine, done.listing), "people")
    assert sorted(found) == [Imported(1, 0, 3), Imported(1, 3, 0)]
    assert samples(gallery) == {"ada": 3}


def test_of_a_folder_that_two_sync_each_picture_is_there_once(gallery: Gallery) -> None:
    """Each plans before the other writes: one is new, one changed, one gone, one as it was."""

    def sync(mine: Gallery, *items: Item) -> Synced:
        planned = plan(mine.known(), items)
        return carry_out(
            mine, planned, lambda some: [np.array([1, 2, ord(x.digest)]) for x in some], remove=True
        )

    sync(gallery, ADA, BOB, EVE)
    changed, new = BOB._replace(digest="x"), ADA._replace(source="2.jpg", digest="y")
    found = both(gallery, lambda mine: sync(mine, ADA, changed, new), "known")
    assert sorted(one.unchanged for one in found) == [1, 3]
    assert sum(len(one.added) for one in found) == sum(len(one.changed) for one in found) == 1
    assert sorted(gallery.known()) == [ADA, new, changed]


def test_who_is_alone_may_write_and_still_is_afterwards(gallery: Gallery) -> None:
    holder = gallery.folder / "writer.json"
    with gallery.alone() as alone:
        assert alone
        gallery.enroll("ada", [1, 2, 3])
        assert holder.exists(), "others are told who it is"
    assert not holder.exists()
