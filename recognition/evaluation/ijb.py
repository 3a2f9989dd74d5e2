"""IJB's two questions, asked of embeddings: 1:1 over listed pairs of templates, 1:N in galleries."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.comparisons.listed import ListedScores
from recognition.datasets._files import listed
from recognition.datasets.embedding_files import EmbeddingFile
from recognition.datasets.ijb import POINTS, Ijb
from recognition.errors import InputError
from recognition.evaluation.estimates import Estimate, at_point
from recognition.evaluation.failures import account_for, comparisons_lost
from recognition.evaluation.findings import Findings
from recognition.evaluation.identification import TERMS
from recognition.evaluation.ijb_lost import count_lost, what_is_left
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row, Section
from recognition.evaluation.uncertainty import Uncertainty, row
from recognition.evaluation.verification import BINS, CURVE_POINTS, TITLE, operating_of, rates_at
from recognition.metrics.averaged_galleries import averaged_fnir, averaged_intervals, averaged_rate
from recognition.metrics.calibration import min_cllr
from recognition.metrics.clustered import Clusters
from recognition.metrics.hull import hull_equal_error_rate
from recognition.metrics.identification import cmc, fnir_at_fpir
from recognition.metrics.intervals import CLUSTERED_WILSON, PERSON_BOOTSTRAP, Interval
from recognition.metrics.searches import Searches, pool
from recognition.metrics.threshold_rates import identification_rates
from recognition.metrics.verification import (
    area_under_curve,
    equal_error_rate,
    error_curve,
    tar_at_fmr,
)
from recognition.progress import Watch, unwatched
from recognition.search.templates import score_templates
from recognition.templates import Pooling, pool_templates

FMR = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # what IJB is reported at
RANKS = (1, 5, 10)
CMC_RANKS = 50

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


def evaluate_ijb(
    embeddings: npt.ArrayLike,
    protocol: Ijb,
    *,
    faces: npt.ArrayLike | None = None,
    pooling: Pooling | None = None,
    mirrored: npt.ArrayLike | None = None,
    options: Options | None = None,
    watch: Watch = unwatched,
) -> Findings:
    """What embeddings are worth on IJB-B or IJB-C: the tables that papers give, with intervals.

    1:1 over the listed pairs: TAR at FMR 0.1 to 1e-6, EER, AUC, minCllr. 1:N: each gallery is
    searched apart, at a threshold of its own, and the rates are averaged; a probe whose subject
    is in the other gallery is a stranger. Intervals go by subject.

    Rows of 1:1 are those of `evaluate`; rows of 1:N are `rank1`, `rank5`, `rank10` and, for every
    target, `fnir@fpir=0.1` and `dir@fpir=0.1`.

    The curves `operating` give the error rates of both over the same thresholds. A threshold is one
    for all galleries there, and their searches are counted together, so that at the threshold of
    one gallery its rates are not those of the rows.

    Args:
        embeddings: (N, D) a row for each face, of the length that the network gave it.
        protocol: see `read_ijb`.
        faces: (N,) the place of each row's face in the protocol; all in its order if None. Faces
            that are left out because they could not be embedded are missing in their templates;
            a template without any is an error wherever it should have been compared.
        pooling: how pictures become templates; if None, the norm is kept, each picture is
            weighed by the detector's score, and each media counts by its mean.
        mirrored: (N, D) embeddings of the mirrored pictures, for a pooling that uses them.
        options: targets, resamples and the seed.
        watch: told how far each stage is.

    Raises:
        InputError: another number of rows than faces, a gallery without a face, weights that
            are missing or not above 0.
    """
    how, options = pooling or Pooling(), options or Options()
    given = np.asarray(embeddings)
    places = _faces(given, faces, protocol)
    made = np.zeros(len(protocol.templates), bool)
    made[protocol.faces.templates[places]] = True
    left = what_is_left(protocol, made)
    vectors = pool_templates(
        given,
        protocol.templates[protocol.faces.templates[places]],
        protocol.faces.media[places],
        pooling=how,
        weights=_detector_scores(protocol, how, places),
        mirrored=mirrored,
        names=protocol.templates[made],
        watch=watch,
    ).vectors
    subjects, pairs = protocol.subjects[made], left.pairs
    found = score_templates(
        vectors, pairs, protocol.people[subjects], left.galleries, left.probes, watch=watch
    )
    one, two = (subjects[side] for side in (pairs.first, pairs.second))
    table = ListedScores(found.scores, pairs.mated, one, two, len(protocol.people))
    sections: list[Section] = []
    asked = "identification" in options.parts and found.searches
    searches = count_lost(found.searches, protocol, made) if asked else []
    marks = [fnir_at_fpir(one, target).threshold for one in searches for target in options.fpir]
    grid = None
    if "verification" in options.parts:
        sections.append(_verification(table, protocol, options, marks))
        grid = sections[0].curves["operating"]["threshold"]
    if searches:
        sections.append(_identification(searches, protocol, options, marks, grid))
    if not sections:
        raise InputError(
            f"expected verification, or identification with the files of 1:N, to be asked for, not "
            f"{', '.join(options.parts)}: {protocol.name} has nothing else"
        )
    if "verification" in options.parts and any(left.lost):
        acquired = comparisons_lost(table, left.lost)
        reported = replace(options, fmr=options.fmr or FMR)
        sections.append(account_for(acquired, table, left.lost, reported))
    described = {
        "pictures": len(places),
        "people": len(protocol.people),
        "dimensions": vectors.shape[1],
        "mated": len(table.mated),
        "nonmated": table.nonmated_count,
        "templates": len(vectors),
        "pooling": list(how.words),
        "failures": [],
        "notes": list(_notes(protocol, len(places), made, how)),
    }
    return Findings(described, sections)


def _faces(given: npt.NDArray[Any], faces: npt.ArrayLike | None, protocol: Ijb) -> Places:
    """The place of each row's face."""
    there = len(protocol.faces)
    places = np.arange(there) if faces is None else np.asarray(faces)
    fits = places.ndim == 1 and places.dtype.kind in "iu" and len(np.unique(places)) == len(places)
    if given.ndim != 2 or given.shape[:1] != places.shape or not fits:
        raise InputError(
            f"expected a row of embeddings for each of {there:,} faces of {protocol.name}, or the "
            f"place of each row's face, got shapes {given.shape} and {places.shape}; embed all "
            "faces, in the order of its files"
        )
    if len(places) and not 0 <= places.min() <= places.max() < there:
        raise InputError(
            f"expected places of faces below {there:,}, got {places.min()} to {places.max()}; "
            f"take them from the names of {protocol.name}"
        )
    return places


