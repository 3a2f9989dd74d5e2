"""Pictures in a plane: PCA as scikit-learn has it, people whole, the same map every time."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
from sklearn.decomposition import PCA

from recognition import Options, evaluate
from recognition.errors import InputError
from recognition.evaluation import picture_map
from recognition.evaluation.picture_map import map_pictures


def crowd(people=10, pictures=4, width=6, seed=0):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(people, width)).repeat(pictures, axis=0)
    rows += 0.3 * random.normal(size=rows.shape)
    return rows, np.repeat([f"p{i:02d}" for i in range(people)], pictures)


def points(found):
    return np.stack([found.x, found.y], axis=1)


@pytest.mark.parametrize("width", [2, 6, 100])  # fewer and more dimensions than pictures
def test_pca_is_that_of_the_unit_vectors(width):
    rows, labels = crowd(width=width)
    found = map_pictures(rows * np.arange(1, 41)[:, None], labels)
    pca = PCA(2, svd_solver="full")
    expected = pca.fit_transform(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    signs = np.sign((points(found) * expected).sum(axis=0))
    assert points(found) == pytest.approx(expected * signs, abs=1e-4)
    assert found.explained == pytest.approx(pca.explained_variance_ratio_)


def test_an_axis_points_to_the_picture_farthest_out():
    rows, labels = crowd()
    for given in (rows, -rows):
        at = points(map_pictures(given, labels))
        assert (at[np.abs(at).argmax(axis=0), [0, 1]] > 0).all()


def test_the_order_of_pictures_moves_none_of_them():
    rows, labels = crowd()
    ids = np.array([f"{k}.png" for k in range(40)])
    order = np.random.default_rng(3).permutation(40)
    one, two = (map_pictures(rows[o], labels[o], ids=ids[o]) for o in (np.arange(40), order))
    places = [
        {name: (x, y, who) for name, x, y, who in zip(m.picture, m.x, m.y, m.person, strict=True)}
        for m in (one, two)
    ]
    assert places[0].keys() == places[1].keys()
    for name, (x, y, who) in places[0].items():
        assert places[1][name] == (pytest.approx(x, abs=2e-4), pytest.approx(y, abs=2e-4), who)


def test_people_are_shown_whole_and_so_many_that_a_page_can_hold_them(monkeypatch):
    monkeypatch.setattr(picture_map, "MOST", 15)
    rows, labels = crowd()
    found = map_pictures(rows, labels, seed=1)
    assert (found.shown, found.of) == (12, 40)
    assert {found.person.count(who) for who in found.person} == {4}
    assert [labels[int(row)] for row in found.picture] == list(found.person)
    assert map_pictures(rows, labels, seed=1) == found
    assert set(map_pictures(rows, labels, seed=2).person) != set(found.person)


def test_of_two_people_with_too_many_pictures_some_are_shown(monkeypatch):
    monkeypatch.setattr(picture_map, "MOST", 15)
    rows, labels = crowd(people=2, pictures=20)
    found = map_pictures(rows, labels)
    assert (found.shown, found.of) == (15, 40)
    assert set(found.person) == {"p00", "p01"}


def test_tsne_keeps_people_together_and_is_told_of():
    rows, labels = crowd(people=5, pictures=8)
    rows += 5 * np.repeat(np.eye(5, 6), 8, axis=0)
    told = []

    @contextmanager
    def watch(what, total):
        told.append(what)
        yield lambda done, note="": None

    found = map_pictures(rows, labels, method="tsne", watch=watch)
    assert told == ["t-SNE of the embeddings"]
    assert (found.method, found.explained) == ("tsne", None)
    at = points(found)
    gaps = np.linalg.norm(at[:, None] - at, axis=2) + np.diag(np.full(40, np.inf))
    assert (labels[gaps.argmin(axis=1)] == labels).mean() > 0.9
    assert map_pictures(rows, labels, method="tsne") == found


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_pictures_that_do_not_differ_lie_in_one_place(method):
    found = map_pictures([[1.0, 2, 3]] * 6, list("aabbcc"), method=method)
    assert np.ptp(points(found), axis=0) == pytest.approx([0, 0])
    assert found.explained == ((0.0, 0.0) if method == "pca" else None)


def test_one_direction_of_difference_is_one_axis():
    found = map_pictures([[1.0], [-1], [1], [1]], list("aabb"))
    assert set(found.y) == {0.0}
    assert found.explained == (1.0, 0.0)


def test_there_is_no_map_where_none_is_asked_for_or_too_little_there():
    rows, labels = crowd()
    assert map_pictures(rows, labels, method="none") is None
    assert map_pictures(rows[:2], labels[:2]) is None
    with pytest.raises(InputError, match="a map among pca, tsne, none, not 'umap'"):
        map_pictures(rows, labels, method="umap")
    with pytest.raises(InputError, match="a map among"):
        Options(map="umap")


def test_an_evaluation_has_a_map_as_json():
    rows, labels = crowd()
    ids = [f"{k}.png" for k in range(40)]
    only = Options(replicates=20, parts=("verification",))
    found = json.loads(json.dumps(evaluate(rows, labels, ids=ids, options=only).as_dict()))["map"]
    assert found["method"] == "pca"
    assert set(found) == {"method", "explained", "x", "y", "person", "picture", "shown", "of"}
    assert found["picture"] == ids
    assert found["person"] == labels.tolist()
    without = Options(replicates=20, parts=("verification",), map="none")
    assert evaluate(rows, labels, options=without).map is None
