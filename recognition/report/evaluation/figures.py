"""The figures of an evaluation, from what `results.json` holds.

Rates are at most what the axis says: curves are steps and never interpolated. Nothing is drawn
below one error in all trials, and what rests on fewer than 30 errors lies on grey.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullFormatter, PercentFormatter, StrMethodFormatter
from scipy.stats import norm

from recognition.metrics.verification import ENOUGH_ERRORS
from recognition.report.axes import GRID, MATED, NONMATED, deviate_axes, lay_band, shade_below
from recognition.report.evaluation.tables import largest_groups
from recognition.report.numbers import written
from recognition.report.text import in_figure

Results = Mapping[str, Any]
Entry = Mapping[str, Any]
Floats = npt.NDArray[np.float64]

FIRST, SECOND = MATED, NONMATED  # of two models; the second is dashed as well
MANY = (MATED, NONMATED, "#5b4ea2", "#8a6d1f")  # thresholds that one figure holds
SIZE = (6.6, 4.8)
LONGEST_NAME = 28
BAND = "95 % at each threshold"
FEW_RANKS = 30  # as many have a marker each, on a linear axis
WIDE = 50.0  # galleries that grow by this factor are shown on a logarithmic axis
MOST_FMR, LEAST_TOP = 0.6, 0.5  # how far a DET plot reaches at least, if no curve needs more
SIDE = 0.03  # room beside the outermost scores
MISSED_MARGIN = 0.75  # room below the line at half an error


def save_curves(results: Results, folder: Path) -> list[str]:
    """Write the figures that the results can fill as PNG; the names of the files."""
    found = figures(results)
    with warnings.catch_warnings():
        # letters that the font lacks are drawn as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        for name, figure in found.items():
            figure.savefig(folder / name, dpi=120)
    return list(found)


def figures(results: Results) -> dict[str, Figure]:
    """The figures whose curves there are, by the names of their files."""
    drawn = {
        name: draw(results)
        for name, draw, section, curve in (
            ("scores.png", score_figure, "verification", "histogram"),
            ("det.png", det_figure, "verification", "roc"),
            ("roc.png", roc_figure, "verification", "roc"),
            ("cmc.png", cmc_figure, "identification", "cmc"),
            ("oscr.png", oscr_figure, "identification", "oscr"),
            ("margins.png", margin_figure, "neighbours", "margins"),
            ("quality.png", quality_figure, "quality", "discard"),
        )
        if _curve(results, section, curve)
    }
    if _growths(results):
        drawn["growth.png"] = growth_figure(results)
    if results["groups"] and results["groups"]["rows"]:
        drawn["groups.png"] = group_figure(results)
    return drawn


def score_figure(results: Results) -> Figure:
    """Densities of both kinds of scores on a logarithmic axis, and the thresholds in use."""
    curve = _curve(results, "verification", "histogram")
    bins = np.asarray(curve["bins"], np.float64)
    figure, panel = _panel("score", "density")
    densities = []
    for key, colour, label in (
        ("nonmated", NONMATED, "two people"),
        ("mated", MATED, "one person"),
    ):
        counts = np.asarray(curve[key], np.float64)
        density = counts / (max(counts.sum(), 1) * np.diff(bins))
        panel.stairs(density, bins, fill=True, color=colour, alpha=0.35)
        panel.stairs(density, bins, color=colour, linewidth=1.2, label=label)
        densities.append(density)
    for key, name, style in (("eer", "EER", ":"), ("tar@fmr=0.001", "FMR 0.001", "--")):
        for _, row in _resolved(results, "verification", key):
            threshold = row["counts"].get("threshold")
            if threshold is not None and np.isfinite(float(threshold)):
                label = f"threshold of {name}: {written(threshold, 'score', 3)}"
                panel.axvline(threshold, color="0.2", linewidth=1.2, linestyle=style, label=label)
    either = np.maximum(*densities)
    shown = np.flatnonzero(either)
    panel.set_yscale("log")
    panel.set_ylim(bottom=min(each[each > 0].min(initial=np.inf) for each in densities) / 2)
    panel.yaxis.set_minor_formatter(NullFormatter())
    left, right = bins[shown[0]], bins[shown[-1] + 1]
    panel.set_xlim(left - (right - left) * SIDE, right + (right - left) * SIDE)
    return _with_legend(figure)


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
    rates = _curve(results, "verification", "operating")
    if rates:
        lay_band(panel, rates, "fmr", "fnmr", least=none, color=FIRST, alpha=0.2, label=BAND)
    least = min(1 / nonmated, MOST_FMR / 2)
    floor = min(none, LEAST_TOP / 2) * MISSED_MARGIN
    panel.set_xlim(norm.ppf(least), norm.ppf(MOST_FMR))
    shade_below(panel, _deviate(ENOUGH_ERRORS / nonmated), _few("false matches"))
    deviate_axes(panel, (least, MOST_FMR), (floor, min(top * 1.05, 1 - none / 2)))
    (left, right), (bottom, above) = panel.get_xlim(), panel.get_ylim()
    shape = min(1.3, max(0.5, (above - bottom) / (right - left)))
    figure.set_size_inches(SIZE[0], 1.2 + (SIZE[0] - 0.8) * shape)  # what equal units leave empty
    if missed_none:
        _name_lowest(panel, norm.ppf(none))
    return _with_legend(figure)


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
    figure, panel = _panel("false match rate, at most", "accepted pairs of one person")
    nonmated = results["input"]["nonmated"]
    for fmr, fnmr, style in _models(results):
        panel.step(fmr, 1 - fnmr, where="post", linewidth=1.6, **style)
    _with_points(panel, _resolved(results, "verification", "tar@fmr="), misses=False)
    _rate_axes(panel, nonmated, "false matches")
    return _with_legend(figure)


def oscr_figure(results: Results) -> Figure:
    """Detected and identified people against false alarms for strangers.

    Source: Dhamija, Günther and Boult, arXiv:1811.04110; ISO/IEC 19795-1 calls the axes FPIR and
    1 - FNIR.
    """
    curve = _curve(results, "identification", "oscr")
    found = _resolved(results, "identification", "fnir@fpir=")
    counted = [row["counts"]["nonmated"] for _, row in found if row["counts"].get("nonmated")]
    fpir = np.asarray(curve["fpir"], np.float64)
    strangers = counted[0] if counted else 1 / fpir[fpir > 0].min(initial=1)
    figure, panel = _panel("false alarms for strangers (FPIR), at most", "enrolled people named")
    across, upwards = _from_one_error(fpir, np.asarray(curve["dir"], np.float64), strangers)
    panel.step(across, upwards, where="post", linewidth=1.6, **_style(results))
    rates = _curve(results, "identification", "operating")
    if rates:
        _named_band(panel, rates)
    _with_points(panel, found, misses=True)
    _rate_axes(panel, strangers, "false alarms")
    return _with_legend(figure)


def _named_band(panel: Axes, rates: Mapping[str, Any]) -> None:
    """How far the share of those named could be off at each threshold."""
    fpir, low, high = (
        np.asarray(rates[key], np.float64)[::-1] for key in ("fpir", "fnir_low", "fnir_high")
    )
    seen = fpir > 0
    panel.fill_between(fpir[seen], 1 - high[seen], 1 - low[seen], step="post", color=FIRST,
                       alpha=0.2, linewidth=0, label=BAND)  # fmt: skip


def cmc_figure(results: Results) -> Figure:
    """How often the right person is among the first k, ties against the system."""
    curve = _curve(results, "identification", "cmc")
    rank, rate = (np.asarray(curve[key], np.float64) for key in ("rank", "rate"))
    kind = curve.get("optimistic")
    optimistic = rate if kind is None else np.asarray(kind, np.float64)
    figure, panel = _panel("rank", "right person among so many")
    marker = "o" if len(rank) <= FEW_RANKS else ""
    if (optimistic != rate).any():
        panel.step(rank, optimistic, where="post", color=SECOND, linestyle="--", marker=marker,
                   markerfacecolor="white", label="ties in its favour")  # fmt: skip
    panel.step(rank, rate, where="post", marker=marker, markersize=4, **_style(results))
    if len(rank) > FEW_RANKS:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    else:
        panel.set_xticks(rank[:: 1 + len(rank) // 10])
    _percent_axis(panel)
    return _with_legend(figure)


def quality_figure(results: Results) -> Figure:
    """Misses among what is left as comparisons of low quality are discarded, with two for scale."""
    curve = _curve(results, "quality", "discard")
    share, fnmr, low, high, ideal, chance = (
        np.asarray(curve[key], np.float64)
        for key in ("share", "fnmr", "low", "high", "ideal", "random")
    )
    figure, panel = _panel(
        "pairs of one person discarded, worst quality first", "missed of the rest"
    )
    panel.fill_between(
        share, low, high, step="post", color=FIRST, alpha=0.2, linewidth=0, label="95 % interval"
    )
    panel.step(share, fnmr, where="post", linewidth=1.6, **_style(results))
    panel.step(share, chance, where="post", color="0.4", linestyle="--", linewidth=1.3,
               label="random order")  # fmt: skip
    panel.step(share, ideal, where="post", color="0.4", linestyle=":", linewidth=1.6,
               label="ideal order")  # fmt: skip
    panel.set_xlim(0, share[-1])
    panel.set_ylim(0, 1.05 * max(fnmr.max(), min(high.max(), 2 * fnmr.max()), 1e-6))
    panel.xaxis.set_major_formatter(PercentFormatter(1))
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    return _with_legend(figure)


def growth_figure(results: Results) -> Figure:
    """False alarms at one threshold while the gallery grows, and what independence would give.

    A line for each threshold; 1 - (1 - FMR)^n is dashed for n people. Curves hold the spread over
    galleries as a standard deviation, or as `low` and `high`.
    """
    figure, panel = _panel("people enrolled", "false alarms for strangers (FPIR)")
    sizes = []
    for colour, (label, curve) in zip(MANY, _growths(results), strict=False):
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
    return _with_legend(figure)


def margin_figure(results: Results) -> Figure:
    """How far each picture's own person is ahead of everybody else; left of 0 it is behind."""
    curve = _curve(results, "neighbours", "margins")
    bins, counts = (np.asarray(curve[key], np.float64) for key in ("bins", "counts"))
    figure, panel = _panel("best score to the same person less best to anybody else", "pictures")
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
    return _with_legend(figure)


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
        rate["value"], place, xerr=_reach(rate["value"], rate["low"], rate["high"]), fmt="o",
        color=FIRST, markerfacecolor=face, markersize=5, capsize=2, clip_on=False,
    )  # fmt: skip


