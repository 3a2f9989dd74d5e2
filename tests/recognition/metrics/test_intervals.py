import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from clusters import Tally
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.comparisons import Scores, compare_all
from recognition.errors import InputError
from recognition.metrics import (
    area_under_curve,
    equal_error_rate,
    fnir_at_fpir,
    identification_intervals,
    mean_interval,
    rank_one_rate,
    tar_at_fmr,
    verification_intervals,
    wilson,
)
from recognition.metrics.clustered import Clusters
from recognition.metrics.intervals import (
    CLUSTERED_WILSON,
    PERSON_BOOTSTRAP,
    identification_resamples,
    tally_intervals,
)
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.resampling import Resampled, draw
from recognition.metrics.searches import Searches, pool, tabulate

TARGETS = [0.0, 0.01, 0.1, 1 / 3, 0.5, 1.0]


def some_scores(seed, people, mated, nonmated, values=None):
    """Scores of random people; `values` makes them tie."""
    random = np.random.default_rng(seed)
    u, v = random.normal(1, 1, mated), random.normal(0, 1, nonmated)
    if values:
        u, v = np.round(u * values) / values, np.round(v * values) / values
    one = random.integers(0, people, nonmated)
    two = (one + random.integers(1, people, nonmated)) % people
    persons = np.stack([one, two], axis=1).astype(np.int32)
    return Scores(
        u.astype(np.float32),
        v.astype(np.float32),
        random.integers(0, people, mated).astype(np.int32),
        persons,
        people,
    )


def repeated(scores, w):
    """The resample written out: every comparison as often as its people are drawn."""
    w = w.astype(int)
    mated, pairs = w[scores.mated_person], w[scores.nonmated_persons].prod(axis=1)
    if not mated.any() or not pairs.any():
        return None
    return dataclasses.replace(
        scores,
        mated=scores.mated.repeat(mated),
        mated_person=scores.mated_person.repeat(mated),
        nonmated=scores.nonmated.repeat(pairs),
        nonmated_persons=scores.nonmated_persons.repeat(pairs, axis=0),
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(2, 7),
    st.integers(1, 30),
    st.sampled_from([1, 40, 700]),
    st.sampled_from([None, 1, 4]),
)
def test_resamples_equal_the_metrics_of_the_comparisons_written_out(
    seed, people, mated, nonmated, values
):
    scores = some_scores(seed, people, mated, nonmated, values)
    weights = draw(people, 8, seed)
    each = [full for w in weights.T if (full := repeated(scores, w))]
    found = Resampled(scores, weights)
    assert found.weights.shape[1] == len(each)
    for target in TARGETS:
        expected = [tar_at_fmr(full, target).tar for full in each]
        np.testing.assert_allclose(found.tar_at_fmr(target), expected, atol=1e-15)
    expected = [equal_error_rate(full).rate for full in each]
    np.testing.assert_allclose(found.equal_error_rate(), expected, atol=1e-15)
    # the only figure that is approximate, and only inside blocks
    blocks = 1e-12 if nonmated < 90 else 0.02
    expected = [area_under_curve(full) for full in each]
    np.testing.assert_allclose(found.area_under_curve(), expected, atol=blocks)


@pytest.mark.parametrize("people", [5, 60, 700])
def test_many_scores_in_few_blocks_are_resampled_exactly_too(people):
    scores = some_scores(7, people, 900, 60_000)
    weights = draw(people, 5, 3)
    found = Resampled(scores, weights)
    full = [repeated(scores, w) for w in weights.T]
    for target in (1e-3, 0.01, 0.3):
        expected = [tar_at_fmr(each, target).tar for each in full]
        np.testing.assert_allclose(found.tar_at_fmr(target), expected, rtol=1e-15)
    expected = [equal_error_rate(each).rate for each in full]
    np.testing.assert_allclose(found.equal_error_rate(), expected, rtol=1e-14)
    expected = [area_under_curve(each) for each in full]
    np.testing.assert_allclose(found.area_under_curve(), expected, atol=2e-4)  # it varies by 1e-2


def test_a_tie_larger_than_a_block_is_a_block_of_its_own():
    scores = some_scores(2, 9, 50, 20_000, values=1)
    found = Resampled(scores, np.ones((9, 1)))
    assert all(len(set(found.keys[block])) == 1 for block in found.blocks[:-1])
    assert len(found.blocks) <= len(set(found.keys))


def test_the_whole_sample_is_its_own_resample():
    scores = some_scores(1, 30, 500, 20_000)
    once = Resampled(scores, np.ones((30, 1)))
    assert once.tar_at_fmr(0.01)[0] == tar_at_fmr(scores, 0.01).tar
    assert once.equal_error_rate()[0] == pytest.approx(equal_error_rate(scores).rate, rel=1e-14)
    assert once.area_under_curve()[0] == pytest.approx(area_under_curve(scores), rel=1e-12)
    few = some_scores(1, 30, 500, 100)
    once = Resampled(few, np.ones((30, 1)))
    for target in np.arange(1, 100) / 100:  # 0.29 x 100 is 28.999999999999996
        assert once.tar_at_fmr(target)[0] == pytest.approx(tar_at_fmr(few, target).tar), target


