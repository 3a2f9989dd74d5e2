"""Is a picture's nearest neighbour the same person? Retrieval among people never seen before."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.embeddings import people_of
from recognition.errors import InputError
from recognition.evaluation.estimates import Estimate
from recognition.evaluation.rows import Row, Section
from recognition.metrics.intervals import CLUSTERED_WILSON, PERSON_BOOTSTRAP, mean_interval
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.retrieval import (
    RelevantRanks,
    mean_average_precision_at_r,
    r_precision,
    recall_at,
)
from recognition.progress import Watch, unwatched
from recognition.search.relevant_ranks import rank_relevant

CURVE_ENDS = 100  # the largest k of the curve
NOTE = (
    "Every picture is searched for among all others. Recall@k is the share of the queries with "
    "the same person among the first k; R-precision and MAP@R divide by the number R of other "
    "pictures of that person. Ties count against the person."
)


def retrieve(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    ks: Sequence[int] = (1, 5, 10),
    seed: int = 0,
    replicates: int = 1000,
    progress: Watch | None = None,
) -> Section:
    """Recall@k, R-precision and MAP@R of every picture against all others, with intervals.

    Rows are `queries`, `lone-pictures`, `recall@1` ..., `r-precision` and `map@r`; recall@1 is
    precision@1 too. The curve is `recall`, over k. It is exact for any number of pictures, and
    takes time that grows with its square, see `rank_relevant`.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture.
        ks: how many neighbours recall@k looks at; those beyond N - 1 are left out.
        seed: of the resampling.
        replicates: resamples of the people behind each interval.
        progress: told how many pictures are done.

    Raises:
        InputError: embeddings that cannot be compared, fewer than two people, nobody with two
            pictures, a k below 1.
    """
    if any(k < 1 for k in ks):
        raise InputError(f"expected every k from 1 on, not {list(ks)}")
    ranks = rank_relevant(embeddings, labels, watch=progress or unwatched)
    notes = [NOTE]
    if ranks.lone:
        notes.append(
            f"Pictures that are the only one of their person, {ranks.lone} here, are no queries, "
            "but are searched among."
        )
    return Section(
        "retrieval",
        "Is the nearest other picture the same person?",
        tuple(_rows(ranks, sorted(set(ks)), {"seed": seed, "replicates": replicates})),
        tuple(notes),
        _curves(ranks),
    )


def _rows(ranks: RelevantRanks, ks: Sequence[int], options: dict[str, int]) -> Iterator[Row]:
    yield Row("queries", "Pictures searched for", "count", Estimate(len(ranks.queries)))
    yield Row("lone-pictures", "Pictures without another", "count", Estimate(ranks.lone))
    counts = {"queries": len(ranks.queries), "lone": ranks.lone, "pictures": ranks.pictures}

    people = people_of(ranks.queries).codes
    for k in ks:
        if k < ranks.pictures:
            label = "Recall@1 = precision@1" if k == 1 else f"Recall@{k}"
            hits = ranks.hits(k)
            more = {"k": k, "hits": int(hits.sum())}
            interval = share_interval(hits, people)
            estimate = Estimate(recall_at(ranks, k), *interval, counts=counts | more)
            yield Row(f"recall@{k}", label, "share", estimate, CLUSTERED_WILSON)
    for key, label, value, each in (
        ("r-precision", "R-precision", r_precision(ranks), ranks.r_precisions),
        ("map@r", "MAP@R", mean_average_precision_at_r(ranks), ranks.average_precisions),
    ):
        interval = mean_interval(each, ranks.queries, **options)
        estimate = Estimate(value, *interval, counts=counts)
        yield Row(key, label, "share", estimate, PERSON_BOOTSTRAP)


def _curves(ranks: RelevantRanks) -> dict[str, dict[str, Any]]:
    ks = np.arange(1, min(CURVE_ENDS, ranks.pictures - 1) + 1)
    within = np.searchsorted(np.sort(ranks.first), ks, side="right")
    return {"recall": {"k": ks, "recall": within / len(ranks.queries)}}
