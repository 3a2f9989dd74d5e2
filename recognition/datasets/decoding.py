"""Pictures as every reader hands them out: decoded by Pillow, upright, RGB, of one size."""

import io
import re
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from recognition.datasets.pictures import Skipped
from recognition.errors import InputError

Pixels = npt.NDArray[np.uint8]
Source = Path | bytes | bytearray | Pixels
_REMARKS = ("ignore", None, Warning, re.compile(r"(PIL|pillow_heif)\b"), 0)  # a filter of warnings
FORMATS = ("PPM", "PNG", "JPEG", "WEBP")  # Pillow's names; PGM is one of its PPM


class Decoded(NamedTuple):
    """The pictures that could be used (K, H, W, 3), their places (K,), and what is left out."""

    images: Pixels
    places: npt.NDArray[np.int64]
    skipped: list[Skipped]


def decode_all(
    names: Sequence[str],
    source: Callable[[int], Source],
    sides: tuple[int, int],
    progress: Callable[[int, int], None] | None = None,
) -> Decoded:
    """Every picture, one after the other; what cannot be decoded is skipped with its reason.

    Args:
        names: (N,) what to call each.
        source: hands out the i-th when its turn comes.
        sides: height and width.
        progress: called with the number done and the number of all, after each.
    """
    images = np.empty((len(names), *sides, 3), np.uint8)
    places: list[int] = []
    skipped: list[Skipped] = []
    for i, name in enumerate(names):
        try:
            images[len(places)] = decode(source(i), *sides)
            places.append(i)
        except InputError:
            raise
        except Exception as error:  # Pillow raises nearly anything on a broken file
            skipped.append(Skipped(name, few_words(error)))
        if progress is not None:
            progress(i + 1, len(names))
    return Decoded(images[: len(places)], np.array(places, np.int64), skipped)


def decode(source: Source, height: int, width: int) -> Pixels:
    """One picture as (height, width, 3) uint8 RGB, stretched, averaged where it shrinks.

    It is turned upright by its EXIF tag, laid on white where it is transparent, and made 8 bits.

    Args:
        source: a file; the bytes of one, or such bytes as an array (n,) or (n, 1), as
            cv2.imencode makes them; or pixels (h, w, 3) in RGB.
        height: of the result.
        width: of the result.

    Raises:
        Exception: nearly any, where there is no such picture; `few_words` says why.
    """
    with _turned(source, max(height, width)) as image:
        return fit(image, height, width)


def shrunk(source: Source, side: int) -> Pixels:
    """One picture as `decode` reads it, (h, w, 3), its longer side at most `side`; never enlarged.

    Raises:
        Exception: nearly any, where there is no such picture; `few_words` says why.
    """
    with _turned(source, side) as image:
        scale = min(1.0, side / max(image.size))
        width, height = (max(1, round(length * scale)) for length in image.size)
        return fit(image, height, width)


@contextmanager
def _turned(source: Source, side: int) -> Iterator[Image.Image]:
    """A picture upright, in its own mode, of which no more than about twice `side` is decoded."""
    if isinstance(source, Path):
        _require_regular(source)
    elif isinstance(source, np.ndarray):
        if source.ndim == 3:
            yield Image.fromarray(source)
            return
        source = source.tobytes()
    file = source if isinstance(source, Path) else io.BytesIO(source)
    with opened(file) as image:
        # still larger than asked, whichever way it is turned
        image.draft(None, (2 * side, 2 * side))
        yield upright(image).image


@contextmanager
def opened(
    file: Path | io.BytesIO, formats: tuple[str, ...] = FORMATS
) -> Iterator[ImageFile.ImageFile]:
    """A picture whose header is read, and nothing more; one with too many pixels is refused.

    Args:
        file: the file, or its bytes.
        formats: Pillow's names of those that are let in.

    Raises:
        Exception: nearly any, where there is no such picture; `few_words` says why.
    """
    _leave_remarks_unheard()
    with Image.open(file, formats=formats) as image:
        if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError
        yield image


class Upright(NamedTuple):
    """A picture turned upright, and the EXIF orientation it had, 1 to 8."""

    image: Image.Image
    orientation: int


def upright(image: Image.Image) -> Upright:
    """Decode all of it, and turn it as its EXIF tag says."""
    image.load()
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if orientation not in range(2, 9):
            return Upright(image, 1)
        return Upright(ImageOps.exif_transpose(image), int(orientation))
    except Exception:  # a damaged tag says nothing, and the pixels are sound
        return Upright(image, 1)


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


def fit(image: Image.Image, height: int, width: int) -> Pixels:
    """The picture as (height, width, 3) uint8 RGB, averaged where it shrinks."""
    rgb = as_rgb(image)
    if rgb.size != (width, height):
        # reducing by whole blocks first is much faster on a large picture and looks the same
        rgb = rgb.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(rgb)


def few_words(error: BaseException) -> str:
    """Why something could not be read, short enough for a list."""
    if isinstance(error, UnidentifiedImageError):
        return "not a PPM, PNG, JPEG or WebP picture"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    cause = getattr(error, "reason", None) or error  # what urllib wraps
    lines = str(getattr(cause, "strerror", None) or cause).splitlines() or ["no reason given"]
    return lines[0] if isinstance(error, OSError) else f"{type(error).__name__}: {lines[0]}"


def _leave_remarks_unheard() -> None:
    """Silence what Pillow says of odd metadata, and nothing else, for good.

    Filters of warnings belong to the process: a thread that put them back afterwards would undo
    what others have set meanwhile.
    """
    if _REMARKS not in warnings.filters:
        warnings.filterwarnings("ignore", module=_REMARKS[3].pattern)


def _require_regular(path: Path) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")  # opening a pipe would wait for ever
    if status.st_size == 0:
        raise OSError("empty file")


def as_rgb(image: Image.Image) -> Image.Image:
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