def _about(rows: Sequence[Entry], groups: int) -> str:
    parts = ["one threshold for all, 95 % intervals"]
    if any(row["too_few"] for row in rows):
        parts.append("hollow: too few people to judge")
    if groups > len(rows):
        parts.append(f"{len(rows)} groups with the most people, of {groups:,}")
    return "; ".join(parts)


def _curve(results: Results, section: str, curve: str) -> Mapping[str, Any]:
    for each in results["sections"]:
        if each["key"] == section:
            found: Mapping[str, Any] = each["curves"].get(curve, {})
            return found
    return {}


def _growths(results: Results) -> list[tuple[str, Mapping[str, Any]]]:
    """Curves named `growth`, or `growth@fpir=0.1` by what the threshold was set for."""
    found = []
    for section in results["sections"]:
        for name, curve in section["curves"].items():
            if section["key"] == "identification" and name.startswith("growth"):
                _, _, target = name.partition("=")
                found.append((f"threshold for FPIR {target}" if target else "measured", curve))
    return found[: len(MANY)]


def _spread(curve: Mapping[str, Any], fpir: Floats) -> tuple[Floats, Floats]:
    if "fpir_deviation" in curve:
        deviation = np.asarray(curve["fpir_deviation"], np.float64)
        return np.maximum(0, fpir - deviation), np.minimum(1, fpir + deviation)
    return np.asarray(curve["low"], np.float64), np.asarray(curve["high"], np.float64)


