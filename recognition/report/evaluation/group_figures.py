"""Error rates of groups of people at one threshold, drawn."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from recognition.report.axes import GRID
from recognition.report.evaluation.cells import Entry, Results
from recognition.report.evaluation.panels import FIRST, LONGEST_NAME, reach
from recognition.report.evaluation.tables import largest_groups
from recognition.report.text import in_figure


def group_figure(results: Results) -> Figure:
    """Error rates of groups at one threshold, with intervals; hollow where people are too few."""
    rows = largest_groups(results["groups"])
    labels = list(dict.fromkeys(rate["label"] for row in rows for rate in row["rates"]))
    layout = ConstrainedLayoutEngine(wspace=0.08)
    figure = Figure(figsize=(8.0, 1.5 + 0.27 * len(rows)), layout=layout)
    panels = figure.subplots(1, len(labels), sharey=True, squeeze=False)[0]
    for panel, label in zip(panels, labels, strict=True):
        for place, row in enumerate(rows):
            for rate in row["rates"]:
                if rate["label"] == label:
                    _group_point(panel, place, rate, hollow=row["too_few"])
        panel.set_xlabel(f"{in_figure(label, LONGEST_NAME)}, %")
        panel.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.6g}")
        panel.set_xlim(left=0)
        panel.locator_params(axis="x", nbins=4)
        panel.grid(axis="x", color=GRID, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    names = [f"{in_figure(row['group'], LONGEST_NAME)} ({row['people']:,})" for row in rows]
    panels[0].set_yticks(range(len(rows)), names)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    panels[0].set_ylabel(f"{in_figure(results['groups']['column'], LONGEST_NAME)} (people)")
    figure.suptitle(_about(rows, len(results["groups"]["rows"])), fontsize=9)
    return figure


def _group_point(panel: Axes, place: int, rate: Entry, *, hollow: bool) -> None:
    if rate["value"] is None:
        across = panel.get_yaxis_transform()
        panel.text(0.03, place, "not resolved", transform=across, va="center", fontsize=8)
        return
    face = "white" if hollow else FIRST
    panel.errorbar(
        rate["value"], place, xerr=reach(rate["value"], rate["low"], rate["high"]), fmt="o",
        color=FIRST, markerfacecolor=face, markersize=5, capsize=2, clip_on=False,
    )  # fmt: skip


def _about(rows: Sequence[Entry], groups: int) -> str:
    parts = ["one threshold for all, 95 % intervals"]
    if any(row["too_few"] for row in rows):
        parts.append("hollow: too few people to judge")
    if groups > len(rows):
        parts.append(f"{len(rows)} groups with the most people, of {groups:,}")
    return "; ".join(parts)
