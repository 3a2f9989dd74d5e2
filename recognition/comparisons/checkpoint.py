"""Half-done work on disk: all of it or none, of the same data, and nothing that can run."""

import os
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from recognition.errors import InputError
from recognition.whole_files import save_arrays

Arrays = Mapping[str, npt.NDArray[Any]]


def fingerprint(arrays: Arrays, options: str) -> str:
    """SHA-256 of arrays with their names, shapes and types, and of the options."""
    digest = sha256(options.encode())
    for name, array in arrays.items():
        digest.update(f"\\n{name} {array.shape} {array.dtype.str}\\n".encode())
        for top in range(0, len(array), 4096):  # a mapped file is not read at once
            digest.update(np.ascontiguousarray(array[top : top + 4096]).view(np.uint8).data)
    return digest.hexdigest()


def prepare(path: Path) -> None:
    """Refuse a place where nothing could be saved, before any work is done.

    Raises:
        InputError: no such folder, or one that cannot be written to, or a folder of that name.
    """
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK) or path.is_dir():
        raise InputError(
            f"expected a file in a folder that can be written to for the checkpoint, not {path}; "
            "make the folder first, or name another place"
        )


def save(path: Path, arrays: Arrays, mark: str) -> None:
    """Replace the checkpoint in one step: whoever stops at any moment leaves a whole one.

    Only the owner may read it, as its pairs tell who looks like whom.
    """
    save_arrays(path, {**arrays, "mark": np.array(mark)})


def remove(path: Path) -> None:
    """The work is done."""
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".part").unlink(missing_ok=True)


def load(path: Path, mark: str, kinds: Mapping[str, tuple[str, int]]) -> Arrays | None:
    """What was saved for the work with this `mark`, None where nothing was.

    Args:
        path: the file.
        mark: the fingerprint of data and options.
        kinds: type and number of dimensions of each array that is expected.

    Raises:
        InputError: a file that is cut short, altered, not a checkpoint, or of other work.
    """
    if not path.exists():
        return None
    try:
        arrays = _read(path, {**kinds, "mark": ("<U64", 0)})
    except (ValueError, OSError, EOFError, KeyError, NotImplementedError) as error:
        raise InputError(
            f"expected the checkpoint of an all-pairs comparison in {path}, but it cannot be "
            f"read ({error}); delete the file to begin anew, or name another place"
        ) from error
    if str(arrays["mark"]) != mark:
        raise InputError(
            f"expected a checkpoint of these embeddings, labels and options in {path}, but it "
            "belongs to others; name another place, or delete the file to begin anew"
        )
    return arrays


def _read(path: Path, kinds: Mapping[str, tuple[str, int]]) -> dict[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            if sorted(members) != sorted(f"{name}.npy" for name in kinds):
                raise ValueError("it holds other arrays")
            if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
                raise ValueError("it is compressed")
            arrays = {}
            for name, (dtype, ndim) in kinds.items():
                member = members[f"{name}.npy"]
                with archive.open(member) as file:
                    arrays[name] = _array(file, np.dtype(dtype), ndim)
            return arrays
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from error


def _array(file: IO[bytes], dtype: np.dtype[Any], ndim: int) -> npt.NDArray[Any]:
    """One array, its header believed only as far as the bytes that follow bear it out."""
    version = npy.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"an array in format {version}")
    shape, fortran, found = npy.read_array_header_1_0(file)
    data = file.read()
    if found != dtype or len(shape) != ndim or fortran:
        raise ValueError(f"an array of shape {shape} and type {found}")
    return np.frombuffer(data, dtype).reshape(shape).copy()  # refuses what does not fill it
