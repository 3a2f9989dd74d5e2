import features as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.metrics.separability import (
    calinski_harabasz,
    class_moments,
    davies_bouldin,
    features_of,
    fisher_ratio,
    moments,
    trace_ratio,
    trace_ratio_resamples,
)

CLOSE = {"rel": 1e-10, "abs": 1e-12}
SEEDS = st.integers(0, 10**6)


def moments_of(rows, labels):
    return class_moments(features_of(rows, labels))


@given(SEEDS, st.integers(2, 7), st.integers(2, 6), st.sampled_from([1, 7, 2**21]))
def test_scatter_is_that_of_the_definition_in_blocks_of_any_size(seed, people, dim, cells):
    rows, labels = naive.some(seed, people, dim=dim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "CELLS", cells)
        found = moments_of(rows, labels)
        bouldin = davies_bouldin(found).value
    within, between = naive.scatters(rows, labels)
    np.testing.assert_allclose(found.within, within, atol=1e-14)
    weighted = found.apart.T * found.pictures @ found.apart / found.total
    np.testing.assert_allclose(weighted, between, atol=1e-14)
    w, b = naive.traces(rows, labels)
    assert (found.trace_within, found.trace_between) == pytest.approx((w, b), **CLOSE)
    assert trace_ratio(found) == pytest.approx(b / w, **CLOSE)
    n = len(labels)
    index = (b / (people - 1)) / (w / (n - people))
    assert calinski_harabasz(found) == pytest.approx(index, **CLOSE)
    assert bouldin == pytest.approx(naive.davies_bouldin(rows, labels), **CLOSE)


@given(SEEDS, st.integers(2, 9))
def test_scikit_learn_agrees(seed, people):
    rows, labels = naive.some(seed, people, most=9, dim=12)
    twice = (
        np.random.default_rng(seed).normal(size=rows.shape) * np.linalg.norm(rows, axis=1)[:, None]
    )
    # a picture's distance to itself is 1e-8 there, so single ones agree no further
    rows, labels = np.concatenate([rows, rows + 0.1 * twice]), np.tile(labels, 2)
    unit, found = unit_rows(rows), moments_of(rows, labels)
    theirs = calinski_harabasz_score(unit, labels)
    assert calinski_harabasz(found) == pytest.approx(theirs, rel=1e-12)
    theirs = davies_bouldin_score(unit, labels)
    assert davies_bouldin(found).value == pytest.approx(theirs, rel=1e-12)


@given(SEEDS)
def test_fishers_ratio_is_that_of_the_definition_and_no_linear_map_changes_it(seed):
    rows, labels = naive.some(seed, people=3, most=9, dim=3)
    while len(labels) < 9:
        rows, labels = np.concatenate([rows, rows + 0.01]), np.concatenate([labels, labels])
    found = moments_of(rows, labels)
    within, between = naive.scatters(rows, labels)
    expected = np.trace(np.linalg.inv(within) @ between)
    ratio = fisher_ratio(found)
    assert ratio.value == pytest.approx(expected, rel=1e-6)
    assert ratio.rank == 3
    turned = moments_of(naive.unit(rows) @ rotation(seed, 3), labels)
    assert fisher_ratio(turned).value == pytest.approx(ratio.value, rel=1e-6)


def rotation(seed, dim):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]


def test_directions_that_nobody_uses_do_not_count_in_fishers_ratio():
    rows, labels = naive.some(1, people=4, most=9, dim=3)
    wide = np.concatenate([rows, np.zeros((len(rows), 2))], axis=1)
    narrow, padded = fisher_ratio(moments_of(rows, labels)), fisher_ratio(moments_of(wide, labels))
    assert padded.value == pytest.approx(narrow.value, rel=1e-9)
    assert (narrow.rank, padded.rank) == (3, 3)


def test_fishers_ratio_is_refused_where_it_is_infinite():
    rows, labels = naive.some(1, people=4, most=2, dim=8)
    with pytest.raises(InputError, match="directions and people differ in others"):
        fisher_ratio(moments_of(rows, labels))


@given(SEEDS)
def test_neither_order_nor_rotation_nor_length_changes_a_number(seed):
    rows, labels = naive.some(seed, people=4, dim=5)
    order = np.random.default_rng(seed).permutation(len(labels))
    names = np.array([f"q{9 - int(name[1:])}" for name in labels])  # in another order of names
    changed = moments_of((rows @ rotation(seed, 5) * 3)[order], names[order])
    found = moments_of(rows, labels)
    for measure in (trace_ratio, calinski_harabasz, lambda m: davies_bouldin(m).value):
        assert measure(changed) == pytest.approx(measure(found), rel=1e-9)


def test_people_who_are_points_are_infinitely_well_separated():
    rows = np.repeat(np.random.default_rng(0).normal(size=(4, 6)), 3, axis=0)
    found = moments_of(rows, np.repeat(list("abcd"), 3))
    assert found.trace_within == 0
    assert trace_ratio(found) == calinski_harabasz(found) == np.inf
    assert davies_bouldin(found).value == 0


def test_two_people_at_one_place_are_infinitely_alike():
    rows = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 9]])
    found = davies_bouldin(moments_of(rows, list("aabbcc")))
    assert found.value == np.inf
    assert np.isinf(found.likeness).tolist() == [True, True, False]


def test_what_does_not_differ_has_no_ratio():
    alike = moments_of(np.ones((4, 3)), list("aabb"))
    single = moments_of(np.eye(3), list("abc"))
    for measure in (trace_ratio, fisher_ratio, calinski_harabasz):
        with pytest.raises(InputError, match="all are alike"):
            measure(alike)
        with pytest.raises(InputError, match="someone with 2 pictures"):
            measure(single)
    with pytest.raises(InputError, match="at least 2 people"):
        features_of(np.eye(3), list("aaa"))


def test_resampled_trace_ratios_are_those_of_people_drawn_with_replacement():
    rows, labels = naive.some(3, people=5, dim=4)
    found = moments_of(rows, labels)
    weights = np.random.default_rng(7).multinomial(5, [0.2] * 5, size=40)
    again = trace_ratio_resamples(found, replicates=40, seed=7)
    for drawn, ratio in zip(weights, again, strict=True):
        picked = np.concatenate(
            [np.tile(np.flatnonzero(labels == f"p{i}"), (times, 1)).ravel()
             for i, times in enumerate(drawn) if times]
        )  # fmt: skip
        within, between = naive.traces(rows[picked], labels[picked])
        if within > 1e-20:
            assert ratio == pytest.approx(between / within, rel=1e-9, abs=1e-12)
        else:
            assert not np.isfinite(ratio)


def test_distances_of_near_neighbours_keep_their_digits():
    random = np.random.default_rng(0)
    base = random.normal(size=(1, 5))
    rows = base + 1e-9 * random.normal(size=(6, 5))
    exact = ((rows[:, None] - rows) ** 2).sum(axis=2)
    np.fill_diagonal(exact, np.inf)
    found = moments.squared_distances(rows, slice(2, 5))
    np.testing.assert_allclose(found, exact[2:5], rtol=1e-12)


def test_distances_of_others_are_made_by_products_alone(monkeypatch):
    monkeypatch.setattr("scipy.spatial.distance.cdist", lambda *_: pytest.fail("slow"))
    rows = np.random.default_rng(0).normal(size=(6, 5))
    exact = ((rows[:, None] - rows) ** 2).sum(axis=2)
    np.fill_diagonal(exact, np.inf)
    np.testing.assert_allclose(moments.squared_distances(rows, slice(0, 6)), exact, rtol=1e-12)
