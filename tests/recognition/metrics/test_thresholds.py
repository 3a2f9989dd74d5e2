import dataclasses
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from recognition.comparisons.pairs import compare_all
from recognition.comparisons.scores import ScoreLists
from recognition.comparisons.steps import Steps
from recognition.errors import InputError
from recognition.metrics import thresholds as t
from recognition.metrics.accuracy import fold_accuracy
from recognition.metrics.costs import Costs, hter, min_dcf
from recognition.metrics.verification import equal_error_rate, fmr, fnmr, tar_at_fmr

GRID = st.sampled_from([-1.0, -0.5, 0.0, 0.1, 0.3, 0.5, 1.0])
KINDS = st.sampled_from([np.float32, np.float64])
COSTS = Costs(0.1, 2.0, 1.0)
RULES = [
    ("fmr", {"target": 0.1}),
    ("fmr", {"target": 0.5}),
    ("eer", {}),
    ("min_dcf", {"costs": COSTS}),
    ("accuracy", {}),
    ("youden", {}),
]
EVERY_RULE = st.sampled_from(RULES)


@st.composite
def tied(draw):
    """A few values many times over, the two kinds not always of one type."""
    mated = draw(st.lists(GRID, min_size=1, max_size=12))
    nonmated = draw(st.lists(GRID, min_size=1, max_size=40))
    return ScoreLists(np.array(mated, draw(KINDS)), np.array(nonmated, draw(KINDS)))


def normal(mated, nonmated, seed=0, apart=2.0):
    random = np.random.default_rng(seed)
    return ScoreLists(random.normal(apart, 1, mated), random.normal(0, 1, nonmated))


class Binned(ScoreLists):
    """Counts are known at a few thresholds only and at -inf, as in a tally."""

    @property
    def steps(self):
        exact = super().steps
        last = len(exact.thresholds) - 1
        known = np.unique(np.r_[0 : last + 1 : 7, last])
        thresholds, false, true = (column[known] for column in exact[:3])
        return Steps(np.append(thresholds[:-1], -np.inf), false, true, complete=False)


def counts_at(scores, threshold):
    """(mated, non-mated) accepted, counted one by one in float64."""
    return tuple(
        sum(score >= threshold for score in kind.tolist())
        for kind in (scores.mated, scores.nonmated)
    )


def naive_counts(scores):
    """What each threshold accepts, from nothing to everything."""
    every = {*scores.mated.tolist(), *scores.nonmated.tolist()}
    return [counts_at(scores, x) for x in (math.inf, *sorted(every, reverse=True))]


@given(tied(), EVERY_RULE, st.sampled_from(["low", "mid", "high", None]))
def test_the_counts_are_those_of_the_threshold_whatever_its_placement(scores, rule, placement):
    name, options = rule
    chosen = t.choose_threshold(scores, name, **options, placement=placement)
    assert (chosen.accepted, chosen.false_matches) == counts_at(scores, chosen.value)
    assert (chosen.mated, chosen.nonmated) == (len(scores.mated), len(scores.nonmated))
    assert chosen.fmr == fmr(scores, chosen.value)
    assert chosen.fnmr == fnmr(scores, chosen.value)
    assert chosen.placement == (placement or "mid")
    assert chosen.complete
    assert math.isfinite(chosen.value)
    high = t.choose_threshold(scores, name, **options, placement="high")
    assert (chosen.accepted, chosen.false_matches) == (high.accepted, high.false_matches)


@given(tied(), EVERY_RULE)
def test_placements_span_the_gap_between_scores_of_either_kind(scores, rule):
    name, options = rule
    low, mid, high = (
        t.choose_threshold(scores, name, **options, placement=p).value
        for p in ("low", "mid", "high")
    )
    every = np.unique(np.append(scores.mated.astype(float), scores.nonmated.astype(float)))
    accepted, rejected = every[every >= high], every[every < high]
    if not len(accepted):
        kind = np.result_type(scores.mated, scores.nonmated).type
        assert low == mid == high == np.nextafter(kind(every[-1]), kind(np.inf))
    elif not len(rejected):
        assert low == mid == high == every[0]
    else:
        assert high == accepted[0]
        assert rejected[-1] < low <= mid <= high
        assert low < mid < high or high - rejected[-1] < 1e-7  # 0.1 or 0.3 of both types
        assert low == pytest.approx(rejected[-1], rel=1e-6, abs=1e-30)
        assert mid == pytest.approx((rejected[-1] + high) / 2, rel=1e-6)
        kind = scores.mated.dtype.type
        assert kind(mid) == mid or mid == high
        if kind is np.float64:
            assert low == np.nextafter(rejected[-1], 1)
            assert mid == rejected[-1] / 2 + high / 2


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("placement", ["low", "mid", "high"])
def test_a_gap_without_a_number_inside_still_parts_the_two(kind, placement):
    low = kind(0.3)
    high = np.nextafter(low, kind(1))
    scores = ScoreLists(np.array([high]), np.array([low]))
    value = t.choose_threshold(scores, "eer", placement=placement).value
    assert value == float(high)
    # even where numpy rounds a Python float to the scores' type
    assert (scores.mated >= value).all()
    assert not (scores.nonmated >= value).any()


