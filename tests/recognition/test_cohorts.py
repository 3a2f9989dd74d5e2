"""Normalised comparisons and searches, against every formula written out in float64."""

import math

import numpy as np
import pytest

from recognition import cohorts
from recognition.cohorts import Normaliser
from recognition.comparisons import compare_all, compare_pairs
from recognition.comparisons.compared_pictures import all_pairs, listed_pairs
from recognition.errors import InputError
from recognition.metrics.normalisation import FLOOR, METHODS, SYMMETRIC
from recognition.search import search_people


def unit(rows):
    rows = np.asarray(rows, float)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def stats(values):
    mean = math.fsum(values) / len(values)
    return mean, max(FLOOR, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values)))


def naive(method, enrolled, searched, cohort, people, top):
    """The normalised score of two unit vectors, from the definitions and nothing else."""
    s = float(enrolled @ searched)
    of_e, of_t = [float(c @ enrolled) for c in cohort], [float(c @ searched) for c in cohort]
    order = lambda values: sorted(range(len(values)), key=lambda i: -values[i])[:top]  # noqa: E731
    pick = lambda values, places: [values[i] for i in places]  # noqa: E731
    e, t = stats(of_e), stats(of_t)
    if method == "as1":
        e, t = stats(pick(of_e, order(of_e))), stats(pick(of_t, order(of_t)))
    if method == "as2":
        e, t = stats(pick(of_e, order(of_t))), stats(pick(of_t, order(of_e)))
    z = (s - e[0]) / e[1]
    if method == "z":
        return z
    if method == "zt":
        normed = []
        for c, person in enumerate(people):
            others = [
                float(cohort[c] @ d) for d, p in zip(cohort, people, strict=True) if p != person
            ]
            mean, deviation = stats(others)
            normed.append((of_t[c] - mean) / deviation)
        mean, deviation = stats(normed)
        return (z - mean) / deviation
    counted = (s - t[0]) / t[1]
    return counted if method == "t" else (z + counted) / 2


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(5)
    labels = np.array(["d", "a", "b", "a", "c", "b", "c", "a", "d"])
    return (
        random.normal(size=(9, 6)),
        labels,
        random.normal(size=(11, 6)) + 0.4,
        np.array(list("xxyyzzwwvvu")),
    )


@pytest.mark.parametrize("method", SYMMETRIC)
@pytest.mark.parametrize("cells", [4, cohorts.CELLS])
@pytest.mark.parametrize("filled", [0, 64])
def test_all_pairs_are_normalised_as_written_out(method, data, cells, filled, monkeypatch):
    monkeypatch.setattr(cohorts, "CELLS", cells)
    monkeypatch.setattr(cohorts, "LEAST", 2)
    monkeypatch.setattr(cohorts, "FILLED", filled)
    x, labels, c, people = data
    norm = Normaliser.of(c, people, method, top=4)
    raw, compared = compare_all(x, labels), all_pairs(labels)
    found = norm.scores(raw, x, compared)
    for kind in ("mated", "nonmated"):
        first, second = getattr(compared, kind)
        for i, j, cosine, score in zip(
            first, second, getattr(raw, kind), getattr(found, kind), strict=True
        ):
            assert cosine == pytest.approx(unit(x)[i] @ unit(x)[j], abs=1e-6), "the same pairs"
            expected = naive(method, unit(x)[i], unit(x)[j], unit(c), people, 4)
            assert score == pytest.approx(expected, abs=2e-5)
            turned = naive(method, unit(x)[j], unit(x)[i], unit(c), people, 4)
            assert expected == pytest.approx(turned), "both pictures are treated alike"
    assert np.array_equal(found.nonmated_persons, raw.nonmated_persons)


@pytest.mark.parametrize("method", METHODS)
def test_listed_pairs_are_normalised_as_written_out(method, data):
    x, labels, c, people = data
    first, second = np.array([8, 1, 3, 2, 4]), np.array([0, 3, 8, 7, 6])
    norm = Normaliser.of(c, people, method, top=3)
    raw = compare_pairs(x, labels, first, second)
    compared = listed_pairs(labels, first, second)
    found = norm.scores(raw, x, compared)
    for kind in ("mated", "nonmated"):
        for i, j, score in zip(*getattr(compared, kind), getattr(found, kind), strict=True):
            expected = naive(method, unit(x)[i], unit(x)[j], unit(c), people, 3)
            assert score == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cells", [4, cohorts.CELLS])
