"""The comparison as tables and sentences, from what `results.json` holds."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from recognition.report.numbers import span
from recognition.report.table import Table
from recognition.report.text import several

Results = Mapping[str, Any]


class Column(NamedTuple):
    """A number of the table: where it stands, its heading, and the factor to its unit."""

    key: str
    heading: str
    unit: float
    digits: int


PERCENT, DEGREE = (100.0, 1), (1.0, 1)
STRANGERS = (
    Column("eer", "EER %", *PERCENT),
    Column("tar@fmr=0.1", "TAR %\n@ FMR 0.1", *PERCENT),
    Column("tar@fmr=0.01", "TAR %\n@ FMR 0.01", *PERCENT),
    Column("tar@fmr=0.001", "TAR %\n@ FMR 0.001", *PERCENT),
    Column("auc", "AUC %", 100.0, 2),
)
SEARCH = (
    Column("rank1", "rank 1 %", *PERCENT),
    Column("fnir@fpir=0.1", "FNIR %\n@ FPIR 0.1", *PERCENT),
    Column("fnir@fpir=0.01", "FNIR %\n@ FPIR 0.01", *PERCENT),
)
ANGLES = (
    Column("w-ec", "W-EC", *DEGREE),
    Column("w-inter", "W-Inter", *DEGREE),
    Column("intra", "Intra", *DEGREE),
    Column("inter", "Inter", *DEGREE),
)
SEPARABILITY = (
    Column("silhouette", "silhouette", 1.0, 2),
    Column("nc1", "NC1", 1.0, 2),
    Column("alignment", "alignment", 1.0, 2),
    Column("uniformity", "uniformity", 1.0, 2),
    Column("effective-rank", "effective\nrank", 1.0, 1),
)


def tables(results: Results) -> list[Table]:
    """Verification, identification, angles, separability: one row per head.

    Options stand in the first table; in the others only where the name alone says too little.
    """
    titles = {
        "Verification: are two pictures of one person?": STRANGERS,
        "Open-set identification: who is it, if anyone enrolled?": SEARCH,
        "Angles in degrees: class weights (W-), and unseen people": ANGLES,
        "Separability of unseen people": SEPARABILITY,
    }
    whole = [(_name(head["name"]), _options(head["settings"])) for head in results["heads"]]
    names = [name for name, _ in whole]
    brief = [(name, options if names.count(name) > 1 else "") for name, options in whole]
    return [
        _table(title, columns, whole if columns is STRANGERS else brief, results)
        for title, columns in titles.items()
    ]


def _table(
    title: str, columns: Sequence[Column], named: Sequence[tuple[str, str]], results: Results
) -> Table:
    rows = []
    for name, head in zip(named, results["heads"], strict=True):
        cells = [_cell(column, head["estimates"][column.key]) for column in columns]
        rows.append([name, *cells])
    return Table(title, ["head", *(column.heading for column in columns)], rows)


def _name(asked: str) -> str:
    return re.split("[:+]", asked)[0]


def _options(settings: Sequence[str]) -> str:
    """`m=2 annealed base=100`, once per seed that chose otherwise."""
    options = [setting[len(_name(setting)) + 1 :] for setting in settings]
    return " or ".join(re.sub("[,:+]", " ", each) for each in options)


def _cell(column: Column, estimate: Mapping[str, Any]) -> tuple[str, str]:
    if estimate["value"] is None:
        return "not resolved", ""
    number = _number(column)
    doubt = "*" if estimate["note"] else ""
    spread = estimate["spread"]
    value = number(estimate["value"]) + doubt + (f" ±{number(spread)}" if spread else "")
    if estimate["low"] is None or estimate["high"] is None:
        return value, ""
    return value, span(number(estimate["low"]), number(estimate["high"]))


def _number(column: Column) -> Callable[[float], str]:
    return lambda value: f"{value * column.unit:z.{column.digits}f}"


def _inline(cell: tuple[str, str]) -> str:
    value, interval = cell
    return f"{value} ({interval})" if interval else value


def notes(results: Results) -> list[str]:
    """What the marks in the tables mean, and who was compared on what."""
    lines = [_people(entry) for entry in results["data"][:1]]
    lines.append(
        "The second number of a cell is its 95 % interval by person: clustered Wilson of EER, TAR, "
        "AUC and rank 1, a U-statistic of uniformity, and else the people resampled "
        f"{results['resamples']} times. Scales and margins: {results['options_chosen']}."
    )
    if len(results["seeds"]) > 1:
        lines.append(f"Means over {len(results['seeds'])} seeds, ± the spread between them.")
    lines += [f"* {note}." for note in _doubts(results, missing=False)]
    lines += [f"Not resolved: {note}." for note in _doubts(results, missing=True)]
    return lines


def _people(entry: Mapping[str, Any]) -> str:
    learn, test = entry["learn"], entry["test"]
    skipped = f"; {several(len(entry['skipped']), 'file')} skipped" if entry["skipped"] else ""
    line = (
        f"{entry['source']}: learned from {learn['people']} people ({learn['pictures']} pictures), "
        f"judged on {test['people']} people never seen ({test['pictures']} pictures){skipped}."
    )
    return " ".join([line, *(f"{note}." for note in entry["notes"])])


def _doubts(results: Results, *, missing: bool) -> list[str]:
    found = [
        estimate["note"]
        for head in results["heads"]
        for estimate in head["estimates"].values()
        if estimate["note"] and (estimate["value"] is None) == missing
    ]
    return list(dict.fromkeys(found))


def verdict(results: Results) -> list[str]:
    """What the numbers allow to say, in words."""
    heads = sorted(results["heads"], key=lambda head: float(head["estimates"]["eer"]["value"]))
    best = heads[0]["estimates"]["eer"]
    lines = [
        (
            f"Lowest equal error rate: {heads[0]['name']}, {best['value']:.1%} "
            f"(95 %: {best['low']:.1%} to {best['high']:.1%})."
        )
    ]
    differences = results["differences"]
    if differences is None or not differences["heads"]:
        return lines
    groups: dict[str, list[str]] = {"lower": [], "higher": [], "not told apart": []}
    for name, gap in differences["heads"].items():
        kind = "lower" if gap["high"] < 0 else "higher" if gap["low"] > 0 else "not told apart"
        points = f"{gap['value'] * 100:+.1f} [{gap['low'] * 100:+.1f}, {gap['high'] * 100:+.1f}]"
        groups[kind].append(f"{name} {points}")
    lines.append(
        f"Against {differences['baseline']}, the baseline without a margin, on the same people, "
        "in points of equal error rate:"
    )
    lines += [f"  {kind}: {', '.join(names)}." for kind, names in groups.items() if names]
    return lines


def markdown(results: Results) -> str:
    """Tables, notes and verdict as a Markdown page."""
    parts = ["# Heads compared on people never seen in training", "\n".join(notes(results)[:2])]
    for table in tables(results):
        lines = [
            "| " + " | ".join(table.headings).replace("\n", " ") + " |",
            "|---" * len(table.headings) + "|",
        ]
        for row in table.rows:
            cells = [" ".join(filter(None, row[0])), *(_inline(cell) for cell in row[1:])]
            lines += ["| " + " | ".join(cells) + " |"]
        parts += [f"## {table.title}", "\n".join(lines)]
    parts += ["\n".join(f"{line}  " for line in notes(results)[2:]), "\n\n".join(verdict(results))]
    parts.append(f"`{results['command']}` took {results['seconds']:.0f} s.")
    return "\n\n".join(filter(None, parts)) + "\n"
