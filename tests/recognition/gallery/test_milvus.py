"""A gallery on Milvus: what its collections hold when something goes wrong."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.gallery import milvus_client, milvus_collections, milvus_rows
from recognition.gallery.answers import Faceless, Threshold
from recognition.gallery.copying import export_gallery
from recognition.gallery.interface import Gallery
from recognition.gallery.milvus import MilvusGallery

CONTRACT = Contract("test", "ab" * 32, 4, Preprocessing())


@pytest.fixture
def where(on_milvus: Any) -> str:
    return str(on_milvus())


@pytest.fixture
def gallery(where: str) -> Iterator[MilvusGallery]:
    with MilvusGallery.create(where, CONTRACT) as gallery:
        yield gallery


class Crash(BaseException):
    """The process is gone, or the server."""


def crash_after(calls: int, client: Any, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let some of these calls through and no more."""
    left = [calls]

    def look(*args: Any, **kwargs: Any) -> None:
        if not left[0]:
            raise Crash
        left[0] -= 1

    look_at(client, look, monkeypatch, *names)


def look_at(
    client: Any, look: Callable[..., None], monkeypatch: pytest.MonkeyPatch, *names: str
) -> None:
    """Have somebody look at these calls before they are made."""

    def looked(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            look(*args, **kwargs)
            return call(*args, **kwargs)

        return called

    for name in names:
        monkeypatch.setattr(client, name, looked(getattr(client, name)))


@pytest.mark.parametrize("calls", range(9))
def test_a_crash_leaves_nobody_by_half(
    gallery: MilvusGallery, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever enrolling or removing stops, of an enrolment there are all samples or none."""
    gallery.enroll("bob", [[0, 1, 0, 0], [0, 1, 1, 0]])

    def change() -> None:
        gallery.enroll_many([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]], ["ada", "ada", "bob"])
        gallery.remove("bob")

    with monkeypatch.context() as patch:
        patch.setattr(milvus_rows, "CALL", 1)  # a call for each row
        patch.setattr(milvus_collections, "AT_ONCE", 1)
        crash_after(calls, gallery._collections._client, patch, "insert", "upsert", "delete")
        with pytest.raises(Crash):
            change()
    people = {person.name: person.samples for person in gallery.people()}
    # three inserts of samples, two of enrolments, two deletions of enrolments, then of samples
    assert people == [
        *[{"bob": 2}] * 4, {"ada": 2, "bob": 2}, {"ada": 2, "bob": 3}, {"ada": 2, "bob": 1},
        {"ada": 2}, {"ada": 2},
    ][calls]  # fmt: skip
    for name, samples in people.items():
        assert len(gallery.samples(name)) == samples, "none is missing"
    probes = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    for answer in gallery.identify(probes):
        assert {one.name for one in answer.candidates} == set(people)
    if "ada" not in people:
        assert gallery.identify([1, 0, 0, 0])[0].score == 0, "what is left of her is not seen"
    gallery.enroll("ada", [1, 0, 0, 0])
    assert gallery.identify([1, 0, 0, 0], threshold=1.0)[0].name == "ada", (
        "and it can be done again"
    )


@pytest.mark.parametrize("calls", range(4))
def test_a_crash_while_discarding_leaves_the_samples_before_or_after(
    gallery: MilvusGallery, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.enroll("ada", np.eye(4)[:3], digests=["12", "34", "56"])
    with monkeypatch.context() as patch:
        patch.setattr(milvus_collections, "AT_ONCE", 1)
        crash_after(calls, gallery._collections._client, patch, "upsert", "delete")
        if calls < 3:
            with pytest.raises(Crash):
                gallery.discard("ada", ["12", "56"])
        else:
            gallery.discard("ada", ["12", "56"])
    left = [one.digest for one in gallery.samples("ada")]
    assert left == (["34"] if calls else ["12", "34", "56"])
    assert gallery.people()[0].samples == len(left)
    assert sorted(gallery.known()) == [("ada", "", digest) for digest in left]
    scores = [answer.score for answer in gallery.identify(np.eye(4)[:3])]
    assert scores == ([0, 1, 0] if calls else [1, 1, 1])


def test_erasing_takes_what_a_crash_left(
    gallery: MilvusGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(gallery._collections, "finish", lambda rows: (_ for _ in ()).throw(Crash))
        with pytest.raises(Crash):
            gallery.enroll("ada", [[1, 2, 3, 4]])
    gallery.enroll("ada", [4, 3, 2, 1])
    gallery.enroll("bob", [1, 0, 0, 0])
    assert sum(len(keys) for keys, _ in gallery._collections.everything()) == 3
    receipt = gallery.erase("ada")
    assert sum(len(keys) for keys, _ in gallery._collections.everything()) == 1
    assert (receipt.samples, receipt.complete) == (1, False)
    assert "segments" in receipt.left[0]


@pytest.mark.parametrize("calls", range(9))
def test_a_gallery_that_was_not_finished_is_none_and_can_be_made(
    where: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pymilvus import MilvusClient

    crash_after(calls, MilvusClient, monkeypatch, "create_collection", "create_index", "upsert")
    if calls < 7:
        with pytest.raises(Crash):
            Gallery.create(where, CONTRACT)
        with pytest.raises(InputError, match="none of this name"):
            Gallery.open(where)
    monkeypatch.undo()
    with Gallery.create(where, CONTRACT) as gallery:
        gallery.enroll("ada", [1, 0, 0, 0])
        assert len(gallery) == 1


def test_people_whose_gallery_lost_its_description_are_left_alone(
    where: str, gallery: MilvusGallery
) -> None:
    gallery.enroll("ada", [1, 0, 0, 0])
    gallery._collections._client.drop_collection(f"{gallery.address.name}_about")
    with pytest.raises(InputError, match="something else's"):
        Gallery.create(where, CONTRACT)
    assert [person.name for person in gallery.people()] == ["ada"]


def test_what_is_not_ours_is_left_alone(where: str, gallery: MilvusGallery) -> None:
    client = gallery._collections._client
    client.create_collection(f"{gallery.address.name}_other_samples", 4)
    with pytest.raises(InputError, match="something else's"):
        Gallery.create(f"{where}_other", CONTRACT)
    assert client.has_collection(f"{gallery.address.name}_other_samples")


def test_a_newer_format_is_not_opened(where: str, gallery: MilvusGallery) -> None:
    gallery._collections.put({"format": "2"})
    with pytest.raises(InputError, match=r"format 1 .* got '2'"):
        Gallery.open(where)


def test_two_galleries_of_a_server_know_nothing_of_each_other(
    gallery: MilvusGallery, on_milvus: Any
) -> None:
    with Gallery.create(on_milvus(), CONTRACT) as other:
        gallery.enroll("ada", [1, 0, 0, 0])
        other.enroll("bob", [1, 0, 0, 0])
        other.set_threshold(Threshold(0.5))
        assert gallery.threshold is None
        assert [one.name for one in gallery.identify([1, 0, 0, 0])[0].candidates] == ["ada"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "x" * 65_534}, "the name 'xxx"),
        ({"name": "ada", "metadata": {"a": "é" * 40_000}}, "metadata of 'ada'"),
        ({"name": "ada", "sources": ["\0" * 11_000]}, "source of 'ada'"),
    ],
)
def test_what_no_text_field_holds_is_refused_before_anything_is_written(
    gallery: MilvusGallery, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=rf"{words}.*at most 65,535 bytes"):
        gallery.enroll(embeddings=[1, 0, 0, 0], **wrong)
    assert list(gallery._collections.everything()) == []
    assert gallery.people() == []


def test_of_many_photographs_without_a_face_some_are_remembered(gallery: MilvusGallery) -> None:
    found = Faceless("settings", {f"{n:064x}": "no face was found" for n in range(5000)})
    gallery.set_faceless(found)
    assert gallery.faceless.settings == "settings"
    assert 300 < len(gallery.faceless.reasons) < 1000
    assert gallery.faceless.reasons.items() <= found.reasons.items()


def test_scores_by_template_are_refused_before_anything_is_done(
    gallery: MilvusGallery, on_milvus: Any, tmp_path: Path
) -> None:
    gallery.enroll("ada", [1, 0, 0, 0])
    assert gallery.identify([1, 0, 0, 0], score="best", threshold=0.5)[0].name == "ada"
    with pytest.raises(InputError, match="expected best scores"):
        gallery.identify([1, 0, 0, 0], score="template")
    template = Threshold(0.5, score="template")
    with pytest.raises(InputError, match="expected best scores"):
        gallery.set_threshold(template)
    with Gallery.create(tmp_path / "people.gallery", CONTRACT) as source:
        source.set_threshold(template)
        where = on_milvus()
        with pytest.raises(InputError, match="calibrate the gallery for best scores"):
            export_gallery(source, where)
        with pytest.raises(InputError, match="none of this name"):
            Gallery.open(where)


def test_names_are_in_no_filter(gallery: MilvusGallery, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def look(*args: Any, **kwargs: Any) -> None:
        seen.append(json.dumps([kwargs.get("filter"), kwargs.get("ids")]))

    client = gallery._collections._client
    look_at(client, look, monkeypatch, "query", "delete", "search")
    gallery.enroll("' OR 1=1 --", [1, 0, 0, 0])
    gallery.identify([1, 0, 0, 0])
    gallery.samples("' OR 1=1 --")
    gallery.erase("' OR 1=1 --")
    assert len(seen) > 5
    assert not any("OR" in one for one in seen)
    with pytest.raises(ValueError, match="our own making"):
        gallery._collections.enrolments_of('" or "" == "')


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_other_indexes_find_who_is_there(on_milvus: Any, kind: str) -> None:
    """Both may miss people among many; of a few they find everybody, and the gallery knows its own."""
    where = on_milvus()
    rng = np.random.default_rng(1)
    with Gallery.create(f"{where}?index={kind}", CONTRACT) as gallery:
        gallery.enroll_many(rng.normal(size=(50, 4)), [f"{n:02}" for n in range(50)])
        with Gallery.open(where) as again, Gallery.create(on_milvus(), CONTRACT) as flat:
            for person in gallery.people():
                flat.enroll(person.name, [one.vector for one in gallery.samples(person.name)])
            probes = rng.normal(size=(5, 4))
            assert again.identify(probes) == gallery.identify(probes) == flat.identify(probes)
            assert again._collections._kind == kind


def test_only_one_process_has_a_file_open_and_only_while_it_has(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite")
    where = f"milvus://{tmp_path / 'small.db'}/people"
    script = (
        "import sys; from recognition.gallery.interface import Gallery\n"
        "try: print(len(Gallery.open(sys.argv[1])))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )

    def elsewhere() -> str:
        ran = subprocess.run(
            [sys.executable, "-c", script, where], capture_output=True, text=True, timeout=60
        )
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran.stdout

    with Gallery.create(where, CONTRACT) as gallery, Gallery.open(where) as second:
        gallery.enroll("ada", [1, 0, 0, 0])
        gallery.close()
        gallery.close()
        assert len(second) == 1, "the file stays open for the other"
        assert "only one process" in elsewhere()
    assert elsewhere() == "1\n"
    assert not stat.S_IMODE((tmp_path / "small.db").stat().st_mode) & 0o077


def test_a_server_that_does_not_answer_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pymilvus")
    monkeypatch.setattr(milvus_client, "PATIENCE", 0.5)
    monkeypatch.setenv("MILVUS_TOKEN", "root:SECRET")
    with pytest.raises(InputError, match=r"milvus://127.0.0.1:1/people: .*check that it runs") as e:
        Gallery.open("milvus://127.0.0.1:1/people")
    assert "SECRET" not in str(e.value) + "".join(capfd.readouterr())


def test_without_pymilvus_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(InputError, match=r"pip install 'margin-recognition\[milvus\]'"):
        Gallery.open("milvus://host/people")


def test_a_file_needs_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("pymilvus")
    with pytest.raises(InputError, match="expected the folder"):
        Gallery.create(f"milvus://{tmp_path}/none/small.db/people", CONTRACT)


def test_nothing_of_milvus_is_imported_for_a_folder(tmp_path: Path) -> None:
    script = (
        "import sys; from recognition.gallery.interface import Gallery\n"
        "from recognition.contract import Contract, Preprocessing\n"
        f"Gallery.create({str(tmp_path / 'g')!r}, Contract('a', 'ab' * 32, 4, Preprocessing()))\n"
        "assert not {'pymilvus', 'grpc', 'milvus_lite'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=dict(os.environ), timeout=60)
