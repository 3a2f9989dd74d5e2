import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm
from scipy.stats import t as student

from recognition.errors import InputError
from recognition.metrics.proportions import clopper_pearson, wilson, wilson_share

levels = st.sampled_from([0.5, 0.9, 0.95, 0.999])
counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, levels)
def test_both_agree_with_scipy(count, level):
    test = binomtest(*count)
    for name, ours in (("wilson", wilson), ("exact", clopper_pearson)):
        expected = test.proportion_ci(level, name)
        np.testing.assert_allclose(ours(*count, level), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
@pytest.mark.parametrize("trials", [1, 7, 30, 10**9])
def test_the_ends_are_exact(interval, trials):
    assert interval(0, trials).low == 0
    assert interval(trials, trials).high == 1
    assert 0 < interval(0, trials).high <= 1
    assert interval(0, trials).high == pytest.approx(1 - interval(trials, trials).low, abs=1e-12)


@given(counts, levels)
def test_the_share_is_inside_and_more_confidence_is_wider(count, level):
    share = count[0] / count[1]
    for interval in (wilson, clopper_pearson):
        low, high = interval(*count, level)
        assert low <= share <= high
        assert interval(*count, level / 2).low >= low
        assert interval(*count, level / 2).high <= high


@given(st.floats(0, 1), st.floats(0.01, 1e6), st.sampled_from([1, 2.5, 40, math.inf]))
def test_wilson_solves_its_equation_for_any_number_of_trials(share, trials, freedom):
    z2 = student.ppf(0.975, freedom) ** 2 / trials
    for end in wilson_share(share, trials, freedom=freedom):
        assert 0 <= end <= 1
        reach = z2 * end * (1 - end)
        assert (share - end) ** 2 == pytest.approx(reach, rel=1e-9, abs=1e-12 * (1 + z2))


def test_trials_need_not_be_whole_and_fewer_degrees_of_freedom_are_wider():
    assert wilson_share(0.25, 20) == wilson(5, 20)
    widths = [np.ptp(wilson_share(0.25, n)) for n in (15, 15.5, 16)]
    assert widths[0] > widths[1] > widths[2]
    widths = [np.ptp(wilson_share(0.25, 20, freedom=f)) for f in (1, 5, 100, math.inf)]
    assert sorted(widths, reverse=True) == widths
    assert student.ppf(0.975, math.inf) == pytest.approx(norm.ppf(0.975), rel=1e-14)


@pytest.mark.parametrize(("trials", "share"), [(10, 0.03), (50, 0.2), (300, 0.004)])
def test_clopper_pearson_never_covers_less_than_it_says(trials, share):
    covers = [
        low <= share <= high
        for low, high in (clopper_pearson(s, trials) for s in range(trials + 1))
    ]
    assert binom.pmf(np.arange(trials + 1), trials, share)[covers].sum() >= 0.95


def test_what_is_no_share_is_refused():
    for bad in ((1, 0), (0, 0), (-1, 5), (6, 5)):
        for interval in (wilson, clopper_pearson):
            with pytest.raises(InputError, match="successes among trials"):
                interval(*bad)
    for level in (0.0, 1.0, math.nan):
        for interval in (wilson, clopper_pearson, wilson_share):
            with pytest.raises(InputError, match="a level between 0 and 1"):
                interval(1, 5, level)
    for share, trials, freedom in (
        (-0.1, 5, 3), (1.1, 5, 3), (math.nan, 5, 3), (0.5, 0, 3), (0.5, math.nan, 3),
        (0.5, math.inf, 3), (0.5, 5, 0), (0.5, 5, math.nan),
    ):  # fmt: skip
        with pytest.raises(InputError, match="a share between 0 and 1"):
            wilson_share(share, trials, freedom=freedom)
