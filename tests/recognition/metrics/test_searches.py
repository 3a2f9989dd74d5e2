import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.metrics.searches import NOWHERE, pool, tabulate, with_failures

TIES = st.sampled_from([0.0, 0.2, 0.5, 0.5, 0.9])


@st.composite
def matrices(draw):
    """Scores with heavy ties, the people enrolled in any order, and probes of some of them."""
    enrolled = draw(st.permutations("abcdefg"[: draw(st.integers(1, 7))]))
    probes = draw(st.lists(st.sampled_from("abcdefghi"), min_size=1, max_size=9))
    cells = draw(st.lists(TIES, min_size=len(enrolled) * len(probes), max_size=99))
    scores = np.array(cells[: len(enrolled) * len(probes)], np.float32)
    return scores.reshape(len(probes), len(enrolled)), enrolled, probes


@given(matrices(), st.integers(1, 9))
def test_a_table_keeps_what_looking_at_every_score_finds(given_, keep):
    scores, enrolled, probes = given_
    found = tabulate(scores, enrolled, probes, keep=keep)
    assert found.probes.tolist() == probes
    assert found.mated.tolist() == [person in enrolled for person in probes]
    assert found.largest_gallery == len(enrolled)
    mated = 0
    for row, (person, cells) in enumerate(zip(probes, scores.tolist(), strict=True)):
        order = sorted(zip(cells, enrolled, strict=True), key=lambda c: (-c[0], c[1]))[:keep]
        assert found.scores[row].tolist() == [score for score, _ in order]
        assert found.labels[row].tolist() == [name for _, name in order]
        if person in enrolled:
            mate = cells[enrolled.index(person)]
            assert found.mate_scores[mated] == mate
            assert found.ranks[mated] == sum(cell >= mate for cell in cells)
            assert found.ranks_optimistic[mated] == 1 + sum(cell > mate for cell in cells)
            mated += 1
    assert found.stranger_scores.tolist() == scores.max(axis=1)[~found.mated].tolist()
    assert len(found.ranks) == mated


@given(matrices(), matrices(), st.integers(1, 4), st.integers(1, 4))
def test_a_pool_is_its_tables_one_after_another(one, two, keep, other):
    tables = [tabulate(*one, keep=keep), tabulate(*two, keep=other)]
    found = pool(tables)
    width = found.scores.shape[1]
    start = 0
    for table in tables:
        rows = slice(start, start + len(table.probes))
        own = table.scores.shape[1]
        assert found.scores[rows, :own].tolist() == table.scores.tolist()
        assert found.labels[rows, :own].tolist() == table.labels.tolist()
        assert (found.scores[rows, own:] == -np.inf).all()
        assert (found.labels[rows, own:] == "").all()
        assert found.gallery[rows].tolist() == table.gallery.tolist()
        start += len(table.probes)
    assert width == max(table.scores.shape[1] for table in tables)
    for name in ("probes", "mated", "mate_scores", "ranks", "ranks_optimistic", "stranger_scores"):
        parts = [getattr(table, name).tolist() for table in tables]
        assert getattr(found, name).tolist() == parts[0] + parts[1]


def test_failures_are_searches_without_candidates():
    made = tabulate(np.array([[0.9, 0.2], [0.4, 0.3]]), ["ann", "bob"], ["ann", "cy"], keep=1)
    found = with_failures(made, mated=["bob", "bob"], nonmated=["dee"])
    assert found.probes.tolist() == ["ann", "cy", "bob", "bob", "dee"]
    assert found.mated.tolist() == [True, False, True, True, False]
    assert found.failed.tolist() == [False, False, True, True, True]
    assert found.mate_scores.tolist() == [0.9, -np.inf, -np.inf]
    assert found.ranks.tolist() == found.ranks_optimistic.tolist() == [1, NOWHERE, NOWHERE]
    assert found.stranger_scores.tolist() == [0.4, -np.inf]
    assert found.gallery.tolist() == [2, 2, 0, 0, 0]
    assert found.largest_gallery == 2
    assert with_failures(made) is made
    assert pool([made, found]).failed.tolist() == [False] * 4 + [True] * 3
    with pytest.raises(InputError, match="failed mated probes"):
        with_failures(made, mated=[0.5])


