"""Pictures opened are the pictures read: the same names and pixels, but one at a time."""

import gc
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import damaged, refused
from picture_files import MAGIC, encoded, insightface_payloads, labelled, write_records
from PIL import Image

from recognition.datasets import decoding
from recognition.datasets.drawn import draw_faces
from recognition.datasets.picture_source import PictureSource, of_pictures, open_pictures
from recognition.datasets.record_io import hold_records
from recognition.datasets.sources import read_pictures
from recognition.errors import InputError

PEOPLE = [3, 3, 7, 7, 7, 12, 12, 40]
KINDS = ("folder", "csv", "rec", "rec without idx")
SIDE = 12


def noise(number: int) -> bytes:
    """A picture of its own size, mode and format, turned by its EXIF tag."""
    random = np.random.default_rng(number)
    kind, mode = (("JPEG", "L"), ("PNG", "RGBA"), ("JPEG", "RGB"), ("WEBP", "RGB"))[number % 4]
    exif = Image.Exif()
    exif[0x0112] = 1 + number
    image = Image.fromarray(random.integers(0, 256, (20 + 9 * number, 31, 4), np.uint8))
    buffer = BytesIO()
    image.convert(mode).save(buffer, kind, exif=exif)
    return buffer.getvalue()


PICTURES = [noise(number) for number in range(len(PEOPLE))]


def write(kind: str, folder: Path, pictures: list[bytes] = PICTURES) -> Path:
    if kind.startswith("rec"):
        payloads = insightface_payloads(PEOPLE, pictures)
        return write_records(folder / "train.rec", payloads, index=kind == "rec")
    rows = ["path,label\n"]
    for number, (person, raw) in enumerate(zip(PEOPLE, pictures, strict=True)):
        path = folder / "people" / str(person) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        rows.append(f"{path.relative_to(folder).as_posix()},{person}\n")
    (folder / "list.csv").write_text("".join(rows))
    return folder / ("people" if kind == "folder" else "list.csv")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# -- the same pictures -----------------------------------------------------------------------------


def test_what_is_opened_is_what_is_read(kind: str, tmp_path: Path) -> None:
    path = write(kind, tmp_path)
    read, source = read_pictures(path, size=SIDE), open_pictures(path, side=SIDE)
    assert len(source) == len(read) == len(PEOPLE)
    assert source.labels.tolist() == read.labels.tolist() == [str(person) for person in PEOPLE]
    assert source.ids.tolist() == read.ids.tolist()
    assert (source.source, source.skipped, source.notes) == (read.source, (), ())
    for place in reversed(range(len(source))):
        pixels = source.load(place)
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, read.images[place])


def test_people_are_drawn_as_the_readers_draw_them(kind: str, tmp_path: Path) -> None:
    path = write(kind, tmp_path)
    for seed in range(3):
        read = read_pictures(path, size=SIDE, people=2, seed=seed)
        source = open_pictures(path, side=SIDE, people=2, seed=seed)
        assert source.ids.tolist() == read.ids.tolist()
        assert source.notes == read.notes
        assert np.array_equal(np.stack([source.load(i) for i in range(len(source))]), read.images)
    with pytest.raises(InputError, match="between 1 and 4"):
        open_pictures(path, side=SIDE, people=5)


def test_some_people_of_a_source_are_those_of_the_pictures(kind: str, tmp_path: Path) -> None:
    path = write(kind, tmp_path)
    wanted = np.array(["40", "7", "nobody"])
    read = read_pictures(path, size=SIDE).of(wanted)
    source = open_pictures(path, side=SIDE)
    for some in (source.of(wanted), source.of(source.labels[:5]).of(np.array(["7"]))):
        expected = read.of(some.labels)
        assert some.ids.tolist() == expected.ids.tolist()
        assert [some.load(i).tolist() for i in range(len(some))] == expected.images.tolist()
    assert len(source.of(wanted)) == 4
    assert len(source) == len(PEOPLE)


