import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from recognition.errors import InputError
from recognition.metrics import identification as ident
from recognition.metrics.searches import pool, tabulate, with_failures

TIES = st.sampled_from([0.0, 0.2, 0.5, 0.5, 0.9])
ONE_ULP_UP = float(np.nextafter(np.float32(0.5), np.float32(1)))


def table(rows, keep=20):
    """Searches from [(person on the probe, {person enrolled: score})]."""
    enrolled = list(rows[0][1])
    scores = [[found[person] for person in enrolled] for _, found in rows]
    return tabulate(np.array(scores, np.float32), enrolled, [p for p, _ in rows], keep=keep)


@st.composite
def searches(draw, scores=TIES):
    """Probes of people a-f against galleries of a-c, with heavy ties; some of each kind."""
    gallery = "abc"[: draw(st.integers(1, 3))]
    probes = ["a", "f", *draw(st.lists(st.sampled_from("abcdef"), max_size=12))]
    return [(p, {g: float(np.float32(draw(scores))) for g in gallery}) for p in probes]


def brute(rows, threshold, rank=1, rivals=lambda s, mate: s >= mate):
    """(FPIR, FNIR) search by search."""
    alarms, misses = [], []
    for person, found in rows:
        if person in found:
            mate = found[person]
            place = 1 + sum(rivals(s, mate) for g, s in found.items() if g != person)
            misses.append(place > rank or mate < threshold)
        else:
            alarms.append(any(s >= threshold for s in found.values()))
    return sum(alarms) / len(alarms), sum(misses) / len(misses)


def all_thresholds(rows):
    """Every score, above all of them, and below."""
    every = sorted({s for _, found in rows for s in found.values()}, reverse=True)
    return [float(np.nextafter(np.float32(every[0]), np.float32(np.inf))), *every, -np.inf]


@given(searches(), TIES, st.integers(1, 4))
def test_rates_agree_with_counting_search_by_search(rows, threshold, rank):
    threshold = float(np.float32(threshold))
    found = table(rows)
    for t in (threshold, -np.inf, np.inf):
        assert (ident.fpir(found, t), ident.fnir(found, t, rank)) == brute(rows, t, rank)
    misses = brute(rows, -np.inf)[1]
    assert ident.rank_one_rate(found) == pytest.approx(1 - misses, abs=1e-15)


@given(searches(), st.integers(1, 3))
def test_the_match_curve_counts_ties_both_ways(rows, keep):
    found = table(rows, keep)
    curve = ident.cmc(found)
    gallery = len(rows[0][1])
    assert curve.ranks.tolist() == list(range(1, gallery + 1))
    against = [1 - brute(rows, -np.inf, k)[1] for k in curve.ranks]
    favour = [1 - brute(rows, -np.inf, k, lambda s, mate: s > mate)[1] for k in curve.ranks]
    np.testing.assert_allclose(curve.rate, against, atol=1e-15)
    np.testing.assert_allclose(curve.optimistic, favour, atol=1e-15)
    assert curve.tied == (against != favour)
    mated = sum(person in got for person, got in rows)
    assert (curve.mated, curve.excluded) == (mated, len(rows) - mated)
    assert curve.rate[-1] == curve.optimistic[-1] == 1
    assert ident.cmc(found, [gallery + 5, 1]).rate.tolist() == [1.0, curve.rate[0]]


def test_ranks_of_all_equal_scores_are_last_or_first():
    curve = ident.cmc(table([("a", dict.fromkeys("abcd", 0.5)), ("z", dict.fromkeys("abcd", 0.5))]))
    assert curve.rate.tolist() == [0, 0, 0, 1]
    assert curve.optimistic.tolist() == [1, 1, 1, 1]
    assert curve.tied
    assert not ident.cmc(table([("a", {"a": 0.5, "b": 0.4})])).tied


@given(searches(), st.floats(0, 1), st.integers(0, 12), st.integers(1, 3))
def test_fnir_is_the_least_over_all_thresholds_whose_fpir_is_at_most_the_target(
    rows, any_, whole, rank
):
    found = table(rows)
    strangers = int((~found.mated).sum())
    for target in (any_, min(1.0, whole / strangers)):
        every = [brute(rows, t, rank) for t in all_thresholds(rows)]
        fair = [rates for rates in every if rates[0] <= target + 1e-13]
        point = ident.fnir_at_fpir(found, target, rank)
        assert point.fnir == min(rates[1] for rates in fair) == point.missed / point.mated
        assert point.dir == 1 - point.fnir
        assert point.fpir == max(rates[0] for rates in fair)
        assert (point.fpir, point.fnir) == brute(rows, point.threshold, rank)
        assert point.resolved == (target * strangers * (1 + 1e-12) >= 1)


