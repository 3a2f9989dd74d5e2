"""Intervals by what is known of the comparisons: who took part, or nothing.

Three kinds, of which the first is preferred. What it is made for, it covers best
(tests/benchmarks/coverage.py):

* person-clustered Wilson, for shares of comparisons, TAR, EER and AUC;
* Wilson's interval fitted to a bootstrap, for other numbers between 0 and 1;
* percentiles of a bootstrap, for numbers without such ends.

Where nobody knows who was compared, no two comparisons are taken to share anybody.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.listed import ListedScores
from recognition.comparisons.scores import ScoreLists, Scores
from recognition.comparisons.steps import Floats, Steps
from recognition.evaluation.estimates import Estimate
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row, Unit
from recognition.metrics.bootstrap import affordable, bootstrap
from recognition.metrics.clustered import Clusters, PersonTally
from recognition.metrics.intervals import CLUSTERED_WILSON, PERSON_BOOTSTRAP
from recognition.metrics.mean_resamples import MeanResamples, resample_means
from recognition.metrics.meetings import Meetings
from recognition.metrics.proportions import Interval, wilson_share

INDEPENDENT_WILSON = "Wilson, as if independent"
COMPARISON_BOOTSTRAP = "bootstrap of comparisons as if independent"
FEW = 500  # resamples below which the method names their number
NO_WIDTH = "No resample differed, which is no certainty"


class Uncertainty(NamedTuple):
    """Intervals by the keys of their rows, and how they were made; None where there is none."""

    intervals: Mapping[str, Interval | None]
    method: str


def clusters_of(table: ScoreLists | PersonTally | ListedScores) -> Clusters:
    """The comparisons by person, or each of mere lists as if of people of its own."""
    if isinstance(table, Scores):
        return Clusters.of(table)
    if isinstance(table, ListedScores):
        return Clusters.of_list(table, ())
    if not isinstance(table, ScoreLists):
        return Clusters.of_tail(table)
    mated, nonmated = len(table.mated), table.nonmated_count
    persons = np.arange(mated, mated + 2 * nonmated, dtype=np.int32)
    met = Meetings(
        of=np.repeat([0.0, 1.0], [mated, len(persons)]),
        total=nonmated,
        squares=float(nonmated),
        between=lambda asked: np.ones(len(asked)),
    )
    one_each = np.arange(mated, dtype=np.int32)
    return Clusters(table, one_each, table.nonmated, persons.reshape(nonmated, 2), met)


def wilson_of(table: ScoreLists | PersonTally | ListedScores) -> str:
    """What the intervals of `clusters_of` are called."""
    mere = isinstance(table, ScoreLists) and not isinstance(table, Scores)
    return INDEPENDENT_WILSON if mere else CLUSTERED_WILSON


def bootstrap_of(scores: ScoreLists, replicates: int) -> str:
    """What is resampled, and how often if that is rarely."""
    name = PERSON_BOOTSTRAP if isinstance(scores, Scores) else COMPARISON_BOOTSTRAP
    return name if replicates >= FEW else f"{name}, {replicates} resamples"


def fitted_to(scores: ScoreLists, replicates: int) -> str:
    """What the intervals of `fitted` are called."""
    return f"Wilson fitted to a {bootstrap_of(scores, replicates)}"


def main_intervals(clusters: Clusters, targets: Sequence[float], method: str) -> Uncertainty:
    """Of "eer", "auc" and "tar@fmr=..." at every target that can be measured."""
    found: dict[str, Interval | None] = {"eer": clusters.eer(), "auc": clusters.auc()}
    for target in targets:
        found[f"tar@fmr={target:g}"] = clusters.tar(target)
    return Uncertainty(found, method)


class Cornered(NamedTuple):
    """A number between 0 and 1, and how it is read from the corners of a resampled curve."""

    value: float
    read: Callable[[Steps], float]


def corner_intervals(
    scores: ScoreLists, numbers: Mapping[str, Cornered], options: Options
) -> Uncertainty:
    """Of numbers read from the curve; fewer resamples where there are many scores."""
    replicates = affordable(options.replicates, len(scores.mated) + scores.nonmated_count)
    readers = {key: number.read for key, number in numbers.items()}
    found = bootstrap(scores, readers, replicates=replicates, seed=options.seed)
    trials = mated_trials(scores)
    intervals = {key: fitted(numbers[key].value, again, trials) for key, again in found.items()}
    return Uncertainty(intervals, fitted_to(scores, replicates))


def mated_trials(scores: ScoreLists) -> int:
    """How many people have mated comparisons; of mere lists, how many of these there are."""
    if isinstance(scores, Scores):
        return len(np.unique(scores.mated_person))
    return len(scores.mated)


def resampled_means(
    scores: ScoreLists, mated: npt.ArrayLike, nonmated: npt.ArrayLike, options: Options
) -> MeanResamples:
    """Means of values over the comparisons in each resample."""
    return resample_means(scores, mated, nonmated, replicates=options.replicates, seed=options.seed)


def fitted(value: float, resamples: Floats, trials: int) -> Interval:
    """Wilson's interval of so many trials as vary by what the resamples vary by.

    Its centre is the value less the bias that the resamples have against it: a least cost and
    a best map look better on the people they were found on, in a resample as in the sample. The
    interval is widened to hold the value itself where it does not. Where no resample differs, or
    the value is at an end, it is that of `trials` people.

    Resamples that could not tell, NaN, are left out.

    Source: in spirit, Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 10,
    for the bias; `recognition.metrics.clustered` for Wilson's interval of a variance.
    """
    again = resamples[~np.isnan(resamples)]
    variance = float(again.var(ddof=1)) if len(again) > 1 else 0.0
    centre = 2 * value - float(again.mean()) if variance else value
    if 0 < centre < 1 and variance and trials > 1:
        worth = centre * (1 - centre) / variance
        found = wilson_share(centre, worth, freedom=trials - 1)
    else:
        found = wilson_share(value, trials)
    return Interval(min(found.low, value), max(found.high, value))


def percentiles(value: float, resamples: Floats) -> Interval | None:
    """As `middle`; None where an end is not finite. NaN, resamples that cannot tell, is left out."""
    told = resamples[~np.isnan(resamples)]
    found = middle(value, told) if len(told) else None
    return found if found and np.isfinite(found).all() else None


def middle(value: float, resamples: Floats) -> Interval:
    """The middle 95 % of what resamples gave, widened to hold the value where it does not."""
    low = float(np.quantile(resamples, 0.025, method="lower"))
    high = float(np.quantile(resamples, 0.975, method="higher"))
    return Interval(min(low, value), max(high, value))


def sizes(table: ScoreLists) -> dict[str, int]:
    """What a number rests on: people, or pairs of nobody knows whom, and both kinds of pairs."""
    kinds = {"mated": len(table.mated), "nonmated": table.nonmated_count}
    if isinstance(table, Scores):
        return {"people": table.people, **kinds}
    return {"pairs": sum(kinds.values()), **kinds}


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
    """A row with the interval found for its key, if there is one.

    An interval without width is said to be no certainty.
    """
    known = dict(counts or {})
    interval = found.intervals.get(key) if found is not None and value is not None else None
    if interval is None or found is None:
        return Row(key, label, unit, Estimate(value, note=note, counts=known))
    if interval.low == interval.high:
        note = f"{note}. {NO_WIDTH}" if note else NO_WIDTH
    estimate = Estimate(value, *interval, note=note, counts=known)
    return Row(key, label, unit, estimate, found.method)
