"""Which pictures a protocol compares: LFW's lists of pairs, a table in commas, a .bin's own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.datasets._pair_files import FORMATS, Bools, Named, Rows, is_lfw, read_csv, read_lfw
from recognition.datasets._picture_names import Index, lfw_index
from recognition.datasets.embedding_files import Failure
from recognition.datasets.insightface_bin import read_bin
from recognition.errors import InputError

BIN_FOLDS = 10  # insightface cuts its sets into ten, in the order of the file


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
    require_file(path, f"a list of pairs, {FORMATS},")
    people = [str(i) for i in np.asarray(labels).tolist()]
    if len(embedded) != len(people):
        raise InputError(
            f"expected a label for each of {len(embedded)} ids, got {len(people)}; pass the ids "
            "and labels of one table"
        )
    known = [*embedded, *(failure.id for failure in failed)]
    person = np.array([*people, *(failure.label for failure in failed)], np.str_)
    with refusing(path, f"a list of pairs, {FORMATS}", "write it again"):
        lfw = is_lfw(path)
        named = read_lfw(path) if lfw else read_csv(path)
        index = lfw_index(known) if lfw else Index.of((name, row) for row, name in enumerate(known))
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
    named = Named((), (), mated, folds if divided else None)
    found = _without_failed(path, len(embedded), named, rows[::2], rows[1::2], mated)
    undivided = "accuracy was left out: a tenth of the file, in its order, lacks one kind of pairs"
    notes = found.notes if divided else (*found.notes, undivided)
    return replace(found, notes=notes, anonymous=True)


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


def _resolve(path: Path, named: Named, index: Index) -> tuple[Rows, Rows]:
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


def _require_sense(path: Path, named: Named, first: Rows, second: Rows, mated: Bools) -> None:
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
    path: Path, embedded: int, named: Named, first: Rows, second: Rows, mated: Bools
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
