"""Who is compared with whom in IJB's 1:1, and what that says of the subjects."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from recognition.datasets._files import shown
from recognition.datasets._ijb_lines import Integers
from recognition.datasets._whole_numbers import read_whole_numbers
from recognition.errors import InputError
from recognition.progress import Watch
from recognition.protocols import Small, TemplatePairs

Names = npt.NDArray[np.str_]

_TABLED = 2**26  # the largest template number that is looked up in a table

BY_FILES = "subjects are those that the 1:N files name"
BY_PAIRS = (
    "the 1:N files do not name every subject: templates that mated pairs join are taken for one "
    "person, others for people of their own, so that intervals may be too narrow"
)


def read_pair_list(path: Path, templates: Integers, watch: Watch) -> TemplatePairs:
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
    _require_once_each(path, first, second, templates)
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


def _require_once_each(path: Path, first: Small, second: Small, templates: Integers) -> None:
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


def subjects_of(
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
