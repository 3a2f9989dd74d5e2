import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.metrics import pool, rank_one_rate
from recognition.protocols import open_set_split, person_folds, split_people
from recognition.search import search_people


@settings(deadline=None)
@given(st.integers(4, 40), st.integers(0, 99), st.data())
def test_a_split_parts_all_people_once(people, seed, data):
    labels = [f"p{i}" for i in range(people)] * 2
    count = data.draw(st.integers(2, people - 2))
    learn, test = split_people(labels, test=count, seed=seed)
    assert len(test) == count
    assert sorted([*learn, *test]) == sorted(set(labels))
    assert learn.tolist() == sorted(learn)
    assert test.tolist() == sorted(test)
    again = split_people(labels[::-1], test=count, seed=seed)
    assert [side.tolist() for side in again] == [learn.tolist(), test.tolist()]
    share = split_people(labels, test=count / people, seed=seed)
    assert share[1].tolist() == test.tolist()


def test_another_seed_gives_another_split():
    splits = {tuple(split_people(range(20), test=0.5, seed=seed)[1]) for seed in range(9)}
    assert len(splits) == 9


@pytest.mark.parametrize("test", [0, 1, 9, 10, 0.1, 0.95, 1.0, -3])
def test_a_side_with_fewer_than_two_people_is_refused(test):
    with pytest.raises(InputError, match="at least 2 people to learn from"):
        split_people(range(10), test=test, seed=0)


@settings(deadline=None)
@given(st.lists(st.integers(2, 14), min_size=2, max_size=12), st.integers(1, 7), st.integers(0, 99))
def test_each_half_is_enrolled_once_and_stranger_to_the_other(counts, most, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    halves = open_set_split(labels, enrolled_pictures=most, seed=seed)
    enrolled = [set(labels[half.gallery_index]) for half in halves]
    assert enrolled[0] | enrolled[1] == set(range(len(counts)))
    assert not enrolled[0] & enrolled[1]
    assert abs(len(enrolled[0]) - len(enrolled[1])) <= 1
    for half, people in zip(halves, enrolled, strict=True):
        assert sorted([*half.gallery_index, *half.probe_index]) == list(range(len(labels)))
        for person in people:
            used = int((labels[half.gallery_index] == person).sum())
            assert used == min(most, counts[person] // 2)


def test_a_person_with_one_picture_is_a_stranger_in_both_halves():
    labels = np.array(["a", "a", "b", "b", "c", "d"])
    both = [
        half
        for seed in range(30)
        for half in (open_set_split(labels, seed=seed) if splits(labels, seed) else [])
    ]
    assert both
    for half in both:
        assert not set(labels[half.gallery_index]) & {"c", "d"}


def splits(labels, seed):
    try:
        return bool(open_set_split(labels, seed=seed))
    except InputError:
        return False


def test_splits_depend_on_the_seed_alone():
    labels = np.repeat(np.arange(10), 8)
    one, two, other = (open_set_split(labels, seed=seed) for seed in (3, 3, 4))
    assert all(
        (a == b).all() for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True)
    )
    assert one[0].gallery_index.tolist() != other[0].gallery_index.tolist()


@pytest.mark.parametrize(
    ("labels", "most", "message"),
    [
        (["a", "a", "b"], 5, "1 of 2 people have them"),
        (["a", "b", "c", "d"], 5, "0 of 4 people have them"),
        (["a", "a", "b", "b"], 0, "at least 1 picture"),
    ],
)
def test_a_half_with_nobody_to_enrol_is_refused(labels, most, message):
    with pytest.raises(InputError, match=message):
        open_set_split(labels, enrolled_pictures=most, seed=0)


def test_halves_of_unequal_size_are_searched_and_pooled():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(7), 6)
    rows = np.eye(7)[labels] + 0.05 * random.normal(size=(42, 7))
    found = pool(
        [
            search_people(rows[g], labels[g], rows[p], labels[p])
            for g, p in open_set_split(labels, seed=0)
        ]
    )
    assert found.scores.shape[1] == 4
    assert (found.mated.sum(), (~found.mated).sum()) == (7 * 3, 7 * 6)
    assert rank_one_rate(found) == 1


def test_everybody_is_in_one_fold_and_folds_are_alike() -> None:
    labels = [*"aabbccddeeffgg", *"hijk"]  # seven with two pictures, four with one
    folds = person_folds(labels, 3, seed=1)
    assert sorted(np.concatenate(folds)) == sorted(set(labels))
    for fold in folds:
        assert list(fold) == sorted(fold)
        assert len(set(fold) & set("abcdefg")) in (2, 3)
        assert len(fold) in (3, 4)
    again = person_folds(labels[::-1], 3, seed=1)
    assert [list(fold) for fold in again] == [list(fold) for fold in folds]
    assert [list(f) for f in person_folds(labels, 3, seed=2)] != [list(f) for f in folds]


@pytest.mark.parametrize("folds", [0, 1, 4])
def test_folds_need_two_people_with_several_pictures_each(folds: int) -> None:
    with pytest.raises(InputError, match="7 of 8 people have them"):
        person_folds([*"aabbccddeeffgg", "h"], folds, seed=0)
