import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from recognition.comparisons import ScoreLists, Scores, compare_all
from recognition.comparisons.tally import Tally
from recognition.errors import InputError
from recognition.evaluation.options import Options
from recognition.evaluation.verification import BINS, curves_of, rates_at, verify
from recognition.metrics.clustered import Clusters

FEW = Options(replicates=40)
LABELS = np.repeat(range(10), 4)


def rows(section):
    return {row.key: row for row in section.rows}


def crowd(noise=0.8, labels=LABELS):
    random = np.random.default_rng(0)
    people = random.normal(size=(max(labels) + 1, 8))
    return compare_all(people[labels] + noise * random.normal(size=(len(labels), 8)), labels)


def pairs(mated, nonmated, of, between, people):
    return Scores(
        np.asarray(mated, np.float64),
        np.asarray(nonmated, np.float64),
        np.asarray(of, np.int32),
        np.asarray(between, np.int32).reshape(-1, 2),
        people,
    )


@pytest.fixture(scope="module")
def orl(shared_data):
    with np.load(shared_data / "orl_mobilefacenet.npz") as held:
        return compare_all(held["embeddings"], held["labels"])


def test_rates_of_real_faces_are_those_of_scikit_learn(orl):
    found = rows(verify(orl, Options(replicates=40, thresholds=(0.4,))))
    truth = np.repeat([1, 0], [len(orl.mated), len(orl.nonmated)])
    scores = np.concatenate([orl.mated, orl.nonmated])
    fmr, tar, _ = roc_curve(truth, scores, drop_intermediate=False)
    for target in (0.1, 0.01, 0.001, 0.0001):
        value = found[f"tar@fmr={target:g}"].estimate.value
        assert value == pytest.approx(tar[fmr <= target].max(), abs=1e-12)
    assert found["auc"].estimate.value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    hits = [found[f"tar@fmr={target}"].estimate.counts["accepted"] for target in (0.1, 0.01, 0.001)]
    assert hits == [1796, 1777, 1741]
    assert found["eer"].estimate.value == pytest.approx(0.01222, abs=5e-6)
    assert found["eer"].estimate.counts["people"] == 40
    expected = (np.abs(orl.mated.mean() - orl.nonmated.mean())) / np.sqrt(
        (orl.mated.var(dtype=np.float64) + orl.nonmated.var(dtype=np.float64)) / 2
    )
    assert found["d-prime"].estimate.value == pytest.approx(expected, rel=1e-5)
    missing = found["tar@fmr=1e-05"]
    assert missing.estimate.value is None
    assert "cannot be measured with" in missing.estimate.note
    assert missing.interval == ""


def test_every_rate_of_real_faces_is_inside_an_interval_with_a_name(orl):
    for row in verify(orl, Options(replicates=40, thresholds=(0.4, 5.0))).rows:
        if row.estimate.value is not None:
            assert row.estimate.low <= row.estimate.value <= row.estimate.high
            assert row.estimate.low < row.estimate.high
            assert "person" in row.interval


TIES = st.sampled_from([-1.0, 0.0, 0.25, 0.5])


@settings(max_examples=30)
@given(
    st.lists(TIES, min_size=2, max_size=9),
    st.lists(TIES, min_size=9, max_size=15),
    TIES,
)
def test_rates_are_counted_with_ties_against_the_system(mated, nonmated, threshold):
    of = np.arange(len(mated)) % 3
    between = [[n % 3, (n + 1) % 3] for n in range(len(nonmated))]
    scores = pairs(mated, nonmated, of, between, 3)
    found = rows(verify(scores, Options(fmr=(0.5, 0.25), thresholds=(threshold,), replicates=20)))
    u, v = np.array(mated), np.array(nonmated)
    candidates = [*np.unique(np.concatenate([u, v])), np.inf]
    for target in (0.5, 0.25):
        row = found[f"tar@fmr={target}"]
        if target * len(v) < 1:
            assert row.estimate.value is None
            continue
        allowed = [t for t in candidates if (v >= t).sum() <= target * len(v)]
        assert row.estimate.value == (u >= min(allowed)).mean()
    at = f"t={threshold:g}"
    assert found[f"fmr@{at}"].estimate.value == (v >= threshold).mean()
    assert found[f"fnmr@{at}"].estimate.value == (u < threshold).mean()
    assert found[f"fnmr@{at}"].estimate.counts["errors"] == (u < threshold).sum()
    beaten = (u[:, None] > v).mean() + (u[:, None] == v).mean() / 2
    assert found["auc"].estimate.value == pytest.approx(beaten, abs=1e-12)
    for row in found.values():
        if row.unit == "share" and row.estimate.value is not None:
            assert 0 <= row.estimate.low <= row.estimate.value <= row.estimate.high <= 1
            assert row.estimate.low < row.estimate.high


