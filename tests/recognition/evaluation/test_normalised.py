"""Normalised rates beside the raw ones."""

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from recognition import Normaliser, Options, evaluate
from recognition.comparisons import compare_all
from recognition.datasets.pair_lists import FailedComparisons, PairList
from recognition.errors import InputError
from recognition.evaluation import task
from recognition.metrics import equal_error_rate

FAST = Options(replicates=50, parts=("verification", "identification"))


def faces(people=10, pictures=4, seed=0, name="p"):
    """Pictures, some of which look like everybody: these are what a cohort finds."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(people, 12)).repeat(pictures, axis=0)
    common = random.uniform(0, 2.5, size=(people * pictures, 1)) * np.ones(12)
    x = centres + 0.3 * random.normal(size=centres.shape) + common
    return x, np.repeat([f"{name}{k:02d}" for k in range(people)], pictures)


@pytest.fixture(scope="module")
def cohort():
    return Normaliser.of(*faces(30, 2, seed=1, name="other"), "s")


@pytest.fixture(scope="module")
def found(cohort):
    return evaluate(*faces(), options=FAST, normaliser=cohort)


def test_a_cohort_finds_who_looks_like_everybody(found):
    change = found["normalised:eer:change"].estimate
    assert change.high < 0, "the error falls, and can be told apart"
    assert change.counts["verdict"] == "lower"
    assert "EER" in found.sections[-1].notes[-1]
    named = found["normalised:rank1:change"].estimate
    assert 0 < named.low <= named.value <= named.high
    assert named.counts["verdict"] == "higher"


def test_the_raw_rates_are_those_of_the_other_sections(found):
    for key in ("eer", "auc", "tar@fmr=0.1", "fnir@fpir=0.1", "rank1"):
        row = found[f"normalised:{key}"].estimate
        assert row.counts["raw"] == found[key].estimate.value
        change = found[f"normalised:{key}:change"].estimate
        assert change.value == pytest.approx(row.value - row.counts["raw"])
        assert change.low <= change.value <= change.high


def test_the_value_is_that_of_the_normalised_scores(found, cohort):
    from recognition.comparisons.compared_pictures import all_pairs

    x, labels = faces()
    scores = cohort.scores(compare_all(x, labels), x, all_pairs(labels))
    assert found["normalised:eer"].estimate.value == equal_error_rate(scores).rate
    json.dumps(found.as_dict(), allow_nan=False)


def test_what_cannot_be_measured_says_so(found):
    row = found["normalised:tar@fmr=0.001"].estimate
    assert row.value is None
    assert "cannot be measured" in row.note


def test_one_sided_methods_are_for_searches_and_lists():
    x, labels = faces()
    one_sided = Normaliser.of(*faces(20, 2, seed=1, name="other"), "zt")
    section = evaluate(x, labels, options=FAST, normaliser=one_sided).sections[-1]
    assert {row.key.split(":")[1] for row in section.rows} == {
        "rank1", "fnir@fpir=0.1", "fnir@fpir=0.01"}  # fmt: skip
    assert "only searches are normalised" in section.notes[0]
    first, second = np.array([0, 4, 0, 8, 12]), np.array([1, 5, 4, 12, 17])
    mated = labels[first] == labels[second]
    pairs = PairList(first, second, mated, None, FailedComparisons(0, 0))
    only = replace(FAST, parts=("verification",))
    section = evaluate(x, labels, options=only, pairs=pairs, normaliser=one_sided).sections[-1]
    assert section.rows[0].key == "normalised:eer"
    with pytest.raises(InputError, match="take s or as, list pairs"):
        evaluate(x, labels, options=Options(parts=("verification",)), normaliser=one_sided)


def test_every_stage_is_told():
    seen = []

    @contextmanager
    def watch(what, total):
        seen.append(what)
        yield lambda done, note="": None

    small = Normaliser.of(*faces(20, 2, seed=1, name="other"), "as")
    only = replace(FAST, parts=("verification",))
    evaluate(*faces(), options=only, normaliser=small, watch=watch)
    assert {"scoring the cohort", "intervals", "resampling people"} <= {*seen}


def test_a_small_cohort_is_said_to_be_taken_whole():
    small = Normaliser.of(*faces(20, 2, seed=1, name="other"), "as")
    section = evaluate(*faces(), options=FAST, normaliser=small).sections[-1]
    assert any("as1 is s" in note for note in section.notes)


def test_an_overlap_is_refused_before_any_work(cohort):
    from recognition.datasets.embedding_files import Failure

    x, labels = faces()
    with pytest.raises(InputError, match="'other03'"):
        evaluate(x, np.where(labels == "p00", "other03", labels), normaliser=cohort)
    with pytest.raises(InputError, match=r"'other04'.*could not be embedded"):
        evaluate(x, labels, failures=[Failure("f", "other04", "NaN")], normaliser=cohort)


def test_more_pairs_than_are_kept_are_sampled_and_labelled(cohort, monkeypatch):
    monkeypatch.setattr(task, "EVERY_SCORE", 1500)
    section = evaluate(*faces(16), options=FAST, normaliser=cohort).sections[-1]
    assert any(note.startswith("Pairs: Measured on ") for note in section.notes)
    assert section.rows[0].key == "normalised:eer"