def test_a_tie_with_another_person_counts_against_the_mate():
    found = table([("a", {"a": 0.5, "b": 0.5, "c": 0.1}), ("b", {"a": 0.1, "b": 0.9, "c": 0.2})])
    assert found.ranks.tolist() == [2, 1]
    assert ident.rank_one_rate(found) == 0.5
    assert ident.fnir(found, 0.5, rank=2) == 0


@given(searches(), searches(), st.integers(1, 3))
def test_a_pool_of_unequal_galleries_counts_every_search_once(one, two, rank):
    pooled = pool([table(one), table(two, keep=1)])
    rows = one + two
    for t in (-1.0, 0.2, 0.5, 1.0):
        t = float(np.float32(t))
        assert (ident.fpir(pooled, t), ident.fnir(pooled, t, rank)) == brute(rows, t, rank)
    assert ident.fnir_at_fpir(pooled, 1).fpir == 1


@given(searches(), st.integers(1, 3), TIES)
def test_selectivity_is_exact_or_says_that_it_is_less(rows, keep, threshold):
    threshold = float(np.float32(threshold))
    for t in (threshold, -np.inf, np.inf):
        strangers = [found for person, found in rows if person not in found]
        every = [sum(s >= t for s in found.values()) for found in strangers]
        found = ident.selectivity(table(rows, keep), t)
        kept = [min(count, keep) for count in every]
        assert (found.candidates, found.nonmated) == (sum(kept), len(strangers))
        assert found.mean == sum(kept) / len(strangers)
        sure = all(count < keep or keep >= len(rows[0][1]) for count in every)
        assert found.exact == sure
        if sure:
            assert sum(kept) == sum(every)


def test_a_threshold_between_two_scores_is_not_rounded_to_one():
    found = table([("a", {"a": 0.5}), ("z", {"a": 0.5})])
    between = (0.5 + ONE_ULP_UP) / 2
    assert ident.fpir(found, 0.5) == ident.selectivity(found, 0.5).mean == 1
    assert ident.fpir(found, between) == ident.selectivity(found, between).mean == 0
    assert ident.fnir(found, between) == 1
    one_kept = table([("z", {"a": 0.5, "b": 0.1})], keep=1)
    assert [ident.selectivity(one_kept, t).exact for t in (0.5, between)] == [False, True]


@given(searches())
def test_the_open_set_curve_is_both_rates_at_every_threshold(rows):
    curve = ident.oscr_curve(table(rows))
    assert (np.diff(curve.thresholds) < 0).all()
    rates = [brute(rows, t) for t in curve.thresholds]
    np.testing.assert_allclose(curve.fpir, [alarm for alarm, _ in rates], atol=1e-15)
    np.testing.assert_allclose(curve.dir, [1 - miss for _, miss in rates], atol=1e-15)
    assert (curve.fpir[0], curve.dir[0], curve.fpir[-1]) == (0, 0, 1)
    assert {brute(rows, t) for t in all_thresholds(rows)} == set(rates)


@given(searches(), st.integers(0, 3), st.integers(0, 3))
def test_the_area_is_the_sum_of_steps_that_never_look_ahead(rows, lost, rejected):
    found = with_failures(table(rows), mated=["a"] * lost, nonmated=["z"] * rejected)
    strangers = int((~found.mated).sum())
    steps = [ident.fnir_at_fpir(found, alarms / strangers).dir for alarms in range(strangers)]
    area = ident.oscr_area(found)
    assert area == pytest.approx(sum(steps) / strangers, abs=1e-14)
    assert area <= ident.rank_one_rate(found) + 1e-15


@given(searches(st.floats(-1, 1, width=32)))
def test_without_ties_the_area_is_that_of_the_roc_in_which_wrong_answers_come_last(rows):
    found = table(rows)
    mates = np.where(found.ranks == 1, found.mate_scores, -2)
    scores = np.concatenate([mates, found.stranger_scores])
    wrong = int((found.ranks > 1).sum())
    assume(len(np.unique(scores)) == len(scores) - max(0, wrong - 1))
    truth = np.arange(len(scores)) < len(mates)
    assert ident.oscr_area(found) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


def test_a_mate_that_ties_with_a_stranger_is_lost():
    rows = [("a", {"a": 0.5, "b": 0.1}), ("z", {"a": 0.1, "b": 0.5})]
    assert ident.oscr_area(table(rows)) == 0
    assert ident.oscr_area(table([rows[0], ("z", {"a": 0.1, "b": 0.4})])) == 1


