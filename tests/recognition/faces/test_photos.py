"""Finding photographs and loading them: every usual kind, and everything that only looks like one."""

import hashlib
import io
import os
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from fuzz import damaged, refused
from photo_files import BOMB, STORED
from PIL import Image, ImageFile

from recognition.errors import InputError
from recognition.faces import file_bytes, photos
from recognition.faces.photos import (
    Photo,
    PhotoFile,
    UnusableError,
    digest_of,
    find_photos,
    load_photo,
)

H, W = 48, 32
RANDOM = np.random.default_rng(0)
SMOOTH = np.stack(np.meshgrid(np.linspace(0, 255, W), np.linspace(0, 255, H)), -1)
PIXELS = np.concatenate([SMOOTH, np.full((H, W, 1), 120)], -1).astype(np.uint8)


NOISE = RANDOM.integers(0, 256, (H, W, 3), np.uint8)


def encoded(kind: str, pixels: np.ndarray = PIXELS, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def animated(kind: str) -> bytes:
    first, *more = (Image.new("RGB", (W, H), shade) for shade in ("red", "green", "blue"))
    buffer = io.BytesIO()
    first.save(buffer, kind, save_all=True, append_images=more)
    return buffer.getvalue()


def reason(path: Path) -> str:
    with pytest.raises(UnusableError) as caught:
        load_photo(path)
    message = str(caught.value)
    assert caught.value.reason in message
    assert message.isprintable()
    return caught.value.reason


# -- loading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "WEBP", "JPEG"])
def test_a_photograph_is_loaded_whole_with_its_digest(tmp_path, kind):
    path = tmp_path / "a.jpg"  # decoded by content, whatever it is called
    path.write_bytes(encoded(kind, lossless=True) if kind == "WEBP" else encoded(kind))
    photo = load_photo(path)
    assert photo.pixels.shape == (H, W, 3)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.writeable, "torch warns of arrays it may not write to"
    difference = np.abs(photo.pixels.astype(int) - PIXELS).max()
    assert difference <= (12 if kind == "JPEG" else 0)
    assert photo.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert photo.digest == digest_of(PhotoFile("a.jpg", path))
    assert photo.orientation == 1


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "I;16", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / "a.png"
    if mode == "I;16":
        Image.fromarray(np.full((H, W), 51 * 257, np.uint16)).save(path)
        expected = np.full((H, W, 3), 51)
    elif mode == "CMYK":
        Image.fromarray(PIXELS).convert(mode).save(path, "JPEG", quality=100, subsampling=0)
        expected = np.asarray(Image.fromarray(PIXELS).convert(mode).convert("RGB"))
    elif mode in ("RGBA", "LA"):
        clear = Image.fromarray(PIXELS).convert(mode)
        clear.putalpha(0)
        clear.save(path)
        expected = np.full((H, W, 3), 255)
    else:
        Image.fromarray(PIXELS).convert(mode).save(path)
        expected = np.asarray(Image.fromarray(PIXELS).convert(mode).convert("RGB"))
    pixels = load_photo(path).pixels
    assert pixels.shape == (H, W, 3)
    assert np.abs(pixels.astype(int) - expected).max() <= (3 if mode == "CMYK" else 0)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_all_eight_orientations_give_the_same_pixels(tmp_path, orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](PIXELS))
    path = tmp_path / "a"
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0}
    Image.fromarray(stored).save(path, kind, exif=exif, **(options if kind != "PNG" else {}))
    photo = load_photo(path)
    assert photo.orientation == orientation
    assert photo.pixels.shape == PIXELS.shape
    difference = np.abs(photo.pixels.astype(int) - PIXELS).max()
    assert difference <= (6 if kind == "JPEG" else 0)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_damaged_exif_does_not_cost_the_photograph(tmp_path, exif):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded("JPEG", exif=exif))
    assert load_photo(path).orientation == 1


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_there_is_not_says_nothing(tmp_path, value):
    exif = Image.Exif()
    exif[0x0112] = value
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded("JPEG", exif=exif))
    assert load_photo(path).orientation == 1


def test_small_and_narrow_photographs_are_loaded(tmp_path):
    for size in ((10, 10), (2000, 10), (1, 1)):
        Image.new("RGB", size).save(tmp_path / "a.png")
        assert load_photo(tmp_path / "a.png").pixels.shape == (size[1], size[0], 3)


