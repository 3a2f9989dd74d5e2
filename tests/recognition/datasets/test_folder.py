"""Laws of reading a folder of pictures."""

import io
import os
import re
import shutil
import struct
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fuzz import damaged
from PIL import Image

from recognition.datasets.folder import read_folder
from recognition.datasets.pair_lists import read_pairs
from recognition.errors import InputError

DATA = Path(__file__).parents[4] / "shared" / "data"
RED, BLUE = (200, 30, 40), (20, 60, 220)


def save(path: Path, colour=RED, mode="RGB", size=(20, 30), **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)
    return path


def pixel(root: Path, size=8) -> list[int]:
    """The colour in the middle of the only picture below root."""
    (image,) = read_folder(root, size=size).images
    return image[size // 2, size // 2].tolist()


# -- people, order, names --------------------------------------------------------------------------


def test_the_folder_that_holds_a_picture_names_the_person(tmp_path):
    for name in ("ann/1.png", "ann/2.jpg", "Greek/character01/a.pgm", "Greek/character02/a.webp"):
        save(tmp_path / name, 100, "L")
    pictures = read_folder(tmp_path, size=16)
    assert pictures.labels.tolist() == ["Greek/character01", "Greek/character02", "ann", "ann"]
    assert pictures.ids.tolist()[1:3] == ["Greek/character02/a.webp", "ann/1.png"]
    assert pictures.images.shape == (4, 16, 16, 3)
    assert pictures.images.dtype == np.uint8
    assert pictures.images.flags.c_contiguous
    assert (pictures.images > 90).all()
    assert pictures.skipped == ()
    assert pictures.source == f"pictures below {tmp_path}"


def test_a_person_may_also_hold_folders(tmp_path):
    save(tmp_path / "ann/1.png")
    save(tmp_path / "ann/holiday/1.png")
    assert read_folder(tmp_path).labels.tolist() == ["ann", "ann/holiday"]


def test_numbers_are_read_as_numbers(tmp_path):
    for name in ("s10/1.png", "s2/10.png", "s2/9.png", "s2/09.png", "s/x.png", "2/1.png"):
        save(tmp_path / name)
    expected = ["2/1.png", "s/x.png", "s2/09.png", "s2/9.png", "s2/10.png", "s10/1.png"]
    assert read_folder(tmp_path).ids.tolist() == expected


def test_two_readings_are_the_same(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(6):
        path = save(tmp_path / f"p{i % 2}/{i}.png")
        Image.fromarray(rng.integers(0, 256, (31, 17, 3), np.uint8)).save(path)
    first, second = read_folder(tmp_path), read_folder(tmp_path)
    assert first.images.tobytes() == second.images.tobytes()
    assert first.ids.tolist() == second.ids.tolist()


@pytest.mark.parametrize("name", ["Zoë 李", "a b", "line\nbreak", "quo'te\"", "-rf", "٣", "é" * 60])
def test_odd_names_survive(tmp_path, name):
    save(tmp_path / name / f"{name}.png")
    pictures = read_folder(tmp_path)
    assert pictures.labels.tolist() == [name]
    assert pictures.ids.tolist() == [f"{name}/{name}.png"]


def test_a_name_that_no_text_can_hold_is_skipped(tmp_path):
    save(tmp_path / "ann/1.png")
    odd = os.fsencode(tmp_path / "ann") + b"/\xff.png"
    try:
        shutil.copy(os.fsencode(tmp_path / "ann/1.png"), odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (skipped,) = read_folder(tmp_path).skipped
    assert skipped == ("ann/�.png", "its path is not valid UTF-8; rename it")


# -- what is read ----------------------------------------------------------------------------------


def test_other_and_hidden_files_are_ignored(tmp_path):
    save(tmp_path / "ann/1.PNG")
    save(tmp_path / "ann/.thumbs/1.png")
    save(tmp_path / ".git/1.png")
    for name in ("README", "ann/notes.txt", "ann/.DS_Store", "ann/._1.png", "ann/1.gif"):
        (tmp_path / name).write_bytes(b"not a picture")
    pictures = read_folder(tmp_path)
    assert pictures.ids.tolist() == ["ann/1.PNG"]
    assert pictures.skipped == ()


def test_the_content_decides_not_the_extension(tmp_path):
    save(tmp_path / "ann/1.png", format="JPEG")
    assert pixel(tmp_path) == pytest.approx(RED, abs=3)


def jpeg(size=(60, 60)) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


def gif() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 4)).save(buffer, "GIF")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"hello", "not a PPM, PNG, JPEG or WebP picture"),
        (gif(), "not a PPM, PNG, JPEG or WebP picture"),
        (jpeg()[:-900], "image file is truncated"),
        (jpeg()[:20], "not a PPM, PNG, JPEG or WebP picture"),
        (b"P5 4 4 255\n123", "image file is truncated"),
        (b"P5 4 x 255\n123", "ValueError: invalid literal for int()"),
        (b"Pf\n1 1\n-1.0\n" + struct.pack("<f", 0.5), "floating-point pixels have no agreed range"),
        (b"P5 99999 99999 255\n123", "more than 89,478,485 pixels"),
        (b"P5 9999 9999 255\n123", "more than 89,478,485 pixels"),
    ],
    ids=str.split("empty text GIF half-JPEG JPEG-start half-PGM odd-PGM PFM bomb large"),
)
def test_what_cannot_be_decoded_is_skipped_with_a_reason(tmp_path, content, reason):
    save(tmp_path / "ann/1.png")
    (tmp_path / "ann/2.jpg").write_bytes(content)
    pictures = read_folder(tmp_path)
    assert pictures.ids.tolist() == ["ann/1.png"]
    (skipped,) = pictures.skipped
    assert skipped.path == "ann/2.jpg"
    assert skipped.reason.startswith(reason)
    assert len(skipped.reason) < 120


