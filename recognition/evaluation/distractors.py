"""Found first among ten, a hundred, ... a million strangers: rank one against distractors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.embeddings import people_of
from recognition.evaluation.estimates import Estimate
from recognition.evaluation.rows import Row, Section
from recognition.metrics.intervals import CLUSTERED_WILSON
from recognition.metrics.person_intervals import counted_interval
from recognition.progress import Watch, unwatched
from recognition.search.distractors import rank_among_distractors

TITLE = "Found first among so many strangers?"


@dataclass(frozen=True)
class Distractors:
    """Pictures (M, D) of other people to be found among, who is on each (M,), and what failed."""

    embeddings: npt.NDArray[Any]
    labels: npt.NDArray[np.str_]
    failed: int = 0


def distractor_section(
    embeddings: npt.NDArray[Any],
    labels: npt.NDArray[np.str_],
    distractors: Distractors,
    *,
    failures: npt.ArrayLike = (),
    seed: int = 0,
    watch: Watch = unwatched,
) -> Section:
    """The rank-one rate against N distractors, by MegaFace's protocol, see `rank_among_distractors`.

    Rows are `distractors:rank1@n=10` ... for 10, 100, ... and all of them; the curve is `rank1`.
    A picture that could not be embedded is a miss in every pair it would have been in. There are no
    rates over a grid of thresholds: everyone who is searched for is there to be found, and the
    protocol asks who comes first, at whatever score.

    Args:
        embeddings: (N, D) of the people who are searched for.
        labels: (N,) who they are.
        distractors: people who are not among them.
        failures: the person on each picture that could not be embedded.
        seed: of the order of the distractors.
        watch: told how far it is.

    Raises:
        InputError: see `rank_among_distractors`.
    """
    ranks = rank_among_distractors(
        embeddings, labels, distractors.embeddings, seed=seed, watch=watch
    )
    failed = np.asarray(failures, np.str_)
    everyone = people_of(np.concatenate([labels, failed]))
    places = np.searchsorted(everyone.names, ranks.people.names)
    tries = everyone.pictures * (everyone.pictures - 1)
    hits = np.zeros((len(tries), len(ranks.sizes)), np.int64)
    hits[places] = ranks.hits
    rows = tuple(
        _row(int(size), found, tries) for size, found in zip(ranks.sizes, hits.T, strict=True)
    )
    curve = {
        "n": ranks.sizes,
        **{name: np.array([getattr(row.estimate, name) for row in rows])
           for name in ("value", "low", "high")},
    }  # fmt: skip
    people = len(np.unique(distractors.labels))
    notes = _notes(len(distractors.labels), people, distractors.failed, len(failed))
    return Section("distractors", TITLE, rows, tuple(notes), {"rank1": curve})


def _row(size: int, hits: npt.NDArray[np.int64], tries: npt.NDArray[np.int64]) -> Row:
    interval = counted_interval(hits, tries)
    found, total = int(hits.sum()), int(tries.sum())
    counts = {"hits": found, "queries": total, "distractors": size}
    label = f"Found first among {size:,}"
    estimate = Estimate(found / total, *interval, counts=counts)
    return Row(f"distractors:rank1@n={size}", label, "share", estimate, CLUSTERED_WILSON)


def _notes(pictures: int, people: int, failed: int, lost: int) -> Iterator[str]:
    yield (
        f"Each picture is searched for among another one of its person and pictures of strangers, "
        f"{pictures:,} of {people:,} people in one random order; all ordered pairs count, and a tie "
        "is a miss (MegaFace's protocol)"
    )
    yield (
        "Published MegaFace numbers often rest on features that were 'cleaned': noisy ones replaced "
        "by their person's mean, or pushed away by another dimension. Those are not comparable"
    )
    if failed:
        yield f"{failed} distractors could not be embedded and are left out"
    if lost:
        yield f"{lost} pictures that could not be embedded are misses in every pair"
