"""The drawings of an evaluation, each with what is to be seen in it and the numbers behind it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from recognition.report.evaluation.cells import Entry, Results, value_of
from recognition.report.evaluation.figures import figures
from recognition.report.evaluation.identification_figures import growths_of
from recognition.report.evaluation.panels import curve_of
from recognition.report.evaluation.tables import groups_table
from recognition.report.html.curve_tables import at_rates, curve_table, rows_table
from recognition.report.html.document import Drawing
from recognition.report.html.svg import svg_of
from recognition.report.table import Table

WANTED = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.2, 0.5)
Curve = Mapping[str, Any]


class _Told(NamedTuple):
    section: str  # where on the page it stands
    title: str
    sentence: str
    table: Table


def drawings(results: Results) -> dict[str, list[Drawing]]:
    """All drawings that the results can fill, by the key of the section they belong to."""
    found: dict[str, list[Drawing]] = {}
    for file, figure in figures(results).items():
        key = file.removesuffix(".png")
        told = TELLERS[key](results)
        drawing = Drawing(key, told.title, svg_of(figure, key), told.sentence, told.table)
        found.setdefault(told.section, []).append(drawing)
    return found


def section_of(results: Results, key: str) -> Entry:
    """The section of that key; one without rows and curves where there is none."""
    empty: Entry = {"key": key, "title": "", "rows": [], "curves": {}, "lists": [], "notes": []}
    return next((each for each in results["sections"] if each["key"] == key), empty)


def row_of(results: Results, key: str) -> Entry | None:
    """The row of that key, if it has a value."""
    rows = (row for section in results["sections"] for row in section["rows"])
    return next((row for row in rows if row["key"] == key and row["value"] is not None), None)


def _said(results: Results, key: str) -> str:
    """`1.2 % (0.6-2.6)`, or that it is not resolved."""
    row = row_of(results, key)
    if row is None:
        return "not resolved"
    value, interval = value_of(row, {})
    return f"{value} (95 %: {interval})" if interval else value


def _scores(results: Results) -> _Told:
    curve = curve_of(results, "verification", "histogram")
    kinds = {"one person": "mated", "two people": "nonmated"}
    counts = {name: np.asarray(curve[key]) for name, key in kinds.items()}
    seen = np.flatnonzero(sum(counts.values()) > 0)
    columns = {"score from": ([float(curve["bins"][at]) for at in seen], "score")}
    columns |= {name: (each[seen].tolist(), "count") for name, each in counts.items()}
    sentence = (
        "Scores of pairs that show one person and of pairs that show two; heights are on a "
        f"logarithmic axis, so that the few that matter are seen. {_apart(results, counts)}"
    )
    return _Told("verification", "The scores", sentence, curve_table("Scores", columns))


def _apart(results: Results, counts: Mapping[str, Any]) -> str:
    """Whether a threshold tells both kinds of pairs apart."""
    row = row_of(results, "eer")
    if row is not None and row["value"] == 0:
        return "A threshold separates both without an error here."
    middles = [np.searchsorted(np.cumsum(each), each.sum() / 2) for each in counts.values()]
    where = (
        "Pairs of one person lie to the right, as they should; where both overlap"
        if middles[0] > middles[1]
        else "Pairs of one person do not lie to the right, as they should, and"
    )
    both = f": at that of equal errors both are {_said(results, 'eer')}" if row else ""
    return f"{where} no threshold separates them{both}."


def _at_error(results: Results, key: str) -> Table:
    curve = curve_of(results, "verification", "roc")
    columns = {
        "FMR": (curve["fmr"], "share"),
        "FNMR": (curve["fnmr"], "share"),
        "threshold": (curve["threshold"], "score"),
    }
    title = "Misses at false match rates of at most 0.0001 %, ... 50 %"
    return rows_table(title, columns, at_rates(curve["fmr"], WANTED))


def _det(results: Results) -> _Told:
    sentence = (
        "False matches to the right, misses upwards, on normal-deviate axes: the nearer to the "
        f"lower left, the better. On the diagonal both errors are equal, {_said(results, 'eer')}."
    )
    return _Told("verification", "Both errors (DET)", sentence, _at_error(results, "det"))


def _roc(results: Results) -> _Told:
    sentence = (
        "How many pairs of one person are accepted where at most so many pairs of two people may "
        f"be: {_said(results, 'tar@fmr=0.01')} at an FMR of 0.01, "
        f"{_said(results, 'tar@fmr=0.001')} at 0.001."
    )
    return _Told("verification", "Accepted pairs (ROC)", sentence, _at_error(results, "roc"))


def _cmc(results: Results) -> _Told:
    curve = curve_of(results, "identification", "cmc")
    columns = {"rank": (curve["rank"], "count"), "found": (curve["rate"], "share")}
    sentence = (
        f"The right person comes first in {_said(results, 'rank1')} of the searches for somebody "
        "enrolled; to the right, how often it is among the first so many. Strangers have no part "
        "in this."
    )
    return _Told("identification", "Found among the first (CMC)", sentence,
                 curve_table("Found among the first", columns))  # fmt: skip


def _oscr(results: Results) -> _Told:
    curve = curve_of(results, "identification", "oscr")
    columns = {
        "FPIR": (curve["fpir"], "share"),
        "named rightly": (curve["dir"], "share"),
        "threshold": (curve["threshold"], "score"),
    }
    sentence = (
        "How many enrolled people are named rightly where at most so many strangers may be given "
        f"a name: the share missed is {_said(results, 'fnir@fpir=0.1')} at an FPIR of 0.1, and "
        f"{_said(results, 'fnir@fpir=0.01')} at 0.01."
    )
    return _Told("identification", "Named rightly against false alarms", sentence,
                 rows_table("Named rightly", columns, at_rates(curve["fpir"], WANTED)))  # fmt: skip


def _growth(results: Results) -> _Told:
    _, curve = growths_of(results)[0]
    independent = curve["independent"] if "independent" in curve else curve["bound"]
    columns = {
        "people enrolled": (curve["gallery"], "count"),
        "FPIR": (curve["fpir"], "share"),
        "if independent": (independent, "share"),
    }
    table = curve_table("False alarms by the size of the gallery", columns)
    first, last = table.rows[0], table.rows[-1]
    sentence = (
        "One threshold, and more and more people enrolled: every one is one more whom a stranger "
        f"can be taken for. With {first[0][0]} people the FPIR is {first[1][0]}, with "
        f"{last[0][0]} it is {last[1][0]}. A threshold holds for one size of gallery."
    )
    return _Told("identification", "False alarms while the gallery grows", sentence, table)


def _margins(results: Results) -> _Told:
    curve = curve_of(results, "neighbours", "margins")
    counts = np.asarray(curve["counts"])
    seen = np.flatnonzero(counts)
    columns = {
        "margin from": ([float(curve["bins"][at]) for at in seen], "score"),
        "pictures": (counts[seen].tolist(), "count"),
    }
    sentence = (
        "How far each picture's own person is ahead of everybody else. Left of 0 the nearest "
        f"picture is somebody else's; {_said(results, 'nearest-own')} of the pictures lie right "
        "of it."
    )
    return _Told("neighbours", "How far ahead the right person is", sentence,
                 curve_table("Margins", columns))  # fmt: skip


def _quality(results: Results) -> _Told:
    curve = curve_of(results, "quality", "discard")
    columns = {
        "discarded": (curve["share"], "share"),
        "missed of the rest": (curve["fnmr"], "share"),
        "in random order": (curve["random"], "share"),
        "in ideal order": (curve["ideal"], "share"),
    }
    sentence = (
        "Misses among what is left as pairs of low quality are discarded. A quality that says "
        "something falls below the dashed line of a random order, towards the dotted one."
    )
    return _Told("quality", "What discarding poor pictures does", sentence,
                 curve_table("Misses by the share discarded", columns))  # fmt: skip


def _groups(results: Results) -> _Told:
    sentence = (
        "Error rates of every group at one threshold for all, with 95 % intervals; hollow where "
        "people are too few. Groups whose intervals lie apart are treated differently."
    )
    return _Told("groups", "Groups at one threshold", sentence, groups_table(results["groups"]))


TELLERS = {
    "scores": _scores,
    "det": _det,
    "roc": _roc,
    "cmc": _cmc,
    "oscr": _oscr,
    "growth": _growth,
    "margins": _margins,
    "quality": _quality,
    "groups": _groups,
}
