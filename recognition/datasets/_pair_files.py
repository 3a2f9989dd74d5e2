"""The files of lists of pairs as they are: LFW's format, and a table in commas."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, shown
from recognition.datasets._picture_names import is_number, lfw_name
from recognition.datasets._tables import Block, csv_table, text_lines
from recognition.errors import InputError

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FIRST = ("id1", "image1_path", "img1_path", "image1", "img1", "path1")
SECOND = ("id2", "image2_path", "img2_path", "image2", "img2", "path2")
TRUTH = ("mated", "same", "label", "issame", "is_same")
FOLD = ("fold",)
_TRUTHS = {"1": True, "0": False, "1.0": True, "0.0": False, "true": True, "false": False}
FORMATS = (
    "LFW's pairs.txt (a first line of folds and pairs, as 10 300) or a CSV whose header has id1 "
    "and id2, perhaps mated and fold"
)


class Named(NamedTuple):
    """The pairs as the file has them: names, and what it says of each."""

    first: Sequence[str]
    second: Sequence[str]
    declared: Bools | None
    folds: Rows | None


def is_lfw(path: Path) -> bool:
    """Whether it is in LFW's format, or else a table in commas.

    Raises:
        InputError: it is neither.
    """
    first = next(text_lines(path), "")
    fields = first.split()
    if len(fields) in (1, 2) and all(is_number(field) for field in fields):
        return True
    if "," in first:
        return False
    raise InputError(
        f"{shown(path)}, line 1: expected {FORMATS}, got {listed([first.strip()])}; add such a line"
    )


def read_lfw(path: Path) -> Named:
    """LFW's list; pictures have the names of its files.

    Raises:
        InputError: a line that is no pair, or not as many as the first line says.
    """
    lines = text_lines(path)
    *folds, pairs = (int(field) for field in next(lines).split())
    count = folds[0] if folds else 1
    first, second, kinds = [], [], []
    for number, one, two in _lfw_pairs(path, lines):
        if number > 2 * count * pairs + 1:
            raise InputError(_miscounted(path, count, pairs, f"more, in line {number}"))
        first.append(lfw_name(*one))
        second.append(lfw_name(*two))
        kinds.append(one[0] == two[0])
    declared = np.array(kinds, bool)
    if not len(declared) or len(declared) != 2 * count * pairs:
        raise InputError(_miscounted(path, count, pairs, f"{len(declared)}"))
    by_fold = declared.reshape(count, 2 * pairs).sum(axis=1)
    for fold in np.flatnonzero(by_fold != pairs):
        raise InputError(
            _miscounted(path, count, pairs, f"{by_fold[fold]} mated ones in fold {fold + 1}")
        )
    return Named(first, second, declared, np.repeat(np.arange(1, count + 1), 2 * pairs))


def _lfw_pairs(
    path: Path, lines: Iterator[str]
) -> Iterator[tuple[int, tuple[str, str], tuple[str, str]]]:
    """The number of a line, and both pictures as (name, number)."""
    blank = 0
    for number, line in enumerate(lines, 2):
        fields = [field.strip() for field in line.split("\t" if "\t" in line else None)]
        if not any(fields):
            blank = blank or number
            continue
        one, two = fields[:2], fields[2:] if len(fields) == 4 else [fields[0], *fields[2:]]
        other = len(fields) != 4 or one[0] != two[0]
        if blank or len(fields) not in (3, 4) or not other or not (_is_lfw_picture(one, two)):
            raise InputError(
                f"{shown(path)}, line {blank or number}: expected 'name n m' for a mated pair or "
                "'name n other m' for a non-mated one, separated by tabs or blanks, got "
                f"{listed(['' if blank else line.strip()])}; correct this line"
            )
        yield number, (one[0], one[1]), (two[0], two[1])


def _is_lfw_picture(*pictures: list[str]) -> bool:
    return all(len(p) == 2 and p[0] != "" and is_number(p[1]) for p in pictures)


def _miscounted(path: Path, folds: int, pairs: int, came: str) -> str:
    return (
        f"{shown(path)}: expected {folds} x {pairs} mated and as many non-mated pairs, as line 1 "
        f"says, {2 * folds * pairs} in all, got {came}; the file is cut short or damaged: fetch "
        "it again"
    )


def read_csv(path: Path) -> Named:
    """A table with two columns of ids, perhaps with the kind of each pair and its fold.

    Raises:
        InputError: columns that are missing, a truth or fold that is none, no pair.
    """
    table = csv_table(path)
    one, two, truth, fold = (table.place(path, names) for names in (FIRST, SECOND, TRUTH, FOLD))
    if one is None or two is None:
        raise InputError(
            f"{shown(path)}, line 1: expected the columns id1 and id2 (or image1_path and "
            f"image2_path), got {listed(table.header, 20)}; rename them"
        )
    first: list[str] = []
    second: list[str] = []
    declared: list[Bools] = []
    folds: list[Rows] = []
    for block in table.blocks:
        first.extend(block.columns[one])
        second.extend(block.columns[two])
        if truth is not None:
            declared.append(truths(path, block.columns[truth], block.line))
        if fold is not None:
            folds.append(_folds(path, block, fold))
    if not first:
        raise InputError(f"{shown(path)}: expected pairs below the header, got none; add some")
    return Named(
        first,
        second,
        np.concatenate(declared) if declared else None,
        np.concatenate(folds) if folds else None,
    )


def _folds(path: Path, block: Block, column: int) -> Rows:
    texts = [text.strip() for text in block.columns[column]]
    for at, text in enumerate(texts):
        if not is_number(text):
            raise InputError(
                f"{shown(path)}, line {block.line + at}: expected fold to be a whole number, got "
                f"{listed([text])}; correct this line"
            )
    return np.array([int(text) for text in texts], np.int64)


def truths(path: Path, texts: Sequence[str], line: int) -> Bools:
    """Texts as truth values, the one in `line` first.

    Raises:
        InputError: a text that is none.
    """
    values = [_TRUTHS.get(text.strip().lower()) for text in texts]
    if None in values:
        at = values.index(None)
        raise InputError(
            f"{shown(path)}, line {line + at}: expected 1 or true where both pictures show one "
            f"person, 0 or false where not, got {listed([texts[at]])}; correct this line"
        )
    return np.array(values, bool)