def test_the_pictures_around_a_broken_one_keep_their_names(tmp_path):
    for i in range(5):
        save(tmp_path / f"ann/{i}.png", (40 * i, 0, 0))
    (tmp_path / "ann/2.png").write_bytes(b"broken")
    pictures = read_folder(tmp_path)
    assert pictures.ids.tolist() == ["ann/0.png", "ann/1.png", "ann/3.png", "ann/4.png"]
    assert pictures.images[:, 0, 0, 0].tolist() == [0, 40, 120, 160]


def test_a_picture_in_the_root_belongs_to_nobody(tmp_path):
    save(tmp_path / "ann/1.png")
    save(tmp_path / "stray.png")
    pictures = read_folder(tmp_path)
    assert pictures.ids.tolist() == ["ann/1.png"]
    assert pictures.skipped[0].path == "stray.png"
    assert "in nobody's folder" in pictures.skipped[0].reason


def test_links_to_folders_are_not_followed_and_links_to_pictures_are(tmp_path):
    outside = save(tmp_path / "outside/1.png")
    root = tmp_path / "root"
    save(root / "ann/1.png")
    (root / "ann/loop").symlink_to(root)
    (root / "bob").symlink_to(tmp_path / "outside")
    (root / "ann/2.png").symlink_to(outside)
    (root / "ann/3.png").symlink_to("nowhere.png")
    pictures = read_folder(root)
    assert pictures.ids.tolist() == ["ann/1.png", "ann/2.png"]
    assert pictures.skipped == (
        ("ann/3.png", "No such file or directory"),
        ("ann/loop", "a link to a folder, not followed"),
        ("bob", "a link to a folder, not followed"),
    )


def test_the_root_may_be_a_link(tmp_path):
    save(tmp_path / "real/ann/1.png")
    (tmp_path / "link").symlink_to("real")
    assert read_folder(tmp_path / "link").labels.tolist() == ["ann"]


def test_a_pipe_does_not_block(tmp_path):
    save(tmp_path / "ann/1.png")
    os.mkfifo(tmp_path / "ann/2.png")
    done = threading.Event()
    results = []

    def read() -> None:
        results.append(read_folder(tmp_path))
        done.set()

    threading.Thread(target=read, daemon=True).start()
    assert done.wait(5)
    assert results[0].skipped == (("ann/2.png", "not a regular file"),)


def test_a_folder_that_may_not_be_listed_is_named(tmp_path, monkeypatch):
    save(tmp_path / "ann/1.png")
    save(tmp_path / "bob/1.png")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "bob":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    pictures = read_folder(tmp_path)
    assert pictures.labels.tolist() == ["ann"]
    assert pictures.skipped == (("bob", "Permission denied"),)


