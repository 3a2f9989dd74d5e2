"""An evaluation as tables with notes, from what `results.json` holds."""

from collections.abc import Sequence

from recognition.report.evaluation.cells import (
    NOT_RESOLVED,
    SYMBOLS,
    Entry,
    Results,
    counted,
    sentence,
    value_of,
)
from recognition.report.numbers import difference, places_for, span, with_sign, written
from recognition.report.table import Table
from recognition.report.text import legible, several, shortened

LONGEST_NAME, LONGEST_WORD, LONGEST_HEADING = 48, 18, 14
MOST_GROUPS, MOST_LISTED = 30, 5
LONGEST_CELL = 13  # of a list: six columns fit a terminal


def tables(results: Results) -> list[Table]:
    """A table per section that has rows, one of the groups, and one of the comparison.

    Each explains its own marks and says what else is to be known to read it.
    """
    found = []
    for section in results["sections"]:
        if section["rows"]:
            found.append(section_table(section))
        found += [listing_table(each) for each in section.get("lists", ()) if each["rows"]]
    if results["groups"] and results["groups"]["rows"]:
        found.append(groups_table(results["groups"]))
    if results["comparison"]:
        found.append(comparison_table(results))
    return found


def notes(results: Results) -> list[str]:
    """What is to be said of no table alone: how the input was read, which parts were left out."""
    bare = [
        note for section in results["sections"] if not section["rows"] for note in section["notes"]
    ]
    return list(dict.fromkeys(map(sentence, [*bare, *results["input"]["notes"]])))


def largest_groups(groups: Entry) -> list[Entry]:
    """The groups with the most people, as many as a page shows, in the order they came in."""
    rows = groups["rows"]
    places = sorted(range(len(rows)), key=lambda place: -rows[place]["people"])
    return [rows[place] for place in sorted(places[:MOST_GROUPS])]


def section_table(section: Entry) -> Table:
    """Every row of a section: value, interval, what was counted."""
    marks, rows = _marks(section["rows"]), []
    for row in section["rows"]:
        value, interval = value_of(row, marks)
        rows.append([(legible(row["label"]), ""), (value, ""), (interval, ""), (counted(row), "")])
    headings = ["", "value", "95 % interval", "counted"]
    return Table(section["title"], headings, rows, _told(section["rows"], section["notes"]))


def listing_table(listing: Entry) -> Table:
    """The first few of things to look at."""
    rows = [[(_entry(cell), "") for cell in row] for row in listing["rows"][:MOST_LISTED]]
    more = listing["total"] - len(rows)
    first = f" The first {len(rows)} of {listing['total']:,}; see results.json" if more else ""
    return Table(listing["title"] + first, listing["headings"], rows)


def _entry(cell: str | float | None) -> str:
    if cell is None or isinstance(cell, str):
        return shortened(cell or "", LONGEST_CELL)
    return written(cell, "score", 3)


def groups_table(groups: Entry) -> Table:
    """The rates of each group, the largest groups only."""
    shown = largest_groups(groups)
    rates = [rate for row in shown for rate in row["rates"]]
    marks, labels = _marks(rates), list(dict.fromkeys(rate["label"] for rate in rates))
    rows = []
    for row in shown:
        cells = {rate["label"]: value_of(rate, marks) for rate in row["rates"]}
        size = (several(row["people"], "person", "people"), several(row["pictures"], "picture"))
        doubt = "too few" if row["too_few"] else ""
        name = (_in_lines(row["group"]), doubt)
        rows.append([name, size, *(cells.get(label, ("", "")) for label in labels)])
    title = f"Groups by {shortened(groups['column'], LONGEST_NAME)}, at one threshold for all"
    headings = [shortened(groups["column"], LONGEST_HEADING), "size", *labels]
    return Table(title, headings, rows, _told(rates, _about_groups(groups)))


def _in_lines(name: str) -> str:
    """A name whose words are short enough for a narrow column."""
    words = shortened(name, LONGEST_NAME).split(" ")
    return " ".join(shortened(word, LONGEST_WORD) for word in words)