def dataset(random, people=30, pictures=4):
    """Some people scatter more than others, so that their comparisons fail together."""
    spread = random.uniform(0.2, 1.6, size=(people, 1, 1))
    rows = random.normal(size=(people, 1, 6)) + spread * random.normal(size=(people, pictures, 6))
    return compare_all(rows.reshape(-1, 6), np.repeat(np.arange(people), pictures))


def test_intervals_are_as_wide_as_the_numbers_really_vary():
    random = np.random.default_rng(2)
    rates, widths, naive = [], [], []
    for _ in range(60):
        scores = dataset(random)
        found = verification_intervals(scores, [0.1], replicates=150)
        point = tar_at_fmr(scores, 0.1)
        rates.append((point.tar, equal_error_rate(scores).rate, area_under_curve(scores)))
        ranges = (found.tar[0.1], found.equal_error_rate, found.area_under_curve)
        widths.append([high - low for low, high in ranges])
        naive.append(np.ptp(wilson(point.accepted, point.mated)))
    true = 2 * 1.96 * np.std(rates, axis=0)
    assert (np.mean(widths, axis=0) / true > 0.75).all()
    assert (np.mean(widths, axis=0) / true < 1.35).all()
    assert np.mean(naive) / true[0] < 0.75  # what independent pairs would promise


def test_equal_seeds_give_equal_intervals():
    scores = dataset(np.random.default_rng(0))
    one, two = (verification_intervals(scores, [0.1], replicates=60, seed=4) for _ in range(2))
    assert one == two
    assert (one.equal_error_rate_resamples == two.equal_error_rate_resamples).all()
    assert len(one.equal_error_rate_resamples) == 60
    other = verification_intervals(scores, [0.1], replicates=60, seed=5)
    assert (one.equal_error_rate_resamples != other.equal_error_rate_resamples).any()
    wider = verification_intervals(scores, [0.1], replicates=60, seed=4, level=0.99)
    assert wider.equal_error_rate.low <= one.equal_error_rate.low
    assert wider.equal_error_rate.high >= one.equal_error_rate.high


def test_what_cannot_be_measured_has_no_interval():
    scores = some_scores(0, 8, 50, 900)
    found = verification_intervals(scores, [1e-3, 0.1], replicates=20)
    assert found.tar[1e-3] is None
    assert found.tar[0.1] is not None


def test_options_that_measure_nothing_are_refused():
    scores = some_scores(0, 8, 50, 900)
    for options, says in (
        ({"replicates": 0}, "at least 1 resample"),
        ({"level": 1.0}, "level between 0 and 1"),
        ({"level": 0.0}, "level between 0 and 1"),
    ):
        with pytest.raises(InputError, match=says):
            verification_intervals(scores, [], **options)
    two = some_scores(0, 2, 3, 3)
    empty = next(s for s in range(99) if not (draw(2, 1, s) == 1).all())
    with pytest.raises(InputError, match="none of 1 resamples"):
        verification_intervals(two, [], replicates=1, seed=empty)


def test_the_tables_take_the_method_whose_coverage_is_the_better():
    scores = some_scores(3, 20, 300, 9000)
    found = verification_intervals(scores, [0.01, 0.1], replicates=40, level=0.9)
    clusters = Clusters.of(scores)
    assert found.tar == {target: clusters.tar(target, level=0.9) for target in (0.01, 0.1)}
    assert found.equal_error_rate == clusters.eer(level=0.9)
    assert found.area_under_curve == clusters.auc(level=0.9)
    resamples = Resampled(scores, draw(20, 40, 0)).equal_error_rate()
    assert (found.equal_error_rate_resamples == resamples).all()
    assert set(found.methods.values()) == {CLUSTERED_WILSON}
    assert identification_intervals(some_candidates(0), []).methods == {
        "rank-one": CLUSTERED_WILSON,
        "fnir": PERSON_BOOTSTRAP,
    }


def test_a_tally_has_the_intervals_of_its_scores_as_far_as_its_tail_reaches():
    whole = Tally.of(dataset(np.random.default_rng(4)), np.full(30, 4))
    expected = verification_intervals(whole.scores, [1e-9, 0.01, 0.1], replicates=2)
    found = tally_intervals(whole, [1e-9, 0.01, 0.1])
    assert found.tar == expected.tar
    assert found.tar[1e-9] is None
    assert found.equal_error_rate == expected.equal_error_rate
    short = tally_intervals(whole.cut(round(0.04 * whole.nonmated_count)), [0.01, 0.1])
    assert short.tar == {0.01: expected.tar[0.01], 0.1: None}
    assert short.equal_error_rate is None
    assert short.methods == {"tar": CLUSTERED_WILSON, "eer": CLUSTERED_WILSON}


