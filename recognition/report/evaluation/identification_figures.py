"""Figures of searches: named rightly against false alarms, CMC, a growing gallery."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from recognition.report.axes import MATED, NONMATED
from recognition.report.evaluation.cells import Results
from recognition.report.evaluation.panels import (
    SECOND,
    curve_of,
    from_one_error,
    named_band,
    panel_with,
    percent_axis,
    rate_axes,
    resolved,
    style_of,
    with_legend,
    with_points,
)

Floats = npt.NDArray[np.float64]

MANY = (MATED, NONMATED, "#5b4ea2", "#8a6d1f")  # thresholds that one figure holds
FEW_RANKS = 30  # as many have a marker each, on a linear axis
WIDE = 50.0  # galleries that grow by this factor are shown on a logarithmic axis


def oscr_figure(results: Results) -> Figure:
    """Detected and identified people against false alarms for strangers.

    Source: Dhamija, Günther and Boult, arXiv:1811.04110; ISO/IEC 19795-1 calls the axes FPIR and
    1 - FNIR.
    """
    curve = curve_of(results, "identification", "oscr")
    found = resolved(results, "identification", "fnir@fpir=")
    counted = [row["counts"]["nonmated"] for _, row in found if row["counts"].get("nonmated")]
    fpir = np.asarray(curve["fpir"], np.float64)
    strangers = counted[0] if counted else 1 / fpir[fpir > 0].min(initial=1)
    figure, panel = panel_with(
        "false alarms for strangers (FPIR), at most", "enrolled people named"
    )
    across, upwards = from_one_error(fpir, np.asarray(curve["dir"], np.float64), strangers)
    panel.step(across, upwards, where="post", linewidth=1.6, **style_of(results))
    rates = curve_of(results, "identification", "operating")
    if rates:
        named_band(panel, rates)
    with_points(panel, found, misses=True)
    rate_axes(panel, strangers, "false alarms")
    return with_legend(figure)


def cmc_figure(results: Results) -> Figure:
    """How often the right person is among the first k, ties against the system."""
    curve = curve_of(results, "identification", "cmc")
    rank, rate = (np.asarray(curve[key], np.float64) for key in ("rank", "rate"))
    kind = curve.get("optimistic")
    optimistic = rate if kind is None else np.asarray(kind, np.float64)
    figure, panel = panel_with("rank", "right person among so many")
    marker = "o" if len(rank) <= FEW_RANKS else ""
    if (optimistic != rate).any():
        panel.step(rank, optimistic, where="post", color=SECOND, linestyle="--", marker=marker,
                   markerfacecolor="white", label="ties in its favour")  # fmt: skip
    panel.step(rank, rate, where="post", marker=marker, markersize=4, **style_of(results))
    if len(rank) > FEW_RANKS:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    else:
        panel.set_xticks(rank[:: 1 + len(rank) // 10])
    percent_axis(panel)
    return with_legend(figure)


def growth_figure(results: Results) -> Figure:
    """False alarms at one threshold while the gallery grows, and what independence would give.

    A line for each threshold; 1 - (1 - FMR)^n is dashed for n people. Curves hold the spread over
    galleries as a standard deviation, or as `low` and `high`.
    """
    figure, panel = panel_with("people enrolled", "false alarms for strangers (FPIR)")
    sizes = []
    for colour, (label, curve) in zip(MANY, growths_of(results), strict=False):
        gallery, fpir = (np.asarray(curve[key], np.float64) for key in ("gallery", "fpir"))
        low, high = _spread(curve, fpir)
        bound = curve["independent"] if "independent" in curve else curve["bound"]
        panel.fill_between(gallery, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.plot(gallery, fpir, "o-", color=colour, markersize=4, linewidth=1.6, label=label)
        panel.plot(gallery, np.asarray(bound, np.float64), "--", color=colour, linewidth=1.3)
        sizes += [gallery.min(), gallery.max()]
    panel.fill_between([], [], [], color="0.6", alpha=0.4, label="spread over galleries")
    panel.plot([], [], "--", color="0.4", linewidth=1.3, label="if comparisons were independent")
    if max(sizes) > WIDE * min(sizes):
        panel.set_xscale("log")
    else:
        panel.locator_params(axis="x", integer=True)
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panel.set_ylim(bottom=0)
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    return with_legend(figure)


def growths_of(results: Results) -> list[tuple[str, Mapping[str, Any]]]:
    """Curves named `growth`, or `growth@fpir=0.1` by what the threshold was set for."""
    found = []
    for section in results["sections"]:
        for name, curve in section["curves"].items():
            grown = name.startswith("growth") and len(curve["gallery"]) > 1
            if section["key"] == "identification" and grown:
                _, _, target = name.partition("=")
                found.append((f"threshold for FPIR {target}" if target else "measured", curve))
    return found[: len(MANY)]


def _spread(curve: Mapping[str, Any], fpir: Floats) -> tuple[Floats, Floats]:
    if "fpir_deviation" in curve:
        deviation = np.asarray(curve["fpir_deviation"], np.float64)
        return np.maximum(0, fpir - deviation), np.minimum(1, fpir + deviation)
    return np.asarray(curve["low"], np.float64), np.asarray(curve["high"], np.float64)
