"""Everything that a folder of photographs can hold at once: what is good is embedded, the rest is told.

With the real detector, on a drawn face that it finds.
"""

import csv
import io
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from face_fakes import FakeEmbedder
from photo_files import BOMB, STORED
from PIL import Image

from recognition import InputError, embed_folder, read_faces
from recognition.datasets.drawn import draw_faces
from recognition.faces import file_bytes
from recognition.faces.embedding import Embedded
from recognition.faces.mtcnn import Mtcnn
from recognition.faces.photos import load_photo

DETECTOR = Mtcnn()
DRAWN = np.pad(
    draw_faces(2, 1, size=128).images[0], [(40, 40), (40, 40), (0, 0)], constant_values=128
)
PICTURE = Image.fromarray(DRAWN)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(
        Image.fromarray(np.ascontiguousarray(STORED[orientation](DRAWN))), "PNG", exif=exif
    )


def sixteen_bits() -> bytes:
    grey = np.asarray(PICTURE.convert("L"), np.uint16) * 257
    return encoded(Image.fromarray(grey))


def with_alpha(mode: str) -> bytes:
    clear = PICTURE.convert(mode)
    clear.putalpha(254)
    return encoded(clear)


def animation(kind: str) -> bytes:
    return encoded(PICTURE, kind, save_all=True, append_images=[Image.new("RGB", PICTURE.size)])


GOOD = {
    "first.png": encoded(PICTURE),
    "zz last.jpg": encoded(PICTURE, "JPEG", quality=95),
    "cmyk.jpg": encoded(PICTURE.convert("CMYK"), "JPEG", quality=95),
    "sixteen bits.png": sixteen_bits(),
    "palette.png": encoded(PICTURE.convert("P", palette=Image.Palette.ADAPTIVE)),
    "grey.png": encoded(PICTURE.convert("L")),
    "rgba.png": with_alpha("RGBA"),
    "la.png": with_alpha("LA"),
    "lossless.webp": encoded(PICTURE, "WEBP", lossless=True),
    "new\nline.png": encoded(PICTURE),
    unicodedata.normalize("NFC", "é.png"): encoded(PICTURE),
    unicodedata.normalize("NFD", "é.png"): encoded(PICTURE),
    "x" * 251 + ".png": encoded(PICTURE),
    "text behind.png": encoded(PICTURE) + b"<script>",
}
TURNED = {f"turned {orientation}.png": turned(orientation) for orientation in STORED}
BAD = {
    "text.jpg": (b"hello", "text; give a photograph"),
    "empty.jpg": (b"", "an empty file"),
    "bomb.png": (BOMB, "more than 89,478,485 pixels"),
    "animated.gif": (animation("GIF"), "a GIF; save the frame"),
    "animated.png": (animation("PNG"), "an animated PNG; save the frame"),
    "animated.webp": (animation("WEBP"), "an animated WEBP; save the frame"),
    "tiny.png": (encoded(PICTURE.resize((10, 10))), "no face"),
    "thin.png": (encoded(PICTURE.resize((2000, 10))), "no face"),
    "nobody.png": (encoded(Image.new("RGB", (90, 90), "grey")), "no face"),
    "phone.heic": (
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
        "a HEIC, which needs a library; pip install 'margin-recognition[heif]'",
    ),
    "drawing.svg.png": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    "locked.png": (encoded(PICTURE), "Permission denied"),
    "tiff.tif": (encoded(PICTURE, "TIFF"), "a TIFF or a raw photograph; save it as PNG"),
}


