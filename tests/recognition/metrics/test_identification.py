import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.metrics import identification as ident
from recognition.metrics.identification import Candidates, pool

TIES = st.sampled_from([0.0, 0.2, 0.5, 0.5, 0.9])


def table(rows):
    """Candidates from [(person on the probe, {person enrolled: score})]."""
    best = [sorted(found.items(), key=lambda item: (-item[1], item[0])) for _, found in rows]
    return Candidates(
        np.array([[score for _, score in row] for row in best], np.float32),
        np.array([[label for label, _ in row] for row in best]),
        np.array([person for person, _ in rows]),
        np.array([person in found for person, found in rows]),
    )


@st.composite
def searches(draw):
    """Probes of people a-f against galleries of a-c, with heavy ties; some of each kind."""
    gallery = "abc"[: draw(st.integers(1, 3))]
    probes = ["a", "f", *draw(st.lists(st.sampled_from("abcdef"), max_size=12))]
    return [(p, {g: float(np.float32(draw(TIES))) for g in gallery}) for p in probes]


def brute(rows, threshold, rank=1):
    """(FPIR, FNIR) search by search."""
    alarms, misses = [], []
    for person, found in rows:
        if person in found:
            place = 1 + sum(s >= found[person] for g, s in found.items() if g != person)
            misses.append(place > rank or found[person] < threshold)
        else:
            alarms.append(any(s >= threshold for s in found.values()))
    return sum(alarms) / len(alarms), sum(misses) / len(misses)


@settings(deadline=None)
@given(searches(), TIES, st.integers(1, 3))
def test_rates_agree_with_counting_search_by_search(rows, threshold, rank):
    threshold = float(np.float32(threshold))
    found = table(rows)
    assert (ident.fpir(found, threshold), ident.fnir(found, threshold, rank)) == brute(
        rows, threshold, rank
    )
    misses = brute(rows, -np.inf)[1]
    assert ident.rank_one_rate(found) == pytest.approx(1 - misses, abs=1e-15)


@settings(deadline=None)
@given(searches(), st.floats(0, 1), st.integers(0, 12))
def test_fnir_is_the_least_over_all_thresholds_whose_fpir_is_at_most_the_target(rows, any_, whole):
    found = table(rows)
    strangers = int((~found.mated).sum())
    every = np.unique(found.scores)
    thresholds = [-np.inf, *every, np.nextafter(every[-1], np.float32(np.inf))]
    for target in (any_, min(1.0, whole / strangers)):
        fair = [rates for t in thresholds if (rates := brute(rows, t))[0] <= target + 1e-13]
        point = ident.fnir_at_fpir(found, target)
        assert point.fnir == min(rates[1] for rates in fair) == point.missed / point.mated
        assert point.fpir == max(rates[0] for rates in fair)
        assert (point.fpir, point.fnir) == brute(rows, point.threshold)
        assert point.resolved == (target * strangers * (1 + 1e-12) >= 1)


def test_a_tie_with_another_person_counts_against_the_mate():
    found = table([("a", {"a": 0.5, "b": 0.5, "c": 0.1}), ("b", {"a": 0.1, "b": 0.9, "c": 0.2})])
    assert found.ranks.tolist() == [2, 1]
    assert ident.rank_one_rate(found) == 0.5
    assert ident.fnir(found, 0.5, rank=2) == 0


@settings(deadline=None)
@given(searches(), searches(), st.integers(1, 3))
def test_padding_a_pool_of_unequal_galleries_counts_nothing(one, two, rank):
    pooled = pool([table(one), table(two)])
    rows = one + two
    assert len(pooled.probes) == len(rows)
    for t in (-1.0, 0.2, 0.5, 1.0):
        t = float(np.float32(t))
        assert (ident.fpir(pooled, t), ident.fnir(pooled, t, rank)) == brute(rows, t, rank)
    assert (pooled.labels[pooled.scores == -np.inf] == "").all()
    assert ident.fnir_at_fpir(pooled, 1).fpir == 1


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
    ):
        with pytest.raises(InputError, match="expected searches for strangers, but all 1"):
            call()
    for call in (
        lambda: ident.fnir(strangers, 0.5),
        lambda: ident.rank_one_rate(strangers),
        lambda: ident.fnir_at_fpir(strangers, 0.5),
    ):
        with pytest.raises(InputError, match="who are enrolled, but none of 1"):
            call()
    with pytest.raises(InputError, match="rank from 1"):
        ident.fnir(mates, 0.5, rank=0)
    with pytest.raises(InputError, match="at least one table"):
        pool([])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probes": np.array(["a"])}, "shape"),
        ({"scores": np.array([[0.1, 0.9], [0.9, 0.1]])}, "descend"),
        ({"scores": np.array([[np.nan, 0.1], [0.9, 0.1]])}, "NaN"),
        ({"scores": np.array([[-np.inf, -np.inf], [0.9, 0.1]])}, "finite best"),
        ({"scores": np.array([[0.9, -np.inf], [0.9, 0.1]])}, "empty labels"),
        ({"mated": np.array([True, True])}, "no other probe's"),
        ({"mated": np.array([False, False])}, "no other probe's"),
        ({"labels": np.array([["a", "a"], ["a", "b"]])}, "once"),
    ],
)
def test_candidates_that_contradict_themselves_are_refused(change, message):
    found = table([("a", {"a": 0.9, "b": 0.1}), ("z", {"a": 0.9, "b": 0.1})])
    with pytest.raises(InputError, match=message):
        dataclasses.replace(found, **change)