# -- pixels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("LA", (77, 255), (77, 77, 77)),
        ("LA", (77, 0), (255, 255, 255)),
        ("RGBA", (*BLUE, 255), BLUE),
        ("RGBA", (*BLUE, 0), (255, 255, 255)),
        ("RGBA", (100, 0, 200, 51), (224, 204, 244)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 257 * 77, (77, 77, 77)),
        ("I;16", 200, (1, 1, 1)),
    ],
    ids=lambda value: str(value),
)
def test_every_mode_of_png_becomes_rgb(tmp_path, mode, colour, expected):
    save(tmp_path / "ann/1.png", colour, mode)
    assert pixel(tmp_path) == list(expected)


def test_a_palette_becomes_its_colours(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, *RED])
    save(tmp_path / "ann/1.png")
    image.save(tmp_path / "ann/1.png")
    assert pixel(tmp_path) == list(RED)
    image.save(tmp_path / "ann/1.png", transparency=1)
    assert pixel(tmp_path) == [255, 255, 255]
    image.save(tmp_path / "ann/1.png", transparency=bytes([255, 128]))
    assert pixel(tmp_path) == pytest.approx([(c + 255) / 2 for c in RED], abs=1)


def test_a_transparent_colour_of_an_opaque_mode_is_white(tmp_path):
    save(tmp_path / "ann/1.png", RED, transparency=RED)
    assert pixel(tmp_path) == [255, 255, 255]


def test_cmyk_becomes_rgb(tmp_path):
    save(tmp_path / "ann/1.jpg", (0, 255, 255, 0), "CMYK")
    assert pixel(tmp_path) == pytest.approx([255, 0, 0], abs=4)


@pytest.mark.parametrize(
    ("maximum", "value", "expected"), [(65535, 65535, 255), (4095, 4095, 255), (1023, 512, 128)]
)
def test_a_16_bit_pgm_is_scaled_by_its_own_maximum(tmp_path, maximum, value, expected):
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann/1.pgm").write_bytes(
        b"P5 4 4 %d\n" % maximum + struct.pack(">16H", *[value] * 16)
    )
    assert pixel(tmp_path) == [expected] * 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["1.jpg", "1.png", "1.webp"])
def test_a_turned_photograph_is_set_upright(tmp_path, orientation, name):
    upright = Image.new("RGB", (40, 80), "black")
    upright.paste((255, 255, 255), (0, 0, 20, 20))  # a mark in the upper left
    turn = [
        None,
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_90,  # undone by the tag's rotation the other way
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_270,
    ][orientation - 1]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "ann").mkdir()
    stored.save(tmp_path / "ann" / name, exif=exif, quality=95)
    (image,) = read_folder(tmp_path, size=(16, 8)).images
    assert image[1, 1].min() > 230
    assert image[5:].max() < 30
    assert image[:, 5:].max() < 30


@pytest.mark.parametrize("name", ["1.jpg", "1.png", "1.webp"])
def test_unreadable_exif_does_not_cost_the_picture(tmp_path, name):
    save(tmp_path / "ann" / name, exif=b"Exif\0\0garbage in here")
    assert pixel(tmp_path) == pytest.approx(RED, abs=4)


def test_shrinking_averages(tmp_path):
    checkers = np.indices((200, 200)).sum(0) % 2 * 255
    (tmp_path / "ann").mkdir()
    Image.fromarray(checkers.astype(np.uint8)).save(tmp_path / "ann/1.png")
    (image,) = read_folder(tmp_path, size=25).images
    assert abs(image.astype(int) - 127.5).max() < 3


def test_a_large_jpeg_looks_the_same_as_its_png(tmp_path):
    y, x = np.mgrid[0:320, 0:480] / 12
    waves = np.stack([np.sin(y + c) * np.cos(x - c) for c in range(3)], -1)
    photograph = Image.fromarray((127.5 + 127 * waves).astype(np.uint8))
    (tmp_path / "ann").mkdir()
    photograph.save(tmp_path / "ann/1.jpg", quality=95)
    photograph.save(tmp_path / "ann/2.png")
    one, two = read_folder(tmp_path, size=(80, 120)).images.astype(int)
    assert abs(one - two).max() <= 4