def test_scores_of_any_scale_have_the_same_rates_and_separation():
    scores = crowd()

    def stretched(kind):
        return kind.astype(np.float64) * 1e5 - 1e7

    other = Scores(
        stretched(scores.mated),
        stretched(scores.nonmated),
        scores.mated_person,
        scores.nonmated_persons,
        scores.people,
    )
    one, two = rows(verify(scores, FEW)), rows(verify(other, FEW))
    for key, row in one.items():
        for end in ("value", "low", "high"):
            expected, found = getattr(row.estimate, end), getattr(two[key].estimate, end)
            assert found == (expected if expected is None else pytest.approx(expected, rel=1e-4))


def test_the_interval_of_d_prime_resamples_people():
    scores = crowd()
    found = rows(verify(scores, Options(replicates=2000)))["d-prime"]
    lists = rows(verify(ScoreLists(scores.mated, scores.nonmated), Options(replicates=2000)))
    width = found.estimate.high - found.estimate.low
    assert width > 1.2 * (lists["d-prime"].estimate.high - lists["d-prime"].estimate.low)
    assert found.interval == "person bootstrap"
    assert lists["d-prime"].interval == "bootstrap of comparisons as if independent"


def test_the_partial_area_begins_where_a_resample_can_measure():
    # two of three people have few pictures: a resample of these alone has four comparisons
    labels = np.repeat([0, 1, 2], [2, 1, 500])
    random = np.random.default_rng(0)
    scores = compare_all(random.normal(size=(503, 4)), labels)
    found = rows(verify(scores, Options(fmr=(0.1,), replicates=60)))["pauc"]
    assert found.estimate.low <= found.estimate.value <= found.estimate.high


def test_what_cannot_be_measured_says_so():
    constant = np.full(6, 0.5)
    of, between = [0, 0, 1, 1, 2, 2], [[0, 1], [0, 1], [0, 2], [0, 2], [1, 2], [1, 2]]
    found = rows(verify(pairs(constant, constant, of, between, 3), Options(replicates=20)))
    assert found["d-prime"].estimate.value is None
    assert "neither kind of scores varies" in found["d-prime"].estimate.note
    assert "below one false match of 6" in found["pauc"].estimate.note
    assert found["eer"].estimate.value == found["auc"].estimate.value == 0.5
    assert found["tar@fmr=0.1"].estimate.value is None


def test_perfect_separation_of_two_people_is_no_certainty():
    scores = pairs([0.9, 0.8], [0.1, 0.2, 0.3, 0.2], [0, 1], [[0, 1]] * 4, 2)
    found = rows(verify(scores, Options(fmr=(0.5,), replicates=20)))
    assert found["eer"].estimate.value == found["eer-hull"].estimate.value == 0
    assert found["tar@fmr=0.5"].estimate.value == found["auc"].estimate.value == 1
    for key in ("eer", "eer-hull"):
        assert found[key].estimate.high == pytest.approx(0.6576, abs=1e-4)  # 0 of 2 people
    assert found["auc"].estimate.low == pytest.approx(0.3424, abs=1e-4)


def test_one_mated_pair_is_one_trial():
    scores = pairs([0.9], [0.1, 0.2, 0.3, 0.2], [0], [[0, 1], [0, 2], [1, 2], [0, 1]], 3)
    found = rows(verify(scores, Options(fmr=(0.5,), thresholds=(0.5,), replicates=60)))
    for key in ("tar@fmr=0.5", "fnmr@t=0.5", "eer-hull"):
        assert found[key].estimate.high - found[key].estimate.low > 0.79


def test_thresholds_keep_their_digits_and_are_told_once():
    options = Options(thresholds=(0.5, 0.4512345, 0.4512346, 0.5, -3.0), replicates=20)
    found = [row.key for row in verify(crowd(), options).rows if row.key.startswith("fmr@t=")]
    assert found == ["fmr@t=0.5", "fmr@t=0.4512345", "fmr@t=0.4512346", "fmr@t=-3"]


