"""Scores in units of what a picture scores with strangers, against the formulas written out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.metrics.normalisation import (
    FLOOR,
    METHODS,
    Spread,
    check_top,
    chosen,
    crossed,
    crossed_pairs,
    known_method,
    normalise_scores,
    spread_of,
    spread_outside,
)


def naive(values: list[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, max(FLOOR, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values)))


shapes = st.tuples(st.integers(1, 6), st.integers(2, 12), st.integers(0, 2**31))


def drawn(shape: tuple[int, int, int]) -> np.ndarray:
    """Cosines with ties."""
    rows, columns, seed = shape
    return np.random.default_rng(seed).integers(-9, 10, (rows, columns)).astype(np.float32) / 10


@given(shapes, st.integers(2, 14))
def test_a_spread_is_that_of_the_highest_scores(shape, top):
    scores = drawn(shape)
    found = spread_of(scores, top)
    for row, mean, deviation in zip(scores.tolist(), *found, strict=True):
        assert (mean, deviation) == pytest.approx(naive(sorted(row, reverse=True)[:top]), abs=1e-12)


@given(shapes)
def test_the_order_of_the_cohort_does_not_show(shape):
    scores = drawn(shape)
    turned = np.random.default_rng(shape[2]).permutation(scores.shape[1])
    for top in (None, 2, 3):
        one, other = spread_of(scores, top), spread_of(scores[:, turned], top)
        assert np.array_equal(one.mean, other.mean)
        assert np.array_equal(one.deviation, other.deviation)
    assert np.array_equal(chosen(scores, 2)[:, turned], chosen(scores[:, turned], 2))


@given(shapes)
def test_as_many_as_there_are_is_all(shape):
    scores = drawn(shape)
    for top in (scores.shape[1], scores.shape[1] + 5):
        assert np.array_equal(spread_of(scores, top).mean, spread_of(scores).mean)
        assert np.array_equal(chosen(scores, top), np.ones(scores.shape))
    both = crossed(scores, np.ones(scores.shape))
    assert both.mean == pytest.approx(np.tile(spread_of(scores).mean[:, None], len(scores)))
    assert both.deviation == pytest.approx(
        np.tile(spread_of(scores).deviation[:, None], len(scores))
    )


@given(shapes, st.integers(2, 12))
def test_the_other_sides_choice_is_crossed_as_written_out(shape, top):
    scores, others = drawn(shape), drawn((shape[0] + 1, shape[1], shape[2] + 1))
    weights = chosen(others, top)
    assert weights.sum(axis=1) == pytest.approx(min(top, shape[1]))
    found = crossed(scores, weights)
    for i, row in enumerate(scores.astype(float)):
        for j, weight in enumerate(weights):
            mean = float((row * weight).sum() / weight.sum())
            variance = float((weight * (row - mean) ** 2).sum() / weight.sum())
            assert found.mean[i, j] == pytest.approx(mean, abs=1e-12)
            assert found.deviation[i, j] == pytest.approx(max(FLOOR, math.sqrt(variance)), abs=1e-7)
    pairs = crossed_pairs(scores, weights[:-1])
    assert pairs.mean == pytest.approx(np.diag(found.mean[:, :-1]))
    assert pairs.deviation == pytest.approx(np.diag(found.deviation[:, :-1]))


def test_ties_share_what_is_left():
    assert chosen(np.array([[0.9, 0.5, 0.5, 0.5, 0.1]]), 3).tolist() == [
        [1, 2 / 3, 2 / 3, 2 / 3, 0]
    ]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_its_formula(method):
    s, (me, de), (mt, dt) = 0.7, (0.1, 0.2), (0.3, 0.05)
    z, t = (s - me) / de, (s - mt) / dt
    expected = {"z": z, "t": t, "zt": (z - mt) / dt}.get(method, (z + t) / 2)
    sides = Spread(np.array([me]), np.array([de])), Spread(np.array([mt]), np.array([dt]))
    assert normalise_scores(method, np.array([s]), *sides) == pytest.approx([expected])


@given(st.floats(0.1, 10), st.floats(-5, 5), shapes)
def test_z_undoes_an_affine_change_of_one_side_and_s_does_not(scale, shift, shape):
    cohort, scores = drawn(shape).astype(float), drawn((shape[0], 4, shape[2] + 7)).astype(float)
    before, after = spread_of(cohort), spread_of(scale * cohort + shift)
    wide = (before.deviation > FLOOR) & (after.deviation > FLOOR)
    one = normalise_scores("z", scores, before.at((slice(None), None)), before)[wide]
    other = normalise_scores("z", scale * scores + shift, after.at((slice(None), None)), after)[
        wide
    ]
    assert other == pytest.approx(one, abs=1e-6)


def test_scores_that_do_not_vary_are_counted_in_the_floor():
    found = spread_of(np.full((2, 5), 0.3))
    assert found.deviation.tolist() == [FLOOR, FLOOR]
    assert crossed(np.full((1, 5), 0.3), np.ones((1, 5))).deviation.tolist() == [[FLOOR]]


def test_own_people_are_left_out():
    scores = np.array([[1.0, 0.9, 0.1, 0.3]])
    found = spread_outside(scores, np.array([[True, True, False, False]]))
    assert (found.mean[0], found.deviation[0]) == pytest.approx((0.2, 0.1))
    with pytest.raises(InputError, match="2 pictures or more of other people"):
        spread_outside(scores, np.array([[True, True, True, False]]))
    alike = spread_outside(np.array([[1.0, 0.3, 0.3]]), np.array([[True, False, False]]))
    assert alike.deviation[0] == FLOOR


@pytest.mark.parametrize("bad", [np.ones((2, 1)), np.ones(3), np.array([[0.1, np.nan]])])
def test_what_has_no_spread_is_refused(bad):
    with pytest.raises(InputError, match="at least 2 pictures of a cohort"):
        spread_of(bad)


def test_names_and_sizes_are_checked():
    assert known_method("as") == "as1"
    with pytest.raises(InputError, match="among as"):
        known_method("snorm")
    with pytest.raises(InputError, match="no spread"):
        check_top(1)
