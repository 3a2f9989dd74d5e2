"""What figures of error rates have in common: normal-deviate axes, and grey for too few errors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import norm

MATED, NONMATED = "#1b7f79", "#c8553d"
PAIRS = {"nonmated": "two people", "mated": "one person"}
GRID, DOUBT = "0.92", "0.93"
TICKS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95, 0.99)
FAR_TICKS = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
FAR = 4e-4  # below it the ticks of small rates would run into each other
SIDE = 0.03  # room beside the outermost scores
BEYOND = 8.0  # in normal deviates: outside of every figure


def deviate_axes(panel: Axes, fmr: tuple[float, float], fnmr: tuple[float, float]) -> None:
    """Make `panel` a DET plot: Φ⁻¹(FMR) to the right, Φ⁻¹(FNMR) upwards, ticks in percent.

    Curves go into it as `norm.ppf` of the rates; `fmr` and `fnmr` are the least and the largest
    rate to show.

    Source: Martin et al., The DET curve in assessment of detection task performance,
    Eurospeech 1997.
    """
    for axis, (least, most) in ((panel.xaxis, fmr), (panel.yaxis, fnmr)):
        ticks = [tick for tick in _ticks(least) if least <= tick <= most]
        axis.set_ticks(norm.ppf(ticks), [f"{tick * 100:g}" for tick in ticks])
    panel.set_xlim(norm.ppf(fmr[0]), norm.ppf(fmr[1]))
    panel.set_ylim(norm.ppf(fnmr[0]), norm.ppf(fnmr[1]))
    panel.plot([-BEYOND, BEYOND], [-BEYOND, BEYOND], color="0.8", linewidth=0.8, zorder=0)
    panel.set_xlabel("false match rate, %")
    panel.set_ylabel("false non-match rate, %")
    panel.grid(color=GRID, linewidth=0.6)
    panel.set_aspect("equal")


def _ticks(least: float) -> tuple[float, ...]:
    return TICKS if least >= FAR else FAR_TICKS


def shade_below(panel: Axes, trusted: float, label: str | None = None) -> bool:
    """Lay grey under what is left of `trusted`, in units of the axis; whether any of it is seen.

    Rates below 30 / N rest on fewer than 30 errors.

    Source: Doddington et al., Speech Communication 31 (2000), the rule of 30.
    """
    left, right = panel.get_xlim()
    if trusted <= left:
        return False
    panel.axvspan(left, min(trusted, right), color=DOUBT, zorder=0, label=label)
    panel.set_xlim(left, right)
    return True


def densities(panel: Axes, histogram: Mapping[str, Any], names: Mapping[str, str] = PAIRS) -> float:
    """Fill the densities of both kinds of scores, as far as there are any; the least one above 0.

    `histogram` has "bins", one more than the counts "mated" and "nonmated".
    """
    bins = np.asarray(histogram["bins"], np.float64)
    seen, least = np.zeros(len(bins) - 1, bool), np.inf
    for key, colour in (("nonmated", NONMATED), ("mated", MATED)):
        counts = np.asarray(histogram[key], np.float64)
        density = counts / (max(counts.sum(), 1) * np.diff(bins))
        panel.stairs(density, bins, fill=True, color=colour, alpha=0.35)
        panel.stairs(density, bins, color=colour, linewidth=1.2, label=names[key])
        seen |= counts > 0
        least = min(least, float(density[density > 0].min(initial=np.inf)))
    shown = np.flatnonzero(seen)
    left, right = bins[shown[0]], bins[shown[-1] + 1]
    panel.set_xlim(left - (right - left) * SIDE, right + (right - left) * SIDE)
    return least


def lay_band(
    panel: Axes, rates: Mapping[str, Any], across: str, upwards: str, *, least: float, **style: Any
) -> None:
    """Fill, on normal-deviate axes, how far the rate `upwards` could be off at each threshold.

    The band is a row of steps at the rate `across`; rates below `least` are drawn there, and
    thresholds whose ends are not known are left out.
    """
    low, high = (rates[f"{upwards}_{end}"] for end in ("low", "high"))
    known = [at for at, end in enumerate(low) if end is not None and rates[across][at] > 0]
    if not known:
        return
    places, below, above = (
        np.asarray([each[at] for at in known][::-1], np.float64)
        for each in (rates[across], low, high)
    )
    panel.fill_between(
        norm.ppf(np.minimum(places, 1 - 1e-9)),
        norm.ppf(np.clip(below, least, 1 - least)),
        norm.ppf(np.clip(above, least, 1 - least)),
        step="post",
        linewidth=0,
        **style,
    )
