"""Galleries that are searched apart: rates of each, and their mean."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.metrics.averaged_galleries import averaged_fnir, averaged_intervals, averaged_rate
from recognition.metrics.identification import fnir_at_fpir
from recognition.metrics.intervals import identification_intervals
from recognition.metrics.resampling import draw
from recognition.metrics.searches import Searches, tabulate


def two(seed: int, values: int = 10**6, probes: int = 40) -> list[Searches]:
    """Two galleries of four people, the same probes of all eight."""
    random = np.random.default_rng(seed)
    shown = np.append(np.arange(8), random.integers(0, 8, probes - 8))
    tables = []
    for people in (np.arange(4), np.arange(4, 8)):
        scores = random.integers(0, values, (probes, 4)) / values
        scores += 0.5 * (shown[:, None] == people)
        tables.append(tabulate(scores, people.astype(str), shown.astype(str)))
    return tables


@given(seed=st.integers(0, 2**32), values=st.sampled_from([2, 5, 10**6]))
def test_rates_are_the_means_of_both_galleries(seed: int, values: int) -> None:
    tables = two(seed, values)
    for target in (0.05, 0.2, 1.0):
        found = averaged_fnir(tables, target)
        each = [fnir_at_fpir(table, target) for table in tables]
        assert found.points == tuple(each)
        assert found.fnir == pytest.approx((each[0].fnir + each[1].fnir) / 2)
    for rank in (1, 2, 4):
        shares = [(table.ranks <= rank).mean() for table in tables]
        assert averaged_rate(tables, rank) == pytest.approx(np.mean(shares))


def naive(tables: list[Searches], target: float, replicates: int, seed: int) -> list[float]:
    """Every resample on its own, everybody as often as drawn."""
    names = np.unique(np.concatenate([table.probes for table in tables]))
    weights, means = draw(len(names), replicates, seed), []
    for b in range(replicates):
        missed = []
        for table in tables:
            often = weights[np.searchsorted(names, table.probes), b].astype(int)
            strange = np.repeat(table.stranger_scores, often[~table.mated])
            mates = np.repeat(table.mate_scores, often[table.mated])
            ranks = np.repeat(table.ranks, often[table.mated])
            if not len(strange) or not len(mates):
                break
            allowed = int(np.floor(target * len(strange) * (1 + 1e-12)))
            ordered = np.sort(strange)[::-1]
            limit = ordered[allowed] if allowed < len(ordered) else -np.inf
            missed.append(1 - ((ranks == 1) & (mates > limit)).mean())
        if len(missed) == len(tables):
            means.append(float(np.mean(missed)))
    return means


@pytest.mark.parametrize("cells", [1, 700, 2**21])
@pytest.mark.parametrize("values", [2, 10**6])  # of two values, mates tie with strangers
def test_intervals_are_those_of_drawing_people_one_by_one(
    cells: int, values: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr("recognition.metrics.averaged_galleries.CELLS", cells)
    for seed in range(3):
        tables = two(seed, values)
        found = averaged_intervals(tables, [1], [0.1, 0.3], replicates=60, seed=seed)
        for target, interval in found.fnir.items():
            means = naive(tables, target, 60, seed)
            assert interval is not None
            assert interval.low == pytest.approx(np.quantile(means, 0.025, method="lower"))
            assert interval.high == pytest.approx(np.quantile(means, 0.975, method="higher"))
        assert found.rates[1].low <= averaged_rate(tables, 1) <= found.rates[1].high


@pytest.mark.parametrize(("probes", "cells"), [(30, 1), (48, 7), (100, 2**21), (132, 2**21)])
def test_a_resample_of_everybody_once_gives_the_rate_itself(
    probes: int, cells: int, monkeypatch: Any
) -> None:
    """Also where target x strangers is a whole number: a budget is met, and no bit short of it."""
    monkeypatch.setattr("recognition.metrics.averaged_galleries.CELLS", cells)
    monkeypatch.setattr(
        "recognition.metrics.averaged_galleries.draw", lambda people, *_: np.ones((people, 1))
    )
    for seed in range(4):
        tables = two(seed, values=(2, 10**6)[seed % 2], probes=probes)
        strangers = int((~tables[0].mated).sum())
        just = [k / strangers / (1 + 1e-12) for k in (1, 2, 5)]  # met without forgiving anything
        exactly = [x for x in just if x * strangers * (1 + 1e-12) in (1, 2, 5)]
        tidy = [k / 100 for k in range(2, 100)]  # 0.29 x 100 is 28.999999999999996
        targets = [*exactly, *tidy, *(k / strangers for k in range(1, strangers))]
        found = averaged_intervals(tables, [1], targets, replicates=1, seed=seed)
        for target in targets:
            point = averaged_fnir(tables, target)
            interval = found.fnir[target]
            if point.resolved:
                assert interval == pytest.approx((point.fnir, point.fnir), abs=1e-12), target
            else:
                assert interval is None


def test_one_gallery_has_the_intervals_it_always_had() -> None:
    [table, _] = two(5)
    found = averaged_intervals([table], [1], [0.1, 0.001], replicates=100)
    expected = identification_intervals(table, [0.1, 0.001], replicates=100)
    assert found.fnir[0.1] == pytest.approx(expected.fnir[0.1])
    assert found.fnir[0.001] is None
    assert not averaged_fnir([table], 0.001).resolved
    assert "cannot be measured" in str(averaged_fnir([table], 0.001).reason)


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(InputError, match="at least one gallery"):
        averaged_rate([], 1)
    with pytest.raises(InputError, match="at least 1 resample"):
        averaged_intervals(two(0), [1], [0.1], replicates=0)
    with pytest.raises(InputError, match="a level between 0 and 1"):
        averaged_intervals(two(0), [1], [0.1], level=1.0)
    lone = tabulate(np.array([[0.5], [0.4]]), ["a"], ["a", "b"])
    seed = next(seed for seed in range(99) if 0 in draw(2, 1, seed))  # one of them twice
    with pytest.raises(InputError, match="none of 1 resamples had both"):
        averaged_intervals([lone], [1], [0.5], replicates=1, seed=seed)
