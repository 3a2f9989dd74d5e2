"""A threshold from the people enrolled alone: each of them searches as a stranger among the others.

With person c left out, a picture x of c is a stranger's, and its best score is the best of anybody
else's. The threshold is the smallest T with

    FPIR(T) = #{pictures: best score among the other people >= T} / #{pictures} <= target

for a gallery of one person fewer than there are. The people enrolled have to be like the strangers
who will come: people a network was trained on score differently from all others, so that a
threshold set on them does not hold.

Source: ISO/IEC 19795-1:2021, FPIR; leaving out one person at a time.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from recognition.embeddings import Floats, unit_rows
from recognition.errors import InputError
from recognition.gallery.answers import PersonScore, Threshold
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.verification import doubt, threshold_at_fmr
from recognition.search.person_means import Templates, best_templates
from recognition.search.scan import Hit, Part, best_people

SEARCHES = 10_000  # of people left out, at most: pictures are taken evenly among all
BATCH = 256  # probes searched at a time
ANY = -1.0  # cosines are not lower

Searched = Sequence[Part] | Templates


def searched(parts: Sequence[Part], by: PersonScore, names: npt.NDArray[np.generic]) -> Searched:
    """What is searched for the score of a person by the best sample, or by the template."""
    if by == "best":
        return parts
    return Templates.of(parts, lambda person: str(names[person]))


def best_among(where: Searched, probes: Floats, k: int) -> list[list[Hit]]:
    """`best_people` or `best_templates`, some probes at a time."""
    found = []
    for start in range(0, len(probes), BATCH):
        some = probes[start : start + BATCH]
        if isinstance(where, Templates):
            found += best_templates(where, some, k)
        else:
            found += best_people(where, some, k)
    return found


def held_out_threshold(
    parts: Sequence[Part], where: Searched, *, fpir: float, by: PersonScore
) -> Threshold:
    """The lowest threshold at which at most `fpir` of the searches of people left out give a name.

    Of more than 10,000 pictures so many are searched for, taken evenly through the people. Where
    they are too few for the rate, the threshold is above all that were seen, and its note says so.

    Args:
        parts: samples of the people, all alive.
        where: what is searched, of the same samples.
        fpir: the share.
        by: what the score of a person is.

    Raises:
        InputError: fewer than two people, or a share that is no rate.
    """
    owners = np.concatenate([part.people for part in parts])
    people = len(np.unique(owners))
    if people < 2:
        raise InputError(
            f"expected at least 2 people, or classes, to set a threshold by leaving one out, got "
            f"{people} class; give more, or a threshold that is a number"
        )
    order = np.argsort(owners, kind="stable")
    at = np.unique(np.linspace(0, len(order) - 1, min(SEARCHES, len(order))).astype(np.int64))
    rows = order[at]
    probes = unit_rows(np.concatenate([part.rows.vectors for part in parts])[rows])
    found = best_among(where, probes, 2)
    best = np.array(
        [
            max(hit.score for hit in hits if hit.person != own)
            for hits, own in zip(found, owners[rows].tolist(), strict=True)
        ],
        np.float32,
    )
    value = max(ANY, threshold_at_fmr(best, fpir))
    _, codes = np.unique(owners[rows], return_inverse=True)
    low, high = share_interval(best >= value, codes)
    return Threshold(
        value,
        "fpir",
        fpir,
        low,
        high,
        people=people - 1,
        strangers=people,
        data=_digest(parts),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        note=doubt("FPIR", fpir, len(best), "searches of people left out", "false alarms") or "",
        reached=float((best >= value).mean()),
        trials=len(best),
        score=by,
    )


def _digest(parts: Sequence[Part]) -> str:
    made = hashlib.sha256()
    for part in parts:
        made.update(np.ascontiguousarray(part.rows.vectors, "<f4").data)
        made.update(np.ascontiguousarray(part.people, "<i8").data)
    return made.hexdigest()
