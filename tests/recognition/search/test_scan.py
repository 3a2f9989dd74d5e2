"""The quick search finds what looking at every score finds."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recognition.embeddings import as_scores, unit_rows
from recognition.errors import InputError
from recognition.search import bounds as bounds_module
from recognition.search import scan
from recognition.search.bounds import block_bounds
from recognition.search.quantised import OFFSET, common_step, levelled, quantise, slack
from recognition.search.scan import Part, best_people

Floats = npt.NDArray[np.float64]


def brute(vectors: Floats, people: list[int], probe: Floats, k: int) -> list[tuple[int, float]]:
    """Every score, one after the other; equal people by number, all that equal the k-th."""
    best: dict[int, float] = {}
    scores = as_scores(np.array([row @ probe for row in unit_rows(vectors)])).tolist()
    for score, person in zip(scores, people, strict=True):
        best[person] = max(best.get(person, -2.0), score)
    ranked = sorted(best.items(), key=lambda one: (-one[1], one[0]))
    last = ranked[k - 1][1] if len(ranked) > k else -2.0
    return [one for one in ranked if one[1] >= last]


def parts_of(vectors: Floats, people: npt.NDArray[np.int64], cuts: list[int]) -> list[Part]:
    single = vectors.astype(np.float32)
    borders = sorted({0, len(vectors), *cuts})
    return [Part.of(single[a:b], people[a:b]) for a, b in pairwise(borders)]


@pytest.mark.usefixtures("bits")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_it_is_what_looking_at_every_score_finds(data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count, dimension = data.draw(st.integers(1, 300)), data.draw(st.sampled_from([2, 3, 17]))
    coarse = data.draw(st.booleans())  # few directions: heavy ties
    vectors = random.standard_normal((count, dimension))
    if coarse:
        vectors = random.integers(-1, 2, (count, dimension)) + 0.0
        vectors[~vectors.any(axis=1)] = 1
    vectors = (vectors * random.uniform(0.1, 50, (count, 1))).astype(np.float32).astype(float)
    people = random.integers(0, data.draw(st.integers(1, 60)), count)
    cuts = data.draw(st.lists(st.integers(0, count), max_size=3))
    probes = unit_rows(np.concatenate([vectors[:3], random.standard_normal((20, dimension))]))
    k = data.draw(st.integers(1, 70))
    parts = parts_of(vectors, people, cuts)
    together = best_people(parts, probes, k)
    for probe, found in zip(probes, together, strict=True):
        (alone,) = best_people(parts, probe[None], k)
        assert found == alone, "whatever the number of probes, and so the product"
        by_numbers = best_people(parts, probe[None], k, numbers="float32")
        assert by_numbers == [found]
        assert [(hit.person, hit.score) for hit in found] == brute(
            vectors, people.tolist(), probe, k
        )


def test_removed_rows_are_not_found() -> None:
    vectors = np.eye(8).repeat(50, axis=0)
    people = np.arange(400)
    (part,) = parts_of(vectors, people, [])
    part.alive[:120] = False
    for probes in (np.eye(8), np.eye(8).repeat(3, axis=0)):
        for found in best_people([part], probes, 400):
            assert {hit.person for hit in found} == set(range(120, 400))


def test_of_equal_rows_of_a_person_the_first_is_named() -> None:
    parts = parts_of(np.ones((100, 4)), np.repeat([7, 5], 50), [30])
    (found,) = best_people(parts, unit_rows(np.ones((1, 4))), 2)
    assert [(hit.person, hit.part, hit.place) for hit in found] == [(5, 1, 20), (7, 0, 0)]


def test_nobody_enrolled_and_nobody_asked_for() -> None:
    assert best_people([], unit_rows([[1.0, 0.0]]), 3) == [[]]
    assert best_people(parts_of(np.ones((3, 2)), np.arange(3), []), np.empty((0, 2)), 3) == []


KINDS = [bounds_module._Floats, bounds_module._EightBits, bounds_module._Halves]


@pytest.fixture(params=KINDS, ids=["floats", "eight bits", "halves"])
def bits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small steps, and one product or another whatever is quicker."""
    monkeypatch.setattr(bounds_module, "STEP", 64)
    monkeypatch.setattr(scan, "TOGETHER", 10)
    monkeypatch.setattr(bounds_module, "_quickest", request.param)


@pytest.mark.usefixtures("bits")
def test_no_row_of_a_block_scores_more_than_its_bound() -> None:
    random = np.random.default_rng(3)
    for spread in (1.0, 0.01, 30.0):  # one large component leaves the others few bits
        vectors = random.standard_normal((333, 24)) * spread
        vectors[:, 0] += 1
        (part,) = parts_of(vectors, np.arange(333), [])
        probes = unit_rows(random.standard_normal((40, 24)) * spread + np.eye(24)[0])
        bounds = block_bounds(part.rows, part.alive, probes, scan.BLOCK).T
        exact = unit_rows(part.rows.vectors) @ probes.T
        for block in range(len(bounds)):
            rows = exact[block * scan.BLOCK : (block + 1) * scan.BLOCK]
            assert (bounds[block] >= rows.max(axis=0)).all()
            assert (bounds[block] <= rows.max(axis=0) + 0.2).all(), "it says something"


