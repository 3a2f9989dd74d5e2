"""Verification: are two pictures of one person? Every rate with its interval."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from recognition.comparisons.listed import ListedScores
from recognition.comparisons.scores import ScoreLists, Scores, accepted
from recognition.comparisons.steps import Floats, Similarities, Steps
from recognition.errors import InputError
from recognition.evaluation.estimates import at_point
from recognition.evaluation.options import Options, exactly
from recognition.evaluation.rows import Row, Section
from recognition.evaluation.uncertainty import (
    Cornered,
    Uncertainty,
    bootstrap_of,
    clusters_of,
    corner_intervals,
    main_intervals,
    percentiles,
    resampled_means,
    row,
    sizes,
    wilson_of,
)
from recognition.metrics.bootstrap import affordable
from recognition.metrics.clustered import Clusters, PersonTally
from recognition.metrics.hull import hull_equal_error_rate
from recognition.metrics.lone import Lone
from recognition.metrics.proportions import Interval
from recognition.metrics.score_separation import d_prime_of_moments, moments_of, partial_area
from recognition.metrics.threshold_rates import Rates, verification_rates
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


def verify(scores: ScoreLists, options: Options, marks: Iterable[float] = ()) -> Section:
    """TAR at each FMR, EER, areas, d', and both error rates at thresholds that were asked for.

    Intervals go by people where the table knows them. Comparisons of mere lists are taken for
    independent; their intervals are too narrow if they are not.

    Args:
        scores: the comparisons.
        options: targets, thresholds, resamples and the seed.
        marks: thresholds to be on the grid of the curve `operating`, beside those of the rows.

    Raises:
        InputError: too few people for any resample to count.
    """
    targets = options.targets(scores.nonmated_count)
    clusters = clusters_of(scores)
    main = main_intervals(clusters, targets, wilson_of(scores))
    rows = [
        *(_tar(scores, target, main) for target in targets),
        *_from_the_curve(scores, main, options),
        _d_prime(scores, options),
    ]
    for threshold in dict.fromkeys(options.thresholds):
        rows += rates_at(scores, threshold, clusters=clusters)
    note = (
        "A pair is accepted at a score at or above the threshold. TAR is the share of pairs of one "
        "person that are accepted, FMR the share of pairs of two people that are, by mistake, FNMR "
        "is 1 - TAR, and at the EER both errors are equally frequent; on the convex hull two thresholds "
        "may be mixed by lot. AUC: how often a pair of one person scores higher than one of two. d': "
        "distance of the two means in standard deviations"
    )
    by_person = clusters if isinstance(scores, Scores) else Lone(scores)
    curves = {**curves_of(scores), "operating": operating_of(by_person, rows, marks)}
    return Section("verification", TITLE, tuple(rows), (note,), curves)


def _tar(scores: ScoreLists, target: float, main: Uncertainty) -> Row:
    key = f"tar@fmr={target:g}"
    point = tar_at_fmr(scores, target)
    interval = main.intervals[key]
    estimate = at_point(point, point.tar, interval)
    return Row(key, f"TAR at FMR {target:g}", "share", estimate, main.method if interval else "")


def _from_the_curve(scores: ScoreLists, main: Uncertainty, options: Options) -> list[Row]:
    """EER, that of the convex hull, the area under the curve, and a part of it."""
    eer, known = equal_error_rate(scores), sizes(scores)
    counts = {"low": eer.low, "high": eer.high, "threshold": eer.threshold} | known
    numbers = {"eer-hull": Cornered(_hull_rate(scores.steps), _hull_rate)}
    area, why, (low, high) = None, None, AREA
    if allowed_errors(low, scores.nonmated_count):
        area = _partial_area(scores.steps)
        numbers["pauc"] = Cornered(area, _partial_area)
    else:
        why = f"FMR {low:g} is below one false match of {scores.nonmated_count:,}"
    label = f"Mean TAR, FMR {low:g} to {high:g}"
    found, rate = corner_intervals(scores, numbers, options), numbers["eer-hull"].value
    return [
        row("eer", "EER", "share", eer.rate, main, counts=counts),
        row("eer-hull", "EER, convex hull", "share", rate, found, counts=known),
        row("auc", "AUC", "share", area_under_curve(scores), main, counts=known),
        row("pauc", label, "share", area, found, note=why, counts=known),
    ]


def _hull_rate(steps: Steps) -> float:
    return hull_equal_error_rate(steps).rate


def _partial_area(steps: Steps) -> float:
    """From where a resample with few comparisons can measure; NaN where it never can."""
    low, high = max(AREA[0], 1 / steps.nonmated), AREA[1]
    return min(1.0, partial_area(steps, low, high)) if low < high else np.nan


def _d_prime(scores: ScoreLists, options: Options) -> Row:
    mated, nonmated = moments_of(scores.mated), moments_of(scores.nonmated)
    known = sizes(scores)
    if not mated.deviation and not nonmated.deviation:
        note = "neither kind of scores varies"
        return row("d-prime", "d'", "number", None, note=note, counts=known)
    value = d_prime_of_moments(mated, nonmated)
    replicates = options.replicates
    if not isinstance(scores, Scores):  # drawn one by one
        replicates = affordable(replicates, len(scores.mated) + scores.nonmated_count)
    # d' is the same in any unit from any origin: in these no square loses its digits
    unit = max(mated.deviation, nonmated.deviation)
    one, other = (_powers(kind, mated.mean, unit) for kind in (scores.mated, scores.nonmated))
    means = resampled_means(scores, one, other, replace(options, replicates=replicates))
    spread = np.sqrt(sum(np.clip(m[:, 1] - m[:, 0] ** 2, 0, None) for m in means) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        again = np.abs(means.mated[:, 0] - means.nonmated[:, 0]) / spread
    found = Uncertainty({"d-prime": percentiles(value, again)}, bootstrap_of(scores, replicates))
    return row("d-prime", "d'", "number", value, found, counts=known)


def _powers(kind: Similarities, origin: float, unit: float) -> Floats:
    """(N, 2) each score, counted from an origin in a unit, and its square."""
    counted = (kind - np.float64(origin)) / unit
    return np.stack([counted, counted**2], axis=1)


def rates_at(
    table: ScoreLists | PersonTally | ListedScores,
    threshold: float,
    *,
    clusters: Clusters | None = None,
) -> list[Row]:
    """FMR and FNMR at a threshold that was not chosen on these scores.

    Args:
        table: the scores. Of those that a tally only counts, the FMR or its interval may be open.
        threshold: accept at score >= threshold.
        clusters: those of the table, if they are at hand.

    Raises:
        InputError: a threshold that is NaN.
    """
    at, method = exactly(threshold), wilson_of(table)
    mated, nonmated = len(table.mated), table.nonmated_count
    missed = mated - accepted(table.mated, threshold)

    def told(rate: str, errors: int, trials: int, interval: Interval | None) -> Row:
        key, label = f"{rate}@t={at}", f"{rate.upper()} at threshold {at}"
        counts = {"threshold": threshold, "errors": errors, "trials": trials}
        found = Uncertainty({key: interval}, method)
        return row(key, label, "share", errors / trials, found, counts=counts)

    clusters = clusters or clusters_of(table)
    second = told("fnmr", missed, mated, clusters.fnmr(threshold))
    try:
        false = table.false_matches(threshold)
    except InputError as error:
        key, label, counts = f"fmr@t={at}", f"FMR at threshold {at}", {"threshold": threshold}
        return [row(key, label, "share", None, note=str(error), counts=counts), second]
    fmr = clusters.fmr(threshold) if clusters.knows(threshold) else None
    return [told("fmr", false, nonmated, fmr), second]


def operating_of(
    clusters: Clusters | Lone, rows: Iterable[Row], marks: Iterable[float] = ()
) -> Rates:
    """Both error rates over a grid that holds the thresholds of all rows, and other marks."""
    counts = [row.estimate.counts for row in rows]
    found = [each["threshold"] for each in counts if "threshold" in each]
    return verification_rates(clusters, [*found, *marks])


def curves_of(scores: ScoreLists) -> Mapping[str, Mapping[str, Any]]:
    """Some hundred steps of the exact error curve, and histograms of both kinds of scores."""
    curve = error_curve(scores).thinned(CURVE_POINTS)
    every = [scores.mated, scores.nonmated]
    # cosines lie in [-1, 1]; other scores bring their own range
    low, high = (
        min(-1.0, *(float(kind.min()) for kind in every)),
        max(1.0, *(float(kind.max()) for kind in every)),
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
