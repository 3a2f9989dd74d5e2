import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.embeddings import people_of, unit_rows
from recognition.errors import InputError
from recognition.metrics import angles
from recognition.metrics.angles import angle_statistics, leave_one_out_angles


def degrees(u, v):
    return np.degrees(np.arccos(np.clip(u @ v / np.linalg.norm(u) / np.linalg.norm(v), -1, 1)))


def brute(rows, labels):
    """ArcFace's Table 3 as written, by loops."""
    unit = [r / np.linalg.norm(r) for r in rows]
    centre = {
        p: np.mean([u for u, q in zip(unit, labels, strict=True) if p == q], axis=0)
        for p in sorted(set(labels))
    }
    intra = [
        degrees(u, centre[p]) for u, p in zip(unit, labels, strict=True) if labels.count(p) > 1
    ]
    inter = [min(degrees(centre[p], centre[q]) for q in centre if q != p) for p in centre]
    return np.mean(intra), np.mean(inter), centre


def some(seed, people=6, dim=4):
    random = np.random.default_rng(seed)
    labels = [f"p{i}" for i in range(people) for _ in range(random.integers(1, 5))] + ["p0"]
    return random.normal(size=(len(labels), dim)) * random.uniform(0.1, 9), labels


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(2, 30))
def test_angles_agree_with_the_table_as_written(seed, people, tile):
    rows, labels = some(seed, people)
    intra, inter, centre = brute(rows, labels)
    weights = np.random.default_rng(seed + 1).normal(size=(people, 4))
    order = np.random.default_rng(seed).permutation(people)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(angles, "TILE", tile)  # one or a few rows at a time
        found = angle_statistics(rows, labels, weights, [f"p{i}" for i in order])
    assert found.intra == pytest.approx(intra, rel=1e-9)
    assert found.inter == pytest.approx(inter, rel=1e-9)
    own = [degrees(w, centre[f"p{i}"]) for w, i in zip(weights, order, strict=True)]
    assert found.weight_to_centre == pytest.approx(np.mean(own), rel=1e-9)
    np.testing.assert_allclose(found.class_angles, own, rtol=1e-9)
    nearest = [
        min(degrees(w, x) for k, x in enumerate(weights) if k != j) for j, w in enumerate(weights)
    ]
    assert found.weight_inter == pytest.approx(np.mean(nearest), rel=1e-9)
    np.testing.assert_allclose(found.class_gaps, nearest, rtol=1e-9)
    assert found.single_picture_people == sum(labels.count(p) == 1 for p in set(labels))


@given(st.integers(0, 10**6), st.integers(1, 30))
def test_left_out_of_its_own_centre_a_picture_is_compared_with_the_others_alone(seed, tile):
    rows, labels = some(seed)
    order = np.random.default_rng(seed).permutation(len(rows))
    rows, labels = rows[order], [labels[i] for i in order]
    unit = [r / np.linalg.norm(r) for r in rows]
    expected, names = [], []
    for i, person in enumerate(labels):
        others = [u for j, u in enumerate(unit) if labels[j] == person and j != i]
        if others:
            expected.append(degrees(unit[i], np.mean(others, axis=0)))
            names.append(person)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(angles, "TILE", tile)
        found = leave_one_out_angles(unit_rows(rows), people_of(labels))
    np.testing.assert_allclose(found.angles, expected, rtol=1e-7)
    assert found.persons.tolist() == names
    assert found.mean == pytest.approx(np.mean(expected), rel=1e-9)
    assert found.mean >= angle_statistics(rows, labels).intra


def test_of_two_pictures_leaving_out_doubles_the_angle():
    rows, labels = np.random.default_rng(0).normal(size=(8, 5)), list("aabbccdd")
    left_out = leave_one_out_angles(unit_rows(rows), people_of(labels)).mean
    assert left_out == pytest.approx(2 * angle_statistics(rows, labels).intra, rel=1e-12)


def test_others_that_cancel_out_have_no_direction():
    rows = unit_rows([[1, 0], [-1, 0], [0, 1], [1, 1]])
    with pytest.raises(InputError, match="other pictures of 'a' than that in row 2 cancel out"):
        leave_one_out_angles(rows, people_of(list("aaab")))
    with pytest.raises(InputError, match="someone with 2 pictures"):
        leave_one_out_angles(rows, people_of(list("abcd")))


def test_parts_are_given_for_resampling_and_average_to_the_whole():
    rows, labels = some(4)
    found = angle_statistics(rows, labels)
    assert found.picture_angles.mean() == found.intra
    assert found.person_angles.mean() == found.inter
    assert found.picture_persons.tolist() == [p for p in labels if labels.count(p) > 1]
    assert found.persons.tolist() == sorted(set(labels))
    assert found.weight_to_centre is found.weight_inter is None
    assert found.class_angles is found.class_gaps is None


@pytest.mark.parametrize("small", [1e-3, 1e-7, 1e-12])
def test_small_angles_are_exact(small):
    rows = [[np.cos(a), np.sin(a)] for a in (0.0, 0.0, small, small)]
    found = angle_statistics(rows, ["a", "a", "b", "b"])
    assert found.inter == pytest.approx(np.degrees(small), rel=1e-3)
    # the arc cosine of the rounded cosine, for comparison, sees nothing at all below 1e-8
    assert found.intra < 1e-14
    opposite = angles.angles_between(np.array([[1.0, 0]]), np.array([[-1.0, 0]]))
    assert opposite == pytest.approx(180, rel=1e-15)


@pytest.mark.parametrize(
    ("weights", "classes", "message"),
    [
        ([[1, 0, 0, 0]], ["p0"], "2 people or more"),
        ([[1, 0], [0, 1]], ["p0", "p1"], "4 dimensions"),
        ([[1, 0, 0, 0], [0, 1, 0, 0]], None, "and no labels"),
        ([[1, 0, 0, 0], [0, 1, 0, 0]], ["p0", "q"], "1 people have no picture"),
        ([[1, 0, 0, 0], [0, 1, 0, 0]], ["p0", "p0"], "2 rows name 1 people"),
        ([[1, 0, 0, 0], [0, 0, 0, 0]], ["p0", "p1"], "class weights must have a direction"),
    ],
)
def test_class_weights_that_fit_nobody_are_refused(weights, classes, message):
    with pytest.raises(InputError, match=message):
        angle_statistics(*some(0), weights, classes)


@pytest.mark.parametrize("labels", [["a", "a", "a"], ["a", "b", "c"]])
def test_angles_need_two_people_and_two_pictures(labels):
    with pytest.raises(InputError, match="at least 2 people"):
        angle_statistics(np.eye(3), labels)
