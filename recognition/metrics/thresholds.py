"""Choosing a threshold on some people, with its provenance, and judging it on others."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from recognition.comparisons.scores import ScoreTable, accepted
from recognition.comparisons.steps import Steps
from recognition.errors import InputError
from recognition.metrics.accuracy import middle, most_accurate
from recognition.metrics.costs import Costs, cheapest
from recognition.metrics.verification import allowed_errors, crossing, doubt

Rule = Literal["fmr", "eer", "min_dcf", "accuracy", "youden"]
Placement = Literal["low", "mid", "high"]


@dataclass(frozen=True)
class ChosenThreshold:
    """A threshold, how it was chosen, and what it does on the comparisons it was chosen on.

    Attributes:
        value: accept at score >= value; always finite.
        rule: what was optimised, see `choose_threshold`.
        target: the FMR asked for, None for other rules.
        costs: what errors cost, None for other rules than "min_dcf".
        placement: where `value` lies between the highest rejected and the lowest accepted score.
        accepted: mated comparisons at or above `value`.
        false_matches: non-mated comparisons at or above `value`.
        mated: P, all mated comparisons.
        nonmated: N, all non-mated comparisons.
        complete: whether all distinct scores could be chosen from, or only some thresholds.
        note: why the target is not or hardly measured, None where it is.
    """

    value: float
    rule: Rule
    target: float | None
    costs: Costs | None
    placement: Placement
    accepted: int
    false_matches: int
    mated: int
    nonmated: int
    complete: bool
    note: str | None

    @property
    def fmr(self) -> float:
        """The share of non-mated comparisons accepted where the threshold was chosen."""
        return self.false_matches / self.nonmated

    @property
    def fnmr(self) -> float:
        """The share of mated comparisons rejected where the threshold was chosen."""
        return (self.mated - self.accepted) / self.mated

    def as_dict(self) -> dict[str, Any]:
        """All of it for a JSON file, both rates included, without NaN or infinity."""
        return {**asdict(self), "fmr": self.fmr, "fnmr": self.fnmr}


def choose_threshold(
    scores: ScoreTable,
    rule: Rule,
    *,
    target: float | None = None,
    costs: Costs | None = None,
    placement: Placement | None = None,
) -> ChosenThreshold:
    """A threshold by one of five rules, placed in the gap between two scores of either kind.

    Rules, and what they do between thresholds that are equally good:

    * "fmr": the lowest t with FMR(t) <= target, as in `tar_at_fmr`.
    * "eer": where FMR and FNMR cross by the rule of FVC2000, as in `equal_error_rate`.
    * "min_dcf": the least detection cost; see `recognition.metrics.costs`.
    * "accuracy": most right decisions among P + N; the widest gap, then the highest t.
    * "youden": the largest TAR − FMR; the highest t. Source: Youden, Cancer 3 (1950).

    The rule decides who is accepted, so between which two neighbouring scores t lies: the highest
    rejected and the lowest accepted one. No placement changes the counts: "low" is just above the
    one, "high" is the other, "mid" in the middle, which moves best to other data. t is a number of
    the type of the mated scores; where the gap holds none, it is "high". Where nothing is accepted
    every placement is just above the highest score, and where nothing is rejected it is the lowest
    score, so t is finite.

    Where the steps of the scores are not complete only their thresholds can be chosen: the rule
    holds among them, the placement is "high", and `complete` is false in the result. Where they
    end at -inf, t is the lowest finite number of the type instead.

    Args:
        scores: comparisons to choose on; not those that will judge it.
        rule: one of the five.
        target: the highest FMR to allow, for "fmr" alone.
        costs: what errors cost, for "min_dcf" alone.
        placement: "mid" unless told, "high" where the steps are not complete.

    Raises:
        InputError: an unknown rule or placement; a target or costs missing, not asked for, or no
            rate; a placement that steps which are not complete cannot have.

    >>> from recognition.comparisons.scores import ScoreLists
    >>> scores = ScoreLists(np.array([0.6, 0.9]), np.array([0.1, 0.2]))
    >>> [choose_threshold(scores, "eer", placement=p).value for p in ("low", "mid", "high")]
    [0.2, 0.4, 0.6]
    """
    steps = scores.steps
    at = _step(steps, rule, target, costs)
    where = _placement(steps, placement)
    note = None
    if target is not None:
        note = doubt("FMR", target, steps.nonmated, "non-mated comparisons", "false matches")
    return ChosenThreshold(
        value=_place(steps, at, where, scores.mated.dtype.type),
        rule=rule,
        target=target,
        costs=costs,
        placement=where,
        accepted=int(steps.true[at]),
        false_matches=int(steps.false[at]),
        mated=steps.mated,
        nonmated=steps.nonmated,
        complete=steps.complete,
        note=note,
    )


def _step(steps: Steps, rule: Rule, target: float | None, costs: Costs | None) -> int:
    """The place of the step that the rule chooses."""
    if rule not in get_args(Rule):
        raise InputError(f"unknown rule {rule!r}; known: {', '.join(get_args(Rule))}")
    for needed_by, option, came in (("fmr", "target", target), ("min_dcf", "costs", costs)):
        if (rule == needed_by) != (came is not None):
            verb = "needs" if rule == needed_by else "takes no"
            raise InputError(
                f"rule {rule!r} {verb} {option}, which is for rule {needed_by!r}; got {came!r}"
            )
    if target is not None:
        allowed = allowed_errors(target, steps.nonmated)
        return int(np.searchsorted(steps.false, allowed, side="right")) - 1
    if costs is not None:
        return cheapest(steps, *costs.weights)
    if rule == "eer":
        return crossing(steps.false, steps.true, steps.nonmated, steps.mated)
    return most_accurate(steps) if rule == "accuracy" else cheapest(steps, 1.0, 1.0)


def _placement(steps: Steps, asked: Placement | None) -> Placement:
    if asked is None:
        return "mid" if steps.complete else "high"
    if asked not in get_args(Placement):
        raise InputError(f"unknown placement {asked!r}; known: {', '.join(get_args(Placement))}")
    if asked != "high" and not steps.complete:
        raise InputError(
            f"expected all distinct scores to place a threshold {asked!r}, but only "
            f"{len(steps.thresholds)} thresholds are known; use 'high', which is one of them"
        )
    return asked


def _place(
    steps: Steps, at: int, placement: Placement, kind: type[np.float32] | type[np.float64]
) -> float:
    """A number in (highest rejected, lowest accepted] score of step `at`."""
    high = max(float(steps.thresholds[at]), float(np.finfo(kind).min))  # a tally ends at -inf
    if placement == "high" or at in (0, len(steps.thresholds) - 1):
        return high
    low = float(steps.thresholds[at + 1])
    # in the scores' own type: what float64 holds between two float32 would round to one of them
    wish = np.nextafter(kind(low), kind(np.inf)) if placement == "low" else kind(middle(low, high))
    return float(wish) if low < float(wish) <= high else high


@dataclass(frozen=True)
class Transfer:
    """What a threshold does on comparisons it was not chosen on.

    Attributes:
        threshold: accept at score >= threshold.
        fmr: false matches / N.
        fnmr: rejected mated comparisons / P.
        hter: half their sum.
        accepted: mated comparisons accepted, of
        mated: P of them.
        false_matches: non-mated comparisons accepted, of
        nonmated: N of them.
        error: log10(FMR / target); 1 is ten times the false matches asked for. None where it is
            not defined.
        note: why `error` is None or should not be trusted far; None where it can.
    """

    threshold: float
    fmr: float
    fnmr: float
    hter: float
    accepted: int
    mated: int
    false_matches: int
    nonmated: int
    error: float | None
    note: str | None

    def as_dict(self) -> dict[str, Any]:
        """All of it for a JSON file, without NaN or infinity."""
        return asdict(self)


def transfer(chosen: ChosenThreshold, scores: ScoreTable) -> Transfer:
    """FMR, FNMR and HTER at a threshold chosen elsewhere, and log10(FMR / target).

    The error of the transfer is measured against the target, not against what was achieved where
    the threshold was chosen. It is None for rules without a target, for target 0, and where no
    false match is seen, which is a count, not a rate of 0. Thresholds for comparing two pictures
    do not hold for searching a gallery.

    >>> from recognition.comparisons.scores import ScoreLists
    >>> chosen = choose_threshold(ScoreLists(np.ones(1), np.arange(100) / 100), "fmr", target=0.1)
    >>> transfer(chosen, ScoreLists(np.ones(1), np.ones(40))).error
    1.0
    """
    false, nonmated = scores.false_matches(chosen.value), scores.nonmated_count
    hits, mated = accepted(scores.mated, chosen.value), len(scores.mated)
    fmr, fnmr = false / nonmated, (mated - hits) / mated
    error, note = _transfer_error(chosen, false, nonmated)
    return Transfer(
        threshold=chosen.value,
        fmr=fmr,
        fnmr=fnmr,
        hter=(fmr + fnmr) / 2,
        accepted=hits,
        mated=mated,
        false_matches=false,
        nonmated=nonmated,
        error=error,
        note=note,
    )


def _transfer_error(
    chosen: ChosenThreshold, false: int, nonmated: int
) -> tuple[float | None, str | None]:
    if chosen.target is None:
        return None, f"rule {chosen.rule!r} has no target FMR to compare with"
    if chosen.target == 0:
        return None, "no FMR is a multiple of a target of 0"
    if not false:
        return None, (
            f"no false match among {nonmated} non-mated comparisons: the FMR is below "
            f"{3 / nonmated:.1e} at 95 %, by how much cannot be told"  # the rule of three
        )
    error = float(np.log10(false / nonmated) - np.log10(chosen.target))
    return error, doubt("FMR", chosen.target, nonmated, "non-mated comparisons", "false matches")
