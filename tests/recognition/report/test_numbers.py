import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recognition.report.numbers import difference, places_for, span, with_sign, written

SHARES = st.one_of(
    st.floats(0, 1),
    st.floats(1e-15, 1e-3),
    st.floats(1e-15, 1e-3).map(lambda gap: 1 - gap),
    st.tuples(st.integers(0, 10**12), st.integers(1, 10**12)).map(lambda p: min(p) / max(p)),
)
PLACES = st.integers(0, 6)


def step_of(text):
    """One unit in the last place that is written."""
    mantissa, _, power = text.partition("e")
    return 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))


@given(share=SHARES, places=PLACES)
@example(share=0.99995, places=1)
@example(share=1e-6, places=1)
@example(share=0.9999999, places=2)
@example(share=1 - 1e-13, places=2)
def test_a_written_share_is_the_share_rounded_and_no_end_it_is_not(share, places):
    text = written(share, "share", places)
    if text.startswith(">"):
        assert 100 - 1e-6 <= 100 * share < 100 or 1 - share < 1e-8
        assert text == "> 99.999999"
        return
    assert abs(float(text) - 100 * share) <= 0.5 * step_of(text) + 1e-12
    assert (float(text) == 100) == (share == 1)
    assert (float(text) == 0) == (share == 0)
    assert len(text) <= 12


@given(score=st.floats(-2, 2), places=PLACES)
def test_a_written_score_is_rounded_and_never_onto_the_ends_of_cosines(score, places):
    text = written(score, "score", places)
    assert abs(float(text) - score) <= 0.5 * step_of(text) + 1e-15
    for end in (-1, 0, 1):
        assert (float(text) == end) == (score == end)


@given(value=st.floats(-1e9, 1e9), places=PLACES)
def test_a_written_number_is_rounded_and_zero_only_where_it_is_zero(value, places):
    text = written(value, "number", places)
    assert abs(float(text) - value) <= 0.5 * step_of(text) * (1 + 1e-9) + 1e-9 * abs(value)
    assert (float(text) == 0) == (value == 0)


@given(low=SHARES, high=SHARES)
def test_an_interval_with_a_width_is_told_to_a_tenth_of_it(low, high):
    low, high = sorted((low, high))
    places = places_for((low + high) / 2, "share", low=low, high=high)
    if high - low > 1e-6:
        assert 10.0**-places <= max(0.1, 100 * (high - low) / 10)
        assert written(low, "share", places) != written(high, "share", places)


@pytest.mark.parametrize(
    ("value", "unit", "known", "text"),
    [
        (1741 / 1800, "share", {"trials": 1800}, "96.72 %"),
        (78 / 78_000, "share", {"trials": 78_000}, "0.100 %"),
        (2 / 3, "share", {"trials": 3}, "66.7 %"),
        (1.0, "share", {"trials": 1800}, "100.00 %"),
        (0.0, "share", {}, "0.0 %"),
        (0.0122, "share", {"low": 0.0022, "high": 0.0206}, "1.22 %"),
        (0.0122, "share", {"low": 0.0, "high": 0.3}, "1.2 %"),
        (0.12345678, "share", {}, "12.3 %"),
        (0.99995, "share", {"low": 0.9, "high": 1.0}, "99.995 %"),
        (0.0512, "bits", {"low": 0.04, "high": 0.07}, "0.0512 bits"),
        (0.99999, "bits", {"low": 0.9, "high": 1.1}, "0.99999 bits"),
        (31.234, "degrees", {"low": 29.0, "high": 33.3}, "31.2°"),
        (0.47731, "score", {}, "0.4773"),
        (1.00000012, "score", {}, "1.0000001"),
        (3.14159, "number", {}, "3.14"),
        (78_000.0, "count", {}, "78,000"),
        (2.5, "count", {}, "2.5"),
        (-math.inf, "score", {}, "minus infinite"),
    ],
)
def test_digits_follow_the_interval_and_the_counts(value, unit, known, text):
    assert with_sign(written(value, unit, places_for(value, unit, **known)), unit) == text


def test_a_difference_has_its_sign_and_is_in_points():
    assert [difference(x, "share", 1) for x in (0.01, -0.01, 1e-5, 0.0)] == [
        "+1.0", "-1.0", "+0.001", "0.0",
    ]  # fmt: skip
    assert difference(-0.25, "number", 2) == "-0.25"


def test_a_span_with_signs_is_spelled_out():
    assert span("1.0", "2.0") == "1.0–2.0"
    for low, high in (("-1.0", "2.0"), ("+0.1", "+0.2"), ("> 99.999999", "100.0")):
        assert re.fullmatch(r".+ to .+", span(low, high))
