"""Which pictures a protocol compares: LFW's lists of pairs, a table in commas, a .bin's own."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.datasets._tables import Block, csv_table, text_lines
from recognition.datasets.embedding_files import Failure
from recognition.datasets.insightface_bin import read_bin
from recognition.errors import InputError

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FIRST = ("id1", "image1_path", "img1_path", "image1", "img1", "path1")
SECOND = ("id2", "image2_path", "img2_path", "image2", "img2", "path2")
TRUTH = ("mated", "same", "label", "issame", "is_same")
FOLD = ("fold",)
_TRUTHS = {"1": True, "0": False, "1.0": True, "0.0": False, "true": True, "false": False}
BIN_FOLDS = 10  # insightface cuts its sets into ten, in the order of the file
_FORMATS = (
    "LFW's pairs.txt (a first line of folds and pairs, as 10 300) or a CSV whose header has id1 "
    "and id2, perhaps mated and fold"
)


class FailedComparisons(NamedTuple):
    """How many comparisons could not be made: they count as errors, not as absent."""

    mated: int
    nonmated: int


@dataclass(frozen=True)
class PairList:
    """M pairs of pictures that could both be embedded.

    Attributes:
        first: (M,) row of one picture in the table of embeddings.
        second: (M,) row of the other one.
        mated: (M,) whether they show one person.
        folds: (M,) the fold of each pair, counted from 1 in LFW's lists and as given in a CSV;
            None where the list has none.
        failures: the pairs left out because a picture of theirs could not be embedded.
        notes: what is odd about the list, a sentence each.
        anonymous: nobody knows who is on the pictures; `mated` alone says what pairs are.
    """

    first: Rows
    second: Rows
    mated: Bools
    folds: Rows | None
    failures: FailedComparisons
    notes: tuple[str, ...] = ()
    anonymous: bool = False

    def __len__(self) -> int:
        return len(self.first)


class _Named(NamedTuple):
    """The pairs as the file has them: names, and what it says of each."""

    first: Sequence[str]
    second: Sequence[str]
    declared: Bools | None
    folds: Rows | None


def read_pairs(
    path: Path | str,
    ids: npt.ArrayLike,
    labels: npt.ArrayLike | None,
    *,
    failed: Sequence[Failure] = (),
) -> PairList:
    """The pairs in a list, as rows of the table that `ids` and `labels` belong to.

    LFW's `pairs.txt` begins with folds and pairs of a kind (10 300; one number is one fold);
    then `name n m` is a mated pair and `name n other m` a non-mated one. Picture n of a name is
    the id `name_000n` in any folder and with any suffix, or else number n in a folder of that
    name. A CSV has a header with id1 and id2 (or image1_path and image2_path, ...), perhaps
    mated (or same, label, ...: 0, 1, true, false) and fold. Its ids are those of the table.

    A `.bin` file of insightface pairs the pictures in it: the table has one row for each, in the
    order of the file, with the ids "0", "1", ... that rows without ids get. It does not know the
    people, so labels are not looked at, and the list is `anonymous`.

    Args:
        path: the list.
        ids: (N,) the pictures that were embedded.
        labels: (N,) the person on each; None will do for a `.bin`.
        failed: the pictures that could not be, as `EmbeddingFile.failures` has them. A pair with
            one of them is counted in `failures`.

    Raises:
        InputError: neither format, a list cut short, pictures that are unknown or could be more
            than one, a picture paired with itself, a pair whose kind is not what the labels say,
            a fold (or list) without both kinds, or no pair of a kind that can be compared.

    Source: Huang, Ramesh, Berg and Learned-Miller, Labeled Faces in the Wild, UMass Amherst
    technical report 07-49 (2007).
    """
    path = Path(path)
    embedded = [str(i) for i in np.asarray(ids).tolist()]
    if path.suffix.lower() == ".bin":
        return _read_bin_pairs(path, embedded, [failure.id for failure in failed])
    if labels is None:
        raise InputError(
            f"{shown(path)}: expected a label for each of {len(embedded)} pictures, got none; only "
            "a .bin of insightface says of pictures without labels which pairs are mated"
        )
    require_file(path, f"a list of pairs, {_FORMATS},")
    people = [str(i) for i in np.asarray(labels).tolist()]
    if len(embedded) != len(people):
        raise InputError(
            f"expected a label for each of {len(embedded)} ids, got {len(people)}; pass the ids "
            "and labels of one table"
        )
    known = [*embedded, *(failure.id for failure in failed)]
    person = np.array([*people, *(failure.label for failure in failed)], np.str_)
    with refusing(path, f"a list of pairs, {_FORMATS}", "write it again"):
        is_lfw = _is_lfw(path)
        named = _read_lfw(path) if is_lfw else _read_csv(path)
        index = (
            lfw_index(known) if is_lfw else _Index.of((name, row) for row, name in enumerate(known))
        )
        first, second = _resolve(path, named, index)
    mated: Bools = person[first] == person[second]
    _require_sense(path, named, first, second, mated)
    return _without_failed(path, len(embedded), named, first, second, mated)


def pairs_in_order(path: Path, mated: Bools, embedded: Rows) -> PairList:
    """Picture 2k with picture 2k + 1, where row i of the table is picture `embedded[i]`.

    Folds are ten runs of pairs, the first ones a pair longer, as scikit-learn's KFold cuts them.
    There are none, and a note says so, where a run would lack one kind of pairs.

    Raises:
        InputError: no pair of a kind that can be compared.
    """
    pairs = len(mated)
    rows = np.full(2 * pairs, pairs * 2, np.int64)  # beyond every row: not embedded
    rows[embedded] = np.arange(len(embedded))
    sizes = pairs // BIN_FOLDS + (np.arange(BIN_FOLDS) < pairs % BIN_FOLDS)
    folds = np.repeat(np.arange(1, BIN_FOLDS + 1), sizes)
    divided = pairs >= BIN_FOLDS and not _of_one_kind(folds, mated)
    named = _Named((), (), mated, folds if divided else None)
    found = _without_failed(path, len(embedded), named, rows[::2], rows[1::2], mated)
    undivided = "accuracy was left out: a tenth of the file, in its order, lacks one kind of pairs"
    notes = found.notes if divided else (*found.notes, undivided)
    return replace(found, notes=notes, anonymous=True)


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


def _read_bin_pairs(path: Path, embedded: Sequence[str], failed: Sequence[str]) -> PairList:
    mated = read_bin(path).mated
    known = {str(place): place for place in range(2 * len(mated))}
    strange = [name for name in (*embedded, *failed) if name not in known]
    if strange or len(embedded) + len(failed) != len(known):
        came = f"{listed(strange, 2)} among" if strange else ""
        raise InputError(
            f"{shown(path)}: expected the table to have its {len(known)} pictures by place, with "
            f"the ids '0' to '{len(known) - 1}', got {came or 'just'} "
            f"{len(embedded) + len(failed)} rows; embed them all in the order of the file and "
            "leave the ids out"
        )
    places = np.array([known[name] for name in embedded], np.int64)
    if len(np.unique(places)) < len(places):
        raise InputError(
            f"{shown(path)}: expected every picture once, but ids repeat; leave the ids out"
        )
    return pairs_in_order(path, mated, places)


def _is_lfw(path: Path) -> bool:
    first = next(text_lines(path), "")
    fields = first.split()
    if len(fields) in (1, 2) and all(_is_number(field) for field in fields):
        return True
    if "," in first:
        return False
    raise InputError(
        f"{shown(path)}, line 1: expected {_FORMATS}, got {listed([first.strip()])}; add such a "
        "line"
    )


def _is_number(field: str) -> bool:
    return field.isascii() and field.isdigit() and len(field) < 10


def _read_lfw(path: Path) -> _Named:
    lines = text_lines(path)
    *folds, pairs = (int(field) for field in next(lines).split())
    count = folds[0] if folds else 1
    first, second, kinds = [], [], []
    for number, one, two in _lfw_pairs(path, lines):
        if number > 2 * count * pairs + 1:
            raise InputError(_miscounted(path, count, pairs, f"more, in line {number}"))
        first.append(_lfw_name(*one))
        second.append(_lfw_name(*two))
        kinds.append(one[0] == two[0])
    declared = np.array(kinds, bool)
    if not len(declared) or len(declared) != 2 * count * pairs:
        raise InputError(_miscounted(path, count, pairs, f"{len(declared)}"))
    by_fold = declared.reshape(count, 2 * pairs).sum(axis=1)
    for fold in np.flatnonzero(by_fold != pairs):
        raise InputError(
            _miscounted(path, count, pairs, f"{by_fold[fold]} mated ones in fold {fold + 1}")
        )
    return _Named(first, second, declared, np.repeat(np.arange(1, count + 1), 2 * pairs))


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
    return all(len(p) == 2 and p[0] != "" and _is_number(p[1]) for p in pictures)


def _lfw_name(name: str, number: str) -> str:
    return f"{name}_{int(number):04d}"


def _miscounted(path: Path, folds: int, pairs: int, came: str) -> str:
    return (
        f"{shown(path)}: expected {folds} x {pairs} mated and as many non-mated pairs, as line 1 "
        f"says, {2 * folds * pairs} in all, got {came}; the file is cut short or damaged: fetch "
        "it again"
    )


class _Index(NamedTuple):
    """The row that each name means, and the names that could mean another one too."""

    rows: dict[str, int]
    unclear: set[str]

    @classmethod
    def of(cls, named_rows: Iterable[tuple[str, int]]) -> "_Index":
        index = cls({}, set())
        for name, row in named_rows:
            if index.rows.setdefault(name, row) != row:
                index.unclear.add(name)
        return index


def lfw_index(ids: Sequence[str]) -> _Index:
    """What LFW's name of a picture may mean: a file of that name, or else one in a folder."""
    paths = [PurePosixPath(text.replace("\\", "/")) for text in ids]
    files = _Index.of((name, row) for row, p in enumerate(paths) for name in (p.name, p.stem))
    folders = _Index.of(
        (_lfw_name(p.parent.name, p.stem), row)
        for row, p in enumerate(paths)
        if _is_number(p.stem) and p.parent.name
    )
    unclear = files.unclear | (folders.unclear - files.rows.keys())
    return _Index(folders.rows | files.rows, unclear)


