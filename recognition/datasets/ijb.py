"""IJB-B and IJB-C, by the files that insightface's evaluation reads: templates, pairs, galleries.

    meta/ijbc_face_tid_mid.txt          N.jpg template media         a line a face
    meta/ijbc_name_5pts_score.txt       N.jpg x1 y1 ... x5 y5 score  the same faces, in this order
    meta/ijbc_template_pair_label.txt   template template 0|1        who is compared in 1:1
    meta/ijbc_1N_gallery_G1.csv         TEMPLATE_ID,SUBJECT_ID,...   who is enrolled in 1:N, G2 too
    meta/ijbc_1N_probe_mixed.csv        TEMPLATE_ID,SUBJECT_ID,...   who is searched for

Any other set of the same form is read alike: the names of its files begin with its own.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from recognition.datasets._files import listed, reason, refusing, require_file, shown
from recognition.datasets._tables import Block, csv_table, numbers, text_array, word_blocks
from recognition.datasets._whole_numbers import DIGITS, read_whole_numbers
from recognition.errors import InputError
from recognition.progress import Watch, unwatched
from recognition.protocols import Small, TemplatePairs, TemplateSet

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]
Integers = npt.NDArray[np.int32] | npt.NDArray[np.int64]

FACES, POINTS, PAIRS = "_face_tid_mid.txt", "_name_5pts_score.txt", "_template_pair_label.txt"
_SET = re.compile(r"(.+)_face_tid_mid\.txt")
_TABLED = 2**26  # the largest template number that is looked up in a table
_PUBLISHED = {"ijbb": (227_630, 8_010_270), "ijbc": (469_375, 15_658_489)}  # faces, pairs

BY_FILES = "subjects are those that the 1:N files name"
BY_PAIRS = (
    "the 1:N files do not name every subject: templates that mated pairs join are taken for one "
    "person, others for people of their own, so that intervals may be too narrow"
)


@dataclass(frozen=True)
class IjbFaces:
    """N faces, in the order of the metadata.

    Attributes:
        names: (N,) of the pictures, each once: "1.jpg".
        templates: (N,) the place of each face's template among those of the protocol.
        media: (N,) the number of the photograph or video that it is from.
        landmarks: (N, 5, 2) eyes, nose and corners of the mouth, x and y in pixels; None without
            the file of points.
        scores: (N,) how sure the detector was; None without the file of points.
    """

    names: Names
    templates: Small
    media: Small
    landmarks: npt.NDArray[np.float32] | None
    scores: Floats | None

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Ijb:
    """A protocol of templates: 1:1 over listed pairs, and 1:N in one or two galleries.

    Attributes:
        name: what its files begin with, e.g. "ijbc".
        faces: which faces make up which template.
        templates: (T,) their numbers, ascending.
        subjects: (T,) the subject of each template, as a place in `people`.
        people: (C,) the names of the subjects.
        subjects_by: where they are known from, a sentence.
        pairs: who is compared with whom in 1:1.
        galleries: the galleries of 1:N, each searched apart; none without their files.
        probes: the templates that are searched for.
        notes: what is odd about the files, a sentence each.
    """

    name: str
    faces: IjbFaces
    templates: Integers
    subjects: Small
    people: Names
    subjects_by: str
    pairs: TemplatePairs
    galleries: tuple[TemplateSet, ...]
    probes: TemplateSet | None
    notes: tuple[str, ...] = ()


def read_ijb(folder: Path | str, *, watch: Watch = unwatched) -> Ijb:
    """The protocol in a folder, or in the folder `meta` in it.

    Every file is held against the others: faces with points are the same in the same order,
    templates that are compared or enrolled have faces, labels agree with the subjects. The 1:N
    files and that of points may be missing, the others may not. 16 million pairs take some five
    seconds, half a million faces as long.

    Raises:
        InputError: no such files or those of several sets, a line that does not fit, a file cut
            short, a template or a face that another file does not know, a pair that comes twice
            or is mated and not.
    """
    folder, name = _found(Path(folder))
    faces, numbers_of = _faces(folder, name, watch)
    path = folder / f"{name}{PAIRS}"
    pairs = _pairs(path, numbers_of, watch)
    sets = _sets(folder, name, numbers_of, watch)
    known = _named(folder, sets, len(numbers_of))
    subjects, people, by = _subjects(path, pairs, known, numbers_of)
    return Ijb(
        name,
        faces,
        numbers_of,
        subjects,
        people,
        by,
        pairs,
        tuple(one.set for one in sets if not one.searched),
        next((one.set for one in sets if one.searched), None),
        tuple(_counted(name, len(faces), len(pairs.first))),
    )


def _found(folder: Path) -> tuple[Path, str]:
    """The folder of the metadata, and what the names of its files begin with."""
    for place in (folder, folder / "meta"):
        try:
            names = sorted(one.name for one in place.iterdir()) if place.is_dir() else []
        except (OSError, ValueError) as error:
            raise InputError(
                f"expected a folder of IJB's metadata at {shown(folder)}, but {reason(error)}; "
                "check the path"
            ) from error
        sets = [match[1] for match in map(_SET.fullmatch, names) if match]
        if len(sets) > 1:
            raise InputError(
                f"expected the metadata of one set at {shown(place)}, got those of "
                f"{listed(sets)}; give each a folder of its own"
            )
        if sets:
            return place, sets[0]
    raise InputError(
        f"expected a folder of IJB's metadata at {shown(folder)}, but there is no "
        f"...{FACES} in it, nor in its folder meta; name the folder of IJB-B or of IJB-C"
    )


def _counted(name: str, faces: int, pairs: int) -> list[str]:
    published = _PUBLISHED.get(name.lower())
    if published is None or published == (faces, pairs):
        return []
    note = (
        f"{name} was published with {published[0]:,} faces and {published[1]:,} pairs, but these "
        f"files have {faces:,} and {pairs:,}: results are not comparable"
    )
    return [note]


def _watched(path: Path, blocks: Iterable[Block], watch: Watch) -> Iterator[Block]:
    """The blocks of a file, while somebody is told how many of its lines are read."""
    with path.open("rb") as file:
        lines = sum(part.count(b"\n") for part in iter(partial(file.read, 2**20), b""))
    with watch(f"reading {shown(Path(path.name))}", lines) as advance:
        for block in blocks:
            yield block
            advance(block.line + block.rows - 1)


def _faces(folder: Path, name: str, watch: Watch) -> tuple[IjbFaces, Integers]:
    path = folder / f"{name}{FACES}"
    expected = "faces, each N.jpg, template and media in a line,"
    names: list[str] = []
    templates, media = [], []
    require_file(path, expected)
    with refusing(path, expected, "write it again"):
        for block in _watched(path, word_blocks(path), watch):
            _require_width(path, block.line, len(block.columns), 3, expected)
            names += block.columns[0]
            templates.append(_whole(path, "a template", block.columns[1], block.line))
            media.append(_whole(path, "a media", block.columns[2], block.line))
        _require_once(path, names)
        if not names:
            raise InputError(f"{shown(path)}: expected {expected} got none; write it again")
        found, places = np.unique(np.concatenate(templates), return_inverse=True)
        landmarks, scores = _points(folder / f"{name}{POINTS}", names, watch)
        faces = IjbFaces(
            text_array(path, "names of faces", names),
            places.astype(np.int32),
            np.concatenate(media),
            landmarks,
            scores,
        )
    return faces, found


def _require_width(path: Path, line: int, came: int, columns: int, expected: str) -> None:
    if came != columns:
        raise InputError(
            f"{shown(path)}, line {line}: expected {expected} got {came} fields; is it another "
            "of the files?"
        )


def _whole(path: Path, what: str, texts: Sequence[str], line: int) -> Small:
    """Texts as whole numbers from 0."""
    joined = "".join(texts)
    if not (joined.isascii() and joined.isdigit()) or max(map(len, texts)) > DIGITS:
        at, text = next(
            (i, text)
            for i, text in enumerate(texts)
            if not (text.isascii() and text.isdigit()) or len(text) > DIGITS
        )
        raise InputError(
            f"{shown(path)}, line {line + at}: expected {what} as a whole number of at most "
            f"{DIGITS} digits, got {listed([text])}; correct this line"
        )
    return np.fromiter(map(int, texts), np.int32, len(texts))


def _require_once(path: Path, names: Sequence[str]) -> None:
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    for line, name in enumerate(names, 1):
        if name in seen:
            raise InputError(
                f"{shown(path)}, line {line}: expected every face once, got {listed([name])} "
                "again; remove one of the lines"
            )
        seen.add(name)


def _points(
    path: Path, names: Sequence[str], watch: Watch
) -> tuple[npt.NDArray[np.float32] | None, Floats | None]:
    if not path.exists():
        return None, None
    expected = "faces, each N.jpg, ten coordinates and a score in a line,"
    require_file(path, expected)
    points, scores = [], []
    done = 0
    with refusing(path, expected, "write it again"):
        for block in _watched(path, word_blocks(path), watch):
            _require_width(path, block.line, len(block.columns), 12, expected)
            named = list(block.columns[0])
            if named != names[done : done + len(named)]:
                _refuse_order(path, named, names[done:], block.line)
            done += len(named)
            table = [
                numbers(path, "a coordinate or score", texts, block.line)
                for texts in block.columns[1:]
            ]
            for column in table:
                if np.isnan(column).any():
                    raise InputError(
                        f"{shown(path)}, line {block.line + int(np.isnan(column).argmax())}: "
                        "expected ten coordinates and a score, got nan; correct this line"
                    )
            points.append(np.stack(table[:-1], axis=1).astype(np.float32))
            scores.append(table[-1])
    if done < len(names):
        raise InputError(
            f"{shown(path)}: expected a line for each of {len(names)} faces, got {done}; the file "
            "is cut short, or of another set"
        )
    return np.concatenate(points).reshape(-1, 5, 2), np.concatenate(scores)


def _refuse_order(path: Path, came: Sequence[str], expected: Sequence[str], line: int) -> None:
    at = next(
        (i for i, (one, two) in enumerate(zip(came, expected, strict=False)) if one != two),
        len(expected),
    )
    right = repr(expected[at]) if at < len(expected) else "no more faces"
    raise InputError(
        f"{shown(path)}, line {line + at}: expected the faces of the other file in its order, "
        f"here {right}, got {listed([came[at]])}; use the two files of one set"
    )


def _pairs(path: Path, templates: Integers, watch: Watch) -> TemplatePairs:
    expected = "pairs of templates, each two numbers and 0 or 1 in a line,"
    one, two, label = read_whole_numbers(path, 3, expected, watch=watch)
    wrong = label > 1
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError(
            f"{shown(path)}, line {at + 1}: expected the label 1 for one person or 0 for two, got "
            f"{label[at]}; correct this line"
        )
    first, second = (_places(path, templates, given) for given in (one, two))
    _require_pairs(path, first, second, templates)
    mated = label.astype(bool)
    if mated.all() or not mated.any():
        raise InputError(
            f"{shown(path)}: expected pairs of one person and of two, got {len(mated)} of one "
            "kind; the file is cut short, or of something else"
        )
    return TemplatePairs(first, second, mated)


def _places(path: Path, templates: Integers, given: Integers) -> Small:
    """Where each given template, one a line, is among all."""
    largest = int(templates[-1])
    if largest <= _TABLED:
        table = np.full(largest + 2, -1, np.int32)
        table[templates] = np.arange(len(templates))
        places = table[np.minimum(given, largest + 1)]
    else:
        found = np.searchsorted(templates, given).clip(max=len(templates) - 1)
        places = np.where(templates[found] == given, found, -1).astype(np.int32)
    if len(places) and places.min() < 0:
        at = int((places < 0).argmax())
        raise InputError(
            f"{shown(path)}, line {at + 1}: expected templates that have faces, but {given[at]} is "
            f"not in the file of faces ({int((places < 0).sum())} such templates); use the files "
            "of one set"
        )
    return places


def _require_pairs(path: Path, first: Small, second: Small, templates: Integers) -> None:
    alone = first == second
    if alone.any():
        at = int(alone.argmax())
        raise InputError(
            f"{shown(path)}, line {at + 1}: expected two templates, got {templates[first[at]]} "
            "with itself; remove this line"
        )
    codes = np.minimum(first, second).astype(np.int64)
    codes *= len(templates)
    codes += np.maximum(first, second)
    ordered = np.sort(codes)
    if (ordered[1:] == ordered[:-1]).any():
        order = np.argsort(codes, kind="stable")
        again = order[1:][codes[order[1:]] == codes[order[:-1]]]
        at = int(again.min())
        raise InputError(
            f"{shown(path)}, line {at + 1}: expected every pair once, got "
            f"{templates[first[at]]} and {templates[second[at]]} again ({len(again)} such lines); "
            "remove them"
        )


@dataclass(frozen=True)
class _Set:
    """A file of 1:N: its templates, the subject of each, and whether they are searched for."""

    path: Path
    set: TemplateSet
    subjects: Sequence[str]
    searched: bool


def _sets(folder: Path, name: str, templates: Integers, watch: Watch) -> list[_Set]:
    """Galleries and probes; none where there are no such files."""
    gallery = re.compile(re.escape(name) + r"_1N_gallery_(.+)\.csv")
    found = [m for m in (gallery.fullmatch(one.name) for one in sorted(folder.iterdir())) if m]
    sets = [_set(folder / match[0], match[1], templates, watch, searched=False) for match in found]
    path = folder / f"{name}_1N_probe_mixed.csv"
    if bool(found) != path.exists():
        there, missing = (found[0][0], path.name) if found else (path.name, "the galleries")
        raise InputError(
            f"expected galleries and probes for 1:N at {shown(folder)}, but {missing} is missing "
            f"beside {there!r}; add it, or remove both for 1:1 alone"
        )
    if not found:
        return []
    probes = _set(path, "probe_mixed", templates, watch, searched=True)
    for one in sets:
        both = np.intersect1d(one.set.templates, probes.set.templates)
        if len(both):
            raise InputError(
                f"expected other templates in {shown(one.path)} than in {shown(path)}, but "
                f"{templates[both[0]]} is in both ({len(both)} such templates); is one of them a "
                "copy of the other?"
            )
        twice = len(set(one.subjects)) < len(one.subjects)
        if twice:
            name = next(s for s in one.subjects if one.subjects.count(s) > 1)
            raise InputError(
                f"{shown(one.path)}: expected one template of each subject in a gallery, but "
                f"{listed([name])} has {one.subjects.count(name)}; is it a file of probes?"
            )
    return [*sets, probes]


def _set(path: Path, name: str, templates: Integers, watch: Watch, *, searched: bool) -> _Set:
    expected = "a CSV with the columns TEMPLATE_ID and SUBJECT_ID"
    require_file(path, expected)
    subjects: dict[int, str] = {}
    with refusing(path, expected, "write it again"):
        table = csv_table(path)
        at = [table.place(path, (column,)) for column in ("template_id", "subject_id")]
        template, subject = at
        if template is None or subject is None:
            raise InputError(
                f"{shown(path)}, line 1: expected {expected}, got {listed(table.header, 20)}; "
                "rename them"
            )
        for block in _watched(path, table.blocks, watch):
            given = _whole(path, "a template", block.columns[template], block.line)
            places = np.searchsorted(templates, given).clip(max=len(templates) - 1)
            wrong = templates[places] != given
            if wrong.any():
                line = block.line + int(wrong.argmax())
                raise InputError(
                    f"{shown(path)}, line {line}: expected templates that have faces, but "
                    f"{given[wrong.argmax()]} is not in the file of faces; use the files of one set"
                )
            people = block.columns[subject]
            for line, (place, person) in enumerate(
                zip(places.tolist(), people, strict=True), block.line
            ):
                if subjects.setdefault(place, person) != person or not person.strip():
                    raise InputError(
                        f"{shown(path)}, line {line}: expected one subject of template "
                        f"{templates[place]}, got {listed([subjects[place], person])}; correct "
                        "this line"
                    )
    if not subjects:
        raise InputError(f"{shown(path)}: expected rows below the header, got none; write it again")
    places = np.fromiter(subjects, np.int32, len(subjects))
    return _Set(path, TemplateSet(name, places), list(subjects.values()), searched)


def _named(folder: Path, sets: Sequence[_Set], count: int) -> tuple[Integers, Names]:
    """(T,) the place of each template's subject among the names, -1 where no file names it."""
    names, codes = np.unique(
        text_array(folder, "names of subjects", [s for one in sets for s in one.subjects]),
        return_inverse=True,
    )
    known = np.full(count, -1, np.int32)
    done = 0
    for one in sets:
        part = codes[done : done + len(one.subjects)]
        before = known[one.set.templates]
        wrong = (before >= 0) & (before != part)
        if wrong.any():
            at = int(wrong.argmax())
            raise InputError(
                f"{shown(one.path)}: expected one subject of each template, but another file "
                f"names {listed([str(names[before[at]])])} where this one names "
                f"{listed([one.subjects[at]])}; use the files of one set"
            )
        known[one.set.templates] = part
        done += len(part)
    return known, names


