from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from recognition.comparisons import ScoreLists, compare_all
from recognition.evaluation.calibration import calibrate
from recognition.evaluation.options import Options
from recognition.evaluation.uncertainty import fitted
from recognition.metrics.calibration import posterior
from recognition.metrics.calibrators import cross_calibrated
from recognition.metrics.resampling import draw

FEW = Options(replicates=40, seed=3)
NEED_A_MAP = ["cllr", "act-dcf@prior=0.01", "act-dcf@prior=0.001", "brier", "ece"]
LABELS = np.repeat(range(10), 4)


def rows(section):
    return {row.key: row for row in section.rows}


def crowd(noise=0.9):
    random = np.random.default_rng(0)
    people = random.normal(size=(10, 8))
    return compare_all(people[LABELS] + noise * random.normal(size=(40, 8)), LABELS)


@pytest.fixture(scope="module")
def orl(shared_data):
    with np.load(shared_data / "orl_mobilefacenet.npz") as held:
        return compare_all(held["embeddings"], held["labels"])


def test_evidence_of_real_faces_is_judged_as_by_scikit_learn(orl):
    found = rows(calibrate(orl, FEW))
    llrs = cross_calibrated(orl, seed=3).llrs
    truth = np.repeat([1, 0], [len(llrs.mated), len(llrs.nonmated)])
    even = np.repeat([0.5 / len(llrs.mated), 0.5 / len(llrs.nonmated)], np.bincount(truth)[::-1])
    chance = posterior(np.concatenate([llrs.mated, llrs.nonmated]), 0.5)
    bits = log_loss(truth, chance, sample_weight=even) / np.log(2)
    assert found["cllr"].estimate.value == pytest.approx(bits, abs=1e-12)
    squares = brier_score_loss(truth, chance, sample_weight=even)
    assert found["brier"].estimate.value == pytest.approx(squares, abs=1e-12)
    assert found["cllr"].estimate.counts["nonmated"] == len(llrs.nonmated)


@pytest.mark.parametrize("prior", [0.01, 0.001])
def test_costs_are_of_the_best_and_of_the_bayes_threshold(prior):
    scores = crowd(noise=0.5)
    found = rows(calibrate(scores, FEW))
    false_alarm = (1 - prior) / prior

    def cost(table, t):
        return (table.mated < t).mean() + false_alarm * (table.nonmated >= t).mean()

    every = [*np.unique(np.concatenate([scores.mated, scores.nonmated])), np.inf]
    best = found[f"min-dcf@prior={prior:g}"].estimate
    assert best.value == pytest.approx(min(cost(scores, t) for t in every), abs=1e-12)
    llrs = cross_calibrated(scores, seed=3).llrs
    actual = found[f"act-dcf@prior={prior:g}"].estimate
    assert actual.value == pytest.approx(cost(llrs, np.log(false_alarm)), abs=1e-12)
    assert actual.counts["threshold"] == pytest.approx(np.log(false_alarm))


def test_intervals_are_those_of_the_resampled_people_written_out():
    scores, options = crowd(noise=0.5), replace(FEW, replicates=25)
    found = rows(calibrate(scores, options))
    llrs = cross_calibrated(scores, seed=3).llrs
    again, squares = {"cllr": [], "act-dcf@prior=0.01": []}, []
    one, two = llrs.nonmated_persons.T
    for w in draw(10, 25, 3).T.astype(int):
        u = np.repeat(llrs.mated, w[llrs.mated_person])
        v = np.repeat(llrs.nonmated, w[one] * w[two])
        bits = np.log2(1 + np.exp(-u)).mean() + np.log2(1 + np.exp(v)).mean()
        again["cllr"].append(bits / 2)
        squares.append(((1 - posterior(u, 0.5)) ** 2).mean() + (posterior(v, 0.5) ** 2).mean())
        t = np.log(99)
        again["act-dcf@prior=0.01"].append((u < t).mean() + 99 * (v >= t).mean())
    for key, values in again.items():
        estimate = found[key].estimate
        low, high = np.sort(values)[[0, 24]]
        assert (estimate.low, estimate.high) == pytest.approx(
            (min(low, estimate.value), max(high, estimate.value))
        )
    brier = found["brier"].estimate
    expected = fitted(brier.value, np.array(squares) / 2, 10)
    assert (brier.low, brier.high) == pytest.approx(expected)
    assert found["cllr"].interval == "person bootstrap, 25 resamples"
    assert found["brier"].interval == "Wilson fitted to a person bootstrap, 25 resamples"
    for row in found.values():
        if row.key != "ece":
            assert row.estimate.low <= row.estimate.value <= row.estimate.high


def test_scores_that_no_map_fits_keep_their_other_numbers_and_the_reason():
    section = calibrate(crowd(noise=0.01), FEW)
    found = rows(section)
    assert found["min-cllr"].estimate.value == 0
    assert 0 < found["min-cllr"].estimate.high < 0.3  # nobody of 10 people
    for key in NEED_A_MAP:
        assert found[key].estimate.value is None
        assert "scores that overlap" in found[key].estimate.note
        assert found[key].interval == ""
    assert list(found) == list(rows(calibrate(crowd(), FEW)))


def test_too_few_people_for_halves_keep_what_needs_none():
    scores = compare_all([[1, 0], [1, 0.1], [0, 1]], ["ann", "ann", "bob"])
    found = rows(calibrate(scores, FEW))
    assert found["min-cllr"].estimate.value == 0
    assert "each half of the people" in found["cllr"].estimate.note


def test_lists_of_nobody_knows_whom_are_told_what_needs_no_map():
    scores = crowd()
    section = calibrate(ScoreLists(scores.mated, scores.nonmated), FEW)
    found, whole = rows(section), rows(calibrate(scores, FEW))
    assert list(found) == ["min-cllr", "min-dcf@prior=0.01", "min-dcf@prior=0.001"]
    for key, row in found.items():
        assert row.estimate.value == whole[key].estimate.value
        assert "independent" in row.interval
        assert row.estimate.counts["pairs"] == 780
    assert "no other people to judge a map on" in section.notes[-1]


def test_scores_that_tell_nothing_are_worth_nothing():
    same = compare_all(np.ones((12, 3)), np.repeat(range(6), 2))
    found = rows(calibrate(same, FEW))
    assert found["cllr"].estimate.value == found["min-cllr"].estimate.value == 1
    assert found["min-dcf@prior=0.01"].estimate.value == 1
    assert found["brier"].estimate.value == 0.25
    assert found["ece"].estimate.value == pytest.approx(0)
    assert "no certainty" in found["cllr"].estimate.note
    assert found["min-cllr"].estimate.low < 1
