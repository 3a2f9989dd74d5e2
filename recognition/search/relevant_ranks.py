"""Every picture against all others, exactly."""

import numpy as np
import numpy.typing as npt

from recognition.embeddings import people_of, require_pairs, unit_rows
from recognition.metrics.retrieval import RelevantRanks
from recognition.progress import Watch, unwatched
from recognition.search.score_blocks import score_blocks

Counts = npt.NDArray[np.int64]


def rank_relevant(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, *, watch: Watch = unwatched
) -> RelevantRanks:
    """The rank of every other picture of the same person, for each of N pictures as a query.

    A query is taken out of what it searches by its place, not by its score, so another copy of it
    stays in. The j-th best relevant picture has rank j + #{wrong pictures: score >= its own}.
    Queries stand in the order of names.

    Time grows with N²; memory is the embeddings in float64, a block of scores, and the result.
    20,000 pictures of 512 dimensions take some 10 seconds on one core.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture.
        watch: told how many pictures are done.

    Raises:
        InputError: embeddings without a direction, labels that do not fit them, fewer than two
            people, or nobody with two pictures.

    >>> rank_relevant([[1, 0], [0, 1], [1, 1], [3, 1]], ["ann", "ann", "bob", "bob"]).ranks
    array([3, 3, 1, 2])
    """
    unit = unit_rows(embeddings)
    people = people_of(labels, len(unit))
    pictures = people.pictures
    require_pairs(people)
    order = np.argsort(people.codes, kind="stable")  # a person's pictures are then one slice
    codes, unit = people.codes[order], unit[order]
    ends = np.cumsum(pictures)
    ranks = []
    with watch("ranking neighbours", len(unit)) as advance:
        for rows, block in score_blocks(unit, unit):
            for place, row in enumerate(block, start=rows.start):
                end = int(ends[codes[place]])
                start = end - int(pictures[codes[place]])
                if end - start > 1:
                    ranks.append(_ranks(row, place, start, end))
            advance(rows.stop)
    queries = pictures[codes] > 1
    return RelevantRanks(
        people.names[codes[queries]],
        pictures[codes[queries]] - 1,
        np.concatenate(ranks),
        int((~queries).sum()),
        len(unit),
    )


def _ranks(row: npt.NDArray[np.float32], place: int, start: int, end: int) -> Counts:
    """(R,) ranks of the relevant pictures start .. end - 1, but for the query at `place`."""
    relevant = np.sort(np.delete(row[start:end], place - start))[::-1]
    row[start:end] = -np.inf
    rivals = np.sort(row[row >= relevant[-1]])  # few, where embeddings are good
    before = len(rivals) - np.searchsorted(rivals, relevant, side="left")
    ranks: Counts = np.arange(1, len(relevant) + 1) + before
    return ranks
