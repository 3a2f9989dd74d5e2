import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.comparisons import ScoreLists, compare_all
from recognition.comparisons.all_pairs import Plan, _tally
from recognition.evaluation.uncertainty import clusters_of
from recognition.metrics.clustered import Clusters
from recognition.metrics.false_matches import Matches, at_each
from recognition.metrics.identification import fnir, fnir_at_fpir, fpir
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.searches import tabulate, with_failures
from recognition.metrics.threshold_rates import identification_rates, verification_rates
from recognition.metrics.verification import equal_error_rate, fmr, fnmr, tar_at_fmr


def crowd(seed, people, pictures, *, digits=1):
    """Few digits, so that scores tie with each other and with round thresholds."""
    random = np.random.default_rng(seed)
    labels = np.repeat(range(people), pictures)
    centres = random.normal(size=(people, 3))[labels]
    return np.round(centres + random.normal(size=centres.shape), digits) + 0.01, labels


def searches_of(seed, mated=30, strangers=20, enrolled=6):
    random = np.random.default_rng(seed)
    scores = np.round(random.normal(size=(mated + strangers, enrolled)), 1)
    names = [f"p{i}" for i in range(enrolled)]
    own = random.choice(names, mated)
    scores[np.arange(mated), [names.index(name) for name in own]] += 1.5
    others = random.choice([f"q{i}" for i in range(5)], strangers)
    return tabulate(scores, names, [*own, *others])


def ends(rates, name):
    return list(zip(rates[f"{name}_low"], rates[f"{name}_high"], strict=True))


@settings(max_examples=8)
@given(st.integers(0, 99), st.integers(3, 9), st.integers(2, 4))
def test_rates_are_counts_and_intervals_those_of_one_threshold(seed, people, pictures):
    scores = compare_all(*crowd(seed, people, pictures))
    clusters = Clusters.of(scores)
    rates = verification_rates(clusters, [0.123])
    grid = rates["threshold"]
    assert 0.123 in grid
    assert grid == sorted(set(grid))
    assert rates["fmr"] == [fmr(scores, t) for t in grid]
    assert rates["fnmr"] == [fnmr(scores, t) for t in grid]
    np.testing.assert_allclose(ends(rates, "fmr"), [clusters.fmr(t) for t in grid], atol=1e-9)
    assert ends(rates, "fnmr") == [clusters.fnmr(t) for t in grid]
    assert (rates["fmr"][-1], rates["fnmr"][0]) == (0, 0)
    assert (np.diff(rates["fmr"]) <= 0).all()
    assert (np.diff(rates["fnmr"]) >= 0).all()


