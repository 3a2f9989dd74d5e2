from contextlib import contextmanager

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from recognition.embeddings import as_scores, unit_rows
from recognition.errors import InputError
from recognition.metrics.retrieval import precision_at_1
from recognition.search import find_neighbours, neighbourhood, rank_relevant, score_blocks


def some(seed, pictures=40, people=6, values=3):
    """Embeddings on a coarse grid, so that scores tie and pictures have copies."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, values, (pictures, 3))
    rows[:, 0] += 1
    labels = random.integers(0, people, pictures)
    labels[:3] = 0, 0, 1
    return rows, labels


def brute(rows, labels, k):
    """By all scores, canonical ones, equal ones in order of rows."""
    unit = unit_rows(rows)
    scores = as_scores(unit @ unit.T)
    neighbours, kept, own, impostor, place = [], [], [], [], []
    for i in range(len(rows)):
        others = [j for j in range(len(rows)) if j != i]
        others.sort(key=lambda j: (-scores[i, j], j))
        neighbours.append(others[:k])
        kept.append([scores[i, j] for j in others[:k]])
        own.append(max([scores[i, j] for j in others if labels[j] == labels[i]], default=-np.inf))
        rivals = [j for j in others if labels[j] != labels[i]]
        impostor.append(scores[i, rivals[0]])
        place.append(rivals[0])
    return neighbours, kept, own, impostor, place


def same(found, expected):
    neighbours, kept, own, impostor, place = expected
    assert found.neighbours.tolist() == neighbours
    assert found.scores.tolist() == np.array(kept, np.float32).tolist()
    assert found.own.tolist() == own
    assert found.impostor.tolist() == impostor
    assert found.impostor_place.tolist() == place


@given(
    st.integers(0, 10**6),
    st.integers(4, 60),
    st.integers(2, 8),
    st.sampled_from([1, 3, 10**4]),
    st.integers(1, 12),
    st.integers(0, 3),
)
def test_all_is_as_by_all_scores_whatever_is_proposed(seed, pictures, people, values, k, spare):
    rows, labels = some(seed, pictures, people, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbourhood, "SPARE", spare)  # short lists: many rows are left
        found = find_neighbours(rows, labels, k=k)
    same(found, brute(rows, labels, min(k, pictures - 1)))


@given(st.integers(0, 10**6), st.sampled_from([1, 64, 2**20]))
def test_blocks_lengths_and_order_change_nothing(seed, cells):
    rows, labels = some(seed, 90, 9, values=9)
    whole = find_neighbours(rows, labels, k=4)
    random = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbourhood, "SPARE", 0)
        patch.setattr(neighbourhood, "CELLS", cells)
        patch.setattr(neighbourhood, "NUMBERS", cells)
        patch.setattr(score_blocks, "CELLS", cells)
        parts = find_neighbours(rows * random.uniform(0.01, 100, (90, 1)), labels, k=4)
        order = random.permutation(90)
        moved = find_neighbours(rows[order], labels[order], k=4)
    for name in ("neighbours", "scores", "own", "impostor", "impostor_place"):
        assert (getattr(parts, name) == getattr(whole, name)).all(), name
    for name in ("scores", "own", "impostor"):
        assert (getattr(moved, name) == getattr(whole, name)[order]).all(), name


def crowd(people=60, pictures=8, dim=24, seed=0):
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), pictures)
    rows = random.normal(size=(people, dim))[labels] + random.normal(size=(len(labels), dim))
    return rows.astype(np.float32), labels


def test_faiss_decides_what_does_not_tie(monkeypatch):
    monkeypatch.setattr(neighbourhood._Task, "in_full", lambda *_: pytest.fail("done in full"))
    rows, labels = crowd()
    same(find_neighbours(rows, labels, k=10), brute(rows, labels, 10))


def test_faiss_finds_the_impostor_of_a_person_with_many_pictures_too(monkeypatch):
    """100 pictures nearer to each other than to anybody: the list for them has to be longer."""
    monkeypatch.setattr(neighbourhood._Task, "in_full", lambda *_: pytest.fail("done in full"))
    rows, labels = crowd()
    many = rows[:1] + 0.1 * np.random.default_rng(1).normal(size=(100, 24))
    rows, labels = np.concatenate([many, rows]), np.concatenate([np.full(100, 1000), labels])
    found = find_neighbours(rows, labels, k=5)
    assert (found.neighbours[:100] < 101).all()
    same(found, brute(rows, labels, 5))


@given(st.integers(0, 10**6), st.sampled_from([1e-3, 0.02, 0.1]), st.integers(1, 6))
def test_proposals_may_be_off_by_as_much_as_the_guard(seed, off, k):
    rows, labels = crowd(people=12, pictures=5, dim=6, seed=seed)
    random, unit = np.random.default_rng(seed), unit_rows(rows)

    def search(queries, base, width):
        noise = random.choice([-1, 0, 1], (len(queries), len(base))) * 0.999 * off
        scores = (queries @ base.T + noise).astype(np.float32)
        places = np.argsort(-scores, axis=1)[:, :width]
        return np.take_along_axis(scores, places, axis=1), places

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbourhood, "_search", search)
        patch.setattr(neighbourhood, "guard", lambda dim: off)
        patch.setattr(neighbourhood, "SPARE", 1)
        same(find_neighbours(unit, labels, k=k), brute(rows, labels, k))


def test_a_crowd_of_copies_under_one_name_hides_no_impostor(monkeypatch):
    """100 equal pictures of one person: more than k, than spare, and all tied."""
    rows, labels = crowd()
    rows = np.concatenate([np.tile(rows[:1], (100, 1)), rows])
    labels = np.concatenate([np.zeros(100, int), labels])
    same(find_neighbours(rows, labels, k=5), brute(rows, labels, 5))


def test_copies_under_many_names_are_done_in_full_and_right(monkeypatch):
    rows, labels = crowd()
    rows = np.concatenate([np.tile(rows[:1], (100, 1)), rows])
    labels = np.concatenate([1000 + np.arange(100), labels])
    left = []
    full = neighbourhood._Task.in_full
    monkeypatch.setattr(
        neighbourhood._Task, "in_full", lambda task, rows, best: (left.append(len(rows)), full(task, rows, best))
    )  # fmt: skip
    same(find_neighbours(rows, labels, k=5), brute(rows, labels, 5))
    assert 100 <= sum(left) <= 110


def test_scikit_learn_agrees():
    rows, labels = crowd(seed=3)
    unit = unit_rows(rows)
    found = find_neighbours(rows, labels, k=7)
    distances, places = NearestNeighbors(n_neighbors=8, metric="cosine").fit(unit).kneighbors()
    assert (found.neighbours == places[:, :7]).all()
    np.testing.assert_allclose(found.scores, 1 - distances[:, :7], atol=1e-6)
    for row in range(0, len(unit), 17):
        strangers = np.flatnonzero(labels != labels[row])
        model = NearestNeighbors(n_neighbors=1, metric="cosine").fit(unit[strangers])
        assert found.impostor_place[row] == strangers[model.kneighbors(unit[[row]])[1][0, 0]]


@given(st.integers(0, 10**6), st.integers(2, 4))
def test_nearest_is_own_is_precision_at_1(seed, values):
    rows, labels = some(seed, 40, 8, values)
    hits = find_neighbours(rows, labels, k=3).hits
    assert hits.mean() == precision_at_1(rank_relevant(rows, labels))


def test_settings_of_faiss_are_as_before_also_after_an_error(monkeypatch):
    rows, labels = crowd()
    before = faiss.cvar.distance_compute_blas_threshold
    seen = []
    knn = faiss.knn

    def watched(*arguments, **named):
        seen.append(faiss.cvar.distance_compute_blas_threshold)
        return knn(*arguments, **named)

    monkeypatch.setattr(faiss, "knn", watched)
    find_neighbours(rows, labels)
    assert set(seen) == {1}
    assert faiss.cvar.distance_compute_blas_threshold == before
    monkeypatch.setattr(faiss, "knn", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        find_neighbours(rows, labels)
    assert faiss.cvar.distance_compute_blas_threshold == before


def test_progress_ends_at_all_pictures():
    seen = []

    @contextmanager
    def watch(what, total):
        yield lambda done, note="": seen.append((what, total, done))

    rows, labels = some(0, 60, 5)
    find_neighbours(rows, labels, k=2, watch=watch)
    assert seen[-1] == ("searching neighbours", 60, 60)
    assert [done for _, _, done in seen] == sorted(done for _, _, done in seen)


@pytest.mark.parametrize(
    ("rows", "labels", "k", "message"),
    [
        (np.eye(3), ["a", "a", "a"], 1, "at least 2 people, one of them with 2"),
        (np.eye(3), ["a", "b", "c"], 1, "3 people with at most 1"),
        (np.eye(3), ["a", "a"], 1, "each of 3 pictures"),
        (np.zeros((3, 3)), ["a", "a", "b"], 1, "have a direction"),
        (np.eye(3), ["a", "a", "b"], 0, "at least 1 neighbour"),
    ],
)
def test_what_has_no_neighbours_is_refused(rows, labels, k, message):
    with pytest.raises(InputError, match=message):
        find_neighbours(rows, labels, k=k)