def test_threads_may_share_a_source(kind: str, tmp_path: Path) -> None:
    path = write(kind, tmp_path)
    read, source = read_pictures(path, size=SIDE), open_pictures(path, side=SIDE)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            places = np.random.default_rng(0).integers(0, len(source), 200).tolist()
            for place, pixels in zip(places, pool.map(source.load, places), strict=True):
                assert np.array_equal(pixels, read.images[place])
    finally:
        sys.setswitchinterval(interval)


def test_pictures_in_memory_are_a_source_that_copies_none() -> None:
    pictures = draw_faces(3, 2, size=16)
    source: PictureSource = of_pictures(pictures)
    assert source.ids.tolist() == pictures.ids.tolist()
    some = source.of(pictures.people[1:])
    expected = pictures.of(pictures.people[1:])
    assert some.ids.tolist() == expected.ids.tolist()
    assert some.source == pictures.source
    for place in range(len(some)):
        assert np.array_equal(some.load(place), expected.images[place])
        assert np.shares_memory(some.load(place), pictures.images)


# -- nothing is decoded before its turn ------------------------------------------------------------


def test_nothing_is_decoded_when_opened(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(kind, tmp_path)

    def never(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("recognition.datasets.picture_source.decode", never)
    monkeypatch.setattr(decoding, "opened", never)
    monkeypatch.setattr("recognition.datasets.choosing.memory", lambda: 1)  # it need not fit
    assert len(open_pictures(path, side=SIDE, people=3)) > 0


def test_the_side_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="whole pixels >= 1, got 0"):
        open_pictures(tmp_path / "gone", side=0)


def test_what_is_no_such_set_is_refused_as_the_reader_refuses_it(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    for name in ("gone", "gone.rec", "gone.csv", "a.npz", "empty"):
        messages = []
        for door in (lambda p: open_pictures(p, side=8), read_pictures):
            with pytest.raises(InputError) as error:
                door(tmp_path / name)
            messages.append(str(error.value))
        assert messages[0] == messages[1]


def test_progress_counts_the_labels_of_records(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = write("rec", tmp_path)
    open_pictures(path, side=SIDE, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(8, 8)]


def test_labels_and_keys_of_records_are_no_wider_than_needed(tmp_path: Path) -> None:
    source = open_pictures(write("rec", tmp_path), side=SIDE)
    assert source.labels.dtype == "<U2"
    assert source.ids.dtype == "<U1"
    payloads = {10**15: labelled(2**24, PICTURES[0])}
    source = open_pictures(write_records(tmp_path / "b.rec", payloads), side=SIDE)
    assert source.labels.tolist() == ["16777216"]
    assert source.ids.tolist() == ["1000000000000000"]


# -- pictures that cannot be used ------------------------------------------------------------------


def spoilt(kind: str, folder: Path) -> tuple[PictureSource, str]:
    """A source whose picture 4 is no picture, and what that is called."""
    source = open_pictures(
        write(kind, folder, [*PICTURES[:4], b"no picture", *PICTURES[5:]]), side=8
    )
    name = {"folder": "7/4.png", "csv": "people/7/4.png"}.get(kind, "record 5")
    return source, name


def test_a_picture_that_cannot_be_decoded_is_named(kind: str, tmp_path: Path) -> None:
    source, name = spoilt(kind, tmp_path)
    with pytest.raises(InputError) as error:
        source.load(4)
    assert f"expected a picture in {name}, but it cannot be used (not a PPM" in str(error.value)
    assert str(error.value).startswith("pictures ")
    assert source.load(3).shape == (8, 8, 3)
    some = source.of(np.array(["7"]))
    with pytest.raises(InputError, match=name):
        some.load(2)


@pytest.mark.parametrize("kind", ["folder", "csv"], indirect=True)
def test_a_picture_that_has_gone_is_named(kind: str, tmp_path: Path) -> None:
    source = open_pictures(write(kind, tmp_path), side=8)
    (tmp_path / "people/3/1.png").unlink()
    with pytest.raises(InputError, match=r"3/1\.png, but it .* \(No such file or directory\)"):
        source.load(1)
    (tmp_path / "people/3/0.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"3/0\.png, but it .* \(empty file\)"):
        source.load(0)


def test_a_file_of_records_may_be_replaced_but_not_written_over(tmp_path: Path) -> None:
    path = write("rec", tmp_path)
    source = open_pictures(path, side=8)
    before = source.load(3)
    path.unlink()
    write_records(path, {0: labelled(0, PICTURES[0])})
    assert np.array_equal(source.load(3), before)  # of the file that was opened


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw[:200], "record 1 at byte .*the file ends at byte"),
        (lambda raw: bytes(len(raw)), "record 1 at byte .*none begins there"),
        (lambda raw: raw.replace(np.float32(3).tobytes(), np.float32(9).tobytes()), "no longer 3"),
        (lambda raw: raw.replace(PICTURES[0][:40], bytes(40)), "in record 1, but it cannot be use"),
    ],
)
def test_records_that_changed_are_named(
    change: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    path = write("rec", tmp_path)
    source = open_pictures(path, side=8)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        source.load(0)


def test_a_record_that_holds_the_magic_is_joined(tmp_path: Path) -> None:
    picture = PICTURES[1] + bytes(-len(PICTURES[1]) % 4) + MAGIC + b"rest"
    path = write_records(tmp_path / "a.rec", {0: labelled(4, picture)})
    assert np.array_equal(
        open_pictures(path, side=8).load(0), read_pictures(path, size=8).images[0]
    )


@pytest.mark.parametrize("image", ["JPEG", "PNG", "WEBP"])
def test_damage_is_refused_in_a_sentence(image: str, tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    path = tmp_path / "ann/1.png"
    path.write_bytes(encoded(3, image))
    source = open_pictures(tmp_path, side=8)
    for _, raw in damaged(encoded(3, image), count=5):
        path.write_bytes(raw)
        refused(lambda: source.load(0), lambda pixels: pixels.shape == (8, 8, 3))


# -- what is left behind ---------------------------------------------------------------------------


def test_a_file_of_records_is_closed_when_nobody_has_it(tmp_path: Path) -> None:
    path = write("rec", tmp_path)
    records = hold_records(path)
    file = records.file
    assert not file.closed
    del records
    gc.collect()
    assert file.closed
    path.write_bytes(b"x" * 40)
    path.with_suffix(".idx").unlink()
    with pytest.raises(InputError, match="none is at byte 0"):
        open_pictures(path, side=8)  # a file left open would be warned of, which is an error here


def remark() -> bytes:
    """A picture that Pillow says something of while it is decoded."""
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 30, 40])
    buffer = BytesIO()
    image.save(buffer, "PNG", transparency=bytes([255, 128]))
    return buffer.getvalue()


def test_what_pillow_remarks_is_not_heard_and_other_warnings_are() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        Image.open(BytesIO(remark())).convert("RGB")
        assert len(heard) == 1  # else this picture shows nothing
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: decoding.decode(remark(), 8, 8), range(40)))
        assert all(np.array_equal(found[0], other) for other in found)
        added = [each for each in warnings.filters if each not in before]
        assert [each[0] for each in added] == ["ignore"]
        warnings.warn("of somebody else", UserWarning, stacklevel=1)
        warnings.warn("of somebody else", RuntimeWarning, stacklevel=1)
        assert [str(each.message) for each in heard[1:]] == ["of somebody else"] * 2


def test_too_many_pixels_are_refused_whatever_is_done_with_warnings(monkeypatch: Any) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 399)
    for _ in range(2):
        with pytest.raises(Image.DecompressionBombError) as error:
            decoding.decode(encoded(1), 8, 8)
        assert decoding.few_words(error.value) == "more than 399 pixels"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # whoever says so wants any
    assert decoding.decode(encoded(1), 8, 8).shape == (8, 8, 3)
