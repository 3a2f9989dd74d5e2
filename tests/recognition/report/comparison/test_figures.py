import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

from recognition.report.comparison.figures import (
    det_figure,
    fnir_figure,
    save_figures,
    score_figure,
)

BINS = np.linspace(-1, 1, 201).round(4).tolist()
SIX = ("softmax", "normface", "lsoftmax", "sphereface", "smsoftmax", "cosface")
SEVEN = (*SIX, "arcface:m=0.4,s=12")


def head(name, *, mated=80, nonmated=4000, shift=2.0):
    """Scores from two bells; what a comparison's results hold of them."""
    random = np.random.default_rng(len(name))
    own = np.tanh(random.normal(shift, 1, mated) / 3)
    other = np.tanh(random.normal(0, 1, nonmated) / 3)
    steps = np.sort(np.concatenate([[1.1], own, other]))[::-1]
    fmr = 1 - np.searchsorted(np.sort(other), steps) / nonmated
    fnmr = np.searchsorted(np.sort(own), steps) / mated
    at = abs(fmr - fnmr).argmin()
    counts = {"threshold": float(steps[at]), "mated": mated, "nonmated": nonmated}
    run = {
        "estimates": {"eer": {"value": float(fmr[at] + fnmr[at]) / 2, "counts": counts}},
        "curve": {"fmr": fmr.tolist(), "fnmr": fnmr.tolist()},
        "mated": np.histogram(own, BINS)[0].tolist(),
        "nonmated": np.histogram(other, BINS)[0].tolist(),
    }
    return {"name": name, "runs": [run]}


def results_of(names, **options):
    return {"bins": BINS, "heads": [head(name, **options) for name in names]}


