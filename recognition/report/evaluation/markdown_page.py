"""An evaluation as one page of Markdown, from what `results.json` holds."""

from collections.abc import Mapping, Sequence

from recognition.report.evaluation.cells import Results
from recognition.report.evaluation.summary import headline, summary
from recognition.report.evaluation.tables import notes, tables
from recognition.report.table import Table
from recognition.report.text import as_code, in_markdown

MOST_FAILURES = 20


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
