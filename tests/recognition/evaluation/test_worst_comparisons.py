"""Pairs to look at: the highest of two people, the lowest of one, and nobody fills a list."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition import Options, evaluate, tally_all
from recognition.comparisons.compared_pictures import (
    all_pairs,
    listed_pairs,
    marked_pairs,
    rows_of_mated,
    rows_of_nonmated,
)
from recognition.comparisons.pairs import compare_all, compare_marked, compare_pairs
from recognition.datasets.pair_lists import FailedComparisons, PairList
from recognition.evaluation import worst_comparisons
from recognition.evaluation.worst_comparisons import HEADINGS, MOST, worst_of_tally, worst_pairs


def crowd(people=30, pictures=4, seed=0, noise=1.0):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(people, 8)).repeat(pictures, axis=0)
    rows += noise * random.normal(size=rows.shape)
    order = random.permutation(len(rows))
    labels = np.repeat([f"p{i:02d}" for i in range(people)], pictures)[order]
    return rows[order], labels, np.array([f"{name}/{k}.png" for k, name in enumerate(labels)])


def by_hand(rows, labels, pairs=None):
    """The rule in a loop over all pairs, best first."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    every = pairs or [(i, j) for i in range(len(rows)) for j in range(i + 1, len(rows))]
    scored = [(float(unit[i] @ unit[j]), min(i, j), max(i, j)) for i, j in every]
    false, missed = [], []
    people, often = set(), Counter()
    for score, i, j in sorted(scored, key=lambda one: (-round(one[0], 6), *one[1:])):
        two = frozenset((labels[i], labels[j]))
        if len(two) > 1 and two not in people and max(often[i], often[j]) < 2 and len(false) < 12:
            people.add(two)
            often.update((i, j))
            false.append((i, j, score))
    often = Counter()
    for score, i, j in sorted(scored, key=lambda one: (round(one[0], 6), *one[1:])):
        if labels[i] == labels[j] and often[labels[i]] < 2 and len(missed) < 12:
            often[labels[i]] += 1
            missed.append((i, j, score))
    return false, missed


def assert_same(found, expected, labels, ids):
    for listing, pairs in zip(found, expected, strict=True):
        assert [row[:4] for row in listing.rows] == [
            (ids[i], labels[i], ids[j], labels[j]) for i, j, _ in pairs
        ]
        assert [row[4] for row in listing.rows] == pytest.approx([s for *_, s in pairs], abs=1e-6)


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=12))
def test_the_rows_of_a_score_are_those_of_the_list_of_all_pairs(labels):
    every = all_pairs(labels)
    for kind, rows_of in ((every.mated, rows_of_mated), (every.nonmated, rows_of_nonmated)):
        places = np.arange(len(kind[0]))[::-1]
        found = rows_of(labels, places)
        assert [side.tolist() for side in found] == [side[::-1].tolist() for side in kind]


@pytest.mark.parametrize(("people", "pictures"), [(30, 4), (3, 20), (12, 2), (2, 3)])
@pytest.mark.parametrize("looked_at", [4096, 5])
def test_all_pairs_give_what_a_loop_gives(people, pictures, looked_at, monkeypatch):
    monkeypatch.setattr(worst_comparisons, "LOOKED_AT", looked_at)
    rows, labels, ids = crowd(people, pictures)
    found = worst_pairs(compare_all(rows, labels), labels, ids=ids)
    assert_same(found, by_hand(rows, labels), labels, ids)
    assert [one.key for one in found] == ["false-matches", "misses"]
    assert all(one.headings == HEADINGS and one.total == len(one.rows) for one in found)


def test_a_tally_gives_the_same_as_every_score():
    rows, labels, ids = crowd()
    kept = worst_pairs(compare_all(rows, labels), labels, ids=ids)
    assert worst_of_tally(tally_all(rows, labels), labels, ids=ids) == kept


