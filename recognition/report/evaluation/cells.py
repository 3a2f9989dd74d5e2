"""One row of an evaluation as text: its value, its interval, and what was counted.

Of the counts of a row these are read: what stands in the column "counted", which is a share that
is one of `SHARES`, or how many of `SIZES`.
"""

from collections.abc import Mapping
from math import isclose
from typing import Any

from recognition.report.numbers import places_for, span, with_sign, written
from recognition.report.text import legible

Results = Mapping[str, Any]
Entry = Mapping[str, Any]  # one row of a section, of the groups or of the comparison

SHARES = (
    ("accepted", "mated"),
    ("missed", "mated"),
    ("hits", "mated"),
    ("hits", "queries"),
    ("errors", "trials"),
    ("failed", "pictures"),
    ("failed", "people"),
    ("missed", "pictures"),
)
SIZES = ("queries", "searches", "pairs", "pictures", "people")

NOT_RESOLVED = "not resolved"
SYMBOLS = tuple("*†‡§¶")  # behind values, for what has to be known of them
LONGEST_COUNT = 15


def value_of(row: Entry, marks: Mapping[str, str]) -> tuple[str, str]:
    """The value with its unit and mark, and its interval."""
    mark = marks.get(row["note"] or "", "")
    if row["value"] is None:
        return NOT_RESOLVED + mark, ""
    places = places_of(row)
    value = with_sign(written(float(row["value"]), row["unit"], places), row["unit"]) + mark
    if row["low"] is None or row["high"] is None:
        return value, ""
    return value, span(*ends_of(row, places))


def places_of(row: Entry) -> int:
    """How many decimals tell the ends of its interval apart."""
    # JSON knows no infinity: results.json holds it as text
    value, low, high = (
        None if row[key] is None else float(row[key]) for key in ("value", "low", "high")
    )
    share = share_of(row)
    trials = share[1] if share else None
    return places_for(value or 0.0, row["unit"], low=low, high=high, trials=trials)


def ends_of(row: Entry, places: int) -> tuple[str, str]:
    """Both ends of its interval, as numbers alone."""
    low, high = (written(float(row[end]), row["unit"], places) for end in ("low", "high"))
    return low, high


def share_of(row: Entry) -> tuple[int, int] | None:
    """What was counted, of how many, where the value is that share or what is left of it."""
    counts = row["counts"]
    if row["unit"] != "share" or row["value"] is None:
        return None
    for part, whole in SHARES:
        if part in counts and counts.get(whole):
            share = counts[part] / counts[whole]
            if isclose(share, row["value"], abs_tol=1e-12):
                return int(counts[part]), int(counts[whole])
            if isclose(1 - share, row["value"], abs_tol=1e-12):
                return int(counts[whole] - counts[part]), int(counts[whole])
    return None


def counted(row: Entry) -> str:
    """What the value was counted from, if it is a count or a share."""
    share = share_of(row)
    if share:
        text = f"{share[0]:,} of {share[1]:,}"
        return text if len(text) <= LONGEST_COUNT else text.replace(" ", "\n", 1)
    sizes = (f"{row['counts'][size]:,} {size}" for size in SIZES if row["counts"].get(size))
    return next(sizes, "") if row["value"] is not None else ""


def sentence(text: str) -> str:
    """With a full stop at its end."""
    text = legible(text)
    return text if text.endswith((".", "!", "?")) else f"{text}."
