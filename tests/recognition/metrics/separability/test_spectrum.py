import features as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.metrics.separability import (
    class_moments,
    effective_rank,
    features_of,
    participation_ratio,
    singular_values,
    spectrum,
)


def values_of(rows, labels):
    features = features_of(rows, labels)
    return singular_values(features.unit, class_moments(features).centre)


@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 9), st.sampled_from([1, 2**21]))
def test_singular_values_are_those_of_all_rows_at_once(seed, people, dim, cells):
    rows, labels = naive.some(seed, people, dim=dim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spectrum, "CELLS", cells)
        found = values_of(rows, labels)
    unit = naive.unit(rows)
    expected = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    rank, ratio = naive.spectrum(rows)
    assert effective_rank(found) == pytest.approx(rank, rel=1e-10)
    assert participation_ratio(found) == pytest.approx(ratio, rel=1e-10)


def test_small_directions_are_not_lost_to_squaring():
    random = np.random.default_rng(0)
    rows = random.normal(size=(50, 3)) * [1, 1e-9, 1e-11] + [0, 0, 1]
    unit = naive.unit(rows)
    found = values_of(rows, ["a", "b"] * 25)
    expected = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert (found > 0).all()


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8))
def test_participation_is_at_most_the_effective_rank_and_that_at_most_the_rank(values):
    values = np.array(values)
    rank = effective_rank(values)
    assert 1 - 1e-9 <= participation_ratio(values) <= rank * (1 + 1e-9)
    assert rank <= len(values) * (1 + 1e-9)
    assert effective_rank(np.append(values, 0)) == pytest.approx(rank, rel=1e-12)


def test_all_alike_use_no_dimension():
    values = values_of(np.tile([[0.1, 0.7, 0.3]], (9, 1)), ["a", "b", "c"] * 3)
    assert not values.any()
    for measure in (effective_rank, participation_ratio):
        with pytest.raises(InputError, match="all are alike"):
            measure(values)
