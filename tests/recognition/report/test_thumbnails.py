"""Small pictures for a report: safe to read, small to keep, nothing in them but pixels."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognition.report import thumbnails as module
from recognition.report.thumbnails import from_folder, pictures_of, thumbnails

SECRET = b"taken at home"


def picture(path: Path, size=(300, 200), exif: bool = False, shade: int = 200) -> Path:
    image = Image.new("RGB", size, (shade, 40, 90))
    told = image.getexif()
    if exif:
        told[0x010E] = SECRET.decode()
        told[0x0112] = 6  # turned by a quarter
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=told, comment=SECRET if exif else b"")
    return path


def opened(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg))


def test_they_are_small_upright_jpegs_with_their_sides_ratio(tmp_path: Path) -> None:
    raw = picture(tmp_path / "ann/1.jpg", exif=True).read_bytes()
    assert SECRET in raw
    found = from_folder(["ann/1.jpg"], tmp_path)
    assert found.skipped == ()
    jpeg = found.pictures["ann/1.jpg"]
    image = opened(jpeg)
    assert (image.format, image.size, image.mode) == ("JPEG", (64, 96), "RGB")
    assert image.getpixel((30, 40)) == pytest.approx((200, 40, 90), abs=6)


def test_nothing_but_pixels_is_kept(tmp_path: Path) -> None:
    picture(tmp_path / "1.jpg", exif=True)
    jpeg = from_folder(["1.jpg"], tmp_path).pictures["1.jpg"]
    assert SECRET not in jpeg
    assert b"Exif" not in jpeg
    assert set(opened(jpeg).info) <= {
        "jfif", "jfif_version", "jfif_unit", "jfif_density"
    }  # fmt: skip


def test_a_small_picture_is_not_made_larger() -> None:
    found = thumbnails({"a": np.full((32, 20, 3), 90, np.uint8)}).pictures
    assert opened(found["a"]).size == (20, 32)


def test_what_cannot_be_read_is_named_and_the_rest_is_there(tmp_path: Path) -> None:
    good = picture(tmp_path / "in/good.jpg").read_bytes()
    (tmp_path / "in/cut.jpg").write_bytes(good[:300])
    (tmp_path / "in/text.jpg").write_text("no picture")
    (tmp_path / "in/empty.jpg").touch()
    os.mkfifo(tmp_path / "in/pipe.jpg")
    names = ["missing.jpg", "cut.jpg", "text.jpg", "empty.jpg", "pipe.jpg", "", "good.jpg"]
    found = from_folder(names, tmp_path / "in")
    assert list(found.pictures) == ["good.jpg"]
    assert [one.path for one in found.skipped] == names[:-1]
    assert all(one.reason for one in found.skipped)


def test_a_name_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    outside = picture(tmp_path / "outside.jpg")
    picture(tmp_path / "in/good.jpg")
    (tmp_path / "in/link.jpg").symlink_to(outside)
    (tmp_path / "in/circle.jpg").symlink_to(tmp_path / "in/circle.jpg")
    names = ["../outside.jpg", str(outside), "link.jpg", "a\0b.jpg", "x" * 5000, "circle.jpg"]
    found = from_folder([*names, "deep/../good.jpg"], tmp_path / "in")
    assert list(found.pictures) == ["deep/../good.jpg"]
    assert {one.path for one in found.skipped} == set(names)


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "1.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "pixels" in from_folder(["1.jpg"], tmp_path).skipped[0].reason


def test_together_they_stay_below_their_limit_the_first_ones_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 96, 96, 3)).astype(np.uint8)
    sources = {str(k): image for k, image in enumerate(noise)}
    size = len(thumbnails({"0": noise[0]}).pictures["0"])
    assert module.TOGETHER <= 1_000_000
    monkeypatch.setattr(module, "TOGETHER", int(3.5 * size))
    found = thumbnails(sources)
    assert list(found.pictures) == ["0", "1", "2"]
    assert sum(map(len, found.pictures.values())) <= module.TOGETHER
    assert [one.path for one in found.skipped] == [str(k) for k in range(3, 9)]


def test_pictures_are_those_that_lists_name_each_once() -> None:
    worst = {
        "headings": ["picture", "person", "picture too", "person too", "score"],
        "rows": [["a", "ann", "b", "bob", 0.5], ["a", "ann", "c", "cid", 0.4]],
    }
    names = {"headings": ["name", "name too"], "rows": [["ann", "bob"]]}
    doubts = {"headings": ["picture", "labelled"], "rows": [[f"d{k}", "ann"] for k in range(99)]}
    assert pictures_of([worst, names, doubts]) == ["a", "b", "c", *(f"d{k}" for k in range(12))]
