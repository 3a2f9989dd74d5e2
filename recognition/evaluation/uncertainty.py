"""Intervals by what is known of the comparisons: who took part, or nothing."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import ScoreLists, Scores
from recognition.comparisons.steps import Floats, Steps
from recognition.evaluation.estimates import Estimate
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row, Unit
from recognition.metrics.bootstrap import affordable, bootstrap
from recognition.metrics.intervals import Interval, verification_intervals
from recognition.metrics.means import MeanResamples, resample_means
from recognition.metrics.verification import (
    ROUNDING,
    allowed_errors,
    area_under_curve,
    equal_error_rate,
)

BY_PERSON, BY_COMPARISON = "person bootstrap", "bootstrap of comparisons as if independent"
FEW = 500  # resamples below which the method names their number


class Uncertainty(NamedTuple):
    """Intervals by the keys of their rows, and how they were made; None where there is none."""

    intervals: Mapping[str, Interval | None]
    method: str


def method_of(scores: ScoreLists, replicates: int) -> str:
    """What is resampled, and how often if that is rarely."""
    name = BY_PERSON if isinstance(scores, Scores) else BY_COMPARISON
    return name if replicates >= FEW else f"{name}, {replicates} resamples"


def main_intervals(scores: ScoreLists, targets: Sequence[float], options: Options) -> Uncertainty:
    """Of "eer", "auc" and "tar@fmr=..." at every target that can be measured."""
    if isinstance(scores, Scores):
        found = verification_intervals(
            scores, targets, replicates=options.replicates, seed=options.seed
        )
        tar = {f"tar@fmr={target:g}": interval for target, interval in found.tar.items()}
        main = {"eer": found.equal_error_rate, "auc": found.area_under_curve}
        return Uncertainty({**main, **tar}, method_of(scores, options.replicates))
    metrics: dict[str, Callable[[Steps], float]] = {
        "eer": lambda steps: equal_error_rate(steps).rate,
        "auc": area_under_curve,
    }
    for target in targets:
        if allowed_errors(target, scores.nonmated_count):
            metrics[f"tar@fmr={target:g}"] = partial(tar_of, target=target)
    return corner_intervals(scores, metrics, options)


def tar_of(steps: Steps, target: float) -> float:
    """TAR at the lowest of the steps whose FMR is at most the target."""
    allowed = target * steps.nonmated * ROUNDING
    return int(steps.true[np.searchsorted(steps.false, allowed, side="right") - 1]) / steps.mated


def corner_intervals(
    scores: ScoreLists, metrics: Mapping[str, Callable[[Steps], float]], options: Options
) -> Uncertainty:
    """Of any metrics of the corners of the curve; fewer resamples where there are many scores."""
    replicates = affordable(options.replicates, len(scores.mated) + scores.nonmated_count)
    found = bootstrap(scores, metrics, replicates=replicates, seed=options.seed)
    intervals = {name: middle(values) for name, values in found.items()}
    return Uncertainty(intervals, method_of(scores, replicates))


def resampled_means(
    scores: ScoreLists, mated: npt.ArrayLike, nonmated: npt.ArrayLike, options: Options
) -> MeanResamples:
    """Means of values over the comparisons in each resample."""
    return resample_means(scores, mated, nonmated, replicates=options.replicates, seed=options.seed)


def middle(values: Floats) -> Interval | None:
    """The middle 95 % of what resamples gave; ends are values that occurred. None of infinite."""
    low = float(np.quantile(values, 0.025, method="lower"))
    high = float(np.quantile(values, 0.975, method="higher"))
    return Interval(low, high) if np.isfinite([low, high]).all() else None


def row(
    key: str,
    label: str,
    unit: Unit,
    value: float | None,
    found: Uncertainty | None = None,
    *,
    note: str | None = None,
    counts: Mapping[str, object] | None = None,
) -> Row:
    """A row with the interval found for its key, if there is one."""
    known = dict(counts or {})
    interval = found.intervals.get(key) if found is not None and value is not None else None
    if interval is None or found is None:
        return Row(key, label, unit, Estimate(value, note=note, counts=known))
    estimate = Estimate(value, *interval, note=note, counts=known)
    return Row(key, label, unit, estimate, found.method)