def test_of_several_pictures_in_a_jpeg_the_first_is_the_photograph(tmp_path):
    path = tmp_path / "a.jpg"
    more = [Image.new("RGB", (8, 8), "blue")]
    Image.fromarray(PIXELS).save(path, "MPO", save_all=True, append_images=more)
    assert load_photo(path).pixels.shape == (H, W, 3)


def test_heic_is_read_and_turned_where_its_library_is(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "a.heic"
    exif = Image.Exif()
    exif[0x0112] = 6
    file = heif.from_pillow(Image.fromarray(np.ascontiguousarray(np.rot90(PIXELS))))
    file[0].info["exif"] = exif.tobytes()
    file.save(path, quality=95)
    photo = load_photo(path)
    assert photo.pixels.shape == (H, W, 3)
    assert photo.orientation == 6
    assert np.abs(photo.pixels.astype(int) - PIXELS).mean() < 8
    raw = path.read_bytes()
    for percent in range(5, 100, 5):
        path.write_bytes(raw[: len(raw) * percent // 100])
        assert reason(path)


def test_heic_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "pip install 'margin-recognition[heif]'" in reason(path)


# -- what is no photograph -------------------------------------------------------------------------

NO_PHOTOGRAPHS = {
    "empty": (b"", "an empty file"),
    "text": (b"hello", "text; give a photograph"),
    "text in UTF-16": ("hello".encode("utf-16"), "no picture that is known"),
    "text cut in a letter": (("a" * 1023 + "é").encode(), "text; give a photograph"),
    "binary": (bytes(range(256)), "no picture that is known"),
    "latin-1": (b"caf\xe9 " * 300, "no picture that is known"),
    "zeros": (bytes(500), "nothing but zeros"),
    "gif": (encoded("GIF"), "a GIF; save the frame you mean as PNG"),
    "animated gif": (animated("GIF"), "a GIF; save the frame you mean as PNG"),
    "animated png": (animated("PNG"), "an animated PNG; save the frame you mean as PNG"),
    "animated webp": (animated("WEBP"), "an animated WEBP; save the frame you mean as PNG"),
    "tiff": (encoded("TIFF"), "a TIFF or a raw photograph; save it as PNG"),
    "icon": (encoded("ICO"), "an icon; save it as PNG"),
    "pdf": (encoded("PDF"), "a PDF; save the picture in it as PNG"),
    "postscript": (encoded("EPS"), "a PostScript file"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    "html": (b"<!DOCTYPE html><html>", "a web page; download the picture itself"),
    "photoshop": (b"8BPS\0\1" + bytes(40), "a Photoshop file"),
    "fits": (b"SIMPLE  =                    T" + b" " * 80, "a FITS file"),
    "npz": (b"PK\3\4" + bytes(26) + b"embeddings.npy" + bytes(40), "arrays of NumPy (.npz); give"),
    "zip": (b"PK\3\4" + bytes(40), "a zip archive; unpack it first"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "packed with gzip"),
    "video": (b"\0\0\0\x18ftypisom" + bytes(40), "a video; save the frame"),
    "avif": (b"\0\0\0\x18ftypavif" + bytes(40), "an AVIF; save it as PNG"),
    "jpeg 2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "a JPEG 2000"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
    "half a header": (encoded("JPEG")[:20], "a JPEG whose beginning is damaged"),
    "bomb": (BOMB, "more than 89,478,485 pixels; make it smaller"),
    "pdf before a picture": (b"%PDF-1.7\n" + encoded("JPEG"), "a PDF"),
    "gif before a picture": (b"GIF89a" + encoded("PNG"), "a GIF"),
    "zip of a picture": (b"PK\3\4" + encoded("PNG"), "a zip archive"),
}


@pytest.mark.parametrize("name", NO_PHOTOGRAPHS)
def test_what_is_no_photograph_is_told_with_the_way_out(tmp_path, name):
    raw, words = NO_PHOTOGRAPHS[name]
    path = tmp_path / "a.jpg"
    path.write_bytes(raw)
    assert reason(path).startswith(words) or words in reason(path)


def test_what_stands_behind_a_photograph_is_not_looked_at(tmp_path):
    path = tmp_path / "a.jpg"
    for more in (b"PK\3\4" + bytes(40), b"<script>", encoded("GIF")):
        path.write_bytes(encoded("PNG") + more)
        np.testing.assert_array_equal(load_photo(path).pixels, PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "progressive", "PNG", "WEBP", "BMP", "PPM"])
def test_a_photograph_cut_at_every_5_percent_is_refused(tmp_path, kind):
    raw = (
        encoded("JPEG", NOISE, progressive=True) if kind == "progressive" else encoded(kind, NOISE)
    )
    path = tmp_path / "a.jpg"
    for percent in range(0, 100, 5):
        path.write_bytes(raw[: len(raw) * percent // 100])
        assert ";" in reason(path)


def test_too_many_bytes_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.truncate(2**28 + 1)
    assert reason(path).startswith("268,435,457 bytes, more than 268,435,456")


def test_folders_pipes_and_broken_links_are_refused_without_waiting(tmp_path):
    (tmp_path / "folder.png").mkdir()
    assert reason(tmp_path / "folder.png").startswith("a folder")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    assert reason(tmp_path / "broken.png").startswith("No such file")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert "symbolic links" in reason(tmp_path / "loop.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        assert reason(tmp_path / "pipe.png").startswith("not a regular file")
    assert reason(Path("/dev/zero")).startswith("not a regular file")
    assert reason(Path("a\0.jpg"))


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))

    def denied(*arguments):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(file_bytes.os, "open", denied)
    assert reason(path) == "Permission denied; check the path"


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))
    fstat = os.fstat
    calls = []

    def changing(handle):
        calls.append(handle)
        if len(calls) % 2 == 0:
            with path.open("ab") as file:
                file.write(b"more")
        return fstat(handle)

    monkeypatch.setattr(file_bytes.os, "fstat", changing)
    assert "changed while it was read" in reason(path)


def test_nothing_is_fetched_from_the_network():
    with pytest.raises(InputError, match="nothing is fetched from the network"):
        load_photo("https://example.org/a.jpg")
    with pytest.raises(InputError, match="nothing is fetched from the network"):
        find_photos(["http://example.org/a.jpg"])


def test_an_error_is_a_sentence_whatever_the_name(tmp_path):
    path = tmp_path / "line\nbreak\x1b[31m.jpg"
    path.write_text("hello")
    assert reason(path) == "text; give a photograph"


def sound(photo: Photo) -> bool:
    return (
        photo.pixels.ndim == 3
        and photo.pixels.shape[2] == 3
        and photo.pixels.dtype == np.uint8
        and 0 < photo.pixels.size <= 3 * 89_478_485
        and photo.orientation in range(1, 9)
        and len(photo.digest) == 64
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "PPM", "HEIF"])
def test_damaged_photographs(tmp_path, kind, monkeypatch):
    # a flipped bit can make a header claim 89 million pixels, which takes seconds to clear
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2**16)
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = encoded(kind, exif=exif) if kind not in ("BMP", "PPM") else encoded(kind)
    path = tmp_path / "a.jpg"
    for _, hurt in damaged(raw):
        path.write_bytes(hurt)
        refused(lambda: load_photo(path), sound)
    path.write_bytes(raw)
    assert not refused(lambda: load_photo(path), sound)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


