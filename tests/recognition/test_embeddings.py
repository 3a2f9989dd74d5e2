import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.embeddings import as_scores, centres, people_of, require_directions, unit_rows
from recognition.errors import InputError


@settings(deadline=None)
@given(exponent=st.integers(-300, 300), seed=st.integers(0, 99))
def test_scaling_an_embedding_does_not_move_its_direction(exponent, seed):
    rows = np.random.default_rng(seed).normal(size=(3, 5))
    scaled = rows * 10.0**exponent
    np.testing.assert_allclose(unit_rows(scaled), unit_rows(rows), rtol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(unit_rows(scaled), axis=1), 1, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", "int8"])
def test_every_real_type_becomes_float64_and_is_left_alone(dtype):
    rows = np.array([[3, 4], [0, -2]], dtype)
    assert unit_rows(rows).tolist() == [[0.6, 0.8], [0, -1]]
    assert unit_rows(rows).dtype == np.float64
    assert rows.tolist() == [[3, 4], [0, -2]]


@pytest.mark.parametrize("tiny", [5e-324, 1.7e308])
def test_the_smallest_and_largest_numbers_keep_their_direction(tiny):
    np.testing.assert_allclose(unit_rows([[tiny, tiny]]), [[0.5**0.5] * 2], rtol=1e-15)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, 2.0], [np.nan, 1.0], [np.inf, 0.0]], "row 1 holds NaN.*2 such rows of 3"),
        ([[1.0, 2.0], [3.0, 1.0], [0.0, 0.0]], "row 2 is all zeros"),
        ([1.0, 2.0], r"shape \(2,\)"),
        (np.ones((0, 4)), r"shape \(0, 4\)"),
        (np.ones((3, 0)), r"shape \(3, 0\)"),
        ([["a", "b"]], "<U1"),
        (np.ones((2, 2), complex), "complex"),
        (np.ones((2, 2), bool), "bool"),
    ],
)
def test_what_has_no_direction_is_refused_by_row(rows, message):
    with pytest.raises(InputError, match=message):
        unit_rows(rows)


@pytest.mark.parametrize(
    "labels", [["7", "30", "7"], [7, 30, 7], np.array(["7", "30", "7"], object), (7, "30", 7)]
)
def test_numbers_and_text_name_the_same_people(labels):
    people = people_of(labels, 3)
    assert people.names.tolist() == ["30", "7"]
    assert people.codes.tolist() == [1, 0, 1]
    assert people.pictures.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "b"], "each of 3 pictures, not of 2"),
        ([0.5, 1.0, 2.0], "float64"),
        ([["a"], ["b"], ["c"]], r"shape \(3, 1\)"),
        (np.array(["a", None, "b"], object), "object"),
    ],
)
def test_labels_that_name_nobody_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        people_of(labels, 3)


def test_scores_are_the_nearest_multiples_of_two_to_the_minus_thirty():
    step, random = 2.0**-30, np.random.default_rng(0)
    products = np.concatenate([random.uniform(-1, 1, 999) * 2.0**-k for k in range(40)])
    products = np.append(products, [-1 - 1e-15, -1, 0.49 * step, 0.51 * step, 1, 1 + 1e-15])
    before = products.copy()
    scores = as_scores(products)
    expected = (np.round(products / step) * step).astype(np.float32)
    np.testing.assert_array_equal(scores, expected)
    assert scores[-4:].tolist() == [0, step, 1, 1]
    np.testing.assert_array_equal(products, before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recognition.embeddings.HOT", 7)
        np.testing.assert_array_equal(as_scores(products), expected)
        wide = products[: 6 * 500].reshape(500, 6)
        out = np.empty((6, 500), np.float32)
        assert as_scores(wide.T, out) is out
        np.testing.assert_array_equal(out, as_scores(wide).T)
    assert as_scores(products[:0]).shape == (0,)


@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_rows_without_direction_are_named_by_their_place_in_the_whole(kind):
    rows = np.ones((10_000, 3), kind)
    require_directions(rows)
    rows[[6_000, 9_000]] = 0
    with pytest.raises(InputError, match=r"others .* row 6000 is all zeros \(2 .* of 10000\)"):
        require_directions(rows, what="others")
    with pytest.raises(InputError, match="others must be a matrix"):
        require_directions(rows[0], what="others")


def test_a_centre_is_the_normalised_mean_of_unit_embeddings():
    rows = np.random.default_rng(0).normal(size=(7, 4)) * 9
    labels = ["b", "a", "b", "a", "c", "b", "a"]
    expected = []
    for person in "abc":
        own = [
            r / np.linalg.norm(r) for r, name in zip(rows, labels, strict=True) if name == person
        ]
        mean = np.mean(own, axis=0)
        expected.append(mean / np.linalg.norm(mean))
    found = centres(unit_rows(rows), people_of(labels))
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("turns", [2, 3, 5])
def test_pictures_that_cancel_out_have_no_centre(turns):
    around = np.exp(2j * np.pi * np.arange(turns) / turns)  # cancels up to rounding
    rows = np.stack([around.real, around.imag], axis=1)
    with pytest.raises(InputError, match="'ann' cancel out"):
        centres(unit_rows(rows), people_of(["ann"] * turns))
