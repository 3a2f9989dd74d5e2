"""Whose is the nearest other picture, by how much, and which labels should be looked at?"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.errors import InputError
from recognition.evaluation.estimates import Estimate
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Listing, Row, Section
from recognition.evaluation.separability_estimates import between
from recognition.metrics.intervals import CLUSTERED_WILSON, PERSON_BOOTSTRAP, mean_interval
from recognition.metrics.neighbourhood import (
    Neighbourhood,
    copies,
    hubness,
    mislabelled,
    two_names,
)
from recognition.metrics.person_intervals import share_interval
from recognition.progress import Watch, unwatched
from recognition.search.neighbourhood import find_neighbours

TITLE = "Neighbours: whose is the nearest other picture, and by how much?"
NEIGHBOURS = 10
ALIKE = 0.99  # pictures under two names with this score or more are listed as copies
KEPT = 1000  # entries of a list that are kept
BINS = 60
QUANTILES = (0.05, 0.5)
READING = (
    (
        "Margin: the best score of a picture to another one of its person less the best score to "
        "anybody else; higher is better, and at 0 or below the nearest picture is somebody else's"
    ),
    (
        f"Hubness: skewness of how often a picture is among the {NEIGHBOURS} nearest of others; 0 is "
        "even, and the higher the more a few pictures are found in place of the right ones. Pictures "
        "never found are among nobody's nearest; fewer is better"
    ),
    (
        "To look at: pictures that lie among one other person's pictures and not near their own "
        f"(mislabelled?), pairs under two names with a score of {ALIKE} or more (the same picture?), "
        "and pairs of names whose pictures have each other as the nearest (one person?). They are "
        "suspicions, no verdicts"
    ),
)


def neighbour(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    ids: npt.ArrayLike | None = None,
    options: Options | None = None,
    watch: Watch = unwatched,
) -> Section:
    """The nearest others of every picture, hubs, and labels to look at.

    Rows are `nearest-own`, `margin`, `margin@q=...`, `hubness`, `never-found`, and the numbers of
    entries of the lists `mislabelled`, `copies` and `two-names`. `nearest-own` is `recall@1`.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture.
        ids: (N,) names of the pictures for the lists; their rows if None.
        options: resamples and seed.
        watch: told how many pictures are done.

    Raises:
        InputError: what `find_neighbours` refuses.
    """
    options = options or Options()
    found = find_neighbours(embeddings, labels, k=NEIGHBOURS, watch=watch)
    n = len(found.own)
    names = np.arange(n).astype(str) if ids is None else np.asarray(ids).astype(str)
    if names.shape != (n,):
        raise InputError(f"expected an id for each of {n} pictures, got shape {names.shape}")
    lists = tuple(_lists(found, names))
    counted = (Row(each.key, each.title, "count", Estimate(each.total)) for each in lists)
    notes = list(READING)
    single = int((~found.queries).sum())
    if single:
        notes.append(
            f"Pictures that are the only one of their person, {single} here, have no margin, but "
            "are found and can be copies"
        )
    return Section(
        "neighbours",
        TITLE,
        (*_rows(found, options), *counted),
        tuple(notes),
        {"margins": _margins(found)},
        lists,
    )


def _rows(found: Neighbourhood, options: Options) -> Iterator[Row]:
    codes = found.people.codes
    persons = codes[found.queries]
    hits, margins = found.hits, found.margins
    counts = {"hits": int(hits.sum()), "queries": len(hits)}
    estimate = Estimate(float(hits.mean()), *share_interval(hits, persons), counts=counts)
    yield Row("nearest-own", "Nearest is the same person", "share", estimate, CLUSTERED_WILSON)
    drawn = {"replicates": options.replicates, "seed": options.seed}
    interval = mean_interval(margins, found.people.names[persons], **drawn)
    queries = {"queries": len(margins)}
    estimate = between(float(margins.mean()), interval, queries)
    yield Row("margin", "Margin, mean", "number", estimate, PERSON_BOOTSTRAP)
    for share in QUANTILES:
        label = "Margin, median" if share == 0.5 else f"Margin that {100 - 100 * share:.0f} % reach"
        at = float(np.quantile(margins, share, method="lower"))
        yield Row(f"margin@q={share:g}", label, "number", Estimate(at, counts=queries))
    yield _hubness(found)
    missed = found.never_found
    counts = {"missed": int(missed.sum()), "pictures": len(missed), "k": found.k}
    estimate = Estimate(float(missed.mean()), *share_interval(missed, codes), counts=counts)
    yield Row("never-found", "Pictures never found", "share", estimate, CLUSTERED_WILSON)


def _hubness(found: Neighbourhood) -> Row:
    counts = {"k": found.k, "pictures": len(found.own), "most": int(found.occurrences.max())}
    try:
        estimate = Estimate(hubness(found.occurrences), counts=counts)
    except InputError as error:
        estimate = Estimate(None, note=str(error), counts=counts)
    return Row("hubness", f"Hubness, k = {found.k}", "number", estimate)


def _lists(found: Neighbourhood, ids: npt.NDArray[np.str_]) -> Iterator[Listing]:
    names, codes = found.people.names, found.people.codes
    pairs = two_names(found)
    doubts = mislabelled(found, pairs)
    yield Listing(
        "mislabelled",
        "Mislabelled?",
        ("picture", "labelled", "rather", "votes", "own", "score"),
        tuple(
            (
                str(ids[one.picture]),
                str(names[one.person]),
                str(names[one.other]),
                f"{one.votes} of {one.of}",
                one.own,
                one.score,
            )
            for one in doubts[:KEPT]
        ),
        len(doubts),
    )
    alike = copies(found, ALIKE)
    yield Listing(
        "copies",
        "One picture, two names?",
        ("picture", "labelled", "picture too", "labelled so", "score"),
        tuple(
            (
                str(ids[one.one]),
                str(names[codes[one.one]]),
                str(ids[one.other]),
                str(names[codes[one.other]]),
                one.score,
            )
            for one in alike[:KEPT]
        ),
        len(alike),
    )
    yield Listing(
        "two-names",
        "One person, two names?",
        ("name", "name too", "of the first", "of the second", "score"),
        tuple(
            (
                str(names[one.one]),
                str(names[one.other]),
                f"{one.one_hits} of {found.people.pictures[one.one]}",
                f"{one.other_hits} of {found.people.pictures[one.other]}",
                one.score,
            )
            for one in pairs[:KEPT]
        ),
        len(pairs),
    )


def _margins(found: Neighbourhood) -> dict[str, Any]:
    """A histogram of the margins with a boundary at 0, so that misses and hits are apart."""
    margins = found.margins
    reach = max(1e-6, float(np.abs(margins).max()))
    bins = np.linspace(-reach, reach, 2 * BINS + 1)
    # a margin of exactly 0 is a miss: bins are closed on the right
    places = np.clip(np.searchsorted(bins, margins, side="left") - 1, 0, 2 * BINS - 1)
    return {"bins": bins, "counts": np.bincount(places, minlength=2 * BINS)}
