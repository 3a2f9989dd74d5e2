from dataclasses import replace

import numpy as np
import pytest

from recognition.comparisons import Scores, compare_all
from recognition.errors import InputError
from recognition.evaluation.paired import compare_scores, difference
from recognition.metrics.resampling import draw
from recognition.metrics.verification import area_under_curve, equal_error_rate, tar_at_fmr

LABELS = np.repeat(range(8), 4)
FEW = {"replicates": 50, "seed": 2}


def crowd(noise, seed=0):
    random = np.random.default_rng(seed)
    people = random.normal(size=(8, 6)).repeat(4, axis=0)
    return compare_all(people + noise * random.normal(size=people.shape), LABELS)


def rows(found):
    return {row.key: row for row in found}


def written_out(scores, weights):
    """A resample of the people, each comparison as often as it counts."""
    one, two = scores.nonmated_persons.T
    w = weights.astype(int)
    of, between = w[scores.mated_person], w[one] * w[two]
    return Scores(
        np.repeat(scores.mated, of),
        np.repeat(scores.nonmated, between),
        np.repeat(scores.mated_person, of),
        np.repeat(scores.nonmated_persons, between, axis=0),
        scores.people,
    )


def test_differences_are_of_the_same_resampled_people():
    first, second = crowd(0.7), crowd(0.9)
    found = rows(compare_scores(first, second, (0.1, 0.01), **FEW))
    metrics = {
        "eer": lambda scores: equal_error_rate(scores).rate,
        "tar@fmr=0.1": lambda scores: tar_at_fmr(scores, 0.1).tar,
        "tar@fmr=0.01": lambda scores: tar_at_fmr(scores, 0.01).tar,
    }
    resampled = [
        [written_out(scores, weights) for scores in (first, second)] for weights in draw(8, 50, 2).T
    ]
    for key, metric in metrics.items():
        row = found[key]
        assert (row.value, row.other) == (metric(first), metric(second))
        assert row.difference == row.value - row.other
        gaps = np.sort([metric(one) - metric(two) for one, two in resampled])
        expected = min(gaps[1], row.difference), max(gaps[48], row.difference)
        assert (row.low, row.high) == pytest.approx(expected, abs=1e-12)
    assert found["auc"].value == area_under_curve(first)
    assert found["auc"].low <= found["auc"].difference <= found["auc"].high


def test_the_verdict_is_of_the_first_against_the_second():
    good, bad = crowd(0.3), crowd(2.0)
    better = rows(compare_scores(good, bad, (0.1, 0.0001), **FEW))
    assert better["eer"].verdict == "lower"
    assert better["auc"].verdict == better["tar@fmr=0.1"].verdict == "higher"
    worse = rows(compare_scores(bad, good, (0.1,), **FEW))
    assert worse["eer"].verdict == "higher"
    assert (worse["eer"].low, worse["eer"].high) == pytest.approx(
        (-better["eer"].high, -better["eer"].low)
    )
    missing = better["tar@fmr=0.0001"]
    assert missing.verdict is missing.value is missing.difference is None
    assert "cannot be measured" in missing.note


def test_a_model_is_not_told_apart_from_itself():
    scores = crowd(0.9)
    for row in compare_scores(scores, scores, (0.1,), **FEW):
        assert (row.difference, row.low, row.high) == (0, 0, 0)
        assert row.verdict == "not told apart"
        assert row.note is None


def test_resamples_that_all_agree_tell_nothing_apart():
    row = difference("x", "X", "share", (0.5, 0.25), (np.full(9, 0.5), np.full(9, 0.25)))
    assert (row.low, row.high, row.verdict) == (0.25, 0.25, "not told apart")
    assert "no certainty" in row.note
    ends = np.array([0.5, 0.4]), np.array([0.2, 0.2])
    assert difference("x", "X", "share", (0.5, 0.25), ends).verdict == "higher"
    touching = np.array([0.5, 0.2]), np.array([0.2, 0.2])
    assert difference("x", "X", "share", (0.5, 0.25), touching).verdict == "not told apart"


def test_two_people_are_too_few_for_a_verdict():
    one, two = (
        compare_all(rows, ["a", "a", "b", "b"])
        for rows in ([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], [[1, 0], [0, 1], [1, 0.1], [0.1, 1]])
    )
    for row in compare_scores(one, two, (0.5,), **FEW):
        assert row.difference != 0
        assert row.verdict == "not told apart"


def test_tables_of_other_comparisons_are_refused():
    scores = crowd(0.7)
    others = (
        replace(scores, people=9),
        replace(scores, mated_person=scores.mated_person[::-1]),
        replace(scores, nonmated_persons=scores.nonmated_persons[::-1]),
    )
    for other in others:
        with pytest.raises(InputError, match="same comparisons in the same order"):
            compare_scores(scores, other, (0.1,), **FEW)
