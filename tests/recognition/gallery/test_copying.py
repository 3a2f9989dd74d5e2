"""A gallery copied to another kind."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.gallery import copying
from recognition.gallery.answers import Threshold
from recognition.gallery.copying import Exported, export_gallery
from recognition.gallery.interface import Gallery

CONTRACT = Contract("test", "ab" * 32, 4, Preprocessing())


@pytest.fixture
def source(tmp_path: Any) -> Iterator[Gallery]:
    rng = np.random.default_rng(1)
    with Gallery.create(tmp_path / "source.gallery", CONTRACT) as gallery:
        for number in range(9):
            gallery.enroll(
                f"'person' {number}",
                rng.normal(size=(number % 3 + 1, 4)),
                sources=[f"{number}/{n}.jpg" for n in range(number % 3 + 1)],
                digests=["ab" * 32] * (number % 3 + 1),
                metadata={"number": number},
            )
        gallery.enroll("twice", [[1, 2, 3, 4], [1, 2, 3, 4]])
        gallery.set_threshold(Threshold(0.75, "fmr", 0.01, 0.001, 0.02, 9, 9, "ab", "2026-01-01"))
        yield gallery


def test_a_copy_answers_as_the_gallery_does(source: Gallery, place: Any) -> None:
    where = place()
    assert export_gallery(source, where) == Exported(10, 20, 0)
    with Gallery.open(where) as copy:
        assert told(copy) == told(source)
        assert copy.threshold == source.threshold
        probes = np.random.default_rng(2).normal(size=(50, 4))
        assert copy.identify(probes, top=10) == source.identify(probes, top=10)


def test_a_second_copy_changes_nothing_and_a_later_one_adds_what_is_new(
    source: Gallery, place: Any
) -> None:
    where = place()
    export_gallery(source, where)
    assert export_gallery(source, where) == Exported(0, 0, 10)
    source.enroll("twice", [[1, 2, 3, 4], [4, 3, 2, 1]])
    source.describe("'person' 3", {"number": "three"})
    with Gallery.open(where) as copy:
        copy.enroll("theirs", [1, 0, 0, 0])
    assert export_gallery(source, where) == Exported(2, 2, 8)
    with Gallery.open(where) as copy:
        assert [person.name for person in copy.people()][-2:] == ["theirs", "twice"]
        copy.remove("theirs")
        assert told(copy) == told(source)


@pytest.mark.parametrize("at", range(4))
def test_a_copy_that_was_interrupted_goes_on(
    source: Gallery, place: Any, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "AT_ONCE", 3)
    where, calls = place(), []

    @contextmanager
    def watch(what: str, total: int) -> Iterator[Any]:
        def advance(done: int, note: str = "") -> None:
            calls.append(done)
            if len(calls) > at:
                raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        export_gallery(source, where, watch)
    with Gallery.open(where) as copy:
        assert 0 < len(copy) < 10
        assert copy.threshold is None, "set last"
        there = len(copy)
    assert export_gallery(source, where).present == there
    with Gallery.open(where) as copy:
        assert told(copy) == told(source)
        assert copy.threshold == source.threshold


def test_a_copy_of_another_model_is_refused(source: Gallery, place: Any) -> None:
    where = place()
    Gallery.create(where, replace(CONTRACT, sha256="cd" * 32)).close()
    with pytest.raises(InputError, match="the gallery and the copy"):
        export_gallery(source, where)
    with Gallery.open(where) as copy:
        assert len(copy) == 0


def told(gallery: Gallery) -> Sequence[Any]:
    return [
        (person.name, person.metadata, [(s.vector.tolist(), *s[1:]) for s in gallery.samples(n)])
        for person in gallery.people()
        for n in [person.name]
    ]
