import numpy as np
import pytest

from recognition.comparisons import Scores, compare_all
from recognition.comparisons.halves import split_scores
from recognition.errors import InputError
from recognition.evaluation.options import Options
from recognition.evaluation.thresholds import COSTS, transfer_thresholds
from recognition.evaluation.uncertainty import fitted
from recognition.metrics.clustered import Clusters
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.resampling import draw
from recognition.metrics.thresholds import choose_threshold, transfer

FEW = Options(replicates=60, seed=5)
RULES = {
    "fmr=0.1": {"rule": "fmr", "target": 0.1},
    "eer": {"rule": "eer"},
    "min-dcf": {"rule": "min_dcf", "costs": COSTS},
    "accuracy": {"rule": "accuracy"},
    "youden": {"rule": "youden"},
}


def crowd(noise=0.9, seed=0):
    random = np.random.default_rng(seed)
    labels = np.repeat(range(12), 5)
    people = random.normal(size=(12, 8))
    return compare_all(people[labels] + noise * random.normal(size=(60, 8)), labels)


@pytest.fixture(scope="module")
def scores():
    return crowd()


@pytest.fixture(scope="module")
def section(scores):
    return transfer_thresholds(scores, FEW)


@pytest.fixture(scope="module")
def found(section):
    return {row.key: row for row in section.rows}


def test_every_rule_is_shown_with_what_it_does_to_others(found):
    rates = ["threshold", "hter", "fmr", "fnmr"]
    expected = [f"{rate}@{name}" for name in RULES for rate in rates]
    expected.insert(4, "transfer@fmr=0.1")
    assert list(found) == expected


@pytest.mark.parametrize("name", RULES)
def test_each_half_is_judged_at_the_threshold_of_the_other(scores, found, name):
    one, two = split_scores(scores, seed=5).parts
    chosen = [choose_threshold(half, **RULES[name]) for half in (two, one)]
    judged = [transfer(t, half) for t, half in zip(chosen, (one, two), strict=True)]
    false, nonmated = (sum(getattr(x, y) for x in judged) for y in ("false_matches", "nonmated"))
    missed = sum(x.mated - x.accepted for x in judged)
    fmr, fnmr = false / nonmated, missed / len(scores.mated)
    assert found[f"fmr@{name}"].estimate.value == fmr
    assert found[f"fnmr@{name}"].estimate.value == fnmr
    assert found[f"hter@{name}"].estimate.value == pytest.approx((fmr + fnmr) / 2, abs=1e-15)
    counts = found[f"fmr@{name}"].estimate.counts
    assert (counts["errors"], counts["trials"]) == (false, nonmated)
    assert counts["thresholds"] == tuple(t.value for t in chosen)
    assert counts["people"] == 12
    assert found[f"fnmr@{name}"].estimate.counts["errors"] == missed
    whole = choose_threshold(scores, **RULES[name])
    assert found[f"threshold@{name}"].estimate.value == whole.value
    if name == "fmr=0.1":
        error = found["transfer@fmr=0.1"].estimate
        assert error.value == pytest.approx(np.log10(fmr / 0.1))
        ends = found["fmr@fmr=0.1"].estimate
        assert (error.low, error.high) == pytest.approx(
            (np.log10(ends.low / 0.1), np.log10(ends.high / 0.1))
        )


