"""More pairs than can be kept one by one: the same numbers where exact, bounds elsewhere."""

import numpy as np
import pytest

from recognition.comparisons.all_pairs import Plan, _tally
from recognition.comparisons.pairs import compare_all
from recognition.evaluation.options import Options
from recognition.evaluation.tallied import verify_tally
from recognition.metrics.hull import hull_equal_error_rate
from recognition.metrics.score_separation import d_prime, partial_area
from recognition.metrics.verification import (
    area_under_curve,
    equal_error_rate,
    fmr,
    tar_at_fmr,
)

TARGETS = (0.1, 0.01, 0.001, 1e-4)


@pytest.fixture(scope="module")
def crowd():
    random = np.random.default_rng(0)
    centres = random.normal(size=(120, 1, 16))
    embeddings = (centres + 0.9 * random.normal(size=(120, 5, 16))).reshape(-1, 16)
    return embeddings, np.repeat(np.arange(120), 5)


@pytest.fixture(scope="module")
def scores(crowd):
    return compare_all(*crowd)


@pytest.fixture(scope="module")
def tally(crowd):
    """A tail of two in a thousand, so that 0.001 and below are exact."""
    plan = Plan(least_tail=2, sample=20_000)
    found = _tally(*crowd, 2e-3, 40, None, None, plan)
    assert not found.complete
    return found


@pytest.fixture(scope="module")
def rows(tally):
    section = verify_tally(tally, Options(fmr=TARGETS, thresholds=(0.95,)))
    return {row.key: row.estimate for row in section.rows}


def test_rates_inside_the_tail_are_those_of_all_scores(scores, rows):
    for target in (0.001, 1e-4):
        whole = tar_at_fmr(scores, target)
        assert rows[f"tar@fmr={target:g}"].value == whole.tar
        assert rows[f"tar@fmr={target:g}"].counts["threshold"] == whole.threshold
    assert rows["fmr@t=0.95"].value == fmr(scores, 0.95)


def test_rates_below_the_tail_keep_to_the_target_and_say_what_was_reached(scores, rows):
    for target in (0.1, 0.01):
        found, whole = rows[f"tar@fmr={target:g}"], tar_at_fmr(scores, target)
        assert found.counts["fmr"] == fmr(scores, found.counts["threshold"]) <= target
        assert found.counts["fmr"] > target / 2
        assert found.value <= whole.tar
        assert found.low < found.value < found.high
        assert f"at FMR {found.counts['fmr']:.3g}" in found.note


def test_bounds_hold_what_all_scores_give(scores, rows):
    eer = rows["eer"]
    assert eer.counts["low"] <= equal_error_rate(scores).rate <= eer.counts["high"]
    assert eer.counts["high"] - eer.counts["low"] < 0.05
    assert f"between {eer.counts['low']:.6f}" in eer.note
    assert rows["eer-hull"].value >= hull_equal_error_rate(scores).rate - 1e-12
    low, high = (float(word.rstrip(".")) for word in rows["auc"].note.split()[1::2])
    assert low <= area_under_curve(scores) + 1e-6
    assert area_under_curve(scores) <= high + 1e-6
    assert rows["auc"].value == pytest.approx(area_under_curve(scores), abs=high - low)
    assert rows["pauc"].value <= partial_area(scores, 1e-3, 1e-1) + 1e-12
    assert rows["d-prime"].value == pytest.approx(d_prime(scores.mated, scores.nonmated), rel=1e-6)


def test_histograms_hold_every_comparison(tally, scores):
    drawn = verify_tally(tally, Options(fmr=TARGETS)).curves["histogram"]
    assert drawn["mated"].sum() == len(scores.mated)
    assert drawn["nonmated"].sum() == len(scores.nonmated)
    assert (np.diff(drawn["bins"]) > 0).all()
    expected = np.histogram(scores.nonmated, drawn["bins"])[0]
    assert drawn["nonmated"].tolist() == expected.tolist()
