"""What other thresholds than the one that was set would do, on the same probes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.gallery.answers import Answer, Threshold
from recognition.gallery.interface import Gallery
from recognition.gallery.searches import Search
from recognition.metrics.person_intervals import counted_interval
from recognition.progress import Watch, unwatched

GRID = 121  # thresholds
BINS = 60
NEAREST = 8  # candidates of a search for somebody enrolled, who is mostly among them
Floats = npt.NDArray[np.float64]


def threshold_curve(
    gallery: Gallery,
    probes: npt.ArrayLike,
    labels: Sequence[str],
    threshold: Threshold,
    *,
    failures: Sequence[str] = (),
    watch: Watch = unwatched,
) -> dict[str, Any]:
    """FPIR and FNIR over a grid of thresholds, that which was set among them, and the scores.

    Args:
        gallery: who is enrolled.
        probes: (N, D) embeddings, as `calibrate` had them.
        labels: (N,) the person on each.
        threshold: what `calibrate` found.
        failures: the person on each picture that could not be embedded.
        watch: told how many probes are searched.

    Returns:
        "operating": "threshold", "fpir", "fpir_low", "fpir_high", and "fnir" alike where somebody
        enrolled was searched for, lists of one length; how many were "enrolled", and searches of
        "strangers" and for people enrolled, "mated". "histogram": "bins", and the counts of the
        best score of each search of a stranger, "nonmated", and of the person's own score, "mated".
    """
    rows = np.atleast_2d(np.asarray(probes))
    enrolled = {person.name for person in gallery.people()}
    known = np.array([name in enrolled for name in labels], bool)
    with watch("drawing the curve", len(rows)) as advance:
        search = Search(gallery, None, advance, threshold.score)
        best = [answer.candidates[0].score for answer in search(rows[~known], 1)]
        answers = search(rows[known], NEAREST)
        copies = search.copies(rows[known], answers)
    who = [name for name in labels if name not in enrolled]
    strangers = np.array([*best, *(-np.inf for name in failures if name not in enrolled)])
    mates = [
        (name, _hit(answer, name), _own(answer, name))
        for name, answer, own in zip(
            (name for name in labels if name in enrolled), answers, copies, strict=True
        )
        if name not in own  # a picture that is enrolled itself
    ]
    mates += [(name, -np.inf, -np.inf) for name in failures if name in enrolled]
    hits = np.array([hit for _, hit, _ in mates], np.float64)
    own = np.array([score for _, _, score in mates], np.float64)
    grid = _grid(np.concatenate([strangers, own]), threshold.value)
    found = _rates("fpir", strangers, [*who, *(n for n in failures if n not in enrolled)], grid)
    if mates:
        found |= _rates("fnir", hits, [name for name, _, _ in mates], grid, missed=True)
    counts = {"enrolled": len(enrolled), "strangers": len(strangers), "mated": len(mates)}
    return {
        "operating": {"threshold": grid.tolist(), **found, **counts},
        "histogram": _histogram(strangers, own),
    }


def _hit(answer: Answer, mate: str) -> float:
    """Up to which threshold the person is found: first, and alone; -inf where never."""
    first, *others = answer.candidates
    alone = not others or others[0].score < first.score
    return first.score if first.name == mate and alone else -np.inf


def _own(answer: Answer, mate: str) -> float:
    return next((one.score for one in answer.candidates if one.name == mate), -np.inf)


def _grid(scores: Floats, value: float) -> Floats:
    """Ascending thresholds over all scores; the one that was set takes the place of the nearest."""
    seen = scores[np.isfinite(scores)]
    low, high = min(float(seen.min()), value), max(float(seen.max()), value)
    grid = np.linspace(low, max(high, low + 1e-6), GRID)
    grid[np.argmin(np.abs(grid - value))] = value
    return grid


def _rates(
    key: str, scores: Floats, people: Sequence[str], grid: Floats, *, missed: bool = False
) -> dict[str, list[float]]:
    """The share of scores at or above each threshold, or below it, with its interval by person."""
    _, codes = np.unique(np.asarray(people), return_inverse=True)
    tried = np.bincount(codes)
    found: dict[str, list[float]] = {key: [], f"{key}_low": [], f"{key}_high": []}
    for threshold in grid:
        counted = (scores < threshold) if missed else (scores >= threshold)
        events = np.bincount(codes[counted], minlength=len(tried))
        low, high = counted_interval(events, tried)
        values = (float(events.sum() / tried.sum()), low, high)
        for name, value in zip(found, values, strict=True):
            found[name].append(value)
    return found


def _histogram(strangers: Floats, own: Floats) -> dict[str, list[float]]:
    kinds = [each[np.isfinite(each)] for each in (own, strangers)]
    every = np.concatenate(kinds)
    low, high = float(every.min()), float(every.max())
    bins = np.linspace(low, max(high, low + 1e-6), BINS + 1)
    counts = [np.histogram(each, bins)[0] for each in kinds]
    return {"bins": bins.tolist(), "mated": counts[0].tolist(), "nonmated": counts[1].tolist()}
