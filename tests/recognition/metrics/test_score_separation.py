import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recognition.comparisons.pairs import compare_all
from recognition.comparisons.scores import ScoreLists
from recognition.comparisons.steps import Steps
from recognition.errors import InputError
from recognition.metrics import score_separation as s
from recognition.metrics.verification import tar_at_fmr

GRID = st.sampled_from([-1.0, -0.5, 0.0, 0.1, 0.3, 0.5, 1.0])
TIED = st.lists(GRID, min_size=1, max_size=30)


def lists(mated, nonmated):
    return ScoreLists(np.array(mated), np.array(nonmated))


def spread(values):
    middle = math.fsum(values) / len(values)
    return math.fsum((x - middle) ** 2 for x in values) / len(values)


@given(TIED, TIED)
def test_d_prime_is_the_distance_of_means_in_root_mean_variances(mated, nonmated):
    assume(len({*mated}) > 1 or len({*nonmated}) > 1)
    means = math.fsum(mated) / len(mated), math.fsum(nonmated) / len(nonmated)
    expected = abs(means[0] - means[1]) / math.sqrt((spread(mated) + spread(nonmated)) / 2)
    found = s.d_prime(np.array(mated), np.array(nonmated))
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(TIED, TIED, st.floats(0.1, 10), st.floats(-5, 5))
def test_stretching_shifting_and_swapping_leave_d_prime_alone(mated, nonmated, by, to):
    assume(len({*mated}) > 1 or len({*nonmated}) > 1)
    u, v = np.array(mated), np.array(nonmated)
    expected = pytest.approx(s.d_prime(u, v), rel=1e-9, abs=1e-9)
    assert s.d_prime(by * u + to, by * v + to) == expected
    assert s.d_prime(v, u) == expected


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 3, 7, 1000])
def test_equal_scores_do_not_vary_however_their_mean_is_rounded(kind, count):
    same = np.full(count, 0.1, kind)
    assert s.moments_of(same).deviation == 0
    assert s.d_prime(same, np.full(count + 3, 0.3, kind)) == np.inf
    with pytest.raises(InputError, match="0 / 0"):
        s.d_prime(same, np.full(count + 4, 0.1, kind))


def test_equal_means_of_scores_that_vary_have_no_distance():
    assert s.d_prime(np.array([0.0, 1.0]), np.array([0.5, 0.5])) == 0


def test_moments_alone_give_the_same_d_prime():
    u, v = np.array([0.4, 0.8, 0.9]), np.array([0.1, 0.2])
    moments = s.Moments(u.mean(), u.std()), s.Moments(v.mean(), v.std())
    assert s.d_prime_of_moments(*moments) == pytest.approx(s.d_prime(u, v), rel=1e-14)


def test_float32_scores_are_summed_in_float64():
    u = np.full(10**6, 0.1, np.float32)
    u[0] = 0.2
    assert s.moments_of(u).mean == pytest.approx(u.astype(np.float64).mean(), rel=1e-14)


def naive_area(scores, low, high):
    """The mean of TAR over the logarithm of FMR, one false match more at a time."""
    total = scores.nonmated_count
    ends = sorted({low, high, *(k / total for k in range(1, total + 1) if low < k / total < high)})
    area = math.fsum(tar_at_fmr(scores, a).tar * math.log(b / a) for a, b in pairwise(ends))
    return area / math.log(high / low)


@given(TIED, st.lists(GRID, min_size=2, max_size=40), st.data())
def test_partial_area_is_the_integral_of_tar_at_at_most_each_fmr(mated, nonmated, data):
    scores = lists(mated, nonmated)
    total = len(nonmated)
    rates = st.integers(1, total).map(lambda k: k / total) | st.floats(1 / total, 1)
    low, high = sorted([data.draw(rates), data.draw(rates)])
    assume(low < high * (1 - 1e-9))
    found = s.partial_area(scores, low, high)
    assert found == pytest.approx(naive_area(scores, low, high), abs=1e-9)
    assert tar_at_fmr(scores, low).tar - 1e-12 <= found <= tar_at_fmr(scores, high).tar + 1e-12


def test_partial_area_of_scores_that_are_apart_is_one_and_of_equal_ones_zero():
    assert s.partial_area(lists([0.9, 0.8], [0.1] * 100), 0.01, 1.0) == 1
    assert s.partial_area(lists([0.5] * 3, [0.5] * 100), 0.01, 1.0) == 0
    assert s.partial_area(lists([0.1], np.linspace(0.2, 0.9, 10)), 0.1, 1.0) == 0


def test_each_decade_counts_alike():
    nonmated = np.arange(1000) / 1000
    mated = np.array([2.0, 0.9895])  # the second is accepted from FMR 0.01
    assert s.partial_area(lists(mated, nonmated), 0.001, 0.1) == pytest.approx(0.75, abs=1e-9)


def test_one_in_forty_nine_is_measured_by_forty_nine():
    scores = lists([0.9, 0.1], np.linspace(0.2, 0.8, 49))
    assert 1 / 49 * 49 < 1
    assert s.partial_area(scores, 1 / 49, 1.0) == 0.5
    with pytest.raises(InputError, match="cannot be measured with 49 non-mated"):
        s.partial_area(scores, 1 / 50, 1.0)


def test_steps_that_leave_out_thresholds_give_a_lower_bound():
    full = lists([0.2, 0.55, 0.7, 0.9], np.arange(20) / 20)

    class Counted:
        mated, nonmated_count = full.mated, full.nonmated_count
        steps = Steps(*(part[[0, 3, 9, -1]] for part in full.steps[:3]), complete=False)

    assert s.partial_area(Counted(), 0.05, 1.0) < s.partial_area(full, 0.05, 1.0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: s.moments_of(np.array([])), "not empty"),
        (lambda: s.moments_of(np.array([0.1, np.nan])), "of finite scores"),
        (lambda: s.d_prime_of_moments(s.Moments(1, -1), s.Moments(0, 1)), "at least 0"),
        (lambda: s.d_prime_of_moments(s.Moments(np.nan, 1), s.Moments(0, 1)), "finite means"),
        (lambda: s.partial_area(lists([0.5], [0.1] * 50), 0.01, 0.1), "start at 2.0e-02"),
        (
            lambda: s.partial_area(lists([0.5], [0.1] * 50), 0.0, 0.1),
            "0 < low < high <= 1, got 0.0",
        ),
        (lambda: s.partial_area(lists([0.5], [0.1] * 50), 0.1, 0.1), "got 0.1 and 0.1"),
        (lambda: s.partial_area(lists([0.5], [0.1] * 50), 0.1, 1.1), "got 0.1 and 1.1"),
        (lambda: s.partial_area(lists([0.5], [0.1] * 50), np.nan, 0.1), "got nan"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, says):
    with pytest.raises(InputError, match=says):
        call()


def test_separation_of_real_faces(shared_data):
    with np.load(shared_data / "orl_mobilefacenet.npz", allow_pickle=False) as file:
        scores = compare_all(file["embeddings"], file["labels"])
    assert s.d_prime(scores.mated, scores.nonmated) == pytest.approx(5.467, abs=1e-3)
    assert s.partial_area(scores, 1e-3, 1e-1) == pytest.approx(0.98547, abs=1e-5)
