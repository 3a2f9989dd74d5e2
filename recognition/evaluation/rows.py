"""What an evaluation found, as named rows: the one shape that tables, files and figures read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from recognition.evaluation.estimates import Estimate

Unit = Literal["share", "points", "number", "bits", "score", "degrees", "count"]


@dataclass(frozen=True)
class Row:
    """One number with its interval, and all there is to say about it.

    Attributes:
        key: its name for machines, unique in an evaluation, e.g. "tar@fmr=0.001".
        label: its name for people, e.g. "TAR at FMR 0.001".
        unit: a share is between 0 and 1 and shown in percent, a difference of two in points.
        estimate: the value, None where it cannot be measured, with interval, note and counts.
        interval: how the interval was made, e.g. "person bootstrap"; empty without one.
    """

    key: str
    label: str
    unit: Unit
    estimate: Estimate
    interval: str = ""


@dataclass(frozen=True)
class Listing:
    """Things to look at one by one, the most telling first.

    Attributes:
        key: its name for machines.
        title: a heading for people.
        headings: of the columns.
        rows: as many as are worth keeping, each as long as the headings.
        total: how many there are.
    """

    key: str
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]
    total: int


@dataclass(frozen=True)
class Section:
    """Rows that belong together, and what holds for all of them.

    Attributes:
        key: "verification", "identification", ...
        title: a heading that says what question the rows answer.
        rows: what was found.
        notes: sentences for below the table.
        curves: arrays that figures are drawn from, by name of the curve, then of the axis.
        lists: single pictures or people that the numbers point to.
    """

    key: str
    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    lists: tuple[Listing, ...] = ()