CHANGES = [
    ({"probes": np.array(["a"])}, "of shape"),
    ({"ranks": np.array([1, 1])}, "of shape"),
    ({"scores": np.array([0.1, 0.9])}, "of shape"),
    ({"gallery": np.array([3])}, "of shape"),
    ({"scores": np.array([[0.1, 0.9], [0.9, 0.1]])}, "descend"),
    ({"scores": np.array([[np.nan, 0.1], [0.9, 0.1]])}, "NaN"),
    ({"scores": np.array([[np.inf, 0.1], [0.9, 0.1]])}, "NaN"),
    ({"scores": np.array([[0.9, -np.inf], [0.9, 0.1]])}, "-1 for scores of -inf"),
    ({"codes": np.array([[0, -1], [0, 1]], np.int32)}, "-1 for scores of -inf"),
    ({"codes": np.array([[0, 3], [0, 1]], np.int32)}, "sorted names"),
    ({"codes": np.array([[0, 0], [0, 1]], np.int32)}, "once among the candidates"),
    ({"people": np.array(["a", "c", "b"])}, "sorted names"),
    ({"gallery": np.array([1, 3])}, "no more candidates than"),
    ({"ranks": np.array([2])}, "agree with the candidates"),
    ({"ranks_optimistic": np.array([2])}, "agree with the candidates"),
    ({"ranks_optimistic": np.array([0])}, "agree with the candidates"),
    ({"ranks": np.array([NOWHERE])}, "agree with the candidates"),
    ({"mate_scores": np.array([0.8])}, "agree with the candidates"),
    ({"mate_scores": np.array([-np.inf])}, "agree with the candidates"),
    ({"probes": np.array(["c", "z"])}, "agree with the candidates"),
    ({"probes": np.array(["a", "b"])}, "nobody on the other probes"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_tables_that_contradict_themselves_are_refused(change, message):
    scores = np.array([[0.9, 0.2, 0.1], [0.9, 0.2, 0.1]])
    found = tabulate(scores, ["a", "b", "c"], ["a", "z"], keep=2)
    with pytest.raises(InputError, match=message):
        dataclasses.replace(found, **change)


def test_a_rank_beyond_the_candidates_kept_is_believed_up_to_the_gallery():
    found = tabulate(np.array([[0.9, 0.5, 0.2, 0.1]]), list("abcd"), ["d"], keep=2)
    assert (found.ranks[0], found.labels.tolist()) == (4, [["a", "b"]])
    assert dataclasses.replace(found, ranks=np.array([3]), ranks_optimistic=np.array([3]))
    for rank, optimistic in ((1, 1), (2, 2), (5, 5), (4, 2)):
        with pytest.raises(InputError, match="agree with the candidates"):
            dataclasses.replace(
                found, ranks=np.array([rank]), ranks_optimistic=np.array([optimistic])
            )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.array([[0.1, np.nan]])}, "matrix of finite scores"),
        ({"scores": np.array([[0.1, -np.inf]])}, "matrix of finite scores"),
        ({"scores": np.array([0.1, 0.2])}, "matrix of finite scores"),
        ({"scores": np.array([[1, 2]])}, "matrix of finite scores"),
        ({"scores": np.empty((0, 2))}, "matrix of finite scores"),
        ({"enrolled": ["a", "a"]}, "2 columns are of 1 people"),
        ({"enrolled": ["a"]}, "names of the enrolled must name"),
        ({"probes": ["a", "b"]}, "probe labels must name"),
        ({"keep": 0}, "at least 1 candidate"),
    ],
)
def test_scores_that_make_no_table_are_refused(change, message):
    call = {"scores": np.array([[0.1, 0.2]]), "enrolled": ["a", "b"], "probes": ["a"], **change}
    with pytest.raises(InputError, match=message):
        tabulate(**call)


def test_nothing_is_not_pooled():
    with pytest.raises(InputError, match="at least one table"):
        pool([])
