"""Exact kinds give the exact answer; approximate ones miss people, and never misstate a score."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.search.index import LEAST, build_index
from recognition.search.index_kinds import KINDS, Exact, Hnsw, Ivf, parse_kind
from recognition.search.scan import Part, best_people

EXACT = ["exact", "exact:float32", "exact:float16", "exact:int8"]
NEAR = ["ivf:nlist=4,nprobe=2", "hnsw:m=8,ef=32"]


def gallery(random: np.random.Generator, count: int, dimension: int, *, coarse: bool) -> Any:
    vectors = random.standard_normal((count, dimension))
    if coarse:  # few directions: heavy ties
        vectors = random.integers(-1, 2, (count, dimension)) + np.eye(dimension)[0] * 3.0
    single = (vectors * random.uniform(0.1, 50, (count, 1))).astype(np.float32)
    people = random.integers(0, max(1, count // 3), count)
    alive = random.random(count) < 0.8
    cut = count // 3
    parts = [Part.of(single[:cut], people[:cut]), Part.of(single[cut:], people[cut:])]
    parts = [p._replace(alive=a) for p, a in zip(parts, (alive[:cut], alive[cut:]), strict=True)]
    probes = np.concatenate([single[:4], random.standard_normal((8, dimension))])
    return parts, unit_rows(probes)


@settings(max_examples=20)
@given(st.data())
def test_exact_kinds_give_the_exact_answer(data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count, dimension = data.draw(st.integers(1, 400)), data.draw(st.sampled_from([2, 9]))
    parts, probes = gallery(random, count, dimension, coarse=data.draw(st.booleans()))
    k = data.draw(st.integers(1, 40))
    expected = best_people(parts, probes, k)
    for text in EXACT:
        assert build_index(parse_kind(text), parts).best(probes, k) == expected, text


@settings(max_examples=6)
@given(st.data())
def test_approximate_kinds_never_misstate_a_score(data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count = data.draw(st.integers(4 * LEAST, 600))
    parts, probes = gallery(random, count, 9, coarse=data.draw(st.booleans()))
    k = data.draw(st.integers(1, 12))
    everybody = [{hit.person: hit for hit in hits} for hits in best_people(parts, probes, count)]
    for text in NEAR:
        found = build_index(parse_kind(text), parts).best(probes, k)
        for hits, true in zip(found, everybody, strict=True):
            assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.person))
            assert len({hit.person for hit in hits}) == len(hits)
            for hit in hits:
                assert true[hit.person] == hit, "nobody who is dead, and no other score"


@pytest.mark.parametrize("text", ["ivf:nlist=4,nprobe=4", "hnsw:m=32,ef=400"])
def test_one_that_looks_everywhere_finds_what_the_exact_one_does(text: str) -> None:
    parts, probes = gallery(np.random.default_rng(2), 400, 9, coarse=False)
    assert build_index(parse_kind(text), parts).best(probes, 3) == best_people(parts, probes, 3)


@pytest.mark.parametrize("text", [*EXACT, *NEAR])
def test_who_is_removed_is_found_no_more(text: str) -> None:
    parts, probes = gallery(np.random.default_rng(4), 500, 9, coarse=False)
    index = build_index(parse_kind(text), parts)
    for part in parts:
        part.alive[part.people % 2 == 0] = False
    left = build_index(parse_kind(text), parts)
    for hits in left.best(probes, 5):
        assert len(hits) == 5, "also where half of those near are gone"
        assert all(hit.person % 2 for hit in hits)
    for part in parts:
        part.alive[:] = False
    assert build_index(parse_kind(text), parts).best(probes, 5) == [[]] * len(probes)
    assert index.nbytes() >= 0


@pytest.mark.parametrize("text", [*EXACT, "hnsw"])
def test_nobody_and_nobody_asked_for(text: str) -> None:
    probe = unit_rows(np.ones((1, 2)))
    assert build_index(parse_kind(text), []).best(probe, 3) == [[]]
    one = [Part.of(np.ones((3, 2), np.float32), np.zeros(3, int))]
    assert build_index(parse_kind(text), one).best(probe[:0], 3) == []
    assert [len(hits) for hits in build_index(parse_kind(text), one).best(probe, 3)] == [1]


def test_many_samples_of_one_person_do_not_hide_the_others() -> None:
    """faiss lists rows: the first hundred are one person's."""
    vectors = np.concatenate([np.ones((200, 3)), np.eye(3) + 0.5]).astype(np.float32)
    parts = [Part.of(vectors, np.r_[np.zeros(200, int), 1, 2, 3])]
    probe = unit_rows(np.ones((1, 3)))
    for text in ["exact:float16", "ivf:nlist=1,nprobe=1"]:  # a graph of copies leads nowhere else
        (hits,) = build_index(parse_kind(text), parts).best(probe, 3)
        assert [hit.person for hit in hits][:3] == [0, 1, 2], text


def test_too_many_cells_are_refused() -> None:
    parts, _ = gallery(np.random.default_rng(1), 100, 4, coarse=False)
    with pytest.raises(InputError, match="at least 39,936 samples for 1024 cells, got 100"):
        build_index(Ivf(), parts)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from(["float16", "int8"]))
def test_kinds_are_texts_and_back(one: int, two: int, numbers: Any) -> None:
    few, many = sorted((one, two))
    for kind in (Exact(), Exact(numbers), Ivf(many, few), Hnsw(2 + few % 500, many)):
        assert parse_kind(str(kind)) == kind
    for name in KINDS:
        assert parse_kind(name) == KINDS[name]()


@pytest.mark.parametrize(
    "text",
    ["", "flat", "exact:", "exact:int4", "ivf:nlist", "ivf:nlist=-1", "ivf:nlist=0", "ivf:m=3",
     "ivf:nlist=4,nprobe=5", "ivf:nlist=4,nlist=5", "hnsw:m=1", "hnsw:ef=9999999999999999999",
     "hnsw:m=٣", "ivf:nlist=4;nprobe=2", "hnsw:m=8,"],
)  # fmt: skip
def test_other_texts_are_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        parse_kind(text)


BESIDE = """
import faiss.contrib.torch_utils  # as pytorch-metric-learning does
import numpy as np
from recognition.embeddings import unit_rows
from recognition.search.index import build_index
from recognition.search.index_kinds import parse_kind
from recognition.search.scan import Part
rows = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32)
parts = [Part.of(rows, np.arange(400))]
for text in ("exact:float16", "ivf:nlist=4,nprobe=4", "hnsw"):
    (hits,) = build_index(parse_kind(text), parts).best(unit_rows(rows[7:8]), 1)
    print(hits[0].person, hits[0].score)
"""


def test_it_works_beside_what_replaces_methods_of_faiss() -> None:
    found = subprocess.run([sys.executable, "-W", "error::DeprecationWarning:recognition", "-c", BESIDE],
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert found.stdout.split() == ["7", "1.0"] * 3, found.stderr