@pytest.mark.parametrize("table_per_score", [0, 10**9])
@settings(max_examples=8)
@given(st.integers(0, 99), st.integers(2, 40))
def test_matches_counted_one_after_the_other_are_those_of_each_threshold(
    table_per_score, seed, people
):
    random = np.random.default_rng(seed)
    scores = compare_all(*crowd(seed, people, 2))
    clusters = Clusters.of(scores)
    thresholds = np.unique(np.round(random.uniform(-1, 1, 9), 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recognition.metrics.false_matches.TABLE_PER_SCORE", table_per_score)
        found = at_each(clusters.high, clusters.high_persons, clusters.meetings, thresholds)
    for t, one in zip(thresholds[::-1], found, strict=True):
        persons = clusters.high_persons[clusters.high >= t]
        expected = Matches.of(persons, clusters.meetings)
        assert one.errors.tolist() == expected.errors.tolist()
        assert (one.total, one.squares, one.crossed) == (
            expected.total,
            expected.squares,
            expected.crossed,
        )


def test_many_people_are_counted_without_a_table_of_all_pairs(monkeypatch):
    clusters = Clusters.of(compare_all(*crowd(0, 12, 3)))
    expected = verification_rates(clusters)
    monkeypatch.setattr("recognition.metrics.false_matches.TABLE_PER_SCORE", 0)
    monkeypatch.setattr("recognition.metrics.false_matches.TABLED", 1)
    assert verification_rates(clusters) == expected


def test_where_no_error_was_seen_the_interval_still_has_a_width():
    labels = np.repeat(range(4), 2)
    rates = verification_rates(Clusters.of(compare_all(np.eye(4)[labels], labels)))
    at = rates["threshold"].index(0.5)
    for name in ("fmr", "fnmr"):
        assert rates[name][at] == rates[f"{name}_low"][at] == 0
        assert rates[f"{name}_high"][at] > 0.1


def test_thresholds_of_target_rates_are_on_the_grid_with_their_rates():
    scores = compare_all(*crowd(1, 20, 4, digits=9))
    points = [tar_at_fmr(scores, target) for target in (0.1, 0.01)]
    eer = equal_error_rate(scores).threshold
    marks = [*(point.threshold for point in points), eer, -np.inf, np.inf]
    rates = verification_rates(Clusters.of(scores), marks)
    assert np.isfinite(rates["threshold"]).all()
    assert eer in rates["threshold"]
    for point in points:
        at = rates["threshold"].index(point.threshold)
        assert (rates["fmr"][at], rates["fnmr"][at]) == (point.fmr, 1 - point.tar)


def test_below_a_tail_rates_are_exact_where_counted_and_their_ends_are_left_open():
    embeddings, labels = crowd(2, 30, 4, digits=9)
    whole = compare_all(embeddings, labels)
    plan = Plan(least_tail=2, sample=20_000)
    tally = _tally(embeddings, labels, 0.05, 40, None, None, plan)
    assert not tally.complete
    rates = verification_rates(Clusters.of_tail(tally), [tally.floor - 0.0123])
    grid = np.array(rates["threshold"])
    above = grid > tally.floor
    assert above.sum() > 20
    assert 0 < (~above).sum() <= 21
    assert tally.floor - 0.0123 not in grid
    assert rates["fmr"] == pytest.approx([fmr(whole, t) for t in grid], abs=1e-12)
    assert rates["fnmr"] == [fnmr(tally, t) for t in grid]
    assert [low is None for low in rates["fmr_low"]] == (~above).tolist()
    assert None not in rates["fnmr_low"]
    clusters = Clusters.of(whole)
    expected = [clusters.fmr(t) for t in grid[above]]
    np.testing.assert_allclose(ends(rates, "fmr")[-len(expected) :], expected, rtol=1e-6)


def test_mere_lists_are_taken_for_independent():
    lists = ScoreLists(np.array([0.4, 0.6, 0.9]), np.array([0.1, 0.2, 0.5]))
    clusters = clusters_of(lists)
    rates = verification_rates(clusters)
    expected = [clusters.fmr(t) for t in rates["threshold"]]
    np.testing.assert_allclose(ends(rates, "fmr"), expected, atol=1e-12)


@pytest.mark.parametrize("digits", [1, 9])
@pytest.mark.parametrize("seed", range(3))
def test_searches_are_counted_and_clustered_by_whom_they_are_for(seed, digits):
    found = searches_of(seed)
    found = with_failures(found, mated=["p0"], nonmated=["q9"])
    point = fnir_at_fpir(found, 0.2)
    rates = identification_rates(found, [point.threshold])
    grid = rates["threshold"]
    assert rates["fpir"] == [fpir(found, t) for t in grid]
    assert rates["fnir"] == [fnir(found, t) for t in grid]
    at = grid.index(point.threshold)
    assert (rates["fpir"][at], rates["fnir"][at]) == (point.fpir, point.fnir)
    codes = np.unique(found.probes, return_inverse=True)[1]
    hits = np.where(found.ranks == 1, found.mate_scores, -np.inf)
    for place, t in enumerate(grid):
        alarm = share_interval(found.stranger_scores >= t, codes[~found.mated])
        missed = share_interval(hits < t, codes[found.mated])
        assert ends(rates, "fpir")[place] == alarm
        assert ends(rates, "fnir")[place] == missed
    assert rates["fpir"][-1] == 0 < rates["fpir_high"][-1]
    assert [rates[key] for key in ("enrolled", "strangers", "mated")] == [6, 21, 31]


def test_searches_can_stand_on_the_thresholds_of_verification():
    rates = identification_rates(searches_of(0), [0.55], grid=[0.2, 0.4])
    assert rates["threshold"] == [0.2, 0.4, 0.55]


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 730.0, 1e12])
def test_a_grid_is_of_round_numbers_whatever_the_range_of_scores(scale):
    random = np.random.default_rng(0)
    lists = ScoreLists(scale * random.uniform(0.5, 1.5, 99), scale * random.uniform(0, 1, 99))
    grid = verification_rates(clusters_of(lists))["threshold"]
    assert 40 <= len(grid) <= 111
    digits = {len(f"{t:.12g}".split("e")[0].replace(".", "").strip("0-")) for t in grid}
    assert max(digits) <= 4


def test_scores_that_are_all_alike_have_a_grid_of_one():
    lists = ScoreLists(np.full(3, 0.5), np.full(4, 0.5))
    rates = verification_rates(clusters_of(lists))
    assert (rates["threshold"], rates["fmr"], rates["fnmr"]) == ([0.5], [1.0], [0.0])


@pytest.mark.parametrize("type_", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_steps_know_what_is_accepted_at_any_threshold(seed, type_):
    random = np.random.default_rng(seed)
    lists = ScoreLists(*(np.round(random.normal(size=n), 1).astype(type_) for n in (7, 20)))
    own = [*lists.mated.astype(float), *lists.nonmated.astype(float), 0.1, np.inf, -np.inf]
    thresholds = np.array([*own, *np.nextafter(own, np.inf), *np.nextafter(own, -np.inf)])
    false, true = lists.steps.at_least(thresholds)
    assert false.tolist() == [lists.false_matches(t) for t in thresholds]
    assert true.tolist() == [(lists.mated >= t).sum() for t in thresholds]