def _read_csv(path: Path) -> _Named:
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
    return _Named(
        first,
        second,
        np.concatenate(declared) if declared else None,
        np.concatenate(folds) if folds else None,
    )


def _folds(path: Path, block: Block, column: int) -> Rows:
    texts = [text.strip() for text in block.columns[column]]
    for at, text in enumerate(texts):
        if not _is_number(text):
            raise InputError(
                f"{shown(path)}, line {block.line + at}: expected fold to be a whole number, got "
                f"{listed([text])}; correct this line"
            )
    return np.array([int(text) for text in texts], np.int64)


def _resolve(path: Path, named: _Named, index: _Index) -> tuple[Rows, Rows]:
    """The rows of both pictures of each pair."""
    pairs = zip(named.first, named.second, strict=True)
    asked = dict.fromkeys(chain.from_iterable(pairs))  # a set in the order of the file
    unknown = [name for name in asked if name not in index.rows]
    if unknown:
        raise InputError(
            f"{shown(path)}: expected pictures that are in the table, but {len(unknown)} of "
            f"{len(asked)} are not: {listed(unknown)}, while the table has "
            f"{listed(index.rows, 2)}; give them the same ids, or embed these too"
        )
    unclear = [name for name in asked if name in index.unclear]
    if unclear:
        raise InputError(
            f"{shown(path)}: expected one picture of each name, but {len(unclear)} of "
            f"{len(asked)} could be more than one: {listed(unclear)}; leave the other pictures "
            "out, or list the pairs by id in a CSV"
        )
    return _places(index.rows, named.first), _places(index.rows, named.second)


