"""A number with its interval and its reasons: what every evaluation is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recognition.metrics import Interval, OpenSetPoint, OperatingPoint


@dataclass(frozen=True)
class Estimate:
    """A number, how far it could be off, and what it rests on.

    Attributes:
        value: None where the data cannot tell; `note` then says why.
        low: lower end of the 95 % interval, None if there is none.
        high: its upper end.
        note: why the value is missing, or why it should not be trusted far.
        counts: what it was counted from, thresholds included.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)


def at_point(
    point: OperatingPoint | OpenSetPoint, value: float, interval: Interval | None
) -> Estimate:
    """What is known at an operating point: no value where its target cannot be measured."""
    counts = {**point._asdict(), "resolved": point.resolved, "reliable": point.reliable}
    if not point.resolved or interval is None:
        return Estimate(None, note=point.reason, counts=counts)
    return Estimate(value, *interval, note=point.reason, counts=counts)
