import json
import warnings

import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

from recognition.comparisons.pairs import compare_all
from recognition.metrics.verification import equal_error_rate, error_curve, tar_at_fmr
from recognition.report.axes import deviate_axes
from recognition.report.evaluation.figures import figures, save_curves
from recognition.report.evaluation.group_figures import group_figure
from recognition.report.evaluation.identification_figures import (
    cmc_figure,
    growth_figure,
    oscr_figure,
)
from recognition.report.evaluation.verification_figures import (
    det_figure,
    roc_figure,
    score_figure,
)

EVERY = ["scores.png", "det.png", "roc.png", "cmc.png", "oscr.png", "margins.png", "growth.png",
         "groups.png"]  # fmt: skip
BINS = np.linspace(-1, 1, 201)


def row(key, value, low=None, high=None, label="", note=None, **counts):
    return {"key": key, "label": label or key, "unit": "share", "value": value, "low": low,
            "high": high, "note": note, "interval": "", "counts": counts}  # fmt: skip


def results_of(embeddings, labels, name="faces.npz"):
    """What the figures read, of real comparisons."""
    scores = compare_all(embeddings, labels)
    point, eer = tar_at_fmr(scores, 0.001), equal_error_rate(scores)
    curve = error_curve(scores)
    verification = {
        "key": "verification", "title": "V", "notes": [],
        "rows": [
            row("eer", eer.rate, threshold=eer.threshold),
            row("tar@fmr=0.001", point.tar if point.resolved else None, point.tar / 2, 1.0,
                threshold=point.threshold),
        ],
        "curves": {
            "roc": {"threshold": curve.thresholds.tolist(), "fmr": curve.fmr.tolist(),
                    "fnmr": curve.fnmr.tolist()},
            "histogram": {
                "bins": BINS.tolist(),
                "mated": np.histogram(scores.mated, BINS)[0].tolist(),
                "nonmated": np.histogram(scores.nonmated, BINS)[0].tolist(),
            },
        },
    }  # fmt: skip
    identification = {
        "key": "identification", "title": "I", "notes": [],
        "rows": [row("fnir@fpir=0.1", 0.3, 0.1, 0.4, nonmated=50)],
        "curves": {
            "cmc": {"rank": [1, 2, 3], "rate": [0.8, 0.9, 1.0], "optimistic": [0.85, 0.9, 1.0]},
            "oscr": {"fpir": [0, 0, 0.02, 0.1, 1], "dir": [0, 0.5, 0.6, 0.7, 0.8]},
            "growth": {"gallery": [2, 4, 8], "fpir": [0.01, 0.02, 0.03], "low": [0, 0.01, 0.03],
                       "high": [0.02, 0.03, 0.03], "bound": [0.004, 0.008, None]},
        },
    }  # fmt: skip
    return {
        "name": name,
        "input": {"mated": len(scores.mated), "nonmated": scores.nonmated_count},
        "sections": [verification, identification, neighbours([-2, -1, 0, 1, 2], [0, 1, 3, 5])],
        "groups": None,
        "comparison": None,
    }


def neighbours(bins, counts):
    curves = {"margins": {"bins": bins, "counts": counts}}
    return {"key": "neighbours", "title": "N", "notes": [], "rows": [], "curves": curves}


def blobs(people, pictures, noise, seed=0):
    random = np.random.default_rng(seed)
    centres = np.repeat(random.normal(size=(people, 32)), pictures, axis=0)
    labels = np.repeat([f"p{i}" for i in range(people)], pictures)
    return centres + noise * random.normal(size=centres.shape), labels


def group(name, people, fmr, fnmr, too_few=False):
    rates = [fmr | {"label": "FMR"}, fnmr | {"label": "FNMR"}]
    return {"group": name, "people": people, "pictures": 9, "too_few": too_few, "rates": rates}


@pytest.fixture(scope="module")
def usual():
    return results_of(*blobs(30, 6, 1.2))


@pytest.fixture
def results(usual):
    return json.loads(json.dumps(usual))


def curve_of(results):
    curve = results["sections"][0]["curves"]["roc"]
    return np.array(curve["fmr"]), np.array(curve["fnmr"])


def test_every_figure_whose_curve_there_is_is_written_as_a_picture(results, tmp_path):
    rate = row("fmr", 0.01, 0, 0.02)
    results["groups"] = {"column": "sex", "rows": [group("f", 3, rate, rate)], "notes": []}
    assert save_curves(results, tmp_path) == EVERY
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(EVERY)
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert round(image.info["dpi"][0]) == 120
            assert image.convert("L").getextrema()[0] < 128


