import json
from contextlib import contextmanager

import numpy as np
import pytest

from recognition.errors import InputError
from recognition.evaluation.findings import Findings
from recognition.evaluation.neighbourhood import KEPT, neighbour
from recognition.evaluation.options import Options
from recognition.evaluation.retrieval import retrieve
from recognition.metrics.intervals import mean_interval
from recognition.metrics.person_intervals import share_interval
from recognition.search import find_neighbours

FEW = Options(replicates=60, seed=3)
LABELS = np.array([*np.repeat([f"p{i:02d}" for i in range(12)], 5), "alone", "single"])
LABELS[3] = "p07"  # it is of p00
IDS = np.array([f"{i}.jpg" for i in range(len(LABELS))])


def embeddings():
    random = np.random.default_rng(0)
    centres = random.normal(size=(14, 16)).repeat([5] * 12 + [1, 1], axis=0)
    rows = centres + 0.35 * random.normal(size=centres.shape)
    rows[-1] = rows[50]  # a copy of p10's under the name single
    return rows


@pytest.fixture(scope="module")
def section():
    return neighbour(embeddings(), LABELS, ids=IDS, options=FEW)


def test_rows_are_the_measures_and_intervals_go_by_person(section):
    found = find_neighbours(embeddings(), LABELS)
    rows = {row.key: row.estimate for row in section.rows}
    assert list(rows) == [
        "nearest-own", "margin", "margin@q=0.05", "margin@q=0.5", "hubness", "never-found",
        "mislabelled", "copies", "two-names",
    ]  # fmt: skip
    persons = found.people.codes[found.queries]
    one = rows["nearest-own"]
    assert (one.value, one.low, one.high) == (
        found.hits.mean(),
        *share_interval(found.hits, persons),
    )
    one = rows["margin"]
    interval = mean_interval(found.margins, found.people.names[persons], replicates=60, seed=3)
    assert (one.value, one.low, one.high) == (found.margins.mean(), *interval)
    assert rows["margin@q=0.5"].value in found.margins
    assert (found.margins >= rows["margin@q=0.05"].value).mean() >= 0.95
    assert rows["never-found"].value == found.never_found.mean()
    assert rows["hubness"].counts["most"] == found.occurrences.max()


def test_the_share_is_recall_at_1(section):
    retrieval = retrieve(embeddings(), LABELS, replicates=60, seed=3)
    recall = {row.key: row.estimate for row in retrieval.rows}["recall@1"]
    own = section.rows[0].estimate
    assert (own.value, own.low, own.high) == (recall.value, recall.low, recall.high)
    assert own.counts["queries"] == recall.counts["queries"] == 60


def test_lists_name_the_pictures_to_look_at(section):
    lists = {each.key: each for each in section.lists}
    (doubt,) = lists["mislabelled"].rows
    assert doubt[:4] == ("3.jpg", "p07", "p00", "4 of 4")
    assert doubt[4] < doubt[5]
    (copy,) = lists["copies"].rows
    assert copy[:4] == ("50.jpg", "p10", "61.jpg", "single")
    assert copy[4] == pytest.approx(1)
    for each in section.lists:
        assert each.total == len(each.rows)
        assert all(len(row) == len(each.headings) for row in each.rows)
    counted = {row.key: row.estimate.value for row in section.rows}
    assert all(counted[key] == each.total for key, each in lists.items())
    assert "the only one of their person, 2 here" in section.notes[-1]
    assert json.dumps(Findings({}, [section]).as_dict()["sections"][0]["lists"])


def test_without_ids_pictures_are_named_by_row():
    section = neighbour(embeddings(), LABELS, options=FEW)
    assert section.lists[0].rows[0][0] == "3"
    with pytest.raises(InputError, match="id for each of 62"):
        neighbour(embeddings(), LABELS, ids=IDS[1:], options=FEW)


def test_a_long_list_is_cut_and_says_how_many_there_are():
    rows = np.tile([[0.3, 0.5, 0.1]], (KEPT + 20, 1))
    labels = np.array(["a", "a", *map(str, range(KEPT + 18))])
    copies = neighbour(rows, labels, options=FEW).lists[1]
    assert len(copies.rows) == KEPT
    assert copies.total == KEPT + 19


def test_margins_are_counted_with_0_on_the_side_of_the_misses(section):
    curve = section.curves["margins"]
    found = find_neighbours(embeddings(), LABELS)
    assert curve["counts"].sum() == 60
    middle = len(curve["counts"]) // 2
    assert curve["bins"][middle] == 0
    assert curve["counts"][:middle].sum() == (~found.hits).sum() > 0
    ties = neighbour(np.ones((4, 3)), list("aabb"), options=FEW)
    assert ties.curves["margins"]["counts"][: len(ties.curves["margins"]["counts"]) // 2].sum() == 4
    rows = {row.key: row.estimate for row in ties.rows}
    assert rows["nearest-own"].value == 0
    assert rows["hubness"].value is None
    assert "all are found 3 times" in rows["hubness"].note


def test_progress_is_told():
    seen = []

    @contextmanager
    def watch(what, total):
        yield lambda done, note="": seen.append((what, total, done))

    neighbour(embeddings(), LABELS, options=FEW, watch=watch)
    assert seen[-1] == ("searching neighbours", 62, 62)


def test_wrong_labels_put_into_real_ones_are_all_that_is_found(shared_data):
    with np.load(shared_data / "orl_mobilefacenet.npz", allow_pickle=False) as file:
        rows, labels, ids = file["embeddings"].copy(), file["labels"].astype("U8"), file["ids"]
    sound = neighbour(rows, labels, ids=ids, options=FEW)
    assert [each.total for each in sound.lists] == [0, 0, 0]
    assert sound.rows[0].estimate.value == 1
    names = labels[[5, 100, 310, 44, 200]]
    labels[5], labels[100] = labels[250], labels[150]  # two wrong labels
    rows[310] = rows[44]  # one picture twice, under two names
    labels[200:205] = "half"  # half of a person's pictures under another name
    doubts, copies, pairs = neighbour(rows, labels, ids=ids, options=FEW).lists
    expected = {(ids[5], names[0]), (ids[100], names[1]), (ids[310], names[3])}
    assert {(row[0], row[2]) for row in doubts.rows} == expected
    assert [{*row[:4]} for row in copies.rows] == [{ids[310], names[2], ids[44], names[3]}]
    assert [{*row[:2]} for row in pairs.rows] == [{"half", names[4]}]
