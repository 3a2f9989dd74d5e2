"""What the figures of an evaluation have in common: panels, legends, axes of rates, bands."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recognition.metrics.verification import ENOUGH_ERRORS
from recognition.report.axes import GRID, MATED, NONMATED, shade_below
from recognition.report.evaluation.cells import Entry, Results
from recognition.report.text import in_figure

Floats = npt.NDArray[np.float64]

FIRST, SECOND = MATED, NONMATED  # of two models; the second is dashed as well
SIZE = (6.6, 4.8)
LONGEST_NAME = 28
BAND = "95 % at each threshold"


def curve_of(results: Results, section: str, curve: str) -> Mapping[str, Any]:
    """The curve of that name in a section, empty where there is none."""
    for each in results["sections"]:
        if each["key"] == section:
            found: Mapping[str, Any] = each["curves"].get(curve, {})
            return found
    return {}


def resolved(results: Results, section: str, prefix: str) -> list[tuple[float, Entry]]:
    """Rows of that name that have a value, with their targets: 0.001 of `tar@fmr=0.001`."""
    return [
        (float(target) if (target := row["key"].rpartition("=")[2]) != row["key"] else 0.0, row)
        for each in results["sections"]
        for row in each["rows"]
        if each["key"] == section and row["key"].startswith(prefix) and row["value"] is not None
    ]


def panel_with(across: str, upwards: str) -> tuple[Figure, Axes]:
    """A figure of one panel, its axes named."""
    figure = Figure(figsize=SIZE, layout="constrained")
    panel = figure.subplots()
    panel.set_xlabel(across)
    panel.set_ylabel(upwards)
    panel.grid(color=GRID, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    return figure, panel


def with_legend(figure: Figure) -> Figure:
    """The figure with its legend above."""
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def style_of(results: Results) -> dict[str, Any]:
    """How the line of the model looks, and what it is called."""
    return {"color": FIRST, "label": in_figure(results["name"], LONGEST_NAME)}


def from_one_error(rates: Floats, against: Floats, trials: float) -> tuple[Floats, Floats]:
    """The curve from 1 / trials on; what is reached without an error holds there too."""
    order = np.argsort(rates, kind="stable")
    rates, against = rates[order], against[order]
    seen = rates * trials > 0.5
    first = against[~seen][-1:]
    return np.append(np.full(len(first), 1 / trials), rates[seen]), np.append(first, against[seen])


def with_points(panel: Axes, found: Sequence[tuple[float, Entry]], *, misses: bool) -> None:
    """Rows at their target rates with intervals; of misses, what is left of one."""
    label = "95 % interval"
    for target, row in found:
        value, low, high = row["value"], row["low"], row["high"]
        if misses:
            value = 1 - value
            low, high = (None if end is None else 1 - end for end in (high, low))
        panel.errorbar(target, value, yerr=reach(value, low, high), fmt="o", color="0.2",
                       markersize=4, capsize=3, linewidth=1, label=label)  # fmt: skip
        label = "_"  # once in the legend


def reach(value: float, low: float | None, high: float | None) -> list[list[float]] | None:
    """How far an interval reaches to both sides, as matplotlib wants it."""
    if low is None or high is None:
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def rate_axes(panel: Axes, trials: float, errors: str) -> None:
    """A rate on a logarithmic axis from one error in all trials on, grey where errors are few."""
    panel.set_xscale("log")
    panel.set_xlim(min(1 / trials, 0.5), 1)
    shade_below(panel, ENOUGH_ERRORS / trials, few(errors))
    percent_axis(panel)


def few(errors: str) -> str:
    """What lies on grey."""
    return f"fewer than {ENOUGH_ERRORS} {errors}"


def percent_axis(panel: Axes) -> None:
    """From just below the lowest rate to 100 %, at least five points high."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), np.float64) for line in panel.lines])
    lowest = min(0.95, float(drawn.min()))
    room = (1 - lowest) * 0.06
    panel.set_ylim(max(lowest - room, -room), 1 + room / 2)
    panel.yaxis.set_major_formatter(PercentFormatter(1))


def named_band(panel: Axes, rates: Mapping[str, Any]) -> None:
    """How far the share of those named could be off at each threshold."""
    fpir, low, high = (
        np.asarray(rates[key], np.float64)[::-1] for key in ("fpir", "fnir_low", "fnir_high")
    )
    seen = fpir > 0
    panel.fill_between(fpir[seen], 1 - high[seen], 1 - low[seen], step="post", color=FIRST,
                       alpha=0.2, linewidth=0, label=BAND)  # fmt: skip