def test_size_is_height_then_width(tmp_path):
    save(tmp_path / "ann/1.png")
    assert read_folder(tmp_path, size=(11, 7)).images.shape == (1, 11, 7, 3)


def test_a_picture_of_the_right_size_is_not_touched(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    (tmp_path / "ann").mkdir()
    Image.fromarray(noise).save(tmp_path / "ann/1.png")
    assert (read_folder(tmp_path, size=24).images[0] == noise).all()


def test_progress_counts_every_file(tmp_path):
    for i in range(3):
        save(tmp_path / f"ann/{i}.png")
    (tmp_path / "ann/1.png").write_bytes(b"broken")
    seen = []
    read_folder(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


# -- refusals --------------------------------------------------------------------------------------


def refused(call, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as error:
        call()
    assert "\n" not in str(error.value)


def test_a_root_that_is_no_folder(tmp_path):
    refused(lambda: read_folder(tmp_path / "no"), "got No such file or directory; give the folder")
    refused(lambda: read_folder(save(tmp_path / "1.png")), "got a file; give the folder that holds")


def test_no_image_file(tmp_path):
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann/notes.txt").write_text("hello")
    refused(lambda: read_folder(tmp_path), "one folder a person, got none; convert other formats")


def test_pictures_in_the_root_alone(tmp_path):
    save(tmp_path / "1.png")
    refused(lambda: read_folder(tmp_path), "got none (1.png: in nobody's folder; give each person")


def test_no_readable_image(tmp_path):
    (tmp_path / "ann").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "ann" / name).write_bytes(b"hello")
    refused(
        lambda: read_folder(tmp_path),
        "got 2 files and none can be used (ann/1.png: not a PPM, PNG, JPEG or WebP picture)",
    )


@pytest.mark.parametrize("size", [0, -3, 1.5, (64,), (64, 0), (64, 64, 3)], ids=str)
def test_an_impossible_size(tmp_path, size):
    refused(lambda: read_folder(tmp_path, size=size), "in whole pixels >= 1, got")


# -- real data -------------------------------------------------------------------------------------


def test_orl_faces():
    if not (DATA / "orl_faces").is_dir():
        pytest.skip(f"no ORL faces at {DATA / 'orl_faces'}")
    pictures = read_folder(DATA / "orl_faces", size=(112, 92))
    assert len(pictures) == 400
    assert len(pictures.people) == 40
    assert pictures.ids[[0, 9, 10, 399]].tolist() == [
        "s1/1.pgm",
        "s1/10.pgm",
        "s2/1.pgm",
        "s40/10.pgm",
    ]
    assert pictures.skipped == ()
    stored = np.asarray(Image.open(DATA / "orl_faces/s1/1.pgm"))
    assert (pictures.images[0] == stored[..., None]).all()
    assert np.unique(pictures.labels, return_counts=True)[1].tolist() == [10] * 40


@pytest.mark.parametrize(("which", "characters"), [(1, 136), (2, 156)])
def test_omniglot(tmp_path, which, characters):
    name = f"images_background_small{which}"
    archive = DATA / "omniglot" / f"{name}.zip"
    if not archive.is_file():
        pytest.skip(f"no Omniglot at {archive}")
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path)
    pictures = read_folder(tmp_path, size=28)
    assert len(pictures) == 20 * characters
    assert pictures.skipped == ()
    assert np.unique(pictures.labels, return_counts=True)[1].tolist() == [20] * characters
    inside = read_folder(tmp_path / name, size=28)
    assert [f"{name}/{label}" for label in inside.labels] == pictures.labels.tolist()
    assert (inside.images == pictures.images).all()


# -- the layouts that sets of faces come in --------------------------------------------------------


def test_lfw_is_such_a_folder_and_its_pairs_find_their_pictures(tmp_path):
    for name in ("Ann_Bo_0001", "Ann_Bo_0002", "Ann_Bo_0010", "Cy_0001", "Cy_0002"):
        save(tmp_path / "lfw" / name[:-5] / f"{name}.jpg")
    pictures = read_folder(tmp_path / "lfw", size=8)
    assert pictures.labels.tolist() == ["Ann_Bo"] * 3 + ["Cy"] * 2
    assert [i[-8:-4] for i in pictures.ids] == ["0001", "0002", "0010", "0001", "0002"]
    (tmp_path / "pairs.txt").write_text(
        "2\nAnn_Bo\t1\t10\nCy\t1\t2\nAnn_Bo\t2\tCy\t1\nAnn_Bo\t1\tCy\t2\n"
    )
    pairs = read_pairs(tmp_path / "pairs.txt", pictures.ids, pictures.labels)
    assert pairs.first.tolist() == [0, 3, 1, 0]
    assert pairs.second.tolist() == [2, 4, 3, 4]


def test_casia_webface_is_such_a_folder(tmp_path):
    for name in ("0000045/001", "0000045/002", "0000099/001", "6573557/113"):
        save(tmp_path / f"{name}.jpg")
    pictures = read_folder(tmp_path, size=8)
    assert pictures.labels.tolist() == ["0000045", "0000045", "0000099", "6573557"]


def test_vggface2_has_the_same_people_whichever_part_is_named(tmp_path):
    for name in ("train/n000002/0001_01", "train/n000003/0001_01", "test/n000001/0001_01"):
        save(tmp_path / f"{name}.jpg")
    (tmp_path / "identity_meta.csv").write_text("Class_ID, Name\nn000001, A\n")
    whole = read_folder(tmp_path, size=8)
    assert whole.labels.tolist() == ["n000001", "n000002", "n000003"]
    assert whole.ids.tolist()[0] == "test/n000001/0001_01.jpg"
    assert whole.skipped == ()
    assert read_folder(tmp_path / "train", size=8).labels.tolist() == ["n000002", "n000003"]


def test_a_person_in_both_parts_of_a_set_is_one_person(tmp_path):
    for name in ("Train/ann/1", "test/ann/2", "val/bo/x/3"):
        save(tmp_path / f"{name}.jpg")
    assert read_folder(tmp_path, size=8).labels.tolist() == ["ann", "ann", "bo/x"]


def test_a_stray_picture_in_a_part_belongs_to_nobody(tmp_path):
    for name in ("train/ann/1", "test/ann/2", "test/sheet"):
        save(tmp_path / f"{name}.jpg")
    pictures = read_folder(tmp_path, size=8)
    assert pictures.labels.tolist() == ["ann", "ann"]
    (skipped,) = pictures.skipped
    assert skipped.path == "test/sheet.jpg"


def test_people_may_be_called_test_and_train(tmp_path):
    for name in ("train/1", "test/1"):
        save(tmp_path / f"{name}.jpg")
    assert read_folder(tmp_path, size=8).labels.tolist() == ["test", "train"]
    save(tmp_path / "ann/1.jpg")
    save(tmp_path / "train/x/1.jpg")
    assert read_folder(tmp_path, size=8).labels.tolist() == ["ann", "test", "train", "train/x"]


# -- some of the people ----------------------------------------------------------------------------


def test_only_the_people_asked_for_are_decoded(tmp_path):
    for name in ("ann", "bo", "cy"):
        save(tmp_path / name / "1.png")
    (tmp_path / "bo/2.png").write_bytes(b"broken, and not looked at")
    pictures = read_folder(tmp_path, people=["cy", "ann"], size=8)
    assert pictures.labels.tolist() == ["ann", "cy"]
    assert pictures.skipped == ()
    assert "2 of 3 people" in pictures.notes[0]
    drawn = {tuple(read_folder(tmp_path, people=1, seed=seed, size=8).people) for seed in range(9)}
    assert len(drawn) == 3
    assert read_folder(tmp_path, size=8).notes == ()
    assert pictures.of(np.array(["ann"])).notes == pictures.notes


@pytest.mark.parametrize("content", ["PNG", "JPEG", "WEBP", "PPM"])
def test_damage_is_skipped_in_words(tmp_path, content):
    save(tmp_path / "ann/0.png")
    path = tmp_path / "ann/1.png"
    noise = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    Image.fromarray(noise).save(path, content)
    for _, raw in damaged(path.read_bytes()):
        path.write_bytes(raw)
        pictures = read_folder(tmp_path, size=8)
        assert len(pictures) + len(pictures.skipped) == 2
        for skipped in pictures.skipped:
            assert skipped.path == "ann/1.png"
            assert len(skipped.reason) > 5
            assert skipped.reason.isprintable()
