"""What heads differ in, drawn from a comparison's results: error, angles, the course of training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import (
    LogLocator,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
    StrMethodFormatter,
)

from recognition.report.axes import GRID, MATED, NONMATED
from recognition.report.comparison.figures import (
    COLOURS,
    LONGEST_NAME,
    legend_above,
    line_of,
    room_for_legend,
)
from recognition.report.comparison.tables import ANGLES
from recognition.report.text import in_figure

WIDTH = 5.4
ROW, ROOM = 0.34, 1.1  # inches: a head, and what stands above and below all of them
MANIFOLD = 5.0  # from there on losses are drawn on a logarithmic axis
SMOOTHED = 20  # batches whose losses are averaged, at most
ANGLE_COLOURS = {"w-ec": MATED, "w-inter": NONMATED, "intra": "#5b4ea2", "inter": "#8a6d1f"}


def difference_figure(results: Mapping[str, Any]) -> Figure:
    """Equal error rates less the baseline's, with intervals, a row a head; left of 0 is better."""
    gaps = results["differences"]["heads"]
    figure, panel = _rows(len(gaps))
    for place, gap in enumerate(gaps.values()):
        value, low, high = (100 * gap[key] for key in ("value", "low", "high"))
        told = high < 0 or low > 0
        panel.errorbar(
            value, place, xerr=[[max(0.0, value - low)], [max(0.0, high - value)]], fmt="o",
            color=MATED if high < 0 else NONMATED if low > 0 else "0.4", capsize=3,
            markerfacecolor=None if told else "white",
        )  # fmt: skip
    panel.axvline(0, color="0.2", linewidth=1)
    panel.set_yticks(range(len(gaps)), [in_figure(name, LONGEST_NAME) for name in gaps])
    panel.set_ylim(len(gaps) - 0.5, -0.5)
    panel.set_xlabel(
        f"equal error rate less that of {results['differences']['baseline']}, percentage points"
    )
    return figure


def angle_figure(results: Mapping[str, Any]) -> Figure:
    """The four angles of each head, in degrees."""
    heads = results["heads"]
    figure, panel = _rows(len(heads))
    for column in ANGLES:
        values = [head["estimates"][column.key]["value"] for head in heads]
        panel.plot(
            [np.nan if value is None else value for value in values], range(len(heads)), "o",
            color=ANGLE_COLOURS[column.key], label=column.heading,
        )  # fmt: skip
    names = [in_figure(head["name"], LONGEST_NAME) for head in heads]
    panel.set_yticks(range(len(heads)), names)
    panel.set_ylim(len(heads) - 0.5, -0.5)
    panel.set_xlim(left=0)
    panel.set_xlabel("degrees")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure


def loss_figure(results: Mapping[str, Any]) -> Figure:
    """The loss of each head as it learned, in the first seed, averaged over some batches."""
    figure, panel = _ground(results)
    for place, head in enumerate(results["heads"]):
        losses = np.asarray(head["runs"][0]["losses"], np.float64)
        width = max(1, min(SMOOTHED, len(losses) // 5))
        smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
        steps = np.arange(len(smooth)) + width
        panel.plot(steps, smooth, linewidth=1.4, **_style(head, place))
    panel.set_xlabel("step")
    panel.set_ylabel("loss, margin included")
    _loss_axis(panel)
    _finish(figure, panel, results)
    return figure


def _loss_axis(panel: Any) -> None:
    """Logarithmic where losses differ by orders of magnitude, ticks as plain numbers."""
    drawn = np.concatenate([line.get_ydata() for line in panel.lines])
    if 0 < MANIFOLD * drawn.min() < drawn.max():
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def cmc_figure(results: Mapping[str, Any]) -> Figure:
    """How often the right person is among the first k, a line a head, in the first seed."""
    figure, panel = _lines(results, "cmc", "rank", "rate")
    panel.set_xlabel("rank")
    panel.set_ylabel("right person among so many")
    return figure


def growth_figure(results: Mapping[str, Any]) -> Figure:
    """False alarms at one threshold while the gallery grows, a line a head, in the first seed."""
    figure, panel = _lines(results, "growth", "gallery", "fpir")
    panel.set_xlabel("people enrolled")
    panel.set_ylabel("false alarms for strangers (FPIR)")
    return figure


def _lines(results: Mapping[str, Any], curve: str, across: str, upwards: str) -> tuple[Figure, Any]:
    figure, panel = _ground(results)
    for place, head in enumerate(results["heads"]):
        found = head["runs"][0]["curves"].get(curve)
        if found:
            panel.plot(found[across], found[upwards], marker="o", markersize=3, linewidth=1.4,
                       **_style(head, place))  # fmt: skip
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    _finish(figure, panel, results)
    return figure, panel


def _ground(results: Mapping[str, Any]) -> tuple[Figure, Any]:
    height = 3.3 + room_for_legend(results["heads"])
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _style(head: Mapping[str, Any], place: int) -> dict[str, Any]:
    name = in_figure(head["name"], LONGEST_NAME)
    return {"color": f"C{place % COLOURS}", "linestyle": line_of(head, place), "label": name}


def _finish(figure: Figure, panel: Any, results: Mapping[str, Any]) -> None:
    panel.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    panel.grid(color=GRID, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    legend_above(figure, results["heads"])


def _rows(count: int) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH, ROOM + ROW * count), layout="constrained")
    panel = figure.subplots()
    panel.grid(axis="x", color=GRID, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    return figure, panel
