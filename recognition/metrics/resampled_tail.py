"""TAR at a target FMR in many resamples of the people, from the tail of a large table.

Of every picture against every other, only the highest non-mated pairs are at hand. That is enough:
with person i drawn w_i times, a tail pair (i, j) counts w_i w_j times, a mated pair w_i times, and
all non-mated pairs together ((Σ w_i n_i)² - Σ (w_i n_i)²) / 2, for n_i pictures of person i. Each
resample walks down the tail until it has met more false matches than it allows.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Floats
from recognition.errors import InputError
from recognition.metrics.clustered import Clusters, PersonTally
from recognition.metrics.verification import ROUNDING, allowed_errors

Draws = npt.NDArray[np.int32]

CELLS = 2**24  # people x resamples drawn at once: 64 MiB, and while they are drawn twice as much
STEP = 1024  # tail pairs walked through at once, at least
TOO_MANY = 0.01  # of the resamples may end below the tail, and be left out


class TailResamples(NamedTuple):
    """TAR in resamples of the people.

    Attributes:
        tar: (B,) one for each resample that could be read, in the order drawn.
        beyond: how many more would need a longer tail: their TAR is at least that at its end.
    """

    tar: Floats
    beyond: int


def tail_resamples(
    tally: PersonTally, target: float, *, replicates: int = 1000, seed: int = 0
) -> TailResamples:
    """TAR at a target FMR in each resample, at the resample's own threshold.

    The same numbers as `Resampled.tar_at_fmr` for the same seed, where every comparison was made
    and the tail holds what is needed. Resamples without a mated or a non-mated comparison are
    dropped. Time grows with replicates x (false matches allowed + people), memory does not grow
    with replicates: 1,000 of 10⁷ mated and 10⁶ tail pairs take 13 seconds for
    10⁴ people and 40 for 10⁵, in half a gigabyte.

    Args:
        tally: the mated scores, the tail of the non-mated ones, and the people of both.
        target: the FMR met anew in each resample.
        replicates: how many resamples.
        seed: equal seeds give equal resamples, also of another tally of the same people.

    Raises:
        InputError: fewer than 1 resample; a target below one false match; no resample with both
            kinds of comparisons, or more than 1 % of them with a threshold below the tail;
            people that do not fit the scores.
    """
    if replicates < 1:
        raise InputError(
            f"expected at least 1 resample, got {replicates}; the usual number is 1000"
        )
    if not allowed_errors(target, tally.nonmated_count):
        raise InputError(
            f"FMR {target:g} allows no false match among {tally.nonmated_count} non-mated "
            "comparisons; ask for a higher rate, or add people"
        )
    walk = _Walk(tally)
    found = [walk.tar(weights, target) for weights in _draws(len(tally.pictures), replicates, seed)]
    tar = np.concatenate(found)
    beyond = int(np.isnan(tar).sum())
    if not len(tar):
        raise InputError(
            f"none of {replicates} resamples had both mated and non-mated comparisons; add "
            "people, or resamples"
        )
    if beyond > TOO_MANY * len(tar):
        raise InputError(
            f"FMR {target:g} lies below the tail of {len(tally.tail)} non-mated scores in {beyond} "
            f"of {len(tar)} resamples; keep a longer tail, twice what the rate itself needs"
        )
    return TailResamples(tar[~np.isnan(tar)], beyond)


def _draws(people: int, replicates: int, seed: int) -> Iterator[Draws]:
    """The weights (b, C) of `resampling.draw`, a bounded number of resamples at a time."""
    random = np.random.default_rng(seed)
    even = np.full(people, 1 / people)
    step = max(1, CELLS // people)
    for start in range(0, replicates, step):
        yield random.multinomial(people, even, min(step, replicates - start)).astype(np.int32)


class _Walk:
    """A tally, in the order in which resamples walk through it."""

    def __init__(self, tally: PersonTally) -> None:
        clusters = Clusters.of_tail(tally)  # refuses people that do not fit
        self.pictures = np.asarray(tally.pictures, np.int64)
        self.whole = len(tally.tail) == clusters.meetings.total
        self.tail = tally.tail
        self.one, self.two = (np.ascontiguousarray(people) for people in tally.tail_persons.T)
        order = np.argsort(tally.mated)
        self.ascending = tally.mated[order]
        self.mated_person = tally.mated_person[order]

    def tar(self, weights: Draws, target: float) -> Floats:
        """(b,) TAR of the resamples with both kinds of comparisons, NaN below the tail."""
        mated = weights @ np.bincount(self.mated_person, minlength=weights.shape[1])
        shown = weights * self.pictures  # int64
        nonmated = (shown.sum(axis=1) ** 2 - (shown**2).sum(axis=1)) // 2
        measured = np.flatnonzero((mated > 0) & (nonmated > 0))
        weights, mated, nonmated = weights[measured], mated[measured], nonmated[measured]
        ends = [
            self._first_beyond(w, limit)
            for w, limit in zip(weights, target * nonmated * ROUNDING, strict=True)
        ]
        known = np.array([end < len(self.tail) or self.whole for end in ends], bool)
        limits = np.append(self.tail, -np.inf)[ends]
        # whoever ties with the first false match too many is rejected with it
        rejected = self._weights_of_lowest(
            np.searchsorted(self.ascending, limits, side="right"), weights
        )
        return np.where(known, (mated - rejected) / mated, np.nan)

    def _first_beyond(self, w: Draws, allowed: float) -> int:
        """The place in the tail of the first false match too many; its length if there is none."""
        accepted, start = 0, 0
        step = max(STEP, int(1.25 * allowed / max(1, int(w.max()))))
        while start < len(self.tail):
            part = slice(start, start + step)
            met = np.cumsum(w[self.one[part]] * w[self.two[part]], dtype=np.int64)
            if accepted + met[-1] > allowed:
                return start + int(np.searchsorted(met, allowed - accepted, side="right"))
            accepted, start = accepted + int(met[-1]), start + len(met)
        return len(self.tail)

    def _weights_of_lowest(self, counts: npt.NDArray[np.int64], weights: Draws) -> Floats:
        """(b,) the weight of each resample's `counts` lowest mated scores."""
        least, most = counts.min(initial=len(self.ascending)), counts.max(initial=0)
        below = weights @ np.bincount(self.mated_person[:least], minlength=weights.shape[1])
        between = self.mated_person[least:most]
        rest = [
            w[between[: count - least]].sum(dtype=np.int64)
            for w, count in zip(weights, counts, strict=True)
        ]
        return (below + np.array(rest, np.int64)).astype(np.float64)