def test_without_curves_there_is_no_figure(results):
    for each in results["sections"]:
        each["curves"] = {}
    assert figures(results) == {}
    results["sections"] = []
    assert figures(results) == {}


def test_histograms_have_area_one_and_thresholds_their_place(results):
    (panel,) = score_figure(results).axes
    assert panel.get_yscale() == "log"
    for step in panel.patches:
        heights, edges, _ = step.get_data()
        assert (heights * np.diff(edges)).sum() == pytest.approx(1)
        positive = heights[heights > 0]
        assert panel.get_ylim()[0] < positive.min()
    rows = results["sections"][0]["rows"]
    assert [line.get_xdata()[0] for line in panel.lines] == [
        each["counts"]["threshold"] for each in rows
    ]
    low, high = panel.get_xlim()
    assert all(low < line.get_xdata()[0] < high for line in panel.lines)


@pytest.mark.parametrize("threshold", ["-inf", "inf", None])
def test_thresholds_that_are_nowhere_are_not_drawn(results, threshold):
    rows = results["sections"][0]["rows"]
    rows[0]["counts"]["threshold"] = threshold
    rows[1]["value"] = None
    (panel,) = score_figure(results).axes
    assert not panel.lines


def test_the_roc_is_made_of_measured_steps_from_one_false_match_on(results):
    (panel,) = roc_figure(results).axes
    line = panel.lines[0]
    fmr, fnmr = curve_of(results)
    nonmated = results["input"]["nonmated"]
    across, upwards = line.get_data()
    assert line.get_drawstyle() == "steps-post"
    assert across.min() == 1 / nonmated == panel.get_xlim()[0]
    seen = fmr > 0
    np.testing.assert_array_equal(across[1:], fmr[seen])
    np.testing.assert_array_equal(upwards[1:], 1 - fnmr[seen])
    assert upwards[0] == 1 - fnmr[~seen].min()  # reached without a false match


def test_at_a_target_rate_the_roc_is_at_the_point_of_the_table(results):
    (panel,) = roc_figure(results).axes
    across, upwards = panel.lines[0].get_data()
    held = upwards[np.searchsorted(across, 0.001, side="right") - 1]  # steps-post
    tar = results["sections"][0]["rows"][1]["value"]
    assert held == pytest.approx(tar)
    (marker,) = [c for c in panel.containers if c.get_label() == "95 % interval"]
    assert marker[0].get_xydata().tolist() == [[0.001, pytest.approx(tar)]]
    (bar,) = marker[2][0].get_segments()
    assert bar[:, 1] == pytest.approx([tar / 2, 1.0])


@pytest.mark.parametrize("draw", [roc_figure, oscr_figure])
def test_fewer_than_thirty_errors_lie_on_grey(results, draw):
    (panel,) = draw(results).axes
    trials = results["input"]["nonmated"] if draw is roc_figure else 50
    (grey,) = panel.patches
    assert grey.get_label().startswith("fewer than 30 false")
    assert grey.get_bbox().x0 == panel.get_xlim()[0]
    assert grey.get_bbox().x1 == pytest.approx(30 / trials)


def test_the_det_passes_through_the_equal_error_rate_and_ends_at_none(results):
    (panel,) = det_figure(results).axes
    across, upwards = panel.lines[0].get_data()
    assert np.isfinite([across, upwards]).all()
    rate = norm.ppf(results["sections"][0]["rows"][0]["value"])
    assert (abs(across - rate) + abs(upwards - rate)).min() < 0.1
    half = norm.ppf(0.5 / results["input"]["mated"])
    assert upwards.min() == pytest.approx(half)
    assert panel.get_yticks()[0] == pytest.approx(half)
    assert panel.get_yticklabels()[0].get_text() == "none"
    assert across.min() == pytest.approx(norm.ppf(1 / results["input"]["nonmated"]))
    assert panel.get_xlim()[0] == pytest.approx(across.min())


def test_a_second_model_is_dashed_beside_the_first(results):
    other = results_of(*blobs(30, 6, 2.0), name="other.npz")
    fmr, fnmr = curve_of(other)
    results["comparison"] = {
        "name": "other.npz", "rows": [], "curves": {"fmr": fmr.tolist(), "fnmr": fnmr.tolist()}
    }  # fmt: skip
    for figure in (roc_figure(results), det_figure(results)):
        first, second = figure.axes[0].lines[:2]
        assert (first.get_label(), second.get_label()) == ("faces.npz", "other.npz")
        assert (first.get_linestyle(), second.get_linestyle()) == ("-", "--")
        assert first.get_color() != second.get_color()
    lines = roc_figure(results).axes[0].lines
    assert (lines[1].get_ydata()[:50] < lines[0].get_ydata()[:50]).all()
    assert len(lines[1].get_xdata()) == (fmr > 0).sum() + 1