def drawn(results, folder):
    save_figures(results, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["det.png", "scores.png"]
    sizes = {}
    for path in folder.iterdir():
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert image.convert("L").getextrema()[0] < 128  # something dark is on it
            sizes[path.stem] = image.size
    return sizes


@pytest.fixture(scope="module")
def seven():
    return results_of(SEVEN)


def test_one_head_and_seven_heads_are_drawn_as_pictures(seven, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "seven").mkdir()
    one, many = (
        drawn(results, tmp_path / name)
        for results, name in ((results_of(["arcface"]), "one"), (seven, "seven"))
    )
    assert min(*one["scores"], *one["det"]) > 200
    assert many["det"][0] == one["det"][0]
    assert one["det"][1] < many["det"][1] < one["det"][1] + 200  # names above each other
    assert many["scores"][0] > 3 * one["scores"][0]


def test_there_is_a_panel_a_head_and_no_empty_one_is_seen(seven):
    panels = [panel for panel in score_figure(seven).axes if panel.get_visible()]
    assert [panel.get_title().split()[0] for panel in panels] == list(SEVEN)
    labelled = [panel for panel in panels if panel.get_xlabel()]
    assert labelled == panels[-4:]  # the lowest of every column


def test_a_panel_shows_the_error_rate_and_its_threshold_and_densities_of_area_one():
    results = results_of(["arcface"])
    (panel,) = score_figure(results).axes
    eer = results["heads"][0]["runs"][0]["estimates"]["eer"]
    assert panel.get_title().endswith(f"EER {eer['value']:.1%}")
    lines = {line.get_label(): line for line in panel.lines}
    assert set(lines["threshold of the EER"].get_xdata()) == {eer["counts"]["threshold"]}
    middle = {}
    for steps in panel.patches:
        heights, edges, _ = steps.get_data()
        assert heights.sum() * 0.01 == pytest.approx(1)
        middle[steps.get_label()] = np.dot(edges[:-1], heights)
    assert middle["one person"] > middle["two people"]


def test_there_is_a_line_a_head_and_heads_without_a_margin_are_dashed(seven):
    figure = det_figure(seven)
    (panel,), (legend,) = figure.axes, figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert [label.split()[0] for label in labels] == list(SEVEN)
    for label, each in zip(labels, seven["heads"], strict=True):
        assert label.endswith(f"{each['runs'][0]['estimates']['eer']['value']:.1%}")
    styles = [line.get_linestyle() for line in panel.lines[:7]]
    assert styles == ["--", "--", "-", "-", "-", "-", "-"]
    for line in panel.lines[:7]:
        assert len(line.get_xdata()) > 20
        assert np.isfinite(line.get_xdata()).all()
        assert (np.diff(line.get_xdata()) >= 0).all()
        assert (np.diff(line.get_ydata()) <= 0).all()


def test_a_line_passes_through_its_equal_error_rate():
    results = results_of(["arcface"])
    (panel,) = det_figure(results).axes
    line = panel.lines[0]
    rate = norm.ppf(results["heads"][0]["runs"][0]["estimates"]["eer"]["value"])
    apart = abs(line.get_xdata() - rate) + abs(line.get_ydata() - rate)
    assert apart.min() < 0.1


def test_what_rests_on_too_few_false_matches_is_shaded():
    (few,) = det_figure(results_of(["arcface"], nonmated=4000)).axes
    (many,) = det_figure(results_of(["arcface"], nonmated=70_000, mated=10)).axes
    assert [text.get_text() for text in few.texts] == ["fewer than 30\nfalse matches"]
    assert not many.texts


@pytest.mark.parametrize(
    "options",
    [
        {"shift": 60.0},  # told apart without an error
        {"shift": -60.0},  # always wrong
        {"mated": 1, "nonmated": 4},
        {"mated": 4, "nonmated": 24},  # two people with two pictures, the smallest test
        {"mated": 4, "nonmated": 31},
    ],
)
def test_extreme_and_tiny_results_are_drawn_too(options, tmp_path):
    drawn(results_of(["softmax", "arcface"], **options), tmp_path)


def searched(results):
    """The same with rates over four thresholds: the ends of the lowest are not known."""
    for each in results["heads"]:
        run = each["runs"][0]
        rates = {"threshold": [0.1, 0.2, 0.3, 0.4]}
        for name, values in (("up", [0.01, 0.04, 0.1, 0.2]), ("down", [0.5, 0.2, 0.05, 0.0])):
            for end, factor in (("", 1.0), ("_low", 0.5), ("_high", 1.5)):
                rates[f"{name}{end}"] = [value * factor for value in values]
        rates["down_low"][0] = rates["down_high"][0] = None

        def named(false, missed, rates=rates):
            return {
                key.replace("down", false).replace("up", missed): each
                for key, each in rates.items()
            }

        identification = named("fpir", "fnir") | {"enrolled": 5, "strangers": 50, "mated": 40}
        run["operating"] = {
            "verification": named("fmr", "fnmr"),
            "identification": identification,
        }
        run["estimates"]["fnir@fpir=0.1"] = {"value": 0.03}
    return results


def test_searches_have_a_figure_where_they_were_counted(tmp_path):
    save_figures(searched(results_of(["softmax", "arcface"])), tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["det", "fnir", "scores"]
    figure = fnir_figure(searched(results_of(["softmax", "arcface"])))
    line = figure.axes[0].lines[0]
    assert norm.cdf(line.get_xdata()) == pytest.approx([0.05, 0.2, 0.5])
    assert norm.cdf(line.get_ydata()) == pytest.approx([0.1, 0.04, 0.01])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["softmax  3.0%", "arcface  3.0%"]


def test_names_lie_above_the_drawing_and_lines_of_one_colour_differ_in_their_dashes():
    names = [f"arcface:m=0.{k:02d}" for k in range(10, 32)]
    figure = det_figure(results_of(names, nonmated=400, mated=60))
    figure.draw_without_rendering()
    (panel,), (legend,) = figure.axes, figure.legends
    assert legend.get_window_extent().y0 >= panel.get_window_extent().y1
    assert legend.get_window_extent().y1 <= figure.bbox.y1
    styles = {(line.get_color(), line.get_linestyle()) for line in panel.lines[:22]}
    assert len(styles) == 22


def test_a_drawing_of_scores_shows_the_least_of_them():
    results = results_of(["arcface"])
    run = results["heads"][0]["runs"][0]
    run["nonmated"][3] = 1
    (panel,) = score_figure(results).axes
    assert panel.get_xlim()[0] <= results["bins"][3] < -0.9


@pytest.mark.parametrize("draw", [det_figure, fnir_figure])
def test_few_heads_have_bands_and_many_have_none(draw, seven):
    few = draw(searched(results_of(["softmax", "arcface", "cosface"]))).axes[0]
    bands = [each for each in few.collections if each.get_alpha() == 0.15]
    assert len(bands) == 3
    many = draw(searched(results_of(SEVEN))).axes[0]
    assert not [each for each in many.collections if each.get_alpha() == 0.15]


def test_a_band_lies_where_the_ends_of_the_interval_are():
    panel = fnir_figure(searched(results_of(["arcface"]))).axes[0]
    band = next(each for each in panel.collections if each.get_alpha() == 0.15)
    shown = norm.cdf(band.get_paths()[0].vertices)
    corners = {tuple(corner) for corner in shown.round(4).tolist()}
    assert {(0.05, 0.05), (0.05, 0.15), (0.2, 0.02), (0.2, 0.06)} <= corners
    assert shown[:, 0].min() == pytest.approx(0.05)  # no step where no false alarm was seen
