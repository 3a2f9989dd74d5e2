"""numpy's own files, one array or a zip of them; whatever would have to be unpickled is refused."""

import warnings
import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.lib import format as npy

from recognition.datasets._arrays import (
    Array,
    Container,
    Described,
    read_at,
    require_believable,
)
from recognition.datasets._files import listed, shown
from recognition.errors import InputError

_ENCRYPTED = 0x1


class _Header(NamedTuple):
    described: Described
    columns_first: bool
    offset: int


def open_npy(path: Path) -> Container:
    """The one array of a .npy file, under the name of embeddings."""
    with path.open("rb") as file:
        header = _header(file)
        _require_exact(path, path.name, header, path.stat().st_size)
    if header.described.dtype.hasobject:
        raise InputError(_pickled(path, path.name))

    def load(name: str) -> Array:
        return read_at(path, header.offset, header.described, columns_first=header.columns_first)

    return Container({"embeddings": header.described}, load)


def open_npz(path: Path) -> Container:
    """The arrays of a .npz file by name; other members of the zip are passed over."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        _require_sound(path, members)
        for info in members:
            require_believable(path, info.filename, info.file_size, info.compress_size)
            with archive.open(info) as file:
                header = _header(file)
            if not header.described.dtype.hasobject:
                _require_exact(path, info.filename, header, info.file_size)
            arrays[info.filename.removesuffix(".npy")] = header.described

    def load(name: str) -> Array:
        if arrays[name].dtype.hasobject:
            raise InputError(_pickled(path, name))
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            values: Array = npy.read_array(file)
        return values

    def stream(name: str, rows: int) -> Iterator[Array]:
        if arrays[name].dtype.hasobject:
            raise InputError(_pickled(path, name))
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            header = _header(file)
            (count, *rest), dtype = header.described
            if header.columns_first:
                yield load(name)  # a row is everywhere in it
                return
            for start in range(0, count, rows):
                shape = (min(rows, count - start), *rest)
                raw = file.read(prod(shape) * dtype.itemsize)
                yield np.frombuffer(raw, dtype, prod(shape)).reshape(shape)
            file.read(1)  # at the end the sum of all is compared

    return Container(arrays, load, stream=stream)


def _header(file: IO[bytes]) -> _Header:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers that Python 2 wrote
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version[0]}.{version[1]} of the format holds records")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, columns_first, dtype = read(file)
    if any(isinstance(n, bool) or n < 0 for n in shape):
        raise ValueError(f"no array has the shape {shape}")
    return _Header(Described(tuple(shape), dtype), columns_first, file.tell())


def _require_exact(path: Path, name: str, header: _Header, size: int) -> None:
    """Refuses an array with more or fewer bytes than its header claims, before any is read."""
    shape, dtype = header.described
    if not dtype.hasobject and size - header.offset != prod(shape) * dtype.itemsize:
        raise InputError(
            f"{shown(path)}: expected {header.described.nbytes:,} bytes of {dtype} in the shape "
            f"{shape}, as the header of {listed([name])} says, got {size - header.offset:,}; the "
            "file is damaged or cut short: write it again"
        )


def _require_sound(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [info.filename for info in members]
    if len(set(names)) < len(names):
        raise InputError(
            f"{shown(path)}: expected every array once, got {listed(names)}; write it again with "
            "numpy.savez"
        )
    known = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    stored = sum(info.compress_size for info in members)
    plain = all(i.compress_type in known and not i.flag_bits & _ENCRYPTED for i in members)
    if not plain or stored > path.stat().st_size:
        raise InputError(
            f"{shown(path)}: expected arrays as numpy.savez stores them, but the zip is "
            "encrypted, packed in another way or overlaps itself; write it again with numpy.savez"
        )


def _pickled(path: Path, name: str) -> str:
    return (
        f"{shown(path)}: expected numbers or text in {listed([name])}, but it is an array of "
        "objects, which only unpickling could read and which may run code; save it again after "
        ".astype(str) or .astype(numpy.float32)"
    )
