import dataclasses
import itertools
import math

import numpy as np
import pytest
from clusters import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.comparisons.pairs import compare_all
from recognition.comparisons.scores import Scores
from recognition.embeddings import people_of
from recognition.errors import InputError
from recognition.metrics.clustered import Clusters
from recognition.metrics.meetings import Meetings
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.proportions import wilson, wilson_share
from recognition.metrics.verification import (
    area_under_curve,
    equal_error_rate,
    fmr,
    fnmr,
    tar_at_fmr,
)


def embedded(seed, people=12, most=4, spread=0.9):
    """People with 1 to `most` pictures, at least two of them with 2."""
    random = np.random.default_rng(seed)
    pictures = random.integers(1, most + 1, people)
    pictures[:2] = np.maximum(pictures[:2], 2)
    labels = np.repeat(np.arange(people), pictures)
    x = random.normal(size=(people, 4))[labels] + spread * random.normal(size=(len(labels), 4))
    return compare_all(x, labels), people_of(labels).pictures


def uneven(seed, people=8, mated=60, nonmated=400, values=3):
    """Scores with ties of people who met as it happened, some of them never."""
    random = np.random.default_rng(seed)
    u, v = (
        (np.round(random.normal(size=size) * values) / values).astype(np.float32)
        for size in (mated, nonmated)
    )
    one = random.integers(0, people - 1, nonmated)
    two = (one + random.integers(1, people - 1, nonmated)) % (people - 1)
    mated_person = random.integers(0, people - 2, mated)
    persons = np.stack([one, two], axis=1)
    return Scores(u + 1, v, mated_person.astype(np.int32), persons.astype(np.int32), people)


def written_out(scores, threshold, slope=None):
    """(Var, I) from every comparison's own error, pair by pair of persons; slope None for FMR."""
    false = scores.nonmated >= threshold
    p, total = false.mean(), len(false)
    persons = np.zeros(scores.people)
    pairs = {}
    for error, (i, j) in zip(false, scores.nonmated_persons.tolist(), strict=True):
        persons[[i, j]] += (error - p) / total
        key = (min(i, j), max(i, j))
        pairs[key] = pairs.get(key, 0) + (error - p) / total
    both = sum(value**2 for value in pairs.values())
    if slope is None:
        return (persons**2).sum() - both, persons, p * (1 - p) / total
    missed = scores.mated < threshold
    q, tried = missed.mean(), len(missed)
    persons *= slope
    for error, i in zip(missed, scores.mated_person, strict=True):
        persons[i] += (error - q) / tried
    independent = q * (1 - q) / tried + slope**2 * p * (1 - p) / total
    return (persons**2).sum() - slope**2 * both, persons, independent


def interval_of(share, variance, moved, independent, people, scale=1.0, level=0.95):
    kurtosis = people * (moved**4).sum() / (moved**2).sum() ** 2
    freedom = 2 * people / max(kurtosis - 1, 1e-9)
    variance = max(variance * people / (people - 1), independent) * scale**2
    trials = share * (1 - share) / variance
    return wilson_share(share, trials, level, freedom=min(max(freedom, 1), people - 1))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([-0.5, 0.0, 1 / 3, 1.0]), st.booleans())
def test_fmr_and_fnmr_equal_the_sums_written_out(seed, threshold, complete):
    scores = embedded(seed)[0] if complete else uneven(seed)
    clusters = Clusters.of(scores)
    p, q = fmr(scores, threshold), fnmr(scores, threshold)
    parts = written_out(scores, threshold)
    if 0 < p < 1 and np.abs(parts[1]).max() > 1e-12:
        expected = interval_of(p, *parts, len(np.unique(scores.nonmated_persons)))
        np.testing.assert_allclose(clusters.fmr(threshold), expected, rtol=1e-9)
    parts = written_out(scores, threshold, 0.0)
    if 0 < q < 1 and np.abs(parts[1]).max() > 1e-12:
        expected = interval_of(q, *parts, len(np.unique(scores.mated_person)))
        np.testing.assert_allclose(clusters.fnmr(threshold), expected, rtol=1e-9)


