"""What becomes of the error rates as more people are enrolled, measured by enrolling fewer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.errors import InputError
from recognition.progress import Watch, unwatched
from recognition.search.identify import prepare
from recognition.search.score_blocks import score_blocks

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Growth:
    """False alarms and misses in K nested galleries, each grown in R orders, at one threshold.

    A search counts as mated where its person is in the smaller gallery too; those who are
    enrolled only in larger ones are left out of it, so that the strangers stay the same people.

    Attributes:
        threshold: T, the same for all sizes.
        sizes: (K,) people enrolled, ascending.
        nonmated: S, searches for strangers to every gallery.
        alarms: (R, K) of these, the searches with a candidate at or above T.
        mated: (R, K) searches for somebody who is enrolled.
        missed: (R, K) of these, the searches whose mate is not at rank 1, or below T.
        comparisons: of strangers with people of the whole gallery.
        false_matches: of these, at or above T.
    """

    threshold: float
    sizes: Counts
    nonmated: int
    alarms: Counts
    mated: Counts
    missed: Counts
    comparisons: int
    false_matches: int

    @property
    def fpir(self) -> Floats:
        """(R, K) FPIR(n, T) = alarms / S."""
        rates: Floats = self.alarms / self.nonmated
        return rates

    @property
    def fnir(self) -> Floats:
        """(R, K) FNIR(n, 1, T) = missed / mated; NaN where nobody searched for is enrolled."""
        some = self.mated > 0
        rates: Floats = np.where(some, self.missed / np.where(some, self.mated, 1), np.nan)
        return rates

    @property
    def independent(self) -> Floats:
        """(K,) 1 - (1 - FMR)^n, FMR the share of false matches: FPIR were comparisons independent.

        For planning. Comparisons of one probe are not independent: where false matches come
        together on few probes, as is usual, FPIR stays below; where they spread evenly it can be
        above, up to n FMR.
        """
        rate = self.false_matches / self.comparisons
        with np.errstate(divide="ignore"):  # log 0 where everything matches
            odds: Floats = -np.expm1(self.sizes * np.log1p(-rate))
        return odds


class Spread(NamedTuple):
    """The mean over the repeats, and how far they scatter; NaN where nothing was measured."""

    mean: Floats  # (K,)
    deviation: Floats  # (K,) with R - 1 in the denominator; NaN for one repeat


def spread(rates: Floats) -> Spread:
    """Mean and standard deviation over the repeats (R, K) that are not NaN.

    The deviation tells how much depends on who is enrolled. It is no interval of the rate: larger
    subsets overlap, and at the full size it is 0.

    >>> spread(np.array([[0.1, 0.5], [0.3, np.nan]])).mean
    array([0.2, 0.5])
    """
    measured = ~np.isnan(rates)
    count = measured.sum(axis=0)
    least = np.where(measured, rates, np.inf).min(axis=0)
    above = np.where(measured, rates - least, 0)  # so that equal rates have exactly their mean
    nan = np.full(rates.shape[1], np.nan)
    rise = np.divide(above.sum(axis=0), count, out=nan.copy(), where=count > 0)
    squares = np.where(measured, (above - rise) ** 2, 0).sum(axis=0)
    variance = np.divide(squares, count - 1, out=nan, where=count > 1)
    return Spread(least + rise, np.sqrt(variance))


def halvings(people: int) -> list[int]:
    """N, N/2, N/4, ... rounded down, as long as 2 people are left, in ascending order.

    >>> halvings(21)
    [2, 5, 10, 21]
    """
    sizes = []
    while people >= 2:
        sizes.append(people)
        people //= 2
    return sizes[::-1]


def grow_gallery(
    gallery_embeddings: npt.ArrayLike,
    gallery_labels: npt.ArrayLike,
    probe_embeddings: npt.ArrayLike,
    probe_labels: npt.ArrayLike,
    *,
    thresholds: Sequence[float],
    sizes: Sequence[int] | None = None,
    repeats: int = 20,
    seed: int = 0,
    watch: Watch = unwatched,
) -> list[Growth]:
    """FPIR and FNIR at fixed thresholds, in random subsets of the gallery that grow to all of it.

    In each repeat the people are put in a random order, and the first n of them are enrolled.
    Every pair is scored once, whatever the number of thresholds, sizes and repeats. Memory is a
    block of scores and what of it reaches the lowest threshold.

    Args:
        gallery_embeddings: (G, D), not necessarily normalised.
        gallery_labels: (G,) the person on each.
        probe_embeddings: (Q, D), from the same model.
        probe_labels: (Q,) the person on each; strangers among them.
        thresholds: scores, usually those for a target FPIR in the whole gallery.
        sizes: people to enrol, from 2 to all N; those of `halvings` if None.
        repeats: random orders, R.
        seed: equal seeds enrol equal people.
        watch: told how many probes are done.

    Returns:
        The growth at each threshold.

    Raises:
        InputError: what `search_people` refuses, fewer than 2 people enrolled, no strangers among
            the probes, sizes that are not distinct or out of range, no threshold or one that is
            NaN, no repeats.
    """
    task = prepare(gallery_embeddings, gallery_labels, probe_embeddings, probe_labels)
    people = len(task.people)
    grown = np.array(halvings(people) if sizes is None else sorted(sizes), np.int64)
    _check(grown, people, thresholds, repeats, bool((task.own < 0).any()))
    joins = _orders(people, grown, repeats, seed)
    tallies = [_Tally(threshold, joins, len(grown)) for threshold in thresholds]
    with watch("growing the gallery", len(task.probes)) as advance:
        for rows, block in score_blocks(task.probes, task.templates):
            own = task.own[rows]
            for tally in tallies:
                tally.count_strangers(block[own < 0])
            _count_mates(block[own >= 0], own[own >= 0], tallies)
            advance(rows.stop)
    return [tally.growth(grown, people) for tally in tallies]


def _check(
    sizes: Counts, people: int, thresholds: Sequence[float], repeats: int, strangers: bool
) -> None:
    distinct = len(np.unique(sizes)) == len(sizes) > 0
    if not distinct or sizes[0] < 2 or sizes[-1] > people:
        raise InputError(
            f"expected distinct sizes from 2 to the {people} people enrolled, got "
            f"{sizes.tolist()}; enrol more people, or name smaller sizes"
        )
    if not len(thresholds) or np.isnan(thresholds).any() or repeats < 1:
        raise InputError(
            f"expected at least 1 threshold, none of them NaN, and at least 1 repeat, got "
            f"{list(thresholds)} and {repeats}; take the threshold of fnir_at_fpir"
        )
    if not strangers:
        raise InputError(
            "expected searches for strangers, but all probes show people who are enrolled; leave "
            "some people out of the gallery"
        )


def _orders(people: int, sizes: Counts, repeats: int, seed: int) -> Counts:
    """(R, N) the first of K sizes at which each person is enrolled; K for never."""
    random = np.random.default_rng(seed)
    joins = np.empty((repeats, people), np.int64)
    for order in joins:
        order[random.permutation(people)] = np.searchsorted(sizes, np.arange(people), side="right")
    return joins


class _Tally:
    """The counts of a growth, block by block."""

    def __init__(self, threshold: float, joins: Counts, sizes: int) -> None:
        self.threshold = threshold
        self.joins = joins  # (R, N)
        shape = (len(joins), sizes)
        self.alarms, self.mated, self.hits = (np.zeros(shape, np.int64) for _ in range(3))
        self.nonmated = self.false_matches = 0

    def count_strangers(self, block: npt.NDArray[np.float32]) -> None:
        sizes = self.alarms.shape[1]
        # compared in float64, so that the threshold is not rounded to a score
        row, person = np.nonzero(block >= np.float64(self.threshold))
        self.nonmated += len(block)
        self.false_matches += len(row)
        if len(row):
            first = _starts(row)
            for alarms, join in zip(self.alarms, self.joins, strict=True):
                alarms += _since(np.minimum.reduceat(join[person], first), sizes)

    def count_mates(self, repeat: int, mates: Floats, mate_joins: Counts, rival: Counts) -> None:
        """Rows in which a mate joins before any rival does, and passes."""
        sizes = self.alarms.shape[1]
        self.mated[repeat] += _since(mate_joins, sizes)
        hit = (mates >= self.threshold) & (mate_joins < rival)
        self.hits[repeat] += _since(mate_joins[hit], sizes) - _since(rival[hit], sizes)

    def growth(self, sizes: Counts, people: int) -> Growth:
        return Growth(
            self.threshold,
            sizes,
            self.nonmated,
            self.alarms,
            self.mated,
            self.mated - self.hits,
            self.nonmated * people,
            self.false_matches,
        )


def _count_mates(block: npt.NDArray[np.float32], own: Counts, tallies: Sequence[_Tally]) -> None:
    """In each order of enrolling: when the mate joins, and when the first who scores no less."""
    if not len(block):
        return
    mates = block[np.arange(len(block)), own]
    rivals = block >= mates[:, None]
    rivals[np.arange(len(block)), own] = False
    row, person = np.nonzero(rivals)
    joins, never = tallies[0].joins, tallies[0].alarms.shape[1]
    scores = mates.astype(np.float64)
    for repeat, join in enumerate(joins):
        rival = np.full(len(block), never)
        if len(row):
            first = _starts(row)
            rival[row[first]] = np.minimum.reduceat(join[person], first)
        for tally in tallies:
            tally.count_mates(repeat, scores, join[own], rival)


def _starts(row: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.flatnonzero(np.append(True, row[1:] != row[:-1]))


def _since(joins: Counts, sizes: int) -> Counts:
    """(K,) how many have joined by each size."""
    joined: Counts = np.cumsum(np.bincount(joins, minlength=sizes + 1)[:sizes])
    return joined


def pool_growth(parts: Sequence[Growth]) -> Growth:
    """The searches of several galleries counted together, as `pool` does it for a table.

    Raises:
        InputError: nothing to pool, or parts of other sizes, repeats or thresholds.
    """
    kinds = {(part.threshold, *part.sizes.tolist(), part.alarms.shape) for part in parts}
    if len(kinds) != 1:
        raise InputError(
            f"expected growths of equal sizes and repeats at one threshold, got {len(kinds)} "
            "kinds; name the same sizes, thresholds and repeats for every gallery"
        )
    return Growth(
        parts[0].threshold,
        parts[0].sizes,
        sum(part.nonmated for part in parts),
        np.sum([part.alarms for part in parts], axis=0),
        np.sum([part.mated for part in parts], axis=0),
        np.sum([part.missed for part in parts], axis=0),
        sum(part.comparisons for part in parts),
        sum(part.false_matches for part in parts),
    )