def _resolved(results: Results, section: str, prefix: str) -> list[tuple[float, Entry]]:
    """Rows of that name that have a value, with their targets: 0.001 of `tar@fmr=0.001`."""
    return [
        (float(target) if (target := row["key"].rpartition("=")[2]) != row["key"] else 0.0, row)
        for each in results["sections"]
        for row in each["rows"]
        if each["key"] == section and row["key"].startswith(prefix) and row["value"] is not None
    ]


def _panel(across: str, upwards: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    panel = figure.subplots()
    panel.set_xlabel(across)
    panel.set_ylabel(upwards)
    panel.grid(color=GRID, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    return figure, panel


def _with_legend(figure: Figure) -> Figure:
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def _style(results: Results) -> dict[str, Any]:
    return {"color": FIRST, "label": in_figure(results["name"], LONGEST_NAME)}


def _models(results: Results) -> list[tuple[Floats, Floats, dict[str, Any]]]:
    """FMR, FNMR and style of the model, and of the one beside it."""
    other = results["comparison"] or {}
    curves = [(_curve(results, "verification", "roc"), _style(results))]
    if other.get("curves"):
        label = in_figure(other["name"], LONGEST_NAME)
        curves.append((other["curves"], {"color": SECOND, "label": label, "linestyle": "--"}))
    trials = results["input"]["nonmated"]
    found = []
    for curve, style in curves:
        fmr, fnmr = (np.asarray(curve[key], np.float64) for key in ("fmr", "fnmr"))
        found.append((*_from_one_error(fmr, fnmr, trials), style))
    return found


def _from_one_error(rates: Floats, against: Floats, trials: float) -> tuple[Floats, Floats]:
    """The curve from 1 / trials on; what is reached without an error holds there too."""
    order = np.argsort(rates, kind="stable")
    rates, against = rates[order], against[order]
    seen = rates * trials > 0.5
    first = against[~seen][-1:]
    return np.append(np.full(len(first), 1 / trials), rates[seen]), np.append(first, against[seen])


def _with_points(panel: Axes, found: Sequence[tuple[float, Entry]], *, misses: bool) -> None:
    """Rows at their target rates with intervals; of misses, what is left of one."""
    label = "95 % interval"
    for target, row in found:
        value, low, high = row["value"], row["low"], row["high"]
        if misses:
            value = 1 - value
            low, high = (None if end is None else 1 - end for end in (high, low))
        panel.errorbar(target, value, yerr=_reach(value, low, high), fmt="o", color="0.2",
                       markersize=4, capsize=3, linewidth=1, label=label)  # fmt: skip
        label = "_"  # once in the legend


def _reach(value: float, low: float | None, high: float | None) -> list[list[float]] | None:
    """How far an interval reaches to both sides, as matplotlib wants it."""
    if low is None or high is None:
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _rate_axes(panel: Axes, trials: float, errors: str) -> None:
    panel.set_xscale("log")
    panel.set_xlim(min(1 / trials, 0.5), 1)
    shade_below(panel, ENOUGH_ERRORS / trials, _few(errors))
    _percent_axis(panel)


def _few(errors: str) -> str:
    return f"fewer than {ENOUGH_ERRORS} {errors}"


def _percent_axis(panel: Axes) -> None:
    """From just below the lowest rate to 100 %, at least five points high."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), np.float64) for line in panel.lines])
    lowest = min(0.95, float(drawn.min()))
    room = (1 - lowest) * 0.06
    panel.set_ylim(max(lowest - room, -room), 1 + room / 2)
    panel.yaxis.set_major_formatter(PercentFormatter(1))