@pytest.mark.parametrize("placement", ["low", "mid", "high"])
def test_neighbours_in_float64_are_parted_although_the_mated_scores_are_float32(placement):
    nonmated = np.array([0.1, np.nextafter(0.1, 1)])
    scores = ScoreLists(np.array([0.5], np.float32), nonmated)
    chosen = t.choose_threshold(scores, "fmr", target=0.5, placement=placement)
    assert (chosen.accepted, chosen.false_matches) == counts_at(scores, chosen.value) == (1, 1)


@given(tied(), st.floats(0, 1))
def test_fmr_accepts_what_tar_at_fmr_accepts(scores, target):
    chosen = t.choose_threshold(scores, "fmr", target=target)
    point = tar_at_fmr(scores, target)
    assert chosen.accepted == point.accepted
    assert chosen.fmr == point.fmr
    assert chosen.target == target
    assert chosen.note == point.reason


@given(tied())
def test_eer_errs_as_the_equal_error_rate_does(scores):
    chosen, found = t.choose_threshold(scores, "eer", placement="high"), equal_error_rate(scores)
    assert chosen.value == found.threshold
    assert sorted((chosen.fmr, chosen.fnmr)) == [found.low, found.high]


@given(tied())
def test_min_dcf_costs_the_minimum(scores):
    chosen = t.choose_threshold(scores, "min_dcf", costs=COSTS)
    found = min_dcf(scores, COSTS)
    assert COSTS.expected(chosen.fmr, chosen.fnmr) == found.cost
    assert t.choose_threshold(scores, "min_dcf", costs=COSTS, placement="high").value == (
        found.threshold
    )


@given(tied())
def test_accuracy_decides_most_comparisons_right(scores):
    chosen = t.choose_threshold(scores, "accuracy")
    most = max(hits - false for hits, false in naive_counts(scores))
    assert chosen.accepted - chosen.false_matches == most


def test_accuracy_takes_the_threshold_of_the_protocol_with_folds():
    scores = normal(40, 40, apart=1.0)
    twice = np.tile(np.concatenate([scores.mated, scores.nonmated]), 2)
    mated = np.tile(np.repeat([True, False], 40), 2)
    folds = fold_accuracy(twice, mated, np.repeat([0, 1], 80))
    assert folds.thresholds.tolist() == [t.choose_threshold(scores, "accuracy").value] * 2


@given(tied())
def test_youden_is_the_largest_difference_and_of_those_the_highest_threshold(scores):
    mated, nonmated = len(scores.mated), len(scores.nonmated)
    counts = naive_counts(scores)
    gains = [Fraction(hits, mated) - Fraction(false, nonmated) for hits, false in counts]
    at = gains.index(max(gains))
    chosen = t.choose_threshold(scores, "youden")
    assert (chosen.accepted, chosen.false_matches) == counts[at]


@pytest.mark.parametrize("seed", range(3))
def test_youden_agrees_with_sklearn(seed):
    assert_youden_agrees(normal(200, 3000, seed, apart=1.0))


def assert_youden_agrees(scores):
    truth = np.repeat([1, 0], [len(scores.mated), len(scores.nonmated)])
    every = np.concatenate([scores.mated, scores.nonmated])
    fpr, tpr, _ = roc_curve(truth, every, drop_intermediate=False)
    chosen = t.choose_threshold(scores, "youden")
    assert 1 - chosen.fnmr - chosen.fmr == pytest.approx((tpr - fpr).max(), abs=1e-12)


def test_a_target_that_cannot_be_measured_says_so():
    scores = normal(50, 100)
    chosen = t.choose_threshold(scores, "fmr", target=1e-4)
    assert chosen.false_matches == 0
    assert "cannot be measured" in chosen.note
    assert "rests on at most 1 false" in t.choose_threshold(scores, "fmr", target=0.01).note
    assert t.choose_threshold(scores, "fmr", target=0.3).note is None


def test_fmr_at_both_ends():
    scores = ScoreLists(np.array([0.2, 0.5]), np.array([0.1, 0.9]))
    nobody = t.choose_threshold(scores, "fmr", target=0.0)
    assert (nobody.value, nobody.accepted) == (np.nextafter(0.9, 1), 0)
    everybody = t.choose_threshold(scores, "fmr", target=1.0)
    assert (everybody.value, everybody.accepted, everybody.false_matches) == (0.1, 2, 2)


