import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.comparisons import compare_all
from recognition.evaluation.failures import (
    Lost,
    account_for,
    comparisons_lost,
    failures_to_acquire,
    lost_pairs,
)
from recognition.evaluation.options import Options
from recognition.metrics.intervals import wilson
from recognition.metrics.person_intervals import share_interval

LABELS = np.repeat([f"p{i}" for i in range(6)], 4)
NAMES = st.lists(st.sampled_from("abc"), max_size=6)


def crowd():
    random = np.random.default_rng(0)
    people = random.normal(size=(6, 6)).repeat(4, axis=0)
    return compare_all(people + 0.9 * random.normal(size=people.shape), LABELS)


@given(NAMES, NAMES)
def test_lost_pairs_are_all_pairs_with_a_failed_picture(embedded, failed):
    names = embedded + failed
    mated = nonmated = 0
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            if j >= len(embedded):
                mated += names[i] == names[j]
                nonmated += names[i] != names[j]
    assert lost_pairs(np.array(embedded, str), np.array(failed, str)) == (mated, nonmated)


def test_failures_to_acquire_vary_by_person():
    failed = np.array(["p0", "p0", "p9"])
    row = failures_to_acquire(LABELS, failed)
    assert row.estimate.value == 3 / 27
    persons = np.append(np.repeat(range(6), 4), [0, 0, 6])
    expected = share_interval(np.arange(27) >= 24, persons)
    assert (row.estimate.low, row.estimate.high) == expected
    assert row.interval == "person-clustered Wilson"
    assert row.estimate.counts == {"failed": 3, "pictures": 27}


def test_no_failure_is_no_certainty():
    row = failures_to_acquire(LABELS, np.array([], str))
    assert row.estimate.value == 0
    assert (row.estimate.low, row.estimate.high) == wilson(0, 6)


def test_comparisons_without_a_score_are_counted_as_if_independent():
    scores = crowd()
    row = comparisons_lost(scores, Lost(3, 5))
    assert row.estimate.value == 8 / 284
    assert (row.estimate.low, row.estimate.high) == wilson(8, 284)
    assert row.interval == "Wilson, as if independent"


def test_a_lost_comparison_is_a_false_or_a_true_rejection():
    scores, lost = crowd(), Lost(7, 40)
    acquired = failures_to_acquire(LABELS, np.array(["p0"]))
    section = account_for(acquired, scores, lost, Options(fmr=(0.1, 0.01, 1e-6)))
    found = {row.key: row.estimate for row in section.rows}
    assert list(found) == ["fta", "frr@fmr=0.1", "far@fmr=0.1", "frr@fmr=0.01", "far@fmr=0.01"]
    # lost comparisons score lowest, whichever kind they are of
    u = np.append(scores.mated, np.full(7, -np.inf))
    v = np.append(scores.nonmated, np.full(40, -np.inf))
    for target in ("0.1", "0.01"):
        frr, far = found[f"frr@fmr={target}"], found[f"far@fmr={target}"]
        t = frr.counts["threshold"]
        assert frr.value == (u < t).mean()
        assert far.value == (v >= t).mean() < float(target)
        assert (frr.counts["errors"], frr.counts["trials"]) == ((u < t).sum(), 43)
        assert far.counts["trials"] == 280
    assert "rejected" in section.notes[0]


def test_without_lost_comparisons_only_the_share_of_failures_is_told():
    acquired = failures_to_acquire(LABELS, np.array([], str))
    section = account_for(acquired, crowd(), Lost(0, 0), Options())
    assert [row.key for row in section.rows] == ["fta"]
    assert section.notes == ()


def test_numbers_may_name_people():
    assert lost_pairs([1, 1, 2], [2]) == lost_pairs(["1", "1", "2"], ["2"]) == (1, 2)
    assert pytest.approx(lost_pairs([1], [])) == (0, 0)
