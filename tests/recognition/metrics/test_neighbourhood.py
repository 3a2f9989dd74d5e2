import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import skew

from recognition.embeddings import people_of
from recognition.errors import InputError
from recognition.metrics.neighbourhood import (
    Neighbourhood,
    copies,
    hubness,
    mislabelled,
    two_names,
)
from recognition.search import find_neighbours


def crowd(people=12, pictures=6, dim=16, spread=0.3, seed=0):
    random = np.random.default_rng(seed)
    labels = np.repeat([f"p{i:02d}" for i in range(people)], pictures)
    centres = random.normal(size=(people, dim)).repeat(pictures, axis=0)
    return centres + spread * random.normal(size=centres.shape), labels


def names_of(found, doubts):
    return [(one.picture, str(found.people.names[one.other])) for one in doubts]


def test_nothing_is_suspected_of_sound_labels():
    found = find_neighbours(*crowd())
    assert found.hits.all()
    assert (found.margins > 0).all()
    assert mislabelled(found) == two_names(found) == copies(found) == []


def test_a_swapped_label_is_the_only_doubt():
    rows, labels = crowd()
    labels = labels.copy()
    labels[3], labels[40] = "p05", "p09"  # of p00 and p06
    found = find_neighbours(rows, labels)
    doubts = mislabelled(found)
    assert sorted(names_of(found, doubts)) == [(3, "p00"), (40, "p06")]
    for one in doubts:
        assert one.of == 5
        assert one.votes == 5
        assert one.own < one.score
    gaps = [one.score - one.own for one in doubts]
    assert gaps == sorted(gaps, reverse=True)
    assert not found.hits[[3, 40]].any()


def test_a_person_under_two_names_is_found_as_such_and_not_as_wrong_labels():
    rows, labels = crowd()
    labels = labels.copy()
    labels[:3] = "oth"  # half of p00
    found = find_neighbours(rows, labels)
    (pair,) = two_names(found)
    assert found.people.names[[pair.one, pair.other]].tolist() == ["oth", "p00"]
    assert pair.score == min(np.median(found.impostor[:3]), np.median(found.impostor[3:6]))
    assert (pair.one_hits, pair.other_hits) == (3, 3)
    assert mislabelled(found, [pair]) == []


def test_single_pictures_are_one_person_only_where_they_are_as_near_as_pictures_of_one():
    rows, labels = crowd()
    random = np.random.default_rng(5)
    alone = random.normal(size=(2, 16))
    strangers = find_neighbours(np.concatenate([rows, alone]), [*labels, "x", "y"])
    assert two_names(strangers) == []
    assert mislabelled(strangers) == []
    twins = alone[:1] + 0.05 * random.normal(size=(2, 16))
    found = find_neighbours(np.concatenate([rows, twins]), [*labels, "x", "y"])
    (pair,) = two_names(found)
    assert (pair.one_hits, pair.other_hits) == (1, 1)
    assert found.people.names[[pair.one, pair.other]].tolist() == ["x", "y"]


def test_copies_under_two_names_come_once_the_most_alike_first():
    rows, labels = crowd()
    rows = np.concatenate([rows, rows[[0, 30]] + [[0], [0.02]]])
    found = find_neighbours(rows, [*labels, "p07", "new"])
    listed = copies(found)
    assert [(one.one, one.other) for one in listed] == [(0, 72), (30, 73)]
    assert listed[0].score == 1
    assert 0.99 <= listed[1].score < 1
    assert [(one.one, one.other) for one in copies(found, 1.0)] == [(0, 72)]
    with pytest.raises(InputError, match="between -1 and 1, got 99"):
        copies(found, 99)


@given(st.integers(0, 10**6), st.integers(1, 20))
def test_occurrences_count_lists_and_hubness_is_scipys_skewness(seed, k):
    random = np.random.default_rng(seed)
    rows, labels = random.normal(size=(30, 4)), np.repeat(np.arange(10), 3)
    found = find_neighbours(rows, labels, k=k)
    expected = [sum(i in row for row in found.neighbours.tolist()) for i in range(30)]
    assert found.occurrences.tolist() == expected
    assert found.occurrences.mean() == k == found.k
    assert found.never_found.tolist() == [count == 0 for count in expected]
    if len(set(expected)) > 1:
        assert hubness(found.occurrences) == pytest.approx(skew(expected), rel=1e-9, abs=1e-9)


def test_where_all_find_all_hubness_is_not_measured():
    found = find_neighbours(np.eye(4) + 0.1, list("aabb"), k=3)
    with pytest.raises(InputError, match="all are found 3 times"):
        hubness(found.occurrences)


def test_ties_count_against_the_person():
    found = find_neighbours(np.ones((4, 3)), list("aabb"))
    assert not found.hits.any()
    assert found.margins.tolist() == [0] * 4
    assert len(copies(found)) > 0


@given(st.integers(0, 10**6))
def test_doubts_and_names_are_those_of_the_rules(seed):
    """The rules of the docstrings, by loops."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, 4, (24, 3))
    rows[:, 0] += 1
    labels = random.integers(0, 6, 24)
    labels[:3] = 0, 0, 1
    found = find_neighbours(rows, labels, k=5)
    codes, pictures = found.people.codes, found.people.pictures
    doubted = set()
    for i in range(24):
        rival = codes[found.impostor_place[i]]
        first = found.neighbours[i][: min(5, pictures[rival])]
        votes = sum(codes[j] == rival for j in first)
        lost = pictures[codes[i]] > 1 and found.own[i] <= found.impostor[i]
        if lost and pictures[rival] > 1 and votes > len(first) / 2:
            doubted.add(i)
    assert {one.picture for one in mislabelled(found)} == doubted

    def nearest(one, other):
        return [i for i in range(24) if (codes[i], codes[found.impostor_place[i]]) == (one, other)]

    usual = np.sort([found.own[i] for i in range(24) if pictures[codes[i]] > 1])
    usual = usual[int(0.05 * (len(usual) - 1))]
    expected = set()
    for a in range(len(pictures)):
        for b in range(a + 1, len(pictures)):
            one, other = nearest(a, b), nearest(b, a)
            half = 2 * len(one) >= pictures[a] and 2 * len(other) >= pictures[b]
            both = [np.median([found.impostor[i] for i in side]) for side in (one, other) if side]
            if half and min(both) >= usual:
                expected.add((a, b, len(one), len(other)))
    assert {(p.one, p.other, p.one_hits, p.other_hits) for p in two_names(found)} == expected


def test_tables_that_do_not_fit_are_refused():
    sound = find_neighbours(*crowd())
    with pytest.raises(InputError, match="k neighbours for each of 72"):
        Neighbourhood(sound.people, sound.neighbours[1:], sound.scores, sound.own,
                      sound.impostor, sound.impostor_place)  # fmt: skip
    lonely = people_of([str(i) for i in range(72)])
    with pytest.raises(InputError, match="one of them with 2 pictures"):
        Neighbourhood(lonely, sound.neighbours, sound.scores, sound.own,
                      sound.impostor, sound.impostor_place)  # fmt: skip
