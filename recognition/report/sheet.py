"""An evaluation as tables, notes and sentences, from what `results.json` holds.

Of the counts of a row these are read: `target` and `nonmated`, to say what would be needed, and
what stands in the column "counted": a share that is one of `SHARES`, or how many of `SIZES`.
"""

from collections.abc import Mapping, Sequence
from math import isclose, log10, sqrt
from typing import Any

from recognition.metrics.verification import ENOUGH_ERRORS
from recognition.report.numbers import difference, places_for, span, with_sign, written
from recognition.report.table import Table
from recognition.report.text import as_code, in_markdown, legible, shortened

Results = Mapping[str, Any]
Entry = Mapping[str, Any]  # one row of a section, of the groups or of the comparison

SHARES = (
    ("accepted", "mated"),
    ("missed", "mated"),
    ("hits", "mated"),
    ("hits", "queries"),
    ("errors", "trials"),
    ("failed", "pictures"),
    ("failed", "people"),
    ("missed", "pictures"),
)
SIZES = ("queries", "searches", "pairs", "pictures", "people")

SYMBOLS = "*†‡§¶"
NOT_RESOLVED = "not resolved"
LONGEST_NAME, LONGEST_WORD, LONGEST_HEADING, LONGEST_COUNT = 48, 18, 14, 15
MOST_GROUPS, MOST_FAILURES, MOST_LABELS, MOST_LISTED = 30, 20, 4, 5
LONGEST_TEXT = 60
LONGEST_CELL = 13  # of a list: six columns fit a terminal
FMR_ASKED = 0.001
TAR, FNIR = "tar@fmr=", "fnir@fpir="


def tables(results: Results) -> list[Table]:
    """A table per section that has rows, one of the groups, and one of the comparison.

    Each explains its own marks and says what else is to be known to read it.
    """
    found = []
    for section in results["sections"]:
        if section["rows"]:
            found.append(_section(section))
        found += [_listing(each) for each in section.get("lists", ()) if each["rows"]]
    if results["groups"] and results["groups"]["rows"]:
        found.append(_groups(results["groups"]))
    if results["comparison"]:
        found.append(_comparison(results))
    return found


def _section(section: Entry) -> Table:
    marks, rows = _marks(section["rows"]), []
    for row in section["rows"]:
        value, interval = _value(row, marks)
        rows.append([(legible(row["label"]), ""), (value, ""), (interval, ""), (_counted(row), "")])
    headings = ["", "value", "95 % interval", "counted"]
    return Table(section["title"], headings, rows, _told(section["rows"], section["notes"]))


def _listing(listing: Entry) -> Table:
    """The first few of things to look at."""
    rows = [[(_entry(cell), "") for cell in row] for row in listing["rows"][:MOST_LISTED]]
    more = listing["total"] - len(rows)
    first = f" The first {len(rows)} of {listing['total']:,}; see results.json" if more else ""
    return Table(listing["title"] + first, listing["headings"], rows)


def _entry(cell: str | float | None) -> str:
    if cell is None or isinstance(cell, str):
        return shortened(cell or "", LONGEST_CELL)
    return written(cell, "score", 3)


def _value(row: Entry, marks: Mapping[str, str]) -> tuple[str, str]:
    """The value with its unit and mark, and its interval."""
    mark = marks.get(row["note"] or "", "")
    if row["value"] is None:
        return NOT_RESOLVED + mark, ""
    places = _places(row)
    value = with_sign(written(float(row["value"]), row["unit"], places), row["unit"]) + mark
    if row["low"] is None or row["high"] is None:
        return value, ""
    return value, span(*_ends(row, places))


def _places(row: Entry) -> int:
    # JSON knows no infinity: results.json holds it as text
    value, low, high = (
        None if row[key] is None else float(row[key]) for key in ("value", "low", "high")
    )
    share = _share(row)
    trials = share[1] if share else None
    return places_for(value or 0.0, row["unit"], low=low, high=high, trials=trials)


def _ends(row: Entry, places: int) -> tuple[str, str]:
    low, high = (written(float(row[end]), row["unit"], places) for end in ("low", "high"))
    return low, high


def _share(row: Entry) -> tuple[int, int] | None:
    """What was counted, of how many, where the value is that share or what is left of it."""
    counts = row["counts"]
    if row["unit"] != "share" or row["value"] is None:
        return None
    for part, whole in SHARES:
        if part in counts and counts.get(whole):
            share = counts[part] / counts[whole]
            if isclose(share, row["value"], abs_tol=1e-12):
                return int(counts[part]), int(counts[whole])
            if isclose(1 - share, row["value"], abs_tol=1e-12):
                return int(counts[whole] - counts[part]), int(counts[whole])
    return None


