"""The figures of a comparison, from what `results.json` holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from scipy.stats import norm

from recognition.report.axes import MATED, NONMATED, deviate_axes, lay_band, shade_below
from recognition.report.text import in_figure

PANEL = 3.4, 2.6  # inches
KINDS = {"nonmated": (NONMATED, "two people"), "mated": (MATED, "one person")}
LEAST_FMR, MOST_FMR = 5e-4, 0.6
LEAST_FNMR, MOST_FNMR = 2e-3, 0.9
LEAST_FPIR, MOST_FPIR = 1e-3, 0.9
FEW_HEADS = 3  # more bands would lie over each other
LEGEND_ROW = 0.22  # inches
LONGEST_NAME = 30
COLOURS = 10
DASHES = ("-", ":", "-.")  # of the first ten lines, the next ten, and so on


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
    bins = np.asarray(results["bins"])
    for panel, head in zip(panels, heads, strict=False):
        _distributions(panel, head, bins)
    panels[0].set_xlim(*_seen(heads, bins))
    for panel in panels[len(heads) :]:
        panel.set_visible(False)
    for panel in panels[max(0, len(heads) - columns) : len(heads)]:
        panel.set_xlabel("cosine similarity")
        panel.tick_params(labelbottom=True)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return figure


def _seen(heads: Sequence[Mapping[str, Any]], bins: np.ndarray[Any, Any]) -> tuple[float, float]:
    """From the least to the largest score of any head."""
    counts = sum(np.asarray(head["runs"][0][key]) for head in heads for key in KINDS)
    found = np.flatnonzero(counts)
    return float(bins[found[0]]), float(bins[found[-1] + 1])


def _distributions(panel: Axes, head: Mapping[str, Any], bins: np.ndarray[Any, Any]) -> None:
    run = head["runs"][0]
    for key, (colour, label) in KINDS.items():
        counts = np.asarray(run[key])
        found = np.flatnonzero(counts)
        first, last = found[0], found[-1] + 1
        density = counts / (counts.sum() * np.diff(bins))
        panel.stairs(
            density[first:last], bins[first : last + 1], fill=True, linewidth=1.0, label=label,
            facecolor=to_rgba(colour, 0.35), edgecolor=colour,
        )  # fmt: skip
    eer = run["estimates"]["eer"]
    threshold = eer["counts"]["threshold"]
    panel.axvline(threshold, color="0.3", linewidth=1, linestyle=":", label="threshold of the EER")
    name = in_figure(head["name"], LONGEST_NAME)
    panel.set_title(f"{name}   EER {eer['value']:.1%}", fontsize=10)
    panel.set_yticks([])
    panel.spines[["top", "right", "left"]].set_visible(False)


def det_figure(results: Mapping[str, Any]) -> Figure:
    """Misses against false matches on normal-deviate axes, a line per head; of few with bands."""
    figure, panel = _square(results)
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
            line_of(head, index),
            color=f"C{index % COLOURS}",
            linewidth=1.6,
            label=f"{in_figure(head['name'], LONGEST_NAME)}  {run['estimates']['eer']['value']:.1%}",
        )
        lowest = min(lowest, 30 / counts["nonmated"])
    deviate_axes(panel, (LEAST_FMR, MOST_FMR), (LEAST_FNMR, MOST_FNMR))
    if shade_below(panel, norm.ppf(lowest)):
        panel.text(
            0.01, 0.01, "fewer than 30\nfalse matches", transform=panel.transAxes,
            fontsize=8, color="0.45",
        )  # fmt: skip
    legend_above(figure, results["heads"], title="equal error rate")
    return figure


def fnir_figure(results: Mapping[str, Any]) -> Figure:
    """Searches that miss against false alarms for strangers, a line per head; of few with bands."""
    figure, panel = _square(results)
    trusted = 1.0
    for index, head in enumerate(results["heads"]):
        rates = head["runs"][0]["operating"]["identification"]
        fpir, fnir = (np.asarray(rates[key], np.float64)[::-1] for key in ("fpir", "fnir"))
        seen = (fpir > 0) & (fpir < 1) & (fnir > 0) & (fnir < 1)
        _band(panel, results, index, "identification", "fpir", "fnir", LEAST_FNMR)
        panel.step(
            norm.ppf(fpir[seen]),
            norm.ppf(fnir[seen]),
            line_of(head, index),
            where="post",
            color=f"C{index % COLOURS}",
            linewidth=1.6,
            label=f"{in_figure(head['name'], LONGEST_NAME)}  {_share(head['runs'][0]['estimates']['fnir@fpir=0.1'])}",
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
    legend_above(figure, results["heads"], title="FNIR at FPIR 0.1")
    return figure


def _share(estimate: Mapping[str, Any]) -> str:
    return "not resolved" if estimate["value"] is None else f"{estimate['value']:.1%}"


def without_margin(head: Mapping[str, Any]) -> bool:
    """Whether this head asks for no margin between people."""
    return str(head["name"]).startswith(("softmax", "normface"))


def line_of(head: Mapping[str, Any], place: int) -> str:
    """Dashed without a margin; of so many heads that colours return, each ten by dots."""
    return "--" if without_margin(head) else DASHES[place // COLOURS % len(DASHES)]


def legend_above(figure: Figure, heads: Sequence[Mapping[str, Any]], **more: Any) -> None:
    """Names of the heads above a drawing, in as many columns as their length allows."""
    figure.legend(loc="outside upper center", ncols=_columns(heads), frameon=False, **more)


def room_for_legend(heads: Sequence[Mapping[str, Any]]) -> float:
    """The height of the names above a drawing, in inches."""
    return LEGEND_ROW * -(-len(heads) // _columns(heads))


def _columns(heads: Sequence[Mapping[str, Any]]) -> int:
    longest = max(len(head["name"]) for head in heads)
    return 3 if longest <= 10 else 2 if longest <= 20 else 1


def _square(results: Mapping[str, Any]) -> tuple[Figure, Axes]:
    height = 5.9 + room_for_legend(results["heads"])
    figure = Figure(figsize=(6.6, height), layout="constrained")
    return figure, figure.subplots()


def _band(
    panel: Axes, results: Mapping[str, Any], index: int, kind: str, across: str, upwards: str,
    least: float,
) -> None:  # fmt: skip
    rates = results["heads"][index]["runs"][0].get("operating")
    if rates and len(results["heads"]) <= FEW_HEADS:
        lay_band(
            panel,
            rates[kind],
            across,
            upwards,
            least=least,
            color=f"C{index % COLOURS}",
            alpha=0.15,
        )
