"""Scores that another program computed, and which of them are of one person."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import ScoreLists, Scores
from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.datasets._pair_files import TRUTH, truths
from recognition.datasets._tables import (
    Block,
    Table,
    csv_table,
    numbers,
    text_array,
    text_lines,
    word_blocks,
)
from recognition.datasets.pair_lists import FailedComparisons
from recognition.errors import InputError

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

_FORMATS = (
    "4 or 5 columns separated by blanks (claimed_id [model_label] real_id test_label score), or a "
    "CSV whose header has score or distance, and mated or person1 and person2"
)
_PERSONS = (
    ("person1", "person2"),
    ("bio_ref_subject_id", "probe_subject_id"),
)
_ONE_SCALE = ("model", "model_name", "similarity_metric", "distance_metric")


@dataclass(frozen=True)
class ScoreFile:
    """P mated and N non-mated scores, higher meaning more alike, and what could not be compared.

    Attributes:
        mated: (P,) similarity of two pictures of one person.
        nonmated: (N,) similarity of pictures of two people.
        mated_person: (P,) the person of each mated pair, as a place in `people`.
        nonmated_persons: (N, 2) the two people of each non-mated pair.
        people: (C,) their names, sorted, also of those whose comparisons all failed. These three
            are None where the file does not say who took part.
        failures: comparisons without a score: failures to acquire.
    """

    mated: Floats
    nonmated: Floats
    mated_person: Codes | None
    nonmated_persons: Codes | None
    people: npt.NDArray[np.str_] | None
    failures: FailedComparisons

    def table(self) -> Scores | ScoreLists:
        """The table of scores from which rates are read; failures are not in it."""
        if self.mated_person is None or self.nonmated_persons is None or self.people is None:
            return ScoreLists(self.mated, self.nonmated)
        return Scores(
            self.mated, self.nonmated, self.mated_person, self.nonmated_persons, len(self.people)
        )


class _Part(NamedTuple):
    """Some comparisons: scores, kinds, and who took part."""

    scores: Floats
    mated: Bools
    persons: Codes | None


def read_scores(
    path: Path | str | tuple[Path | str, Path | str], *, distances: bool = False
) -> ScoreFile:
    """The scores in a file, or in two lists of which the first is mated.

    Two lists have a score at the end of every line. One file has 4 or 5 columns without a
    header, claimed_id [model_label] real_id test_label score, mated where both ids are the same;
    or it is a CSV with a header: score, and mated (or same, label, ...: 0, 1, true, false) or two
    people (person1 and person2, or bio_ref_subject_id and probe_subject_id), or both. A column
    distance instead of score, as deepface.verify has it, is negated. Its verified is a decision,
    not the truth, and is never taken for it.

    nan, or nothing in a CSV, is a failure to acquire: it is counted, not scored.

    Args:
        path: the file, or (mated, non-mated).
        distances: the scores are distances, lower meaning more alike, and are to be negated.

    Raises:
        InputError: none of these formats, a line that does not fit, a score that is no number or
            infinite, a file cut short, no truth, one that the people contradict, results from
            which the unlike were left out, or no score of one kind.
    """
    names = _People()
    if isinstance(path, tuple):
        mated, nonmated = Path(path[0]), Path(path[1])
        if mated == nonmated:
            raise InputError(
                f"expected two files, mated and non-mated scores, got {shown(mated)} twice; name "
                "the other one"
            )
        parts = [*_list_parts(mated, True), *_list_parts(nonmated, False)]
        what = f"{shown(mated)} and {shown(nonmated)}"
    else:
        one = Path(path)
        require_file(one, f"scores, {_FORMATS},")
        what = shown(one)
        with refusing(one, f"scores, {_FORMATS},", "write it again"):
            parts, negate = _file_parts(one, names)
        distances |= negate
    return _collected(what, parts, names, distances)


class _People:
    """Names as numbers, in the order they come."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}

    def of(self, path: Path, texts: Sequence[str], line: int) -> Codes:
        for name in set(texts) - self.codes.keys():
            if not name.strip():
                raise InputError(
                    f"{shown(path)}, line {line + texts.index(name)}: expected the name of a "
                    "person, got none; correct this line"
                )
            self.codes[name] = len(self.codes)
        return np.fromiter(map(self.codes.__getitem__, texts), np.int32, len(texts))

    def ranks(self, what: str) -> tuple[npt.NDArray[np.str_], Codes]:
        """The names in order, and the place there of each number."""
        names = text_array(Path(what), "the names of people", sorted(self.codes))
        ranks = np.empty(len(names), np.int32)
        ranks[[self.codes[name] for name in sorted(self.codes)]] = np.arange(len(names))
        return names, ranks


def _list_parts(path: Path, mated: bool) -> Iterator[_Part]:
    kind = "mated" if mated else "non-mated"
    require_file(path, f"a list of {kind} scores, one at the end of every line,")
    with refusing(path, f"a list of {kind} scores", "write it again"):
        for block in word_blocks(path):
            scores = numbers(path, "the last field", block.columns[-1], block.line)
            yield _Part(scores, np.full(len(scores), mated), None)


def _file_parts(path: Path, names: _People) -> tuple[list[_Part], bool]:
    """The comparisons in one file, and whether it says itself that they are distances."""
    first = next((line for line in text_lines(path) if not line.startswith("#")), "")
    if "," in first or path.suffix.lower() == ".csv":
        return _csv_parts(path, csv_table(path), names)
    if (columns := len(first.split())) in (4, 5):
        return list(_bob_parts(path, columns, names)), False
    way_out = (
        "give two files, mated and non-mated scores"
        if columns == 1
        else "add the columns that are missing"
    )
    raise InputError(f"{shown(path)}: expected {_FORMATS}, got {columns} columns; {way_out}")


