"""What the measurement of indexes says is true of the searches that it made."""

from typing import Any

import numpy as np
import pytest

from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.search import bench as module
from recognition.search.bench import bench_indexes, usual_kinds
from recognition.search.index import build_index
from recognition.search.index_kinds import Exact, Hnsw, Ivf
from recognition.search.scan import Part


def people(count: int, each: int, dimension: int, noise: float = 0.5, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    who = np.repeat(np.arange(count), each)
    own = random.standard_normal((count, dimension))
    return own[who] + noise * random.standard_normal((len(who), dimension)), who


def test_exact_kinds_lose_nothing_and_a_single_cell_of_many_loses_as_counted() -> None:
    vectors, who = people(300, 4, 16, noise=0.7)
    gallery, queries = np.arange(len(who)) % 4 > 0, np.arange(len(who)) % 4 == 0
    gallery &= who < 250
    kinds = [Exact(), Exact("float16"), Ivf(16, 1), Ivf(16, 16)]
    found = bench_indexes(
        vectors[gallery], who[gallery], queries=(vectors[queries], who[queries]), kinds=kinds,
        k=5, fpir=0.1,
    )  # fmt: skip
    assert (found.samples, found.people, found.mated, found.strangers) == (750, 250, 250, 50)
    whole, half, one, all_ = found.results
    for exact in (whole, half, all_):
        assert (exact.recall_1, exact.recall_k, exact.missed, exact.added_fnir) == (1, 1, 0, 0)
    single = vectors.astype(np.float32)
    part = Part.of(single[gallery], who[gallery])
    probes = unit_rows(single[queries])
    truth = build_index(Exact(), [part]).best(probes, 5)
    mine = build_index(Ivf(16, 1), [part]).best(probes, 5)
    strange = sorted((hits[0].score for hits in truth[250:]), reverse=True)
    assert found.threshold == np.nextafter(np.float32(strange[5]), np.float32(1))
    right = [
        [bool(h) and h[0].person == n and h[0].score >= found.threshold for n, h in enumerate(some)]
        for some in (truth[:250], mine[:250])
    ]
    lost = sum(a and not b for a, b in zip(*right, strict=True))
    assert lost > 0
    assert (one.missed, one.added_fnir) == (lost, lost / 250)
    assert one.low < one.added_fnir < one.high
    assert one.recall_1 == np.mean(
        [bool(m) and m[0].score == t[0].score for m, t in zip(mine, truth, strict=True)]
    )
    assert found.fnir == 1 - sum(right[0]) / 250
    assert found.recommended != str(Ivf(16, 1))
    assert found.as_dict()["results"][2]["kind"] == "ivf:nlist=16,nprobe=1"


def test_without_queries_strangers_are_not_enrolled_and_mates_search_by_another_picture() -> None:
    vectors, who = people(100, 3, 16)
    vectors, who = np.concatenate([vectors, vectors[:1]]), np.append(who, 500)  # one picture only
    task = module._task(vectors, who, None, 10_000, 0)
    names = np.unique(who)
    enrolled = set(task.part.people.tolist())
    assert len(names) - len(enrolled) == round(0.2 * len(names))
    assert set(task.own[task.own >= 0].tolist()) <= enrolled
    assert not set(task.shown[task.own < 0].tolist()) & enrolled
    rows = {row.tobytes() for row in task.part.rows.vectors}
    assert len(task.part.rows) + len(task.probes) == len(who)
    assert len(rows) >= len(task.part.rows) - 1


def test_a_kind_is_recommended_only_if_what_it_misses_is_shown_to_be_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors, who = people(60, 4, 16, noise=0.2)
    kinds = [Exact(), Hnsw(16, 200)]
    few = bench_indexes(vectors, who, kinds=kinds, fpir=0.1)
    assert few.results[1].missed == 0
    assert few.recommended == "exact", "48 searches cannot show 1 %, however quick it is"
    assert any("nobody was missed, but 48 mated" in note for note in few.notes)
    assert "at most 1 false alarms" in few.notes[0] or "at most 4 false alarms" in few.notes[0]
    monkeypatch.setattr(module, "TOLERATED", 0.5)
    assert not any("cannot show" in n for n in bench_indexes(vectors, who, kinds=kinds).notes)


def test_a_given_threshold_needs_no_strangers_and_mates_may_be_none() -> None:
    vectors, who = people(20, 2, 8)
    some = (vectors[::2], who[::2])
    with pytest.raises(InputError, match="queries of strangers"):
        bench_indexes(vectors[1::2], who[1::2], queries=some, kinds=[Exact()])
    found = bench_indexes(vectors[1::2], who[1::2], queries=some, kinds=[Exact()], threshold=0.3)
    assert (found.threshold, found.fpir, found.strangers) == (0.3, None, 0)
    strange = bench_indexes(vectors, who, queries=(vectors, who + 100), kinds=[Exact()])
    assert strange.fnir is None
    assert strange.results[0].added_fnir is None
    assert "cannot be told" in strange.notes[-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 0}, "at least 1"),
        ({"most_queries": 0}, "at least 1"),
        ({"threshold": np.nan}, "finite"),
        ({"fpir": 2.0}, "rate between 0 and 1"),
        ({"queries": (np.ones((2, 3)), ["a", "b"])}, "8 dimensions"),
        ({"queries": (np.zeros((2, 8)), ["a", "b"])}, "direction"),
        ({"kinds": [Ivf()]}, "fewer cells"),
    ],
)
def test_what_makes_no_sense_is_refused(change: Any, words: str) -> None:
    vectors, who = people(20, 2, 8)
    with pytest.raises(InputError, match=words):
        bench_indexes(vectors, who, **change)
    with pytest.raises(InputError):
        bench_indexes(vectors[:1], who[:1])


@pytest.mark.parametrize("samples", [1, 50, 300, 10_000, 1_000_000])
def test_the_usual_kinds_fit_the_size(samples: int) -> None:
    kinds = usual_kinds(samples)
    assert Exact() in kinds
    for kind in kinds:
        if isinstance(kind, Ivf):
            assert 39 * kind.nlist <= samples or kind.nlist == 1
