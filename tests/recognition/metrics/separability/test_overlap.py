import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from recognition.comparisons.scores import ScoreLists
from recognition.comparisons.steps import Steps, count_steps
from recognition.errors import InputError
from recognition.metrics.separability import histogram_overlap, kolmogorov_smirnov

SCORES = st.lists(st.integers(-5, 5), min_size=1, max_size=30)


@given(SCORES, SCORES)
def test_it_is_scipys_distance_ties_and_all(mated, nonmated):
    one, two = (np.array(each, np.float64) / 5 for each in (mated, nonmated))
    found = kolmogorov_smirnov(ScoreLists(one, two))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its p-value
        theirs = ks_2samp(one, two).statistic
    assert found.value == pytest.approx(theirs, abs=1e-12)
    assert found.most == found.value
    true, false = ((each >= found.threshold).mean() for each in (one, two))
    assert abs(true - false) == pytest.approx(found.value, abs=1e-12)


@given(SCORES, SCORES, st.data())
def test_steps_that_leave_some_out_bound_it_from_both_sides(mated, nonmated, data):
    full = count_steps(np.array(mated, np.float64), np.array(nonmated, np.float64))
    inner = len(full.thresholds) - 2
    kept = data.draw(st.lists(st.booleans(), min_size=inner, max_size=inner))
    keep = np.array([True, *kept, True])
    fewer = Steps(full.thresholds[keep], full.false[keep], full.true[keep], complete=False)
    found, exact = kolmogorov_smirnov(fewer), kolmogorov_smirnov(full)
    assert found.value <= exact.value + 1e-12
    assert exact.value <= found.most + 1e-12


def test_apart_is_1_and_alike_is_0():
    apart = ScoreLists(np.array([0.8, 0.9]), np.array([0.1, 0.2]))
    alike = ScoreLists(np.array([0.1, 0.2]), np.array([0.1, 0.2]))
    assert kolmogorov_smirnov(apart).value == 1
    assert kolmogorov_smirnov(alike).value == 0
    assert histogram_overlap(np.array([0, 5]), np.array([3, 0])) == 0
    assert histogram_overlap(np.array([2, 4]), np.array([1, 2])) == 1
    assert histogram_overlap(np.array([1, 1]), np.array([3, 1])) == 0.75


@pytest.mark.parametrize(
    ("one", "two"), [([0, 0], [1, 2]), ([1], [1, 2]), ([], []), ([[1]], [[1]])]
)
def test_histograms_that_do_not_fit_are_refused(one, two):
    with pytest.raises(InputError, match="over the same bins"):
        histogram_overlap(np.array(one, np.int64), np.array(two, np.int64))
    with pytest.raises(InputError, match="at least 0"):
        histogram_overlap(np.array([-1, 2]), np.array([1, 0]))
