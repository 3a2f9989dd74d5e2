from contextlib import contextmanager

import numpy as np
import pytest

from recognition.errors import InputError
from recognition.evaluation.retrieval import retrieve
from recognition.metrics.intervals import CLUSTERED_WILSON, PERSON_BOOTSTRAP, mean_interval
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.retrieval import mean_average_precision_at_r, r_precision, recall_at
from recognition.search import rank_relevant

LABELS = np.array([*np.repeat([f"p{i}" for i in range(8)], 4), "alone", "single"])
FEW = {"replicates": 60, "seed": 3}


def rows_of():
    random = np.random.default_rng(0)
    people = random.normal(size=(10, 6))[np.unique(LABELS, return_inverse=True)[1]]
    return people + 0.9 * random.normal(size=people.shape)


@pytest.fixture(scope="module")
def section():
    return retrieve(rows_of(), LABELS, ks=(5, 1, 33, 34), **FEW)


def test_rows_are_the_metrics_and_intervals_of_persons(section):
    ranks = rank_relevant(rows_of(), LABELS)
    rows = {row.key: row.estimate for row in section.rows}
    methods = {row.key: row.interval for row in section.rows}
    keys = ["queries", "lone-pictures", "recall@1", "recall@5", "recall@33", "r-precision", "map@r"]
    assert list(rows) == keys
    assert (rows["queries"].value, rows["lone-pictures"].value) == (32, 2)
    expected = {
        "recall@1": (recall_at(ranks, 1), ranks.first <= 1),
        "recall@5": (recall_at(ranks, 5), ranks.first <= 5),
        "r-precision": (r_precision(ranks), ranks.r_precisions),
        "map@r": (mean_average_precision_at_r(ranks), ranks.average_precisions),
    }
    for key, (value, each) in expected.items():
        assert rows[key].value == value
        share = key.startswith("recall")
        interval = (
            share_interval(each, np.unique(ranks.queries, return_inverse=True)[1])
            if share
            else mean_interval(each, ranks.queries, **FEW)
        )
        assert (rows[key].low, rows[key].high) == interval
        assert methods[key] == (CLUSTERED_WILSON if share else PERSON_BOOTSTRAP)
        assert rows[key].low < value < rows[key].high
    assert rows["recall@33"].value == 1
    assert rows["recall@5"].counts == {
        "queries": 32,
        "lone": 2,
        "pictures": 34,
        "k": 5,
        "hits": int((ranks.first <= 5).sum()),
    }
    assert "the only one of their person, 2 here" in section.notes[1]


def test_the_curve_is_recall_at_every_k(section):
    ranks = rank_relevant(rows_of(), LABELS)
    curve = section.curves["recall"]
    assert curve["k"].tolist() == list(range(1, 34))
    assert curve["recall"].tolist() == [recall_at(ranks, k) for k in curve["k"]]


def test_progress_is_told_and_nothing_else_changes(section):
    seen = []

    @contextmanager
    def watch(what, total):
        yield lambda done, note="": seen.append((what, total, done))

    again = retrieve(rows_of(), LABELS, ks=(1, 5, 33), progress=watch, **FEW)
    assert again.rows == section.rows
    assert seen == [("ranking neighbours", 34, 34)]
    full = retrieve(rows_of()[:-2], LABELS[:-2], **FEW)
    assert len(full.notes) == 1


def test_a_k_below_one_is_refused_before_anything_is_ranked():
    with pytest.raises(InputError, match="every k from 1"):
        retrieve(rows_of(), LABELS, ks=(0,), progress=lambda *_: pytest.fail("too late"))


def test_real_faces(shared_data):
    with np.load(shared_data / "orl_mobilefacenet.npz", allow_pickle=False) as file:
        section = retrieve(file["embeddings"], file["labels"], replicates=50)
    rows = {row.key: row.estimate for row in section.rows}
    assert (rows["queries"].value, rows["lone-pictures"].value) == (400, 0)
    assert rows["recall@1"].value == 1
    assert rows["r-precision"].value == pytest.approx(0.980833, abs=1e-6)
    assert rows["map@r"].value == pytest.approx(0.980019, abs=1e-6)
