"""Pictures without an embedding count as errors: rates of the whole system, not of the matcher."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import ScoreTable, accepted
from recognition.evaluation.estimates import Estimate
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row, Section
from recognition.evaluation.uncertainty import INDEPENDENT_WILSON, row
from recognition.metrics.intervals import CLUSTERED_WILSON, wilson
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.verification import tar_at_fmr

TITLE = "Failures: pictures without an embedding"


class Lost(NamedTuple):
    """Comparisons that could not be made because a picture has no embedding."""

    mated: int
    nonmated: int


def lost_pairs(labels: npt.ArrayLike, failed_labels: npt.ArrayLike) -> Lost:
    """Of all pairs of all pictures, those with a failed one.

    Args:
        labels: (N,) the person on each picture that was embedded.
        failed_labels: (F,) the person on each that was not.

    >>> lost_pairs(["ann", "ann", "bob"], ["bob"])
    Lost(mated=1, nonmated=2)
    """
    embedded, failed = (np.asarray(names, np.str_) for names in (labels, failed_labels))

    def pairs(names: npt.NDArray[np.str_]) -> tuple[int, int]:
        pictures = np.unique(names, return_counts=True)[1]
        mated = int((pictures * (pictures - 1) // 2).sum())
        return mated, len(names) * (len(names) - 1) // 2 - mated

    every, kept = pairs(np.concatenate([embedded, failed])), pairs(embedded)
    return Lost(every[0] - kept[0], every[1] - kept[1])


def failures_to_acquire(labels: npt.NDArray[np.str_], failed_labels: npt.NDArray[np.str_]) -> Row:
    """FTA, the share of the pictures without an embedding (ISO/IEC 19795-1).

    Args:
        labels: (N,) the person on each picture that was embedded.
        failed_labels: (F,) the person on each that was not.

    Raises:
        InputError: no picture at all.
    """
    failed = np.repeat([False, True], [len(labels), len(failed_labels)])
    persons = np.unique(np.concatenate([labels, failed_labels]), return_inverse=True)[1]
    interval = share_interval(failed, persons)
    counts = {"failed": len(failed_labels), "pictures": len(failed)}
    estimate = Estimate(len(failed_labels) / len(failed), *interval, counts=counts)
    return Row("fta", "Failure to acquire (FTA)", "share", estimate, CLUSTERED_WILSON)


def comparisons_lost(scores: ScoreTable, lost: Lost) -> Row:
    """FTA where only comparisons are known: the share of those that have no score."""
    failed, trials = sum(lost), sum(lost) + len(scores.mated) + scores.nonmated_count
    counts = {"failed": failed, "pairs": trials}
    estimate = Estimate(failed / trials, *wilson(failed, trials), counts=counts)
    label = "Comparisons without a score (FTA)"
    return Row("fta", label, "share", estimate, INDEPENDENT_WILSON)


def account_for(acquired: Row, scores: ScoreTable, lost: Lost, options: Options) -> Section:
    """FTA, and what is left of the rates when every comparison that was lost is a rejection.

    A lost mated comparison is a false rejection, a lost non-mated one a true rejection:
    FRR = (missed + lost) / (P + lost) and FAR = false matches / (N + lost), exactly, at each
    threshold that a target FMR sets.
    """
    rows = [acquired]
    if sum(lost):
        for target in options.targets(scores.nonmated_count):
            rows += _with_lost(scores, lost, target)
    note = (
        "FRR and FAR count every comparison with a failed picture as rejected, at the threshold "
        "of each FMR (ISO/IEC 19795-1)"
    )
    return Section("failures", TITLE, tuple(rows), (note,) if sum(lost) else ())


def _with_lost(scores: ScoreTable, lost: Lost, target: float) -> list[Row]:
    point = tar_at_fmr(scores, target)
    if not point.resolved:
        return []
    missed = len(scores.mated) - accepted(scores.mated, point.threshold) + lost.mated
    false = scores.false_matches(point.threshold)
    mated, nonmated = len(scores.mated) + lost.mated, scores.nonmated_count + lost.nonmated
    counts = {"threshold": point.threshold, "lost": lost._asdict()}
    at = f"threshold of FMR {target:g}"
    return [
        row(f"frr@fmr={target:g}", f"FRR at the {at}", "share", missed / mated,
            counts=counts | {"errors": missed, "trials": mated}),
        row(f"far@fmr={target:g}", f"FAR at the {at}", "share", false / nonmated,
            counts=counts | {"errors": false, "trials": nonmated}),
    ]  # fmt: skip