# -- finding ---------------------------------------------------------------------------------------


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def ids(*paths: Path | str) -> list[str]:
    return [file.id for file in find_photos(paths).files]


def test_photographs_are_found_at_any_depth_in_the_natural_order(tmp_path):
    touch(*(tmp_path / name for name in ("b/10.jpg", "b/9.JPG", "a/x/y/1.webp", "2.heic", "z.gif")))
    found = find_photos(tmp_path)
    assert [file.id for file in found.files] == [
        "2.heic",
        "a/x/y/1.webp",
        "b/9.JPG",
        "b/10.jpg",
        "z.gif",
    ]
    assert all(file.path.samefile(tmp_path / file.id) for file in found.files)
    assert (found.skipped, found.passed_over) == ((), 0)


def test_hidden_files_and_other_files_are_counted(tmp_path):
    touch(*(tmp_path / name for name in ("1.jpg", ".2.jpg", "a.txt", ".git/3.jpg", "README")))
    found = find_photos(tmp_path)
    assert [file.id for file in found.files] == ["1.jpg"]
    assert found.passed_over == 3


def test_ids_are_relative_to_what_holds_everything_named(tmp_path):
    touch(*(tmp_path / name for name in ("people/ann/1.jpg", "inbox/1.jpg", "other/x/1.jpg")))
    assert ids(tmp_path / "people") == ["ann/1.jpg"]
    assert ids(tmp_path / "people", tmp_path / "inbox") == ["inbox/1.jpg", "people/ann/1.jpg"]
    assert ids(tmp_path / "people/ann/1.jpg") == ["1.jpg"]
    assert ids(tmp_path / "people/ann/1.jpg", tmp_path / "inbox") == [
        "inbox/1.jpg",
        "people/ann/1.jpg",
    ]
    assert ids(tmp_path / "inbox/../people") == ["ann/1.jpg"]


