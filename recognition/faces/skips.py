"""The list of files that could not be used, beside the file of faces."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from recognition.datasets.pictures import Skipped
from recognition.whole_files import written_whole


def skips_beside(out: Path) -> Path:
    """Where the list is: `faces.skipped.csv` for `faces.npz`."""
    return out.with_suffix(".skipped.csv")


def write_skips(path: Path, skipped: Iterable[Skipped]) -> None:
    """A CSV with the columns path and reason, written whole, also where nothing was skipped."""
    text = io.StringIO(newline="")
    rows = [(_cell(name), _cell(reason)) for name, reason in skipped]
    csv.writer(text).writerows([("path", "reason"), *rows])
    with written_whole(path) as file:
        file.write(text.getvalue().encode())


def _cell(text: str) -> str:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
