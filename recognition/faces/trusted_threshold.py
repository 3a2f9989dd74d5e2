"""A threshold that somebody can answer for: given, or set on comparisons of known people."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recognition.contract import Contract, require_same
from recognition.datasets._files import listed, printable, refusing, require_file, shown
from recognition.errors import InputError
from recognition.metrics.intervals import Interval
from recognition.report.text import legible

MOST_BYTES = 2**28
EXPECTED = "results.json of recognition evaluate"


@dataclass(frozen=True)
class Threshold:
    """Accept at a score at or above the value.

    Attributes:
        value: a cosine, from -1 to 1.
        source: where it comes from, for people.
        target: the FMR it was set for; None where it was just given.
        fmr: the FMR on people it was not set on, where that was measured.
        interval: of that rate at 95 %, by person.
        people: that it was set on.
        comparisons: of two different people that it was set on.
        note: what is doubtful about it.
    """

    value: float
    source: str
    target: float | None = None
    fmr: float | None = None
    interval: Interval | None = None
    people: int | None = None
    comparisons: int | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        if not -1 <= self.value <= 1:
            raise InputError(
                f"threshold: expected a cosine from -1 to 1, got {self.value!r}; recognition "
                "evaluate finds one on pictures of people you know"
            )


def read_calibration(path: Path, contract: Contract, *, fmr: float) -> Threshold:
    """The threshold for an FMR that `recognition evaluate` found with this model.

    Args:
        path: its results.json, or the folder with it.
        contract: of the model that will be judged with it.
        fmr: one of the rates it was found for.

    Raises:
        InputError: another file, one of another model or of pooled pictures, or one without a
            threshold for this rate; it says for which there are.
    """
    path = path / "results.json" if path.is_dir() else path
    results = _results(path)
    _require_same_model(path, results, contract)
    command = results.get("command")
    if isinstance(command, str) and "--templates" in _words(command):
        raise InputError(
            f"{shown(path)} has thresholds for several pictures of a person pooled into one, not for "
            "two photographs; evaluate without --templates"
        )
    with refusing(path, EXPECTED, "write it again with recognition evaluate"):
        rows = {row["key"]: row for row in _rows(results, "thresholds")}
        found = rows.get(f"threshold@fmr={fmr:g}")
        judged = rows.get(f"fmr@fmr={fmr:g}", {})
    if found is None:
        there = [key.removeprefix("threshold@fmr=") for key in rows if "threshold@fmr=" in key]
        raise InputError(
            f"{shown(path)} has no threshold for FMR {fmr:g}, but for {', '.join(there) or 'none'}: "
            "each needs enough comparisons of different people; ask for one of these with --fmr, or "
            "evaluate more people"
        )
    with refusing(path, EXPECTED, "write it again with recognition evaluate"):
        counts = found["counts"]
        low, high = judged.get("low"), judged.get("high")
        return Threshold(
            _number(found["value"]),
            f"set for FMR at most {fmr:g} by recognition evaluate, {shown(path)}",
            target=fmr,
            fmr=None if judged.get("value") is None else _number(judged["value"]),
            interval=None if low is None else Interval(_number(low), _number(high)),
            people=_count(judged.get("counts", {}).get("people")),
            comparisons=_count(counts["nonmated"]),
            note=legible(str(found["note"])) if found.get("note") else None,
        )


def _results(path: Path) -> dict[str, Any]:
    size = require_file(path, EXPECTED)
    if size > MOST_BYTES:
        raise InputError(
            f"expected {EXPECTED} at {shown(path)}, got {size:,} bytes, more than {MOST_BYTES:,}; "
            "check the path"
        )
    with refusing(path, EXPECTED, "name the results.json of a run"):
        results = json.loads(path.read_bytes(), parse_constant=_no_constant)
        if not isinstance(results, dict) or not {"format", "input", "sections"} <= results.keys():
            raise ValueError("it holds something else")
        if results["format"] != 1:
            raise ValueError("it is of another version")
        return results


def _require_same_model(path: Path, results: Mapping[str, Any], contract: Contract) -> None:
    with refusing(path, EXPECTED, "write it again with recognition evaluate"):
        told = results["input"].get("contract")
    if not told:
        raise InputError(
            f"{shown(path)} does not say which model made the embeddings, and a threshold holds for "
            "one model alone; evaluate a file that recognition embed wrote"
        )
    try:
        theirs = Contract.from_json(told if isinstance(told, str) else json.dumps(told))
        require_same(theirs, contract, names=(shown(path), "the two photographs"))
    except InputError as error:  # names in a file may hold anything
        raise InputError(printable(str(error))) from error


def _rows(results: Mapping[str, Any], key: str) -> Iterator[dict[str, Any]]:
    for section in results["sections"]:
        if section["key"] == key:
            yield from section["rows"]


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{listed([str(value)])} is no number")
    return float(value)


def _count(value: object) -> int | None:
    return None if value is None else int(_number(value))


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
