"""Rank one among distractors, against every pair and every distractor gone through."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.search import distractors, score_blocks
from recognition.search.distractors import powers_of_ten, rank_among_distractors


def coarse(shape, seed):
    """Vectors of few directions, so that scores tie heavily."""
    rows = np.random.default_rng(seed).integers(-1, 2, shape).astype(float)
    rows[~rows.any(axis=1)] = 1
    return rows


def naive(x, labels, y, sizes, seed):
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)  # noqa: E731
    own, theirs = (np.round(unit(x) @ unit(others).T, 9) for others in (x, y))
    order = np.random.default_rng(seed).permutation(len(y))
    pairs = [
        (j, i) for j in range(len(x)) for i in range(len(x)) if i != j and labels[i] == labels[j]
    ]
    return [
        np.mean([all(own[j, i] > theirs[j, d] for d in order[:size]) for j, i in pairs])
        for size in sizes
    ]


@given(st.integers(0, 2**31), st.integers(2, 9), st.integers(1, 40), st.sampled_from([4, 2**14]))
def test_it_is_as_gone_through_one_by_one(seed, pictures, others, chunk):
    x, y = coarse((pictures, 4), seed), coarse((others, 4), seed + 1)
    labels = np.random.default_rng(seed).integers(0, 3, pictures)
    labels[1] = labels[0]
    before = distractors.CHUNK, score_blocks.CELLS, score_blocks.LEAST
    distractors.CHUNK, score_blocks.CELLS, score_blocks.LEAST = chunk, chunk, 2
    try:
        found = rank_among_distractors(x, labels, y, seed=seed)
    finally:
        distractors.CHUNK, score_blocks.CELLS, score_blocks.LEAST = before
    assert found.sizes.tolist() == powers_of_ten(others)
    assert found.rate == pytest.approx(naive(x, labels, y, found.sizes, seed))
    assert (np.diff(found.rate) <= 0).all(), "larger galleries hold the smaller ones"


def test_a_tie_is_a_miss_and_the_pair_is_ordered():
    x, labels = [[1, 0], [1, 1]], ["ann", "ann"]
    assert rank_among_distractors(x, labels, [[1, 1]]).rate.tolist() == [0.0]
    assert rank_among_distractors(x, labels, [[1, -1]]).rate.tolist() == [0.5]
    assert rank_among_distractors(x, labels, [[-1, 0]]).rate.tolist() == [1.0]


def test_neither_order_of_the_pictures_nor_lengths_matter():
    random = np.random.default_rng(3)
    x, y = random.normal(size=(30, 8)), random.normal(size=(500, 8))
    labels = np.repeat(np.arange(10), 3)
    turned = random.permutation(30)
    one = rank_among_distractors(x, labels, y, seed=4)
    other = rank_among_distractors(5 * x[turned], labels[turned], y * 3, seed=4)
    assert np.array_equal(one.hits, other.hits)
    assert not np.array_equal(one.hits, rank_among_distractors(x, labels, y, seed=5).hits)
    assert one.sizes.tolist() == [10, 100, 500]


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="of 2 dimensions"):
        rank_among_distractors([[1, 0], [0, 1]], ["a", "a"], [[1, 0, 0]])
    with pytest.raises(InputError, match="somebody with 2 pictures"):
        rank_among_distractors([[1, 0], [0, 1]], ["a", "b"], [[1, 0]])
    for sizes in ([], [0], [2]):
        with pytest.raises(InputError, match="from 1 to 1"):
            rank_among_distractors([[1, 0], [0, 1]], ["a", "a"], [[1, 0]], sizes=sizes)
    with pytest.raises(InputError, match="embeddings of distractors must be finite"):
        rank_among_distractors([[1, 0], [0, 1]], ["a", "a"], [[np.nan, 0]])
    others = np.ones((30_000, 2))
    others[20_000] = 0
    with pytest.raises(InputError, match=r"row 20000 is all zeros \(1 such rows of 30000\)"):
        rank_among_distractors([[1, 0], [0, 1]], ["a", "a"], others)
