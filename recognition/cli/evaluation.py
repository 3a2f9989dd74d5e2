"""What `recognition evaluate` does, in order: read and judge, write, show."""

import json
import platform
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

from recognition.cli.console import (
    REPORT,
    bar,
    command_line,
    name_skipped,
    show_lines,
    show_run_folder,
    show_tables,
)
from recognition.cli.evaluation_asked import Asked
from recognition.cli.evaluation_judging import judge
from recognition.evaluation.findings import Findings
from recognition.peak_memory import peak_gib
from recognition.progress import Timed
from recognition.report.evaluation.figures import save_curves
from recognition.report.evaluation.markdown_page import markdown
from recognition.report.evaluation.summary import headline, summary
from recognition.report.evaluation.tables import notes, tables
from recognition.report.html.evaluated import document
from recognition.report.html.render import render
from recognition.report.results_folder import check_free, run_folder
from recognition.report.text import legible
from recognition.report.thumbnails import from_folder, pictures_of


def run_evaluation(
    asked: Asked, folder: Path, *, as_json: bool, images: Path | None = None
) -> None:
    """Evaluate, write the run folder, print.

    Args:
        asked: what to evaluate.
        folder: where to write it.
        as_json: print results.json.
        images: the folder of the pictures that the report is to show, if any.

    Raises:
        InputError: anything that cannot be; nothing has been written by then.
    """
    start = time.perf_counter()
    check_free(folder)
    watch = Timed(bar)
    findings = judge(asked, watch)
    results = _described(asked, findings, time.perf_counter() - start, watch.seconds)
    text = json.dumps(results, indent=1, allow_nan=False)
    with run_folder(folder) as partial:
        (partial / "results.json").write_text(text + "\n", encoding="utf-8")
        page = markdown(results, save_curves(results, partial))
        (partial / "table.md").write_text(page, encoding="utf-8")
        (partial / REPORT).write_text(page_of(results, images), encoding="utf-8")
    if as_json:
        typer.echo(text)
        return
    show_lines([headline(results), "", *summary(results), ""])
    show_tables(tables(results))
    if notes(results):
        show_lines([*notes(results), ""])
    show_run_folder(folder)


def page_of(results: Mapping[str, Any], images: Path | None) -> str:
    """The page of the results, with small pictures where their folder is named."""
    if images is None:
        return render(document(results))
    shown = from_folder(pictures_of(_lists(results)), images)
    name_skipped(shown.skipped)
    return render(document(results, shown.pictures))


def _lists(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every list of pictures, the worst pairs first."""
    return [
        listing
        for section in results["sections"]
        if section["key"] in ("verification", "neighbours")
        for listing in section["lists"]
    ]


def _described(
    asked: Asked, findings: Findings, seconds: float, stages: Mapping[str, float]
) -> dict[str, Any]:
    found = findings.as_dict()
    found["input"]["source"] = legible(asked.source)
    if found["comparison"] is not None and asked.compare is not None:
        found["comparison"]["name"] = legible(asked.compare.name)
    return {
        "format": 1,
        "version": metadata.version("margin-recognition"),
        "command": legible(command_line()),
        "seconds": round(seconds, 1),
        "stages": {name: round(took, 3) for name, took in stages.items()},
        "peak_gib": peak_gib(),
        "system": platform.system(),
        "name": legible(asked.title),
        "seed": asked.options.seed,
        "resamples": asked.options.replicates,
        **found,
    }
