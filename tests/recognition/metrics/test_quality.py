"""Errors as comparisons of low quality are discarded, against the definition written out."""

import itertools
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.comparisons import compare_all
from recognition.comparisons.scores import Scores
from recognition.errors import InputError
from recognition.metrics.quality import (
    ErrorDiscard,
    discard_resamples,
    error_versus_discard,
    ideal_fnmr,
    ideal_mean,
    mean_fnmr,
    possible_gain,
)
from recognition.metrics.resampling import draw
from recognition.metrics.verification import threshold_at_fmr


def table(seed: int, people: int = 5, pictures: int = 3) -> tuple[Scores, np.ndarray, np.ndarray]:
    """Comparisons with tied scores and tied qualities."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), pictures)
    scores = compare_all(random.normal(size=(len(labels), 3)), labels)
    coarse = Scores(
        np.round(scores.mated, 1),
        np.round(scores.nonmated, 1),
        scores.mated_person,
        scores.nonmated_persons,
        people,
    )
    q = random.integers(0, 5, len(scores.mated)), random.integers(0, 5, len(scores.nonmated))
    return coarse, q[0].astype(float), q[1].astype(float)


def naive(scores: Scores, quality: np.ndarray, threshold: float, share: float) -> float:
    """The lowest quality that may stay, tried from the highest down."""
    total = len(quality)
    for level in sorted(set(quality.tolist()), reverse=True):
        if (quality < level).sum() <= share * total * (1 + 1e-12):
            left = quality >= level
            return float((scores.mated[left] < threshold).mean())
    raise AssertionError


@given(st.integers(0, 10_000), st.floats(0, 0.99))
def test_at_most_the_share_is_discarded_and_ties_at_once(seed, share):
    scores, quality, other = table(seed)
    threshold = threshold_at_fmr(scores.nonmated, 0.2)
    curve = error_versus_discard(scores, quality, other, threshold)
    place = int(curve.places(share))
    assert curve.fnmr[place] == pytest.approx(naive(scores, quality, threshold, share))
    assert curve.discarded[place] <= share + 1e-12
    assert place == len(curve.discarded) - 1 or curve.discarded[place + 1] > share
    left = other >= curve.qualities[place]
    accepted = scores.nonmated[left] >= threshold
    assert curve.nonmated[place] == left.sum()
    assert curve.matched[place] == accepted.sum()
    assert (np.diff(curve.mated) < 0).all()


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.2, 1.0]))
def test_the_mean_is_the_area_of_the_staircase(seed, up_to):
    scores, quality, other = table(seed)
    threshold = threshold_at_fmr(scores.nonmated, 0.2)
    curve = error_versus_discard(scores, quality, other, threshold)
    steps = (np.arange(4000) + 0.5) / 4000 * up_to
    fine = np.mean([naive(scores, quality, threshold, d) for d in steps[::40]])
    assert mean_fnmr(curve, up_to) == pytest.approx(fine, abs=0.02)
    exact = curve.fnmr[curve.places(steps)].mean()
    assert mean_fnmr(curve, up_to) == pytest.approx(exact, abs=1e-3)


@given(st.integers(1, 7), st.integers(0, 7), st.sampled_from([0.2, 0.5, 1.0]))
def test_no_order_is_better_than_the_ideal_one_and_random_ones_change_nothing(mated, missed, up_to):
    missed = min(missed, mated)
    means = []
    for wrong in itertools.combinations(range(mated), missed):
        score = np.where(np.isin(np.arange(mated), wrong), 0.0, 1.0)
        zeros = np.zeros(mated, np.int32)
        scores = Scores(score, np.array([0.5]), zeros, np.array([[0, 1]], np.int32), 2)
        curve = error_versus_discard(scores, np.arange(mated) * 1.0, np.ones(1), 0.5)
        means.append(mean_fnmr(curve, up_to))
        at = np.arange(10) / 10
        best = ideal_fnmr(missed, mated, at)
        assert (curve.fnmr[curve.places(at)] >= best - 1e-12).all()
    ideal = ideal_mean(missed, mated, up_to)
    assert min(means) == pytest.approx(ideal), "it is reached"
    assert np.mean(means) == pytest.approx(missed / mated), "by order, all alike likely"
    shares = np.arange(1000) / 1000 * up_to
    assert ideal == pytest.approx(ideal_fnmr(missed, mated, shares).mean(), abs=4e-3)


def test_the_gain_is_one_for_the_ideal_and_below_zero_for_the_worst():
    score = np.array([0.0, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    zeros = np.zeros(10, np.int32)
    scores = Scores(score, np.array([0.5]), zeros, np.array([[0, 1]], np.int32), 2)
    best = error_versus_discard(scores, score, np.ones(1), 0.5)
    assert mean_fnmr(best) > ideal_mean(2, 10), "ties go at once, so not even truth is ideal"
    best = error_versus_discard(scores, np.arange(10.0), np.ones(1), 0.5)
    worst = error_versus_discard(scores, -np.arange(10.0), np.ones(1), 0.5)
    assert possible_gain(best) == pytest.approx(1)
    assert possible_gain(worst) < 0
    none = error_versus_discard(scores, np.arange(10.0), np.ones(1), -1)
    assert np.isnan(possible_gain(none))


@pytest.mark.parametrize("seed", range(4))
def test_resamples_are_those_of_people_written_out(seed):
    scores, quality, other = table(seed, people=6)
    shares = [0.0, 0.1, 0.3]
    found = discard_resamples(scores, quality, 0.1, shares, replicates=12, seed=seed)
    weights = draw(scores.people, 12, seed)
    expected = []
    for w in weights.T.astype(int):
        own = np.repeat(np.arange(len(scores.mated)), w[scores.mated_person])
        met = np.repeat(np.arange(len(scores.nonmated)), w[scores.nonmated_persons].prod(axis=1))
        if not len(own) or not len(met):
            continue
        zeros = np.zeros(len(own), np.int32)
        again = Scores(scores.mated[own], scores.nonmated[met], zeros,
                       np.tile(np.array([[0, 1]], np.int32), (len(met), 1)), 2)  # fmt: skip
        threshold = threshold_at_fmr(again.nonmated, 0.1)
        curve = error_versus_discard(again, quality[own], other[met], threshold)
        gain = possible_gain(curve)
        expected.append(
            [*curve.fnmr[curve.places(shares)], mean_fnmr(curve), mean_fnmr(curve, 1.0), gain]
        )
    expected = np.array(expected)
    assert found.fnmr == pytest.approx(expected[:, :3])
    assert found.partial == pytest.approx(expected[:, 3])
    assert found.whole == pytest.approx(expected[:, 4])
    assert found.gain == pytest.approx(expected[:, 5], nan_ok=True)


def test_a_resample_of_everybody_once_has_the_threshold_of_all(monkeypatch):
    """Also where target x comparisons is a whole number: a budget is met, and no bit short of it."""
    monkeypatch.setattr("recognition.metrics.quality.draw", lambda people, *_: np.ones((people, 1)))
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 3)
    scores = compare_all(random.normal(size=(24, 3)), labels)
    quality, count = np.arange(24.0), len(scores.nonmated)
    just = [k / count / (1 + 1e-12) for k in range(1, 60)]  # met without forgiving anything
    exactly = [x for x in just if (x * count * (1 + 1e-12)).is_integer()]
    assert exactly
    for target in (*exactly, *(k / count for k in range(1, count)), 0.29, 0.57, 0.58):
        found = discard_resamples(scores, quality, target, [0.0], replicates=1)
        threshold = threshold_at_fmr(scores.nonmated, target)
        assert found.fnmr[0, 0] == (scores.mated < np.float64(threshold)).mean(), target


def test_what_makes_no_sense_is_refused():
    scores, quality, other = table(0)
    with pytest.raises(InputError, match="one finite quality"):
        error_versus_discard(scores, quality[:-1], other, 0.5)
    with pytest.raises(InputError, match="one finite quality"):
        error_versus_discard(scores, quality, np.where(other > 2, np.nan, other), 0.5)
    curve = error_versus_discard(scores, quality, other, 0.5)
    for bad in (-0.1, 1.0):
        with pytest.raises(InputError, match="from 0 to below 1"):
            curve.places(bad)
    for bad in (0, 1.1):
        with pytest.raises(InputError, match="above 0 and at most 1"):
            mean_fnmr(curve, bad)


def test_a_score_at_the_threshold_is_accepted_and_every_share_can_be_asked_for():
    zeros = np.zeros(3, np.int32)
    scores = Scores(
        np.array([0.4, 0.5, 0.6]), np.array([0.5]), zeros, np.array([[0, 1]], np.int32), 2
    )
    curve = error_versus_discard(scores, np.arange(3.0), np.ones(1), 0.5)
    assert (curve.missed.tolist(), curve.matched[0]) == ([1, 0, 0], 1)
    for n in range(2, 120):
        left = np.arange(n, 0, -1.0)
        curve = ErrorDiscard(np.arange(n * 1.0), left, left * 0, left, left * 0)
        assert curve.places(np.arange(n) / n).tolist() == list(range(n))


def test_floors_forgive_rounding():
    zeros = np.zeros(100, np.int32)
    score = (np.arange(100) >= 29).astype(float)
    scores = Scores(score, np.array([0.5]), zeros, np.array([[0, 1]], np.int32), 2)
    curve = error_versus_discard(scores, np.arange(100.0), np.ones(1), 0.5)
    assert floor(0.29 * 100) == 28
    assert curve.fnmr[curve.places(0.29)] == 0
    assert ideal_fnmr(29, 100, np.array([0.29])) == 0
