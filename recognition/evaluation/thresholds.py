"""Where to set the threshold, and how well it holds for other people than it was set on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.halves import Halves, split_scores
from recognition.comparisons.scores import Scores
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row, Section
from recognition.evaluation.uncertainty import (
    Uncertainty,
    fitted,
    fitted_to,
    mated_trials,
    resampled_means,
    row,
)
from recognition.metrics.clustered import Clusters
from recognition.metrics.costs import Costs
from recognition.metrics.intervals import CLUSTERED_WILSON, Interval
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.thresholds import ChosenThreshold, Rule, choose_threshold
from recognition.metrics.verification import ENOUGH_ERRORS, allowed_errors

TITLE = "Thresholds: set on one half of the people, judged on the other"
COSTS = Costs(prior=0.01)
Bools = npt.NDArray[np.bool_]


class _Choice(NamedTuple):
    """A way to set a threshold, with what it needs."""

    rule: Rule
    name: str
    label: str
    target: float | None = None
    costs: Costs | None = None

    def on(self, scores: Scores) -> ChosenThreshold:
        return choose_threshold(scores, self.rule, target=self.target, costs=self.costs)


class _Errors(NamedTuple):
    """Errors among comparisons within the halves, each at the threshold of the other half."""

    missed: Bools  # (P,) mated comparisons rejected
    false: Bools  # (M,) non-mated comparisons accepted
    thresholds: tuple[float, float]  # the first half is judged at the first


def transfer_thresholds(scores: Scores, options: Options) -> Section:
    """A threshold by each rule from everybody, and what the rule does to people it has not seen.

    For the second, the people are dealt into two halves; each is judged at the threshold that the
    rule finds on the other, and the errors of both are counted together: FMR, FNMR, half their
    sum (HTER), and log10(FMR / target). Comparisons between the halves are left out. Intervals
    take the two thresholds as given: those of other halves would move the rates further.

    Raises:
        InputError: too few people for two halves.
    """
    halves = split_scores(scores, seed=options.seed)
    choices = _choices(halves, options)
    errors = [_errors(scores, halves, choice) for choice in choices]
    judged = halves.judged(scores, scores.mated, scores.nonmated)
    half_errors = _half_errors(judged, choices, errors, options)
    clusters = Clusters.of(judged)
    rows: list[Row] = []
    for choice, found in zip(choices, errors, strict=True):
        whole = choice.on(scores)
        rows += [
            row(f"threshold@{choice.name}", f"Threshold, {choice.label}", "score", whole.value,
                note=whole.note, counts=whole.as_dict()),
            *_judged(choice, found, clusters, half_errors),
        ]  # fmt: skip
    left_out = int((halves.nonmated < 0).sum())
    notes = [
        (
            "The thresholds shown are set on all people; the rates are of thresholds set on half "
            "of them and judged on the other half, both ways, with intervals that take these "
            f"thresholds as given. {left_out:,} non-mated comparisons between the halves are left out"
        ),
        "HTER is the mean of FMR and FNMR",
        (
            "The error of the transfer is log10 of the FMR reached over the FMR asked for: 0 is as "
            "asked, 1 is ten times as many false matches"
        ),
    ]
    skipped = set(options.targets(scores.nonmated_count)) - {choice.target for choice in choices}
    if skipped:
        notes.append(
            f"No threshold is set for FMR {', '.join(f'{t:g}' for t in sorted(skipped))}: half of "
            f"the people have fewer than {ENOUGH_ERRORS} false matches to set it by"
        )
    return Section("thresholds", TITLE, tuple(rows), tuple(notes))


def _choices(halves: Halves, options: Options) -> list[_Choice]:
    """Every FMR that each half of the people can be trusted with, and rules without a target."""
    fewest = min(part.nonmated_count for part in halves.parts)
    targets = [
        target
        for target in options.targets(fewest)
        if allowed_errors(target, fewest) >= ENOUGH_ERRORS
    ]
    return [
        *(_Choice("fmr", f"fmr={t:g}", f"FMR at most {t:g}", target=t) for t in targets),
        _Choice("eer", "eer", "equal errors"),
        _Choice("min_dcf", "min-dcf", f"least cost at prior {COSTS.prior:g}", costs=COSTS),
        _Choice("accuracy", "accuracy", "best accuracy"),
        _Choice("youden", "youden", "largest TAR - FMR"),
    ]


def _errors(scores: Scores, halves: Halves, choice: _Choice) -> _Errors:
    one, two = (choice.on(part).value for part in halves.parts)
    others = np.array([two, one])
    inside = halves.nonmated >= 0
    false = scores.nonmated[inside] >= others[halves.nonmated[inside]]
    return _Errors(scores.mated < others[halves.mated], false, (two, one))


def _half_errors(
    judged: Scores, choices: Sequence[_Choice], errors: Sequence[_Errors], options: Options
) -> Uncertainty:
    """Of the HTER of each choice."""
    missed, false = (np.stack([found[kind] for found in errors], axis=1) for kind in (0, 1))
    mated, nonmated = resampled_means(judged, missed, false, options)
    values = (missed.mean(axis=0) + false.mean(axis=0)) / 2
    trials = mated_trials(judged)
    intervals = {
        f"hter@{choice.name}": fitted(float(value), again, trials)
        for choice, value, again in zip(choices, values, (mated + nonmated).T / 2, strict=True)
    }
    return Uncertainty(intervals, fitted_to(judged, options.replicates))


def _judged(
    choice: _Choice, found: _Errors, clusters: Clusters, half_errors: Uncertainty
) -> list[Row]:
    missed, false, thresholds = found
    fnmr, fmr = float(missed.mean()), float(false.mean())
    keys = {rate: f"{rate}@{choice.name}" for rate in ("hter", "fmr", "fnmr", "transfer")}
    # each half has its own threshold: a false match becomes a score of 1, any other one of 0
    matched = replace(clusters, high=false.astype(np.float32)).fmr(0.5)
    intervals = {
        keys["fmr"]: matched,
        keys["fnmr"]: share_interval(missed, clusters.mated_person),
        keys["transfer"]: _logarithms(matched, choice.target),
    }
    clustered = Uncertainty(intervals, CLUSTERED_WILSON)
    known = {"thresholds": thresholds, "people": clusters.people}
    matches = {"errors": int(false.sum()), "trials": len(false)} | known
    misses = {"errors": int(missed.sum()), "trials": len(missed)} | known
    rows = [
        row(keys["hter"], "HTER on other people", "share", (fmr + fnmr) / 2, half_errors,
            counts=known),
        row(keys["fmr"], "FMR on other people", "share", fmr, clustered, counts=matches),
        row(keys["fnmr"], "FNMR on other people", "share", fnmr, clustered, counts=misses),
    ]  # fmt: skip
    if choice.target is None:
        return rows
    error, note = None, None
    if fmr:
        error = float(np.log10(fmr / choice.target))
    else:
        note = (
            f"no false match among {len(false):,} comparisons of other people: how far the FMR is "
            "below what was asked for cannot be told"
        )
    key, label = keys["transfer"], "Error of the transfer"
    return [*rows, row(key, label, "number", error, clustered, note=note, counts=matches)]


def _logarithms(fmr: Interval, target: float | None) -> Interval | None:
    """Of the error of the transfer; None where the FMR may be 0, which has no logarithm."""
    if target is None or not fmr.low:
        return None
    return Interval(*(float(np.log10(end / target)) for end in fmr))
