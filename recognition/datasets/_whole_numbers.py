"""Lines of a few whole numbers, millions of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.errors import InputError
from recognition.progress import Watch, unwatched

Integers = npt.NDArray[np.int32]

CHUNK = 2**22  # bytes read at a time
DIGITS = 9  # of a number: whatever has so many fits int32


def read_whole_numbers(
    path: Path, columns: int, expected: str, *, watch: Watch = unwatched
) -> list[Integers]:
    """The columns of a file of lines with so many whole numbers each, separated by one blank.

    16 million lines take some two seconds: each chunk is checked and read by a few passes of
    numpy, and only one that is wrong is looked at line by line.

    Args:
        path: a file without a header.
        columns: numbers in each line; of 1 to 9 digits each, without a sign.
        expected: what the file is, for a message: "pairs of templates, ...".
        watch: told how many bytes are read.

    Raises:
        InputError: no such file, a line of anything else, or a last line without an end.
    """
    size = require_file(path, expected)
    parts = []
    with (
        refusing(path, expected, "write it again"),
        path.open("rb") as file,
        watch(f"reading {shown(Path(path.name))}", size) as advance,
    ):
        line = done = 0
        for chunk in _chunks(path, file):
            done += len(chunk)
            parts.append(_numbers(path, chunk, columns, line).T.copy())
            line += parts[-1].shape[1]
            advance(done)
    return [np.concatenate([part[column] for part in parts]) for column in range(columns)]


def _chunks(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Whole lines, some megabytes of them at a time."""
    left = b""
    while new := file.read(CHUNK):
        end = new.rfind(b"\n") + 1
        if end:
            yield left + new[:end]
            left = new[end:]
        else:
            left += new
        if len(left) > CHUNK:
            raise InputError(
                f"{shown(path)}: expected lines of a few numbers, got one of more than "
                f"{CHUNK:,} bytes; look at what the file holds"
            )
    if left:
        raise InputError(
            f"{shown(path)}: expected a line end after the last line, got none, so the file may "
            "be cut short; add the line end if it is whole"
        )


def _numbers(path: Path, chunk: bytes, columns: int, line: int) -> Integers:
    """(n, columns) the numbers in some lines, of which `line` come before."""
    text = chunk.replace(b"\r\n", b"\n") if b"\r" in chunk else chunk
    raw = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(raw < ord("0"))  # all that is no digit, unless it is above them
    lengths = np.diff(ends, prepend=-1) - 1
    if raw.max() <= ord("9") and len(ends) % columns == 0:
        table = raw[ends].reshape(-1, columns)
        blank = (table[:, :-1] == ord(" ")) | (table[:, :-1] == ord("\t"))
        fits = lengths.min() >= 1 and lengths.max() <= DIGITS
        if fits and blank.all() and (table[:, -1] == ord("\n")).all():
            return np.fromstring(text, np.int32, sep=" ").reshape(-1, columns)
    raise InputError(_wrong_line(path, text, columns, line))


def _wrong_line(path: Path, text: bytes, columns: int, line: int) -> str:
    right = re.compile(rb"[ \t]".join([rb"[0-9]{1,%d}" % DIGITS] * columns))
    for number, came in enumerate(text.split(b"\n")[:-1], line + 1):
        if not right.fullmatch(came):
            got = listed([came[:80].decode("ascii", "replace")])
            return (
                f"{shown(path)}, line {number}: expected {columns} whole numbers of at most {DIGITS} "
                f"digits with one blank between them, got {got}; correct this line"
            )
    return f"{shown(path)}: expected {columns} whole numbers in each line; write it again"
