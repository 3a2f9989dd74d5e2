"""The best people are found exactly, whoever proposes, and however badly."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.embeddings import as_scores, unit_rows
from recognition.gallery import milvus_search
from recognition.gallery.milvus_search import Found, Proposals, best_people

Singles = npt.NDArray[np.float32]


class Memory:
    """Samples in memory; scores of proposals are off by up to `noise` of the other kind."""

    def __init__(self, vectors: Singles, people: Sequence[str | None], noise: float = 0.0) -> None:
        self.rows = vectors
        self.keys = [f"{number:06}" for number in range(len(vectors))]
        self.people = {key: name for key, name in zip(self.keys, people, strict=True) if name}
        self.noise = noise
        self.widths: list[int] = []
        self.read = 0  # times that everything was

    def propose(self, probes: Singles, width: int) -> list[Proposals]:
        self.widths.append(width)
        unit = unit_rows(self.rows).astype(np.float32)
        lists = []
        for probe in probes:
            scores = unit @ probe
            scores += np.random.default_rng(0).uniform(-self.noise, self.noise, len(scores))
            order = np.argsort(-scores, kind="stable")[:width]
            lists.append([(self.keys[at], float(scores[at])) for at in order])
        return lists

    def names(self, samples: Iterable[str]) -> dict[str, str]:
        return {key: self.people[key] for key in samples if key in self.people}

    def vectors(self, samples: Sequence[str]) -> dict[str, Singles]:
        return {key: self.rows[int(key)] for key in samples}

    def everything(self) -> Iterator[tuple[list[str], Singles]]:
        self.read += 1
        for start in range(0, len(self.keys), 7):
            yield self.keys[start : start + 7], self.rows[start : start + 7]


def brute(table: Memory, probe: npt.NDArray[np.float64], k: int) -> list[Found]:
    """All scores, the best sample of each person, the k best people; slow and obviously right."""
    best: dict[str, Found] = {}
    unit = unit_rows(table.rows)
    for key, row in zip(table.keys, unit, strict=True):
        if key in table.people:
            score = float(as_scores(np.array([(row * probe).sum()]))[0])
            name = table.people[key]
            if name not in best or score > best[name].score:
                best[name] = Found(name, score, key)
    return sorted(best.values(), key=lambda one: (-one.score, one.name))[:k]


@given(st.data())
def test_it_finds_whom_all_scores_find(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n, dim = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 5))
    vectors = rng.integers(-2, 3, (n, dim)) + (1 / 3 if data.draw(st.booleans()) else 0)
    vectors[~vectors.any(axis=1)] = 1
    crowd = data.draw(st.sampled_from([1, 3, 50, n]))
    people = [
        None if rng.random() < 0.1 else f"{number:03}" for number in rng.integers(0, crowd, n)
    ]
    noise = data.draw(st.sampled_from([0.0, 1e-7, 1e-3, 0.5]))
    table = Memory(vectors.astype(np.float32), people, noise)
    probes = unit_rows(vectors[rng.integers(0, n, 3)])
    k = data.draw(st.sampled_from([1, 2, 5, 100]))
    most = data.draw(st.sampled_from([64, 128, 16_384]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(milvus_search, "LEAST", data.draw(st.sampled_from([1, 4, 64])))
        patch.setattr(milvus_search, "MOST", most)
        patch.setattr(milvus_search, "LISTED", 2 * most)
        found = best_people(table, probes, k)
    assert found == [brute(table, probe, k) for probe in probes]


def test_a_short_list_is_enough_where_scores_are_apart() -> None:
    rng = np.random.default_rng(7)
    table = Memory(rng.normal(size=(3000, 16)).astype(np.float32), [str(n) for n in range(3000)])
    probes = unit_rows(rng.normal(size=(5, 16)))
    assert best_people(table, probes, 5) == [brute(table, probe, 5) for probe in probes]
    assert (table.widths, table.read) == ([64], 0)


def test_a_longer_list_is_asked_for_where_one_person_fills_it() -> None:
    rng = np.random.default_rng(8)
    crowd = rng.normal([1, 0, 0], 0.01, (1000, 3))
    vectors = np.concatenate([crowd, [[0, 1, 0], [0, 0, 1]]]).astype(np.float32)
    table = Memory(vectors, ["ada"] * 1000 + ["bob", "cy"])
    (found,) = best_people(table, unit_rows([[1.0, 0.1, 0]]), 2)
    assert [one.name for one in found] == ["ada", "bob"]
    assert (table.widths, table.read) == ([64, 256, 1024], 0)


def test_everything_is_read_where_no_list_is_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus_search, "MOST", 256)
    table = Memory(np.ones((1000, 3), np.float32), [f"{n:04}" for n in reversed(range(1000))])
    (found,) = best_people(table, unit_rows([[1.0, 1, 1]]), 3)
    assert [one.name for one in found] == ["0000", "0001", "0002"]
    assert (table.widths, table.read) == ([64, 256], 1)


def test_scores_that_cannot_be_are_noticed() -> None:
    """As a server would give them that multiplies in sixteen bits."""
    rng = np.random.default_rng(9)
    table = Memory(rng.normal(size=(900, 8)).astype(np.float32), [f"{n}" for n in range(900)], 0.2)
    probes = unit_rows(rng.normal(size=(4, 8)))
    assert best_people(table, probes, 3) == [brute(table, probe, 3) for probe in probes]
    assert table.read == 1


def test_who_is_removed_meanwhile_does_not_hide_the_next() -> None:
    class Racing(Memory):
        def vectors(self, samples: Sequence[str]) -> dict[str, Singles]:
            if len(self.widths) == 1:
                del self.people["000000"]
                samples = [key for key in samples if key != "000000"]
            return super().vectors(samples)

    vectors = np.array([[1, 0], [1, 1], [0, 1]], np.float32)
    table = Racing(vectors, ["ada", "bob", "cy"])
    (found,) = best_people(table, unit_rows([[1.0, 0]]), 1)
    assert [one.name for one in found] == ["bob"]
