"""MXNet's RecordIO, without MXNet: pictures with labels in one file, and where each begins.

A record is uint32 magic, uint32 c << 29 | length, the payload, and zeros up to a multiple of four.
A payload that holds the magic itself is cut there into parts, c = 1, 2, ..., 2, 3; c = 0 is a whole
one. A payload is `<IfQQ`: flag, label, id, id2; then `flag` labels in float32, then the picture.

Source: dmlc-core, include/dmlc/recordio.h; MXNet, python/mxnet/recordio.py.
"""

import os
import struct
import weakref
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, reason, refusing, require_file, shown
from recognition.datasets._tables import word_blocks
from recognition.errors import InputError

Places = npt.NDArray[np.int64]

MAGIC = struct.pack("<I", 0xCED7230A)
WHOLE, BEGIN, MIDDLE, END = range(4)
_LENGTH = 2**29 - 1
_HEADER = struct.Struct("<IfQQ")
_DIGITS = 18  # of a number in an index: below 2^63
_EVERY = 4096  # records between two words on progress
Progress = Callable[[int, int], None] | None


class Head(NamedTuple):
    """The labels of a record, of which there is one at least, and its length without them."""

    labels: tuple[float, ...]
    rest: int


@dataclass(frozen=True)
class Records:
    """An open file of records, any of which can be read by itself.

    Attributes:
        path: the file.
        keys: (N,) of the records, ascending.
        offsets: (N,) where each begins.
        size: of the file, in bytes.
        file: opened, for reading by any number of threads.
    """

    path: Path
    keys: Places
    offsets: Places
    size: int
    file: BinaryIO

    def place(self, key: int) -> int | None:
        """Which record has this key."""
        at = int(np.searchsorted(self.keys, key))
        return at if at < len(self.keys) and self.keys[at] == key else None

    def head(self, place: int) -> Head:
        """The labels of a record, without the picture."""
        part, length, start = self._part(place, int(self.offsets[place]))
        if part == WHOLE and length >= _HEADER.size:
            flag = struct.unpack("<I", self._bytes(place, start, 4))[0]
            wanted = min(length, _HEADER.size + 4 * flag)
            labels = self._labels(place, self._bytes(place, start, wanted))
            return Head(labels, length - wanted)
        payload = self._payload(place)
        labels = self._labels(place, payload)
        return Head(labels, len(payload) - _HEADER.size - 4 * _flag(payload))

    def picture(self, place: int) -> bytes:
        """What follows the labels of a record."""
        payload = self._payload(place)
        self._labels(place, payload)
        return payload[_HEADER.size + 4 * _flag(payload) :]

    def require_label(self, place: int, label: int) -> None:
        """Refuse a record whose first label has become another one since it was read."""
        if self.head(place).labels[0] != label:
            raise InputError(self._broken(place, f"its label is no longer {label}"))

    def _payload(self, place: int) -> bytes:
        """All parts of a record, joined with the magic that they were cut at."""
        part, length, start = self._part(place, int(self.offsets[place]))
        pieces = [self._bytes(place, start, length)]
        while part not in (WHOLE, END):
            part, length, start = self._part(place, start + _padded(length))
            if part not in (MIDDLE, END):
                raise InputError(self._broken(place, "its parts do not follow each other"))
            pieces.append(self._bytes(place, start, length))
        return MAGIC.join(pieces)

    def _part(self, place: int, offset: int) -> tuple[int, int, int]:
        """Which part of a record begins here, how long it is, and where its payload begins."""
        head = self._bytes(place, offset, 8)
        if head[:4] != MAGIC:
            raise InputError(self._broken(place, "none begins there"))
        word = struct.unpack("<I", head[4:])[0]
        part, length = word >> 29, word & _LENGTH
        if part > END or (offset == self.offsets[place] and part not in (WHOLE, BEGIN)):
            raise InputError(self._broken(place, "a part of another one is there"))
        if offset + 8 + length > self.size:
            raise InputError(self._broken(place, f"it would end beyond byte {self.size:,}"))
        return part, length, offset + 8

    def _labels(self, place: int, payload: bytes) -> tuple[float, ...]:
        if len(payload) < _HEADER.size or len(payload) < _HEADER.size + 4 * _flag(payload):
            raise InputError(self._broken(place, "it has no room for its labels"))
        flag, label, *_ = _HEADER.unpack_from(payload)
        more: tuple[float, ...] = struct.unpack_from(f"<{flag}f", payload, _HEADER.size)
        return more or (label,)

    def _bytes(self, place: int, offset: int, length: int) -> bytes:
        try:
            raw = _at(self.file, length, offset)
        except OSError as error:
            raise InputError(self._broken(place, reason(error))) from error
        if len(raw) != length:
            raise InputError(self._broken(place, f"the file ends at byte {self.size:,}"))
        return raw

    def _broken(self, place: int, came: str) -> str:
        return (
            f"{shown(self.path)}: expected record {self.keys[place]} at byte "
            f"{self.offsets[place]:,}, but {came}; the file is cut short or damaged, or its .idx "
            "belongs to another one: fetch both again"
        )