def slope_of(scores, errors, window):
    """Found by trying every threshold, the window doubled while nothing is inside."""
    ends = np.append(np.unique(scores.nonmated), np.inf)
    while True:
        false, true = (
            np.array([(values >= t).mean() for t in np.nextafter(ends, np.float32(np.inf))])
            for values in (scores.nonmated, scores.mated)
        )
        false, true = np.append(1, false), np.append(1, true)
        allowed = [min(errors * window, len(scores.nonmated)), math.floor(errors / window)]
        low, high = (np.flatnonzero(false * len(scores.nonmated) <= k + 0.5)[0] for k in allowed)
        if false[low] > false[high]:
            return (true[low] - true[high]) / (false[low] - false[high])
        window *= 2


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("target", [0.02, 0.1, 0.4])
def test_tar_errs_with_its_threshold_too(seed, target):
    scores = uneven(seed)
    point = tar_at_fmr(scores, target)
    assert 0 < point.tar < 1
    slope = slope_of(scores, point.allowed, 2)
    parts = written_out(scores, point.threshold, slope)
    expected = interval_of(point.tar, *parts, len(np.unique(scores.mated_person)))
    found = Clusters.of(scores).tar(target)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_eer_errs_with_both_rates_by_how_steeply_they_cross(seed):
    scores = uneven(seed)
    point = equal_error_rate(scores)
    errors = max((scores.nonmated >= point.threshold).sum(), round(400 / 60))
    slope = slope_of(scores, errors, 4)
    parts = written_out(scores, point.threshold, slope)
    people = len(np.unique(scores.mated_person))
    expected = interval_of(point.rate, *parts, people, 1 / (1 + slope))
    np.testing.assert_allclose(Clusters.of(scores).eer(), expected, rtol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_auc_is_moved_by_each_pair_as_often_as_it_wins(seed):
    scores = uneven(seed, mated=40, nonmated=150)
    wins = np.sign(scores.mated[:, None] - scores.nonmated).astype(float) / 2 + 0.5
    area = wins.mean()
    assert area == pytest.approx(area_under_curve(scores), rel=1e-12)
    persons, pairs = np.zeros(scores.people), {}
    for i, own in zip(scores.mated_person, wins.mean(axis=1) - area, strict=True):
        persons[i] += own / 40
    for ends, other in zip(scores.nonmated_persons, wins.mean(axis=0) - area, strict=True):
        persons[ends] += other / 150
        key = tuple(sorted(ends.tolist()))
        pairs[key] = pairs.get(key, 0) + other / 150
    variance = (persons**2).sum() - sum(value**2 for value in pairs.values())
    independent = wins.mean(axis=1).var() / 40 + wins.mean(axis=0).var() / 150
    people = len(np.unique(scores.mated_person))
    expected = interval_of(area, variance, persons, independent, people)
    np.testing.assert_allclose(Clusters.of(scores).auc(), expected, rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(1, 4))
def test_a_complete_design_is_known_from_the_pictures(seed, people, most):
    scores, pictures = embedded(seed, people, most)
    counted = Meetings.counted(scores.nonmated_persons, people)
    closed = Meetings.complete(pictures)
    assert (closed.of == counted.of).all()
    assert (closed.total, closed.squares) == (counted.total, counted.squares)
    pairs = np.array(list(itertools.permutations(range(people), 2)))
    assert (closed.between(pairs) == counted.between(pairs)).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_tail_gives_what_all_scores_give(seed):
    scores, pictures = embedded(seed, 30, 5)
    whole = Tally.of(scores, pictures)
    all_of_them = Clusters.of(scores)
    tail = Clusters.of_tail(whole.cut(round(0.3 * whole.nonmated_count)))
    t = tar_at_fmr(scores, 0.1).threshold
    for one, other in (
        (tail.fmr(t), all_of_them.fmr(t)),
        (tail.fnmr(t), all_of_them.fnmr(t)),
        (tail.tar(0.1), all_of_them.tar(0.1)),
        (Clusters.of_tail(whole).eer(), all_of_them.eer()),
        (Clusters.of_tail(whole).auc(), all_of_them.auc()),
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_what_the_tail_does_not_hold_is_not_guessed():
    whole = Tally.of(*embedded(0))
    tail = Clusters.of_tail(whole.cut(20))
    end = float(whole.tail[19])
    assert tail.knows(np.nextafter(end, 2))
    assert not tail.knows(end)  # a tie with the last one may have been cut off
    assert Clusters.of_tail(whole).knows(-np.inf)
    assert not Clusters.of_tail(whole.cut(0)).knows(2.0)
    for unknown in (lambda: tail.fmr(end), tail.eer, tail.auc):
        with pytest.raises(InputError, match="keep a longer tail"):
            unknown()
    assert tail.tar(0.5) is None
    count = whole.nonmated_count
    assert tail.tar(19 / count) is not None
    assert tail.tar(20 / count) is None
    assert Clusters.of_tail(whole).tar(1.0) is not None
    assert tail.fnmr(end) == Clusters.of(whole.scores).fnmr(end)


def test_people_do_not_depend_on_their_numbers_or_their_order():
    scores = uneven(5)
    random = np.random.default_rng(0)
    number = random.permutation(scores.people).astype(np.int32)
    order = random.permutation(len(scores.nonmated))
    other = dataclasses.replace(
        scores,
        mated_person=number[scores.mated_person],
        nonmated=scores.nonmated[order],
        nonmated_persons=number[scores.nonmated_persons][order][:, ::-1],
    )
    one, two = Clusters.of(scores), Clusters.of(other)
    for ask in (lambda c: c.fmr(0.5), lambda c: c.tar(0.1), lambda c: c.eer()):
        np.testing.assert_allclose(ask(one), ask(two), rtol=1e-12)


def test_without_an_error_people_are_what_counts():
    scores = uneven(0)
    clusters = Clusters.of(scores)
    people = len(np.unique(scores.mated_person))
    assert clusters.fnmr(-9.0) == wilson(0, people)
    assert clusters.fnmr(9.0) == wilson(people, people)
    # every two people of the complete design meet equally often
    even = compare_all(np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) // 2)
    assert Clusters.of(even).fmr(2.0) == wilson(0, 45)
    assert Clusters.of(even).fmr(-2.0) == wilson(45, 45)
    apart = dataclasses.replace(scores, mated=scores.mated + 100)
    assert Clusters.of(apart).tar(0.1) == wilson(people, people)
    assert Clusters.of(apart).eer() == wilson(0, people)
    assert Clusters.of(apart).auc() == wilson(people, people)
    uneven_pairs = np.unique(np.sort(scores.nonmated_persons, axis=1), axis=0)
    assert np.ptp(clusters.fmr(9.0)) > np.ptp(wilson(0, len(uneven_pairs)))


def test_an_interval_never_promises_more_than_independent_comparisons():
    # each person has one error among two: no person differs from another
    u = np.tile([0.0, 1.0], 50).astype(np.float32)
    persons = np.array(list(itertools.combinations(range(50), 2)), np.int32).repeat(2, axis=0)
    v = np.tile([0.0, 1.0], len(persons) // 2).astype(np.float32)
    scores = Scores(u, v, np.arange(50).repeat(2).astype(np.int32), persons, 50)
    clusters = Clusters.of(scores)
    even = wilson_share(0.5, 100, freedom=49)
    np.testing.assert_allclose(clusters.fnmr(0.5), even, rtol=1e-12)
    even = wilson_share(0.5, len(v), freedom=49)
    np.testing.assert_allclose(clusters.fmr(0.5), even, rtol=1e-12)


def test_people_who_differ_by_rounding_do_not_differ():
    tries = np.append(np.full(49, 49 * 5), 49 * 29)  # 1 / 49 * 49 * 29 is not 29
    persons = np.arange(50).repeat(tries)
    wrong = np.arange(tries.sum()) % 49 == 0
    share = wrong.mean()
    assert np.ptp((share * tries) - np.bincount(persons[wrong])) > 0
    assert share_interval(wrong, persons) == wilson_share(share, tries.sum(), freedom=49)


def test_one_person_is_one_trial_and_two_are_hardly_more():
    u = np.array([0, 1, 1, 1], np.float32)
    v = np.array([0, 0, 1, 1], np.float32)
    persons = np.tile([0, 1], (4, 1)).astype(np.int32)
    alone = Clusters.of(Scores(u, v, np.zeros(4, np.int32), persons, 2))
    assert alone.fnmr(0.5) == wilson_share(0.25, 1)
    assert alone.tar(0.5) == wilson_share(0.75, 1)
    assert np.ptp(alone.eer()) > 0.8
    assert np.ptp(alone.fmr(0.5)) > 0.9  # one pair of people, one degree of freedom
    tied = Scores(u * 0, v * 0, np.array([0, 0, 1, 1], np.int32), persons, 2)
    assert Clusters.of(tied).eer() == wilson(1, 2)


def test_few_people_with_all_errors_leave_more_doubt_than_many_with_a_few():
    persons = np.arange(60).repeat(6)
    few, many = np.zeros(360, bool), np.zeros(360, bool)
    few[:12] = True  # two people, always
    many[::30] = True  # twelve people, once
    assert few.sum() == many.sum()
    assert np.ptp(share_interval(few, persons)) > 1.5 * np.ptp(share_interval(many, persons))
    assert np.ptp(share_interval(many, persons)) > np.ptp(wilson(12, 360))
    assert np.ptp(share_interval(few, persons, level=0.5)) < np.ptp(share_interval(few, persons))


def test_with_many_alike_people_the_pairs_are_what_counts():
    random = np.random.default_rng(0)
    wrong, persons = random.random(40_000) < 0.3, np.arange(20_000).repeat(2)
    independent = wilson(int(wrong.sum()), len(wrong))
    assert np.ptp(share_interval(wrong, persons)) == pytest.approx(np.ptp(independent), rel=0.03)


def test_below_one_false_match_there_is_no_interval():
    scores = uneven(1)
    assert Clusters.of(scores).tar(1 / 401) is None
    assert Clusters.of(scores).tar(1 / 400) is not None


def test_ties_over_the_whole_window_widen_it():
    scores = uneven(2, values=1)
    heavy = dataclasses.replace(scores, nonmated=np.where(scores.nonmated > 0, 1, 0).astype("f4"))
    low, high = Clusters.of(heavy).tar(0.9)
    assert 0 <= low < tar_at_fmr(heavy, 0.9).tar < high <= 1
    all_tied = dataclasses.replace(scores, nonmated=np.zeros_like(scores.nonmated))
    assert Clusters.of(all_tied).tar(0.5) is not None


def test_what_does_not_fit_is_refused():
    scores, pictures = embedded(3)
    clusters, tally = Clusters.of(scores), Tally.of(scores, pictures)
    for ask in (clusters.fmr, clusters.fnmr):
        with pytest.raises(InputError, match="not NaN"):
            ask(np.nan)
        for level in (0, 1):
            with pytest.raises(InputError, match="a level between"):
                ask(0.5, level=level)
    with pytest.raises(InputError, match="a level between"):
        clusters.tar(1e-9, level=2)
    with pytest.raises(InputError, match="a rate between"):
        clusters.tar(2.0)
    for bad in ([3], [[1, 2]], [0, 3], [4, -1, 2]):
        with pytest.raises(InputError, match="at least 2 people"):
            Meetings.complete(np.array(bad))
    for change in (
        {"pictures": pictures + 1},
        {"tail_persons": tally.tail_persons[1:]},
        {"tail": tally.tail[1:]},
    ):
        with pytest.raises(InputError, match="count pictures and people anew"):
            Clusters.of_tail(dataclasses.replace(tally, **change))
    for wrong in (np.zeros(0, bool), np.zeros(3, bool)):
        with pytest.raises(InputError, match="one person for each"):
            share_interval(wrong, np.zeros(0, int))


def test_an_eer_without_a_false_match_among_few_comparisons_has_an_interval():
    scores = Scores(
        np.array([-1, -1, -1, -1, -1, 0], np.float32),
        np.full(3, -1, np.float32),
        np.zeros(6, np.int32),
        np.array([[0, 1], [0, 2], [1, 2]], np.int32),
        3,
    )
    found = Clusters.of(scores).eer()
    assert 0 <= found.low <= found.high <= 1
