"""Who is this, and is it anyone we know? Open-set identification of people never seen before."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.embeddings import people_of
from recognition.errors import InputError
from recognition.evaluation.estimates import Estimate, at_point
from recognition.evaluation.growth import REPEATS, grow_halves, growth_curve, growth_rows
from recognition.evaluation.rows import Row, Section
from recognition.metrics.failures import Failures
from recognition.metrics.identification import (
    CumulativeMatch,
    OpenSetCurve,
    OpenSetPoint,
    Selectivity,
    cmc,
    fnir_at_fpir,
    oscr_area,
    oscr_curve,
    selectivity,
)
from recognition.metrics.intervals import (
    CLUSTERED_WILSON,
    PERSON_BOOTSTRAP,
    Interval,
    identification_intervals,
    wilson,
)
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.resampling import draw
from recognition.metrics.searches import KEPT, Searches, pool, with_failures
from recognition.metrics.threshold_rates import identification_rates
from recognition.metrics.verification import allowed_errors
from recognition.progress import Watch, numbered, unwatched
from recognition.protocols import OpenSet, open_set_split
from recognition.search.growth import Growth
from recognition.search.identify import search_people

CURVE_POINTS = 400
TERMS = (
    "FPIR: the share of strangers who are taken for somebody enrolled. FNIR: the share of searches "
    "for somebody enrolled that miss, by the threshold or because another person comes first; DIR is "
    "1 - FNIR. Found at rank 1 needs no threshold: strangers would all be let in"
)
CHUNK = 2**22  # weights of a bootstrap in memory at a time


def identify_strangers(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    seed: int = 0,
    replicates: int = 1000,
    enrolled_pictures: int = 5,
    fpir_targets: Sequence[float] = (0.1, 0.01),
    ranks: Sequence[int] = (1, 5, 10, 20),
    failures: npt.ArrayLike = (),
    thresholds: Sequence[float] | None = None,
    searched: "Searched | None" = None,
    progress: Watch | None = None,
) -> Section:
    """CMC, FNIR at FPIR, selectivity, OSCR and growth of the gallery, with their intervals.

    One half of the people is enrolled and probed with the rest of their pictures and with all of
    the other half; then the halves swap, and both are counted together at one threshold, see
    `open_set_split`. So everyone with two pictures is once enrolled and once a stranger.

    Rows are `rank1` ..., and for each target `fnir@fpir=0.1`, `dir@fpir=0.1`, `threshold@fpir=0.1`
    and `selectivity@fpir=0.1`; then `oscr`, and `fpir@gallery=20`, `fnir@gallery=20` ... for the
    largest sizes of the gallery at the threshold of the highest target that can be measured; and
    `fte` where there are failures.
    Curves are `cmc`, `oscr`, `operating` (both error rates by threshold) and `growth@fpir=0.1`.

    A picture that could not be embedded counts once as a miss, in the half in which its person is
    or would have been enrolled, and once as a true reject; twice as a true reject if the person
    has no other picture.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture.
        seed: of the split, the resampling, and the order in which galleries grow.
        replicates: resamples of the people behind each interval.
        enrolled_pictures: pictures enrolled per person, at most half of what there are.
        fpir_targets: shares of the strangers who may be taken for someone.
        ranks: the k of CMC(k); those beyond the smaller gallery are left out.
        failures: (F,) the person on each picture that could not be embedded.
        thresholds: of the curve `operating`, beside those of the targets; even ones if None.
        searched: what `search_strangers` found, if it is at hand.
        progress: told how far each stage is.

    Raises:
        InputError: embeddings that cannot be searched, too few people or pictures, targets or
            ranks that are none.
    """
    watch = progress or unwatched
    _check(ranks, fpir_targets)
    embeddings, labels = np.asarray(embeddings), np.asarray(labels)
    halves, searches, lost = searched or search_strangers(
        embeddings,
        labels,
        seed=seed,
        enrolled_pictures=enrolled_pictures,
        failures=failures,
        watch=watch,
    )
    targets = sorted(set(fpir_targets), reverse=True)
    points = {target: fnir_at_fpir(searches, target) for target in targets}
    resolved = {target: point.threshold for target, point in points.items() if point.resolved}
    smallest = int(searches.gallery[~searches.failed].min())
    growths = grow_halves(embeddings, labels, halves, resolved, seed=seed, watch=watch)
    matches = cmc(searches)
    return Section(
        "identification",
        "Who is this, and is it anyone we know?",
        (
            *_size_rows(searches),
            *_rate_rows(searches, matches, points, ranks, smallest, replicates, seed),
            *growth_rows(growths),
            *_failure_rows(lost),
        ),
        tuple(_notes(halves, matches, growths, lost)),
        {
            **_curves(matches, oscr_curve(searches), growths),
            "operating": identification_rates(
                searches, [point.threshold for point in points.values()], grid=thresholds
            ),
        },
    )


def _check(ranks: Sequence[int], fpir_targets: Sequence[float]) -> None:
    if any(rank < 1 for rank in ranks):
        raise InputError(f"expected every rank from 1 on, not {list(ranks)}")
    for target in fpir_targets:
        allowed_errors(target, 1)  # refuses what is no rate


class Searched(NamedTuple):
    """The searches of both halves in one table, and what could not be searched for.

    Attributes:
        halves: who was enrolled, and who searched for.
        searches: those that were made, and those that failed.
        lost: pictures without an embedding, as the two halves would have met them.
    """

    halves: Sequence[OpenSet]
    searches: Searches
    lost: "Lost"


def search_strangers(
    embeddings: npt.NDArray[np.generic],
    labels: npt.NDArray[np.generic],
    *,
    seed: int = 0,
    enrolled_pictures: int = 5,
    failures: npt.ArrayLike = (),
    watch: Watch = unwatched,
) -> Searched:
    """The searches of `identify_strangers`; its arguments and errors."""
    lost = _lost(labels, failures)
    halves = open_set_split(labels, enrolled_pictures=enrolled_pictures, seed=seed)
    made = search_halves(embeddings, labels, halves, watch=watch)
    return Searched(halves, with_failures(made, mated=lost.missed, nonmated=lost.rejected), lost)


def search_halves(
    embeddings: npt.NDArray[np.generic],
    labels: npt.NDArray[np.generic],
    halves: Sequence[OpenSet],
    *,
    watch: Watch = unwatched,
    search: Callable[..., Searches] = search_people,
) -> Searches:
    """The searches of each of the halves for its probes, in one table."""
    return pool(
        [
            search(
                embeddings[half.gallery_index],
                labels[half.gallery_index],
                embeddings[half.probe_index],
                labels[half.probe_index],
                watch=numbered(watch, f"{number}/{len(halves)}"),
            )
            for number, half in enumerate(halves, start=1)
        ]
    )


class Lost(NamedTuple):
    """Pictures without an embedding, as the two halves would have met them."""

    missed: list[str]  # the person on each failed mated search
    rejected: list[str]  # the person on each failed non-mated search
    failures: Failures


def _lost(labels: npt.NDArray[np.generic], failures: npt.ArrayLike) -> Lost:
    failed = people_of(failures, what="labels of the failures")
    whole = people_of(labels)
    names = np.concatenate([whole.names[whole.codes], failed.names[failed.codes]])
    people = people_of(names)
    gone = np.arange(len(names)) >= len(whole.codes)
    enrollable = people.pictures >= 2  # had every picture been embedded
    embedded = np.bincount(people.codes[~gone], minlength=len(people.names))
    unlucky = enrollable & (embedded < 2)
    lost = people.codes[gone]
    twice = lost[~enrollable[lost]]
    return Lost(
        people.names[lost[enrollable[lost]]].tolist(),
        people.names[np.concatenate([lost, twice])].tolist(),
        Failures(int(unlucky.sum()), int(enrollable.sum()), int(gone.sum()), len(gone)),
    )


def _size_rows(searches: Searches) -> Iterator[Row]:
    mated = int(searches.mated.sum())
    for key, label, count in (
        ("enrolled", "People enrolled, in the larger gallery", searches.largest_gallery),
        ("mated-searches", "Searches for someone enrolled", mated),
        ("nonmated-searches", "Searches for strangers", len(searches.mated) - mated),
    ):
        yield Row(key, label, "count", Estimate(count))


def _rate_rows(
    searches: Searches,
    matches: CumulativeMatch,
    points: Mapping[float, OpenSetPoint],
    ranks: Sequence[int],
    smallest: int,
    replicates: int,
    seed: int,
) -> Iterator[Row]:
    options = {"replicates": replicates, "seed": seed}
    people = people_of(searches.probes).codes[searches.mated]
    for rank in sorted(set(ranks)):
        if rank <= smallest:
            hits = searches.ranks <= rank
            yield _match_row(matches, rank, int(hits.sum()), share_interval(hits, people))
    intervals = identification_intervals(searches, list(points), **options)
    for target, point in points.items():
        selected = selectivity(searches, point.threshold)
        yield from _point_rows(point, intervals.fnir[target], intervals.methods["fnir"], selected)
    area = Estimate(
        oscr_area(searches),
        *_area_interval(searches, **options),
        counts={"mated": matches.mated, "nonmated": matches.excluded},
    )
    yield Row("oscr", "Area under DIR over FPIR (OSCR)", "share", area, PERSON_BOOTSTRAP)


def _match_row(matches: CumulativeMatch, rank: int, hits: int, interval: Interval) -> Row:
    rate, optimistic = float(matches.rate[rank - 1]), float(matches.optimistic[rank - 1])
    note = None
    if rate != optimistic:
        note = f"ties count against the mate; {optimistic:.4%} if they counted for it"
    counts = {
        "rank": rank,
        "hits": hits,
        "mated": matches.mated,
        "excluded": matches.excluded,
        "optimistic": optimistic,
    }
    label = f"Found at rank {rank}" if rank == 1 else f"Found within rank {rank}"
    return Row(
        f"rank{rank}", label, "share", Estimate(rate, *interval, note, counts), CLUSTERED_WILSON
    )


def _point_rows(
    point: OpenSetPoint, interval: Interval | None, method: str, selected: Selectivity
) -> Iterator[Row]:
    at = f"fpir={point.target:g}"
    label = f"FPIR {point.target:g}"
    by = method if interval else ""
    yield Row(f"fnir@{at}", f"FNIR at {label}", "share", at_point(point, point.fnir, interval), by)
    hit = Interval(1 - interval.high, 1 - interval.low) if interval else None
    yield Row(f"dir@{at}", f"DIR at {label}", "share", at_point(point, point.dir, hit), by)
    threshold, mean = point.threshold, selected.mean
    note = None if selected.exact else f"at least: only {KEPT} candidates of a search are kept"
    estimates = (
        Estimate(threshold, counts={"fpir": point.fpir, "target": point.target}),
        Estimate(mean, note=note, counts=selected._asdict()),
    )
    if not point.resolved:
        estimates = (Estimate(None, note=point.reason), Estimate(None, note=point.reason))
    yield Row(f"threshold@{at}", f"Threshold at {label}", "score", estimates[0])
    yield Row(f"selectivity@{at}", f"Candidates per stranger at {label}", "number", estimates[1])


def _area_interval(
    searches: Searches, *, replicates: int, seed: int, level: float = 0.95
) -> Interval:
    """Of `oscr_area`, by the people on the probes, exact in each resample.

    Sorted so that strangers stand before the mates they tie with, a mate beats those after it.
    """
    people = people_of(searches.probes)
    weights = draw(len(people.names), replicates, seed)
    own, strange = people.codes[searches.mated], people.codes[~searches.mated]
    hit = searches.ranks == 1
    scores = np.concatenate([searches.stranger_scores, searches.mate_scores[hit]])
    mate = np.arange(len(scores)) >= len(strange)
    order = np.lexsort((mate, -scores))
    codes, mate = np.concatenate([strange, own[hit]])[order], mate[order]
    pairs = _totals(own, weights) * _totals(strange, weights)
    beaten = np.zeros(replicates)
    step = max(1, CHUNK // len(codes))
    for start in range(0, replicates, step):
        part = weights[codes, start : start + step]
        others = np.where(mate[:, None], 0, part)
        below = others.sum(axis=0) - np.cumsum(others, axis=0)
        beaten[start : start + step] = (below * part).sum(axis=0, where=mate[:, None])
    areas = beaten[pairs > 0] / pairs[pairs > 0]
    outside = (1 - level) / 2
    low = np.quantile(areas, outside, method="lower")
    high = np.quantile(areas, 1 - outside, method="higher")
    return Interval(float(low), float(high))


def _totals(
    codes: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    totals: npt.NDArray[np.float64] = np.bincount(codes, minlength=len(weights)) @ weights
    return totals


def _failure_rows(lost: Lost) -> Iterator[Row]:
    """FTE alone: failure to acquire is the same in every section, and has its row elsewhere."""
    failures = lost.failures
    if not failures.failed_acquisitions:
        return
    counts = {"failed": failures.failed_enrolments, "people": failures.enrolments}
    one_each = wilson(failures.failed_enrolments, failures.enrolments)
    enrolled = Estimate(failures.fte, *one_each, counts=counts)
    yield Row("fte", "Failure to enrol (FTE)", "share", enrolled, "Wilson, one trial per person")


def _notes(
    halves: Sequence[OpenSet],
    matches: CumulativeMatch,
    growths: Mapping[float, Growth],
    lost: Lost,
) -> Iterator[str]:
    sizes = " and ".join(str(len(half.gallery_index)) for half in halves)
    yield f"{TERMS}. OSCR: the mean of DIR over all FPIR"
    yield (
        f"Each half of the people is enrolled once (pictures: {sizes}) and a stranger to the other "
        "once; both searches are counted together, at one threshold."
    )
    if matches.tied:
        yield "Some mates tie with other people; a tie counts against the mate."
    if lost.failures.failed_acquisitions:
        yield (
            f"{lost.failures.failed_acquisitions} of {lost.failures.acquisitions} pictures could "
            "not be embedded: they count as misses where their person is enrolled, as true "
            "rejects elsewhere, and not at all in the growth of the gallery."
        )
    if growths:
        yield (
            f"A smaller gallery is a random part of the people, drawn {REPEATS} times, at "
            f"the threshold for FPIR {max(growths):g} in the whole gallery: a threshold holds for "
            "one size of gallery."
        )
    else:
        yield "How rates grow with the gallery could not be measured: too few people or strangers."


def _curves(
    matches: CumulativeMatch, curve: OpenSetCurve, growths: Mapping[float, Growth]
) -> dict[str, dict[str, Any]]:
    ranks = np.unique(np.geomspace(1, len(matches.ranks), CURVE_POINTS).astype(np.int64)) - 1
    steps = _thinned(curve)
    curves: dict[str, dict[str, Any]] = {
        "cmc": {
            "rank": matches.ranks[ranks],
            "rate": matches.rate[ranks],
            "optimistic": matches.optimistic[ranks],
        },
        "oscr": {
            "threshold": curve.thresholds[steps],
            "fpir": curve.fpir[steps],
            "dir": curve.dir[steps],
        },
    }
    growth = {f"growth@fpir={target:g}": growth_curve(each) for target, each in growths.items()}
    return curves | growth


def _thinned(curve: OpenSetCurve) -> npt.NDArray[np.int64]:
    """Places of some hundred steps of the curve: even in DIR and in the logarithm of FPIR."""
    last = len(curve.fpir) - 1
    alarms = curve.fpir[curve.fpir > 0]
    by_fpir = np.geomspace(alarms[0], alarms[-1], CURVE_POINTS // 2) if len(alarms) else alarms
    by_dir = np.linspace(0, curve.dir[-1], CURVE_POINTS // 2)
    places = (
        np.array([0, last]),
        np.searchsorted(curve.fpir, by_fpir, side="right") - 1,
        np.searchsorted(curve.dir, by_dir).clip(max=last),
    )
    return np.unique(np.concatenate(places))
