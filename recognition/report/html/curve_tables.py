"""The numbers behind a drawing: a few places of its curves, as a table."""

from collections.abc import Mapping, Sequence

import numpy as np

from recognition.report.numbers import places_for, written
from recognition.report.table import Table

MOST_ROWS = 12
Column = tuple[Sequence[float | None], str]  # values along the curve, and their unit


def curve_table(title: str, columns: Mapping[str, Column], *, most: int = MOST_ROWS) -> Table:
    """At most so many places, evenly spread along curves of one length, first and last included."""
    length = len(next(iter(columns.values()))[0])
    places = np.unique(np.linspace(0, length - 1, min(most, length)).round().astype(int))
    return rows_table(title, columns, places.tolist())


def rows_table(title: str, columns: Mapping[str, Column], places: Sequence[int]) -> Table:
    """These places of the curves."""
    rows = [[(_cell(values[at], unit), "") for values, unit in columns.values()] for at in places]
    return Table(title, list(columns), rows)


def _cell(value: float | str | None, unit: str) -> str:
    if value is None:
        return "not resolved"
    if isinstance(value, str):  # JSON does not know an infinity
        return "below every score" if value.startswith("-") else "above every score"
    places = places_for(value, unit)  # type: ignore[arg-type]  # units are literals of rows
    return f"{written(value, unit, places)}{' %' if unit == 'share' else ''}"  # type: ignore[arg-type]


def at_rates(rates: Sequence[float], wanted: Sequence[float]) -> list[int]:
    """The places where an ascending rate is the last at most each of those wanted, each once.

    >>> at_rates([0.0, 0.001, 0.02, 0.5], [0.001, 0.01, 0.1, 1.0])
    [1, 2, 3]
    """
    found = np.searchsorted(np.asarray(rates, np.float64), wanted, side="right") - 1
    return list(dict.fromkeys(int(place) for place in found if place >= 0))
