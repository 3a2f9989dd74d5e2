"""Where to set the threshold, and how well it holds for other people than it was set on."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.halves import Halves, split_scores
from recognition.comparisons.scores import Scores
from recognition.comparisons.steps import Floats
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row, Section
from recognition.evaluation.uncertainty import (
    Uncertainty,
    method_of,
    middle,
    resampled_means,
    row,
)
from recognition.metrics.costs import Costs
from recognition.metrics.intervals import Interval
from recognition.metrics.thresholds import Rule, choose_threshold
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


def transfer_thresholds(scores: Scores, options: Options) -> Section:
    """A threshold by each rule from everybody, and what the rule does to people it has not seen.

    For the second, the people are dealt into two halves; each is judged at the threshold that the
    rule finds on the other, and the errors of both are counted together: FMR, FNMR, half their
    sum (HTER), and log10(FMR / target). Comparisons between the halves are left out.

    Raises:
        InputError: too few people for two halves.
    """
    halves = split_scores(scores, seed=options.seed)
    rows: list[Row] = []
    for choice in _choices(scores, options):
        rows += _rows(scores, halves, choice, options)
    left_out = int((halves.nonmated < 0).sum())
    notes = (
        (
            f"The thresholds shown are set on all people; the rates are of thresholds set on half of "
            f"them and judged on the other half, both ways. {left_out} non-mated comparisons between "
            "the halves are left out"
        ),
        (
            "The error of the transfer is log10 of the FMR reached over the FMR asked for: 0 is as "
            "asked, 1 is ten times as many false matches"
        ),
    )
    return Section("thresholds", TITLE, tuple(rows), notes)


def _choices(scores: Scores, options: Options) -> list[_Choice]:
    """Every FMR that half of the people can be trusted with, and the rules without a target."""
    targets = [
        target
        for target in options.targets(scores.nonmated_count)
        if allowed_errors(target, scores.nonmated_count // 4) >= ENOUGH_ERRORS
    ]
    return [
        *(_Choice("fmr", f"fmr={t:g}", f"FMR at most {t:g}", target=t) for t in targets),
        _Choice("eer", "eer", "equal errors"),
        _Choice("min_dcf", "min-dcf", f"least cost at prior {COSTS.prior:g}", costs=COSTS),
        _Choice("accuracy", "accuracy", "best accuracy"),
        _Choice("youden", "youden", "largest TAR - FMR"),
    ]


def _rows(scores: Scores, halves: Halves, choice: _Choice, options: Options) -> list[Row]:
    def chosen(part: Scores) -> float:
        return choose_threshold(part, choice.rule, target=choice.target, costs=choice.costs).value

    whole = choose_threshold(scores, choice.rule, target=choice.target, costs=choice.costs)
    others = np.array([chosen(halves.parts[1]), chosen(halves.parts[0])])
    missed = scores.mated < others[halves.mated]
    inside = halves.nonmated >= 0
    false = scores.nonmated[inside] >= others[halves.nonmated[inside]]
    means = resampled_means(
        halves.judged(scores, scores.mated, scores.nonmated),
        missed[:, None],
        false[:, None],
        options,
    )
    return [
        row(f"threshold@{choice.name}", f"Threshold, {choice.label}", "score", whole.value,
            note=whole.note, counts=whole.as_dict()),
        *_judged(choice, missed, false, (means.mated[:, 0], means.nonmated[:, 0]),
                 method_of(scores, options.replicates), others),
    ]  # fmt: skip


def _judged(
    choice: _Choice,
    missed: Bools,
    false: Bools,
    resamples: tuple[Floats, Floats],
    method: str,
    thresholds: Floats,
) -> list[Row]:
    counts = {
        "missed": int(missed.sum()),
        "mated": len(missed),
        "false": int(false.sum()),
        "nonmated": len(false),
        "thresholds": thresholds.tolist(),
    }
    fnmr, fmr = float(missed.mean()), float(false.mean())
    keys = [f"{rate}@{choice.name}" for rate in ("hter", "fmr", "fnmr", "transfer")]
    found = Uncertainty(
        {
            keys[0]: middle((resamples[0] + resamples[1]) / 2),
            keys[1]: middle(resamples[1]),
            keys[2]: middle(resamples[0]),
            keys[3]: _log_interval(resamples[1], choice.target),
        },
        method,
    )
    rows = [
        row(keys[0], "  HTER on other people", "share", (fmr + fnmr) / 2, found, counts=counts),
        row(keys[1], "  FMR on other people", "share", fmr, found, counts=counts),
        row(keys[2], "  FNMR on other people", "share", fnmr, found, counts=counts),
    ]
    if choice.target is None:
        return rows
    label = "  error of the transfer"
    if not false.any():
        note = (
            f"no false match among {len(false)} comparisons of other people: how far the FMR is "
            "below what was asked for cannot be told"
        )
        return [*rows, row(keys[3], label, "number", None, note=note, counts=counts)]
    error = float(np.log10(fmr / choice.target))
    return [*rows, row(keys[3], label, "number", error, found, counts=counts)]


def _log_interval(rates: Floats, target: float | None) -> Interval | None:
    if target is None:
        return None
    ends = middle(rates)
    if ends is None or not ends.low:
        return None  # a resample without false matches has no logarithm
    return Interval(*(float(np.log10(end / target)) for end in ends))