def test_searches_are_normalised_as_written_out(method, data, cells, monkeypatch):
    monkeypatch.setattr(cohorts, "CELLS", cells)
    monkeypatch.setattr(cohorts, "LEAST", 2)
    x, labels, c, people = data
    gallery, probes = [0, 1, 2, 4], [3, 5, 7, 8, 6]
    found = Normaliser.of(c, people, method, top=4).search(
        x[gallery], labels[gallery], x[probes], labels[probes]
    )
    for place, probe in enumerate(probes):
        expected = {
            str(labels[g]): naive(method, unit(x)[g], unit(x)[probe], unit(c), people, 4)
            for g in gallery
        }
        kept = dict(zip(found.labels[place].tolist(), found.scores[place].tolist(), strict=True))
        assert kept == pytest.approx(expected, abs=5e-5)


def test_a_search_by_t_ranks_as_the_raw_one(data):
    x, labels, c, people = data
    parts = (x[:5], labels[:5], x[5:], labels[5:])
    assert np.array_equal(
        Normaliser.of(c, people, "t").search(*parts).ranks, search_people(*parts).ranks
    )


@pytest.mark.parametrize("method", ["as1", "as2"])
def test_with_the_whole_cohort_adaptive_is_s(method, data):
    x, labels, c, people = data
    raw, compared = compare_all(x, labels), all_pairs(labels)
    plain = Normaliser.of(c, people, "s").scores(raw, x, compared)
    for top in (11, 300):
        found = Normaliser.of(c, people, method, top=top).scores(raw, x, compared)
        assert found.mated == pytest.approx(plain.mated, abs=1e-6)
        assert found.nonmated == pytest.approx(plain.nonmated, abs=1e-6)


@pytest.mark.parametrize("method", ["s", "as1"])
def test_neither_order_nor_batches_show(method, data):
    x, labels, c, people = data
    turned, other = (
        np.random.default_rng(0).permutation(11),
        np.random.default_rng(1).permutation(9),
    )
    one = Normaliser.of(c, people, method, top=4)
    again = Normaliser.of(7 * c[turned], people[turned], method, top=4)
    first = one.scores(compare_all(x, labels), x, all_pairs(labels))
    second = again.scores(compare_all(x[other], labels[other]), x[other], all_pairs(labels[other]))
    assert np.array_equal(np.sort(first.nonmated), np.sort(second.nonmated))
    assert np.array_equal(np.sort(first.mated), np.sort(second.mated))
    rows = np.concatenate([one.spread(unit(x)[k : k + 1]).mean for k in range(9)])
    assert np.array_equal(rows, one.spread(unit(x)).mean)


def test_an_overlap_names_the_people(data):
    x, labels, c, people = data
    norm = Normaliser.of(c, people, "s")
    norm.require_apart(x, labels)
    with pytest.raises(InputError, match="2 of its 6 people are evaluated too: 'u', 'x'"):
        norm.require_apart(x[:2], ["u", "x"])
    same = x.copy()
    same[3] = 2.5 * c[4]  # another length, but the same direction
    with pytest.raises(InputError, match="'z' and 'a'"):
        norm.require_apart(same, labels)
    with pytest.raises(InputError, match="'v' and 'b'"):
        Normaliser.of([[1, -0.0], [0, 1]], ["v", "w"]).require_apart([[2.0, 0.0]], ["b"])
    with pytest.raises(InputError, match="dimensions"):
        norm.require_apart(x[:, :5], labels)


def test_what_is_no_cohort_is_refused(data):
    _, _, c, people = data
    with pytest.raises(InputError, match="got 1, which has no spread"):
        Normaliser.of(c[:1], people[:1])
    with pytest.raises(InputError, match="2 pictures or more of other people"):
        Normaliser.of(c[:3], people[:3], "zt")  # x has one other picture only
    with pytest.raises(InputError, match="no spread"):
        Normaliser.of(c, people, top=1)
    with pytest.raises(InputError, match="finite"):
        Normaliser.of(np.full((3, 2), np.nan), list("abc"))


def test_a_constant_cohort_is_counted_in_the_floor():
    norm = Normaliser.of([[1, 0], [1, 0], [2, 0]], ["u", "v", "w"], "s")
    x, labels = [[1, 1], [1, 1], [0, 1]], ["a", "a", "b"]
    found = norm.scores(compare_all(x, labels), x, all_pairs(labels))
    assert found.mated == pytest.approx([(1 - math.sqrt(0.5)) / FLOOR], rel=1e-4)