def comparison_table(results: Results) -> Table:
    """Two models on the same people, with the difference of each number."""
    one, other = _names(results)
    entries = results["comparison"]["rows"]
    marks, rows = _marks(entries), []
    for row in entries:
        unit, low, high = row["unit"], row["low"], row["high"]
        resolved = row["difference"] is not None
        places = places_for(row["difference"] or 0.0, unit, low=low, high=high)
        gap, ends = NOT_RESOLVED, ""
        if resolved:
            gap = difference(row["difference"], unit, places)
        if resolved and low is not None and high is not None:
            ends = span(difference(low, unit, places), difference(high, unit, places))
        values = [
            (NOT_RESOLVED if value is None else with_sign(written(value, unit, places), unit), "")
            for value in (row["value"], row["other"])
        ]
        mark = marks.get(row["note"] or "", "")
        rows.append(
            [(legible(row["label"]), ""), *values, (gap + mark, ends), (row["verdict"] or "", "")]
        )
    title = f"Compared on the same {results['comparison']['people']:,} people"
    headings = ["", one, other, "difference", "verdict"]
    return Table(title, headings, rows, _told(entries, _about_comparison(results)))


def _names(results: Results) -> tuple[str, str]:
    """Both models by names that tell them apart."""
    one, other = (
        shortened(each["name"], LONGEST_HEADING) for each in (results, results["comparison"])
    )
    return (one, other) if one != other else ("first", "second")


def _marks(rows: Sequence[Entry]) -> dict[str, str]:
    """The mark of each different note, in the order of the rows."""
    notes = list(dict.fromkeys(row["note"] for row in rows if row["note"]))
    if len(notes) <= len(SYMBOLS):
        return dict(zip(notes, SYMBOLS, strict=False))
    return {note: f" [{number}]" for number, note in enumerate(notes, start=1)}


def _told(rows: Sequence[Entry], more: Sequence[str]) -> list[str]:
    """What the marks mean, how intervals were made, and what else there is to say, each once."""
    lines = [f"{mark.strip()} {sentence(note)}" for note, mark in _marks(rows).items()]
    lines += _intervals(rows)
    lines += map(sentence, more)
    return list(dict.fromkeys(lines))


def _intervals(rows: Sequence[Entry]) -> list[str]:
    """One kind of interval, or the most frequent one and which rows have another."""
    labels: dict[str, list[str]] = {}
    for row in rows:
        if row.get("interval") and row["low"] is not None:
            labels.setdefault(row["interval"], []).append(row["label"])
    kinds = sorted(labels, key=lambda kind: -len(labels[kind]))
    lines = [f"Intervals: 95 %, {legible(kind)}." for kind in kinds[:1]]
    for kind in kinds[1:]:
        of = "; ".join(map(legible, dict.fromkeys(labels[kind])))  # labels have commas
        lines.append(f"Intervals of {of}: 95 %, {legible(kind)}.")
    if any(
        row["low"] is not None and row["low"] == row["high"] and not row["note"] for row in rows
    ):
        lines.append("An interval without width: no resample differed, which is no certainty.")
    return lines


def _about_groups(groups: Entry) -> list[str]:
    lines = []
    if len(groups["rows"]) > MOST_GROUPS:
        lines.append(
            f"The {MOST_GROUPS} groups with the most people are shown, of "
            f"{len(groups['rows']):,}; all of them are in results.json."
        )
    return [*lines, *groups["notes"]]


def _about_comparison(results: Results) -> list[str]:
    comparison = results["comparison"]
    one, other = _names(results)
    full = tuple(legible(each["name"]) for each in (results, comparison))
    lines = [f"{one}: {full[0]}; {other}: {full[1]}."] if full != (one, other) else []
    if any(row["unit"] == "share" for row in comparison["rows"]):
        lines.append("Differences of percentages are in percentage points, first minus second.")
    return [*lines, *comparison["notes"]]
