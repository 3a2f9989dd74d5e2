from contextlib import contextmanager

import numpy as np
import pytest

from recognition.errors import InputError
from recognition.evaluation import evaluate_strangers
from recognition.evaluation import identification as module
from recognition.evaluation.identification import identify_strangers, search_halves
from recognition.metrics import (
    fnir_at_fpir,
    identification_intervals,
    wilson,
)
from recognition.metrics.identification import cmc, oscr_area, oscr_curve, selectivity
from recognition.metrics.intervals import CLUSTERED_WILSON, PERSON_BOOTSTRAP
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.resampling import draw
from recognition.metrics.searches import pool, tabulate, with_failures
from recognition.protocols import open_set_split

PEOPLE, PICTURES = 12, 4
LABELS = np.repeat([f"p{i:02}" for i in range(PEOPLE)], PICTURES)
FEW = {"replicates": 60, "seed": 3}


def rows_of(noise=0.7, seed=0):
    random = np.random.default_rng(seed)
    people = random.normal(size=(PEOPLE, 8)).repeat(PICTURES, axis=0)
    return people + noise * random.normal(size=people.shape)


@pytest.fixture(scope="module")
def searches():
    return search_halves(rows_of(), LABELS, open_set_split(LABELS, seed=3))


@pytest.fixture(scope="module")
def section():
    return identify_strangers(rows_of(), LABELS, fpir_targets=(0.01, 0.25, 0.1), **FEW)


@pytest.fixture(scope="module")
def rows(section):
    return {row.key: row for row in section.rows}


def ends(row):
    return row.estimate.low, row.estimate.high


def test_the_rows_are_these(section, rows):
    assert (section.key, len(rows)) == ("identification", len(section.rows))
    at = [
        f"{name}@fpir={target}"
        for target in (0.25, 0.1, 0.01)
        for name in ("fnir", "dir", "threshold", "selectivity")
    ]
    sizes = [f"{rate}@gallery={size}" for rate in ("fpir", "fnir") for size in (6, 3)]
    counts = ["enrolled", "mated-searches", "nonmated-searches"]
    assert list(rows) == [*counts, "rank1", "rank5", *at, "oscr", *sizes]
    assert [rows[key].estimate.value for key in counts] == [6, 24, 48]
    assert {row.unit for key, row in rows.items() if key in counts} == {"count"}


def test_rates_are_those_of_the_metrics_and_their_intervals(searches, rows):
    intervals = identification_intervals(searches, [0.25, 0.1], **FEW)
    matches = cmc(searches, [1, 5])
    assert rows["rank1"].estimate.value == matches.rate[0]
    assert rows["rank5"].estimate.value == matches.rate[1]
    assert ends(rows["rank1"]) == intervals.rank_one_rate
    persons = np.unique(searches.probes[searches.mated], return_inverse=True)[1]
    assert ends(rows["rank5"]) == share_interval(searches.ranks <= 5, persons)
    assert rows["rank5"].estimate.counts == {
        "rank": 5,
        "hits": int((searches.ranks <= 5).sum()),
        "mated": 24,
        "excluded": 48,
        "optimistic": matches.optimistic[1],
    }
    for target in (0.25, 0.1):
        point = fnir_at_fpir(searches, target)
        low, high = intervals.fnir[target]
        assert rows[f"fnir@fpir={target}"].estimate.value == point.fnir
        assert ends(rows[f"fnir@fpir={target}"]) == (low, high)
        assert rows[f"dir@fpir={target}"].estimate.value == 1 - point.fnir
        assert ends(rows[f"dir@fpir={target}"]) == (1 - high, 1 - low)
        assert rows[f"threshold@fpir={target}"].estimate.value == point.threshold
        chosen = selectivity(searches, point.threshold)
        assert rows[f"selectivity@fpir={target}"].estimate.value == chosen.mean
    assert rows["oscr"].estimate.value == oscr_area(searches)
    methods = {key: row.interval for key, row in rows.items() if row.interval}
    assert methods.pop("rank1") == methods.pop("rank5") == CLUSTERED_WILSON
    assert methods == dict.fromkeys(
        ["fnir@fpir=0.25", "dir@fpir=0.25", "fnir@fpir=0.1", "dir@fpir=0.1", "oscr"],
        PERSON_BOOTSTRAP,
    )
    assert set(methods) < {key for key, row in rows.items() if row.estimate.low is not None}


def test_it_agrees_with_the_evaluation_of_strangers(rows):
    other = evaluate_strangers(rows_of(), LABELS, **FEW).estimates
    assert ends(rows["rank1"]) == (other["rank1"].low, other["rank1"].high)
    for key in ("rank1", "fnir@fpir=0.1", "fnir@fpir=0.01"):
        assert rows[key].estimate.value == other[key].value
    assert rows["fnir@fpir=0.1"].estimate == other["fnir@fpir=0.1"]


