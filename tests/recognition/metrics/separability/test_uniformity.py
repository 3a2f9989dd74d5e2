import math
import sys

import features as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.metrics.separability import (
    alignment,
    alignment_resamples,
    class_moments,
    features_of,
    pair_mean_interval,
    uniformity,
    uniformity_interval,
)

MODULE = sys.modules[uniformity.__module__]  # the package has the function by this name
SEEDS = st.integers(0, 10**6)


def alignment_of(rows, labels):
    return alignment(class_moments(features_of(rows, labels)))


@given(SEEDS, st.integers(2, 8), st.integers(2, 6))
def test_alignment_is_the_mean_over_all_mated_pairs(seed, people, dim):
    rows, labels = naive.some(seed, people, dim=dim)
    found = alignment_of(rows, labels)
    assert found.value == pytest.approx(naive.alignment(rows, labels), rel=1e-10, abs=1e-14)
    counts = np.unique(labels, return_counts=True)[1]
    assert found.pairs.tolist() == (counts * (counts - 1) // 2).tolist()


@given(SEEDS, st.integers(2, 8), st.sampled_from([0.5, 2.0, 5.0]), st.sampled_from([1, 4, 1024]))
def test_uniformity_is_the_mean_over_all_pairs_in_tiles_of_any_size(seed, people, t, tile):
    rows, labels = naive.some(seed, people)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "TILE", tile)
        found = uniformity(features_of(rows, labels), t=t)
    assert found.value == pytest.approx(naive.uniformity(rows, t), rel=1e-10, abs=1e-12)
    assert math.log(found.each.mean()) == found.value


def test_extremes_are_known():
    points = np.repeat(np.eye(3), 2, axis=0)
    assert alignment_of(points, list("aabbcc")).value == 0
    assert alignment_of([[1, 0], [-1, 0], [0, 1]], list("aab")).value == 4
    assert uniformity(features_of(np.ones((4, 3)), list("aabb"))).value == 0
    assert uniformity(features_of([[1, 0], [-1, 0]], list("ab"))).value == -8


def test_progress_is_told_of_pictures():
    seen = []

    class Watch:
        def __init__(self, what, total):
            seen.append((what, total))

        def __enter__(self):
            return lambda done, note="": seen.append(done)

        def __exit__(self, *_):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "TILE", 2)
        uniformity(features_of(np.eye(5), list("aabbc")), watch=Watch)
    assert seen == [("uniformity", 5), 2, 4, 5]


def test_resampled_alignment_counts_a_person_as_often_as_drawn():
    rows, labels = naive.some(5, people=4)
    found = alignment_of(rows, labels)
    weights = np.random.default_rng(3).multinomial(4, [0.25] * 4, size=30)
    again = alignment_resamples(found, replicates=30, seed=3)
    for drawn, value in zip(weights, again, strict=True):
        pairs = (drawn * found.pairs).sum()
        if pairs:
            assert value == pytest.approx((drawn * found.sums).sum() / pairs)
        else:
            assert np.isnan(value)


def test_intervals_of_means_over_pairs_cover_by_person():
    """200 draws of 30 people with 4 pictures; the truth is the mean over all draws."""
    random, held, means, ends = np.random.default_rng(0), 0, [], []
    persons = np.repeat(np.arange(30), 4)
    for _ in range(200):
        centres = random.normal(size=(30, 6))[persons]
        rows = centres + 0.3 * random.normal(size=centres.shape) + [1, 0, 0, 0, 0, 0]
        found = uniformity(features_of(rows, persons))
        means.append(found.value)
        ends.append(uniformity_interval(found, persons))
    truth = np.mean(means)
    held = sum(low <= truth <= high for low, high in ends)
    assert 180 <= held <= 199
    naive_width = np.std(means) * 4
    assert np.mean([high - low for low, high in ends]) == pytest.approx(naive_width, rel=0.3)


def test_the_interval_of_a_mean_over_pairs_is_hoeffdings():
    each = np.array([1.0, 2.0, 4.0])
    low, high = pair_mean_interval(each, np.arange(3))
    # 4 times the variance of the units' own means, over their number; t with 2 degrees
    reach = 4.302652729911275 * 2 * np.sqrt(each.var(ddof=1) / 3)
    assert (low, high) == pytest.approx((7 / 3 - reach, 7 / 3 + reach))


@pytest.mark.parametrize("t", [0, -1, np.inf, np.nan])
def test_a_kernel_that_is_none_is_refused(t):
    with pytest.raises(InputError, match="finite t above 0"):
        uniformity(features_of(np.eye(2), list("ab")), t=t)


def test_a_kernel_in_which_no_pair_counts_is_refused():
    with pytest.raises(InputError, match="some pair counts"):
        uniformity(features_of(np.eye(2), list("ab")), t=1e3)


def test_what_has_no_pairs_is_refused():
    with pytest.raises(InputError, match="pair of one person"):
        alignment_of(np.eye(3), list("abc"))
    with pytest.raises(InputError, match="2 people or more"):
        pair_mean_interval(np.ones(3), np.zeros(3, int))
