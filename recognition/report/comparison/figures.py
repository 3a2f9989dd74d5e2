"""The figures of a comparison, from what `results.json` holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from recognition.report.axes import MATED, NONMATED, deviate_axes, lay_band, shade_below

PANEL = 3.4, 2.6  # inches
LEAST_FMR, MOST_FMR = 5e-4, 0.6
LEAST_FNMR, MOST_FNMR = 2e-3, 0.9
LEAST_FPIR, MOST_FPIR = 1e-3, 0.9
FEW_HEADS = 3  # more bands would lie over each other


def save_figures(results: Mapping[str, Any], folder: Path) -> None:
    """Write `scores.png`, `det.png`, and `fnir.png` where searches were counted."""
    score_figure(results).savefig(folder / "scores.png", dpi=120)
    det_figure(results).savefig(folder / "det.png", dpi=120)
    if all(head["runs"][0].get("operating") for head in results["heads"]):
        fnir_figure(results).savefig(folder / "fnir.png", dpi=120)


def score_figure(results: Mapping[str, Any], columns: int = 4) -> Figure:
    """How alike pictures of one person are, and pictures of two, a panel per head."""
    heads = results["heads"]
    columns = min(columns, len(heads))
    rows = -(-len(heads) // columns)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.7), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for panel, head in zip(panels, heads, strict=False):
        _distributions(panel, head, np.asarray(results["bins"]))
    for panel in panels[len(heads) :]:
        panel.set_visible(False)
    for panel in panels[max(0, len(heads) - columns) : len(heads)]:
        panel.set_xlabel("cosine similarity")
        panel.tick_params(labelbottom=True)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _distributions(panel: Axes, head: Mapping[str, Any], bins: np.ndarray[Any, Any]) -> None:
    run = head["runs"][0]
    middles = (bins[1:] + bins[:-1]) / 2
    for key, colour, label in (
        ("nonmated", NONMATED, "two people"),
        ("mated", MATED, "one person"),
    ):
        density = np.asarray(run[key]) / (np.sum(run[key]) * np.diff(bins))
        panel.fill_between(middles, density, step="mid", color=colour, alpha=0.35, linewidth=0)
        panel.step(middles, density, where="mid", color=colour, linewidth=1.2, label=label)
    eer = run["estimates"]["eer"]
    threshold = eer["counts"]["threshold"]
    panel.axvline(threshold, color="0.3", linewidth=1, linestyle=":", label="threshold of the EER")
    panel.set_title(f"{head['name']}   EER {eer['value']:.1%}", fontsize=10)
    panel.set_yticks([])
    panel.set_xlim(-0.6, 1)
    panel.spines[["top", "right", "left"]].set_visible(False)


def det_figure(results: Mapping[str, Any]) -> Figure:
    """Misses against false matches on normal-deviate axes, a line per head; of few with bands."""
    figure = Figure(figsize=(6.6, 6.2), layout="constrained")
    panel = figure.subplots()
    lowest = 1.0
    for index, head in enumerate(results["heads"]):
        run = head["runs"][0]
        counts = run["estimates"]["eer"]["counts"]
        fmr, fnmr = (np.asarray(run["curve"][key]) for key in ("fmr", "fnmr"))
        seen = (fmr >= 1 / counts["nonmated"]) & (fnmr >= 1 / counts["mated"]) & (fmr < 1)
        _band(panel, results, index, "verification", "fmr", "fnmr", LEAST_FNMR)
        panel.plot(
            norm.ppf(fmr[seen]),
            norm.ppf(fnmr[seen]),
            _line(head),
            color=f"C{index}",
            linewidth=1.6,
            label=f"{head['name']}  {run['estimates']['eer']['value']:.1%}",
        )
        lowest = min(lowest, 30 / counts["nonmated"])
    deviate_axes(panel, (LEAST_FMR, MOST_FMR), (LEAST_FNMR, MOST_FNMR))
    if shade_below(panel, norm.ppf(lowest)):
        panel.text(
            0.01, 0.01, "fewer than 30\nfalse matches", transform=panel.transAxes,
            fontsize=8, color="0.45",
        )  # fmt: skip
    panel.legend(title="equal error rate", frameon=False)
    return figure


def fnir_figure(results: Mapping[str, Any]) -> Figure:
    """Searches that miss against false alarms for strangers, a line per head; of few with bands."""
    figure = Figure(figsize=(6.6, 6.2), layout="constrained")
    panel = figure.subplots()
    trusted = 1.0
    for index, head in enumerate(results["heads"]):
        rates = head["runs"][0]["operating"]["identification"]
        fpir, fnir = (np.asarray(rates[key], np.float64)[::-1] for key in ("fpir", "fnir"))
        seen = (fpir > 0) & (fpir < 1) & (fnir > 0) & (fnir < 1)
        _band(panel, results, index, "identification", "fpir", "fnir", LEAST_FNMR)
        panel.step(
            norm.ppf(fpir[seen]),
            norm.ppf(fnir[seen]),
            _line(head),
            where="post",
            color=f"C{index}",
            linewidth=1.6,
            label=f"{head['name']}  {_share(head['runs'][0]['estimates']['fnir@fpir=0.1'])}",
        )
        trusted = min(trusted, 30 / rates["strangers"])
    deviate_axes(panel, (LEAST_FPIR, MOST_FPIR), (LEAST_FNMR, MOST_FNMR))
    panel.set_xlabel("false alarms for strangers (FPIR), %")
    panel.set_ylabel("searches for somebody enrolled that miss (FNIR), %")
    if shade_below(panel, norm.ppf(min(trusted, 1 - 1e-9))):
        panel.text(
            0.01, 0.01, "fewer than 30\nfalse alarms", transform=panel.transAxes,
            fontsize=8, color="0.45",
        )  # fmt: skip
    panel.legend(title="FNIR at FPIR 0.1", frameon=False)
    return figure


def _share(estimate: Mapping[str, Any]) -> str:
    return "not resolved" if estimate["value"] is None else f"{estimate['value']:.1%}"


def _line(head: Mapping[str, Any]) -> str:
    return "--" if head["name"].startswith(("softmax", "normface")) else "-"


def _band(
    panel: Axes, results: Mapping[str, Any], index: int, kind: str, across: str, upwards: str,
    least: float,
) -> None:  # fmt: skip
    rates = results["heads"][index]["runs"][0].get("operating")
    if rates and len(results["heads"]) <= FEW_HEADS:
        lay_band(panel, rates[kind], across, upwards, least=least, color=f"C{index}", alpha=0.15)
