"""The rows that eight bits list, and the bound on all others."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.embeddings import unit_rows
from recognition.search import scan, shortlist
from recognition.search.quantised import Quantised, quantise
from recognition.search.shortlist import shortlists

PROCESSORS = (3, 16, 17, 64, 256, 512, 1040, 2048)  # of other lengths faiss has other readers


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows a slice, of which very few are listed."""
    monkeypatch.setattr(shortlist, "SLICE", 50)
    monkeypatch.setattr(shortlist, "COUNT", 4)


def rows_of(seed: int, count: int, dimension: int, heavy: int = 0) -> Quantised:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((count, dimension)).astype(np.float32)
    vectors[:heavy] = 30 * np.eye(dimension, dtype=np.float32)[0] + 0.1 * vectors[:heavy]
    return quantise(vectors)


@pytest.mark.usefixtures("short")
@given(st.integers(0, 2**32), st.integers(0, 400), st.sampled_from(PROCESSORS), st.integers(0, 5))
def test_no_row_scores_more_than_its_bound(
    seed: int, count: int, dimension: int, heavy: int
) -> None:
    rows = rows_of(seed, count, dimension, min(heavy, count))
    random = np.random.default_rng(seed)
    probe = unit_rows(random.standard_normal((1, dimension)))[0]
    if count and seed % 2:
        probe = unit_rows(rows.vectors[-1:])[0]
    found = shortlists([rows], probe)
    assert found is not None
    (one,) = found
    exact = unit_rows(rows.vectors) @ probe if count else np.empty(0)
    assert (exact[one.places] <= one.upper).all()
    others = np.delete(exact, one.places)
    assert (others <= one.rest).all()
    assert len(others) == max(count - len(set(one.places.tolist())), 0)
    assert (one.upper - exact[one.places] < 0.25).all(), "it says something"
    if count >= 50 and not heavy:
        assert len(one.places) < 0.2 * count
        assert one.rest < exact[one.places].max() + 0.1


def joined(*parts: npt.NDArray[np.float64]) -> Quantised:
    """Rows, those of each part with steps of their own."""
    made = [quantise(part.astype(np.float32), 0) for part in parts]
    return Quantised(*(np.concatenate(arrays) for arrays in zip(*made, strict=True)))


def exceeding(rows: Quantised, probe: npt.NDArray[np.float64]) -> float:
    """How far the best of the rows that are not listed is above the bound."""
    unit = unit_rows(probe[None])[0]
    (one,) = shortlists([rows], unit) or []
    return float(np.delete(unit_rows(rows.vectors) @ unit, one.places).max() - one.rest)


SINGLE, DENSE = np.eye(64)[:1], np.ones((1, 64))  # steps of 1/127 and 1/8 of it; nothing is lost


@pytest.mark.usefixtures("short")
def test_where_products_are_below_zero_rows_with_small_steps_score_most() -> None:
    rows = joined(SINGLE.repeat(30, axis=0), DENSE.repeat(20, axis=0))
    assert exceeding(rows, -SINGLE[0]) <= 0


@pytest.mark.usefixtures("short")
def test_the_few_rows_with_large_steps_may_score_most() -> None:
    rows = joined(DENSE.repeat(348, axis=0), SINGLE.repeat(2, axis=0))
    assert exceeding(rows, SINGLE[0]) <= 0


@pytest.mark.usefixtures("short")
def test_what_is_lost_of_one_row_may_be_more_than_of_others() -> None:
    lossy = SINGLE + 0.49 / 127 * (1 - SINGLE)
    assert exceeding(joined(SINGLE.repeat(49, axis=0), lossy), 1 - SINGLE[0]) <= 0


@pytest.mark.usefixtures("short")
def test_parts_are_listed_each_for_itself() -> None:
    parts = [rows_of(n, count, 24) for n, count in enumerate((170, 0, 3, 60))]
    probe = unit_rows(np.ones((1, 24)))[0]
    together = shortlists(parts, probe)
    assert together is not None
    for part, one in zip(parts, together, strict=True):
        (alone,) = shortlists([part], probe) or []
        assert all(np.array_equal(*both) for both in zip(one, alone, strict=True))
    assert [len(one.places) >= 4 for one in together] == [True, False, False, True]
    assert [one.rest > -np.inf for one in together] == [True, False, False, True]
    assert shortlists([], probe) == []


@pytest.mark.parametrize("dimension", PROCESSORS)
def test_the_reader_is_right_here(dimension: int) -> None:
    assert shortlist._right.__wrapped__(dimension)


def test_a_reader_that_is_wrong_or_missing_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    best: Any = shortlist._best
    right = shortlist._right.__wrapped__
    monkeypatch.setattr(
        shortlist, "_best", lambda *given: (best(*given)[0], best(*given)[1] * 0.99)
    )
    assert not right(64), "another sum"
    monkeypatch.setattr(shortlist, "_best", lambda *given: tuple(a[1:] for a in best(*given)))
    assert not right(64), "a row that is left out"
    monkeypatch.setattr(shortlist, "_best", best)
    monkeypatch.setattr(shortlist, "_IDLE", {})
    monkeypatch.setattr(shortlist, "import_module", lambda _: SimpleNamespace())
    assert not right(64), "a faiss that has none"
    monkeypatch.setattr(shortlist, "_right", lambda _: False)
    rows = rows_of(0, 100, 8)
    assert shortlists([rows], unit_rows(rows.vectors[:1])[0]) is None
    part = scan.Part(rows, np.arange(100), np.ones(100, bool))
    (found,) = scan.best_people([part], unit_rows(rows.vectors[3:4]), 1)
    assert found[0].person == 3


def test_the_best_are_found_where_the_list_is_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equal rows more than are listed: what is not listed may be as good, so all are looked at."""
    looked: list[int] = []
    blocks = scan._by_blocks

    def counted(parts: Any, probes: Any, *args: Any) -> Any:
        looked.append(len(probes))
        return blocks(parts, probes, *args)

    monkeypatch.setattr(scan, "_by_blocks", counted)
    same = np.ones((900, 12), np.float32)
    parts = [scan.Part.of(same, np.arange(900)[::-1].copy())]
    (found,) = scan.best_people(parts, unit_rows(same[:1]), 1)
    assert [hit.person for hit in found] == list(range(900))
    assert looked == [1]
    apart = np.random.default_rng(1).standard_normal((200, 12)).astype(np.float32)
    found = scan.best_people([scan.Part.of(apart, np.arange(200))], unit_rows(apart[[7, 9]]), 1)
    assert [hits[0].person for hits in found] == [7, 9]
    assert looked == [1, 0], "here the list is enough"
    gone = scan.Part.of(apart, np.arange(200))
    gone.alive[:] = False
    assert scan.best_people([gone], unit_rows(apart[:1]), 1) == [[]]


def test_readers_are_used_again() -> None:
    rows = rows_of(0, 100, 23)
    for _ in range(20):
        shortlists([rows], unit_rows(rows.vectors[:1])[0])
    assert len(shortlist._IDLE[23]) <= 2