def some_candidates(seed, people=12, probes=80, values=8):
    """The first two thirds of the people are enrolled, the first half of them as strangers too."""
    random = np.random.default_rng(seed)
    names = np.array([f"p{i}" for i in range(people)])
    enrolled = names[: 2 * people // 3]
    on = random.choice(names, probes)
    scores = np.round(random.normal(size=(probes, len(enrolled))) * values) / values
    scores[on[:, None] == enrolled] += 2
    twice = random.random(probes) < 0.2  # searched in a gallery without the person
    labels = [
        np.where((enrolled == person) & also, "nobody", enrolled)
        for person, also in zip(on, twice, strict=True)
    ]
    rows = zip(scores, labels, on, strict=True)
    return pool([tabulate(row[None], names, [person]) for row, names, person in rows])


def repeated_searches(found, times):
    """The resample written out: every search as often as its person is drawn."""
    mates = times[found.mated]
    parts = {"mate_scores": mates, "ranks": mates, "ranks_optimistic": mates}
    every = {
        field.name: getattr(found, field.name).repeat(parts.get(field.name, times), axis=0)
        for field in dataclasses.fields(found)
        if field.name != "people"
    }
    return Searches(**every, people=found.people)


@pytest.mark.parametrize("seed", range(6))
def test_identification_resamples_equal_the_metrics_written_out(seed):
    found = some_candidates(seed)
    names, codes = np.unique(found.probes, return_inverse=True)
    rates = []
    for w in draw(len(names), 21, seed).T.astype(int):
        full = repeated_searches(found, w[codes])
        points = [fnir_at_fpir(full, target).fnir for target in (0.05, 0.2, 1.0)]
        rates.append(points)
    for level in (0.5, 0.9):
        intervals = identification_intervals(
            found, [0.05, 0.2, 1.0], replicates=21, seed=seed, level=level
        )
        ends = list(intervals.fnir.values())
        low = np.quantile(rates, (1 - level) / 2, axis=0, method="lower")
        high = np.quantile(rates, (1 + level) / 2, axis=0, method="higher")
        np.testing.assert_allclose(ends, np.stack([low, high], axis=1), atol=1e-15)


def test_searches_for_everybody_once_are_the_searches_themselves(monkeypatch):
    monkeypatch.setattr(
        "recognition.metrics.intervals.draw", lambda people, *_: np.ones((people, 1))
    )
    for seed in range(3):
        found = some_candidates(seed, probes=200, values=10**6)
        strangers = len(found.stranger_scores)
        targets = [k / n for n in (100, strangers) for k in range(3, n)]
        again = identification_resamples(found, targets, replicates=1)
        for target in targets:
            assert again.fnir[target][0] == pytest.approx(fnir_at_fpir(found, target).fnir), target


def test_the_rank_one_rate_is_a_share_of_the_searches_of_people():
    found = some_candidates(0)
    own = np.unique(found.probes, return_inverse=True)[1][found.mated]
    interval = identification_intervals(found, [], replicates=9, level=0.9).rank_one_rate
    assert interval == share_interval(found.ranks == 1, own, level=0.9)
    assert interval.low < rank_one_rate(found) < interval.high
    every = {name: getattr(found, name) for name in ("probes", "mated", "stranger_scores")}
    everyone = SimpleNamespace(**every, mate_scores=found.mate_scores, ranks=np.ones(len(own)))
    people = len(np.unique(own))
    assert identification_intervals(everyone, []).rank_one_rate == wilson(people, people)


def test_identification_below_one_false_alarm_has_no_interval():
    found = some_candidates(0)
    assert identification_intervals(found, [1e-3], replicates=9).fnir == {1e-3: None}


def test_the_mean_varies_with_people_not_with_pictures():
    random = np.random.default_rng(1)
    of_person = random.normal(size=50)
    once = mean_interval(of_person, np.arange(50))
    assert once.high - once.low == pytest.approx(3.92 / 50**0.5, rel=0.3)
    often = mean_interval(of_person.repeat(20), np.arange(50).repeat(20))
    np.testing.assert_allclose(often, once, rtol=1e-12)
    assert mean_interval(of_person, np.arange(50), seed=1) != once
    for values in ([1.0], [1.0, np.nan], []):
        with pytest.raises(InputError, match="one finite number"):
            mean_interval(values, ["a"] * len(values) if len(values) != 1 else ["a", "b"])


def test_wilson_solves_its_equation():
    for successes, trials in [(1, 10), (9, 10), (500, 1000), (1, 10**6)]:
        for bound in wilson(successes, trials):  # |p - bound| = z sqrt(bound (1 - bound) / n)
            gap = abs(successes / trials - bound)
            assert gap == pytest.approx(1.959963985 * np.sqrt(bound * (1 - bound) / trials))
    assert wilson(0, 5).low == 0
    assert wilson(5, 5).high == 1
    assert wilson(5990, 6000) == pytest.approx((0.99693, 0.99910), abs=1e-4)  # LFW: 99.83 %
    for bad in ((1, 0), (-1, 5), (6, 5)):
        with pytest.raises(InputError, match="successes among trials"):
            wilson(*bad)