def test_what_cannot_be_measured_has_no_value_but_a_reason(rows):
    for name in ("fnir", "dir", "threshold", "selectivity"):
        estimate = rows[f"{name}@fpir=0.01"].estimate
        assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
        assert "FPIR 0.01 cannot be measured with 48 non-mated searches" in estimate.note


def test_every_interval_holds_its_value(rows):
    for row in rows.values():
        if row.estimate.low is not None:
            assert row.estimate.low <= row.estimate.value <= row.estimate.high
    assert ends(rows["oscr"])[0] < ends(rows["oscr"])[1]


@pytest.mark.parametrize("seed", range(5))
def test_resamples_of_the_area_equal_the_metric_written_out(seed):
    random = np.random.default_rng(seed)
    names = np.array([f"p{i}" for i in range(9)])
    on = random.choice(names, 40)
    scores = random.integers(0, 5, (40, 6)) / 4 + (on[:, None] == names[:6]) * 0.5
    made = tabulate(scores, names[:6], on)
    other = tabulate(scores[:9, 1:4], names[5:8], on[:9])  # strangers who are enrolled elsewhere
    found = with_failures(pool([made, other]), mated=["p1", "p2"], nonmated=["p1", "p8"])
    people, codes = np.unique(found.probes, return_inverse=True)
    areas = []
    for w in draw(len(people), 31, seed).T.astype(int):
        times = w[codes]
        mates = np.where(found.ranks == 1, found.mate_scores, -np.inf)
        mates = mates.repeat(times[found.mated])
        strangers = found.stranger_scores.repeat(times[~found.mated])
        if len(mates) and len(strangers):
            areas.append((mates[:, None] > strangers).mean())
    for level in (0.5, 0.9):
        got = module._area_interval(found, replicates=31, seed=seed, level=level)
        low = np.quantile(areas, (1 - level) / 2, method="lower")
        high = np.quantile(areas, (1 + level) / 2, method="higher")
        np.testing.assert_allclose(got, (low, high), atol=1e-14)


def test_chunks_of_the_bootstrap_change_nothing(searches, monkeypatch):
    whole = module._area_interval(searches, **FEW)
    monkeypatch.setattr(module, "CHUNK", 7 * (24 + 48))
    assert module._area_interval(searches, **FEW) == pytest.approx(whole, abs=1e-14)


def test_growth_ends_at_the_rates_of_the_whole_gallery(section, searches, rows):
    point = fnir_at_fpir(searches, 0.25)
    assert rows["fpir@gallery=6"].estimate.value == point.fpir
    assert rows["fnir@gallery=6"].estimate.value == point.fnir
    counts = rows["fpir@gallery=3"].estimate.counts
    assert (counts["threshold"], counts["target"], counts["repeats"]) == (point.threshold, 0.25, 20)
    assert 0 < rows["fpir@gallery=3"].estimate.value < point.fpir
    assert counts["deviation"] > 0
    assert {key for key in section.curves if "growth" in key} == {
        "growth@fpir=0.25",
        "growth@fpir=0.1",
    }
    curve = section.curves["growth@fpir=0.25"]
    assert curve["gallery"].tolist() == [3, 6]
    assert curve["fpir"].tolist() == [rows[f"fpir@gallery={n}"].estimate.value for n in (3, 6)]
    assert curve["independent"][0] == rows["fpir@gallery=3"].estimate.counts["independent"]


def test_curves_are_steps_of_the_exact_ones(section, searches, monkeypatch):
    assert section.curves["cmc"]["rate"].tolist() == cmc(searches).rate.tolist()
    exact = oscr_curve(searches)
    steps = set(zip(exact.thresholds, exact.fpir, exact.dir, strict=True))
    curve = section.curves["oscr"]
    drawn = list(zip(curve["threshold"], curve["fpir"], curve["dir"], strict=True))
    assert set(drawn) <= steps
    monkeypatch.setattr(module, "CURVE_POINTS", 8)
    few = module._thinned(exact)
    assert len(few) <= 10 < len(exact.fpir)
    assert {0, len(exact.fpir) - 1} <= set(few.tolist())


def test_failures_are_misses_where_enrolled_and_true_rejects_elsewhere(searches):
    gone = ["p00", "p00", "p01", "new", "new", "alone"]
    section = identify_strangers(rows_of(), LABELS, failures=gone, ranks=(1, 6), **FEW)
    rows = {row.key: row for row in section.rows}
    full = with_failures(searches, mated=gone[:5], nonmated=[*gone, "alone"])
    assert rows["mated-searches"].estimate.value == 24 + 5
    assert rows["nonmated-searches"].estimate.value == 48 + 7
    assert rows["rank1"].estimate.value == cmc(full).rate[0] < cmc(searches).rate[0]
    assert rows["rank6"].estimate.value == 24 / 29
    assert rows["fnir@fpir=0.1"].estimate.value == fnir_at_fpir(full, 0.1).fnir
    fte = rows["fte"].estimate
    assert (fte.value, fte.counts) == (1 / 13, {"failed": 1, "people": 13})  # "new", not "alone"
    assert (fte.low, fte.high) == wilson(1, 13)
    assert any("6 of 54 pictures could not be embedded" in note for note in section.notes)