def _subjects(
    path: Path, pairs: TemplatePairs, known: tuple[Integers, Names], templates: Integers
) -> tuple[Small, Names, str]:
    """Who is on each template: the subjects that files name, and whom mated pairs join to them."""
    codes, names = known
    one, two = codes[pairs.first], codes[pairs.second]
    _refuse_labels(path, pairs, (one == two) != pairs.mated, (one >= 0) & (two >= 0), templates)
    count, compared = len(codes), np.zeros(len(codes), bool)
    compared[pairs.first] = compared[pairs.second] = True
    by = BY_FILES if (codes[compared] >= 0).all() else BY_PAIRS
    mated = np.flatnonzero(pairs.mated)
    there = np.flatnonzero(codes >= 0)
    ends = (
        np.concatenate([pairs.first[mated], there]),
        np.concatenate([pairs.second[mated], count + codes[there]]),
    )
    size = count + len(names)
    graph = csr_array((np.ones(len(ends[0]), np.int8), ends), shape=(size, size))
    group = connected_components(graph, directed=False)[1]
    if len(np.unique(group[count:])) < len(names):
        raise InputError(
            f"{shown(path)}: expected mated pairs of one subject, but they join templates of "
            "several subjects that the 1:N files name; use the files of one set"
        )
    same = group[pairs.first] == group[pairs.second]
    _refuse_labels(path, pairs, same != pairs.mated, np.ones(len(same), bool), templates)
    called = {int(place): str(name) for place, name in zip(group[count:], names, strict=True)}
    found, places = np.unique(group[:count], return_inverse=True)
    people = np.array([called.get(int(g), f"joined {n}") for n, g in enumerate(found)], np.str_)
    order = np.argsort(people)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    return rank[places], people[order], by


def _refuse_labels(
    path: Path,
    pairs: TemplatePairs,
    differs: npt.NDArray[np.bool_],
    known: npt.NDArray[np.bool_],
    templates: Integers,
) -> None:
    wrong: Any = differs & known
    if wrong.any():
        at = int(wrong.argmax())
        came, other = ("1", "two people") if pairs.mated[at] else ("0", "one person")
        raise InputError(
            f"{shown(path)}, line {at + 1}: expected a label that agrees with the subjects, got "
            f"{came} for {templates[pairs.first[at]]} and {templates[pairs.second[at]]}, which "
            f"other lines or files say are of {other} ({int(wrong.sum())} such pairs); use the "
            "files of one set"
        )