def _detector_scores(protocol: Ijb, how: Pooling, places: Places) -> Floats | None:
    scores = protocol.faces.scores
    if scores is None and how.weighted:
        raise InputError(
            f"expected the detector's scores of {protocol.name} to weigh pictures by, but there is "
            f"no {protocol.name}{POINTS}; add it, or pool unweighted"
        )
    return None if scores is None else scores[places]


def _notes(protocol: Ijb, faces: int, made: npt.NDArray[np.bool_], how: Pooling) -> Iterator[str]:
    yield f"{protocol.name}, pooled with {', '.join(how.words)}; {protocol.subjects_by}"
    if faces < len(protocol.faces):
        yield (
            f"{len(protocol.faces) - faces:,} of {len(protocol.faces):,} faces could not be "
            "embedded: their templates are made of the others"
        )
    if not made.all():
        yield (
            f"{int((~made).sum()):,} of {len(made):,} templates have no face that could be embedded: "
            "1:1 leaves out their pairs, which the section on failures counts as rejections; in 1:N "
            "they are misses, and true rejects where their subject is not enrolled"
        )
    if not protocol.galleries:
        yield "there are no files of 1:N, so nobody was searched for"
    yield from protocol.notes


def _verification(
    table: ListedScores, protocol: Ijb, options: Options, marks: Sequence[float]
) -> Section:
    targets = options.fmr or FMR
    clusters = Clusters.of_list(table, targets)
    intervals: dict[str, Interval | None] = {"eer": clusters.eer()}
    points = [tar_at_fmr(table, target) for target in sorted(set(targets), reverse=True)]
    rows = []
    for point in points:
        interval = clusters.tar(point.target)
        estimate = at_point(point, point.tar, interval)
        key, label = f"tar@fmr={point.target:g}", f"TAR at FMR {point.target:g}"
        rows.append(Row(key, label, "share", estimate, CLUSTERED_WILSON if interval else ""))
    eer = equal_error_rate(table)
    main = Uncertainty(intervals, CLUSTERED_WILSON)
    sizes = {
        "people": len(protocol.people),
        "mated": len(table.mated),
        "nonmated": table.nonmated_count,
    }
    ends = {"low": eer.low, "high": eer.high, "threshold": eer.threshold, **sizes}
    hull = hull_equal_error_rate(table).rate
    rows += [
        row("eer", "EER", "share", eer.rate, main, counts=ends),
        row("eer-hull", "EER, convex hull", "share", hull, counts=sizes),
        row("auc", "AUC", "share", area_under_curve(table), counts=sizes),
        row("min-cllr", "minCllr", "bits", min_cllr(table), counts=sizes),
    ]
    for threshold in dict.fromkeys(options.thresholds):
        rows += rates_at(table, threshold, clusters=clusters)
    note = (
        f"1:1 over the {len(table.scores):,} pairs of templates that {protocol.name} lists. A pair "
        "is accepted at a score at or above the threshold, and FMR is at most what is named"
    )
    curves = {**_curves(table), "operating": operating_of(clusters, rows, marks)}
    return Section("verification", TITLE, tuple(rows), (note,), curves)


def _curves(table: ListedScores) -> dict[str, dict[str, Any]]:
    curve = error_curve(table).thinned(CURVE_POINTS)
    bins = np.linspace(-1, 1, BINS + 1)
    counts = {
        kind: np.diff([*np.searchsorted(scores, bins[:-1].astype(np.float32)), len(scores)])
        for kind, scores in (("mated", np.sort(table.mated)), ("nonmated", table.ascending))
    }
    return {
        "roc": {"threshold": curve.thresholds, "fmr": curve.fmr, "fnmr": curve.fnmr},
        "histogram": {"bins": bins, **counts},
    }