@given(searches(), st.integers(0, 4), st.integers(0, 4), TIES, st.integers(1, 3))
def test_a_failed_search_is_a_miss_or_a_true_reject(rows, lost, rejected, threshold, rank):
    made = table(rows)
    found = with_failures(made, mated=["b"] * lost, nonmated=["z"] * rejected)
    mated = len(made.ranks)
    for t in (float(np.float32(threshold)), -np.inf):
        alarms, missed = brute(rows, t, rank)
        strangers = len(rows) - mated
        alarms, missed = round(alarms * strangers), round(missed * mated)
        assert ident.fpir(found, t) == alarms / (strangers + rejected)
        assert ident.fnir(found, t, rank) == (missed + lost) / (mated + lost)
    curve = ident.cmc(found, [rank, 10**6])
    assert curve.rate[0] == pytest.approx(1 - ident.fnir(found, -np.inf, rank), abs=1e-15)
    assert curve.rate[1] == curve.optimistic[1] == mated / (mated + lost)
    assert ident.selectivity(found, -np.inf).nonmated == len(found.probes) - mated - lost


def test_the_threshold_of_everything_still_rejects_what_failed():
    rows = [("a", {"a": 0.9}), ("z", {"a": 0.2})]
    found = with_failures(table(rows), mated=["a"], nonmated=["y", "x"])
    point = ident.fnir_at_fpir(found, 1.0)
    assert (point.threshold, point.fpir, point.fnir) == (-np.inf, 1 / 3, 0.5)
    assert ident.oscr_curve(found).fpir[-1] == 1 / 3
    nobody = with_failures(table([("a", {"a": 0.5, "b": 0.5})]), nonmated=["z"])
    with pytest.raises(InputError, match="searches for strangers failed"):
        ident.oscr_curve(nobody)
    assert ident.oscr_area(nobody) == 0


@given(searches(), st.randoms(use_true_random=False))
def test_neither_order_nor_a_rising_scale_matters(rows, random):
    other = [(p, {g: s**3 + 2 for g, s in found.items()}) for p, found in rows]
    random.shuffle(other)
    one, two = table(rows), table(other)
    assert ident.oscr_area(one) == ident.oscr_area(two)
    assert ident.cmc(one).rate.tolist() == ident.cmc(two).rate.tolist()
    for target in (0, 0.3, 1):
        assert ident.fnir_at_fpir(one, target).fnir == ident.fnir_at_fpir(two, target).fnir


def test_what_strangers_cannot_measure_is_said():
    found = table([("a", {"a": 0.9, "b": 0.1})] + [("z", {"a": 0.2, "b": 0.3})] * 40)
    point = ident.fnir_at_fpir(found, 0.001)
    assert (point.resolved, point.reliable) == (False, False)
    assert point.reason == (
        "FPIR 0.001 cannot be measured with 40 non-mated searches; the smallest is 7.5e-02 at 95 %"
    )
    assert ident.fnir_at_fpir(found, 0.75).reliable
    assert "at most 4 false alarms" in ident.fnir_at_fpir(found, 0.1).reason


def test_rates_of_nobody_are_refused():
    mates = table([("a", {"a": 0.9, "b": 0.1})])
    strangers = table([("z", {"a": 0.9, "b": 0.1})])
    for call in (
        lambda: ident.fpir(mates, 0.5),
        lambda: ident.fnir_at_fpir(mates, 0.5),
        lambda: ident.selectivity(mates, 0.5),
        lambda: ident.oscr_area(mates),
        lambda: ident.oscr_curve(mates),
    ):
        with pytest.raises(InputError, match="expected searches for strangers, but all 1"):
            call()
    for call in (
        lambda: ident.fnir(strangers, 0.5),
        lambda: ident.rank_one_rate(strangers),
        lambda: ident.fnir_at_fpir(strangers, 0.5),
        lambda: ident.cmc(strangers),
        lambda: ident.oscr_area(strangers),
    ):
        with pytest.raises(InputError, match="who are enrolled, but none of 1"):
            call()
    for call in (
        lambda: ident.fnir(mates, 0.5, rank=0),
        lambda: ident.cmc(mates, [1, 0]),
        lambda: ident.fnir_at_fpir(pool([mates, strangers]), 0.5, rank=0),
    ):
        with pytest.raises(InputError, match="rank from 1"):
            call()
    with pytest.raises(InputError, match="at least one rank"):
        ident.cmc(mates, [])
    for call in (ident.fpir, ident.selectivity):
        with pytest.raises(InputError, match="not NaN"):
            call(strangers, np.nan)
