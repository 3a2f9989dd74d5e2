"""Numbers as text that never rounds something into nothing, nor nearly all into all."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line prints with this, and starts without numpy
    from recognition.evaluation.rows import Unit

MOST_PLACES = 6
BY_COUNTS = 4  # places that counts alone can ask for: 1 of a million
SIGNIFICANT = 3  # digits of a number of which nothing else is known
PARTS = 40  # an interval is told to a fortieth of its width
TINY = 10.0**-MOST_PLACES

SCALES = {"share": 100.0, "points": 100.0}
SIGNS = {"share": " %", "points": " points", "bits": " bits", "degrees": "°"}
ENDS = {"share": (0.0, 1.0), "score": (-1.0, 0.0, 1.0), "bits": (0.0, 1.0)}  # not to be rounded to


def places_for(
    value: float,
    unit: "Unit",
    *,
    low: float | None = None,
    high: float | None = None,
    trials: int | None = None,
) -> int:
    """Digits after the point that a value deserves; those of a share are digits of percent.

    As many as show a fortieth of the interval's width, or one of so many trials, whichever is
    finer; three significant digits where neither is known, four of a score.

    >>> places_for(1741 / 1800, "share", trials=1800), places_for(0.0122, "share", low=0, high=0.2)
    (2, 1)
    """
    if unit == "count":
        return 0 if float(value).is_integer() else 1
    scale = SCALES.get(unit, 1.0)
    wanted = []
    if low is not None and high is not None and low < high < math.inf and low > -math.inf:
        wanted.append(_places_of(scale * (high - low) / PARTS))
    if trials:
        wanted.append(min(BY_COUNTS, _places_of(scale / trials)))
    digits = SIGNIFICANT + (unit == "score")  # thresholds are used, not only read
    if not wanted and value and math.isfinite(value):
        wanted.append(_places_of(10.0 ** (math.floor(math.log10(abs(scale * value))) + 1 - digits)))
    return max(1, *wanted, 1)


def _places_of(step: float) -> int:
    """Enough that `step` is at least one in the last place."""
    return MOST_PLACES if step < TINY else max(0, math.ceil(-math.log10(step)))


def written(value: float, unit: "Unit", places: int) -> str:
    """`value` without the sign of its unit, to `places` digits or to more where fewer would lie.

    A share above 0 is never written as 0, nor one below 1 as 100; likewise cosines and the ends
    of their range. What is too near to an end for six digits is written as `1.0e-9` or as a bound.

    >>> [written(x, "share", 1) for x in (0.99995, 1.0, 1e-6, 1e-12, 1 - 1e-12)]
    ['99.995', '100.0', '0.0001', '1.0e-10', '> 99.999999']
    """
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    if math.isnan(value):
        return "no number"
    if unit == "count" and float(value).is_integer():
        return f"{int(value):,}"
    scale = SCALES.get(unit, 1.0)
    scaled = value * scale
    if unit == "share" and 0 < scale * (1 - value) < TINY:
        return f"> {scale - TINY:.{MOST_PLACES}f}"
    if 0 < abs(scaled) < TINY or abs(scaled) >= 1 / TINY:
        return _powered(scaled)
    gaps = [scale * abs(value - end) for end in ENDS.get(unit, (0.0,)) if value != end]
    return f"{scaled:.{max(places, _first_place(min(gaps, default=1.0)))}f}"


def _powered(value: float) -> str:
    mantissa, power = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(power)}"


def _first_place(gap: float) -> int:
    """The place of the first digit of a gap that is to stay visible."""
    return max(0, -math.floor(math.log10(gap) + 1e-9))  # 1 - 0.9999 is hardly less than 1e-4


def difference(value: float, unit: "Unit", places: int) -> str:
    """A difference with its sign; that of two shares in percentage points.

    >>> difference(-0.0042, "share", 1), difference(0.0, "score", 2)
    ('-0.4', '0.00')
    """
    points = value * SCALES.get(unit, 1.0)
    text = written(points, "number", places)
    return f"+{text}" if value > 0 else text


def with_sign(text: str, unit: "Unit") -> str:
    """A written number and its unit: percent, points, bits, degrees."""
    return text + SIGNS.get(unit, "")


def span(low: str, high: str) -> str:
    """Both ends of an interval as one text.

    >>> span("0.61", "2.27"), span("-0.1", "+0.4")
    ('0.61–2.27', '-0.1 to +0.4')
    """
    plain = not any(mark in low + high for mark in "+->")
    return f"{low}–{high}" if plain else f"{low} to {high}"
