import features as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.metrics.separability import (
    class_moments,
    features_of,
    moments,
    nearest_mean_disagreement,
    pair_variance,
    simplex_distance,
    weight_duality,
    within_collapse,
)

SEEDS = st.integers(0, 10**6)


def moments_of(rows, labels):
    return class_moments(features_of(rows, labels))


def simplex(people):
    """(C, C - 1) unit vectors as wide apart as C can be."""
    return np.linalg.svd(np.eye(people) - 1 / people)[0][:, : people - 1]


@given(SEEDS, st.integers(2, 8), st.integers(2, 6), st.sampled_from([1, 9, 2**21]))
def test_measures_are_those_of_the_definitions_for_few_and_many_people(seed, people, dim, cells):
    rows, labels = naive.some(seed, people, dim=dim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "CELLS", cells)
        found = moments_of(rows, labels)
        assert within_collapse(found) == pytest.approx(naive.nc1(rows, labels), rel=1e-5)
        two = simplex_distance(found)
        assert two[:3] == pytest.approx(naive.nc2(rows, labels), rel=1e-9, abs=1e-9)
        assert two.possible == (people <= dim + 1)
        if (found.pictures > 1).sum() > 1:
            assert pair_variance(found).value == pytest.approx(naive.cdnv(rows, labels), rel=1e-9)


@pytest.mark.parametrize("people", [2, 3, 7])
def test_a_collapsed_simplex_is_0_in_all_measures_whatever_the_numbers_of_pictures(people):
    pictures = np.arange(people) + 2
    found = moments_of(
        np.repeat(simplex(people), pictures, axis=0), np.repeat(range(people), pictures)
    )
    assert within_collapse(found) == pytest.approx(0, abs=1e-25)
    assert simplex_distance(found)[:3] == pytest.approx((0, 0, 0), abs=1e-7)
    assert simplex_distance(found).possible
    assert pair_variance(found).value == pytest.approx(0, abs=1e-25)
    assert weight_duality(found, simplex(people), np.arange(people)) == pytest.approx(0, abs=1e-7)


def test_more_people_than_a_simplex_holds_are_told():
    angles = np.radians([0, 5, 80, 90, 130, 140, 250, 260])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = moments_of(rows, np.repeat(range(4), 2))
    assert not simplex_distance(found).possible
    assert simplex_distance(found).max_angle > 0.1


@given(SEEDS)
def test_rotation_order_and_names_change_nothing(seed):
    rows, labels = naive.some(seed, people=4, dim=5)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    order = np.random.default_rng(seed).permutation(len(labels))
    names = np.array([f"q{9 - int(name[1:])}" for name in labels])
    one, two = moments_of(rows, labels), moments_of((rows @ turn)[order], names[order])
    assert within_collapse(two) == pytest.approx(within_collapse(one), rel=1e-6)
    assert simplex_distance(two)[:3] == pytest.approx(simplex_distance(one)[:3], rel=1e-7, abs=1e-9)


@given(SEEDS, st.integers(3, 6))
def test_class_weights_are_compared_as_the_paper_writes_it(seed, people):
    rows, labels = naive.some(seed, people, most=6)
    features = features_of(rows, labels)
    found = class_moments(features)
    random = np.random.default_rng(seed)
    own = random.permutation(people)[: max(2, people - 1)]
    weights = naive.unit(random.normal(size=(len(own), 4)))
    groups = naive.by_person(rows, labels)
    means = [groups[f"p{i}"].mean(axis=0) for i in own]
    centred = np.array([m - np.mean(means, axis=0) for m in means])
    expected = np.linalg.norm(
        weights / np.sqrt((weights**2).sum()) - centred / np.sqrt((centred**2).sum())
    )
    assert weight_duality(found, weights, own) == pytest.approx(expected, rel=1e-10)
    differ = []
    for x, name in zip(naive.unit(rows), labels, strict=True):
        if int(name[1:]) in own:
            best = np.argmax([w @ x for w in weights])
            nearest = np.argmin([np.linalg.norm(x - m) for m in means])
            differ.append(best != nearest)
    assert nearest_mean_disagreement(features, found, weights, own).tolist() == differ


def test_opposite_weights_are_farthest():
    found = moments_of(np.repeat(simplex(3), 2, axis=0), np.repeat(range(3), 2))
    assert weight_duality(found, -simplex(3), np.arange(3)) == pytest.approx(2)


def test_two_people_with_one_mean_have_infinite_variance_and_others_not():
    rows = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 9], [0, 1, 1]])
    found = pair_variance(moments_of(rows, list("aabbccd")))
    assert found.value == np.inf
    assert found.people.tolist() == [0, 1, 2]
    assert np.isinf(found.each).tolist() == [True, True, False]


def test_what_cannot_be_measured_is_refused():
    single = moments_of(np.eye(3), list("abc"))
    alike = moments_of(np.tile([[0.3, 0.1, 0.7]], (4, 1)), list("aabb"))
    with pytest.raises(InputError, match="someone with 2 pictures"):
        within_collapse(single)
    with pytest.raises(InputError, match="2 people with 2 pictures, got 0"):
        pair_variance(single)
    for measure in (within_collapse, simplex_distance):
        with pytest.raises(InputError, match="all are the same"):
            measure(alike)
    centred = moments_of([[1, 0], [-1, 0], [1, 0], [0, 1], [0, -1]], ["b", "c", "b", "a", "a"])
    with pytest.raises(InputError, match="'a' is the centre of all people"):
        simplex_distance(centred)