def _identification(
    tables: Sequence[Searches],
    protocol: Ijb,
    options: Options,
    marks: Sequence[float],
    grid: Sequence[float] | None,
) -> Section:
    names = [gallery.name for gallery in protocol.galleries]
    intervals = averaged_intervals(
        tables, RANKS, options.fpir, replicates=options.replicates, seed=options.seed
    )
    smallest = min(table.largest_gallery for table in tables)
    rows = [
        Row(
            f"rank{rank}",
            f"Found at rank {rank}" if rank == 1 else f"Found within rank {rank}",
            "share",
            Estimate(
                averaged_rate(tables, rank),
                *intervals.rates[rank],
                counts=_counts(tables) | {"rank": rank},
            ),
            PERSON_BOOTSTRAP,
        )
        for rank in RANKS
        if rank <= smallest
    ]
    for target in sorted(set(options.fpir), reverse=True):
        rows += _open_set(tables, names, target, intervals.fnir[target])
    sizes = " and ".join(
        f"{table.largest_gallery:,} ({n})" for n, table in zip(names, tables, strict=True)
    )
    note = (
        f"1:N in {len(tables)} galleries of {sizes} subjects, each searched apart for "
        f"{len(tables[0].probes):,} probes at its own threshold; the rates are averaged"
    )
    ranks = np.arange(1, min(CMC_RANKS, smallest) + 1)
    rates = np.mean([cmc(table, ranks.tolist()).rate for table in tables], axis=0)
    optimistic = np.mean([cmc(table, ranks.tolist()).optimistic for table in tables], axis=0)
    curves = {
        "cmc": {"rank": ranks, "rate": rates, "optimistic": optimistic},
        "operating": identification_rates(pool(tables), marks, grid=grid),
    }
    title = "Who is this, and is it anyone we know?"
    return Section("identification", title, tuple(rows), (TERMS, note), curves)


def _counts(tables: Sequence[Searches]) -> dict[str, Any]:
    mated = sum(int(table.mated.sum()) for table in tables)
    whole = sum(len(table.probes) for table in tables)
    return {"searches": whole, "mated_searches": mated, "nonmated": whole - mated}


def _open_set(
    tables: Sequence[Searches], names: Sequence[str], target: float, interval: Interval | None
) -> list[Row]:
    point = averaged_fnir(tables, target)
    each = {name: one._asdict() for name, one in zip(names, point.points, strict=True)}
    counts = {
        **_counts(tables),
        "target": target,
        "resolved": point.resolved,
        "reliable": point.reliable,
        "galleries": each,
    }
    at, method = f"fpir={target:g}", PERSON_BOOTSTRAP if interval else ""

    def told(value: float, ends: Interval | None) -> Estimate:
        if ends is None or not point.resolved:
            return Estimate(None, note=point.reason, counts=counts)
        return Estimate(value, *ends, point.reason, counts)

    hit = Interval(1 - interval.high, 1 - interval.low) if interval else None
    return [
        Row(f"fnir@{at}", f"FNIR at FPIR {target:g}", "share", told(point.fnir, interval), method),
        Row(f"dir@{at}", f"DIR at FPIR {target:g}", "share", told(1 - point.fnir, hit), method),
    ]


def align_faces(table: EmbeddingFile, protocol: Ijb) -> Places:
    """(N,) the place in the protocol of the face that each embedding is of.

    Ids that are the names of the faces say so; without ids the rows are taken to be in the order
    of the protocol's files.

    Raises:
        InputError: faces that are not in the table, be it as failures, or ids of something else.
    """
    faces = protocol.faces.names
    ids = np.concatenate([table.ids, np.array([one.id for one in table.failures], np.str_)])
    order = np.argsort(faces)
    at = order[np.searchsorted(faces, ids, sorter=order).clip(max=len(faces) - 1)]
    named = faces[at] == ids
    if named.any():
        if not named.all() or len(ids) < len(faces):
            raise _other_faces(ids[~named], len(ids), protocol)
        mine: Places = at[: len(table.ids)]
        return mine
    numbered = np.array_equal(np.sort(ids), np.sort(np.arange(len(ids)).astype(str)))
    if not numbered or len(ids) != len(faces):
        raise _other_faces(ids[~named], len(ids), protocol)
    places: Places = table.ids.astype(np.int64)
    return places


def _other_faces(strange: npt.NDArray[np.str_], rows: int, protocol: Ijb) -> InputError:
    named = f", among them {listed(strange.tolist(), 3)}" if len(strange) else ""
    return InputError(
        f"expected an embedding of each of {len(protocol.faces):,} faces of {protocol.name}, in the "
        f"order of its files or with ids like {str(protocol.faces.names[0])!r}, got {rows:,} "
        f"rows{named}; embed all of them, NaN where that failed"
    )
