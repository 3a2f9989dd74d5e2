"""Verification over more pairs than can be kept one by one: exact where it matters, bounds below."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from recognition.comparisons.scores import accepted
from recognition.comparisons.steps import Steps
from recognition.comparisons.tally import Tally
from recognition.evaluation.estimates import Estimate, at_point
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row, Section
from recognition.evaluation.uncertainty import Uncertainty, row
from recognition.evaluation.verification import AREA, TITLE, operating_of, rates_at
from recognition.metrics.clustered import Clusters
from recognition.metrics.hull import hull_equal_error_rate
from recognition.metrics.intervals import CLUSTERED_WILSON, Interval, tally_intervals
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.score_separation import (
    Moments,
    d_prime_of_moments,
    moments_of,
    partial_area,
)
from recognition.metrics.verification import (
    OperatingPoint,
    area_under_curve,
    equal_error_rate,
    error_curve,
    tar_at_fmr,
)

CURVE_POINTS = 400


def verify_tally(tally: Tally, options: Options, marks: Iterable[float] = ()) -> Section:
    """TAR at each FMR, EER, areas and d', and both error rates at thresholds asked for.

    Every FMR inside the tail is exact, as from all scores. Below it the counts at the placed
    thresholds are exact, and what lies between two of them is given as bounds.

    Args:
        tally: the comparisons.
        options: targets and thresholds.
        marks: thresholds to be on the grid of the curve `operating`, unless false matches were not
            counted there.
    """
    targets = options.targets(tally.nonmated_count)
    found = tally_intervals(tally, targets)
    rows = [_tar(tally, target, found.tar[target]) for target in targets]
    rows += [
        _equal_errors(tally, found.equal_error_rate),
        _hull(tally),
        _area(tally),
        _partial_area(tally),
        _d_prime(tally),
    ]
    for threshold in dict.fromkeys(options.thresholds):
        rows += rates_at(tally, threshold)
    note = (
        f"All {tally.nonmated_count} non-mated comparisons were made. The {len(tally.tail)} highest "
        f"are kept one by one, from score {tally.floor:.4f} on; below it they are counted at "
        f"{len(tally.thresholds)} thresholds. All mated scores are kept"
    )
    operating = operating_of(Clusters.of_tail(tally), rows, marks)
    curves = {**_curves(tally), "operating": operating}
    return Section("verification", TITLE, tuple(rows), (note,), curves)


def _sizes(tally: Tally) -> dict[str, int]:
    return {
        "people": tally.people,
        "mated": len(tally.mated),
        "nonmated": tally.nonmated_count,
    }


def _tar(tally: Tally, target: float, interval: Interval | None) -> Row:
    key, label = f"tar@fmr={target:g}", f"TAR at FMR {target:g}"
    point = tar_at_fmr(tally, target)
    if interval is not None or not point.resolved:
        return Row(key, label, "share", at_point(point, point.tar, interval), CLUSTERED_WILSON)
    return Row(key, label, "share", _below_the_tail(tally, point), CLUSTERED_WILSON)


def _below_the_tail(tally: Tally, point: OperatingPoint) -> Estimate:
    """At the nearest placed threshold that keeps to the target; its own error is left out."""
    hits = tally.mated >= np.float64(point.threshold)
    counts = {**point._asdict(), "resolved": True, "reliable": point.reliable}
    note = (
        f"at FMR {point.fmr:.3g}, the nearest placed threshold with at most what was asked; the "
        "interval takes the threshold as given"
    )
    return Estimate(point.tar, *share_interval(hits, tally.mated_person), note, counts)


def _equal_errors(tally: Tally, interval: Interval | None) -> Row:
    rate = equal_error_rate(tally)
    found = Uncertainty({"eer": interval}, CLUSTERED_WILSON)
    low, high, value, note = rate.low, rate.high, rate.rate, None
    if not tally.complete:
        low, high = _crossing(tally.steps)
        value = (low + high) / 2
        note = f"between {low:.6f} and {high:.6f}: there, scores are counted at thresholds only"
    counts = {"low": low, "high": high, "threshold": rate.threshold} | _sizes(tally)
    return row("eer", "EER", "share", value, found, note=note, counts=counts)


def _crossing(steps: Steps) -> tuple[float, float]:
    """What the rate at which FMR = FNMR can be, by the two known steps around it."""
    fmr, fnmr = steps.fmr, steps.fnmr
    after = int(np.argmax(fmr >= fnmr))  # there is one: at the end FMR is 1 and FNMR 0
    before = max(0, after - 1)
    return (
        float(max(fmr[before], fnmr[after])),
        float(min(fmr[after], fnmr[before])),
    )


def _hull(tally: Tally) -> Row:
    note = None if tally.complete else "at most this: the hull of the thresholds that are known"
    rate = hull_equal_error_rate(tally).rate
    return row("eer-hull", "EER, convex hull", "share", rate, note=note, counts=_sizes(tally))


def _area(tally: Tally) -> Row:
    steps = tally.steps
    gained = np.diff(steps.false) / steps.nonmated
    low, high = (
        float((gained * true).sum() / steps.mated) for true in (steps.true[:-1], steps.true[1:])
    )
    note = None if steps.complete else f"between {low:.6f} and {high:.6f}"
    return row("auc", "AUC", "share", area_under_curve(tally), note=note, counts=_sizes(tally))


def _partial_area(tally: Tally) -> Row:
    low, high = AREA
    note = None if tally.complete else "at least this: TAR at the thresholds that are known"
    label = f"Mean TAR, FMR {low:g} to {high:g}"
    area = partial_area(tally, low, high)
    return row("pauc", label, "share", area, note=note, counts=_sizes(tally))


def _d_prime(tally: Tally) -> Row:
    nonmated = Moments(tally.nonmated_mean, tally.nonmated_sd)
    value = d_prime_of_moments(moments_of(tally.mated), nonmated)
    return row("d-prime", "d'", "number", value, counts=_sizes(tally))


def _curves(tally: Tally) -> Mapping[str, Mapping[str, Any]]:
    """Known steps of the error curve, and histograms between the thresholds that are known."""
    curve = error_curve(tally).thinned(CURVE_POINTS)
    edges = np.unique(np.concatenate([[-1.0], tally.thresholds, *_tail_edges(tally), [1.0]]))
    # the last bin is closed: nothing is left beyond it
    above = [*(accepted(tally.mated, edge) for edge in edges[:-1]), 0]
    false = [*(tally.false_matches(edge) for edge in edges[:-1]), 0]
    return {
        "roc": {"threshold": curve.thresholds, "fmr": curve.fmr, "fnmr": curve.fnmr},
        "histogram": {
            "bins": edges,
            "mated": -np.diff(above),
            "nonmated": -np.diff(false),
        },
    }


def _tail_edges(tally: Tally) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Where the tail is cut into bins: 40 of equal width up to its highest score."""
    if not len(tally.tail) or not np.isfinite(tally.floor):
        return []
    return [np.linspace(tally.floor, 1.0, 40, endpoint=False)]
