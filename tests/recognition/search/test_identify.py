import subprocess
import sys
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.metrics.searches import tabulate
from recognition.search import score_blocks, search_people


def some(seed, people=7, pictures=3, probes=11, dim=5):
    random = np.random.default_rng(seed)
    gallery = random.normal(size=(people * pictures, dim))
    labels = random.permutation(np.repeat([f"p{i}" for i in range(people)], pictures))
    return (
        gallery,
        labels,
        random.normal(size=(probes, dim)),
        random.choice([f"p{i}" for i in range(people + 3)], probes),
    )


def brute(gallery, labels, probe):
    """[(score, person)] of one probe, best first, equal ones by name."""
    unit = [g / np.linalg.norm(g) for g in gallery]
    found = []
    for person in sorted(set(labels)):
        mean = np.mean([u for u, p in zip(unit, labels, strict=True) if p == person], axis=0)
        found.append((probe @ mean / np.linalg.norm(mean) / np.linalg.norm(probe), person))
    return sorted(found, key=lambda item: (-np.float32(item[0]), item[1]))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 3), st.integers(1, 9))
def test_search_agrees_with_comparing_every_template(seed, people, pictures, keep):
    gallery, labels, probes, persons = some(seed, people, pictures)
    found = search_people(gallery, labels, probes, persons, keep=keep)
    assert found.scores.shape == (len(probes), min(keep, people))
    mates = iter(zip(found.mate_scores, found.ranks, strict=True))
    for row, probe in enumerate(probes):
        everyone = brute(gallery, labels, probe)
        expected = everyone[:keep]
        if persons[row] in labels:
            place = [person for _, person in everyone].index(persons[row])
            score, rank = next(mates)
            assert (score, rank) == (pytest.approx(everyone[place][0], abs=1e-6), place + 1)
        np.testing.assert_allclose(found.scores[row], [s for s, _ in expected], atol=1e-6)
        assert found.labels[row].tolist() == [person for _, person in expected]
    assert found.probes.tolist() == persons.tolist()
    assert found.mated.tolist() == [person in labels for person in persons]


def same(one, two):
    for name in ("probes", "mated", "mate_scores", "ranks", "ranks_optimistic", "scores", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@pytest.mark.parametrize("copies", [1, 3])
def test_blocks_and_order_change_nothing(monkeypatch, copies):
    """With copies of every template under other names, all ranks are ties."""
    gallery, labels, probes, persons = some(0, people=40, probes=300, dim=64)
    gallery = np.concatenate([gallery * (i + 1) for i in range(copies)])
    labels = np.concatenate([np.char.add(labels, "'" * i) for i in range(copies)])
    whole = search_people(gallery, labels, probes, persons)
    assert (whole.ranks == whole.ranks_optimistic + copies - 1).all()
    shuffle = np.random.default_rng(0).permutation(len(gallery))
    same(search_people(gallery[shuffle], labels[shuffle], probes, persons), whole)
    for i in (0, 9):
        single = search_people(gallery, labels, probes[i : i + 1], persons[i : i + 1])
        np.testing.assert_array_equal(single.scores[0], whole.scores[i])
        np.testing.assert_array_equal(single.labels[0], whole.labels[i])
    monkeypatch.setattr(score_blocks, "CELLS", 1)
    for least in (1, 7):
        monkeypatch.setattr(score_blocks, "LEAST", least)
        same(search_people(gallery, labels, probes, persons), whole)


def test_a_table_of_all_scores_is_the_same_search():
    gallery, labels, probes, persons = some(3)
    names = np.unique(labels)
    everyone = search_people(gallery, labels, probes, persons, keep=len(names))
    columns = np.argsort(everyone.codes, axis=1)
    scores = np.take_along_axis(everyone.scores, columns, axis=1)
    same(tabulate(scores, names, persons, keep=4), search_people(*some(3), keep=4))


def test_memory_is_that_of_a_block_not_of_all_scores(monkeypatch):
    monkeypatch.setattr(score_blocks, "CELLS", 2**10)
    gallery, labels, probes, persons = some(1, people=1000, pictures=1, probes=2000, dim=4)
    tracemalloc.start()
    try:
        search_people(gallery, labels, probes, persons, keep=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2000 * 1000 * 4 / 4  # a quarter of the scores alone


def test_progress_is_told_by_probes_done(monkeypatch):
    monkeypatch.setattr(score_blocks, "CELLS", 1)
    seen = []

    @contextmanager
    def watch(what, total):
        seen.append((what, total))
        yield lambda done, note="": seen.append(done)

    search_people(*some(0, probes=70), watch=watch)
    assert seen == [("searching people", 70), 32, 64, 70]


def test_equal_templates_tie_exactly_and_stand_in_order_of_their_names():
    row = np.random.default_rng(1).normal(size=128)
    names = [f"n{i:02}" for i in range(33)]
    gallery = np.array([row * (i + 1) for i in range(33)])
    probes = np.random.default_rng(2).normal(size=(50, 128))
    found = search_people(gallery, names[::-1], probes, ["n25"] * 50)
    assert (found.labels == np.array(names[:20])).all()
    assert (found.scores == found.scores[:, :1]).all()
    assert (found.ranks == 33).all()  # ties are pessimistic
    assert (found.ranks_optimistic == 1).all()


def test_numbers_and_text_name_the_same_people():
    found = search_people(np.eye(2), [1, 2], np.eye(2), ["1", "3"])
    assert found.mated.tolist() == [True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: np.full((3, 2), np.nan)}, "gallery embeddings must be finite, but row 0"),
        ({2: np.zeros((2, 2))}, "probe embeddings must have a direction, but row 0"),
        ({2: np.ones((2, 3))}, "gallery's 2 dimensions, but they have 3"),
        ({1: ["a"]}, "gallery labels must name the person of each of 3"),
        ({3: ["a"]}, "probe labels must name the person of each of 2"),
        ({0: [[1, 0], [-1, 0], [0, 1]]}, "'a' cancel out"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_a_sentence(change, message):
    call = {0: [[1, 0], [1, 1], [0, 1]], 1: ["a", "a", "b"], 2: np.eye(2), 3: ["a", "c"]}
    call.update(change)
    with pytest.raises(InputError, match=message):
        search_people(*call.values())


def test_nothing_to_keep_is_refused():
    with pytest.raises(InputError, match="at least 1 candidate"):
        search_people(*some(0), keep=0)


def test_importing_the_package_does_not_load_faiss():
    code = "import sys, recognition.search, recognition.protocols; sys.exit('faiss' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
