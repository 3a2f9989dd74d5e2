import json

import features as naive
import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from recognition.comparisons import compare_all
from recognition.comparisons.all_pairs import tally_all
from recognition.datasets.weight_files import ClassWeights
from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.evaluation.findings import Findings
from recognition.evaluation.options import Options
from recognition.evaluation.separability import compact, separate
from recognition.evaluation.uncertainty import NO_WIDTH
from recognition.metrics import angle_statistics
from recognition.metrics.separability import kolmogorov_smirnov

FEW = Options(replicates=60, seed=3)
ROWS, LABELS = naive.some(1, people=12, most=6, dim=5)
KEYS = [
    "intra", "intra-left-out", "inter", "silhouette", "silhouette-negative", "trace-ratio",
    "fisher", "davies-bouldin", "calinski-harabasz", "alignment", "uniformity", "nc1",
    "nc2-equinorm", "nc2-equiangular", "nc2-max-angle", "cdnv", "effective-rank",
    "participation-ratio", "ks", "overlap@bins=200",
]  # fmt: skip


def rows_of(section):
    return {row.key: row for row in section.rows}


@pytest.fixture(scope="module")
def section():
    return separate(ROWS, LABELS, scores=compare_all(ROWS, LABELS), options=FEW)


def test_rows_are_the_measures(section):
    rows = rows_of(section)
    assert list(rows) == KEYS
    angles = angle_statistics(ROWS, LABELS)
    within, between = naive.traces(ROWS, LABELS)
    silhouettes = naive.silhouettes(ROWS, LABELS)
    several = np.array([np.sum(name == LABELS) > 1 for name in LABELS])
    assert (silhouettes < 0).any()
    assert not several.all()
    people, n = len(set(LABELS)), len(LABELS)
    equal = {
        "intra": angles.intra,
        "inter": angles.inter,
        "silhouette": silhouette_score(unit_rows(ROWS), LABELS, metric="cosine"),
        "silhouette-negative": np.mean(silhouettes[several] < 0),
        "trace-ratio": between / within,
        "calinski-harabasz": between / within * (n - people) / (people - 1),
        "davies-bouldin": naive.davies_bouldin(ROWS, LABELS),
        "alignment": naive.alignment(ROWS, LABELS),
        "uniformity": naive.uniformity(ROWS),
        "nc1": naive.nc1(ROWS, LABELS),
        "cdnv": naive.cdnv(ROWS, LABELS),
        "effective-rank": naive.spectrum(ROWS)[0],
        "participation-ratio": naive.spectrum(ROWS)[1],
        "ks": kolmogorov_smirnov(compare_all(ROWS, LABELS)).value,
    }
    for key, value in equal.items():
        assert rows[key].estimate.value == pytest.approx(value, rel=1e-9), key
    found = [
        rows[f"nc2-{name}"].estimate.value for name in ("equinorm", "equiangular", "max-angle")
    ]
    assert found == pytest.approx(naive.nc2(ROWS, LABELS), rel=1e-9)


def test_means_have_intervals_that_name_how_they_were_made(section):
    without = {"fisher", "nc1", "effective-rank", "participation-ratio", "overlap@bins=200"}
    for row in section.rows:
        one = row.estimate
        if row.key in without or row.key.startswith("nc2"):
            assert one.low is one.high is None, row.key
            assert row.interval == ""
        else:
            assert one.low < one.value < one.high, row.key
            assert row.interval
    ratio, index = (rows_of(section)[key].estimate for key in ("trace-ratio", "calinski-harabasz"))
    assert index.low / index.value == pytest.approx(ratio.low / ratio.value)


def test_more_people_than_a_simplex_holds_are_told_and_few_pictures_for_fisher(section):
    rows = rows_of(section)
    assert "C > D + 1" in rows["nc2-max-angle"].estimate.note
    small = rows_of(separate(*naive.some(1, people=3, most=5, dim=3), options=FEW))
    assert small["nc2-max-angle"].estimate.note is None
    few = rows_of(separate(*naive.some(2, people=5, most=4, dim=5), options=FEW))
    assert "few for 5 dimensions" in few["fisher"].estimate.note


def test_single_pictures_are_counted_in_a_note(section):
    single = (np.unique(LABELS, return_counts=True)[1] == 1).sum()
    assert single > 0
    assert any(f"{single} people have a single picture" in note for note in section.notes)
    several = np.isin(
        LABELS, [n for n, c in zip(*np.unique(LABELS, return_counts=True), strict=True) if c > 1]
    )
    full = separate(ROWS[several], LABELS[several], options=FEW)
    assert not any("single picture:" in note for note in full.notes)
    assert "ks" not in rows_of(full)


