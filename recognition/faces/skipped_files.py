"""The list of files that could not be used, beside the file of faces."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from recognition.datasets.pictures import Skipped
from recognition.faces.file_names import safe_cell
from recognition.report.text import legible, several
from recognition.whole_files import written_whole


def skips_beside(out: Path) -> Path:
    """Where the list is: `faces.skipped.csv` for `faces.npz`."""
    return out.with_suffix(".skipped.csv")


def nothing_usable(wanted: str, skipped: Sequence[Skipped], passed_over: int) -> str:
    """That there is nothing to work with, what was there instead, and the way out."""
    if not skipped:
        other = several(passed_over, "other file") if passed_over else "nothing"
        return (
            f"expected {wanted}, got {other}; name photographs, or a folder of them, as JPEG, PNG "
            "or WebP"
        )
    name, reason = skipped[0]
    which = (
        f"{legible(name)} cannot be used"
        if len(skipped) == 1
        else f"none of {len(skipped):,} files can be used, the first being {legible(name)}"
    )
    way_out = "" if ";" in reason else "; see what was found with recognition detect"
    return f"expected {wanted}, but {which}: {reason}{way_out}"


def write_skips(path: Path, skipped: Iterable[Skipped]) -> None:
    """A CSV with the columns path and reason, written whole, also where nothing was skipped."""
    text = io.StringIO(newline="")
    rows = [(safe_cell(name), safe_cell(reason)) for name, reason in skipped]
    csv.writer(text).writerows([("path", "reason"), *rows])
    with written_whole(path) as file:
        file.write(text.getvalue().encode())
