import contextlib
import dataclasses

import numpy as np
import pytest
from clusters import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.comparisons.pairs import compare_all
from recognition.embeddings import people_of
from recognition.errors import InputError
from recognition.metrics import resampled_tail
from recognition.metrics.resampled_tail import tail_resamples
from recognition.metrics.resampling import Resampled, draw


def tally(seed, people=15, most=4, ties=None):
    random = np.random.default_rng(seed)
    pictures = random.integers(1, most + 1, people)
    pictures[0] = 2
    labels = np.repeat(np.arange(people), pictures)
    x = random.normal(size=(people, 5))[labels] + random.normal(size=(len(labels), 5))
    scores, pictures = compare_all(x, labels), people_of(labels).pictures
    if ties:
        u, v = (np.round(part * ties) / ties for part in (scores.mated, scores.nonmated))
        scores = dataclasses.replace(scores, mated=u, nonmated=v)
    return Tally.of(scores, pictures)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(2, 20),
    st.sampled_from([None, 1, 5]),
    st.sampled_from([0.03, 0.2, 0.5, 1.0]),
)
def test_the_whole_tail_gives_the_resamples_of_all_scores(seed, people, ties, target):
    whole = tally(seed, people, ties=ties)
    if target * whole.nonmated_count < 1:
        return
    expected = Resampled(whole.scores, draw(people, 30, seed))
    if not len(expected.mated):
        return
    found = tail_resamples(whole, target, replicates=30, seed=seed)
    assert found.beyond == 0
    np.testing.assert_allclose(found.tar, expected.tar_at_fmr(target), atol=1e-15)


def test_a_tail_long_enough_is_as_good_as_the_whole(monkeypatch):
    whole = tally(1, 80)
    expected = Resampled(whole.scores, draw(80, 200, 3)).tar_at_fmr(0.02)
    kept = round(0.1 * whole.nonmated_count)
    found = tail_resamples(whole.cut(kept), 0.02, replicates=200, seed=3)
    assert found.beyond == 0
    np.testing.assert_allclose(found.tar, expected, atol=1e-15)
    monkeypatch.setattr(resampled_tail, "CELLS", 7 * 80)  # a few at a time, the last time fewer
    monkeypatch.setattr(resampled_tail, "STEP", 5)
    again = tail_resamples(whole.cut(kept), 0.02, replicates=200, seed=3)
    assert (again.tar == found.tar).all()
    assert (tail_resamples(whole, 0.02, replicates=200, seed=4).tar != found.tar).any()


def test_resamples_below_the_tail_are_left_out_and_counted():
    whole = tally(1, 80)
    expected = Resampled(whole.scores, draw(80, 400, 3)).tar_at_fmr(0.02)
    needed = round(0.02 * whole.nonmated_count)
    found = {}
    for kept in range(needed, 2 * needed, 9):
        with contextlib.suppress(InputError):
            found[kept] = tail_resamples(whole.cut(kept), 0.02, replicates=400, seed=3)
    shortest = found[min(found)]
    assert 0 < shortest.beyond <= 4
    assert len(shortest.tar) + shortest.beyond == 400
    assert np.isin(shortest.tar, expected).all()
    gone = np.setdiff1d(expected, shortest.tar)
    assert (gone > np.median(expected)).all()
    with pytest.raises(InputError, match="keep a longer tail"):
        tail_resamples(whole.cut(needed), 0.02, replicates=400, seed=3)


def test_what_measures_nothing_is_refused():
    whole = tally(0)
    with pytest.raises(InputError, match="at least 1 resample"):
        tail_resamples(whole, 0.1, replicates=0)
    with pytest.raises(InputError, match="allows no false match"):
        tail_resamples(whole, 0.9 / whole.nonmated_count)
    with pytest.raises(InputError, match="a rate between"):
        tail_resamples(whole, 2.0)
    with pytest.raises(InputError, match="count pictures and people anew"):
        tail_resamples(dataclasses.replace(whole, pictures=whole.pictures + 1), 0.1)
    pair = Tally.of(compare_all(np.eye(3), ["a", "a", "b"]), np.array([2, 1]))
    empty = next(s for s in range(99) if not (draw(2, 1, s) == 1).all())
    with pytest.raises(InputError, match="none of 1 resamples"):
        tail_resamples(pair, 1.0, replicates=1, seed=empty)
