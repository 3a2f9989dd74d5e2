import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.metrics.identification import fnir, fpir
from recognition.search import grow_gallery, growth, pool_growth, score_blocks, search_people
from recognition.search.growth import halvings, spread

REPEATS = 4


def some(seed, people=9, probes=40, values=2):
    """Embeddings on a coarse grid, so that scores tie; a third of the probes are strangers'."""
    random = np.random.default_rng(seed)
    names = np.array([f"p{i}" for i in range(people)])
    gallery = random.integers(0, values + 1, (people, 3))
    gallery[:, 0] += 1
    on = random.integers(0, people + people // 2 + 1, probes)
    on[:2] = 0, people
    own = gallery[on % people] * (on < people)[:, None]
    rows = own + random.integers(0, values, (probes, 3))
    rows[:, 1] += 1
    return gallery, names, rows, np.array([f"p{i}" for i in on])


def enrolled_by(seed, people, sizes, size, repeat):
    joins = growth._orders(people, np.array(sizes), REPEATS, seed)
    return joins[repeat] <= sizes.index(size)


@given(st.integers(0, 10**6), st.integers(2, 9), st.sampled_from([-np.inf, 0.5, 0.8, 0.95, 1.0]))
def test_each_size_is_a_search_among_fewer_people(seed, people, threshold):
    gallery, names, rows, on = some(seed, people)
    sizes = halvings(people)
    (found,) = grow_gallery(
        gallery, names, rows, on, thresholds=[threshold], repeats=REPEATS, seed=seed
    )
    assert found.sizes.tolist() == sizes
    strange = ~np.isin(on, names)
    assert found.nonmated == strange.sum()
    for repeat in range(REPEATS):
        for at, size in enumerate(sizes):
            chosen = enrolled_by(seed, people, sizes, size, repeat)
            assert chosen.sum() == size
            probes = strange | np.isin(on, names[chosen])
            smaller = search_people(gallery[chosen], names[chosen], rows[probes], on[probes])
            assert found.fpir[repeat, at] == fpir(smaller, threshold)
            assert found.mated[repeat, at] == smaller.mated.sum()
            if smaller.mated.any():
                assert found.fnir[repeat, at] == fnir(smaller, threshold)
            else:
                assert np.isnan(found.fnir[repeat, at])
    full = search_people(gallery, names, rows, on, keep=people)
    scores = full.scores[~full.mated]
    assert found.comparisons == scores.size
    assert found.false_matches == (scores >= threshold).sum()


@given(st.integers(0, 10**6))
def test_blocks_thresholds_and_parts_change_nothing(seed):
    gallery, names, rows, on = some(seed, probes=70)
    on[35:37] = on[:2]
    options = {"repeats": REPEATS, "seed": seed}
    both = grow_gallery(gallery, names, rows, on, thresholds=[0.9, 0.5], **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_blocks, "CELLS", 1)
        one = [
            grow_gallery(gallery, names, rows, on, thresholds=[t], **options)[0] for t in (0.9, 0.5)
        ]
    halves = [slice(None, 35), slice(35, None)]
    parts = [
        grow_gallery(gallery, names, rows[half], on[half], thresholds=[0.9], **options)[0]
        for half in halves
    ]
    for left, right in ((both[0], one[0]), (both[1], one[1]), (pool_growth(parts), both[0])):
        for field in dataclasses.fields(left):
            np.testing.assert_array_equal(getattr(left, field.name), getattr(right, field.name))


@given(st.integers(0, 10**6), st.integers(2, 40))
def test_a_growing_gallery_never_loses_an_alarm(seed, people):
    gallery, names, rows, on = some(seed, people)
    found = grow_gallery(gallery, names, rows, on, thresholds=[0.9], seed=seed)[0]
    assert (np.diff(found.fpir, axis=1) >= 0).all()
    assert (found.fpir[:, -1] == found.fpir[0, -1]).all()
    expected = found.false_matches / found.comparisons * found.sizes  # the bound that always holds
    assert (found.fpir.mean(axis=0)[-1] <= expected[-1] + 1e-12).all()
    assert (np.diff(found.independent) >= 0).all()


def test_independence_is_what_independent_comparisons_give():
    some_ = dict.fromkeys(("alarms", "mated", "missed"), np.zeros((1, 2), np.int64))
    odds = growth.Growth(0.5, np.array([2, 10]), 50, **some_, comparisons=500, false_matches=50)
    np.testing.assert_allclose(odds.independent, [1 - 0.9**2, 1 - 0.9**10], rtol=1e-14)
    assert dataclasses.replace(odds, false_matches=0).independent.tolist() == [0, 0]
    assert dataclasses.replace(odds, false_matches=500).independent.tolist() == [1, 1]


def test_a_mate_in_a_smaller_gallery_meets_fewer_rivals():
    gallery = [[1, 0], [0.9, 0.1], [0, 1]]
    probes = [[0.96, 0.06], [0, 1]]  # nearer to b, and of a stranger
    small = grow_gallery(
        gallery, ["a", "b", "c"], probes, ["a", "z"], thresholds=[0.5], repeats=30, sizes=[2, 3]
    )[0]
    met = [row for row in small.fnir.tolist() if not np.isnan(row[0])]
    assert {tuple(row) for row in met} == {(0.0, 1.0), (1.0, 1.0)}
    assert len(met) < 30  # where only b and c were enrolled nobody was searched for


def test_spread_is_of_what_was_measured():
    nan = np.nan
    mean, deviation = spread(np.array([[0.1, 0.3, nan], [0.1, nan, nan], [0.1, 0.5, nan]]))
    np.testing.assert_array_equal(mean, [0.1, 0.4, nan])
    np.testing.assert_allclose(deviation, [0, np.std([0.3, 0.5], ddof=1), nan], rtol=1e-12)
    assert deviation[0] == 0
    assert np.isnan(spread(np.array([[0.5]])).deviation).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": [1, 2]}, "distinct sizes from 2 to the 9"),
        ({"sizes": [2, 10]}, "distinct sizes from 2 to the 9"),
        ({"sizes": [2, 2]}, "distinct sizes"),
        ({"sizes": []}, "distinct sizes"),
        ({"thresholds": []}, "at least 1 threshold"),
        ({"thresholds": [np.nan]}, "none of them NaN"),
        ({"repeats": 0}, "at least 1 repeat"),
        ({"probe_labels": ["p0"] * 40}, "searches for strangers"),
        ({"gallery_labels": ["p0"] * 9}, "distinct sizes from 2 to the 1 people"),
    ],
)
def test_what_cannot_grow_is_refused(change, message):
    names = ("gallery_embeddings", "gallery_labels", "probe_embeddings", "probe_labels")
    call = dict(zip(names, some(0), strict=True)) | {"thresholds": [0.5]} | change
    with pytest.raises(InputError, match=message):
        grow_gallery(**call)


def test_growths_that_do_not_fit_are_not_pooled():
    one = grow_gallery(*some(0), thresholds=[0.5, 0.6])
    other = grow_gallery(*some(0), thresholds=[0.5], repeats=3)
    for parts in (one, [one[0], *other], []):
        with pytest.raises(InputError, match="equal sizes and repeats"):
            pool_growth(parts)
