"""MATLAB's files of version 5 to 7, as far as lists of numbers and of texts go.

scipy.io.loadmat reads more, but trusts what a file claims: it allocates arrays of any size that a
header names, and goes as deep as cells are nested. Here a file may unpack to 64 MiB, cells hold
numbers or text and no further cells, and every element has to end where its parent says.

Source: MathWorks, MAT-File Format (R2024b), chapter 1.
"""

import zlib
from collections.abc import Container, Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._arrays import UNPACKED
from recognition.datasets._files import shown
from recognition.errors import InputError

Array = npt.NDArray[Any]
Value = Array | str | list[Array | str]

_NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_CELL, _CHAR, _NUMERIC = 1, 4, range(6, 16)
_COMPLEX = 0x0800
_HEADER, _NAME = 128, 63


class _Element(NamedTuple):
    type: int
    data: memoryview
    end: int  # where the next one begins


def read_mat(path: Path, wanted: Container[str]) -> dict[str, Value]:
    """The variables of these names that the file has; others are passed over.

    Numbers are arrays with their shape, a char array is one text, and a cell array is a flat list,
    columns first.

    Raises:
        InputError: a file of version 7.3, one that unpacks to more than 64 MiB, or a variable of
            another kind. ValueError, zlib.error and the like where it is damaged.
    """
    raw = path.read_bytes()
    if raw[:4] == b"\x89HDF" or raw[:19] == b"MATLAB 7.3 MAT-file" or raw[512:516] == b"\x89HDF":
        raise InputError(
            f"{shown(path)}: expected a MATLAB file of version 5 to 7, got version 7.3, which is "
            "HDF5; save it again with save(..., '-v7')"
        )
    order = {b"IM": "<", b"MI": ">"}.get(raw[126:128])
    if order is None or len(raw) < _HEADER:
        raise ValueError("it does not begin as a MATLAB file of version 5 does")
    found: dict[str, Value] = {}
    left = UNPACKED
    for element in _elements(memoryview(raw)[_HEADER:], order, padded=False):
        body, kind = element.data, element.type
        if kind == _COMPRESSED:
            unpacked = _unpacked(path, bytes(body), left)
            left -= len(unpacked)
            (inner,) = _elements(memoryview(unpacked), order)
            body, kind = inner.data, inner.type
        if kind != _MATRIX:
            raise ValueError(f"element of type {kind} where a variable should be")
        matrix = _Matrix.of(body, order)
        if matrix.name not in wanted:
            continue
        if matrix.name in found:
            raise ValueError(f"variable {matrix.name!r} comes twice")
        found[matrix.name] = matrix.value(cells=True)
    return found


def _unpacked(path: Path, packed: bytes, most: int) -> bytes:
    inflate = zlib.decompressobj()
    whole = inflate.decompress(packed, most + 1)
    if len(whole) > most:
        raise InputError(
            f"{shown(path)}: expected a list of pictures, but it unpacks to more than "
            f"{UNPACKED:,} bytes; it is no such list, or damaged"
        )
    if not inflate.eof:
        raise ValueError("a compressed variable is cut short")
    return whole


def _elements(data: memoryview, order: str, *, padded: bool = True) -> Iterator[_Element]:
    """One after the other, up to the very end; variables themselves are not padded."""
    at = 0
    while at < len(data):
        element = _element(data, at, order)
        yield element
        pad = -element.end % 8 if padded else 0
        at = min(len(data), element.end + pad)


def _element(data: memoryview, at: int, order: str) -> _Element:
    tag = np.frombuffer(data[at : at + 8], f"{order}u4")
    if len(tag) != 2:
        raise ValueError("it ends within a tag")
    first, size = int(tag[0]), int(tag[1])
    start = at + 8
    if first >> 16:  # up to four bytes stand in the tag itself
        first, size, start = first & 0xFFFF, first >> 16, at + 4
        if size > 4:
            raise ValueError("a tag claims more than it can hold")
    if start + size > len(data):
        raise ValueError(f"{size} bytes are claimed where {len(data) - start} are left")
    return _Element(first, data[start : start + size], max(start + size, at + 8))


class _Matrix(NamedTuple):
    """A variable or an entry of a cell array."""

    kind: int
    shape: tuple[int, ...]
    name: str
    parts: list[_Element]
    order: str

    @classmethod
    def of(cls, body: memoryview, order: str) -> "_Matrix":
        if not len(body):  # how an empty entry of a cell array is written
            return cls(_NUMERIC[0], (0, 0), "", [], order)
        flags, sizes, name, *parts = _elements(body, order)
        if flags.type != _UINT32 or len(flags.data) != 8 or sizes.type != _INT32:
            raise ValueError("a variable does not begin with flags and sizes")
        bits = int(np.frombuffer(flags.data, f"{order}u4")[0])
        if bits & _COMPLEX or name.type != _INT8 or len(name.data) > _NAME:
            raise ValueError("a variable is complex or has no proper name")
        shape = tuple(np.frombuffer(sizes.data, f"{order}i4").tolist())
        if len(shape) < 2 or min(shape) < 0:
            raise ValueError(f"no array has the sizes {shape}")
        return cls(bits & 0xFF, shape, bytes(name.data).decode("ascii"), parts, order)

    def value(self, *, cells: bool) -> Any:
        """What it holds: cells only where they are allowed."""
        if self.kind == _CELL and cells:
            if len(self.parts) != prod(self.shape) or any(p.type != _MATRIX for p in self.parts):
                raise ValueError(f"{len(self.parts)} cells where {self.shape} are claimed")
            return [_Matrix.of(p.data, self.order).value(cells=False) for p in self.parts]
        if self.kind == _CHAR:
            return self._text()
        if self.kind in _NUMERIC:
            return self._numbers()
        raise ValueError(
            f"{self.name or 'an entry of a cell array'} is neither numbers nor text, but of class "
            f"{self.kind}"
        )

    def _numbers(self) -> Array:
        if not prod(self.shape) and len(self.parts) <= 1:
            return np.empty(self.shape)
        (part,) = self.parts
        if part.type not in _NUMBERS:
            raise ValueError(f"numbers are stored as type {part.type}")
        values = np.frombuffer(part.data, self.order + _NUMBERS[part.type])
        if len(values) != prod(self.shape):
            raise ValueError(f"{len(values)} numbers where {self.shape} are claimed")
        return values.reshape(self.shape, order="F")

    def _text(self) -> str:
        if not prod(self.shape):
            return ""
        (part,) = self.parts
        if part.type not in _TEXTS or self.shape[0] != 1 or len(self.shape) != 2:
            raise ValueError("text is stored in several rows or an unknown way")
        encoding = _TEXTS[part.type]
        if encoding == "utf-16":
            encoding += "-le" if self.order == "<" else "-be"
        return bytes(part.data).decode(encoding)