def test_a_person_left_with_one_picture_could_not_be_enrolled():
    labels = [*LABELS, "left"]
    rows = np.concatenate([rows_of(), [[1.0] * 8]])
    section = identify_strangers(rows, labels, failures=["left", "left"], **FEW)
    counts = {row.key: row.estimate.counts for row in section.rows}
    assert counts["fte"] == {"failed": 1, "people": 13}
    assert counts["fnir@fpir=0.1"]["mated"] == 24 + 2
    assert counts["fnir@fpir=0.1"]["nonmated"] == 48 + 2 + 2


def test_ties_are_told(rows):
    assert rows["rank1"].estimate.note is None
    everyone = np.tile([1.0, 2.0], (len(LABELS), 1))
    section = identify_strangers(everyone, LABELS, **FEW)
    first = next(row for row in section.rows if row.key == "rank1").estimate
    assert (first.value, first.counts["optimistic"]) == (0, 1)
    assert "100.0000% if they counted for it" in first.note
    assert any("tie" in note for note in section.notes)


def test_galleries_too_small_to_shrink_are_told():
    labels = np.repeat(["a", "b"], 8)
    rows = np.eye(2).repeat(8, axis=0) + 0.1 * rows_of()[:16, :2]
    section = identify_strangers(rows, labels, fpir_targets=(0.5,), **FEW)
    assert not [row.key for row in section.rows if "gallery" in row.key]
    assert "could not be measured" in section.notes[-1]


def test_equal_seeds_give_equal_sections_and_progress_is_told(section):
    stages = []

    @contextmanager
    def watch(what, total):
        stages.append((what, total))
        yield lambda done, note="": None

    again = identify_strangers(
        rows_of(), LABELS, fpir_targets=(0.25, 0.1, 0.01), progress=watch, **FEW
    )
    assert again.rows == section.rows
    assert stages == [
        ("1/2 searching people", 36),
        ("2/2 searching people", 36),
        ("1/2 growing the gallery", 36),
        ("2/2 growing the gallery", 36),
    ]
    other = identify_strangers(rows_of(), LABELS, replicates=60, seed=4)
    assert {row.key: row for row in other.rows}["oscr"] != section.rows[-5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranks": (0, 1)}, "every rank from 1"),
        ({"fpir_targets": (1.5,)}, "a rate between 0 and 1"),
        ({"failures": [0.5]}, "labels of the failures"),
        ({"enrolled_pictures": 0}, "at least 1 picture"),
    ],
)
def test_options_that_are_none_are_refused_before_anything_is_searched(change, message):
    with pytest.raises(InputError, match=message):
        identify_strangers(
            rows_of(), LABELS, progress=lambda *_: pytest.fail("too late"), **FEW, **change
        )


def test_real_faces(shared_data):
    with np.load(shared_data / "orl_mobilefacenet.npz", allow_pickle=False) as file:
        section = identify_strangers(file["embeddings"], file["labels"], replicates=50)
    rows = {row.key: row.estimate for row in section.rows}
    assert (rows["enrolled"].value, rows["mated-searches"].value) == (20, 200)
    assert rows["nonmated-searches"].value == 400
    assert rows["rank1"].value == rows["rank20"].value == 1
    assert rows["fnir@fpir=0.01"].value == 0.01
    assert 0.99 < rows["oscr"].value < 1
    assert rows["fpir@gallery=20"].value == 0.1
    assert rows["fpir@gallery=5"].value < rows["fpir@gallery=10"].value < 0.1


def test_both_error_rates_by_threshold_are_those_of_the_rows(section, rows):
    rates = section.curves["operating"]
    for target in (0.25, 0.1):
        at = rates["threshold"].index(rows[f"threshold@fpir={target}"].estimate.value)
        assert rates["fnir"][at] == rows[f"fnir@fpir={target}"].estimate.value
        assert rates["fpir"][at] == rows[f"threshold@fpir={target}"].estimate.counts["fpir"]
    assert rates["enrolled"] == rows["enrolled"].estimate.value


def test_strangers_are_judged_by_both_at_the_same_thresholds():
    found = evaluate_strangers(rows_of(), LABELS, **FEW)
    verification, identification = (
        found.operating[key] for key in ("verification", "identification")
    )
    assert verification["threshold"] == identification["threshold"]
    assert found.eer.threshold in verification["threshold"]
    point = found.estimates["fnir@fpir=0.1"]
    at = verification["threshold"].index(point.counts["threshold"])
    assert identification["fnir"][at] == point.value