def test_a_product_that_is_wrong_or_missing_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    (part,) = parts_of(np.random.default_rng(5).standard_normal((99, 32)), np.arange(99), [])
    eight, halves = (kind(part.rows, part.alive, unit_rows(np.ones((2, 32))), 32)
                     for kind in KINDS[1:])  # fmt: skip
    assert eight.right()
    assert halves.right()
    whole, rounded = torch._int_mm, torch.Tensor.__matmul__
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: whole(a, b).clamp(-(2**15), 2**15 - 1))
    assert not eight.right(), "a sum that is cut off"
    monkeypatch.delattr(torch, "_int_mm")
    assert not eight.right()
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: rounded(a, b) * 0.98)
    assert not halves.right(), "a sum that is less exact than bfloat16"


def test_the_quickest_that_is_right_is_chosen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds_module, "SMALL", 0)
    monkeypatch.setattr(bounds_module, "_chosen", {})
    monkeypatch.setattr(bounds_module._Halves, "right", lambda self: False)
    paces: list[type] = []

    def pace(product: bounds_module._Product) -> float:
        paces.append(type(product))
        return float(type(product) is bounds_module._Floats)

    monkeypatch.setattr(bounds_module, "_pace", pace)
    vectors = np.random.default_rng(5).standard_normal((400, 32))
    parts = parts_of(vectors, np.arange(400), [])
    for _ in range(2):
        found = best_people(parts, unit_rows(vectors[:3]), 1)
        assert [hits[0].person for hits in found] == [0, 1, 2]
    assert paces == KINDS[:2]
    assert list(bounds_module._chosen.values()) == [bounds_module._EightBits]


def test_the_pace_is_that_of_the_rows() -> None:
    (part,) = parts_of(np.random.default_rng(5).standard_normal((999, 32)), np.arange(999), [])
    for kind in KINDS:
        assert bounds_module._pace(kind(part.rows, part.alive, unit_rows(np.eye(32)), 32)) > 0


def test_a_code_and_its_rest_make_the_vector() -> None:
    random = np.random.default_rng(4)
    vectors = random.standard_t(2, (50, 16)).astype(np.float32) * 1e-3
    made = quantise(vectors)
    codes = made.codes.astype(float) - OFFSET
    rest = unit_rows(vectors) - made.steps[:, None].astype(float) * codes
    assert (np.linalg.norm(rest, axis=1) <= made.lost).all()
    assert (made.lost < 2.01 * made.steps).all(), "half a step in each of 16 numbers, or less"
    assert np.abs(codes).max() == 127
    own = quantise(vectors, 0)
    assert np.abs(own.codes.astype(float) - OFFSET).max(axis=1).tolist() == [127] * 50
    assert slack(0.0, 0.0, 16) > 0


def test_rows_have_the_same_step_but_for_few() -> None:
    vectors = np.random.default_rng(4).standard_normal((5000, 16)).astype(np.float32)
    vectors[77] = np.eye(16)[3]
    made = quantise(vectors)
    common = common_step(made.steps)
    assert (made.steps >= np.float32(common)).all()
    assert 0 < np.count_nonzero(made.steps > common) < 2 * 5000 / 2**8
    assert made.steps[77] == np.float32(1 / 127)
    (same,) = levelled([made])
    assert same is made
    one_by_one = [quantise(row[None]) for row in vectors[:300]]
    level = np.concatenate([one.steps for one in levelled(one_by_one)])
    assert np.count_nonzero(level == level.min()) > 0.98 * 300
    assert levelled([]) == []


def test_vectors_without_a_direction_are_refused() -> None:
    for wrong in (0.0, np.nan, np.inf):
        with pytest.raises(InputError, match="row 1"):
            Part.of(np.array([[1, 1], [wrong, wrong]], np.float32), np.arange(2))


def test_vectors_that_float32_cannot_multiply_are_refused() -> None:
    rows = np.random.default_rng(0).standard_normal((9, 24))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for length in (1e-42, 1e-37, 2e30, 3e38):
        with pytest.raises(InputError, match="lengths from 1e-30 to 1e"):
            Part.of((rows * length).astype(np.float32), np.arange(9))
    for length in (2e-30, 5e29):
        part = Part.of((rows * length).astype(np.float32), np.arange(9))
        for numbers in ("quickest", "float32", "int8"):
            assert best_people([part], unit_rows(rows[2:3]), 1, numbers=numbers)[0][0].person == 2
