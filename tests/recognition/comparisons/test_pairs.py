import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.comparisons import compare_all
from recognition.comparisons import pairs as pairwise
from recognition.comparisons.pairs import compare_pairs
from recognition.embeddings import people_of, unit_rows
from recognition.errors import InputError


def every_pair(rows, labels):
    """Slow and obviously right: (score, person, person) of every unordered pair."""
    names = sorted(set(map(str, labels)))
    codes = [names.index(str(label)) for label in labels]
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            cosine = rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j])
            yield cosine, *sorted((codes[i], codes[j]))


def table(scores):
    """The comparisons in a canonical order."""
    mated = [(s, p, p) for s, p in zip(scores.mated, scores.mated_person, strict=True)]
    other = [(s, *sorted(p)) for s, p in zip(scores.nonmated, scores.nonmated_persons, strict=True)]
    return sorted(mated), sorted(other)


def some(seed, people, pictures, dim=5):
    random = np.random.default_rng(seed)
    labels = np.repeat([f"p{i}" for i in range(people)], random.integers(1, pictures, people))
    labels = random.permutation(np.append(labels, "p0"))
    return random.normal(size=(len(labels), dim)), labels


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(2, 6))
def test_every_unordered_pair_is_compared_once(seed, people, pictures):
    rows, labels = some(seed, people, pictures)
    scores = compare_all(rows, labels)
    expected = sorted(every_pair(rows, labels))
    mated, other = table(scores)
    found = sorted(mated + other)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert scores.people == people
    assert (scores.nonmated_persons[:, 0] != scores.nonmated_persons[:, 1]).all()


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_neither_order_nor_tiles_change_a_comparison(seed, tile):
    rows, labels = some(seed, 5, 6)
    shuffle = np.random.default_rng(seed).permutation(len(rows))
    whole = compare_all(rows, labels)
    assert table(compare_all(rows[shuffle], labels[shuffle])) == table(whole)
    people = people_of(labels)
    order = np.argsort(people.codes, kind="stable")
    tiled = pairwise._compare_sorted(
        unit_rows(rows)[order], people.codes[order], people.pictures, tile
    )
    for field in dataclasses.fields(whole):
        np.testing.assert_array_equal(getattr(tiled, field.name), getattr(whole, field.name))


def test_equal_pictures_tie_exactly_and_never_exceed_one():
    row = np.random.default_rng(3).normal(size=512)
    scores = compare_all([row * k for k in range(1, 40)], [k % 3 for k in range(39)])
    assert set(scores.mated) == {1.0}
    assert set(scores.nonmated) == {1.0}


def test_types_and_memory_layouts_give_the_same_table():
    rows, labels = some(1, 4, 5)
    rows = rows.astype(np.float16)
    wide = np.zeros((len(rows), 10), np.float16)
    wide[:, ::2] = rows
    whole = table(compare_all(rows, labels))
    for same in (wide[:, ::2], np.asfortranarray(rows), rows.astype(np.float64), rows.tolist()):
        assert table(compare_all(same, labels)) == whole
    assert table(compare_all(rows, [int(label[1:]) for label in labels])) == whole


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (np.ones((3, 2)), ["a", "a"], "3 pictures, not of 2"),
        (np.ones((3, 2)), ["a", "a", "a"], "got 1 people"),
        (np.ones((3, 2)), ["a", "b", "c"], "with at most 1"),
        ([[1, 0], [0, 0], [0, 1]], ["a", "a", "b"], "row 1 is all zeros"),
        ([[1, 0], [0, 1], [0, np.nan]], ["a", "a", "b"], "row 2 holds NaN"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(rows, labels, message):
    with pytest.raises(InputError, match=message):
        compare_all(rows, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mated": np.array([], np.float32)}, "mated scores must be a flat"),
        ({"nonmated": np.array([1, 0])}, "float32 or float64"),
        ({"nonmated": np.array([np.nan, 0])}, "finite"),
        ({"mated_person": np.array([2], np.int32)}, "all below 2"),
        ({"nonmated_persons": np.array([[0, -1], [0, 1]])}, "two per non-mated"),
        ({"nonmated_persons": np.array([[0, 1]])}, "two per non-mated"),
    ],
)
def test_scores_that_contradict_themselves_are_refused(change, message):
    whole = compare_all([[1, 0], [1, 1], [0, 1]], ["a", "a", "b"])
    with pytest.raises(InputError, match=message):
        dataclasses.replace(whole, **change)


def test_a_list_of_all_pairs_scores_as_comparing_all_does(shared_data):
    with np.load(shared_data / "orl_mobilefacenet.npz") as held:
        rows, labels = held["embeddings"], held["labels"]
    first, second = np.triu_indices(len(rows), 1)
    assert table(compare_pairs(rows, labels, first, second)) == table(compare_all(rows, labels))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_listed_pairs_keep_the_order_of_the_list(seed, count):
    rows, labels = some(seed, 5, 6)
    random = np.random.default_rng(seed)
    first = random.integers(0, len(rows), count)
    second = (first + random.integers(1, len(rows), count)) % len(rows)
    mated = labels[first] == labels[second]
    if mated.all() or not mated.any():
        with pytest.raises(InputError, match="scores must be a flat, not empty"):
            compare_pairs(rows, labels, first, second)
        return
    scores = compare_pairs(rows, labels, first, second)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = (unit[first] * unit[second]).sum(axis=1)
    np.testing.assert_allclose(scores.mated, cosines[mated], atol=1e-7)
    np.testing.assert_allclose(scores.nonmated, cosines[~mated], atol=1e-7)
    codes = people_of(labels).codes
    np.testing.assert_array_equal(scores.mated_person, codes[first[mated]])
    expected = np.stack([codes[first], codes[second]], axis=1)[~mated]
    np.testing.assert_array_equal(scores.nonmated_persons, expected)
    assert scores.people == 5


def test_a_pair_scores_the_same_in_any_block_of_a_list():
    rows = np.random.default_rng(0).normal(size=(50, 2**16))  # 32 pairs at a time
    labels = np.repeat(range(25), 2)
    first, second = np.arange(49), np.arange(1, 50)
    whole = compare_pairs(rows, labels, first, second)
    part = compare_pairs(rows, labels, first[3:20], second[3:20])
    np.testing.assert_array_equal(part.mated, whole.mated[2:10])
    np.testing.assert_array_equal(part.nonmated, whole.nonmated[1:10])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([0, 1], [1], r"shapes \(2,\) and \(1,\)"),
        ([[0, 1]], [[1, 2]], "two flat lists"),
        ([0, 1], [1, 3], "rows below 3, got rows from 0 to 3"),
        ([0, -1], [1, 2], "rows from -1 to 2"),
        ([0, 1], [2, 1], "row 1 is paired with itself"),
        ([], [], "mated scores must be a flat"),
    ],
)
def test_lists_of_pairs_that_do_not_fit_are_refused(first, second, message):
    rows = np.array(first, np.int64), np.array(second, np.int64)
    with pytest.raises(InputError, match=message):
        compare_pairs([[1, 0], [1, 1], [0, 1]], ["a", "a", "b"], *rows)