def test_what_cannot_be_measured_says_why_and_the_rest_is_there():
    alone = separate(np.eye(4), list("abcd"), options=FEW)
    rows = rows_of(alone)
    for key in ("intra", "intra-left-out", "silhouette", "trace-ratio", "fisher", "alignment"):
        assert rows[key].estimate.value is None
        assert "add pictures" in rows[key].estimate.note
        assert rows[key].interval == ""
    assert rows["uniformity"].estimate.value == pytest.approx(-4)
    alike = rows_of(separate(np.ones((6, 3)), list("aabbcc"), options=FEW))
    for key in ("trace-ratio", "nc1", "nc2-equinorm", "effective-rank"):
        assert alike[key].estimate.value is None
    assert alike["silhouette"].estimate.value == alike["uniformity"].estimate.value == 0
    with pytest.raises(InputError, match="at least 2 people"):
        separate(np.eye(3), list("aaa"))


def test_perfect_collapse_and_antipodes_are_no_error():
    points = separate(np.repeat(np.eye(4), 3, axis=0), np.repeat(list("abcd"), 3), options=FEW)
    rows = rows_of(points)
    assert rows["trace-ratio"].estimate.value == np.inf
    assert "no picture differs" in rows["trace-ratio"].estimate.note
    assert rows["silhouette"].estimate.value == 1
    assert rows["nc1"].estimate.value == rows["cdnv"].estimate.value == 0
    opposite = [[1, 0], [1, 0], [-1, 0], [-1, 0]]
    two = rows_of(separate(opposite, list("aabb"), options=FEW))
    assert two["inter"].estimate.value == pytest.approx(180)
    json.dumps(Findings({}, [points]).as_dict(), allow_nan=False)


def test_two_people_are_one_pair_which_tells_nothing_of_others():
    two_of_them = np.isin(LABELS, ["p0", "p1"])
    rows = rows_of(separate(ROWS[two_of_them], LABELS[two_of_them], options=FEW))
    assert rows["cdnv"].estimate.value > 0
    assert rows["cdnv"].estimate.low is rows["cdnv"].estimate.high is None
    assert "single pair" in rows["cdnv"].estimate.note
    assert rows["inter"].estimate.low == rows["inter"].estimate.high
    assert rows["inter"].estimate.note == NO_WIDTH
    three = np.isin(LABELS, ["p0", "p1", "p2"])
    found = rows_of(separate(ROWS[three], LABELS[three], options=FEW))["cdnv"].estimate
    assert found.low < found.value < found.high
    two = rows_of(separate([[1, 0], [0, 1]], list("ab"), options=FEW))["uniformity"]
    assert two.estimate.value == pytest.approx(-4)
    assert two.estimate.low is None
    assert two.interval == ""


def test_class_weights_add_their_rows_and_say_that_nobody_is_a_stranger():
    names = np.unique(LABELS)
    random = np.random.default_rng(0)
    order = random.permutation(len(names))
    means = np.array([unit_rows(ROWS)[name == LABELS].mean(axis=0) for name in names[order]])
    weights = ClassWeights(means, names[order])
    section = separate(ROWS, LABELS, weights=weights, options=FEW)
    rows = rows_of(section)
    assert rows["w-ec"].estimate.value == pytest.approx(0, abs=1e-6)
    assert rows["w-inter"].estimate.value == pytest.approx(rows["inter"].estimate.value)
    assert 0 < rows["nc3"].estimate.value < 2
    assert 0 <= rows["nc4"].estimate.value < 0.5
    assert rows["nc4"].estimate.counts["trials"] == len(LABELS)
    assert any("no number here says how it is with strangers" in note for note in section.notes)
    more = ClassWeights(np.concatenate([means, means[:1] + 1]), np.append(names[order], "gone"))
    noted = separate(ROWS, LABELS, weights=more, options=FEW)
    assert "1 class weights of people without a picture are left out" in noted.notes
    assert noted.rows == section.rows


def test_a_tally_bounds_the_distance(section):
    tally = tally_all(ROWS, LABELS)
    found = rows_of(separate(ROWS, LABELS, scores=tally, options=FEW))["ks"].estimate
    exact = rows_of(section)["ks"].estimate.value
    assert found.value <= exact + 1e-12
    assert exact <= found.counts["most"] + 1e-12
    assert found.low is None


def test_the_compact_numbers_are_those_of_the_section(section):
    rows, few = rows_of(section), compact(ROWS, LABELS, replicates=60, seed=3)
    assert list(few) == [
        "silhouette",
        "trace-ratio",
        "nc1",
        "alignment",
        "uniformity",
        "effective-rank",
    ]
    for key, estimate in few.items():
        assert estimate == rows[key].estimate
    points = compact(np.repeat(np.eye(3), 2, axis=0), list("aabbcc"))
    assert points["trace-ratio"].value is None
    assert "no picture differs" in points["trace-ratio"].note


def test_real_faces(shared_data):
    with np.load(shared_data / "orl_mobilefacenet.npz", allow_pickle=False) as file:
        rows = rows_of(separate(file["embeddings"], file["labels"], options=FEW))
    values = {key: row.estimate.value for key, row in rows.items()}
    assert values["silhouette"] == pytest.approx(0.655702, abs=1e-6)
    assert values["trace-ratio"] == pytest.approx(3.219243, abs=1e-6)
    assert values["uniformity"] == pytest.approx(-3.206493, abs=1e-6)
