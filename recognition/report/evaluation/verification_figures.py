"""Figures of pairs: the scores, DET and ROC."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from scipy.stats import norm

from recognition.metrics.verification import ENOUGH_ERRORS
from recognition.report.axes import (
    densities,
    deviate_axes,
    lay_band,
    shade_below,
)
from recognition.report.evaluation.cells import Results
from recognition.report.evaluation.panels import (
    BAND,
    FIRST,
    LONGEST_NAME,
    SECOND,
    SIZE,
    curve_of,
    few,
    from_one_error,
    panel_with,
    rate_axes,
    resolved,
    style_of,
    with_legend,
    with_points,
)
from recognition.report.numbers import written
from recognition.report.text import in_figure

Floats = npt.NDArray[np.float64]

MOST_FMR, LEAST_TOP = 0.6, 0.5  # how far a DET plot reaches at least, if no curve needs more
MISSED_MARGIN = 0.75  # room below the line at half an error


def score_figure(results: Results) -> Figure:
    """Densities of both kinds of scores on a logarithmic axis, and the thresholds in use."""
    curve = curve_of(results, "verification", "histogram")
    figure, panel = panel_with("score", "density")
    least = densities(panel, curve)
    for key, name, style in (("eer", "EER", ":"), ("tar@fmr=0.001", "FMR 0.001", "--")):
        for _, row in resolved(results, "verification", key):
            threshold = row["counts"].get("threshold")
            if threshold is not None and np.isfinite(float(threshold)):
                label = f"threshold of {name}: {written(threshold, 'score', 3)}"
                panel.axvline(threshold, color="0.2", linewidth=1.2, linestyle=style, label=label)
    panel.set_yscale("log")
    panel.set_ylim(bottom=least / 2)
    panel.yaxis.set_minor_formatter(NullFormatter())
    return with_legend(figure)


def det_figure(results: Results) -> Figure:
    """Misses against false matches on normal-deviate axes, of one model or of two.

    Where no mated pair is missed the line runs at half a miss, by the tick "none". The band is
    that of the first model's misses, at a threshold not chosen by these scores.
    """
    mated, nonmated = results["input"]["mated"], results["input"]["nonmated"]
    none, top, missed_none = 0.5 / mated, LEAST_TOP, False
    figure = Figure(layout="constrained")
    panel = figure.subplots()
    for fmr, fnmr, style in _models(results):
        missed_none |= bool((fnmr == 0).any())
        top = max(top, fnmr.max())
        panel.plot(
            norm.ppf(np.minimum(fmr, 1 - 0.5 / nonmated)),
            norm.ppf(np.clip(fnmr, none, 1 - none)),
            drawstyle="steps-post",
            linewidth=1.6,
            **style,
        )
    rates = curve_of(results, "verification", "operating")
    if rates:
        lay_band(panel, rates, "fmr", "fnmr", least=none, color=FIRST, alpha=0.2, label=BAND)
    least = min(1 / nonmated, MOST_FMR / 2)
    floor = min(none, LEAST_TOP / 2) * MISSED_MARGIN
    panel.set_xlim(norm.ppf(least), norm.ppf(MOST_FMR))
    shade_below(panel, _deviate(ENOUGH_ERRORS / nonmated), few("false matches"))
    deviate_axes(panel, (least, MOST_FMR), (floor, min(top * 1.05, 1 - none / 2)))
    (left, right), (bottom, above) = panel.get_xlim(), panel.get_ylim()
    shape = min(1.3, max(0.5, (above - bottom) / (right - left)))
    figure.set_size_inches(SIZE[0], 1.2 + (SIZE[0] - 0.8) * shape)  # what equal units leave empty
    if missed_none:
        _name_lowest(panel, norm.ppf(none))
    return with_legend(figure)


def _deviate(rate: float) -> float:
    return float(norm.ppf(min(rate, 1 - 1e-9)))


def _name_lowest(panel: Axes, place: float) -> None:
    """Put the tick "none" at `place`, instead of ticks that would touch it."""
    labels = [label.get_text() for label in panel.get_yticklabels()]
    ticks = [
        pair for pair in zip(panel.get_yticks(), labels, strict=True) if pair[0] > place + 0.15
    ]
    panel.set_yticks([place, *(tick for tick, _ in ticks)], ["none", *(name for _, name in ticks)])


def roc_figure(results: Results) -> Figure:
    """TAR at an FMR of at most what the axis says, down to one false match in all."""
    figure, panel = panel_with("false match rate, at most", "accepted pairs of one person")
    nonmated = results["input"]["nonmated"]
    for fmr, fnmr, style in _models(results):
        panel.step(fmr, 1 - fnmr, where="post", linewidth=1.6, **style)
    with_points(panel, resolved(results, "verification", "tar@fmr="), misses=False)
    rate_axes(panel, nonmated, "false matches")
    return with_legend(figure)


def _models(results: Results) -> list[tuple[Floats, Floats, dict[str, Any]]]:
    """FMR, FNMR and style of the model, and of the one beside it."""
    other = results["comparison"] or {}
    curves = [(curve_of(results, "verification", "roc"), style_of(results))]
    if other.get("curves"):
        label = in_figure(other["name"], LONGEST_NAME)
        curves.append((other["curves"], {"color": SECOND, "label": label, "linestyle": "--"}))
    trials = results["input"]["nonmated"]
    found = []
    for curve, style in curves:
        fmr, fnmr = (np.asarray(curve[key], np.float64) for key in ("fmr", "fnmr"))
        found.append((*from_one_error(fmr, fnmr, trials), style))
    return found
