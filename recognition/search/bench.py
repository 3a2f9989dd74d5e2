"""Which kind of index suits these vectors: measured on them, and what it costs at the threshold.

An approximate index misses people. What that costs is not its recall but the added FNIR: the share
of searches for somebody enrolled in which the exact search names the person, at rank 1 and at or
above the threshold, and this index does not. Its interval goes by person, as
`metrics.clustered.share_interval` makes it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.embeddings import Floats, people_of, unit_rows
from recognition.errors import InputError
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.searches import places_of
from recognition.metrics.verification import doubt, threshold_at_fmr
from recognition.progress import Watch, numbered, unwatched
from recognition.search.index import Index, build_index
from recognition.search.index_kinds import Exact, Hnsw, Ivf, Kind
from recognition.search.quantised import Singles
from recognition.search.scan import Hit, Part

Codes = npt.NDArray[np.int64]
Answers = list[list[Hit]]

SINGLES = 200  # searches timed one by one
BATCH = 32  # probes searched together
STRANGERS = 0.2  # of the people, where no queries are given
TOLERATED = 0.01  # added FNIR that a recommended kind may have, at the upper end


class BenchTask(NamedTuple):
    """Who is enrolled, and who is searched for.

    Attributes:
        part: the vectors enrolled.
        probes: (Q, D) unit queries.
        own: (Q,) number of the person on each, -1 for strangers.
        shown: (Q,) a number of each person on a query, strangers too.
    """

    part: Part
    probes: Floats
    own: Codes
    shown: Codes


@dataclass(frozen=True)
class KindResult:
    """What an index of one kind is worth.

    Attributes:
        kind: as text.
        approximate: whether it may miss people.
        build_seconds: to make it.
        bytes: in memory, beside the vectors.
        recall_1: share of searches whose first person is as alike as the exact search's.
        recall_k: share of the k best people that it lists, ties counting for it.
        single_ms: median of a search for one probe.
        single_95_ms: 95th percentile of it.
        batch_ms: median a probe, where 32 are searched together.
        missed: mated searches that the exact search answers and this one does not.
        added_fnir: their share of the mated searches; None where there are none.
        low: lower end of its 95 % interval by person.
        high: upper end.
    """

    kind: str
    approximate: bool
    build_seconds: float
    bytes: int
    recall_1: float
    recall_k: float
    single_ms: float
    single_95_ms: float
    batch_ms: float
    missed: int
    added_fnir: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Bench:
    """Kinds of index, measured on one gallery.

    Attributes:
        samples: vectors enrolled.
        people: how many people.
        dimension: of the vectors.
        mated: searches for somebody enrolled.
        strangers: searches for others.
        k: people listed of a search.
        threshold: at which FNIR is told.
        fpir: that it was set for, None where it was given.
        fnir: of the exact search there; None where nobody enrolled is searched for.
        results: one a kind.
        recommended: the kind of the shortest search for one probe whose added FNIR is 0, or with 95 %
            confidence at most 0.01.
        notes: what to know.
    """

    samples: int
    people: int
    dimension: int
    mated: int
    strangers: int
    k: int
    threshold: float
    fpir: float | None
    fnir: float | None
    results: tuple[KindResult, ...]
    recommended: str
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def bench_indexes(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    queries: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    kinds: Sequence[Kind] = (),
    k: int = 10,
    fpir: float = 0.01,
    threshold: float | None = None,
    most_queries: int = 1000,
    seed: int = 0,
    watch: Watch = unwatched,
) -> Bench:
    """Build an index of each kind and compare it with the exact search.

    Without queries a fifth of the people, at random, are strangers who search and are not enrolled,
    and one sample of each other person who has more than one searches as well.

    Args:
        embeddings: (N, D), of any length.
        labels: (N,) the person on each.
        queries: (Q, D) embeddings and (Q,) people, enrolled or not.
        kinds: those that fit the number of samples where none are given.
        k: people to list.
        fpir: the threshold is the lowest at which at most this share of strangers is named.
        threshold: a score instead.
        most_queries: searches to make; more queries are thinned at random.
        seed: of who is a stranger, and of the thinning.
        watch: told how far it is.

    Raises:
        InputError: vectors that cannot be searched, no strangers to set the threshold on and none
            given, or a kind that does not fit so few samples.
    """
    if k < 1 or most_queries < 1:
        raise InputError(f"expected k and queries of at least 1, got {k} and {most_queries}")
    task = _task(embeddings, labels, queries, most_queries, seed)
    exact = build_index(Exact(), [task.part])
    with watch("searching exactly", len(task.probes)) as advance:
        truth = _in_batches(exact, task.probes, k, advance)
    value, note = _threshold(task, truth, fpir, threshold)
    asked = list(kinds) or usual_kinds(len(task.part.rows))
    results = tuple(
        _measured(kind, task, truth, k, value, numbered(watch, f"{at}/{len(asked)} {kind}"))
        for at, kind in enumerate(asked, 1)
    )
    mated = int((task.own >= 0).sum())
    hits = _named(task, truth, value)
    return Bench(
        samples=len(task.part.rows),
        people=len(np.unique(task.part.people)),
        dimension=task.probes.shape[1],
        mated=mated,
        strangers=len(task.own) - mated,
        k=k,
        threshold=value,
        fpir=fpir if threshold is None else None,
        fnir=1 - int(hits.sum()) / mated if mated else None,
        results=results,
        recommended=_recommended(results),
        notes=tuple(filter(None, [note, *_doubts(mated, results)])),
    )


def usual_kinds(samples: int) -> list[Kind]:
    """What is worth trying for so many samples: cells come to about 4 √N, of which a few are read."""
    cells = 2 ** max(2, round(np.log2(4 * max(1, samples) ** 0.5)))
    kinds: list[Kind] = [Exact(), Exact("float32"), Exact("float16"), Exact("int8")]
    while cells > 1 and 64 * cells > samples:
        cells //= 2
    probed = sorted({max(1, cells // 64), max(1, cells // 16)})
    return [*kinds, *(Ivf(cells, few) for few in probed), Hnsw()]


def _task(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    queries: tuple[npt.ArrayLike, npt.ArrayLike] | None,
    most: int,
    seed: int,
) -> BenchTask:
    vectors: Singles = np.asarray(embeddings, np.float32)
    people = people_of(labels, len(vectors))
    random = np.random.default_rng(seed)
    if queries is None:
        enrolled, asked = _split(people.codes, random)
        probes, shown = vectors[asked], people.codes[asked]
        own = np.where(np.isin(shown, people.codes[enrolled]), shown, -1)
    else:
        enrolled = np.arange(len(vectors))
        probes = np.asarray(queries[0], np.float32)
        theirs = people_of(queries[1], len(probes), what="labels of the queries")
        shown = theirs.codes
        own = places_of(theirs.names, people.names)[theirs.codes]
    if not len(enrolled) or not len(probes):
        raise InputError(
            f"expected people to enrol and some to search for, got {len(people.names)} people of "
            f"{len(vectors)} samples; give more, or --queries"
        )
    if probes.shape[1:] != vectors.shape[1:]:
        raise InputError(
            f"expected queries of the gallery's {vectors.shape[1]} dimensions, got "
            f"{probes.shape[1]}; embed both with the same model"
        )
    some = np.sort(random.choice(len(probes), min(most, len(probes)), replace=False))
    part = Part.of(np.ascontiguousarray(vectors[enrolled]), people.codes[enrolled])
    return BenchTask(part, unit_rows(probes[some], what="queries"), own[some], shown[some])


def _split(codes: Codes, random: np.random.Generator) -> tuple[Codes, Codes]:
    """Rows to enrol, and rows to search for."""
    people = int(codes.max()) + 1
    strange = np.zeros(people, bool)
    strange[random.permutation(people)[: round(STRANGERS * people)]] = True
    order = random.permutation(len(codes))
    first = order[np.unique(codes[order], return_index=True)[1]]  # one sample of each person
    held = first[np.bincount(codes)[codes[first]] > 1]
    held = held[~strange[codes[held]]]
    asked = np.concatenate([held, np.flatnonzero(strange[codes])])
    enrolled = np.setdiff1d(np.arange(len(codes)), asked)
    return enrolled, np.sort(asked)


def _threshold(
    task: BenchTask, truth: Answers, fpir: float, given: float | None
) -> tuple[float, str | None]:
    if given is not None:
        if not np.isfinite(given):
            raise InputError(f"threshold: expected a finite score, got {given}")
        return given, None
    strange = [hits[0].score for hits, own in zip(truth, task.own, strict=True) if own < 0]
    if not strange:
        raise InputError(
            "expected queries of strangers to set the threshold on, but all show people who are "
            "enrolled; give such queries, or --threshold"
        )
    value = max(-1.0, threshold_at_fmr(np.array(strange, np.float32), fpir))
    return value, doubt("FPIR", fpir, len(strange), "searches of strangers", "false alarms")


def _measured(
    kind: Kind, task: BenchTask, truth: Answers, k: int, threshold: float, watch: Watch
) -> KindResult:
    start = time.perf_counter()
    index = build_index(kind, [task.part], watch=watch)
    built = time.perf_counter() - start
    index.best(task.probes[:1], k)  # what is made at the first search is not timed
    with watch("searching", len(task.probes) + SINGLES) as advance:
        alone = _timed(index, task.probes[:SINGLES], 1, k, advance)
        lap: list[float] = []
        found = _in_batches(index, task.probes, k, lambda n: advance(SINGLES + n), lap)
    first, kept = _recalls(found, truth, k)
    missed = _named(task, truth, threshold) & ~_named(task, found, threshold)
    mated = task.own >= 0
    share = int(missed.sum()) / int(mated.sum()) if mated.any() else None
    low, high = (
        share_interval(missed[mated], np.unique(task.shown[mated], return_inverse=True)[1])
        if share is not None
        else (None, None)
    )
    return KindResult(
        str(kind),
        kind.approximate,
        built,
        index.nbytes(),
        first,
        kept,
        float(np.median(alone)),
        float(np.quantile(alone, 0.95)),
        float(np.median(lap)),
        int(missed.sum()),
        share,
        low,
        high,
    )


def _timed(
    index: Index, probes: Floats, size: int, k: int, advance: Callable[[int], None]
) -> list[float]:
    """Milliseconds a probe of each search of `size` probes."""
    lap: list[float] = []
    _in_batches(index, probes, k, advance, lap, size)
    return lap


def _in_batches(
    index: Index,
    probes: Floats,
    k: int,
    advance: Callable[[int], None],
    lap: list[float] | None = None,
    size: int = BATCH,
) -> Answers:
    found: Answers = []
    for start in range(0, len(probes), size):
        some = probes[start : start + size]
        before = time.perf_counter()
        found += index.best(some, k)
        if lap is not None:
            lap.append((time.perf_counter() - before) / len(some) * 1000)
        advance(len(found))
    return found


def _recalls(found: Answers, truth: Answers, k: int) -> tuple[float, float]:
    """The share of searches with the right first person, and of the k best that are listed."""
    first, kept, wanted = 0, 0, 0
    for mine, exact in zip(found, truth, strict=True):
        first += bool(mine) and mine[0].score == exact[0].score
        last = exact[min(k, len(exact)) - 1].score
        kept += sum(hit.score >= last for hit in mine[:k])
        wanted += min(k, len(exact))
    return first / len(truth), kept / wanted


def _named(task: BenchTask, found: Answers, threshold: float) -> npt.NDArray[np.bool_]:
    """(Q,) mated searches that are answered with the right person; a tie at rank 1 is none."""
    return np.array(
        [
            bool(hits)
            and hits[0].person == own
            and hits[0].score >= threshold
            and (len(hits) < 2 or hits[1].score < hits[0].score)
            for hits, own in zip(found, task.own.tolist(), strict=True)
        ],
        bool,
    )


def _recommended(results: Sequence[KindResult]) -> str:
    fit = [one for one in results if not one.approximate or _tolerable(one)]
    return min(fit or results, key=lambda one: (one.single_ms, one.bytes)).kind


def _tolerable(one: KindResult) -> bool:
    return one.high is not None and one.high <= TOLERATED


def _doubts(mated: int, results: Sequence[KindResult]) -> list[str]:
    if not mated:
        return ["nobody who is enrolled is searched for, so added FNIR cannot be told"]
    doubtful = [r.kind for r in results if r.approximate and not r.missed and not _tolerable(r)]
    if doubtful:
        said = (
            f"{', '.join(doubtful)}: nobody was missed, but {mated:,} mated searches cannot show "
            f"that added FNIR is at most {TOLERATED:g}; give more queries"
        )
        return [said]
    return []
