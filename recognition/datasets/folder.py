"""A folder of pictures, one folder a person: the data set that anyone can make."""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from recognition.datasets.decoding import few_words, side_lengths
from recognition.datasets.listings import Listing, read_listing
from recognition.datasets.pictures import Pictures, Skipped
from recognition.errors import InputError

EXTENSIONS = (".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
SPLITS = ("train", "test", "val", "valid", "validation")  # what halves of a data set are called


def read_folder(
    root: Path,
    *,
    size: tuple[int, int] | int = 64,
    people: int | Sequence[str] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Pictures:
    """Every picture below a folder; the folder that holds a picture names the person on it.

    `root/ann/1.jpg` shows "ann", and `root/Greek/character01/3.png` shows "Greek/character01". A
    picture in `root` itself belongs to nobody. Where all folders in `root` are called train,
    test or val, as VGGFace2's are, these are no part of a name: `train/ann` and `test/ann` are one
    person. LFW (`Ann_Bo/Ann_Bo_0001.jpg`) and CASIA-WebFace (`0000045/001.jpg`) are such folders
    as they are.

    Files are picked by extension (PGM, PPM, PNG, JPEG, WebP) and decoded by content; hidden files,
    hidden folders and other files are ignored. What cannot be decoded is listed in `skipped` with
    its reason, as are links to folders, which are not followed. The order is the natural one, s2
    before s10.

    A picture is turned upright by its EXIF tag, laid on white where it is transparent, made RGB in
    8 bits, and stretched to `size`: its sides' ratio is not kept.

    Args:
        root: the folder.
        size: (height, width), or the side of a square.
        people: names, or how many people to draw at random; by default all are read.
        seed: of that draw.
        progress: called with the number of files done and the number of all, after each file.

    Raises:
        InputError: `root` is no folder, has no image file below it, none that can be used, or more
            than fit in memory.
    """
    sides = side_lengths(size)
    listing = list_folder(root)
    found = read_listing(listing, sides, people=people, seed=seed, progress=progress)
    if not len(found):
        first = found.skipped[0]
        raise InputError(
            f"expected pictures in folders below {root}, one folder a person, got "
            f"{len(found.skipped)} files and none can be used ({first.path}: {first.reason}); look "
            "at that one first"
        )
    return replace(found, skipped=tuple(sorted(found.skipped, key=lambda s: natural(s.path))))


def list_folder(root: Path) -> Listing:
    """Every picture below a folder, none of them opened; see `read_folder`.

    Raises:
        InputError: `root` is no folder, or has no image file below it.
    """
    root = Path(root)
    _require_folder(root)
    skipped: list[Skipped] = []
    files = sorted(_image_files(root, skipped), key=natural)
    if not files:
        raise InputError(_nothing_below(root, skipped))
    files, labels = persons_of(files, skipped)
    ids = np.array(files, np.str_)
    return Listing(
        np.array(labels, np.str_),
        ids,
        f"pictures below {_printable(str(root))}",
        lambda place: root / str(ids[place]),
        skipped=tuple(skipped),
    )


def natural(path: str) -> tuple[list[list[str | int]], str]:
    """A sorting key for POSIX paths that reads numbers as numbers, folder by folder.

    >>> sorted(["s10/1.pgm", "s2/10.pgm", "s2/9.pgm"], key=natural)
    ['s2/9.pgm', 's2/10.pgm', 's10/1.pgm']
    """
    # splitting on digits alternates text and number, so that like is compared with like
    pieces = [re.split(r"(\d+)", part) for part in path.split("/")]
    return [[int(p) if i % 2 else p for i, p in enumerate(part)] for part in pieces], path


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


def persons_of(files: Sequence[str], skipped: list[Skipped]) -> tuple[list[str], list[str]]:
    """The files, and the person on each: the folder, without the name of a split above it."""
    folders = [PurePosixPath(name).parent for name in files]
    divided = all(folder.parts[0].lower() in SPLITS for folder in folders)
    if not divided or all(len(folder.parts) == 1 for folder in folders):
        return list(files), [str(folder) for folder in folders]
    own: list[tuple[str, str]] = []
    for name, folder in zip(files, folders, strict=True):
        if len(folder.parts) == 1:
            skipped.append(
                Skipped(name, "in nobody's folder; give each person a folder of their own")
            )
        else:
            own.append((name, str(PurePosixPath(*folder.parts[1:]))))
    return [name for name, _ in own], [person for _, person in own]


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
