"""The slider: both kinds of scores, a threshold to be moved, and what it means for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recognition.errors import InputError
from recognition.report.axes import densities
from recognition.report.html.document import Drawing, Slider, Stop
from recognition.report.html.svg import svg_of
from recognition.report.numbers import places_for, span, written
from recognition.report.table import Table
from recognition.report.text import several
from recognition.report.wording import of_many

Curve = Mapping[str, Any]

POINTS = 72  # of an inch: the unit of a drawing
SIZE = (5.4, 2.5)
NOTHING = (None, None, None)
SEARCHES = {"nonmated": "strangers", "mated": "people enrolled"}
SHOWN = 11  # thresholds in the table below the drawing
RATES = {
    "fmr": "FMR: two people taken for one",
    "fnmr": "FNMR: one person taken for two",
    "fpir": "FPIR: strangers given a name",
    "fnir": "FNIR: enrolled people missed",
}
FATES = {
    "fpir": ("strangers", "would be given a name"),
    "fnir": ("searches for somebody enrolled", "would miss"),
    "fmr": ("pairs of two people", "would be taken for one person"),
    "fnmr": ("pairs of one person", "would be taken for two people"),
}


@dataclass(frozen=True)
class Operating:
    """Error rates over one grid of thresholds, accepting at or above, each with low and high.

    Attributes:
        histogram: "bins" and the counts of both kinds, "mated" and "nonmated".
        verification: "threshold", "fmr", "fmr_low", "fmr_high", "fnmr" ...; all of one length; None
            where people were searched for only.
        identification: the same with "fpir" and, if it is known, "fnir", and how many were
            "enrolled"; None where nobody was searched for. One of both is there.
    """

    histogram: Curve
    verification: Curve | None
    identification: Curve | None = None

    @property
    def grid(self) -> Curve:
        """The curve whose thresholds are moved along.

        Raises:
            InputError: there is none.
        """
        found = self.identification if self.verification is None else self.verification
        if found is None:
            raise InputError("expected error rates of pairs or of searches, got none; give one")
        return found


def threshold_slider(key: str, operating: Operating, start: float) -> Slider:
    """A slider over the grid's thresholds, which starts at the one nearest to `start`."""
    figure, panel = _drawn(operating)
    svg = svg_of(figure, key)
    grid = [float(each) for each in operating.grid["threshold"]]
    stops = [
        Stop(
            written(threshold, "score", 4),
            _place(panel, threshold),
            what_it_means(operating, at),
            [_cell(rates, name, at) for rates, name, at in _at(operating, at)],
        )
        for at, threshold in enumerate(grid)
    ]
    first = nearest(operating, start)
    chosen = np.unique(np.linspace(0, len(stops) - 1, SHOWN).round().astype(int))
    names = [name for _, name, _ in _at(operating, 0)]
    table = Table(
        "Error rates by threshold",
        ["threshold", *(name.upper() for name in names)],
        [
            [(stops[at].threshold, ""), *((cell, "") for cell in stops[at].cells)]
            for at in sorted({*chosen.tolist(), first})
        ],
    )
    sentence = (
        "The scores of pairs that show one person, and of pairs that show two. Whatever lies at or "
        "right of the threshold is accepted."
    )
    drawing = Drawing(key, "Where to put the threshold", svg, sentence, table)
    bottom, top = (SIZE[1] * POINTS - y for y in (panel.bbox.y0, panel.bbox.y1))
    return Slider(drawing, round(top, 2), round(bottom, 2), [RATES[n] for n in names], stops, first)


def nearest(operating: Operating, threshold: float) -> int:
    """The place in the grid of the threshold that is nearest."""
    grid = np.asarray(operating.grid["threshold"], np.float64)
    return int(np.argmin(np.abs(grid - threshold)))


def _drawn(operating: Operating) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, dpi=POINTS, layout="constrained")
    panel = figure.subplots()
    if operating.verification is None:
        densities(panel, operating.histogram, SEARCHES)
    else:
        densities(panel, operating.histogram)
    panel.set_xlabel("score")
    panel.set_yticks([])
    panel.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure, panel


def _place(panel: Axes, threshold: float) -> float:
    left, right = panel.get_xlim()
    inside = min(max(threshold, left), right)
    return float(panel.transData.transform((inside, 0.0))[0])


def _at(operating: Operating, at: int) -> list[tuple[Curve, str, int]]:
    """The curves that have a rate at this stop, with the name of the rate and its place there."""
    one = operating.verification
    found = [] if one is None else [(one, name, at) for name in ("fmr", "fnmr")]
    searched = operating.identification
    if searched is not None:
        threshold = operating.grid["threshold"][at]
        near = int(np.argmin(np.abs(np.asarray(searched["threshold"], float) - threshold)))
        found += [(searched, name, near) for name in ("fpir", "fnir") if name in searched]
    return found


def _cell(rates: Curve, name: str, at: int) -> str:
    value, low, high = _told(rates, name, at)
    if value is None:
        return "not resolved"
    places = places_for(value, "share", low=low, high=high)
    text = f"{written(value, 'share', places)} %"
    if low is None or high is None:
        return text
    return f"{text} ({span(*(written(end, 'share', places) for end in (low, high)))})"


def _told(rates: Curve, name: str, at: int) -> tuple[float | None, float | None, float | None]:
    value, low, high = (rates[f"{name}{end}"][at] for end in ("", "_low", "_high"))
    return value, low, high


def what_it_means(operating: Operating, at: int) -> list[str]:
    """What happens to people at a threshold of the grid, by its place there, in words."""
    threshold = written(operating.grid["threshold"][at], "score", 4)
    found = {name: _told(rates, name, place) for rates, name, place in _at(operating, at)}
    told = [
        of_many(*FATES[name], rate, low, high)
        for name in ("fpir", "fnir", "fmr", "fnmr")
        for rate, low, high in [found.get(name, NOTHING)]
        if rate is not None
    ]
    enrolled = ""
    if operating.identification is not None:
        count = operating.identification["enrolled"]
        enrolled = f" and {several(count, 'enrolled person', 'enrolled people')}"
    if not told:
        return [f"At threshold {threshold} nothing can be said."]
    first, *others = told
    return [f"At threshold {threshold}{enrolled}, {first}.", *map(_capital, others)]


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
