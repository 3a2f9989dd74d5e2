"""Photographs: which files hold them, and their pixels upright, RGB, whole."""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from recognition.datasets._files import printable, shown
from recognition.datasets.decoding import FORMATS, as_rgb, few_words, opened, upright
from recognition.datasets.folder import natural
from recognition.datasets.pictures import Skipped
from recognition.errors import InputError
from recognition.faces.face import Pixels
from recognition.faces.file_bytes import all_bytes
from recognition.faces.file_kinds import ONE_FRAME, Content, content_of, is_heic

READ = (".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".webp")
TOLD = (".avif", ".gif", ".heic", ".heif", ".hif", ".tif", ".tiff")  # loading says the way out
SUFFIXES = (*READ, *TOLD)
AGAIN = "copy or download it again"
SCHEMES = ("file:", "ftp:", "http:", "https:", "s3:")


class PhotoFile(NamedTuple):
    """A file that should hold a photograph.

    Attributes:
        id: its path from the folder that was named, with `/` on every system; unique in a run.
        path: where it lies.
    """

    id: str
    path: Path


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph, decoded.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, turned upright by its EXIF orientation.
        digest: sha256 of the file's bytes, in hexadecimal digits.
        orientation: what EXIF said, 1 to 8; 1 where it said nothing.
    """

    pixels: Pixels
    digest: str
    orientation: int


class Found(NamedTuple):
    """The files that should hold photographs, in the natural order of their ids.

    Attributes:
        files: each once.
        skipped: what cannot be looked into, each with its reason.
        passed_over: how many other files there are: hidden, or not named as pictures are.
    """

    files: tuple[PhotoFile, ...]
    skipped: tuple[Skipped, ...]
    passed_over: int = 0


def find_photos(paths: Iterable[Path | str] | Path | str) -> Found:
    r"""Every photograph named, and every one below a folder named, whatever its depth.

    An id is the path from the deepest folder that holds everything named: of one folder, the path
    below it; of `people` and `inbox` beside each other, `people/ann/1.jpg`; of files in one folder,
    their names. A byte that is no UTF-8 is spelled out in it (`caf\xe9.jpg`).

    Below a folder, files are picked by extension; hidden files and folders are passed over, and
    links to folders are not followed. A file that is named itself is taken whatever its name.
    Whether a file holds a photograph is found when it is loaded.

    Raises:
        InputError: a path where nothing is, or none at all.
    """
    named = [Path(p) for p in ([paths] if isinstance(paths, Path | str) else paths)]
    _require_there(named)
    root = _common(named)
    files: dict[str, Path] = {}  # by absolute path: what is named twice is one file
    skipped: dict[str, str] = {}
    passed_over: set[str] = set()
    for start in named:
        if not start.is_dir():
            files.setdefault(_place(start), start)
            continue
        for path, reason in _below(start):
            place = _place(path)
            if reason:
                skipped[_id(place, root)] = reason
            elif path.name.startswith(".") or not path.name.lower().endswith(SUFFIXES):
                passed_over.add(place)
            else:
                files.setdefault(place, path)
    photos: dict[str, PhotoFile] = {}
    for place, path in files.items():
        name = _id(place, root)
        if photos.setdefault(name, PhotoFile(name, path)).path is not path:
            skipped[name] = "two files whose names differ only in what is no UTF-8; rename one"
    return Found(
        tuple(sorted(photos.values(), key=lambda photo: natural(photo.id))),
        tuple(Skipped(name, skipped[name]) for name in sorted(skipped, key=natural)),
        len(passed_over - files.keys()),
    )


class UnusableError(InputError):
    """A file that cannot be used as a photograph.

    Attributes:
        reason: why, and the way out, short enough for a list.
    """

    def __init__(self, path: Path, came: str, way_out: str) -> None:
        self.reason = printable(f"{came}; {way_out}")
        super().__init__(f"expected a photograph at {shown(path)}, got {self.reason}")


def load_photo(source: PhotoFile | Path | str) -> Photo:
    """A photograph of any usual kind: JPEG, PNG, WebP, BMP, PPM, and HEIC with the extra `heif`.

    It is turned upright by its EXIF tag, laid on white where it is transparent, and made RGB in 8
    bits; its size is kept. At most 256 MiB (2^28 bytes) and 89,478,485 pixels are decoded. A file
    that is cut short is refused, as is an animation: only its owner knows which frame is meant. Of
    a JPEG or HEIC with several pictures it is the first, which is what viewers show.

    Raises:
        UnusableError: it is no such file; `reason` says why in a few words.
    """
    path = source.path if isinstance(source, PhotoFile) else Path(source)
    try:
        raw = all_bytes(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UnusableError(path, few_words(error), _way_to(path)) from error
    digest = hashlib.sha256(raw).hexdigest()
    try:
        with opened(io.BytesIO(raw), _formats(path, raw)) as image:
            if image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False):
                raise UnusableError(path, f"an animated {image.format}", ONE_FRAME)
            turned = upright(image)
            before = image.info.get("original_orientation")  # where the HEIC reader turned it
            pixels = np.array(as_rgb(turned.image))
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise UnusableError(path, *content_of(raw)) from error
    except Exception as error:  # Pillow raises nearly anything on a broken file
        raise UnusableError(path, *_broken(error)) from error
    orientation = before if isinstance(before, int) and 1 <= before <= 8 else turned.orientation
    return Photo(pixels, digest, orientation)


def digest_of(file: PhotoFile) -> str:
    """sha256 of a file's bytes in hexadecimal digits, without decoding it.

    Raises:
        UnusableError: it cannot be read.
    """
    try:
        return hashlib.sha256(all_bytes(file.path)).hexdigest()
    except (OSError, ValueError) as error:
        raise UnusableError(file.path, few_words(error), _way_to(file.path)) from error


def _formats(path: Path, raw: bytes) -> tuple[str, ...]:
    """The formats that are let in; HEIC only where the file is one, and its library is there."""
    if not is_heic(raw):
        return (*FORMATS, "BMP")
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        way_out = "pip install 'margin-recognition[heif]', or save it as JPEG"
        raise UnusableError(path, "a HEIC, which needs a library", way_out) from error
    register_heif_opener()
    return ("HEIF",)


def _broken(error: Exception) -> Content:
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return Content(few_words(error), "make it smaller")
    if isinstance(error, MemoryError):
        return Content("more pixels than fit in memory", "make it smaller")
    return Content(few_words(error), AGAIN)


def _way_to(path: Path) -> str:
    if path.parts and path.parts[0].lower() in SCHEMES:
        return "nothing is fetched from the network: download it, and name the file"
    return "check the path"


def _below(start: Path) -> Iterator[tuple[Path, str]]:
    """The files below a folder, and with a reason what cannot be looked into."""
    problems: list[tuple[Path, str]] = []

    def unreadable(error: OSError) -> None:
        problems.append((Path(os.fsdecode(error.filename)), few_words(error)))

    for folder, folders, names in os.walk(start, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            path = Path(folder, name)
            if path.is_symlink():
                yield path, "a link to a folder, not followed; name that folder itself"
        for name in names:
            yield Path(folder, name), ""
    yield from problems


def _require_there(named: list[Path]) -> None:
    if not named:
        raise InputError("expected photographs, or folders of them, got none; name a folder")
    for path in named:
        try:
            path.lstat()
        except (OSError, ValueError) as error:
            pattern = any(sign in path.name for sign in "*?[")
            way_out = "no file has such a name; name a folder" if pattern else _way_to(path)
            raise InputError(
                f"expected a photograph or a folder at {shown(path)}, got {few_words(error)}; {way_out}"
            ) from error


def _common(named: list[Path]) -> str:
    """The deepest folder that holds everything named."""
    return os.path.commonpath([_place(path if path.is_dir() else path.parent) for path in named])


def _place(path: Path) -> str:
    """The absolute path; links in it are kept, as one may lead out of the common folder."""
    return os.path.abspath(path)  # noqa: PTH100 resolve() follows links


def _id(place: str, root: str) -> str:
    relative = os.fsencode(os.path.relpath(place, root)).decode("utf-8", "backslashreplace")
    return relative.replace(os.sep, "/")