def _bob_parts(path: Path, columns: int, names: _People) -> Iterator[_Part]:
    for block in word_blocks(path):
        scores = numbers(path, "the last field", block.columns[-1], block.line)
        claimed = names.of(path, block.columns[0], block.line)
        real = names.of(path, block.columns[columns - 3], block.line)
        yield _Part(scores, claimed == real, np.stack([claimed, real], axis=1))


def _csv_parts(path: Path, table: Table, names: _People) -> tuple[list[_Part], bool]:
    column, is_distance = _score_column(path, table)
    truth = table.place(path, TRUTH)
    persons = _person_columns(path, table)
    if truth is None and persons is None:
        raise InputError(_no_truth(path, table))
    scales = [i for i, n in enumerate(table.header) if is_distance and n.lower() in _ONE_SCALE]
    seen: dict[int, str] = {}
    parts = []
    for block in table.blocks:
        for i in scales:
            value = seen.setdefault(i, block.columns[i][0])
            _require_one_scale(path, table.header[i], value, block.columns[i], block.line)
        parts.append(_csv_part(path, block, column, truth, persons, names))
    return parts, is_distance


def _csv_part(
    path: Path,
    block: Block,
    column: int,
    truth: int | None,
    persons: tuple[int, int] | None,
    names: _People,
) -> _Part:
    scores = numbers(path, "the score", block.columns[column], block.line)
    declared = None if truth is None else truths(path, block.columns[truth], block.line)
    if persons is None:
        return _Part(scores, declared if declared is not None else np.zeros(0, bool), None)
    one, two = (names.of(path, block.columns[i], block.line) for i in persons)
    mated: Bools = one == two
    if declared is not None and (declared != mated).any():
        at = int((declared != mated).argmax())
        raise InputError(
            f"{shown(path)}, line {block.line + at}: expected what the two people say, got "
            f"{'mated' if declared[at] else 'non-mated'} for "
            f"{listed([block.columns[i][at] for i in persons])}; correct this line"
        )
    return _Part(scores, mated, np.stack([one, two], axis=1))


def _person_columns(path: Path, table: Table) -> tuple[int, int] | None:
    for pair in _PERSONS:
        one, two = (table.place(path, (name,)) for name in pair)
        if one is not None and two is not None:
            return one, two
        if one is not None or two is not None:
            raise InputError(
                f"{shown(path)}, line 1: expected both columns {listed(pair)}, got "
                f"{listed(table.header, 20)}; add the other"
            )
    return None


def _score_column(path: Path, table: Table) -> tuple[int, bool]:
    """The place of the column score or distance, and whether it is the latter."""
    score, distance = table.place(path, ("score",)), table.place(path, ("distance",))
    if distance is not None and table.place(path, ("identity",)) is not None:
        raise InputError(
            f"{shown(path)}, line 1: expected every comparison, got a table of deepface.find, "
            "which leaves out all beyond its threshold; score the pairs with deepface.verify, or "
            "write the embeddings of deepface.represent to .npz"
        )
    if score is not None and distance is None:
        return score, False
    if distance is not None and score is None:
        return distance, True
    raise InputError(
        f"{shown(path)}, line 1: expected a column score, or else distance, got "
        f"{listed(table.header, 20)}; rename or remove one"
    )


def _no_truth(path: Path, table: Table) -> str:
    decided = table.place(path, ("verified",)) is not None
    return (
        f"{shown(path)}, line 1: expected a column mated (or same, label) or the columns person1 "
        f"and person2, got {listed(table.header, 20)}; add one that says which pairs show one "
        "person" + (": verified is what a threshold decided, not the truth" if decided else "")
    )


def _require_one_scale(path: Path, name: str, value: str, texts: Sequence[str], line: int) -> None:
    if set(texts) != {value}:
        at = next(i for i, text in enumerate(texts) if text != value)
        raise InputError(
            f"{shown(path)}, line {line + at}: expected one {name} in all lines, got "
            f"{listed([value, texts[at]])}, whose scores are on different scales; write a file "
            "for each"
        )


def _collected(what: str, parts: Sequence[_Part], names: _People, distances: bool) -> ScoreFile:
    scores = np.concatenate([part.scores for part in parts] or [np.zeros(0)])
    mated = np.concatenate([part.mated for part in parts] or [np.zeros(0, bool)])
    there = ~np.isnan(scores)
    failures = FailedComparisons(int((mated & ~there).sum()), int((~mated & ~there).sum()))
    genuine, impostor = mated & there, ~mated & there
    for kind, chosen, lost in (
        ("mated", genuine, failures.mated),
        ("non-mated", impostor, failures.nonmated),
    ):
        if not chosen.any():
            raise InputError(
                f"{what}: expected {kind} and other scores, got no {kind} one among "
                f"{len(scores)} comparisons ({lost} failed); look at what says which are mated"
            )
    if distances:
        scores = 0.0 - scores  # rather than -scores, so that 0 stays 0
    persons, people, ranks = None, None, None
    if names.codes:
        people, ranks = names.ranks(what)
        persons = ranks[
            np.concatenate([part.persons for part in parts if part.persons is not None])
        ]
    return ScoreFile(
        scores[genuine],
        scores[impostor],
        None if persons is None else persons[genuine, 0],
        None if persons is None else persons[impostor],
        people,
        failures,
    )