def test_rates_at_a_threshold_have_clustered_intervals():
    scores = crowd()
    fmr, fnmr = rates_at(scores, 0.3)
    clusters = Clusters.of(scores)
    assert (fmr.estimate.low, fmr.estimate.high) == clusters.fmr(0.3)
    assert (fnmr.estimate.low, fnmr.estimate.high) == clusters.fnmr(0.3)
    assert fmr.interval == fnmr.interval == "person-clustered Wilson"
    assert (fmr.label, fnmr.label) == ("FMR at threshold 0.3", "FNMR at threshold 0.3")
    again = rates_at(scores, 0.3, clusters=clusters)
    assert [row.estimate for row in again] == [fmr.estimate, fnmr.estimate]
    with pytest.raises(InputError, match="NaN"):
        rates_at(scores, np.nan)


def tally_of(scores, kept, thresholds):
    order = np.argsort(-scores.nonmated, kind="stable")[:kept]
    tail = scores.nonmated[order]
    return Tally(
        scores.mated,
        scores.mated_person,
        tail,
        np.zeros((kept, 2), np.int64),
        scores.nonmated_persons[order],
        float(tail[-1]),
        len(scores.nonmated),
        np.array(thresholds),
        np.array([(scores.nonmated >= t).sum() for t in thresholds]),
        float(scores.nonmated.mean()),
        float(scores.nonmated.std()),
        np.bincount(LABELS),
    )


def test_rates_of_a_tally_are_told_as_far_as_they_are_known():
    scores = crowd()
    below = float(np.median(scores.nonmated))
    tally = tally_of(scores, 100, [below])
    inside = float(tally.tail[50])
    for one, two in zip(rates_at(tally, inside), rates_at(scores, inside), strict=True):
        assert (one.key, one.interval) == (two.key, two.interval)
        assert one.estimate.counts == two.estimate.counts
        for end in ("value", "low", "high"):
            assert getattr(one.estimate, end) == pytest.approx(getattr(two.estimate, end))
    counted, fnmr = rates_at(tally, below)  # how many, but not of whom
    assert counted.estimate.value == (scores.nonmated >= below).mean()
    assert counted.estimate.low is None
    assert fnmr.estimate.low is not None
    unknown, fnmr = rates_at(tally, below - 0.01)
    assert unknown.estimate.value is None
    assert "expected a threshold of at least" in unknown.estimate.note
    assert fnmr.estimate.value == (scores.mated < below - 0.01).mean()


@pytest.mark.parametrize("shift", [0.0, 40.0, -40.0])
def test_curves_hold_every_score_whatever_its_range(shift):
    scores = crowd()
    moved = ScoreLists(scores.mated + np.float32(shift), scores.nonmated + np.float32(shift))
    curves = curves_of(moved)
    histogram = curves["histogram"]
    assert len(histogram["bins"]) == BINS + 1
    assert histogram["mated"].sum() == len(moved.mated)
    assert histogram["nonmated"].sum() == len(moved.nonmated)
    assert (curves["roc"]["fmr"][0], curves["roc"]["fmr"][-1]) == (0, 1)
    for t, fmr, fnmr in zip(*(curves["roc"][x] for x in ("threshold", "fmr", "fnmr")), strict=True):
        assert fmr == (moved.nonmated >= np.float64(t)).mean()
        assert fnmr == pytest.approx((moved.mated < np.float64(t)).mean())


def test_scores_of_nobody_knows_whom_have_a_slider_however_many_there_are():
    random = np.random.default_rng(0)
    lists = ScoreLists(random.normal(2, 1, 300), random.normal(0, 1, 30_000))
    section = verify(lists, Options(replicates=20), marks=[0.1234])
    rates, found = section.curves["operating"], rows(section)["tar@fmr=0.01"].estimate
    at = rates["threshold"].index(found.counts["threshold"])
    assert (rates["fmr"][at], rates["fnmr"][at]) == (0.01, pytest.approx(1 - found.value))
    assert 0.1234 in rates["threshold"]


def test_a_slider_can_stand_on_the_thresholds_of_the_rows():
    section = verify(crowd(), Options(replicates=40, thresholds=(0.4321,)))
    rates, found = section.curves["operating"], rows(section)
    assert found["eer"].estimate.counts["threshold"] in rates["threshold"]
    for key, rate, value in (("tar@fmr=0.1", "fnmr", lambda tar: 1 - tar),
                             ("fmr@t=0.4321", "fmr", float), ("fnmr@t=0.4321", "fnmr", float)):  # fmt: skip
        estimate = found[key].estimate
        at = rates["threshold"].index(estimate.counts["threshold"])
        assert rates[rate][at] == pytest.approx(value(estimate.value), abs=1e-15)
        if rate in key:
            ends = rates[f"{rate}_low"][at], rates[f"{rate}_high"][at]
            assert ends == pytest.approx((estimate.low, estimate.high))
