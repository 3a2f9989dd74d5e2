import numpy as np
import pytest

from recognition.comparisons import ScoreLists, compare_all
from recognition.errors import InputError
from recognition.metrics import mean_resamples
from recognition.metrics.mean_resamples import resample_means
from recognition.metrics.resampling import draw


def table(people=7, seed=0):
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), random.integers(1, 5, people))
    return compare_all(random.normal(size=(len(labels), 4)), labels)


def test_means_are_those_of_comparisons_written_out():
    scores = table()
    weights = draw(scores.people, 40, 5)
    values = np.stack([scores.mated, scores.mated**2], axis=1)
    others = scores.nonmated[:, None] >= np.array([0.0, 0.5, 2.0])
    found = resample_means(scores, values, others, replicates=40, seed=5)
    one, two = scores.nonmated_persons.T
    at = 0
    for w in weights.T.astype(int):
        mated, nonmated = w[scores.mated_person], w[one] * w[two]
        if not mated.any() or not nonmated.any():
            continue
        assert found.mated[at] == pytest.approx(np.repeat(values, mated, axis=0).mean(axis=0))
        assert found.nonmated[at] == pytest.approx(np.repeat(others, nonmated, axis=0).mean(axis=0))
        at += 1
    assert found.mated.shape == (at, 2)
    assert found.nonmated.shape == (at, 3)


def test_lists_vary_as_independent_comparisons_do():
    random = np.random.default_rng(1)
    lists = ScoreLists(random.normal(size=200), random.normal(size=400))
    found = resample_means(
        lists, lists.mated[:, None], lists.nonmated[:, None] > 1, replicates=2000
    )
    assert found.mated.std() == pytest.approx(lists.mated.std() / 200**0.5, rel=0.1)
    share = (lists.nonmated > 1).mean()
    assert found.nonmated.std() == pytest.approx((share * (1 - share) / 400) ** 0.5, rel=0.1)
    assert found.nonmated.mean() == pytest.approx(share, abs=2e-3)


@pytest.mark.parametrize("dense", [0, 2**25])
def test_few_and_many_meetings_have_the_same_means(monkeypatch, dense):
    scores = table()
    values = scores.mated[:, None], np.stack([scores.nonmated, scores.nonmated > 0.3], axis=1)
    expected = resample_means(scores, *values, replicates=40)
    monkeypatch.setattr(mean_resamples, "DENSE", dense)
    found = resample_means(scores, *values, replicates=40)
    np.testing.assert_allclose(found.nonmated, expected.nonmated, rtol=1e-12)
    np.testing.assert_array_equal(found.mated, expected.mated)
    matrix = mean_resamples._met(scores, scores.nonmated)
    assert isinstance(matrix, np.ndarray) == (dense > 0)


@pytest.mark.parametrize("labels", ["aab", "aabc"])
def test_resamples_without_a_kind_of_comparisons_are_dropped(labels):
    rows = [[1, 0], [1, 1], [0, 1], [0, 2]][: len(labels)]
    scores = compare_all(rows, list(labels))
    ones = np.ones((len(scores.mated), 1)), np.ones((len(scores.nonmated), 1))
    found = resample_means(scores, *ones, replicates=100)
    weights = draw(len(set(labels)), 100, 0)
    # a has the mated pair, and meets somebody only if not all are a
    measured = ((weights[0] > 0) & (weights[0] < len(weights))).sum()
    assert 0 < len(found.mated) == len(found.nonmated) == measured < 100
    assert (found.mated == 1).all()
    assert (found.nonmated == 1).all()


def test_a_mean_of_equal_values_is_that_value():
    lists = ScoreLists(np.ones(3), np.zeros(5))
    found = resample_means(lists, np.full((3, 2), 7), np.ones((5, 1), bool), replicates=4)
    np.testing.assert_array_equal(found.mated, np.full((4, 2), 7))
    np.testing.assert_array_equal(found.nonmated, np.ones((4, 1)))


def test_values_that_do_not_fit_are_refused():
    scores = table()
    with pytest.raises(InputError, match="one row for each comparison"):
        resample_means(scores, scores.mated, scores.nonmated[:, None])
    with pytest.raises(InputError, match="one row for each comparison"):
        resample_means(scores, scores.mated[:, None], scores.nonmated[1:, None])
    with pytest.raises(InputError, match="none of 0 resamples"):
        resample_means(scores, scores.mated[:, None], scores.nonmated[:, None], replicates=0)
