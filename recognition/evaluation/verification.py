"""Verification: are two pictures of one person? Every rate with its interval."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from recognition.comparisons.scores import ScoreLists, accepted
from recognition.comparisons.steps import Floats, Similarities, Steps
from recognition.evaluation.estimates import at_point
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row, Section
from recognition.evaluation.uncertainty import (
    Uncertainty,
    corner_intervals,
    main_intervals,
    method_of,
    middle,
    resampled_means,
    row,
)
from recognition.metrics.hull import hull_equal_error_rate
from recognition.metrics.separation import Moments, d_prime, d_prime_of_moments, partial_area
from recognition.metrics.verification import (
    allowed_errors,
    area_under_curve,
    equal_error_rate,
    error_curve,
    tar_at_fmr,
)

TITLE = "Verification: are two pictures of one person?"
CURVE_POINTS = 400
BINS = 200
AREA = (1e-3, 1e-1)  # FMRs between which the partial area is taken, where they can be measured


def verify(scores: ScoreLists, options: Options) -> Section:
    """TAR at each FMR, EER, areas, d', and both error rates at thresholds that were asked for.

    Intervals resample people where the table knows them. Mere lists of scores are resampled by
    comparison, as if those were independent; their intervals are too narrow if they are not.

    Raises:
        InputError: too few people for any resample to count.
    """
    targets = options.targets(scores.nonmated_count)
    main = main_intervals(scores, targets, options)
    rows = [
        *(_tar(scores, target, main) for target in targets),
        *_equal_errors(scores, main, options),
        *_areas(scores, main, options),
        _d_prime(scores, options),
    ]
    for threshold in options.thresholds:
        rows += rates_at(scores, threshold, options)
    return Section("verification", TITLE, tuple(rows), (), curves_of(scores))


def _tar(scores: ScoreLists, target: float, main: Uncertainty) -> Row:
    key = f"tar@fmr={target:g}"
    point = tar_at_fmr(scores, target)
    estimate = at_point(point, point.tar, main.intervals.get(key))
    return Row(key, f"TAR at FMR {target:g}", "share", estimate, main.method)


def _equal_errors(scores: ScoreLists, main: Uncertainty, options: Options) -> list[Row]:
    eer, hull = equal_error_rate(scores), hull_equal_error_rate(scores)
    metrics: dict[str, Callable[[Steps], float]] = {
        "eer-hull": lambda steps: hull_equal_error_rate(steps).rate
    }
    found = corner_intervals(scores, metrics, options)
    sizes = {"mated": len(scores.mated), "nonmated": scores.nonmated_count}
    counts = {"low": eer.low, "high": eer.high, "threshold": eer.threshold} | sizes
    return [
        row("eer", "EER", "share", eer.rate, main, counts=counts),
        row("eer-hull", "EER, convex hull", "share", hull.rate, found, counts=sizes),
    ]


def _areas(scores: ScoreLists, main: Uncertainty, options: Options) -> list[Row]:
    sizes = {"mated": len(scores.mated), "nonmated": scores.nonmated_count}
    rows = [row("auc", "AUC", "share", area_under_curve(scores), main, counts=sizes)]
    low, high = AREA
    label = f"Mean TAR, FMR {low:g} to {high:g}"
    if not allowed_errors(low, scores.nonmated_count):
        note = f"FMR {low:g} is below one false match of {scores.nonmated_count}"
        return [*rows, row("pauc", label, "share", None, note=note, counts=sizes)]

    def area(steps: Steps) -> float:
        # a resample with few comparisons starts where it can measure
        return partial_area(steps, max(low, 1 / steps.nonmated), high)

    found = corner_intervals(scores, {"pauc": area}, options)
    return [
        *rows,
        row("pauc", label, "share", partial_area(scores, low, high), found, counts=sizes),
    ]


def _d_prime(scores: ScoreLists, options: Options) -> Row:
    value = d_prime(scores.mated, scores.nonmated)
    means = resampled_means(scores, _powers(scores.mated), _powers(scores.nonmated), options)
    resamples = np.array(
        [d_prime_of_moments(*map(_moments, both)) for both in zip(*means, strict=True)]
    )
    found = Uncertainty({"d-prime": middle(resamples)}, method_of(scores, options.replicates))
    if not np.isfinite(value):
        return row("d-prime", "d'", "number", None, note="neither kind of scores varies")
    return row("d-prime", "d'", "number", value, found)


def _powers(kind: Similarities) -> Floats:
    wide = kind.astype(np.float64)
    return np.stack([wide, wide**2], axis=1)


def _moments(powers: Floats) -> Moments:
    mean, square = (float(power) for power in powers)
    return Moments(mean, max(0.0, square - mean**2) ** 0.5)


def rates_at(scores: ScoreLists, threshold: float, options: Options) -> list[Row]:
    """FMR and FNMR at a threshold that was not chosen on these scores."""
    false, missed = (
        scores.false_matches(threshold),
        len(scores.mated) - accepted(scores.mated, threshold),
    )
    means = resampled_means(
        scores,
        (scores.mated < np.float64(threshold))[:, None],
        (scores.nonmated >= np.float64(threshold))[:, None],
        options,
    )
    keys = f"fmr@t={threshold:g}", f"fnmr@t={threshold:g}"
    intervals = {keys[0]: middle(means.nonmated[:, 0]), keys[1]: middle(means.mated[:, 0])}
    found = Uncertainty(intervals, method_of(scores, options.replicates))
    at = f"at threshold {threshold:g}"
    fmr, fnmr = false / scores.nonmated_count, missed / len(scores.mated)
    return [
        row(
            keys[0], f"FMR {at}", "share", fmr, found,
            counts={"threshold": threshold, "errors": false, "trials": scores.nonmated_count},
        ),
        row(
            keys[1], f"FNMR {at}", "share", fnmr, found,
            counts={"threshold": threshold, "errors": missed, "trials": len(scores.mated)},
        ),
    ]  # fmt: skip


def curves_of(scores: ScoreLists) -> Mapping[str, Mapping[str, Any]]:
    """Some hundred steps of the exact error curve, and histograms of both kinds of scores."""
    curve = error_curve(scores).thinned(CURVE_POINTS)
    every = [scores.mated, scores.nonmated]
    # cosines lie in [-1, 1]; other scores bring their own range
    low, high = (
        min(-1.0, *(kind.min() for kind in every)),
        max(1.0, *(kind.max() for kind in every)),
    )
    bins = np.linspace(low, high, BINS + 1)
    return {
        "roc": {"threshold": curve.thresholds, "fmr": curve.fmr, "fnmr": curve.fnmr},
        "histogram": {
            "bins": bins,
            "mated": np.histogram(scores.mated, bins)[0],
            "nonmated": np.histogram(scores.nonmated, bins)[0],
        },
    }
