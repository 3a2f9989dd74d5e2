"""Does it help to hold scores against a cohort? Normalised rates, and what they differ by."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from recognition.cohorts import Normaliser
from recognition.comparisons.scores import Scores
from recognition.evaluation.estimates import Estimate
from recognition.evaluation.identification import search_halves
from recognition.evaluation.options import Options
from recognition.evaluation.paired import UNTOLD, Difference, compare_scores, difference
from recognition.evaluation.rows import Row, Section, Unit
from recognition.evaluation.uncertainty import clusters_of, main_intervals, wilson_of
from recognition.metrics.identification import fnir_at_fpir, rank_one_rate
from recognition.metrics.intervals import (
    CLUSTERED_WILSON,
    PERSON_BOOTSTRAP,
    Interval,
    identification_intervals,
    identification_resamples,
)
from recognition.metrics.normalisation import ADAPTIVE
from recognition.metrics.searches import Searches
from recognition.progress import Watch, unwatched
from recognition.protocols import open_set_split

KEY, TITLE = "normalisation", "Does it help to hold scores against other people's?"
PAIRED = "paired person bootstrap"


def normalised_section(
    normaliser: Normaliser,
    pairs: tuple[Scores, Scores] | None,
    searches: tuple[Searches, Searches] | None,
    options: Options,
    notes: Sequence[str] = (),
    watch: Watch = unwatched,
) -> Section:
    """Rates of normalised scores, each with its difference to that of the raw scores.

    Rows are `normalised:eer`, `normalised:auc`, `normalised:tar@fmr=...`, `normalised:rank1`,
    `normalised:fnir@fpir=...`, and after each its `...:change`, normalised minus raw, with the
    95 % interval of resampling the same people for both.

    Args:
        normaliser: what the scores were held against.
        pairs: raw and normalised scores of the same comparisons, if there are any.
        searches: raw and normalised searches for the same probes, if there are any.
        options: targets, resamples and the seed.
        notes: sentences to begin with.
        watch: told how far it is.

    Raises:
        InputError: too few people for any resample to count.
    """
    found: list[tuple[Difference, Interval | None, str]] = []
    if pairs is not None:
        found += _of_pairs(*pairs, options, watch)
    if searches is not None:
        found += _of_searches(*searches, options)
    rows = tuple(row for each in found for row in _rows(*each))
    about = [*notes, *_about(normaliser), *_verdicts([each for each, _, _ in found])]
    return Section(KEY, TITLE, rows, tuple(about))


def searched_twice(
    normaliser: Normaliser,
    embeddings: npt.NDArray[np.generic],
    labels: npt.NDArray[np.str_],
    options: Options,
    watch: Watch = unwatched,
) -> tuple[Searches, Searches]:
    """The searches of both halves of the people, raw and normalised.

    Raises:
        InputError: too few people or pictures, see `open_set_split`.
    """
    halves = open_set_split(labels, enrolled_pictures=options.enrolled_pictures, seed=options.seed)
    raw = search_halves(embeddings, labels, halves, watch=watch)
    return raw, search_halves(embeddings, labels, halves, watch=watch, search=normaliser.search)


def _of_pairs(
    raw: Scores, normalised: Scores, options: Options, watch: Watch
) -> Iterator[tuple[Difference, Interval | None, str]]:
    targets = options.targets(raw.nonmated_count)
    with watch("intervals", 1) as advance:
        main = main_intervals(clusters_of(normalised), targets, wilson_of(normalised))
        advance(1)
    for each in compare_scores(
        normalised, raw, targets, replicates=options.replicates, seed=options.seed, watch=watch
    ):
        yield each, main.intervals[each.key], main.method


def _of_searches(
    raw: Searches, normalised: Searches, options: Options
) -> Iterator[tuple[Difference, Interval | None, str]]:
    targets = sorted(set(options.fpir), reverse=True)
    drawn = {"replicates": options.replicates, "seed": options.seed}
    both = normalised, raw
    ours, theirs = (identification_resamples(each, targets, **drawn) for each in both)
    intervals = identification_intervals(normalised, targets, **drawn)
    rates = rank_one_rate(normalised), rank_one_rate(raw)
    again = ours.rank_one, theirs.rank_one
    found = difference("rank1", "Found at rank 1", "share", rates, again)
    yield found, intervals.rank_one_rate, CLUSTERED_WILSON
    for target in targets:
        key, label = f"fnir@fpir={target:g}", f"FNIR at FPIR {target:g}"
        point = fnir_at_fpir(normalised, target)
        if not point.resolved:
            yield Difference(key, label, "share", None, None, note=point.reason), None, ""
            continue
        rates = point.fnir, fnir_at_fpir(raw, target).fnir
        again = ours.fnir[target], theirs.fnir[target]
        yield (
            difference(key, label, "share", rates, again),
            intervals.fnir[target],
            PERSON_BOOTSTRAP,
        )


def _rows(found: Difference, interval: Interval | None, method: str) -> Iterator[Row]:
    key, label = f"normalised:{found.key}", f"{found.label}, normalised"
    if found.value is None:
        yield Row(key, label, found.unit, Estimate(None, note=found.note))
        return
    known = {"raw": found.other, "normalised": found.value, "verdict": found.verdict}
    value = Estimate(found.value, counts=known)
    if interval is not None:
        value = Estimate(found.value, *interval, counts=known)
    yield Row(key, label, found.unit, value, method)
    change = Estimate(found.difference, found.low, found.high, found.note, known)
    unit: Unit = "points" if found.unit == "share" else found.unit
    yield Row(f"{key}:change", "… minus raw", unit, change, PAIRED)


def _about(normaliser: Normaliser) -> Iterator[str]:
    pictures, people = normaliser.pictures, len(normaliser.people.names)
    adaptive = normaliser.method in ADAPTIVE
    looked = f", the {normaliser.top} highest for each picture" if adaptive else ""
    yield (
        f"Scores are normalised by {normaliser.method} against {pictures:,} pictures of {people:,} "
        f"other people{looked}; every picture of the cohort counts alike"
    )
    if adaptive and normaliser.top >= pictures:
        yield (
            f"The cohort has no more than {normaliser.top} pictures, so all of them count and "
            f"{normaliser.method} is s"
        )


def _verdicts(found: Sequence[Difference]) -> Iterator[str]:
    told: dict[str, list[str]] = {}
    for each in found:
        if each.verdict is not None:
            told.setdefault(each.verdict, []).append(each.label)
    parts = [
        f"{', '.join(labels)} {'is' if len(labels) == 1 else 'are'} {verdict}"
        for verdict, labels in told.items()
        if verdict != UNTOLD
    ]
    untold = told.get(UNTOLD, [])
    if untold:
        parts.append(f"{', '.join(untold)} cannot be told apart")
    if parts:
        yield f"Normalised against raw, on the same people: {'; '.join(parts)}"
