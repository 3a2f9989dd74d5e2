"""A detector's probability as text."""

from decimal import ROUND_DOWN, Decimal


def written_score(score: float, digits: int = 2) -> str:
    """Rounded down: what is below a threshold is not shown as being at it.

    >>> written_score(0.9499), written_score(0.29), written_score(0.99999), written_score(1.0)
    ('0.94', '0.29', '0.99', '1.00')
    """
    step = Decimal(1).scaleb(-digits)
    return f"{Decimal(repr(float(score))).quantize(step, ROUND_DOWN):f}"
