import numpy as np
import pytest

from recognition.comparisons import compare_all
from recognition.errors import InputError
from recognition.evaluation import BINS, class_angles, evaluate_strangers
from recognition.metrics import (
    angle_statistics,
    area_under_curve,
    equal_error_rate,
    error_curve,
    fnir_at_fpir,
    identification_intervals,
    mean_interval,
    pool,
    rank_one_rate,
    tar_at_fmr,
    verification_intervals,
)
from recognition.protocols import open_set_split
from recognition.search import search_people

PEOPLE, PICTURES = 8, 4  # 448 non-mated pairs: FMR 0.1 is reliable, 0.01 hardly, 0.001 unresolved
LABELS = np.repeat([f"p{i}" for i in range(PEOPLE)], PICTURES)
FEW = {"replicates": 60, "seed": 3}


def rows_of(noise, seed=0):
    """Embeddings of one set of people; only how far pictures scatter depends on `noise`."""
    random = np.random.default_rng(seed)
    people = random.normal(size=(PEOPLE, 8)).repeat(PICTURES, axis=0)
    return people + noise * random.normal(size=people.shape)


@pytest.fixture(scope="module")
def rows():
    return rows_of(0.6)


@pytest.fixture(scope="module")
def found(rows):
    return evaluate_strangers(rows, LABELS, **FEW)


def test_it_agrees_with_calling_the_verification_metrics(rows, found):
    scores = compare_all(rows, LABELS)
    intervals = verification_intervals(scores, [0.1, 0.01], **FEW)
    estimates = found.estimates
    assert found.eer == equal_error_rate(scores)
    assert estimates["eer"].value == found.eer.rate
    assert (estimates["eer"].low, estimates["eer"].high) == intervals.equal_error_rate
    assert estimates["eer"].counts["threshold"] == found.eer.threshold
    assert estimates["auc"].value == area_under_curve(scores)
    assert (estimates["auc"].low, estimates["auc"].high) == intervals.area_under_curve
    for name in ("eer", "auc"):
        counts = estimates[name].counts
        assert (counts["people"], counts["mated"], counts["nonmated"]) == (8, 48, 448)
    for target in (0.1, 0.01):
        point, estimate = tar_at_fmr(scores, target), estimates[f"tar@fmr={target:g}"]
        assert estimate.value == point.tar
        assert (estimate.low, estimate.high) == intervals.tar[target]
        assert estimate.counts == {
            **point._asdict(),
            "resolved": point.resolved,
            "reliable": point.reliable,
        }


