"""Figures of pictures: how far ahead their own person is, and what their quality says."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recognition.report.axes import MATED, NONMATED, SIDE
from recognition.report.evaluation.cells import Results
from recognition.report.evaluation.panels import FIRST, curve_of, panel_with, style_of, with_legend


def margin_figure(results: Results) -> Figure:
    """How far each picture's own person is ahead of everybody else; left of 0 it is behind."""
    curve = curve_of(results, "neighbours", "margins")
    bins, counts = (np.asarray(curve[key], np.float64) for key in ("bins", "counts"))
    figure, panel = panel_with(
        "best score to the same person less best to anybody else", "pictures"
    )
    behind = bins[1:] <= (bins[1] - bins[0]) / 2
    for side, colour, label in (
        (behind, NONMATED, "nearest is somebody else"),
        (~behind, MATED, "nearest is the same person"),
    ):
        number = int(counts[side].sum())
        if number:
            edges = np.append(bins[:-1][side], bins[1:][side][-1])
            panel.stairs(
                counts[side],
                edges,
                fill=True,
                color=colour,
                alpha=0.6,
                label=f"{label}: {number:,}",
            )
    panel.axvline(0, color="0.2", linewidth=1.2)
    shown = np.flatnonzero(counts)
    left, right = min(0.0, bins[shown[0]]), max(0.0, bins[shown[-1] + 1])
    room = (right - left) * SIDE
    panel.set_xlim(left - room, right + room)
    panel.set_ylim(0, counts.max() * 1.08)
    return with_legend(figure)


def quality_figure(results: Results) -> Figure:
    """Misses among what is left as comparisons of low quality are discarded, with two for scale."""
    curve = curve_of(results, "quality", "discard")
    share, fnmr, low, high, ideal, chance = (
        np.asarray(curve[key], np.float64)
        for key in ("share", "fnmr", "low", "high", "ideal", "random")
    )
    figure, panel = panel_with(
        "pairs of one person discarded, worst quality first", "missed of the rest"
    )
    panel.fill_between(
        share, low, high, step="post", color=FIRST, alpha=0.2, linewidth=0, label="95 % interval"
    )
    panel.step(share, fnmr, where="post", linewidth=1.6, **style_of(results))
    panel.step(share, chance, where="post", color="0.4", linestyle="--", linewidth=1.3,
               label="random order")  # fmt: skip
    panel.step(share, ideal, where="post", color="0.4", linestyle=":", linewidth=1.6,
               label="ideal order")  # fmt: skip
    panel.set_xlim(0, share[-1])
    panel.set_ylim(0, 1.05 * max(fnmr.max(), min(high.max(), 2 * fnmr.max()), 1e-6))
    panel.xaxis.set_major_formatter(PercentFormatter(1))
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    return with_legend(figure)
