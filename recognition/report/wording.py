"""Rates in words, as somebody would say them who has to decide."""

from math import floor, log10

LEAST_OF, MOST_OF = 3, 9  # powers of ten: of 1,000 up to of 1,000,000,000
LEAST = 0.95  # of so many at least one, where one was counted at all


def of_many(
    what: str, fate: str, rate: float, low: float | None = None, high: float | None = None
) -> str:
    """What happens to a share of a round number of things, with its 95 % interval if it has one.

    >>> of_many("strangers", "would be given a name", 0.009, 0.0043, 0.0171)
    'about 9 of 1,000 strangers would be given a name (95 %: 4.3 to 17)'
    >>> of_many("pairs", "would be refused", 0.0, 0.0, 0.00021)
    'none of 10,000 pairs would be refused (95 %: 0 to 2.1)'
    """
    many = 10 ** _power(rate or high or 1.0)
    told = {0.0: "none", 1.0: "all"}.get(rate, f"about {_number(rate * many)}")
    text = f"{told} of {many:,} {what} {fate}"
    if low is None or high is None:
        return text
    return f"{text} (95 %: {_number(low * many)} to {_number(high * many)})"


def _power(rate: float) -> int:
    return min(MOST_OF, max(LEAST_OF, -floor(log10(rate / LEAST))))


def _number(count: float) -> str:
    """Two digits where there are fewer than ten.

    >>> _number(0.0), _number(0.43), _number(3.04), _number(9.96), _number(970.2)
    ('0', '0.43', '3', '10', '970')
    """
    return f"{count:,.0f}" if count >= 9.95 else f"{float(f'{count:.2g}'):g}"
