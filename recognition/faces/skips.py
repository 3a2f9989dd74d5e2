"""The list of files that could not be used, beside the file of faces."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from recognition.datasets.pictures import Skipped
from recognition.faces.names import safe_cell
from recognition.whole_files import written_whole


def skips_beside(out: Path) -> Path:
    """Where the list is: `faces.skipped.csv` for `faces.npz`."""
    return out.with_suffix(".skipped.csv")


def write_skips(path: Path, skipped: Iterable[Skipped]) -> None:
    """A CSV with the columns path and reason, written whole, also where nothing was skipped."""
    text = io.StringIO(newline="")
    rows = [(safe_cell(name), safe_cell(reason)) for name, reason in skipped]
    csv.writer(text).writerows([("path", "reason"), *rows])
    with written_whole(path) as file:
        file.write(text.getvalue().encode())