def test_pairs_of_a_list_are_the_only_ones():
    rows, labels, ids = crowd()
    random = np.random.default_rng(1)
    pairs = random.choice(len(rows), size=(400, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    first, second = np.unique(np.sort(pairs), axis=0).T
    first, second = second.copy(), first.copy()  # which of them is named first changes nothing
    scores = compare_pairs(rows, labels, first, second)
    found = worst_pairs(scores, labels, ids=ids, compared=listed_pairs(labels, first, second))
    listed = list(zip(first.tolist(), second.tolist(), strict=True))
    assert_same(found, by_hand(rows, labels, listed), labels, ids)


def test_a_bad_picture_that_is_like_everybody_is_named_twice_only():
    rows = np.concatenate([np.eye(30).repeat(2, axis=0), np.ones((1, 30))])
    rows += 1e-3 * np.random.default_rng(0).normal(size=rows.shape)
    labels = np.append(np.arange(30).repeat(2), 99)
    ids = np.append(np.arange(60).astype(str), "bad")
    false, _ = worst_pairs(compare_all(rows, labels), labels, ids=ids)
    assert sum("bad" in row for row in false.rows) == 2
    assert len(false.rows) == MOST


def test_equal_scores_are_listed_by_row_whatever_the_names_are():
    labels = np.repeat(list("zyxw"), 2)
    rows = np.tile([[1.0, 2.0]], (8, 1))
    false, misses = worst_pairs(compare_all(rows, labels), labels)
    assert [row[:3:2] for row in false.rows] == [
        ("0", "2"), ("0", "4"), ("1", "6"), ("2", "4"), ("3", "6"), ("5", "7")
    ]  # fmt: skip
    assert [row[0] for row in misses.rows] == ["0", "2", "4", "6"]


def test_where_nobody_knows_the_people_pictures_stand_for_them():
    rows, labels, ids = crowd()
    first, second = np.arange(0, 118), np.arange(1, 119)
    mated = labels[first] == labels[second]
    scores = compare_marked(rows, first, second, mated)
    false, misses = worst_pairs(scores, None, ids=ids, compared=marked_pairs(first, second, mated))
    best = int(np.flatnonzero(~mated)[scores.nonmated.argmax()])
    assert false.rows[0] == (ids[best], "", ids[best + 1], "", scores.nonmated.max())
    assert len(misses.rows) == min(MOST, mated.sum()) > 0
    assert misses.rows[0][4] == scores.mated.min()


def test_an_evaluation_lists_them_with_verification():
    rows, labels, ids = crowd()
    only = Options(replicates=20, parts=("verification",))
    section = evaluate(rows, labels, ids=ids, options=only).sections[0]
    assert section.lists == worst_pairs(compare_all(rows, labels), labels, ids=ids)
    assert any("worst pairs" in note for note in section.notes)
    first, second = np.arange(0, 118), np.arange(1, 119)
    mated = labels[first] == labels[second]
    none = FailedComparisons(0, 0)
    for anonymous, known in ((False, labels), (True, None)):
        pairs = PairList(first, second, mated, None, none, (), anonymous)
        listed = evaluate(rows, known, ids=ids, pairs=pairs, options=only).sections[0].lists
        named = {tuple(row[:3:2]) for one in listed for row in one.rows}
        assert named <= {(ids[k], ids[k + 1]) for k in range(118)}
        assert len(named) > 12


def test_beyond_what_is_kept_they_are_still_those_of_all_pairs(monkeypatch):
    rows, labels, ids = crowd()
    only = Options(replicates=20, parts=("verification",))
    kept = evaluate(rows, labels, ids=ids, options=only).sections[0].lists
    monkeypatch.setattr("recognition.evaluation.task.EVERY_SCORE", 2000)
    large = evaluate(rows, labels, ids=ids, options=only).sections[0]
    assert large.lists == kept
    assert "All 6960 non-mated" in large.notes[0]
