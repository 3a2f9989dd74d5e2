"""Two models on the same pictures: differences whose intervals resample the same people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import Scores
from recognition.errors import InputError
from recognition.evaluation.rows import Unit
from recognition.evaluation.uncertainty import NO_WIDTH, middle
from recognition.metrics.resampling import Floats, Resampled, draw
from recognition.metrics.verification import (
    area_under_curve,
    equal_error_rate,
    tar_at_fmr,
)
from recognition.progress import Watch, unwatched

UNTOLD = "not told apart"


@dataclass(frozen=True)
class Difference:
    """One number of both models, and what lies between them.

    Attributes:
        key: as in the model's own table.
        label: for people.
        unit: as in the model's own table.
        value: of the first model; None where it cannot be measured.
        other: of the second.
        difference: value - other.
        low: lower end of the 95 % interval of the difference, by resampling people.
        high: its upper end.
        verdict: "lower" or "higher", of the first against the second, where the interval leaves
            out 0; else "not told apart"; None where there is no difference.
        note: why there is no difference, or why it should not be trusted far.
    """

    key: str
    label: str
    unit: Unit
    value: float | None
    other: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str | None = None
    note: str | None = None


def difference(
    key: str, label: str, unit: Unit, values: tuple[float, float], resamples: tuple[Floats, Floats]
) -> Difference:
    """The difference of two values, each with its resamples (B,) in the same order of people.

    The interval is the middle 95 % of the differences of the resamples. Where these all agree, as
    those of a handful of people can, nothing is told apart.
    """
    one, other = values
    gaps = resamples[0] - resamples[1]
    low, high = middle(one - other, gaps)
    differ = bool(np.ptp(gaps))
    verdict = UNTOLD
    if differ and (high < 0 or low > 0):
        verdict = "lower" if high < 0 else "higher"
    note = None if differ or one == other else NO_WIDTH
    return Difference(key, label, unit, one, other, one - other, low, high, verdict, note)


def compare_scores(
    first: Scores,
    second: Scores,
    targets: Sequence[float],
    *,
    replicates: int,
    seed: int,
    watch: Watch = unwatched,
) -> list[Difference]:
    """EER, AUC and TAR at each FMR of two models that scored the same pairs of the same people.

    Each model has its own threshold at a target FMR, set anew in each resample.

    Raises:
        InputError: tables that do not compare the same people in the same order.
    """
    same = first.people == second.people and all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("mated_person", "nonmated_persons")
    )
    if not same:
        raise InputError(
            "expected two tables of the same comparisons in the same order; score both models on "
            "the same pictures"
        )
    weights = draw(first.people, replicates, seed)
    with watch("resampling people", 2) as advance:
        one = _resamples(first, weights, targets)
        advance(1)
        two = _resamples(second, weights, targets)
        advance(2)
    found = [
        difference(
            "eer",
            "EER",
            "share",
            (equal_error_rate(first).rate, equal_error_rate(second).rate),
            (one["eer"], two["eer"]),
        ),
        difference(
            "auc",
            "AUC",
            "share",
            (area_under_curve(first), area_under_curve(second)),
            (one["auc"], two["auc"]),
        ),
    ]
    for target in targets:
        key, label = f"tar@fmr={target:g}", f"TAR at FMR {target:g}"
        points = tar_at_fmr(first, target), tar_at_fmr(second, target)
        if not points[0].resolved:
            found.append(Difference(key, label, "share", None, None, note=points[0].reason))
            continue
        values = points[0].tar, points[1].tar
        found.append(difference(key, label, "share", values, (one[key], two[key])))
    return found


def _resamples(
    scores: Scores, weights: npt.NDArray[np.float64], targets: Sequence[float]
) -> Mapping[str, Floats]:
    resampled = Resampled(scores, weights)
    found = {
        "eer": resampled.equal_error_rate(),
        "auc": resampled.area_under_curve(),
    }
    return found | {f"tar@fmr={target:g}": resampled.tar_at_fmr(target) for target in targets}
