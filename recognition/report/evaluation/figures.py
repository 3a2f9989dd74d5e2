"""The figures of an evaluation, from what `results.json` holds.

Rates are at most what the axis says: curves are steps and never interpolated. Nothing is drawn
below one error in all trials, and what rests on fewer than 30 errors lies on grey.
"""

import warnings
from pathlib import Path

from matplotlib.figure import Figure

from recognition.report.evaluation.cells import Results
from recognition.report.evaluation.group_figures import group_figure
from recognition.report.evaluation.identification_figures import (
    cmc_figure,
    growth_figure,
    growths_of,
    oscr_figure,
)
from recognition.report.evaluation.panels import curve_of
from recognition.report.evaluation.picture_figures import margin_figure, quality_figure
from recognition.report.evaluation.verification_figures import det_figure, roc_figure, score_figure


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
        if curve_of(results, section, curve)
    }
    if growths_of(results):
        drawn["growth.png"] = growth_figure(results)
    if results["groups"] and results["groups"]["rows"]:
        drawn["groups.png"] = group_figure(results)
    return drawn
