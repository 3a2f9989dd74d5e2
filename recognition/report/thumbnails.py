"""Small pictures for a report, only where they were asked for: faces are personal data."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from recognition.datasets.decoding import Source, few_words, shrunk
from recognition.datasets.pictures import Skipped

SIDE = 96  # of the longer side, in pixels
TOGETHER = 1_000_000  # bytes
QUALITY = 80
MOST_OF_A_LIST = 12  # entries of a list whose pictures are shown


class Thumbnails(NamedTuple):
    """JPEG pictures by the names of the pictures, and those that could not be had."""

    pictures: dict[str, bytes]
    skipped: tuple[Skipped, ...]


def pictures_of(lists: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of the pictures in lists of results, each once, the first entries of each list.

    >>> pictures_of([{"headings": ["picture", "person"], "rows": [["a.png", "ann"]]}])
    ['a.png']
    """
    names: dict[str, None] = {}
    for listing in lists:
        columns = [k for k, name in enumerate(listing["headings"]) if name.startswith("picture")]
        for row in listing["rows"][:MOST_OF_A_LIST]:
            names |= dict.fromkeys(str(row[column]) for column in columns)
    return list(names)


def from_folder(names: Sequence[str], folder: Path) -> Thumbnails:
    """Of pictures whose names are paths below a folder, and of nothing outside it."""
    root = folder.resolve()
    found: dict[str, Source] = {}
    skipped = []
    for name in names:
        path = _below(root, name)
        if path is None:
            skipped.append(Skipped(name, "no path below the folder"))
        else:
            found[name] = path
    made = thumbnails(found)
    return Thumbnails(made.pictures, (*skipped, *made.skipped))


def _below(root: Path, name: str) -> Path | None:
    """Where a name leads, links followed; None where that is out of the folder."""
    try:
        path = (root / name).resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL, a name too long, links in a circle
        return None
    return path if path.is_relative_to(root) else None


def thumbnails(sources: Mapping[str, Source]) -> Thumbnails:
    """Small JPEG pictures without any metadata, together below a megabyte, the first ones first.

    What cannot be decoded, or has no room left, is skipped with its reason.
    """
    made: dict[str, bytes] = {}
    skipped, size = [], 0
    for name, source in sources.items():
        try:
            small = _as_jpeg(shrunk(source, SIDE))
        except Exception as error:  # Pillow raises nearly anything on a broken file
            skipped.append(Skipped(name, few_words(error)))
            continue
        if size + len(small) > TOGETHER:
            skipped.append(Skipped(name, f"more than {TOGETHER:,} bytes of pictures"))
            continue
        made[name], size = small, size + len(small)
    return Thumbnails(made, tuple(skipped))


def _as_jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    """From pixels alone: whatever else the file held is gone."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
