"""Scores as evidence: what decisions by cost would pay, and how far probabilities can be trusted."""

from collections.abc import Callable
from functools import partial

import numpy as np

from recognition.comparisons.scores import ScoreLists, Scores
from recognition.comparisons.steps import Floats, Steps
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row, Section
from recognition.evaluation.uncertainty import (
    Uncertainty,
    corner_intervals,
    method_of,
    middle,
    resampled_means,
    row,
)
from recognition.metrics.calibration import (
    brier_score,
    cllr,
    expected_calibration_error,
    min_cllr,
    posterior,
)
from recognition.metrics.calibrators import cross_calibrated
from recognition.metrics.costs import Costs, act_dcf, min_dcf

TITLE = "Calibration: what the scores are worth as evidence"
PRIORS = (0.01, 0.001)
EVEN = 0.5  # the prior at which posteriors are judged


def calibrate(scores: ScoreLists, options: Options) -> Section:
    """MinDCF and minCllr of the scores, and Cllr, actDCF, Brier and ECE once they are calibrated.

    A logistic map from score to log-likelihood ratio is fitted on one half of the people and
    judged on the other, both ways. Without people there are no halves: then only what needs no
    map is told.

    Raises:
        InputError: too few people for two halves, or scores that no map fits.
    """
    rows = _best(scores, options)
    if not isinstance(scores, Scores):
        note = "Nobody knows who was compared, so there are no other people to judge a map on"
        return Section("calibration", TITLE, tuple(rows), (note,))
    crossed = cross_calibrated(scores, seed=options.seed)
    rows += _calibrated(crossed.llrs, options)
    notes = (
        (
            "Cllr, the actual costs, Brier and ECE are of log-likelihood ratios from a logistic map "
            "fitted on half of the people and judged on the other half, both ways; "
            f"{crossed.left_out} non-mated comparisons between the halves are left out"
        ),
    )
    return Section("calibration", TITLE, tuple(rows), notes)


def _best(scores: ScoreLists, options: Options) -> list[Row]:
    """What the best map and the best threshold would reach on these very scores."""
    costs = {_dcf("min-dcf", prior): Costs(prior=prior) for prior in PRIORS}
    metrics: dict[str, Callable[[Steps], float]] = {"min-cllr": min_cllr}
    for key, paid in costs.items():
        metrics[key] = partial(_least, costs=paid)
    found = corner_intervals(scores, metrics, options)
    rows = [row("min-cllr", "minCllr", "bits", min_cllr(scores), found)]
    for key, paid in costs.items():
        best = min_dcf(scores, paid)
        label = f"minDCF, prior {paid.prior:g}"
        rows.append(row(key, label, "number", best.cost, found, counts=best._asdict()))
    return rows


def _least(steps: Steps, costs: Costs) -> float:
    return min_dcf(steps, costs).cost


def _dcf(name: str, prior: float) -> str:
    return f"{name}@prior={prior:g}"


def _calibrated(llrs: Scores, options: Options) -> list[Row]:
    u, v = (kind.astype(np.float64) for kind in (llrs.mated, llrs.nonmated))
    every = [Costs(prior=prior) for prior in PRIORS]

    def paid(kind: Floats, sign: float) -> Floats:
        """Columns whose means are the cost of a kind of error: Cllr, Brier, and errors per prior.

        `sign` is 1 for mated comparisons, whose errors are low LLRs.
        """
        bits = np.logaddexp(0, -sign * kind) / np.log(2)
        off = posterior(-sign * kind, EVEN)
        wrong = [(kind < costs.threshold) == (sign > 0) for costs in every]
        return np.stack([bits, off**2, *wrong], axis=1)

    mated, nonmated = resampled_means(llrs, paid(u, 1.0), paid(v, -1.0), options)
    halved = (mated + nonmated) / 2
    intervals = {"cllr": middle(halved[:, 0]), "brier": middle(halved[:, 1])}
    for place, costs in enumerate(every, start=2):
        miss, false_alarm = costs.weights
        dcf = miss * mated[:, place] + false_alarm * nonmated[:, place]
        intervals[_dcf("act-dcf", costs.prior)] = middle(dcf)
    found = Uncertainty(intervals, method_of(llrs, options.replicates))
    rows = [row("cllr", "Cllr, calibrated", "bits", cllr(u, v), found)]
    for costs in every:
        actual = act_dcf(llrs, costs)
        key, label = _dcf("act-dcf", costs.prior), f"actDCF, prior {costs.prior:g}"
        rows.append(row(key, label, "number", actual.cost, found, counts=actual._asdict()))
    rows.append(row("brier", "Brier score, prior 0.5", "number", brier_score(u, v), found))
    error = expected_calibration_error(u, v)
    rows.append(row("ece", "ECE, prior 0.5", "number", error, counts={"bins": 15}))
    return rows
