"""What embeddings are worth on people never seen in training: every number with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.comparisons import Scores, compare_all
from recognition.evaluation.estimates import Estimate, at_point
from recognition.evaluation.growth import grow_halves, growth_curve
from recognition.evaluation.identification import search_halves
from recognition.evaluation.rows import Listing
from recognition.evaluation.separability import compact
from recognition.evaluation.worst_comparisons import worst_pairs
from recognition.metrics import (
    EqualErrorRate,
    ErrorCurve,
    Searches,
    angle_statistics,
    area_under_curve,
    cmc,
    equal_error_rate,
    error_curve,
    fnir_at_fpir,
    identification_intervals,
    mean_interval,
    rank_one_rate,
    tar_at_fmr,
    verification_intervals,
)
from recognition.metrics.clustered import Clusters
from recognition.metrics.threshold_rates import Rates, identification_rates, verification_rates
from recognition.protocols import OpenSet, open_set_split

FMR_TARGETS = (1e-1, 1e-2, 1e-3)
FPIR_TARGETS = (1e-2, 1e-1)
BINS = np.linspace(-1, 1, 201)
CURVE_POINTS = 400
MOST_RANKS = 50


@dataclass(frozen=True)
class Evaluation:
    """All numbers of one set of embeddings, by name, and what figures are drawn from.

    Attributes:
        estimates: `eer`, `auc`, `tar@fmr=0.1` ..., `rank1`, `fnir@fpir=0.01` ..., `intra`, `inter`,
            and those of `separability.compact`: `silhouette`, `trace-ratio`, `nc1`, ...
        eer: the equal error rate.
        curve: some hundred steps of the exact error curve.
        mated: (200,) histogram of the mated scores over [-1, 1].
        nonmated: the same of the non-mated ones.
        operating: "verification" and "identification": both error rates of each with intervals,
            over one grid of thresholds, which holds those of the estimates.
        worst: the false matches and misses to look at, see `worst_pairs`; empty without names.
        curves: "cmc", how often the right person is among the first k, and "growth", FPIR and FNIR by
            the size of the gallery at the threshold for FPIR 0.1, if there is one.
        eer_resamples: (B,) the EER in each resample of the people. Evaluations of the same people
            with the same seed resample alike, so their differences are paired.
    """

    estimates: Mapping[str, Estimate]
    eer: EqualErrorRate
    curve: ErrorCurve
    mated: npt.NDArray[np.int64]
    nonmated: npt.NDArray[np.int64]
    operating: Mapping[str, Rates]
    curves: Mapping[str, Mapping[str, Any]]
    eer_resamples: npt.NDArray[np.float64]
    worst: tuple[Listing, ...] = ()


def evaluate_strangers(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    seed: int = 0,
    replicates: int = 1000,
    enrolled_pictures: int = 5,
    ids: npt.ArrayLike | None = None,
) -> Evaluation:
    """Verification over all pairs, open-set identification, angles, and separability.

    Identification enrols one half of the people by up to five pictures each and probes with the
    rest of their pictures and with all of the other half; then the halves swap, and both
    searches are counted together at one threshold.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture.
        seed: of the enrolment split and of the resampling.
        replicates: resamples of the people behind each interval.
        enrolled_pictures: pictures enrolled per person, at most half of what there are.
        ids: (N,) names of the pictures, for the worst pairs.

    Raises:
        InputError: embeddings that cannot be scored, or too few people or pictures.
    """
    embeddings, labels = np.asarray(embeddings), np.asarray(labels)
    scores = compare_all(embeddings, labels)
    intervals = verification_intervals(scores, FMR_TARGETS, replicates=replicates, seed=seed)
    eer = equal_error_rate(scores)
    counts = {"mated": len(scores.mated), "nonmated": len(scores.nonmated), "people": scores.people}
    estimates = {
        "eer": Estimate(eer.rate, *intervals.equal_error_rate, counts=eer._asdict() | counts),
        "auc": Estimate(area_under_curve(scores), *intervals.area_under_curve, counts=counts),
    }
    for target in FMR_TARGETS:
        point = tar_at_fmr(scores, target)
        estimates[f"tar@fmr={target:g}"] = at_point(point, point.tar, intervals.tar[target])
    halves = open_set_split(labels, enrolled_pictures=enrolled_pictures, seed=seed)
    searches = search_halves(embeddings, labels, halves)
    estimates |= _identification(searches, replicates, seed)
    angles = angle_statistics(embeddings, labels)
    estimates["intra"] = Estimate(
        angles.intra,
        *mean_interval(
            angles.picture_angles, angles.picture_persons, replicates=replicates, seed=seed
        ),
        counts={
            "pictures": len(angles.picture_angles),
            "single_picture_people": angles.single_picture_people,
        },
    )
    estimates["inter"] = Estimate(
        angles.inter,
        *mean_interval(angles.person_angles, angles.persons, replicates=replicates, seed=seed),
        counts={"people": len(angles.persons)},
    )
    estimates |= compact(embeddings, labels, replicates=replicates, seed=seed)
    return Evaluation(
        estimates,
        eer,
        error_curve(scores).thinned(CURVE_POINTS),
        np.histogram(scores.mated, BINS)[0],
        np.histogram(scores.nonmated, BINS)[0],
        _operating(scores, searches),
        {"cmc": _cmc(searches), **_growth(embeddings, labels, halves, searches, seed)},
        intervals.equal_error_rate_resamples,
        () if ids is None else worst_pairs(scores, labels, ids=ids),
    )


def _operating(scores: Scores, searches: Searches) -> dict[str, Rates]:
    marks = [
        equal_error_rate(scores).threshold,
        *(tar_at_fmr(scores, target).threshold for target in FMR_TARGETS),
        *(fnir_at_fpir(searches, target).threshold for target in FPIR_TARGETS),
    ]
    verification = verification_rates(Clusters.of(scores), marks)
    found = identification_rates(searches, marks, grid=verification["threshold"])
    return {"verification": verification, "identification": found}


def _cmc(searches: Searches) -> dict[str, Any]:
    matches = cmc(searches)
    return {"rank": matches.ranks[:MOST_RANKS], "rate": matches.rate[:MOST_RANKS]}


def _growth(
    embeddings: npt.NDArray[np.generic],
    labels: npt.NDArray[np.generic],
    halves: Sequence[OpenSet],
    searches: Searches,
    seed: int,
) -> dict[str, Mapping[str, Any]]:
    target = max(FPIR_TARGETS)
    point = fnir_at_fpir(searches, target)
    if not point.resolved:
        return {}
    growths = grow_halves(embeddings, labels, halves, {target: point.threshold}, seed=seed)
    return {"growth": growth_curve(growths[target])} if growths else {}


def _identification(searches: Searches, replicates: int, seed: int) -> dict[str, Estimate]:
    intervals = identification_intervals(searches, FPIR_TARGETS, replicates=replicates, seed=seed)
    estimates = {
        "rank1": Estimate(
            rank_one_rate(searches),
            *intervals.rank_one_rate,
            counts={"mated": int(searches.mated.sum()), "enrolled": searches.largest_gallery},
        )
    }
    for target in FPIR_TARGETS:
        point = fnir_at_fpir(searches, target)
        estimates[f"fnir@fpir={target:g}"] = at_point(point, point.fnir, intervals.fnir[target])
    return estimates


def class_angles(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    class_weights: npt.ArrayLike,
    class_labels: npt.ArrayLike,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """How class weights lie to the people they were learned from: `w-ec`, `w-inter`, and angles.

    `learn-intra` and `learn-inter` are Intra and Inter on the training people.
    """
    found = angle_statistics(embeddings, labels, class_weights, class_labels)
    options: dict[str, int] = {"replicates": replicates, "seed": seed}

    def by(values: npt.ArrayLike, persons: npt.ArrayLike) -> Estimate:
        values = np.asarray(values, np.float64)
        interval = mean_interval(values, persons, **options)
        return Estimate(float(values.mean()), *interval, counts={"values": len(values)})

    return {
        "w-ec": by(np.asarray(found.class_angles), class_labels),
        "w-inter": by(np.asarray(found.class_gaps), class_labels),
        "learn-intra": by(found.picture_angles, found.picture_persons),
        "learn-inter": by(found.person_angles, found.persons),
    }