@pytest.fixture
def everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all of them; nobody may read `locked.png`, and HEIC's library is not there."""
    folder = tmp_path / "everything"
    folder.mkdir()
    for name, raw in {**GOOD, **TURNED}.items():
        (folder / name).write_bytes(raw)
    for name, (raw, _) in BAD.items():
        (folder / name).write_bytes(raw)
    for kind in ("PNG", "JPEG"):
        raw = encoded(PICTURE, kind)
        for percent in range(5, 100, 5):
            (folder / f"cut at {percent:02}.{kind.lower()}").write_bytes(
                raw[: len(raw) * percent // 100]
            )
    (folder / "folder.png").mkdir()
    shutil.copy(folder / "first.png", folder / "folder.png/inside.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "around").symlink_to(folder)
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")

    opened = os.open

    def locked(path, *arguments, **options):
        if Path(os.fsdecode(path)).name == "locked.png":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(file_bytes.os, "open", locked)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    return folder


class Blind(FakeEmbedder):
    """Refuses any batch that holds the face of `grey.png`, as a network does whose rows are NaN."""

    def embed(self, crops):
        grey = (crops[..., 0] == crops[..., 1]).all((1, 2)) & (crops[..., 1] == crops[..., 2]).all(
            (1, 2)
        )
        if grey.any():
            raise InputError("expected a face in colour")
        return super().embed(crops)


def embedded(folder: Path, out: Path, *, watch: Callable[[], None] = lambda: None) -> Embedded:
    class Looking(Mtcnn):
        def detect(self, photos):
            watch()
            return super().detect(photos)

    return embed_folder(folder, out, model=Blind(), detector=Looking())


@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_folder_of_everything_is_embedded_but_for_what_cannot_be(
    everything, tmp_path, monkeypatch, threads
):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    (everything / "zzz vanishes.png").write_bytes(b"later")

    def vanish():
        (everything / "zzz vanishes.png").unlink(missing_ok=True)

    done = embedded(everything, tmp_path / "faces.npz", watch=vanish)
    grey = {"grey.png", "la.png", "sixteen bits.png"}
    good = ({*GOOD, *TURNED} - grey) | {"folder.png/inside.png"}
    assert sorted(done.faces.photos.tolist()) == sorted(good)

    with done.skips.open(newline="") as file:
        reasons = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    cut = {f"cut at {p:02}.{kind}" for p in range(5, 100, 5) for kind in ("png", "jpeg")}
    odd = {"loop.png", "gone.png", "around", "zzz vanishes.png"}
    odd |= {"pipe.png"} if hasattr(os, "mkfifo") else set()
    assert reasons.keys() == {*BAD, *cut, *odd, *grey}
    for name, (_, words) in BAD.items():
        assert reasons[name].startswith(words), name
    for name in grey:
        assert reasons[name] == "expected a face in colour"
    assert "symbolic links" in reasons["loop.png"]
    assert reasons["gone.png"].startswith("No such file")
    assert reasons["zzz vanishes.png"].startswith("No such file")
    assert "not followed" in reasons["around"]
    assert all(reason.isprintable() for reason in reasons.values())

    rows = dict(zip(done.faces.photos.tolist(), done.faces.embeddings, strict=True))
    for name in (*TURNED, "rgba.png", "lossless.webp", "new\nline.png", "folder.png/inside.png"):
        np.testing.assert_allclose(rows[name], rows["first.png"], atol=0.02)
    for name in TURNED:
        np.testing.assert_allclose(rows[name], rows["first.png"], atol=1e-3)

    again = embedded(everything, done.path)
    assert (again.fresh, again.reused, again.removed) == (0, done.fresh, ())
    assert read_faces(done.path).ids.tolist() == done.faces.ids.tolist()


@pytest.mark.parametrize("mode", ["grey.png", "la.png", "sixteen bits.png"])
def test_faces_are_found_without_colour_too(tmp_path, mode):
    path = tmp_path / mode
    path.write_bytes(GOOD[mode])
    ((face,),) = DETECTOR.detect([load_photo(path).pixels])
    assert face.score > 0.95


READING = """
import sys
from recognition.faces.photos import find_photos, load_photo
found = find_photos(sys.argv[1])
for file in found.files:
    try:
        load_photo(file)
        print(file.id, "read")
    except ValueError as error:
        print(file.id, error.reason)
for skip in found.skipped:
    print(*skip)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs modes of files")
def test_what_its_owner_locked_is_skipped(tmp_path):
    """Root reads whatever the mode; without the two capabilities it asks the mode, as others do."""
    command = [sys.executable, "-c", READING, str(tmp_path)]
    if os.geteuid() == 0:
        drop = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--inh-caps={drop}", f"--bounding-set={drop}", *command]
        if shutil.which("setpriv") is None:
            pytest.skip("root without setpriv cannot be made to ask modes")
    for name in ("a.png", "locked.png", "locked/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(GOOD["first.png"])
    (tmp_path / "locked.png").chmod(0)
    (tmp_path / "locked").chmod(0)
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert found.stdout.splitlines() == [
        "a.png read",
        "locked.png Permission denied; check the path",
        "locked Permission denied",
    ]


# -- what facenet-pytorch 2.5.3 takes wrongly ------------------------------------------------------


def test_a_batch_without_any_face_is_a_list_of_empty_lists():
    nobody = np.full((120, 90, 3), 128, np.uint8)
    assert DETECTOR.detect([nobody, nobody[:50]]) == [[], []]


def test_one_photograph_without_a_face_costs_the_others_nothing():
    nobody = np.full((120, 90, 3), 128, np.uint8)
    assert [len(faces) for faces in DETECTOR.detect([DRAWN, nobody, DRAWN])] == [1, 0, 1]


def test_an_array_needs_no_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert len(DETECTOR.detect([DRAWN])[0]) == 1


@pytest.mark.parametrize(
    ("photo", "came"),
    [
        (torch.zeros(3, 90, 90), "a Tensor"),
        (torch.zeros(90, 90, 3, dtype=torch.uint8), "a Tensor"),
        (DRAWN / 255, "float64 of shape"),
        ((DRAWN / 255).astype(np.float32), "float32 of shape"),
        (DRAWN.transpose(2, 0, 1), r"uint8 of shape \(3, "),
        (PICTURE.convert("CMYK"), "a Image"),
        ("first.png", "a str"),
        (None, "a NoneType"),
    ],
)
def test_tensors_and_values_from_0_to_1_are_refused_and_never_an_empty_result(photo, came):
    with pytest.raises(InputError, match=rf"expected pixels .*from 0 to 255, got {came}"):
        DETECTOR.detect([photo])


def test_there_is_no_selection_to_mistype():
    with pytest.raises(TypeError):
        Mtcnn(selection_method="largest_over")


def test_nothing_is_an_array_of_objects(tmp_path):
    (faces,) = DETECTOR.detect([DRAWN])
    for values in (faces[0].box, faces[0].landmarks):
        np.save(tmp_path / "a.npy", values, allow_pickle=False)
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), values)
