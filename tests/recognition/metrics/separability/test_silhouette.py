import features as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import silhouette_samples, silhouette_score

from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.metrics.separability import class_moments, features_of, moments, silhouette


def silhouette_of(rows, labels):
    features = features_of(rows, labels)
    return silhouette(features, class_moments(features))


@given(st.integers(0, 10**6), st.integers(2, 7), st.sampled_from([1, 13, 2**21]))
def test_it_is_that_of_all_distances_in_blocks_of_any_size(seed, people, cells):
    rows, labels = naive.some(seed, people)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "CELLS", cells)
        found = silhouette_of(rows, labels)
    np.testing.assert_allclose(found.values, naive.silhouettes(rows, labels), atol=1e-12)
    assert found.single_picture_people == sum(np.unique(labels, return_counts=True)[1] == 1)


@given(st.integers(0, 10**6), st.integers(2, 9), st.sampled_from([0.1, 1.0, 5.0]))
def test_scikit_learn_agrees_single_pictures_included(seed, people, spread):
    rows, labels = naive.some(seed, people, most=6, dim=12, spread=spread)
    unit, found = unit_rows(rows), silhouette_of(rows, labels)
    if people < len(labels):
        theirs = silhouette_samples(unit, labels, metric="cosine")
        np.testing.assert_allclose(found.values, theirs, rtol=1e-12, atol=1e-13)
        score = silhouette_score(unit, labels, metric="cosine")
        assert found.mean == pytest.approx(score, rel=1e-12, abs=1e-13)


def test_points_are_1_and_strangers_under_one_name_are_negative():
    rows = np.repeat(np.eye(3), 2, axis=0)
    assert silhouette_of(rows, list("aabbcc")).values == pytest.approx(np.ones(6))
    swapped = silhouette_of(rows, list("abbcca"))
    assert (swapped.values < 0).all()
    assert swapped.nearest.tolist() == [1, 0, 2, 1, 0, 2]


def test_where_all_are_alike_it_is_0_and_not_what_rounding_leaves():
    rows = np.tile(np.random.default_rng(0).normal(size=(1, 7)), (6, 1))
    assert silhouette_of(rows, list("aabbcc")).values.tolist() == [0] * 6


def test_opposite_people_are_as_separate_as_others():
    rows = np.array([[1.0, 0.1], [1, -0.1], [-1, 0.1], [-1, -0.1]])
    found = silhouette_of(rows, list("aabb"))
    assert found.mean == pytest.approx(naive.silhouettes(rows, list("aabb")).mean(), rel=1e-12)
    assert found.mean > 0.98


def test_nobody_with_two_pictures_is_refused():
    with pytest.raises(InputError, match="someone with 2 pictures"):
        silhouette_of(np.eye(3), list("abc"))
