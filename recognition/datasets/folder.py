"""A folder of pictures, one folder a person: the data set that anyone can make."""

import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from recognition.datasets.pictures import Pictures, Skipped
from recognition.errors import InputError

EXTENSIONS = (".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
FORMATS = ("PPM", "PNG", "JPEG", "WEBP")  # Pillow's names; PGM is one of its PPM


def read_folder(
    root: Path,
    *,
    size: tuple[int, int] | int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> Pictures:
    """Every picture below a folder; the folder that holds a picture names the person on it.

    `root/ann/1.jpg` shows "ann", and `root/Greek/character01/3.png` shows "Greek/character01". A
    picture in `root` itself belongs to nobody. Files are picked by extension (PGM, PPM, PNG, JPEG,
    WebP) and decoded by content; hidden files, hidden folders and other files are ignored. What
    cannot be decoded is listed in `skipped` with its reason, as are links to folders, which are
    not followed. The order is the natural one, s2 before s10.

    A picture is turned upright by its EXIF tag, laid on white where it is transparent, made RGB in
    8 bits, and stretched to `size`: its sides' ratio is not kept.

    Args:
        root: the folder.
        size: (height, width), or the side of a square.
        progress: called with the number of files done and the number of all, after each file.

    Raises:
        InputError: `root` is no folder, has no image file below it, or none that can be used.
    """
    root = Path(root)
    height, width = side_lengths(size)
    _require_folder(root)
    skipped: list[Skipped] = []
    files = sorted(_image_files(root, skipped), key=natural)
    if not files:
        raise InputError(_nothing_below(root, skipped))
    images = np.empty((len(files), height, width, 3), np.uint8)
    ids: list[str] = []
    for done, name in enumerate(files, 1):
        try:
            images[len(ids)] = _read(root, name, height, width)
            ids.append(name)
        except Exception as error:  # Pillow raises nearly anything on a broken file
            skipped.append(Skipped(name, few_words(error)))
        if progress is not None:
            progress(done, len(files))
    if not ids:
        first = skipped[0]
        raise InputError(
            f"expected pictures in folders below {root}, one folder a person, got {len(skipped)} "
            f"files and none can be used ({first.path}: {first.reason}); look at that one first"
        )
    return Pictures(
        images[: len(ids)],
        np.array([str(PurePosixPath(name).parent) for name in ids]),
        np.array(ids),
        f"pictures below {_printable(str(root))}",
        tuple(sorted(skipped, key=lambda s: natural(s.path))),
    )


def natural(path: str) -> tuple[list[list[str | int]], str]:
    """A sorting key for POSIX paths that reads numbers as numbers, folder by folder.

    >>> sorted(["s10/1.pgm", "s2/10.pgm", "s2/9.pgm"], key=natural)
    ['s2/9.pgm', 's2/10.pgm', 's10/1.pgm']
    """
    # splitting on digits alternates text and number, so that like is compared with like
    pieces = [re.split(r"(\d+)", part) for part in path.split("/")]
    return [[int(p) if i % 2 else p for i, p in enumerate(part)] for part in pieces], path


def side_lengths(size: tuple[int, int] | int) -> tuple[int, int]:
    """The height and width that `size` means.

    Raises:
        InputError: they are not whole numbers of at least 1.

    >>> side_lengths(64), side_lengths((112, 96))
    ((64, 64), (112, 96))
    """
    sides: tuple[float, ...] = size if isinstance(size, tuple) else (size, size)
    if len(sides) != 2 or not all(float(n).is_integer() and n >= 1 for n in sides):
        raise InputError(
            f"size: expected a side or (height, width) in whole pixels >= 1, got {size!r}; "
            "64 is usual"
        )
    return int(sides[0]), int(sides[1])


def fit(image: Image.Image, height: int, width: int) -> npt.NDArray[np.uint8]:
    """The picture as (height, width, 3) uint8 RGB, averaged where it shrinks."""
    rgb = _rgb(image)
    if rgb.size != (width, height):
        # reducing by whole blocks first is much faster on a large picture and looks the same
        rgb = rgb.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(rgb)


def few_words(error: BaseException) -> str:
    """Why something could not be read, short enough for a list."""
    if isinstance(error, UnidentifiedImageError):
        return "not a PPM, PNG, JPEG or WebP picture"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    cause = getattr(error, "reason", None) or error  # what urllib wraps
    lines = str(getattr(cause, "strerror", None) or cause).splitlines() or ["no reason given"]
    return lines[0] if isinstance(error, OSError) else f"{type(error).__name__}: {lines[0]}"


def _image_files(root: Path, skipped: list[Skipped]) -> Iterator[str]:
    """The image files in folders below `root`, relative to it; what else could be meant is skipped.

    Links to folders are not followed: no loop, nothing from outside, nothing twice.
    """

    def skip(path: PurePath, reason: str) -> None:
        skipped.append(Skipped(_printable(path.as_posix()), reason))

    def unreadable(error: OSError) -> None:
        skip(Path(error.filename).relative_to(root), few_words(error))

    for folder, folders, files in os.walk(root, onerror=unreadable):
        here = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if (root / here / name).is_symlink():
                skip(here / name, "a link to a folder, not followed")
        for name in filter(_is_image_name, files):
            path = here / name
            if not here.parts:
                skip(path, "in nobody's folder; give each person a folder of their own")
            elif _printable(path.as_posix()) != path.as_posix():
                skip(path, "its path is not valid UTF-8; rename it")
            else:
                yield path.as_posix()


def _require_folder(root: Path) -> None:
    try:
        came = "a file" if not stat.S_ISDIR(root.stat().st_mode) else None
    except OSError as error:
        came = few_words(error)
    if came is not None:
        raise InputError(
            f"expected a folder of pictures at {root}, got {came}; "
            "give the folder that holds one folder for each person"
        )


def _is_image_name(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".")


def _printable(path: str) -> str:
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _nothing_below(root: Path, skipped: list[Skipped]) -> str:
    kinds = ", ".join(EXTENSIONS)
    came = f"none ({skipped[0].path}: {skipped[0].reason})" if skipped else "none"
    return (
        f"expected image files ({kinds}) in folders below {root}, one folder a person, got {came}; "
        "convert other formats to PNG or JPEG first"
    )


def _read(root: Path, name: str, height: int, width: int) -> npt.NDArray[np.uint8]:
    path = root / name
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")  # opening a pipe would wait for ever
    if status.st_size == 0:
        raise OSError("empty file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as image:
            side = 2 * max(height, width)  # still larger than asked, whichever way it is turned
            image.draft(None, (side, side))
            image.load()
            return fit(_upright(image), height, width)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged tag says nothing, and the pixels are sound
        return image


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of any mode: 16 bits scaled, transparency laid on white."""
    if image.mode == "F":
        raise OSError("floating-point pixels have no agreed range; convert it to 8 bits")
    if image.mode.startswith("I"):  # 16 bits of grey, whether kept in 16 or in 32
        grey = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
