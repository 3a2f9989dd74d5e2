"""Error rates over a grid of thresholds, each with its interval by person: where to put one.

The grid is even, on round numbers, over the scores between which the errors change. It also has
thresholds that were found for something else, such as those of the EER and of target rates, so
that one can stand exactly on them. A rate is a count at score >= threshold; nothing is
interpolated, and where no error was seen the interval still reaches above 0.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import ScoreTable
from recognition.comparisons.steps import Counts, Floats, Similarities
from recognition.embeddings import people_of
from recognition.errors import InputError
from recognition.metrics.clustered import Clusters
from recognition.metrics.false_matches import counted_below
from recognition.metrics.identification import require_both
from recognition.metrics.lone import Lone
from recognition.metrics.person_intervals import counted_interval
from recognition.metrics.proportions import Interval
from recognition.metrics.searches import Searches

EVEN = 110  # thresholds in the even part of a grid, at most
BELOW = 20  # thresholds below a tail, where false matches are counted but not known one by one

Rates = dict[str, Any]


def verification_rates(clusters: Clusters | Lone, marks: Iterable[float] = ()) -> Rates:
    """FMR and FNMR over a grid, and the ends of their 95 % intervals: lists of one length.

    Of a table that knows only its highest non-mated scores one by one, the even part of the grid
    lies above where they end. Below it stand at most twenty of the thresholds at which they were
    counted; there the ends of FMR's interval are None.

    Args:
        clusters: the comparisons by person.
        marks: thresholds to be on the grid, unless false matches were not counted there.
    """
    table, high = clusters.table, clusters.high
    reach, floor = [float(np.median(table.mated))], np.inf  # of what is known one by one
    if len(high) == table.nonmated_count:
        # the highest and the middle non-mated score, without looking through all of them again
        steps, floor = table.steps, -np.inf
        middle = np.searchsorted(steps.false, [1, (len(high) + 1) // 2])
        reach += [*steps.thresholds[middle].tolist(), float(table.mated.min())]
    elif len(high):
        floor = float(high.min())
        reach += [floor, float(high.max())]
    below = _counted_below(table, floor)
    grid, false = _false_matches(table, _grid(_even(min(reach), max(reach)), [*below, *marks]))
    known = grid > floor  # scores that tie with the floor may be cut off
    nowhere: list[Interval | None] = [None] * int(np.count_nonzero(~known))  # the lowest ones
    missed = np.searchsorted(np.sort(table.mated).astype(np.float64), grid)
    return {
        "threshold": grid.tolist(),
        **_with_ends(
            "fmr", _shares(false, table.nonmated_count), [*nowhere, *clusters.fmrs(grid[known])]
        ),
        **_with_ends("fnmr", _shares(missed, len(table.mated)), clusters.fnmrs(grid)),
    }


def identification_rates(
    searches: Searches, marks: Iterable[float] = (), *, grid: Sequence[float] | None = None
) -> Rates:
    """FPIR and FNIR at rank 1 over a grid, and the ends of their 95 % intervals, by person.

    Strangers are clustered by who they are, searches for somebody enrolled by whom they are for.
    Also "enrolled", the people in the largest gallery, and how many "strangers" and "mated"
    searches there are.

    Args:
        searches: mated and non-mated ones.
        marks: thresholds to be on the grid.
        grid: thresholds to take in place of the even ones, such as those of verification.

    Raises:
        InputError: no mated or no non-mated searches.
    """
    strangers, mates = searches.stranger_scores, searches.mate_scores
    require_both(searches)
    hits = np.where(searches.ranks == 1, mates, -np.inf)
    seen = np.concatenate([strangers[np.isfinite(strangers)], hits[np.isfinite(hits)]])
    even = _even(float(seen.min()), float(seen.max())) if len(seen) else np.zeros(1)
    thresholds = _grid(even if grid is None else np.asarray(grid, np.float64), marks)
    codes = people_of(searches.probes).codes
    missed = list(_below(hits, codes[searches.mated], thresholds))
    rejected = list(_below(strangers, codes[~searches.mated], thresholds))
    alarms = [(tried - below, tried) for below, tried in rejected]
    return {
        "threshold": thresholds.tolist(),
        **_with_ends("fpir", *_told(alarms)),
        **_with_ends("fnir", *_told(missed)),
        "enrolled": searches.largest_gallery,
        "strangers": len(strangers),
        "mated": len(mates),
    }


def _below(
    scores: Similarities, persons: npt.NDArray[np.integer[Any]], thresholds: Floats
) -> Iterator[tuple[Counts, Counts]]:
    """Of each person's searches those below each threshold, and all."""
    own = np.unique(persons, return_inverse=True)[1].astype(np.int64)
    tried = np.bincount(own).astype(np.int64)
    for below in counted_below(scores, own, len(tried), thresholds):
        yield below, tried


def _told(errors: Iterable[tuple[Counts, Counts]]) -> tuple[list[float], list[Interval]]:
    rates, intervals = [], []
    for wrong, tried in errors:
        rates.append(int(wrong.sum()) / int(tried.sum()))
        intervals.append(counted_interval(wrong, tried))
    return rates, intervals


def _with_ends(name: str, rates: list[float], found: Sequence[Interval | None]) -> Rates:
    return {
        name: rates,
        f"{name}_low": [interval and interval.low for interval in found],
        f"{name}_high": [interval and interval.high for interval in found],
    }


def _even(low: float, high: float) -> Floats:
    """Multiples of the least 1, 2 or 5 times a power of ten that give few enough, around both.

    Two grids with the same step share their numbers to the last bit.
    """
    if not high > low:
        return np.array([low])
    exponent = int(np.floor(np.log10((high - low) / EVEN)))
    steps = ((factor, factor * 10.0**exponent) for factor in (1, 2, 5, 10, 20))
    factor, step = next((f, step) for f, step in steps if high / step - low / step < EVEN - 2)
    multiples: Floats = factor * np.arange(np.floor(low / step), np.floor(high / step) + 2)
    # an exact power of ten on either side rounds but once
    scale = 10.0 ** abs(exponent)
    even: Floats = np.asarray(multiples / scale if exponent < 0 else multiples * scale)
    return even


def _grid(even: Floats, marks: Iterable[float]) -> Floats:
    """Both, ascending, each once and only finite ones."""
    found = np.unique(np.concatenate([even, np.fromiter(marks, np.float64)]))
    finite: Floats = found[np.isfinite(found)] + 0.0  # no -0.0
    return finite


def _counted_below(table: ScoreTable, floor: float) -> Floats:
    """Some of the thresholds at which all false matches are counted, but not known by person."""
    if floor == -np.inf:
        return np.empty(0)
    steps = table.steps.thresholds
    lower = steps[np.isfinite(steps) & (steps <= floor)]
    some = np.linspace(0, len(lower) - 1, min(BELOW, len(lower))).astype(np.int64)
    return lower[some]


def _false_matches(table: ScoreTable, grid: Floats) -> tuple[Floats, Counts]:
    """The thresholds between which a tally has not counted them, and how many reach each."""
    if table.steps.complete:
        return grid, table.steps.at_least(grid)[0]
    counts = [_counted(table, float(threshold)) for threshold in grid]
    found = [count for count in counts if count is not None]
    return grid[[count is not None for count in counts]], np.array(found, np.int64)


def _counted(table: ScoreTable, threshold: float) -> int | None:
    try:
        return table.false_matches(threshold)
    except InputError:
        return None


def _shares(errors: Counts, trials: int) -> list[float]:
    shares: list[float] = (errors / trials).tolist()
    return shares
