"""Columns of text, from files with commas or with blanks, a block of lines at a time."""

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, reason, shown
from recognition.errors import InputError

ROWS = 2**12  # of a block
MOST_TEXT = 2**33  # bytes of one column: numpy stores every text as wide as the longest


class Block(NamedTuple):
    """Some rows of a table: the line of the first, and the columns."""

    line: int
    columns: tuple[tuple[str, ...], ...]

    @property
    def rows(self) -> int:
        """How many rows these are."""
        return len(self.columns[0])


class Table(NamedTuple):
    """A table in commas: its header, and the rows below it."""

    header: tuple[str, ...]
    blocks: Iterator[Block]

    def place(self, path: Path, names: Sequence[str]) -> int | None:
        """Which column has one of these names, in capitals or not.

        Raises:
            InputError: more than one has.
        """
        found = [i for i, name in enumerate(self.header) if name.lower() in names]
        if len(found) > 1:
            raise InputError(
                f"{shown(path)}, line 1: expected one of the columns {listed(names, 9)}, but got "
                f"{listed(self.header[i] for i in found)}, which say the same; remove one"
            )
        return found[0] if found else None


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, each with its end.

    Raises:
        InputError: not UTF-8, or a last line without an end: what is cut short in the middle of a
            number still reads as a number.
    """
    line = "\n"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line in file:
                yield line
    except UnicodeDecodeError as error:
        raise InputError(
            f"{shown(path)}, line {_undecodable(path)}: expected UTF-8 text, but the bytes are "
            "something else; save the file as UTF-8"
        ) from error
    except OSError as error:
        raise InputError(
            f"expected a text file at {shown(path)}, but {reason(error)}; check the disk"
        ) from error
    if not line.endswith(("\n", "\r")):
        raise InputError(
            f"{shown(path)}: expected a line end after the last line, got none, so the file may "
            "be cut short; add the line end if it is whole"
        )


def csv_table(path: Path) -> Table:
    """A comma separated table with a header; rows are numbered by line, quotes may not span two.

    Raises:
        InputError: here or while the blocks are read: no header, names that come twice, a row
            that does not fit the header, a blank line before the last row, or broken quotes.
    """
    rows = _csv_rows(path)
    header = tuple(name.strip() for name in next(rows, []))
    named = [name for name in header if name]
    if not named:
        raise InputError(
            f"{shown(path)}, line 1: expected a header, column names separated by commas, but the "
            "line is blank; add one"
        )
    if len({name.lower() for name in named}) < len(named):
        raise InputError(
            f"{shown(path)}, line 1: expected every column name once, got {listed(header, 20)}; "
            "rename the second"
        )
    return Table(header, _blocks(path, rows, 2, len(header)))


def word_blocks(path: Path) -> Iterator[Block]:
    """Columns separated by blanks, as many in every line as in the first, without a header.

    Lines at the top that begin with # are passed over.

    Raises:
        InputError: while they are read: a line of another width, or a blank one before the last.
    """
    lines = text_lines(path)
    line = 1
    for first in lines:
        if first.startswith("#"):
            line += 1
            continue
        width = len(first.split())
        if not width:
            raise InputError(_blank(path, line))
        yield from _blocks(path, map(str.split, chain([first], lines)), line, width)


def read_columns(path: Path) -> dict[str, npt.NDArray[np.str_]]:
    """Every named column of a comma separated table.

    Raises:
        InputError: no such table.
    """
    table = csv_table(path)
    columns: list[list[str]] = [[] for _ in table.header]
    for block in table.blocks:
        for column, more in zip(columns, block.columns, strict=True):
            column.extend(more)
    named = zip(table.header, columns, strict=True)
    return {name: text_array(path, name, texts) for name, texts in named if name}


def numbers(path: Path, what: str, texts: Sequence[str], line: int) -> npt.NDArray[np.float64]:
    """Texts as float64, the one in `line` first; NaN where one says nan or nothing.

    Raises:
        InputError: a text that is no number, or an infinite one.
    """
    try:
        values = np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        values = np.array([_number(path, what, text, line + i) for i, text in enumerate(texts)])
    wrong = np.isinf(values)
    if "_" in "".join(texts):  # float() takes 1_0 for ten, nobody else does
        wrong |= np.array(["_" in text for text in texts])
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError(_no_number(path, what, texts[at], line + at))
    return values


def text_array(path: Path, what: str, texts: Sequence[str]) -> npt.NDArray[np.str_]:
    """Texts as an array of them.

    Raises:
        InputError: a text with a NUL in it, which numpy would drop, or one so long that the array
            would not fit in memory.
    """
    longest = max(map(len, texts), default=0)
    if 4 * longest * len(texts) > MOST_TEXT:
        raise InputError(
            f"{shown(path)}: expected {what} of sensible length, but one has {longest:,} "
            f"characters, and {len(texts):,} as wide do not fit in memory; shorten it"
        )
    if any("\0" in text for text in texts):
        raise InputError(
            f"{shown(path)}: expected {what} to be text, but one holds a NUL character; remove it"
        )
    return np.array(texts, np.str_)


def _number(path: Path, what: str, text: str, line: int) -> float:
    try:
        return float(text) if text.strip() else np.nan
    except ValueError:
        raise InputError(_no_number(path, what, text, line)) from None


def _no_number(path: Path, what: str, text: str, line: int) -> str:
    return (
        f"{shown(path)}, line {line}: expected {what} to be a finite number, or nan where the "
        f"comparison failed, got {listed([text])}; correct this line"
    )


def _csv_rows(path: Path) -> Iterator[list[str]]:
    reader = csv.reader(text_lines(path), strict=True)
    try:
        for number, row in enumerate(reader, 1):
            if reader.line_num != number:
                raise InputError(
                    f"{shown(path)}, line {number}: expected one row a line, but a quoted field "
                    "goes on in the next one; remove the line break"
                )
            yield row
    except csv.Error as error:
        raise InputError(
            f"{shown(path)}, line {reader.line_num}: expected comma separated fields, but "
            f"{reason(error)}; correct this line"
        ) from error


def _blocks(path: Path, rows: Iterator[list[str]], line: int, width: int) -> Iterator[Block]:
    """Blocks of rows of one width; blank lines may only follow the last row."""
    blank_at = 0
    while block := list(islice(rows, ROWS)):
        filled = block
        if blank_at or [] in block:
            first = 0 if blank_at else block.index([])
            blank_at = blank_at or line + first
            if any(block[first:]):
                raise InputError(_blank(path, blank_at))
            filled = block[:first]
        if set(map(len, filled)) - {width}:
            at = next(i for i, row in enumerate(filled) if len(row) != width)
            raise InputError(
                f"{shown(path)}, line {line + at}: expected {width} fields as in the first line, "
                f"got {len(filled[at])}; correct this line"
            )
        if filled:
            yield Block(line, tuple(zip(*filled, strict=True)))
        line += len(block)


def _blank(path: Path, line: int) -> str:
    return f"{shown(path)}, line {line}: expected a row, but the line is blank; remove it"


def _undecodable(path: Path) -> int:
    """The first line that is not UTF-8."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                raw.decode()
            except UnicodeDecodeError:
                return number
    return 1
