import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.metrics.retrieval import (
    mean_average_precision_at_r,
    precision_at_1,
    r_precision,
    recall_at,
)
from recognition.search import rank_relevant, score_blocks


def some(seed, pictures=12, people=4, values=3):
    """Embeddings on a coarse grid, so that scores tie and pictures have copies."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, values, (pictures, 3))
    rows[:, 0] += 1
    labels = random.integers(0, people, pictures)
    labels[:3] = 0, 0, 1
    return rows, labels


def brute(rows, labels):
    """(relevance in order of rank, wrong before right where they tie) of each query."""
    unit = unit_rows(rows)
    scores = (unit @ unit.T).astype(np.float32)
    found = []
    for query in range(len(rows)):
        others = [i for i in range(len(rows)) if i != query]
        others.sort(key=lambda i: (-scores[query, i], labels[i] == labels[query]))
        relevant = [bool(labels[i] == labels[query]) for i in others]
        if any(relevant):
            found.append((str(labels[query]), relevant))
    return sorted(found, key=lambda each: each[0])


@given(st.integers(0, 10**6), st.integers(3, 14), st.integers(2, 6), st.integers(1, 3))
def test_every_relevant_picture_has_its_rank(seed, pictures, people, values):
    rows, labels = some(seed, pictures, people, values)
    found = rank_relevant(rows, labels)
    expected = brute(rows, labels)
    assert found.queries.tolist() == [person for person, _ in expected]
    assert found.relevant.tolist() == [sum(row) for _, row in expected]
    ranks = [np.flatnonzero(row) + 1 for _, row in expected]
    assert found.ranks.tolist() == np.concatenate(ranks).tolist()
    assert (found.pictures, found.lone) == (pictures, pictures - len(expected))


def test_a_copy_of_a_query_stays_in_what_it_searches():
    one = np.array([[1.0, 2.0], [1.0, 2.0], [3.0, 1.0]])
    assert rank_relevant(one, ["a", "b", "a"]).ranks.tolist() == [2, 2]
    assert rank_relevant(one, ["a", "a", "b"]).ranks.tolist() == [1, 1]


def test_equal_pictures_of_everyone_come_last():
    found = rank_relevant(np.ones((6, 3)), ["a", "a", "a", "b", "b", "c"])
    assert found.ranks.tolist() == [4, 5] * 3 + [5] * 2
    assert (recall_at(found, 3), recall_at(found, 5), r_precision(found)) == (0, 1, 0)
    assert found.lone == 1


@given(st.integers(0, 10**6))
def test_blocks_and_lengths_change_nothing(seed):
    rows, labels = some(seed, 90, 9)
    whole = rank_relevant(rows, labels)
    lengths = np.random.default_rng(seed).uniform(0.01, 100, (90, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_blocks, "CELLS", 1)
        parts = rank_relevant(rows * lengths, labels)
    assert parts.ranks.tolist() == whole.ranks.tolist()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scatter", [0.5, 1.5])
def test_pytorch_metric_learning_agrees_where_nothing_ties(seed, scatter):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 12, 80)
    labels[:2] = 100, 101  # lone ones
    rows = random.normal(size=(200, 8))[labels] + scatter * random.normal(size=(80, 8))
    found = rank_relevant(rows, labels)
    judge = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=neighbours,
    )
    theirs = judge.get_accuracy(torch.tensor(unit_rows(rows)), torch.tensor(labels))
    ours = {
        "precision_at_1": precision_at_1(found),
        "r_precision": r_precision(found),
        "mean_average_precision_at_r": mean_average_precision_at_r(found),
    }
    assert found.lone == 2
    assert theirs == pytest.approx(ours, abs=1e-12)
    assert recall_at(found, 1) == ours["precision_at_1"]


def neighbours(query, k, reference, includes_query):
    """What PML asks for, in float64: its own faiss search rounds to float32."""
    assert includes_query
    scores = query @ reference.T
    scores.fill_diagonal_(-torch.inf)
    found = scores.topk(k)
    return -found.values, found.indices


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (np.eye(3), ["a", "a", "a"], "at least 2 people, one of them with 2"),
        (np.eye(3), ["a", "b", "c"], "3 people with at most 1"),
        (np.eye(3), ["a", "a"], "each of 3 pictures"),
        (np.zeros((3, 3)), ["a", "a", "b"], "have a direction"),
    ],
)
def test_what_has_no_neighbours_is_refused(rows, labels, message):
    with pytest.raises(InputError, match=message):
        rank_relevant(rows, labels)