def test_the_open_set_curve_begins_at_one_false_alarm_and_meets_its_point(results):
    (panel,) = oscr_figure(results).axes
    assert panel.lines[0].get_xdata().tolist() == [0.02, 0.02, 0.1, 1]
    assert panel.lines[0].get_ydata().tolist() == [0.5, 0.6, 0.7, 0.8]
    assert panel.lines[1].get_xydata().tolist() == [[0.1, pytest.approx(0.7)]]
    (bar,) = panel.containers[0][2][0].get_segments()
    assert bar[:, 1] == pytest.approx([0.6, 0.9])


def test_ties_that_matter_are_drawn_as_a_second_line(results):
    curve = results["sections"][1]["curves"]["cmc"]
    assert len(cmc_figure(results).axes[0].lines) == 2
    curve["optimistic"] = curve["rate"]
    (line,) = cmc_figure(results).axes[0].lines
    assert line.get_xydata().tolist() == [[1, 0.8], [2, 0.9], [3, 1.0]]


def test_many_ranks_are_on_a_logarithmic_axis(results):
    ranks = list(range(1, 1001))
    curve = {"rank": ranks, "rate": [1 - 0.5 / k for k in ranks], "optimistic": [1.0] * 1000}
    results["sections"][1]["curves"]["cmc"] = curve
    assert cmc_figure(results).axes[0].get_xscale() == "log"


def test_growth_shows_the_measured_the_spread_and_the_bound(results):
    (panel,) = growth_figure(results).axes
    measured, bound = panel.lines[:2]
    assert measured.get_xydata().tolist() == [[2, 0.01], [4, 0.02], [8, 0.03]]
    assert bound.get_ydata()[:2].tolist() == [0.004, 0.008]
    band = panel.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0, 0.03)
    assert panel.get_ylim()[0] == 0


def test_growth_at_several_thresholds_has_a_line_for_each(results):
    curves = results["sections"][1]["curves"]
    del curves["growth"]
    for target, size in (("0.1", 0.1), ("0.01", 0.01)):
        curves[f"growth@fpir={target}"] = {
            "gallery": [1, 10, 100], "fpir": [size / 4, size / 2, size],
            "fpir_deviation": [size / 2, size / 4, None], "independent": [0, size / 4, size],
        }  # fmt: skip
    (panel,) = figures(results)["growth.png"].axes
    assert panel.get_xscale() == "log"
    assert [line.get_label() for line in panel.lines[::2]][:2] == [
        "threshold for FPIR 0.1", "threshold for FPIR 0.01",
    ]  # fmt: skip
    band = panel.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0, pytest.approx(0.075))


def test_groups_have_their_rates_and_few_people_are_hollow(results):
    unresolved = row("fmr", None, note="too few")
    rows = [
        group("f", 12, row("fmr", 0.01, 0.005, 0.03), row("fnmr", 0.1, 0.05, 0.2)),
        group("m", 3, unresolved, row("fnmr", 0.2, 0.1, 0.4), too_few=True),
    ]
    results["groups"] = {"column": "sex", "rows": rows, "notes": []}
    left, right = group_figure(results).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["f (12)", "m (3)"]
    assert [text.get_text() for text in left.texts] == ["not resolved"]
    dots = [container[0] for container in right.containers]
    assert [dot.get_xydata().tolist() for dot in dots] == [[[0.1, 0]], [[0.2, 1]]]
    assert [dot.get_markerfacecolor() == "white" for dot in dots] == [False, True]
    (bar,) = right.containers[0][2][0].get_segments()
    assert bar[:, 0] == pytest.approx([0.05, 0.2])
    assert "hollow" in group_figure(results).get_suptitle()


def test_of_a_thousand_groups_thirty_are_drawn_and_the_figure_says_so(results):
    rate = row("fmr", 0.01)
    rows = [group(f"g{n}", n, rate, rate) for n in range(1000)]
    results["groups"] = {"column": "club", "rows": rows, "notes": []}
    figure = group_figure(results)
    assert len(figure.axes[0].get_yticks()) == 30
    assert figure.get_suptitle().endswith("30 groups with the most people, of 1,000")


