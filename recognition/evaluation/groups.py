"""The same threshold for everybody: which groups it rejects or confuses more often."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import Scores
from recognition.errors import InputError
from recognition.evaluation.findings import plain_row
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row
from recognition.evaluation.uncertainty import row
from recognition.evaluation.verification import rates_at
from recognition.metrics.verification import ENOUGH_ERRORS, allowed_errors, tar_at_fmr

Mask = npt.NDArray[np.bool_]

USUAL = 1e-3  # an FMR at which groups are compared, if so many comparisons can measure it


def group_rates(
    scores: Scores,
    labels: npt.NDArray[np.str_],
    groups: npt.NDArray[np.str_],
    column: str,
    within: Callable[[Mask], Scores],
    options: Options,
) -> dict[str, Any]:
    """FMR and FNMR within each group, at one threshold set on everybody.

    The threshold is that of the lowest reported FMR from 0.001 on which rests on 30 false matches;
    where there is none, of the lowest of all that do, or that can be measured. A comparison belongs to a group if both pictures do.
    A rate is marked as resting on too few comparisons where the overall rate would lead one to
    expect fewer than 30 errors in the group: a difference of a third could then be chance.

    Args:
        scores: all comparisons.
        labels: (N,) the person on each picture.
        groups: (N,) the group of each picture; the empty text belongs to none.
        column: what the groups are called.
        within: the comparisons among the pictures of a mask.
        options: the FMRs, of which one sets the threshold.

    Raises:
        InputError: fewer than two groups, or no FMR that can be measured.
    """
    names = [str(name) for name in np.unique(groups) if name]
    if len(names) < 2:
        raise InputError(
            f"expected at least two groups in column {column!r}, but it holds "
            f"{', '.join(map(repr, names)) or 'nothing'}; name another column"
        )
    point = tar_at_fmr(scores, usual_target(scores, options))
    overall = rates_at(scores, point.threshold)
    rows = [
        _group(name, groups == name, labels, within, point.threshold, overall) for name in names
    ]
    ungrouped = int((groups == "").sum())
    notes = [
        (
            f"One threshold for everybody, {point.threshold:.4f}: FMR at most {point.target:g} over "
            "all comparisons. A comparison belongs to a group if both pictures do; those between "
            "groups are in none"
        ),
        (
            f"Too few: fewer than {ENOUGH_ERRORS} errors would be expected in the group at the rate "
            "of all, so that a difference of a third could be chance"
        ),
    ]
    if ungrouped:
        notes.append(f"{ungrouped} pictures have no entry in column {column!r}, and no group")
    return {
        "column": column,
        "threshold": point.threshold,
        "target": point.target,
        "overall": [plain_row(entry) for entry in _keyed(overall)],
        "rows": rows,
        "notes": notes,
    }


def usual_target(scores: Scores, options: Options) -> float:
    """The lowest reported FMR from 0.001 on that rests on 30 false matches; else the lowest that does.

    Raises:
        InputError: none of them can be measured.
    """
    count = scores.nonmated_count
    targets = options.targets(count)
    for least in (ENOUGH_ERRORS, 1):
        measured = [target for target in targets if allowed_errors(target, count) >= least]
        if measured:  # so low that it matters, and not so low that no group has errors left
            return min([target for target in measured if target >= USUAL] or measured)
    raise InputError(
        f"expected an FMR that {count} non-mated comparisons can measure, to set the threshold "
        f"for all; the smallest is {1 / count:.1e}"
    )


def _group(
    name: str,
    mask: Mask,
    labels: npt.NDArray[np.str_],
    within: Callable[[Mask], Scores],
    threshold: float,
    overall: list[Row],
) -> dict[str, Any]:
    known: dict[str, Any] = {
        "group": name,
        "people": len(np.unique(labels[mask])),
        "pictures": int(mask.sum()),
    }
    try:
        scores = within(mask)
    except InputError:
        why = "the group has no comparisons of both kinds"
        rates = [row(key, key.upper(), "share", None, note=why) for key in ("fmr", "fnmr")]
        return known | {"mated": 0, "nonmated": 0} | _described(rates, [True, True])
    rates = _keyed(rates_at(scores, threshold))
    few = [_too_few(rate, whole) for rate, whole in zip(rates, overall, strict=True)]
    sizes = {"mated": len(scores.mated), "nonmated": scores.nonmated_count}
    return known | sizes | _described(rates, few)


def _too_few(rate: Row, overall: Row) -> bool:
    """Whether the overall rate gives fewer than 30 errors among the group's comparisons."""
    own, whole = rate.estimate.counts, overall.estimate.counts
    return bool(whole["errors"] * own["trials"] < ENOUGH_ERRORS * whole["trials"])


def _described(rates: list[Row], few: list[bool]) -> dict[str, Any]:
    entries = [plain_row(rate) | {"too_few": each} for rate, each in zip(rates, few, strict=True)]
    return {"too_few": any(few), "rates": entries}


def _keyed(rates: list[Row]) -> list[Row]:
    """The rows of `rates_at` by the names that every group shares."""
    return [
        replace(rate, key=key, label=key.upper())
        for key, rate in zip(("fmr", "fnmr"), rates, strict=True)
    ]