def _places(rows: dict[str, int], names: Iterable[str]) -> Rows:
    return np.fromiter(map(rows.__getitem__, names), np.int64)


def _require_sense(path: Path, named: _Named, first: Rows, second: Rows, mated: Bools) -> None:
    """Refuses what no honest list has; pair i is in line i + 2 of either format."""
    alone = first == second
    if alone.any():
        at = int(alone.argmax())
        raise InputError(
            f"{shown(path)}, line {at + 2}: expected two pictures, got {listed([named.first[at]])}"
            f" twice ({int(alone.sum())} such pairs); a picture is always like itself: remove them"
        )
    if named.declared is not None and (named.declared != mated).any():
        at = int((named.declared != mated).argmax())
        kinds = "mated, but the labels differ", "non-mated, but the labels are the same"
        raise InputError(
            f"{shown(path)}, line {at + 2}: expected what the labels of the pictures say, got "
            f"{kinds[int(mated[at])]}: {listed([named.first[at], named.second[at]])} "
            f"({int((named.declared != mated).sum())} of {len(mated)} pairs); correct the list or "
            "the labels"
        )
    lopsided = _of_one_kind(named.folds, mated)
    if lopsided:
        where = (
            f" in every fold, but fold {lopsided[0]} has"
            if named.folds is not None
            else ", but got"
        )
        raise InputError(
            f"{shown(path)}: expected mated and non-mated pairs{where} only one kind; add the "
            "others" + (", or leave the column fold out" if named.folds is not None else "")
        )


def _of_one_kind(folds: Rows | None, mated: Bools) -> list[int]:
    """The folds that have no mated or no non-mated pairs; the list is one where it has none."""
    numbers, places = np.unique(
        np.zeros(len(mated), np.int64) if folds is None else folds, return_inverse=True
    )
    share = np.bincount(places, mated) / np.bincount(places)
    return [int(fold) for fold in numbers[(share == 0) | (share == 1)]]


def _without_failed(
    path: Path, embedded: int, named: _Named, first: Rows, second: Rows, mated: Bools
) -> PairList:
    lost = np.maximum(first, second) >= embedded
    failures = FailedComparisons(int((lost & mated).sum()), int((lost & ~mated).sum()))
    kept = mated[~lost]
    if not kept.any() or kept.all():
        raise InputError(
            f"{shown(path)}: expected mated and non-mated pairs of pictures that could be "
            f"embedded, but {failures.mated} mated and {failures.nonmated} non-mated pairs of "
            f"{len(mated)} have a picture that could not; embed them, or use another list"
        )
    folds = None if named.folds is None else named.folds[~lost]
    notes = _notes(first, second, folds, kept)
    return PairList(first[~lost], second[~lost], kept, folds, failures, notes)


def _notes(first: Rows, second: Rows, folds: Rows | None, kept: Bools) -> tuple[str, ...]:
    notes = []
    low, high = np.minimum(first, second), np.maximum(first, second)
    repeated = len(low) - len(np.unique(low * (int(high.max()) + 1) + high))
    if repeated:
        notes.append(f"{repeated} of {len(low)} pairs repeat an earlier one and count again")
    emptied = _of_one_kind(folds, kept)
    if emptied:
        names = ", ".join(map(str, emptied))
        notes.append(f"pictures that could not be embedded leave one kind of pairs in fold {names}")
    return tuple(notes)