def test_it_agrees_with_searching_each_half_among_the_other(rows, found):
    halves = open_set_split(LABELS, seed=3)
    candidates = pool([search_people(rows[g], LABELS[g], rows[p], LABELS[p]) for g, p in halves])
    intervals = identification_intervals(candidates, [0.1, 0.01], **FEW)
    rank1 = found.estimates["rank1"]
    assert rank1.value == rank_one_rate(candidates)
    assert (rank1.low, rank1.high) == intervals.rank_one_rate
    assert rank1.counts == {"mated": PEOPLE * PICTURES // 2, "enrolled": PEOPLE // 2}
    fnir = found.estimates["fnir@fpir=0.1"]
    assert fnir.value == fnir_at_fpir(candidates, 0.1).fnir
    assert (fnir.low, fnir.high) == intervals.fnir[0.1]


def test_it_agrees_with_calling_the_angle_metrics(rows, found):
    angles = angle_statistics(rows, LABELS)
    intra, inter = found.estimates["intra"], found.estimates["inter"]
    assert (intra.value, inter.value) == (angles.intra, angles.inter)
    by_picture = mean_interval(angles.picture_angles, angles.picture_persons, **FEW)
    assert (intra.low, intra.high) == by_picture
    assert (inter.low, inter.high) == mean_interval(angles.person_angles, angles.persons, **FEW)
    assert intra.counts == {"pictures": len(LABELS), "single_picture_people": 0}
    assert inter.counts == {"people": PEOPLE}


def test_what_figures_are_drawn_from_is_of_the_same_scores(rows, found):
    scores = compare_all(rows, LABELS)
    assert found.mated.sum() == len(scores.mated)
    assert found.nonmated.sum() == len(scores.nonmated)
    assert len(found.mated) == len(found.nonmated) == len(BINS) - 1
    middles = (BINS[1:] + BINS[:-1]) / 2
    assert middles @ found.mated / 48 == pytest.approx(scores.mated.mean(), abs=0.005)
    exact = error_curve(scores)
    steps = set(zip(exact.fmr.tolist(), exact.fnmr.tolist(), strict=True))
    assert set(zip(found.curve.fmr.tolist(), found.curve.fnmr.tolist(), strict=True)) <= steps


def test_a_rate_that_cannot_be_measured_has_no_value_but_a_reason(found):
    missing = found.estimates["tar@fmr=0.001"]
    assert (missing.value, missing.low, missing.high) == (None, None, None)
    assert "cannot be measured with 448 non-mated comparisons" in missing.note
    assert not missing.counts["resolved"]
    assert found.estimates["fnir@fpir=0.01"].value is None
    assert "non-mated searches" in found.estimates["fnir@fpir=0.01"].note


def test_a_rate_that_rests_on_little_has_a_value_and_a_warning(found):
    hardly, well = found.estimates["tar@fmr=0.01"], found.estimates["tar@fmr=0.1"]
    assert hardly.value is not None
    assert "at most 4 false matches" in hardly.note
    assert (hardly.counts["reliable"], well.counts["reliable"]) == (False, True)
    assert well.note is None


def test_every_interval_holds_its_value(found):
    resolved = [e for e in found.estimates.values() if e.value is not None]
    assert len(resolved) == len(found.estimates) - 2
    bare = {"nc1", "effective-rank"}  # of all people at once
    assert {
        key for key, e in found.estimates.items() if e.value is not None and e.low is None
    } == bare
    for estimate in resolved:
        assert estimate.low is None or estimate.low <= estimate.value <= estimate.high
    assert found.estimates["eer"].low < found.estimates["eer"].high


def test_more_noise_is_more_error():
    rates = [evaluate_strangers(rows_of(noise), LABELS, **FEW) for noise in (0.1, 0.6, 1.2, 3)]
    for name, sign in (("eer", 1), ("auc", -1), ("rank1", -1), ("intra", 1)):
        values = [sign * each.estimates[name].value for each in rates]
        assert values == sorted(values)
        assert values[0] < values[-1]
    assert rates[0].eer.rate == 0
    assert rates[-1].eer.rate > 0.2


def test_equal_seeds_give_equal_numbers(rows, found):
    again = evaluate_strangers(rows, LABELS, **FEW)
    assert again.estimates == found.estimates
    other = evaluate_strangers(rows, LABELS, replicates=60, seed=4)
    assert other.estimates["eer"].value == found.estimates["eer"].value  # needs no chance
    assert (other.eer_resamples != found.eer_resamples).any()


def test_resamples_of_the_same_people_are_paired(rows, found):
    same = evaluate_strangers(rows, LABELS, **FEW)
    assert same.eer_resamples.shape == (60,)
    assert (same.eer_resamples - found.eer_resamples == 0).all()
    order = np.random.default_rng(0).permutation(len(LABELS))
    shuffled = evaluate_strangers(rows[order], LABELS[order], **FEW)
    assert (shuffled.eer_resamples == found.eer_resamples).all()


def test_pairing_takes_the_luck_of_the_draw_out_of_a_difference(rows, found):
    nearly = rows + 0.05 * np.random.default_rng(9).normal(size=rows.shape)
    paired = evaluate_strangers(nearly, LABELS, **FEW).eer_resamples
    unpaired = evaluate_strangers(nearly, LABELS, replicates=60, seed=4).eer_resamples
    spread = [np.std(each - found.eer_resamples) for each in (paired, unpaired)]
    assert spread[0] < spread[1] / 2


def test_the_length_of_an_embedding_means_nothing(rows, found):
    lengths = np.random.default_rng(1).uniform(0.01, 100, size=(len(rows), 1))
    scaled = evaluate_strangers(rows * lengths, LABELS, **FEW)
    for name, estimate in found.estimates.items():
        assert scaled.estimates[name].value == pytest.approx(estimate.value, abs=1e-9)


def test_fewer_enrolled_pictures_leave_more_to_search_for(rows):
    one = evaluate_strangers(rows, LABELS, enrolled_pictures=1, **FEW)
    assert one.estimates["rank1"].counts["mated"] == PEOPLE * (PICTURES - 1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a"] * 32, "at least 2 people"), (np.arange(32), "at least 2 people"), (["a"], "32")],
)
def test_people_that_cannot_be_told_apart_are_refused(rows, labels, message):
    with pytest.raises(InputError, match=message):
        evaluate_strangers(rows, labels, **FEW)


def test_class_angles_are_those_measured_by_hand():
    # ann's centre is the first axis, 45 degrees from both pictures; bob's is the third
    rows = [[1, 1, 0], [1, -1, 0], [0, 0, 1], [0, 0, 5]]
    found = class_angles(
        rows, ["ann", "ann", "bob", "bob"], [[0, 0, 2], [3, 0, 3]], ["bob", "ann"], replicates=40
    )
    expected = {"w-ec": 22.5, "w-inter": 45, "learn-intra": 22.5, "learn-inter": 90}
    assert {name: each.value for name, each in found.items()} == pytest.approx(expected)
    ends = {name: (each.low, each.high) for name, each in found.items()}
    assert ends["w-ec"] == pytest.approx((0, 45))  # bob alone, and ann alone
    assert ends["learn-intra"] == pytest.approx((0, 45))
    assert ends["w-inter"] == pytest.approx((45, 45))
    counts = {name: each.counts["values"] for name, each in found.items()}
    assert counts == {"w-ec": 2, "w-inter": 2, "learn-intra": 4, "learn-inter": 2}


def test_orthogonal_classes_with_weights_on_their_people_are_ideal():
    axes = np.eye(4)
    found = class_angles(axes.repeat(2, axis=0), np.arange(4).repeat(2), axes, np.arange(4))
    values = [found[name].value for name in ("w-ec", "w-inter", "learn-intra", "learn-inter")]
    assert values == pytest.approx([0, 90, 0, 90])


def test_class_weights_of_people_without_pictures_are_refused():
    with pytest.raises(InputError, match="1 people have no picture"):
        class_angles(np.eye(3), ["a", "a", "b"], np.eye(3)[:2], ["a", "c"])
