"""Who is enrolled and who is searched for in IJB's 1:N, and of whom each template is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.datasets._ijb_lines import Integers, watched, whole
from recognition.datasets._tables import csv_table, text_array
from recognition.errors import InputError
from recognition.progress import Watch
from recognition.protocols import TemplateSet

Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class SubjectSet:
    """A file of 1:N: its templates, the subject of each, and whether they are searched for."""

    path: Path
    set: TemplateSet
    subjects: Sequence[str]
    searched: bool


def read_sets(folder: Path, name: str, templates: Integers, watch: Watch) -> list[SubjectSet]:
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


def _set(path: Path, name: str, templates: Integers, watch: Watch, *, searched: bool) -> SubjectSet:
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
        for block in watched(path, table.blocks, watch):
            given = whole(path, "a template", block.columns[template], block.line)
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
    return SubjectSet(path, TemplateSet(name, places), list(subjects.values()), searched)


def named_subjects(folder: Path, sets: Sequence[SubjectSet], count: int) -> tuple[Integers, Names]:
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
