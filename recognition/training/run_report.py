"""`report.html` in the folder of a run, from the files that are there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recognition.datasets._files import refusing, require_file, shown
from recognition.errors import InputError
from recognition.report.html.render import render
from recognition.report.html.trained import COLUMNS, document, verdict
from recognition.report.html.trained_drawings import validations
from recognition.training.logs import CSV, lines_until
from recognition.whole_files import written_whole

RESULTS, REPORT = "results.json", "report.html"
EXPECTED = "the results of a training run"


def write_report(folder: Path, results: Mapping[str, Any] | None = None) -> Path:
    """Write the page of a finished run, in the place of any other, whole or not at all.

    Args:
        folder: of the run, with its `results.json` and `log.csv`.
        results: what `results.json` holds, where it is known already.

    Returns:
        The page.

    Raises:
        InputError: no finished run.
    """
    found = _read(folder / RESULTS) if results is None else results
    page = render(document(found, _lines(folder, found))).encode()
    with written_whole(folder / REPORT) as file:
        file.write(page)
    return folder / REPORT


def told(folder: Path, results: Mapping[str, Any]) -> list[str]:
    """What the page says first: what the network is worth, and whether it still improves."""
    return verdict(results, validations(results, _lines(folder, results)))


def _lines(folder: Path, results: Mapping[str, Any]) -> list[dict[str, float]]:
    """Those of the log up to the end of the run."""
    return [
        {key: float(value) for key, value in line.items()}
        for line in lines_until(folder / CSV, results["steps"], COLUMNS)
    ]


def _read(path: Path) -> dict[str, Any]:
    require_file(path, EXPECTED)
    with refusing(path, EXPECTED, "name the folder of a run that came to its end"):
        found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or not {"config", "steps", "last_estimates"} <= found.keys():
        raise InputError(
            f"expected {EXPECTED} at {shown(path)}, got other JSON; name the folder of a run of "
            "recognition train"
        )
    return found
