"""MXNet's records: what was written is read, by key, and a file that lies is refused."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import damaged, refused
from hypothesis import given
from hypothesis import strategies as st
from picture_files import (
    MAGIC,
    encoded,
    insightface_payloads,
    labelled,
    record,
    write_records,
)

from recognition.datasets.pictures import Pictures
from recognition.datasets.record_io import Records, open_records
from recognition.datasets.record_pictures import read_records
from recognition.errors import InputError

PEOPLE = [7, 7, 7, 3, 3, 12, 12, 12]
SHADES = [20 * i for i in range(8)]
PICTURES = [encoded(shade) for shade in SHADES]


def check(found: Pictures) -> None:
    assert found.labels.tolist() == [str(person) for person in PEOPLE]
    assert found.images[:, 4, 4, 0].astype(int) == pytest.approx(SHADES, abs=4)
    assert found.skipped == ()


@pytest.mark.parametrize("index", [True, False])
def test_insightfaces_layout(index: bool, tmp_path: Path) -> None:
    payloads = insightface_payloads(PEOPLE, PICTURES)
    assert len(payloads) == 1 + 8 + 3
    found = read_records(write_records(tmp_path / "train.rec", payloads, index=index), size=8)
    check(found)
    assert found.ids.tolist() == [str(key) for key in range(1, 9)]
    assert found.notes == ()
    assert found.images.shape == (8, 8, 8, 3)


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("several", [True, False])
def test_a_plain_file_has_pictures_only(index: bool, several: bool, tmp_path: Path) -> None:
    payloads = {
        key: labelled([person, 1.5] if several else person, picture)
        for key, (person, picture) in enumerate(zip(PEOPLE, PICTURES, strict=True))
    }
    found = read_records(write_records(tmp_path / "a.rec", payloads, index=index), size=8)
    check(found)
    assert found.ids.tolist() == [str(key) for key in range(8)]


def test_the_index_may_be_in_any_order_and_leave_pictures_out(tmp_path: Path) -> None:
    payloads = {90: labelled(1, PICTURES[0]), 5: labelled(2, PICTURES[1]), 7: labelled(1, b"")}
    path = write_records(tmp_path / "a.rec", payloads)
    lines = path.with_suffix(".idx").read_text().splitlines(keepends=True)
    path.with_suffix(".idx").write_text(lines[1] + lines[0])
    found = read_records(path, size=8)
    assert found.ids.tolist() == ["5", "90"]
    assert found.labels.tolist() == ["2", "1"]


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_picture_that_holds_the_magic_comes_in_parts(
    count: int, index: bool, tmp_path: Path
) -> None:
    odd = PICTURES[0] + bytes(-len(PICTURES[0]) % 4) + (MAGIC + b"rest") * count
    payload = labelled(4, odd)
    assert record(payload).count(MAGIC) == count + 1
    path = write_records(tmp_path / "a.rec", {0: payload, 1: labelled(5, PICTURES[1])}, index=index)
    with open_records(path) as records:
        assert records.picture(0) == odd
        assert records.head(0).labels == (4.0,)
        assert records.head(0).rest == len(odd)
    assert read_records(path).labels.tolist() == ["4", "5"]


@given(pieces=st.lists(st.one_of(st.just(MAGIC), st.binary(max_size=9)), max_size=9))
def test_any_payload_survives(pieces: list[bytes], tmp_path_factory: Any) -> None:
    payloads = {key: labelled(key, b"".join(pieces[key:])) for key in range(3)}
    path = write_records(tmp_path_factory.mktemp("any") / "a.rec", payloads)
    for index in (True, False):
        if not index:
            path.with_suffix(".idx").unlink()
        with open_records(path) as records:
            for key in range(3):
                assert records.picture(key) == b"".join(pieces[key:])
                assert records.head(key) == ((key,), len(b"".join(pieces[key:])))


def test_only_what_is_asked_for_is_read(tmp_path: Path, monkeypatch: Any) -> None:
    path = write_records(tmp_path / "a.rec", insightface_payloads(PEOPLE, PICTURES))
    read = []
    whole = Records.picture
    monkeypatch.setattr(Records, "picture", lambda self, at: read.append(at) or whole(self, at))
    found = read_records(path, people=["3", "nobody"], size=8)
    assert found.labels.tolist() == ["3", "3"]
    assert read == [4, 5]
    assert "1 of 3 people" in found.notes[0]
    assert "by name (1 of the 2 named are not there): 2 of 8 pictures" in found.notes[0]


def test_people_are_drawn_by_seed(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.rec", insightface_payloads(PEOPLE, PICTURES))
    draws = [tuple(read_records(path, people=2, seed=seed).people) for seed in range(20)]
    assert draws == [tuple(read_records(path, people=2, seed=seed).people) for seed in range(20)]
    assert len(set(draws)) == 3
    found = read_records(path, people=2, seed=4)
    assert f"2 of 3 people of pictures in {path} were chosen at random (seed 4)" in found.notes[0]
    with pytest.raises(InputError, match="between 1 and 3"):
        read_records(path, people=4)
    with pytest.raises(InputError, match="expected some of the people"):
        read_records(path, people=["nobody"])


def test_more_than_fits_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: Any) -> None:
    path = write_records(tmp_path / "a.rec", insightface_payloads(PEOPLE, PICTURES))
    monkeypatch.setattr("recognition.datasets.choosing.memory", lambda: 4 * 5 * 8 * 8 * 3)
    with pytest.raises(InputError, match="some 1 of the 3 people at random"):
        read_records(path, size=8)
    assert len(read_records(path, size=8, people=1).people) == 1


@pytest.mark.parametrize(
    ("said", "noted"), [("3,112,112", False), ("4,112,112\n", True), ("what", False), ("", False)]
)
def test_a_property_file_that_disagrees_is_noted(said: str, noted: bool, tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.rec", insightface_payloads(PEOPLE, PICTURES))
    (tmp_path / "property").write_text(said)
    notes = read_records(path).notes
    assert bool(notes) == noted
    if noted:
        assert "property says 4 people" in notes[0]


def test_what_cannot_be_decoded_is_skipped(tmp_path: Path) -> None:
    pictures = [*PICTURES[:6], b"no picture", b""]
    path = write_records(tmp_path / "a.rec", insightface_payloads(PEOPLE, pictures))
    found = read_records(path, size=8)
    assert found.ids.tolist() == ["1", "2", "3", "4", "5", "6"]
    assert [skipped.path for skipped in found.skipped] == ["record 7", "record 8"]
    path = write_records(tmp_path / "a.rec", insightface_payloads(PEOPLE, [b"x"] * 8))
    with pytest.raises(InputError, match="none of 8 can be used"):
        read_records(path)


@pytest.mark.parametrize("label", [2**24 + 2, 0.5, -1, np.nan, np.inf])
@pytest.mark.parametrize("several", [True, False])
def test_labels_that_float32_rounds_are_refused(
    label: float, several: bool, tmp_path: Path
) -> None:
    payloads = {
        0: labelled(1, PICTURES[0]),
        7: labelled([float(label), 0] if several else float(label), PICTURES[1]),
    }
    with pytest.raises(InputError, match=r"in record 7 \(1 such of 2\)"):
        read_records(write_records(tmp_path / "a.rec", payloads))


def test_progress_counts_labels_and_then_pictures(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.rec", insightface_payloads(PEOPLE, PICTURES))
    seen: list[tuple[int, int]] = []
    read_records(path, people=["3"], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(8, 8), (1, 2), (2, 2)]


# -- files that do not fit -------------------------------------------------------------------------


def write(folder: Path, index: str | None = None, **changes: Any) -> Path:
    path = write_records(folder / "a.rec", insightface_payloads(PEOPLE, PICTURES))
    if index is not None:
        path.with_suffix(".idx").write_text(index)
    raw = bytearray(path.read_bytes())
    for at, value in changes.get("words", {}).items():
        raw[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(bytes(raw[: changes.get("cut")]))
    return path


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("0\t0\n1\n", "expected 2 fields"),
        ("0\t0\t0\n", "got 3 columns"),
        ("0\t-4\n", "whole numbers, got '-4'"),
        ("0\t٣\n", "whole numbers"),
        ("0\t99999999999999999999\n", "whole numbers"),
        ("0\t0\n0\t40\n", "2 lines with 1 keys"),
        ("0\t0\n1\t0\n", "and 1 places"),
        ("0\t2\n", "multiples of four"),
        ("0\t4000000\n", "cut short or belongs"),
        ("0\t0\n1\t4\n", "the index has 1 of them"),
        ("0\t4\n", "none begins there"),
        ("0\t0", "line end"),
        ("what\n", "got 1 columns"),
        ("0\t0\n" + "".join(f"{i}\t{i * 4}\n" for i in range(1, 9)), "none begins there"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(index: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_records(write(tmp_path, index))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({0: 1}, "record 0 at byte 0, but none begins there"),
        ({4: 2**29 - 1}, "it would end beyond byte"),
        ({4: 3 << 29 | 32}, "a part of another one is there"),
        ({4: 5 << 29 | 32}, "a part of another one is there"),
        ({4: 1 << 29 | 32}, "its parts do not follow each other"),
        ({4: 8}, "no room for its labels"),
        ({8: 2**32 - 1}, "no room for its labels"),
        ({32: 0x7FC00000}, "whole number, got nan"),
        ({32: 0x3F800000}, "whole number, got 1 "),
        ({32: 0x42C80000}, "got 100 and 12"),
        ({36: 0x42C80000, 32: 0x42C80000}, "expected 99 pictures"),
    ],
)
def test_records_that_lie_are_refused(words: dict[int, int], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_records(write(tmp_path, words=words))


def test_without_an_index_what_follows_the_records_is_refused(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.rec", {0: labelled(1, PICTURES[0])}, index=False)
    path.write_bytes(path.read_bytes() + b"\0\0\0\0")
    with pytest.raises(InputError, match="none is at byte"):
        read_records(path)


def test_a_disk_that_fails_is_said(tmp_path: Path, monkeypatch: Any) -> None:
    path = write_records(tmp_path / "a.rec", {0: labelled(1, PICTURES[0])})

    def fail(*_: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("recognition.datasets.record_io._at", fail)
    with pytest.raises(InputError, match="record 0 at byte 0, but Input/output error"):
        read_records(path)


def test_parts_without_an_end_are_refused(tmp_path: Path) -> None:
    raw = record(labelled(1, bytes(8) + MAGIC + b"rest"))
    path = tmp_path / "a.rec"
    path.write_bytes(raw[:44])  # the first part alone
    with pytest.raises(InputError, match="the file is cut short"):
        read_records(path)
    path.with_suffix(".idx").write_text("0\t0\n")
    with pytest.raises(InputError, match="the file ends at byte 44"):
        read_records(path)


def sound(found: Pictures) -> bool:
    return (
        len(found) == len(found.labels) == len(found.ids) == len(set(found.ids.tolist())) > 0
        and len(found) + len(found.skipped) <= 12
        and all(0 <= int(label) <= 2**24 for label in found.labels)
    )


@pytest.mark.parametrize("part", ["records", "index", "records without an index"])
def test_damage_is_refused_in_words(part: str, tmp_path: Path) -> None:
    payloads = insightface_payloads(PEOPLE, PICTURES)
    path = write_records(tmp_path / "a.rec", payloads, index=part != "records without an index")
    hurt = path.with_suffix(".idx") if part == "index" else path
    good = hurt.read_bytes()
    for _, raw in damaged(good):
        hurt.write_bytes(raw)
        refused(lambda: read_records(path, size=8), sound)
