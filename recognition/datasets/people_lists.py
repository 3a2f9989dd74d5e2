"""LFW's lists of people: who is in which fold, and with how many pictures."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.datasets._tables import text_array, text_lines
from recognition.errors import InputError

_EXPECTED = (
    "a list of people as LFW's people.txt has it: a number of folds, and for each a number of "
    "people and lines of a name and a number of pictures"
)


@dataclass(frozen=True)
class PeopleList:
    """M people.

    Attributes:
        names: (M,) in the order of the file.
        pictures: (M,) how many pictures each has.
        folds: (M,) the fold of each, counted from 1.
    """

    names: npt.NDArray[np.str_]
    pictures: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def within(self, folds: Iterable[int]) -> npt.NDArray[np.str_]:
        """The people of these folds.

        Raises:
            InputError: a fold that the list has not.
        """
        wanted = sorted(set(folds))
        strange = sorted(set(wanted) - set(self.folds.tolist()))
        if strange or not wanted:
            raise InputError(
                f"expected folds from 1 to {int(self.folds.max())}, got "
                f"{strange[0] if strange else 'none'}; leave the folds out to take all people"
            )
        return self.names[np.isin(self.folds, wanted)]


def read_people(path: Path | str) -> PeopleList:
    """The people in LFW's `people.txt`, or in `peopleDevTrain.txt`, which is one fold.

    Raises:
        InputError: another format, a list that is cut short, or somebody in it twice.

    Source: Huang, Ramesh, Berg and Learned-Miller, Labeled Faces in the Wild, UMass Amherst
    technical report 07-49 (2007).
    """
    path = Path(path)
    require_file(path, _EXPECTED)
    with refusing(path, _EXPECTED, "fetch it again"):
        rows = list(_rows(path))
        blocks = _blocks(path, rows)
    names = [row.fields[0] for block in blocks for row in block]
    counts = [int(row.fields[1]) for block in blocks for row in block]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise InputError(
            f"{shown(path)}: expected everybody once, got {listed([twice])} twice; remove one"
        )
    folds = np.repeat(np.arange(1, len(blocks) + 1), [len(block) for block in blocks])
    return PeopleList(text_array(path, "names", names), np.array(counts, np.int64), folds)


def read_chosen(text: str) -> int | list[str]:
    """What an option means by people: a number, or those of a list, `people.txt` or `people.txt:1-3`.

    Raises:
        InputError: neither, or a fold that the list has not.
    """
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    found = re.fullmatch(r"(.*):(\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?)*)", text, re.ASCII)
    if found is None or Path(text).exists():
        return list(map(str, read_people(text).names))
    folds: set[int] = set()
    for part in found[2].split(","):
        first, _, last = part.partition("-")
        folds |= set(range(int(first), int(last or first) + 1))
    return list(map(str, read_people(found[1]).within(folds)))


class _Row(NamedTuple):
    """The number of a line, and its fields."""

    line: int
    fields: list[str]


def _blocks(path: Path, rows: Sequence[_Row]) -> list[Sequence[_Row]]:
    """The people of each fold; a first number that people follow is theirs, and the fold is one."""
    if not rows:
        raise InputError(f"{shown(path)}: expected {_EXPECTED}, got blank lines; fetch it again")
    first = _count(path, rows[0])
    divided = len(rows) > 1 and len(rows[1].fields) == 1
    blocks: list[Sequence[_Row]] = []
    at = 1 if divided else 0
    while at < len(rows):
        people = _count(path, rows[at])
        block = rows[at + 1 : at + 1 + people]
        for row in block:
            _require_person(path, row)
        if len(block) < people:
            raise InputError(_miscounted(path, f"{people:,} people in a fold", f"{len(block):,}"))
        blocks.append(block)
        at += 1 + people
    if len(blocks) != (first if divided else 1):
        expected = f"{first:,} folds" if divided else f"{first:,} people"
        raise InputError(_miscounted(path, expected, f"{len(blocks):,} runs of them"))
    return blocks


def _miscounted(path: Path, expected: str, came: str) -> str:
    return (
        f"{shown(path)}: expected {expected}, as the number above them says, got {came}; the file "
        "is cut short or damaged: fetch it again"
    )


def _rows(path: Path) -> Iterator[_Row]:
    """The lines; blank ones may only follow the last row."""
    blank = 0
    for number, line in enumerate(text_lines(path), 1):
        fields = [field.strip() for field in line.split("\t" if "\t" in line else None)]
        if not any(fields):
            blank = blank or number
        elif blank:
            raise InputError(
                f"{shown(path)}, line {blank}: expected a name, but the line is blank; remove it"
            )
        else:
            yield _Row(number, fields)


def _count(path: Path, row: _Row) -> int:
    if len(row.fields) != 1 or not _is_count(row.fields[0]):
        raise InputError(
            f"{shown(path)}, line {row.line}: expected a number, in {_EXPECTED}, got "
            f"{listed(row.fields, 3)}; name a list of people"
        )
    return int(row.fields[0])


def _require_person(path: Path, row: _Row) -> None:
    if len(row.fields) != 2 or not row.fields[0] or not _is_count(row.fields[1]):
        raise InputError(
            f"{shown(path)}, line {row.line}: expected a name and a number of pictures, separated "
            f"by a tab or a blank, got {listed(row.fields, 3)}; correct this line"
        )


def _is_count(field: str) -> bool:
    return field.isascii() and field.isdigit() and len(field) < 10 and int(field) > 0