@pytest.mark.parametrize(
    ("people", "pictures", "noise"),
    [(10, 4, 1e-3), (3, 2, 1.0), (2, 2, 0.1), (10, 3, 9.0)],
    ids=["perfect", "three people", "the fewest people", "chance"],
)
def test_extremes_are_drawn_too(people, pictures, noise):
    drawn = figures(results_of(*blobs(people, pictures, noise)))
    assert list(drawn) == EVERY[:-1]
    for name in EVERY[:3]:  # the others hold the same as ever
        drawn[name].draw_without_rendering()


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([0, 1, 3, 5], ["nearest is somebody else: 1", "nearest is the same person: 8"]),
        ([0, 0, 0, 7], ["nearest is the same person: 7"]),
        ([1200, 0, 0, 0], ["nearest is somebody else: 1,200"]),
    ],
)
def test_margins_left_of_0_are_told_apart_and_counted(counts, said, results):
    results["sections"][2] = neighbours([-2, -1, 0, 1, 2], counts)
    figure = figures(results)["margins.png"]
    (panel,) = figure.axes
    assert panel.get_legend_handles_labels()[1] == said
    left, right = panel.get_xlim()
    assert left < 0 < right
    for patch in panel.patches:
        values, edges, _ = patch.get_data()
        behind = "somebody" in patch.get_label()
        assert (edges[-1] <= 0) == behind
        assert values.sum() == sum(counts[:2] if behind else counts[2:])


def test_an_always_wrong_model_is_drawn_too(results):
    verification = results["sections"][0]
    verification["curves"]["roc"] = {"threshold": [1, 0], "fmr": [0, 1], "fnmr": [1, 1]}
    (panel,) = det_figure(results).axes
    assert np.isfinite(panel.lines[0].get_xydata()).all()
    assert panel.get_ylim()[1] > panel.lines[0].get_ydata().max()


def test_any_name_can_be_drawn_and_is_read_as_it_is(results, tmp_path):
    results["name"] = "$\\frac{$ 山田 \x1b[31m" + "long " * 60
    rate = row("fmr", 0.01)
    rows = [group("$a$ \udcff", 3, rate, rate)]
    results["groups"] = {"column": "$_$", "rows": rows, "notes": []}
    results["sections"] = results["sections"][1:2]
    results["sections"][0]["curves"] = {"cmc": results["sections"][0]["curves"]["cmc"]}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert save_curves(results, tmp_path) == ["cmc.png", "groups.png"]
    assert warned == []
    label = cmc_figure(results).axes[0].lines[1].get_label()
    assert "\x1b" not in label
    assert len(label) <= 30


@pytest.mark.parametrize("least", [1e-9, 1e-6, 1e-5, 1e-4, 4e-4, 1e-3, 0.01, 0.1])
def test_ticks_of_a_det_plot_keep_apart_and_name_their_rates(least, results):
    (panel,) = roc_figure(results).axes
    panel.clear()
    deviate_axes(panel, (least, 0.6), (least, 0.9))
    places = panel.get_xticks()
    names = [float(label.get_text()) for label in panel.get_xticklabels()]
    assert len(places) > 1
    assert norm.cdf(places) * 100 == pytest.approx(names)
    assert np.diff(places).min() > 0.035 * (norm.ppf(0.6) - norm.ppf(least))
    assert norm.cdf(places).min() >= least * (1 - 1e-9)


def test_curves_have_the_band_of_their_interval_where_rates_by_threshold_are_known(results):
    ends = {"_low": [None, 0.01, 0.05, 0.2], "": [0.01, 0.04, 0.1, 0.3], "_high": [None, 0.1, 0.2, 0.5]}  # fmt: skip
    plain = [len(draw(results).axes[0].collections) for draw in (det_figure, oscr_figure)]
    for at, (false, missed) in enumerate((("fmr", "fnmr"), ("fpir", "fnir"))):
        rates = {"threshold": [0.1, 0.2, 0.3, 0.4], false: [0.5, 0.2, 0.01, 0.0]}
        found = {f"{missed}{end}": values for end, values in ends.items()}
        results["sections"][at]["curves"]["operating"] = rates | found
    panels = [draw(results).axes[0] for draw in (det_figure, oscr_figure)]
    assert [len(panel.collections) for panel in panels] == [count + 1 for count in plain]
    shown = norm.cdf(panels[0].collections[-1].get_paths()[0].vertices).round(4)
    assert {(0.01, 0.05), (0.01, 0.2), (0.2, 0.01), (0.2, 0.1)} <= {*map(tuple, shown.tolist())}
    assert shown[:, 0].max() < 0.21  # where the ends are not known there is no band
    band = next(each for each in panels[1].collections if each.get_alpha() == 0.2)
    named = band.get_paths()[0].vertices.round(4)
    assert {(0.01, 0.95), (0.01, 0.8), (0.2, 0.99), (0.2, 0.9)} <= {*map(tuple, named.tolist())}
