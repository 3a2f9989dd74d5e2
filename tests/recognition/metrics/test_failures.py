import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.metrics import failures as f

RATES = st.floats(0, 1)


@st.composite
def attempts(draw):
    """(transactions tried, failed to acquire, errors among those compared)."""
    failed, compared = draw(st.integers(0, 50)), draw(st.integers(1, 50))
    return failed + compared, failed, draw(st.integers(0, compared))


@given(attempts())
def test_rates_of_a_system_are_shares_of_all_transactions(counts):
    tried, failed, errors = counts
    fta = f.Failures(0, 1, failed, tried).fta
    rate = errors / (tried - failed)
    assert f.false_accept_rate(rate, fta) == pytest.approx(errors / tried, abs=1e-12)
    assert f.false_reject_rate(rate, fta) == pytest.approx((failed + errors) / tried, abs=1e-12)


@given(attempts(), st.integers(0, 20), st.integers(1, 20))
def test_generalised_rates_count_transactions_with_people_never_enrolled(counts, lost, enrolled):
    tried, failed, errors = counts
    found = f.Failures(lost, lost + enrolled, failed, tried)
    rate = errors / (tried - failed)
    # everyone, enrolled or not, tries equally often: each of the enrolled is one round
    everyone = (lost + enrolled) * tried
    accepted = f.generalised_false_accept_rate(rate, found.fta, found.fte)
    rejected = f.generalised_false_reject_rate(rate, found.fta, found.fte)
    assert accepted == pytest.approx(enrolled * errors / everyone, abs=1e-12)
    wrongly = lost * tried + enrolled * (failed + errors)
    assert rejected == pytest.approx(wrongly / everyone, abs=1e-12)


@given(RATES, RATES, RATES)
def test_failures_never_accept_and_always_reject(rate, fta, fte):
    far, frr = f.false_accept_rate(rate, fta), f.false_reject_rate(rate, fta)
    assert 0 <= f.generalised_false_accept_rate(rate, fta, fte) <= far <= rate
    assert rate - 1e-15 <= frr <= f.generalised_false_reject_rate(rate, fta, fte) + 1e-15
    assert f.false_accept_rate(rate, 0) == f.false_reject_rate(rate, 0) == rate


def test_where_everything_fails_no_comparison_is_needed():
    assert (f.false_accept_rate(None, 1), f.false_reject_rate(None, 1)) == (0, 1)
    assert f.generalised_false_accept_rate(None, 0.2, 1) == 0
    assert f.generalised_false_reject_rate(None, 0.2, 1) == 1
    for rate in (f.false_accept_rate, f.false_reject_rate):
        with pytest.raises(InputError, match="MR where some comparisons are made, got none"):
            rate(None, 0.999)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: f.Failures(2, 1, 0, 1), "got 2 of 1"),
        (lambda: f.Failures(0, 1, -1, 1), "got -1 of 1"),
        (lambda: f.Failures(0, 0, 0, 1).fte, "no attempts to enrol cannot be measured"),
        (lambda: f.Failures(0, 1, 0, 0).fta, "no attempts to acquire cannot be measured"),
        (lambda: f.false_accept_rate(1.1, 0.5), "FMR between 0 and 1"),
        (lambda: f.false_reject_rate(0.5, -0.1), "FTA between 0 and 1"),
        (lambda: f.generalised_false_reject_rate(0.5, 0.1, float("nan")), "FTE between 0 and 1"),
    ],
)
def test_counts_and_rates_that_are_none_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