def test_of_steps_that_are_not_complete_only_thresholds_are_chosen():
    exact = normal(60, 300)
    binned = Binned(exact.mated, exact.nonmated)
    known = binned.steps.thresholds.tolist()
    for name, options in RULES:
        chosen = t.choose_threshold(binned, name, **options)
        assert chosen.value in known
        assert (chosen.placement, chosen.complete) == ("high", False)
        assert (chosen.accepted, chosen.false_matches) == counts_at(exact, chosen.value)
        for placement in ("low", "mid"):
            with pytest.raises(InputError, match="use 'high'"):
                t.choose_threshold(binned, name, **options, placement=placement)
    assert t.choose_threshold(binned, "fmr", target=0.1).fmr <= 0.1


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_accepting_everybody_is_a_finite_threshold_of_the_scores_type(kind):
    scores = Binned(np.array([0.2, 0.8], kind), np.array([-0.9, 0.1], kind))
    assert scores.steps.thresholds[-1] == -np.inf
    chosen = t.choose_threshold(scores, "fmr", target=1.0)
    assert chosen.value == np.finfo(kind).min
    assert (chosen.accepted, chosen.false_matches) == counts_at(scores, chosen.value) == (2, 2)
    json.dumps(chosen.as_dict(), allow_nan=False)


@pytest.mark.parametrize(("name", "options"), RULES)
def test_what_is_stored_comes_back_from_json(name, options):
    chosen = t.choose_threshold(normal(30, 90), name, **options)
    stored = chosen.as_dict()
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert (stored["fmr"], stored["fnmr"]) == (chosen.fmr, chosen.fnmr)
    fields = {field.name for field in dataclasses.fields(chosen)}
    assert fields | {"fmr", "fnmr"} == stored.keys()
    moved = t.transfer(chosen, normal(40, 50, 1)).as_dict()
    assert json.loads(json.dumps(moved, allow_nan=False)) == moved


@given(tied(), tied(), EVERY_RULE)
def test_transfer_counts_the_same_threshold_on_other_data(one, other, rule):
    name, options = rule
    chosen = t.choose_threshold(one, name, **options)
    found = t.transfer(chosen, other)
    assert found.threshold == chosen.value
    assert (found.accepted, found.false_matches) == counts_at(other, chosen.value)
    assert found.fmr == found.false_matches / found.nonmated
    assert found.fnmr == pytest.approx(1 - found.accepted / found.mated)
    assert found.hter == hter(other, chosen.value)
    if name == "fmr" and found.false_matches:
        assert found.error == pytest.approx(math.log10(found.fmr / options["target"]), abs=1e-12)
    else:
        assert found.error is None
        assert found.note


def test_on_its_own_data_a_threshold_keeps_its_rates():
    scores = normal(100, 5000)
    chosen = t.choose_threshold(scores, "fmr", target=0.01)
    found = t.transfer(chosen, scores)
    assert (found.fmr, found.fnmr) == (chosen.fmr, chosen.fnmr)
    assert found.error == pytest.approx(0, abs=1e-12)
    assert found.note is None


def test_why_an_error_of_transfer_is_missing():
    scores = normal(100, 400)
    above = ScoreLists(np.array([9.0]), np.array([-9.0]))
    tight = t.choose_threshold(scores, "fmr", target=0.1)
    assert "no false match among 1 " in t.transfer(tight, above).note
    assert "rule 'eer' has no target" in t.transfer(t.choose_threshold(scores, "eer"), scores).note
    none = t.choose_threshold(scores, "fmr", target=0.0)
    assert "target of 0" in t.transfer(none, normal(9, 9, apart=0.0)).note
    few = t.transfer(tight, ScoreLists(np.array([9.0]), np.array([9.0])))
    assert few.error == pytest.approx(1)
    assert "cannot be measured with 1 " in few.note


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        ("best", {}, "known: fmr, eer, min_dcf, accuracy, youden"),
        ("fmr", {}, "needs target"),
        ("min_dcf", {}, "needs costs"),
        ("eer", {"target": 0.1}, "takes no target"),
        ("min_dcf", {"costs": COSTS, "target": 0.1}, "takes no target"),
        ("fmr", {"costs": COSTS, "target": 0.1}, "takes no costs"),
        ("fmr", {"target": 1.5}, "rate between 0 and 1"),
        ("fmr", {"target": math.nan}, "rate between 0 and 1"),
        ("eer", {"placement": "middle"}, "known: low, mid, high"),
    ],
)
def test_what_makes_no_sense_is_refused(rule, options, message):
    with pytest.raises(InputError, match=message):
        t.choose_threshold(normal(5, 5), rule, **options)


def test_real_faces(shared_data):
    orl = np.load(shared_data / "orl_mobilefacenet.npz")
    people = orl["labels"]
    first = np.isin(people, np.unique(people)[:20])
    one, other = (compare_all(orl["embeddings"][half], people[half]) for half in (first, ~first))
    assert_youden_agrees(one)
    for name, options in RULES:
        for placement in ("low", "mid", "high"):
            chosen = t.choose_threshold(one, name, **options, placement=placement)
            hits, false = (int((kind >= chosen.value).sum()) for kind in (one.mated, one.nonmated))
            assert (chosen.accepted, chosen.false_matches) == (hits, false)
    chosen = t.choose_threshold(one, "fmr", target=0.01)
    assert chosen.fmr == pytest.approx(0.01, rel=1e-3)
    moved = t.transfer(chosen, other)
    assert abs(moved.error) < 1
    assert moved.hter < 0.05
