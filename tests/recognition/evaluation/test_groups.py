import numpy as np
import pytest

from recognition.comparisons import compare_all
from recognition.errors import InputError
from recognition.evaluation.groups import group_rates
from recognition.evaluation.options import Options
from recognition.evaluation.verification import rates_at
from recognition.metrics.verification import tar_at_fmr

FEW = Options(replicates=20)
LABELS = np.repeat([f"p{i:02d}" for i in range(14)], 4)
# two groups, a person alone in a third, and pictures without an entry
GROUPS = np.repeat(["f"] * 5 + ["m"] * 7 + ["x", ""], 4)


def rows_of():
    random = np.random.default_rng(0)
    people = random.normal(size=(14, 8))[np.unique(LABELS, return_inverse=True)[1]]
    return people + 0.8 * random.normal(size=people.shape)


def grouped(groups=GROUPS, options=FEW):
    rows = rows_of()

    def within(mask):
        return compare_all(rows[mask], LABELS[mask])

    return group_rates(compare_all(rows, LABELS), LABELS, groups, "sex", within, options)


def test_each_group_has_its_own_rates_at_the_threshold_of_all():
    found, rows = grouped(), rows_of()
    scores = compare_all(rows, LABELS)
    point = tar_at_fmr(scores, 0.1)  # 1,456 comparisons: 0.01 would rest on 14
    assert (found["target"], found["threshold"]) == (0.1, point.threshold)
    assert [row["group"] for row in found["rows"]] == ["f", "m", "x"]
    for row, people in zip(found["rows"][:2], (5, 7), strict=True):
        inside = compare_all(rows[row["group"] == GROUPS], LABELS[row["group"] == GROUPS])
        assert (row["people"], row["pictures"]) == (people, 4 * people)
        assert (row["mated"], row["nonmated"]) == (len(inside.mated), len(inside.nonmated))
        for rate, expected in zip(row["rates"], rates_at(inside, point.threshold), strict=True):
            assert rate["value"] == expected.estimate.value
            assert (rate["low"], rate["high"]) == (expected.estimate.low, expected.estimate.high)
            assert rate["low"] < rate["high"]
            assert rate["interval"] == "person-clustered Wilson"
        assert [rate["label"] for rate in row["rates"]] == ["FMR", "FNMR"]
    whole = rates_at(scores, point.threshold)
    assert [rate["value"] for rate in found["overall"]] == [row.estimate.value for row in whole]


def test_a_group_without_both_kinds_of_comparisons_says_so():
    alone = grouped()["rows"][2]
    assert (alone["people"], alone["mated"], alone["nonmated"]) == (1, 0, 0)
    assert alone["too_few"]
    for rate in alone["rates"]:
        assert rate["value"] is None
        assert rate["note"] == "the group has no comparisons of both kinds"


def test_too_few_is_fewer_than_thirty_errors_at_the_rate_of_all():
    found = grouped()
    overall = [rate["counts"] for rate in found["overall"]]
    for row in found["rows"][:2]:
        for rate, counts in zip(row["rates"], overall, strict=True):
            expected = counts["errors"] * rate["counts"]["trials"] / counts["trials"]
            assert rate["too_few"] == (expected < 30)
        assert row["too_few"] == any(rate["too_few"] for rate in row["rates"])
    assert found["rows"][1]["rates"][0]["too_few"] is False  # 336 * 0.1
    assert found["rows"][0]["rates"][0]["too_few"] is True  # 160 * 0.1


def test_pictures_without_an_entry_are_in_no_group_and_counted():
    assert "4 pictures have no entry in column 'sex'" in grouped()["notes"][-1]
    every = grouped(np.where(GROUPS == "", "x", GROUPS))
    assert not any("no entry" in note for note in every["notes"])


def test_without_a_target_that_thirty_false_matches_meet_the_lowest_measured_sets_it():
    found = grouped(options=Options(fmr=(0.01, 0.001, 0.0001), replicates=20))
    assert found["target"] == 0.001  # one of 1,456, and thirty at none


@pytest.mark.parametrize("groups", [np.full(56, ""), np.where(GROUPS == "f", "f", "")])
def test_fewer_than_two_groups_are_refused(groups):
    with pytest.raises(InputError, match="at least two groups in column 'sex'"):
        grouped(groups)


def test_an_fmr_that_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match=r"to set the threshold for all; the smallest is"):
        grouped(options=Options(fmr=(1e-6,), replicates=20))


def test_the_threshold_is_not_set_where_no_group_has_errors_left():
    random = np.random.default_rng(0)
    labels = np.repeat([f"p{i:03d}" for i in range(150)], 5)
    embeddings = (random.normal(size=(150, 1, 8)) + random.normal(size=(150, 5, 8))).reshape(-1, 8)
    scores = compare_all(embeddings, labels)
    assert 1e-4 * scores.nonmated_count < 30 < 2e-4 * scores.nonmated_count

    def target(*rates):
        groups = np.where(labels < "p075", "a", "b")
        options = Options(fmr=rates, replicates=20)
        within = lambda mask: compare_all(embeddings[mask], labels[mask])  # noqa: E731
        return group_rates(scores, labels, groups, "g", within, options)["target"]

    assert target(0.1, 0.001, 2e-4, 1e-5) == 0.001
    assert target(0.1, 2e-4, 1e-5) == 0.1
    assert target(2e-4, 1e-5) == 2e-4