@pytest.mark.parametrize("name", RULES)
def test_rates_on_others_have_clustered_intervals(scores, found, name):
    halves = split_scores(scores, seed=5)
    thresholds = np.array(found[f"hter@{name}"].estimate.counts["thresholds"])
    inside = halves.nonmated >= 0
    false = scores.nonmated[inside] >= thresholds[halves.nonmated[inside]]
    missed = scores.mated < thresholds[halves.mated]
    fnmr, fmr, hter = (found[f"{rate}@{name}"] for rate in ("fnmr", "fmr", "hter"))
    assert (fnmr.estimate.low, fnmr.estimate.high) == share_interval(missed, scores.mated_person)
    as_scores = Scores(
        scores.mated, false * 1.0, scores.mated_person, scores.nonmated_persons[inside], 12
    )
    assert (fmr.estimate.low, fmr.estimate.high) == Clusters.of(as_scores).fmr(1.0)
    assert fmr.interval == fnmr.interval == "person-clustered Wilson"
    one, two = scores.nonmated_persons[inside].T
    again = []
    for w in draw(12, 60, 5).T:
        pairs, own = w[one] * w[two], w[scores.mated_person]
        if pairs.sum() and own.sum():
            again.append((false @ pairs / pairs.sum() + missed @ own / own.sum()) / 2)
    expected = fitted(hter.estimate.value, np.array(again), 12)
    assert (hter.estimate.low, hter.estimate.high) == pytest.approx(expected)
    assert hter.interval == "Wilson fitted to a person bootstrap, 60 resamples"


def test_notes_count_what_is_left_out_and_name_what_is_not_set(scores, section):
    halves = split_scores(scores, seed=5)
    left_out = (halves.nonmated < 0).sum()
    assert f"{left_out:,} non-mated comparisons between the halves" in section.notes[0]
    assert "No threshold is set for FMR 0.0001, 0.001, 0.01:" in section.notes[-1]
    asked = transfer_thresholds(scores, Options(fmr=(0.2,), replicates=20))
    assert not any("No threshold" in note for note in asked.notes)


def test_perfect_separation_leaves_intervals_wide_and_the_transfer_open():
    section = transfer_thresholds(crowd(noise=0.01), FEW)
    found = {row.key: row for row in section.rows}
    for key in ("hter@eer", "fmr@eer", "fnmr@eer"):
        assert found[key].estimate.value == found[key].estimate.low == 0
        assert found[key].estimate.high > 0.001
    # a tenth of false matches is far inside the non-mated scores, so it transfers with some
    assert found["transfer@fmr=0.1"].estimate.value is not None


def test_no_false_match_of_other_people_says_so():
    labels = np.repeat(range(4), 15)
    i, j = np.triu_indices(60, 1)
    mated = labels[i] == labels[j]
    between = np.stack([labels[i], labels[j]], axis=1)[~mated].astype(np.int32)
    nonmated = np.zeros(len(between))  # one tie: too many to accept
    table = Scores(np.ones(mated.sum()), nonmated, labels[i[mated]].astype(np.int32), between, 4)
    section = transfer_thresholds(table, Options(seed=5, fmr=(0.2,)))
    error = {row.key: row for row in section.rows}["transfer@fmr=0.2"]
    assert error.estimate.value is None
    assert "no false match among 450 comparisons of other people" in error.estimate.note
    assert error.interval == ""


def test_a_score_at_the_threshold_of_the_other_half_is_accepted():
    scores = crowd()
    halves = split_scores(scores, seed=5)
    # the first half has scores of 0 and 1, the second all of 0.5: the middle of these
    mated, nonmated = np.ones(len(scores.mated)), np.zeros(len(scores.nonmated))
    mated[halves.mated == 1] = nonmated[halves.nonmated == 1] = 0.5
    table = Scores(mated, nonmated, scores.mated_person, scores.nonmated_persons, 12)
    section = transfer_thresholds(table, FEW)
    found = {row.key: row.estimate for row in section.rows}
    assert found["fnmr@eer"].counts["thresholds"][1] == 0.5
    second = halves.parts[1].nonmated_count
    assert found["fmr@eer"].counts["errors"] == second
    assert found["fnmr@eer"].counts["errors"] == 0


def test_too_few_people_are_refused():
    with pytest.raises(InputError, match="one half of 3 people"):
        transfer_thresholds(
            compare_all([[1, 0], [1, 0.1], [0, 1], [1, 1]], ["a", "a", "b", "c"]), FEW
        )