def _counted(row: Entry) -> str:
    share = _share(row)
    if share:
        text = f"{share[0]:,} of {share[1]:,}"
        return text if len(text) <= LONGEST_COUNT else text.replace(" ", "\n", 1)
    sizes = (f"{row['counts'][size]:,} {size}" for size in SIZES if row["counts"].get(size))
    return next(sizes, "") if row["value"] is not None else ""


def largest_groups(groups: Entry) -> list[Entry]:
    """The groups with the most people, as many as a page shows, in the order they came in."""
    rows = groups["rows"]
    places = sorted(range(len(rows)), key=lambda place: -rows[place]["people"])
    return [rows[place] for place in sorted(places[:MOST_GROUPS])]


def _groups(groups: Entry) -> Table:
    shown = largest_groups(groups)
    rates = [rate for row in shown for rate in row["rates"]]
    marks, labels = _marks(rates), list(dict.fromkeys(rate["label"] for rate in rates))
    rows = []
    for row in shown:
        cells = {rate["label"]: _value(rate, marks) for rate in row["rates"]}
        size = (f"{row['people']:,} people", f"{row['pictures']:,} pictures")
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


def _comparison(results: Results) -> Table:
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
    lines = [f"{mark.strip()} {_sentence(note)}" for note, mark in _marks(rows).items()]
    lines += _intervals(rows)
    lines += map(_sentence, more)
    return list(dict.fromkeys(lines))


def notes(results: Results) -> list[str]:
    """What is to be said of no table alone: how the input was read, which parts were left out."""
    bare = [
        note for section in results["sections"] if not section["rows"] for note in section["notes"]
    ]
    return list(dict.fromkeys(map(_sentence, [*bare, *results["input"]["notes"]])))


def _sentence(text: str) -> str:
    text = legible(text)
    return text if text.endswith((".", "!", "?")) else f"{text}."


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


def headline(results: Results) -> str:
    """What was evaluated, in one sentence."""
    given = results["input"]
    parts = [
        f"{given[key]:,} {word}"
        for key, word in (
            ("pictures", "pictures"),
            ("people", "people"),
            ("dimensions", "dimensions"),
            ("mated", "mated comparisons"),
            ("nonmated", "non-mated comparisons"),
        )
        if given.get(key) is not None
    ]
    return f"{legible(given['source'])}: {', '.join(parts)}."


def summary(results: Results) -> list[str]:
    """Three or four sentences for someone who reads such numbers for the first time.

    How many of 100 genuine pairs get in, how far that can be trusted, what cannot be measured
    and what would be needed, which pictures failed, and which of two models is better.
    """
    found = (
        *_genuine(results),
        *_unmeasured(results),
        *_failed(results),
        *_better(results),
    )
    return list(found)


def _rows(results: Results, prefix: str = "") -> list[Entry]:
    return [
        row
        for section in results["sections"]
        for row in section["rows"]
        if row["key"].startswith(prefix)
    ]


def _genuine(results: Results) -> list[str]:
    resolved = [row for row in _rows(results, TAR) if row["value"] is not None]
    if not resolved:
        return []
    row = min(resolved, key=lambda row: abs(log10(_target(row) / FMR_ASKED)))
    share = _share(row)
    counted = f" ({share[0]:,} of {share[1]:,})" if share else ""
    first = (
        f"Of 100 pairs that show one person, {_of_hundred(row['value'])} are accepted{counted} "
        f"if at most {_one_in(_target(row))} pairs that show two people may be accepted by mistake."
    )
    return [first, _trusted(row, results["input"].get("people"))]


def _target(row: Entry) -> float:
    return float(row["key"].rpartition("=")[2])


def _of_hundred(share: float) -> str:
    if share in (0.0, 1.0):
        return "all" if share else "none"
    if share > 0.995:
        return "more than 99"
    return f"about {100 * share:.0f}" if share > 0.005 else "fewer than 1"


def _one_in(target: float) -> str:
    trials = round(1 / target)
    return f"one in {trials:,}" if isclose(1 / target, trials) else f"{100 * target:g} % of the"


def _trusted(row: Entry, people: int | None) -> str:
    others = f"{people:,} other people" if people else "other comparisons"
    text = f"How it would be with {others} is not known."
    if row["low"] is not None and row["high"] is not None:
        low, high = _ends(row, _places(row))
        text = f"With {others} it can be {low} to {high} of 100 (95 % interval)."
        if row["low"] == row["high"]:
            text = f"No resample gave anything else, which is no certainty for {others}."
    return f"{text} Careful: {_sentence(row['note'])}" if row["note"] else text


