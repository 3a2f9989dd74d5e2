"""Means over comparisons, in resamples of the people or, where nobody knows them, of comparisons.

A share of comparisons beyond a threshold, a cost per comparison, a moment of the scores: all are
means, and a resample of the people weighs them by w_i (mated) and w_i w_j (non-mated).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recognition.comparisons.scores import ScoreLists, Scores
from recognition.comparisons.steps import Floats
from recognition.errors import InputError
from recognition.metrics.resampling import draw

Values = npt.NDArray[Any]
FILLED = 20  # as in `resampling`: of so many entries one has to be filled for a dense matrix
DENSE = 2**25  # entries of a dense matrix: a quarter of a gigabyte


class MeanResamples(NamedTuple):
    """(B, K) means of K values over the mated, and over the non-mated comparisons."""

    mated: Floats
    nonmated: Floats


def resample_means(
    scores: ScoreLists,
    mated: npt.ArrayLike,
    nonmated: npt.ArrayLike,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> MeanResamples:
    """Means of `mated` (P, K) and `nonmated` (N, K) values in each resample.

    Sums per person and per pair of people are made once; a resample is then a product with its
    weights. Resamples without pairs of each kind are dropped.

    Args:
        scores: the comparisons that the values belong to, in the same order.
        mated: K values for each mated comparison.
        nonmated: K values for each non-mated comparison.
        replicates: how many resamples.
        seed: equal seeds draw equal people, here and in `bootstrap`.

    Raises:
        InputError: values that do not fit the comparisons, or no resample with both kinds.
    """
    u, v = np.asarray(mated), np.asarray(nonmated)
    if u.ndim != 2 or v.ndim != 2 or len(u) != len(scores.mated) or len(v) != len(scores.nonmated):
        raise InputError(
            f"expected values of shape ({len(scores.mated)}, K) and ({len(scores.nonmated)}, K), "
            f"got {u.shape} and {v.shape}; pass one row for each comparison"
        )
    if isinstance(scores, Scores):
        return _of_people(scores, u, v, draw(scores.people, replicates, seed))
    random = np.random.default_rng(seed)
    return MeanResamples(*(_of_comparisons(values, replicates, random) for values in (u, v)))


class Totals(NamedTuple):
    """(B,) the weight of all mated and non-mated comparisons, and whether there are both kinds."""

    mated: Floats
    nonmated: Floats
    measured: npt.NDArray[np.bool_]


def resampled_totals(scores: Scores, weights: Floats) -> Totals:
    """How much both kinds of comparisons weigh in each resample, of which one must have both.

    Raises:
        InputError: none has.
    """
    mated: Floats = np.bincount(scores.mated_person, minlength=scores.people) @ weights
    met = _met(scores, np.ones(len(scores.nonmated)))
    nonmated: Floats = ((met @ weights) * weights).sum(axis=0)
    measured = (mated > 0) & (nonmated > 0)
    if not measured.any():
        raise InputError(
            f"none of {weights.shape[1]} resamples had both mated and non-mated comparisons; add "
            "people, or resamples"
        )
    return Totals(mated, nonmated, measured)


def _of_people(scores: Scores, u: Values, v: Values, weights: Floats) -> MeanResamples:
    people = scores.people

    def own(values: Values) -> Floats:
        summed: Floats = np.bincount(scores.mated_person, values, people) @ weights
        return summed

    def between(values: Values) -> Floats:
        summed: Floats = ((_met(scores, values) @ weights) * weights).sum(axis=0)
        return summed

    *totals, measured = resampled_totals(scores, weights)
    sums = [own(column) for column in u.T], [between(column) for column in v.T]
    return MeanResamples(
        *(
            (np.array(part)[:, measured] / total[measured]).T
            for part, total in zip(sums, totals, strict=True)
        )
    )


def _met(scores: Scores, values: Values) -> Floats | sparse.csr_array:
    """(people, people) the sum of the values of all comparisons of two people."""
    people = scores.people
    one, two = scores.nonmated_persons.T
    if len(values) * FILLED > people**2 <= DENSE:  # then multiplied faster, if mostly with zeros
        codes = one.astype(np.int64) * people + two
        return np.bincount(codes, values, people**2).reshape(people, people)
    return sparse.coo_array((values.astype(np.float64), (one, two)), (people, people)).tocsr()


def _of_comparisons(values: Values, replicates: int, random: np.random.Generator) -> Floats:
    count = len(values)
    drawn = (random.integers(count, size=count) for _ in range(replicates))
    sums = [np.bincount(places, minlength=count) @ values for places in drawn]
    return np.reshape(sums, (replicates, -1)) / count
