"""Scores as evidence: what decisions by cost would pay, and how far probabilities can be trusted."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from recognition.comparisons.scores import ScoreLists, Scores
from recognition.comparisons.steps import Floats, Steps
from recognition.errors import InputError
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row, Section, Unit
from recognition.evaluation.uncertainty import (
    Cornered,
    Uncertainty,
    bootstrap_of,
    corner_intervals,
    fitted,
    fitted_to,
    mated_trials,
    percentiles,
    resampled_means,
    row,
    sizes,
)
from recognition.metrics.calibration import (
    LN2,
    brier_score,
    cllr,
    expected_calibration_error,
    min_cllr,
    posterior,
)
from recognition.metrics.calibrators import cross_calibrated, fit_logistic
from recognition.metrics.costs import Costs, act_dcf, min_dcf

TITLE = "Calibration: what the scores are worth as evidence"
PRIORS = (0.01, 0.001)
EVEN = 0.5  # the prior at which posteriors are judged
BINS = 15  # of the expected calibration error
SCALE = (
    "minDCF and actDCF are costs of errors where one comparison in 100, or in 1000, is of one "
    "person: 1 is what the better of accepting nobody and accepting everybody costs. Cllr is 0 "
    "bits for perfect evidence and 1 for none"
)
BEST = (
    "minDCF and minCllr are what the best threshold and the best map would reach on these very "
    "people; with few people that is too good to last, and minCllr's interval is then too low"
)


def calibrate(scores: ScoreLists, options: Options) -> Section:
    """MinDCF and minCllr of the scores, and Cllr, actDCF, Brier and ECE once they are calibrated.

    A logistic map from score to log-likelihood ratio is fitted on one half of the people and
    judged on the other, both ways; its intervals take the map as given. Without people there are
    no halves: then only what needs no map is told. Where people are too few for two halves, or no
    map fits, the rows that need one have no value, and say why.

    Raises:
        InputError: too few people for any resample to count.
    """
    rows = _best(scores, options)
    if not isinstance(scores, Scores):
        note = "Nobody knows who was compared, so there are no other people to judge a map on"
        return Section("calibration", TITLE, tuple(rows), (SCALE, BEST, note))
    try:
        crossed = cross_calibrated(scores, seed=options.seed)
    except InputError as error:
        why = f"no map from scores to evidence could be fitted and judged: {error}"
        rows += [row(*named, None, note=why) for named in _named()]
        return Section("calibration", TITLE, tuple(rows), (SCALE, BEST))
    rows += _calibrated(crossed.llrs, options, fit_logistic(scores).as_dict())
    note = (
        "Cllr, the actual costs, Brier and ECE are of log-likelihood ratios from a logistic map "
        "fitted on half of the people and judged on the other half, both ways; "
        f"{crossed.left_out:,} non-mated comparisons between the halves are left out. Lower is better"
    )
    return Section("calibration", TITLE, tuple(rows), (SCALE, BEST, note))


def _best(scores: ScoreLists, options: Options) -> list[Row]:
    """What the best map and the best threshold would reach on these very scores."""
    least = {prior: min_dcf(scores, Costs(prior=prior)) for prior in PRIORS}
    numbers = {"min-cllr": Cornered(min_cllr(scores), min_cllr)}
    for prior, best in least.items():
        numbers[_dcf("min-dcf", prior)] = Cornered(best.cost, _least(prior))
    found, known = corner_intervals(scores, numbers, options), sizes(scores)
    rows = [row("min-cllr", "minCllr", "bits", numbers["min-cllr"].value, found, counts=known)]
    for prior, best in least.items():
        key, label = _dcf("min-dcf", prior), f"minDCF, prior {prior:g}"
        rows.append(row(key, label, "number", best.cost, found, counts=best._asdict() | known))
    return rows


def _least(prior: float) -> Callable[[Steps], float]:
    return lambda steps: min_dcf(steps, Costs(prior=prior)).cost


def _dcf(name: str, prior: float) -> str:
    return f"{name}@prior={prior:g}"


def _named() -> Iterator[tuple[str, str, Unit]]:
    """Keys, labels and units of the rows that need a map."""
    yield "cllr", "Cllr, calibrated", "bits"
    for prior in PRIORS:
        yield _dcf("act-dcf", prior), f"actDCF, prior {prior:g}", "number"
    yield "brier", f"Brier score, prior {EVEN:g}", "number"
    yield "ece", f"ECE, prior {EVEN:g}", "number"


def _calibrated(llrs: Scores, options: Options, everybody: Mapping[str, object]) -> list[Row]:
    """`everybody` is the map that all people give: to be used, but judged by nobody here."""
    u, v = (kind.astype(np.float64) for kind in (llrs.mated, llrs.nonmated))
    actual = {prior: act_dcf(llrs, Costs(prior=prior)) for prior in PRIORS}
    brier, known = brier_score(u, v, prior=EVEN), sizes(llrs)
    values = {
        "cllr": cllr(u, v),
        **{_dcf("act-dcf", prior): paid.cost for prior, paid in actual.items()},
        "brier": brier,
        "ece": expected_calibration_error(u, v, prior=EVEN, bins=BINS),
    }
    counts: dict[str, dict[str, object]] = {
        _dcf("act-dcf", prior): paid._asdict() for prior, paid in actual.items()
    }
    counts["ece"] = {"bins": BINS}
    counts["cllr"] = {"calibrator_of_everybody": dict(everybody)}
    again = _resampled(llrs, u, v, options)
    ends = Uncertainty(
        {"brier": fitted(brier, again["brier"], mated_trials(llrs))},
        fitted_to(llrs, options.replicates),
    )
    free = Uncertainty(
        {key: percentiles(values[key], numbers) for key, numbers in again.items()},
        bootstrap_of(llrs, options.replicates),
    )
    return [
        row(
            *(key, label, unit, values[key]),
            ends if key in ends.intervals else free,
            counts=counts.get(key, {}) | known,
        )
        for key, label, unit in _named()
    ]


def _resampled(llrs: Scores, u: Floats, v: Floats, options: Options) -> dict[str, Floats]:
    """Cllr, Brier score and actual costs in each resample: all are means over each kind."""
    every = [Costs(prior=prior) for prior in PRIORS]

    def paid(kind: Floats, sign: float) -> Floats:
        """`sign` is 1 for mated comparisons, whose errors are low LLRs, and -1 for others."""
        bits = np.logaddexp(0, -sign * kind) / LN2
        off = posterior(-sign * kind, EVEN)
        wrong = [(kind < costs.threshold) == (sign > 0) for costs in every]
        return np.stack([bits, off**2, *wrong], axis=1)

    mated, nonmated = resampled_means(llrs, paid(u, 1.0), paid(v, -1.0), options)
    halved = (mated + nonmated) / 2
    found = {"cllr": halved[:, 0], "brier": halved[:, 1]}
    for place, costs in enumerate(every, start=2):
        miss, false_alarm = costs.weights
        paid_for = miss * mated[:, place] + false_alarm * nonmated[:, place]
        found[_dcf("act-dcf", costs.prior)] = paid_for
    return found