@contextmanager
def open_records(path: Path, progress: Progress = None) -> Iterator[Records]:
    """The records of a `.rec` file, found by the `.idx` beside it, or by walking through the file.

    Raises:
        InputError: no such file, an index that does not fit it, or without one a file that is not
            a row of records.
    """
    records = hold_records(path, progress)
    try:
        yield records
    finally:
        records.file.close()


def hold_records(path: Path, progress: Progress = None) -> Records:
    """The records of a `.rec` file, as `open_records`, open as long as anybody has them."""
    expected = "records of MXNet (a .rec file)"
    size = require_file(path, expected)
    index = path.with_suffix(".idx")
    with ExitStack() as opened:
        file = opened.enter_context(path.open("rb"))
        with refusing(path, expected, "fetch it again"):
            keys, offsets = (
                _read_index(index, path, size)
                if index.exists()
                else _walk(path, file, size, progress)
            )
        records = Records(path, keys, offsets, size, file)
        weakref.finalize(records, opened.pop_all().close)
    return records


def _at(file: BinaryIO, length: int, offset: int) -> bytes:
    return os.pread(file.fileno(), length, offset)  # threads share the file, so none may seek in it


def _flag(payload: bytes) -> int:
    flag: int = _HEADER.unpack_from(payload)[0]
    return flag


def _padded(length: int) -> int:
    return (length + 3) // 4 * 4


def _read_index(index: Path, path: Path, size: int) -> tuple[Places, Places]:
    expected = "an index of records (lines of a key and a place in the file)"
    require_file(index, expected)
    columns: list[list[Places]] = [[], []]
    with refusing(index, expected, "fetch it again"):
        for block in word_blocks(index):
            if len(block.columns) != 2:
                raise InputError(
                    f"{shown(index)}: expected {expected}, got {len(block.columns)} columns; "
                    "fetch it again"
                )
            for column, texts in zip(columns, block.columns, strict=True):
                wrong = [t for t in texts if not (t.isascii() and t.isdigit()) or len(t) > _DIGITS]
                if wrong:
                    raise InputError(
                        f"{shown(index)}: expected whole numbers, got {listed(wrong, 2)}; fetch "
                        "it again"
                    )
                column.append(np.array(texts, np.int64))
    keys, offsets = (np.concatenate([np.empty(0, np.int64), *column]) for column in columns)
    order = np.argsort(keys, kind="stable")
    keys, offsets = keys[order], offsets[order]
    if not len(keys) or len(np.unique(keys)) < len(keys) or len(np.unique(offsets)) < len(keys):
        raise InputError(
            f"{shown(index)}: expected every key and every place once, got {len(keys):,} lines "
            f"with {len(np.unique(keys)):,} keys and {len(np.unique(offsets)):,} places; fetch it "
            "again"
        )
    beyond = (offsets + 8 > size) | (offsets % 4 != 0)
    if beyond.any():
        raise InputError(
            f"{shown(index)}: expected places in {shown(path)}, multiples of four below "
            f"{size:,}, got {offsets[beyond.argmax()]:,}; one of the files is cut short or belongs "
            "to another: fetch both again"
        )
    return keys, offsets


def _walk(path: Path, file: BinaryIO, size: int, progress: Progress) -> tuple[Places, Places]:
    """The records one after the other, numbered from 0."""
    starts = array("q")
    at, parts = 0, 0
    while at < size:
        head = _at(file, 8, at)
        word = int.from_bytes(head[4:], "little")
        part, length = word >> 29, word & _LENGTH
        follows = part in ((MIDDLE, END) if parts else (WHOLE, BEGIN))
        if len(head) < 8 or head[:4] != MAGIC or not follows or at + 8 + length > size:
            raise InputError(
                f"{shown(path)}: expected one record after the other, but none is at byte {at:,} "
                f"of {size:,}; the file is cut short or damaged: fetch it again"
            )
        if not parts:
            starts.append(at)
        parts = part in (BEGIN, MIDDLE)
        at += 8 + _padded(length)
        if progress is not None and len(starts) % _EVERY == 0:
            progress(min(at, size), size)
    return np.arange(len(starts)), np.array(starts)
