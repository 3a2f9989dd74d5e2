"""Files that are there whole or not at all."""

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """An empty file that takes its name, and its disk, when somebody has filled it.

    Whoever stops at any moment leaves what was there before. Only the owner may read it, as what
    is told of faces is personal.
    """
    part = path.with_name(path.name + ".part")
    try:
        private_file(part).close()
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, as `whole_path` gives it."""
    with whole_path(path) as part, part.open("wb") as file:
        yield file


def private_file(path: Path) -> IO[bytes]:
    """A new file to write to, in the place of any other, that only its owner may read."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def sync_folder(folder: Path) -> None:
    """See that the names in a folder are on the disk."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """A .npz written whole; the same arrays make the same bytes, as no time is in it."""
    with written_whole(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # of 1980, as all are
            with archive.open(member, "w", force_zip64=True) as stream:
                npy.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)
