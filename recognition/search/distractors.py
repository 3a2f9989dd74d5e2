"""Is somebody found first among so many strangers? A picture against one other and N distractors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.embeddings import People, people_of, require_directions, unit_rows
from recognition.errors import InputError
from recognition.progress import Watch, unwatched
from recognition.search.score_blocks import score_blocks

Counts = npt.NDArray[np.int64]
CHUNK = 2**14  # distractors whose scores are in memory at a time


@dataclass(frozen=True)
class DistractorRanks:
    """How often each person is found first among distractors.

    Attributes:
        people: who is searched for.
        sizes: (K,) how many distractors there are, ascending.
        hits: (C, K) of a person's tries, those in which the mate scores more than all distractors.
        tries: (C,) ordered pairs of pictures of each person, n (n - 1).
    """

    people: People
    sizes: Counts
    hits: Counts
    tries: Counts

    @property
    def rate(self) -> npt.NDArray[np.float64]:
        """(K,) the rank-one rate over all pairs."""
        found: npt.NDArray[np.float64] = self.hits.sum(axis=0) / self.tries.sum()
        return found


def powers_of_ten(most: int) -> list[int]:
    """10, 100, ... below `most`, and `most`.

    >>> powers_of_ten(2500)
    [10, 100, 1000, 2500]
    """
    found = []
    size = 10
    while size < most:
        found.append(size)
        size *= 10
    return [*found, most]


def rank_among_distractors(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    distractors: npt.ArrayLike,
    *,
    sizes: Sequence[int] | None = None,
    seed: int = 0,
    watch: Watch = unwatched,
) -> DistractorRanks:
    """MegaFace's question: each picture j searched for among another one, i, of its person and N others.

    It is found first if cos(x_j, x_i) > cos(x_j, y) for all N distractors y; a tie is a miss. All
    ordered pairs (j, i) of a person count. The distractors are put in one random order, and the
    first N of it are those of size N, so that larger galleries hold the smaller ones.

    Only the best distractor of each picture is kept, so memory is the embeddings in float64 and a
    block of scores, and time grows with pictures x distractors. 3,530 pictures among a million
    distractors of 512 dimensions take a few minutes on one core.

    Args:
        embeddings: (Q, D), not necessarily normalised.
        labels: (Q,) the person on each.
        distractors: (M, D), of other people; a memory map is read in chunks.
        sizes: the N, each at most M; by default 10, 100, ... and M.
        seed: of the order of the distractors.
        watch: told how many distractors are done.

    Raises:
        InputError: embeddings that cannot be used, other dimensions, nobody with two pictures, or
            sizes that there are not.

    >>> rank_among_distractors([[1, 0], [3, 1]], ["ann", "ann"], [[0, 1], [1, 1]]).rate
    array([1.])
    """
    unit = unit_rows(embeddings)
    people = people_of(labels, len(unit))
    others = np.asarray(distractors)
    if others.ndim != 2 or not len(others) or others.shape[1] != unit.shape[1]:
        raise InputError(
            f"expected distractors of {unit.shape[1]} dimensions, got shape {others.shape}; embed "
            "both with the same model"
        )
    asked = np.unique(powers_of_ten(len(others)) if sizes is None else np.asarray(sizes))
    if not len(asked) or not 1 <= asked[0] <= asked[-1] <= len(others):
        raise InputError(
            f"expected numbers of distractors from 1 to {len(others)}, got {asked.tolist()}"
        )
    if people.pictures.max() < 2:
        raise InputError(
            "expected somebody with 2 pictures, one to search for and one to find; add pictures"
        )
    require_directions(others, what="embeddings of distractors")
    order = np.random.default_rng(seed).permutation(len(others))[: asked[-1]]
    best = np.full((len(asked), len(unit)), -np.inf, np.float32)
    ends = np.unique(np.concatenate([asked, np.arange(CHUNK, asked[-1], CHUNK)]))
    with watch("comparing distractors", int(asked[-1])) as advance:
        for start, end in zip(np.append(0, ends[:-1]), ends, strict=True):
            part = unit_rows(others[order[start:end]])
            place = int(np.searchsorted(asked, end))  # the smallest size that holds this part
            for rows, block in score_blocks(unit, part):
                np.maximum(best[place, rows], block.max(axis=1), out=best[place, rows])
            advance(int(end))
    np.maximum.accumulate(best, axis=0, out=best)
    return DistractorRanks(people, asked, _hits(unit, people, best), _ordered(people.pictures))


def _ordered(pictures: Counts) -> Counts:
    return pictures * (pictures - 1)


def _hits(unit: npt.NDArray[np.float64], people: People, best: npt.NDArray[np.float32]) -> Counts:
    """(C, K) how many of a person's ordered pairs beat the best distractor of the first picture."""
    order = np.argsort(people.codes, kind="stable")
    ends = np.cumsum(people.pictures)
    hits = np.zeros((len(people.names), len(best)), np.int64)
    for person, mine in enumerate(np.split(order, ends[:-1])):
        if len(mine) < 2:
            continue
        for rows, block in score_blocks(unit[mine], unit[mine]):
            own = np.arange(rows.start, rows.stop)
            block[np.arange(len(own)), own] = -np.inf  # a picture is not its own mate
            limits = best[:, mine[rows]]
            hits[person] += [int((block > limit[:, None]).sum()) for limit in limits]
    return hits