def test_what_is_named_twice_is_one_photograph(tmp_path, monkeypatch):
    touch(tmp_path / "a/1.jpg")
    monkeypatch.chdir(tmp_path)
    assert ids("a", tmp_path / "a", "a/1.jpg", "./a/1.jpg") == ["1.jpg"]
    assert ids(".", "a") == ["a/1.jpg"]


def test_a_named_file_is_taken_whatever_its_name(tmp_path):
    touch(tmp_path / "notes.txt", tmp_path / ".hidden")
    assert ids(tmp_path / "notes.txt", tmp_path / ".hidden") == [".hidden", "notes.txt"]
    assert find_photos([tmp_path, tmp_path / "notes.txt"]).passed_over == 1


def test_a_folder_called_like_a_picture_is_a_folder(tmp_path):
    touch(tmp_path / "a.png/1.jpg")
    assert ids(tmp_path) == ["a.png/1.jpg"]


def test_links_to_folders_are_not_followed(tmp_path):
    touch(tmp_path / "a/1.jpg", tmp_path / "elsewhere/2.jpg")
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    (tmp_path / "a/away").symlink_to(tmp_path / "elsewhere")
    found = find_photos(tmp_path / "a")
    assert [file.id for file in found.files] == ["1.jpg"]
    assert [skip.path for skip in found.skipped] == ["away", "loop"]
    assert "not followed" in found.skipped[0].reason
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert ids(tmp_path / "link") == ["1.jpg"], "what is named itself is followed"


def test_a_folder_that_may_not_be_read_is_skipped(tmp_path, monkeypatch):
    touch(tmp_path / "a/1.jpg", tmp_path / "b/2.jpg")
    scandir = os.scandir

    def denied(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(photos.os, "scandir", denied)
    found = find_photos(tmp_path)
    assert [file.id for file in found.files] == ["a/1.jpg"]
    assert found.skipped == (("b", "Permission denied"),)


NAMES = {
    "newline": "line\nbreak.jpg",
    "composed": unicodedata.normalize("NFC", "é.jpg"),
    "decomposed": unicodedata.normalize("NFD", "é.jpg"),
    "255 bytes": "x" * 251 + ".jpg",
    "255 bytes of umlauts": "ü" * 125 + "u.jpg",
    "quotes": "\"a' b.jpg",
    "right to left": "\u202egpj.jpg",
    "digits of another script": "१२.jpg",
    "superscript": "x².jpg",
    "spaces": "  .jpg",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_may_have_any_name(tmp_path, name):
    path = tmp_path / NAMES[name]
    path.write_bytes(encoded("PNG"))
    (file,) = find_photos(tmp_path).files
    assert file.id == NAMES[name]
    assert load_photo(file).pixels.shape == (H, W, 3)


def test_both_normal_forms_of_a_name_are_two_photographs(tmp_path):
    touch(tmp_path / NAMES["composed"], tmp_path / NAMES["decomposed"])
    assert len(set(ids(tmp_path))) == len(list(tmp_path.iterdir()))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_bytes_that_are_no_utf8_are_spelled_out(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    path.write_bytes(encoded("PNG"))
    (file,) = find_photos(tmp_path).files
    assert file.id == r"caf\xe9.jpg"
    file.id.encode()
    assert load_photo(file).pixels.shape == (H, W, 3)
    (tmp_path / r"caf\xe9.jpg").write_bytes(encoded("PNG"))
    found = find_photos(tmp_path)
    assert len(found.files) == 1
    assert "rename one" in found.skipped[0].reason


def test_a_path_where_nothing_is_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\*\.jpg, got No such file.*; no file has such a name"):
        find_photos(tmp_path / "a*.jpg")
    with pytest.raises(InputError, match=r"nope, got No such file.*check the path"):
        find_photos([tmp_path, tmp_path / "nope"])
    with pytest.raises(InputError, match="name a folder"):
        find_photos([])
    with pytest.raises(InputError):
        find_photos("a\0b")


def test_a_folder_without_photographs_has_none(tmp_path):
    assert find_photos(tmp_path) == ((), (), 0)
