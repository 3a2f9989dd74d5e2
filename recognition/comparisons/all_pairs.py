"""Every picture against every other one, far more of them than scores can be kept of."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.comparisons import checkpoint as disk
from recognition.comparisons import pilot
from recognition.comparisons.product import Singles, guard
from recognition.comparisons.sorted_rows import (
    SortedRows,
    mated_scores,
    sort_rows,
    spread_of_scores,
)
from recognition.comparisons.tally import Tally
from recognition.comparisons.walk import Plan, Walk
from recognition.comparisons.work import Saving, Work, new_tail
from recognition.errors import InputError
from recognition.progress import Advance

FORMAT = "all pairs 2"
MOST_MATED = 2**26
MOST_TAIL = 2**26


def tally_all(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    tail_fmr: float = 1e-4,
    curve: int = 50,
    checkpoint: Path | None = None,
    progress: Advance | None = None,
) -> Tally:
    """cos(x_i, x_j) for all pairs i < j of N pictures, of which the highest and counts are kept.

    The scores are those of `compare_all`: products of float64 unit rows, see `as_scores`, also for
    how seldom they differ in the last digit. A
    float32 product of blocks finds which of them have to be computed so, and for a tail alone one
    in bfloat16 where the processor is quicker at that; a score that it leaves in doubt, at the
    floor of the tail or at a threshold, is decided by the exact one. Therefore neither the blocks,
    nor the routine that multiplies them, nor an interruption shows in the result. A sample of the
    scores decides where the tail begins to be gathered and where the thresholds are, never what
    is counted there.

    The tail holds the floor(tail_fmr N) + 1 highest of N non-mated scores, 2^16 of them at least,
    with all that tie with the lowest. Where so many tie that half as many again and 2^16 would
    be held, they are all left out and the floor is above them; likewise where a hundredth of
    the scores is so close together that float32 products do not tell them apart. Rates there are at
    most what is asked.

    Beside the embeddings, a float32 and a bfloat16 copy of them are in memory, 20 MB for each
    thread, and 12 bytes for each of up to 1.5 times the scores in the tail. Work grows with the
    square of N. While it lasts, a product of matrices elsewhere in the process takes one thread.

    The mean and standard deviation of the non-mated scores come from sums over rows: the mean is
    right to 1e-7, the standard deviation to a millionth of itself and 1e-7.

    Args:
        embeddings: (N, D) real numbers of any float type, not necessarily normalised; a memory
            map is read in chunks.
        labels: (N,) the person on each picture, text or whole numbers.
        tail_fmr: up to which false match rate every threshold is exact.
        curve: about how many thresholds above that rate are counted at; 0 for none, which is
            faster.
        checkpoint: a file from which interrupted work goes on, removed when it is done.
        progress: told how many of the N (N - 1) / 2 pairs are compared.

    Raises:
        InputError: what `compare_all` refuses, a rate that is none, more pairs of one person or
            a longer tail than can be kept, or a checkpoint of other work.

    >>> tally = tally_all([[1, 0], [1, 0], [0, 2]], ["ann", "ann", "bob"])
    >>> tally.mated, tally.tail, tally.complete
    (array([1.], dtype=float32), array([0., 0.], dtype=float32), True)
    """
    return _tally(embeddings, labels, tail_fmr, curve, checkpoint, progress, Plan())


def _tally(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    tail_fmr: float,
    curve: int,
    path: Path | None,
    progress: Advance | None,
    plan: Plan,
) -> Tally:
    if not 0 < tail_fmr <= 1 or curve is True or curve < 0:
        raise InputError(
            f"expected a tail_fmr above 0 and at most 1 and a number of thresholds for the curve, "
            f"not {tail_fmr!r} and {curve!r}; 1e-4 and 50 serve most"
        )
    if path is not None:
        disk.prepare(path)
    rows = sort_rows(embeddings, labels)
    want = _tail_length(rows, tail_fmr, plan)
    options = f"{FORMAT} {want} {curve} {plan.least_tail} {plan.sample}"
    save = Saving(rows, options, path, plan.seconds, plan.pause)
    work = save.resumed(want) or _begin(rows, want, curve, plan)
    mated, mated_person = mated_scores(rows)
    Walk(rows, work, plan, save, progress).finish()
    scores, first, second = work.tail.held()
    pairs = np.stack([rows.order[first], rows.order[second]], axis=1)
    persons = np.stack([rows.codes[first], rows.codes[second]], axis=1)
    turned = pairs[:, 0] > pairs[:, 1]
    pairs[turned], persons[turned] = pairs[turned, ::-1], persons[turned, ::-1]
    order = np.argsort(pairs[:, 0] * len(rows) + pairs[:, 1])
    order = order[np.argsort(-scores[order], kind="stable")]
    below = work.thresholds < work.tail.floor
    mean, sd = _moments(rows, work, scores[order], mated)
    save.done()
    return Tally(
        mated=mated,
        mated_person=mated_person,
        tail=scores[order],
        tail_pairs=pairs[order],
        tail_persons=persons[order],
        floor=work.tail.floor,
        nonmated_count=rows.nonmated,
        thresholds=work.thresholds[below],
        counts=work.counts[below],
        nonmated_mean=mean,
        nonmated_sd=sd,
        pictures=rows.pictures,
    )


def _tail_length(rows: SortedRows, tail_fmr: float, plan: Plan) -> int:
    wanted = int(tail_fmr * rows.nonmated * (1 + 1e-12)) + 1  # as allowed_errors rounds
    if rows.mated > MOST_MATED:
        raise InputError(
            f"expected at most {MOST_MATED:,} pairs of one person, but there are {rows.mated:,}, "
            "whose scores are all kept; leave out some pictures of the largest people"
        )
    want = min(rows.nonmated, max(wanted, plan.least_tail))
    if want > MOST_TAIL:
        raise InputError(
            f"expected a tail of at most {MOST_TAIL:,} scores, but tail_fmr {tail_fmr:g} of "
            f"{rows.nonmated:,} comparisons asks for {want:,}; ask for at most "
            f"{MOST_TAIL / rows.nonmated:.1e}, the curve goes on above it"
        )
    return want


def _begin(rows: SortedRows, want: int, curve: int, plan: Plan) -> Work:
    """Look at a sample, and begin with a floor that enough scores will reach."""
    if want == rows.nonmated:
        nowhere = np.empty(0), np.empty(0, np.int64)
        return Work(0, new_tail(want, -np.inf), True, 0, *nowhere, np.zeros(2))
    limit, share = guard(rows.given.shape[1]), want / rows.nonmated
    seen = pilot.sample(rows, plan.sample)
    floor, settled = pilot.tail_floor(seen, share, limit)
    where = pilot.thresholds(seen, share, curve, floor, limit)
    counts = np.zeros(len(where), np.int64)
    spread = np.array(spread_of_scores(rows))
    return Work(0, new_tail(want, floor), settled, 0, where, counts, spread)


def _moments(rows: SortedRows, work: Work, tail: Singles, mated: Singles) -> tuple[float, float]:
    """Mean and standard deviation of the non-mated scores: all pairs less the mated ones."""
    if len(tail) == rows.nonmated:
        return float(tail.mean(dtype=np.float64)), float(tail.std(dtype=np.float64))
    n, (middle, squares) = len(rows), work.spread
    own, alike = 1 - middle, mated - middle  # deviations: of a row with itself, of mated pairs
    shift = (-n * own / 2 - alike.sum()) / rows.nonmated  # all n² deviations add up to 0
    variance = ((squares - n * own**2) / 2 - alike @ alike) / rows.nonmated - shift**2
    return float(middle + shift), float(np.sqrt(max(0.0, variance)))
