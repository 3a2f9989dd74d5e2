"""What a training run went through, drawn from its log: one number over the steps each."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recognition.report.axes import GRID, MATED, NONMATED

SIZE = (5.4, 2.7)  # inches
MOST_POINTS = 300  # of a curve: more than a drawing has room for
LINES = ((MATED, "-"), (NONMATED, "--"))  # of which the second may lie on the first
Floats = npt.NDArray[np.float64]


class Course(NamedTuple):
    """A number over the steps: means of so many steps that a drawing has room for all."""

    steps: Floats
    values: Floats


class Point(NamedTuple):
    """A validation: the step, the number, and its 95 % interval where one was made."""

    step: int
    value: float
    low: float | None = None
    high: float | None = None


def course(steps: Sequence[float], values: Sequence[float], most: int = MOST_POINTS) -> Course:
    """The curve, averaged over neighbours where there are more than `most`; what is nan is left out.

    >>> course([1, 2, 3, 4], [4.0, 2.0, float("nan"), 1.0], 2).values
    array([4. , 1.5])
    """
    at, seen = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    at, seen = at[np.isfinite(seen)], seen[np.isfinite(seen)]
    groups = min(most, len(at))
    if not groups:
        return Course(at, seen)
    starts = (np.arange(groups) * len(at)) // groups
    counts = np.diff([*starts, len(at)])
    return Course(np.add.reduceat(at, starts) / counts, np.add.reduceat(seen, starts) / counts)


def course_figure(courses: Mapping[str, Course], unit: str, *, logarithmic: bool = False) -> Figure:
    """One or two numbers of the same unit over the steps, named above where there are two."""
    figure, panel = _over_steps(unit)
    for (colour, style), (name, one) in zip(LINES, courses.items(), strict=False):
        panel.plot(one.steps, one.values, style, color=colour, linewidth=1.3, label=name)
    if logarithmic and any((one.values > 0).any() for one in courses.values()):
        panel.set_yscale("log", nonpositive="mask")
    if len(courses) > 1:
        figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def validation_figure(points: Sequence[Point], best: int, label: str, factor: float) -> Figure:
    """What people apart were told apart by, over the steps; the best filled, intervals where known."""
    figure, panel = _over_steps(label)
    panel.plot([one.step for one in points], [factor * one.value for one in points],
               color=MATED, linewidth=1.2)  # fmt: skip
    for one in points:
        kept = one.step == best
        ends = None
        if one.low is not None and one.high is not None:
            ends = [[max(0.0, factor * (one.value - one.low))],
                    [max(0.0, factor * (one.high - one.value))]]  # fmt: skip
        panel.errorbar(
            one.step, factor * one.value, yerr=ends, fmt="o", color=MATED, capsize=3,
            markerfacecolor=None if kept else "white",
        )  # fmt: skip
    return figure


def _over_steps(label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    panel = figure.subplots()
    panel.set_xlabel("step")
    panel.set_ylabel(label)
    panel.grid(color=GRID, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    return figure, panel
