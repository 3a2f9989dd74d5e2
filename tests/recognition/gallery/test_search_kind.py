"""A gallery by any kind of index: people come and go, and answers stay true."""

from pathlib import Path

import numpy as np
import pytest

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.gallery import search_kind as module
from recognition.gallery.interface import Gallery
from recognition.search.index_kinds import Exact, Hnsw, Ivf, parse_kind

CONTRACT = Contract("test", "ab" * 32, 8, Preprocessing())
KINDS = ["exact", "exact:float16", "exact:int8", "ivf:nlist=4,nprobe=4", "hnsw:m=16,ef=400"]


@pytest.mark.parametrize("text", KINDS)
def test_people_come_and_go_and_every_kind_keeps_up(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells all looked into and a wide graph miss nobody here, so all answers are the exact ones."""
    monkeypatch.setattr(module, "FRESH", 40)
    random = np.random.default_rng(0)
    rows = random.standard_normal((400, 8)).astype(np.float32)
    names = [f"person {number % 90:02}" for number in range(400)]
    probes = np.concatenate([rows[::40], random.standard_normal((5, 8))])
    with Gallery.create(tmp_path / "a", CONTRACT) as gallery:
        gallery.set_index(parse_kind(text))
        assert gallery.index == parse_kind(text)
        built = []
        for start, stop in ((0, 250), (250, 270), (270, 400)):  # beside the index, then too many
            gallery.enroll_many(rows[start:stop], names[start:stop])
            _equal(gallery, probes)
            built.append(gallery._kinds._made)
        for number in (0, 40, 41, 80):
            gallery.remove(f"person {number:02}")
            _equal(gallery, probes)
        gallery.enroll("person 00", rows[0])
        _equal(gallery, probes)
        if gallery.index.approximate:
            assert built[0] is built[1], "twenty more are searched beside it"
            assert built[1] is not built[2]
        gallery.erase("person 01")
        assert gallery._kinds._made is None
        _equal(gallery, probes)


def _equal(gallery: Gallery, probes: np.ndarray) -> None:
    kind = gallery.index
    found = gallery.identify(probes, top=4, threshold=0.5)
    assert {answer.approximate for answer in found} == {kind.approximate}
    gallery.set_index(Exact())
    exact = gallery.identify(probes, top=4, threshold=0.5)
    gallery.set_index(kind)
    assert [a.candidates for a in found] == [a.candidates for a in exact]
    assert [a.name for a in found] == [a.name for a in exact]


def test_few_samples_are_all_looked_at_whatever_the_kind(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "a", CONTRACT) as gallery:
        for kind in (Ivf(), Hnsw(), Exact("float16")):
            gallery.set_index(kind)
            assert gallery.identify(np.eye(8)[0], threshold=0)[0].candidates == ()
        gallery.set_index(Ivf())
        gallery.enroll("ada", np.eye(8)[0])
        (answer,) = gallery.identify(np.eye(8)[0], threshold=0.5)
        assert (answer.name, answer.approximate) == ("ada", False)
        assert answer.as_dict()["approximate"] is False
    with Gallery.open(tmp_path / "a") as again:
        assert again.index == Ivf()


def test_what_the_store_says_of_the_index_is_checked(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "a", CONTRACT) as gallery:
        with gallery._writer.held(), gallery._store.changing() as changes:
            changes.say("index", "flat")
        with pytest.raises(InputError, match="expected a kind of index"):
            gallery.identify(np.eye(8)[0])