def _unmeasured(results: Results) -> list[str]:
    """What has no value, and what the smallest FMR and FPIR without one would need."""
    labels = [row["label"] for row in _rows(results) if row["value"] is None]
    if not labels:
        return []
    more = f" and {len(labels) - MOST_LABELS} more" if len(labels) > MOST_LABELS else ""
    text = f"Not resolved: {legible(', '.join(labels[:MOST_LABELS]))}{more}."
    for prefix, rate, what in ((TAR, "FMR", "pairs of two people"), (FNIR, "FPIR", "strangers")):
        missing = [row for row in _rows(results, prefix) if row["value"] is None]
        if not missing:
            continue
        least = min(missing, key=_target)
        target, trials = _target(least), least["counts"].get("nonmated")
        if trials and target and trials * target < 1:
            text += (
                f" {rate} {target:g} takes {1 / target:,.0f} {what} to be seen at all and "
                f"{ENOUGH_ERRORS / target:,.0f} to be trusted; here are {trials:,}"
            )
            text += f"{_more_people(target, results['input'])}." if rate == "FMR" else "."
    return [text]


def _more_people(target: float, given: Entry) -> str:
    """How many would make pairs enough, if every picture is compared with every other one."""
    people, pictures = given.get("people"), given.get("pictures")
    if not people or not pictures:
        return ""
    compared = given["mated"] + given["nonmated"]
    embedded = pictures - len(given["failures"])
    if not any(n * (n - 1) // 2 == compared for n in (pictures, embedded)):
        return ""
    factor = sqrt(ENOUGH_ERRORS / target / given["nonmated"])  # pairs grow with its square
    return f", and some {float(f'{people * factor:.1e}'):,.0f} people with as many pictures each would do"


def _failed(results: Results) -> list[str]:
    failures = results["input"]["failures"]
    if not failures:
        return []
    number = "1 picture" if len(failures) == 1 else f"{len(failures):,} pictures"
    first = failures[0]
    which = ", the first" if len(failures) > 1 else ""
    reason = shortened(first["reason"], LONGEST_TEXT)
    return [f"{number} could not be used{which}: {shortened(first['id'], LONGEST_TEXT)}, {reason}."]


def _better(results: Results) -> list[str]:
    if not results["comparison"]:
        return []
    rows = [row for row in results["comparison"]["rows"] if row["key"] == "eer"]
    if not rows or rows[0]["difference"] is None:
        return []
    one, other = (
        shortened(each["name"], LONGEST_TEXT) for each in (results, results["comparison"])
    )
    said = {"lower": "is lower than", "higher": "is higher than"}.get(
        rows[0]["verdict"], "cannot be told apart from"
    )
    return [f"The equal error rate of {one} {said} that of {other} on the same people."]


def markdown(results: Results, figures: Sequence[str] = ()) -> str:
    """Summary, tables, failures, notes, figures beside the page and command, in Markdown.

    Whatever comes from files of users is escaped.
    """
    parts = [
        f"# {in_markdown(results['name'])} on strangers",
        in_markdown(headline(results)),
        *map(in_markdown, summary(results)),
        *(_table_in_markdown(table) for table in tables(results)),
        _failures_in_markdown(results["input"]["failures"]),
    ]
    lines = notes(results)
    if lines:
        parts += ["## Notes", _bulleted(lines)]
    if figures:
        parts += ["## Figures", *(f"![{name}]({name})" for name in figures)]
    parts.append(
        f"{as_code(results['command'])} took {results['seconds']:.3g} s "
        f"(version {in_markdown(results['version'])})."
    )
    return "\n\n".join(filter(None, parts)) + "\n"


def _table_in_markdown(table: Table) -> str:
    rows = [[_inline(cell) for cell in row] for row in table.rows]
    text = _ruled(table.title, table.headings, rows)
    return "\n\n".join(filter(None, [text, _bulleted(table.notes)]))


def _bulleted(lines: Sequence[str]) -> str:
    return "\n".join(f"- {in_markdown(line)}" for line in lines)


def _inline(cell: tuple[str, str]) -> str:
    value, second = cell
    return f"{value} ({second})" if second else value


def _ruled(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, *rows]
    text = ["| " + " | ".join(map(in_markdown, line)) + " |" for line in lines]
    text.insert(1, "|---" + "|---:" * (len(headings) - 1) + "|")
    return f"## {in_markdown(title)}\n\n" + "\n".join(text)


def _failures_in_markdown(failures: Sequence[Mapping[str, str]]) -> str:
    if not failures:
        return ""
    rows = [[each["id"], each["label"], each["reason"]] for each in failures[:MOST_FAILURES]]
    more = len(failures) - MOST_FAILURES
    text = _ruled(f"Failures: {len(failures):,}", ["picture", "person", "reason"], rows)
    return f"{text}\n\nAnd {more:,} more in results.json." if more > 0 else text
