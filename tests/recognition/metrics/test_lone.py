"""Comparisons of which no two share anybody: counts alone give what sums over people give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.comparisons import ScoreLists
from recognition.errors import InputError
from recognition.evaluation.uncertainty import clusters_of
from recognition.metrics.lone import Lone, lone_share
from recognition.metrics.proportions import wilson
from recognition.metrics.threshold_rates import verification_rates


def lists(seed, mated, nonmated, digits=1):
    random = np.random.default_rng(seed)
    return ScoreLists(
        np.round(random.normal(1, 1, mated), digits),
        np.round(random.normal(0, 1, nonmated), digits),
    )


@settings(max_examples=40)
@given(st.integers(0, 999), st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.8, 0.95]))
def test_intervals_are_those_of_comparisons_each_of_people_of_its_own(seed, mated, nonmated, level):
    scores = lists(seed, mated, nonmated)
    lone, clusters = Lone(scores), clusters_of(scores)
    grid = np.unique(np.concatenate([[-np.inf, 0.05, np.inf], scores.mated, scores.nonmated]))
    false = [clusters.fmr(t, level=level) for t in grid]
    missed = [clusters.fnmr(t, level=level) for t in grid]
    np.testing.assert_allclose(lone.fmrs(grid, level=level), false, rtol=0, atol=1e-12)
    np.testing.assert_allclose(lone.fnmrs(grid, level=level), missed, rtol=0, atol=1e-12)
    assert [lone.fmr(t, level=level) for t in grid] == lone.fmrs(grid, level=level)


def test_a_curve_is_that_of_comparisons_each_of_people_of_its_own():
    scores = lists(0, 500, 3000, digits=6)
    found, expected = (
        verification_rates(each, [0.3]) for each in (Lone(scores), clusters_of(scores))
    )
    assert found.keys() == expected.keys()
    for key, values in found.items():
        np.testing.assert_allclose(values, expected[key], rtol=0, atol=1e-12)


@pytest.mark.parametrize("people_each", [1, 2])
@pytest.mark.parametrize("errors", [0, 1, 3, 5_000_000, 9_999_999, 10_000_000])
def test_of_ten_million_comparisons_it_is_close_to_that_of_independent_ones(errors, people_each):
    found = lone_share(errors, 10_000_000, people_each)
    expected = wilson(errors, 10_000_000)
    if 10 < errors < 9_999_990:
        assert found == pytest.approx(expected, abs=1e-9)
    else:  # hardly anybody erred, so that few degrees of freedom are left
        assert found.low <= expected.low
        assert found.high >= expected.high


def test_what_is_no_threshold_or_level_is_refused():
    lone = Lone(lists(0, 3, 3))
    with pytest.raises(InputError, match="expected a threshold, not NaN"):
        lone.fmr(np.nan)
    with pytest.raises(InputError, match="level between 0 and 1"):
        lone.fmr(0.5, level=1.0)
