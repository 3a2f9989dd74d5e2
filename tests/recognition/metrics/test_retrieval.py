import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.metrics import retrieval
from recognition.metrics.retrieval import RelevantRanks


@st.composite
def rankings(draw):
    """The relevance of each other picture in order of rank, for some queries; 1-8 others."""
    others = draw(st.integers(1, 8))
    row = st.lists(st.booleans(), min_size=others, max_size=others).filter(any)
    return draw(st.lists(row, min_size=1, max_size=others + 1))


def table(rows):
    ranks = [np.flatnonzero(row) + 1 for row in rows]
    return RelevantRanks(
        np.array([f"p{i}" for i in range(len(rows))]),
        np.array([len(rank) for rank in ranks]),
        np.concatenate(ranks),
        len(rows[0]) + 1 - len(rows),
        len(rows[0]) + 1,
    )


@given(rankings(), st.integers(1, 10))
def test_metrics_are_their_formulas_written_out(rows, k):
    found = table(rows)
    recalls, precisions, averages = [], [], []
    for row in rows:
        r = sum(row)
        recalls.append(any(row[:k]))
        precisions.append(sum(row[:r]) / r)
        averages.append(sum(row[i] * sum(row[: i + 1]) / (i + 1) for i in range(r)) / r)
    assert retrieval.recall_at(found, k) == sum(recalls) / len(rows)
    assert retrieval.precision_at_1(found) == sum(row[0] for row in rows) / len(rows)
    np.testing.assert_allclose(found.r_precisions, precisions, atol=1e-15)
    np.testing.assert_allclose(found.average_precisions, averages, atol=1e-15)
    assert retrieval.r_precision(found) == pytest.approx(np.mean(precisions), abs=1e-14)
    assert retrieval.mean_average_precision_at_r(found) == pytest.approx(
        np.mean(averages), abs=1e-14
    )


def test_average_precision_divides_by_all_that_is_relevant_not_by_what_was_found():
    found = table([[True, False, False, True]])
    assert (found.r_precisions[0], found.average_precisions[0]) == (0.5, 0.5)
    found = table([[False, True, False, True]])
    assert (found.r_precisions[0], found.average_precisions[0]) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relevant": np.array([2, 2])}, "a rank for each"),
        ({"relevant": np.array([0, 3])}, "a rank for each"),
        ({"queries": np.array(["a"])}, "a rank for each"),
        ({"ranks": np.array([2, 1, 1])}, "ascend within each query"),
        ({"ranks": np.array([1, 1, 1])}, "ascend within each query"),
        ({"ranks": np.array([0, 1, 1])}, "from 1 to the 3"),
        ({"ranks": np.array([1, 4, 1])}, "from 1 to the 3"),
        ({"lone": 1}, "a query or lone"),
    ],
)
def test_ranks_that_contradict_themselves_are_refused(change, message):
    found = table([[True, True, False], [True, False, False]])
    assert (found.lone, found.pictures) == (2, 4)
    with pytest.raises(InputError, match=message):
        dataclasses.replace(found, **change)


def test_no_neighbours_are_refused():
    with pytest.raises(InputError, match="k from 1"):
        retrieval.recall_at(table([[True]]), 0)
