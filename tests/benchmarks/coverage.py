"""How often intervals of nominal 95 % hold the true rate, in simulated sets of people.

    OMP_NUM_THREADS=1 python tests/benchmarks/coverage.py --processes 2 --output coverage.md

Pictures are points on a sphere around the point of their person: 4 of each person, all compared.

    alike    people lie anywhere, and all scatter by as much
    unlike   everybody leans to one pole, more or less, and scatters by more or less: their FMRs
             and FNMRs differ at least as much as those of the people of ORL under MobileFaceNet
    wolves   a quarter lean to the pole, some of them strongly: few people make most false matches

True rates are those of 100,000 people drawn in the same way. "At t" means a threshold known
beforehand, the true one of an FMR; "at FMR" one that each set estimates for itself. The bootstraps
are made for the first sets only. A cell holds the share of intervals with the true rate inside,
in percent, ± its Monte Carlo standard error, and the mean width; a set without an error counts.
"""

import argparse
import functools
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recognition.comparisons.scores import Scores, accepted
from recognition.metrics.clustered import Clusters
from recognition.metrics.meetings import Meetings
from recognition.metrics.proportions import clopper_pearson, wilson, wilson_share
from recognition.metrics.resampling import Resampled, draw
from recognition.metrics.verification import area_under_curve, equal_error_rate, tar_at_fmr

KINDS = ("alike", "unlike", "wolves")
DIMENSIONS, PICTURES = 32, 4
LEVELS = (1e-2, 1e-3)
BINS = 200_000  # of the scores from -1 to 1, for the true rates

NAIVE = "Wilson, pairs independent"
EXACT = "Clopper-Pearson, pairs independent"
PUBLISHED = "clustered Wilson as published"
FIXED = "clustered Wilson, threshold taken as known"
CLUSTERED = "clustered Wilson"
BOOTSTRAP = "person bootstrap, percentiles"
SPREAD = "person bootstrap, Wilson of its spread"
METHODS = (NAIVE, EXACT, PUBLISHED, FIXED, CLUSTERED, BOOTSTRAP, SPREAD)


def crowd(random: np.random.Generator, people: int, kind: str) -> np.ndarray:
    """(people, PICTURES, DIMENSIONS) unit rows."""
    centres = random.normal(size=(people, 1, DIMENSIONS)) / np.sqrt(DIMENSIONS)
    scatter = np.full((people, 1, 1), 0.75)
    if kind == "unlike":
        centres[:, 0, 0] += 0.3 * np.abs(random.normal(size=people))
        scatter = 0.65 * np.exp(0.2 * random.normal(size=(people, 1, 1)))
    if kind == "wolves":
        leaning = random.random(people) < 0.25
        centres[leaning, 0, 0] += random.exponential(0.45, leaning.sum())
        scatter = 0.75 * np.exp(0.35 * random.normal(size=(people, 1, 1)) - 0.1)
    centres /= np.linalg.norm(centres, axis=2, keepdims=True)
    noise = random.normal(size=(people, PICTURES, DIMENSIONS)) / np.sqrt(DIMENSIONS)
    rows = centres + scatter * noise
    return rows / np.linalg.norm(rows, axis=2, keepdims=True)


class Truth(NamedTuple):
    """The rates of everybody: thresholds of each level, FMR and FNMR there, EER and AUC."""

    thresholds: dict[float, float]
    fmr: dict[float, float]
    fnmr: dict[float, float]
    eer: float
    auc: float


def truth(kind: str, blocks: int, size: int = 4000) -> Truth:
    """From `blocks` groups of `size` people, everybody compared with everybody of the group."""
    random = np.random.default_rng(9)
    one, two = np.triu_indices(PICTURES, 1)
    false, true = np.zeros(BINS), np.zeros(BINS)
    different = np.triu_indices(size, 1)
    for _ in range(blocks):
        x = crowd(random, size, kind)
        false += _binned((x[:, 0] @ x[:, 1].T)[different])
        true += _binned(np.einsum("pid,pjd->pij", x, x)[:, one, two].ravel())
    fmr = np.cumsum(false[::-1])[::-1] / false.sum()
    fnmr = 1 - np.cumsum(true[::-1])[::-1] / true.sum()
    auc = ((np.cumsum(false) - false / 2) * true).sum() / (false.sum() * true.sum())
    places = {level: int(np.searchsorted(-fmr, -level)) for level in LEVELS}
    return Truth(
        {level: 2 * at / BINS - 1 for level, at in places.items()},
        {level: float(fmr[at]) for level, at in places.items()},
        {level: float(fnmr[at]) for level, at in places.items()},
        float(fmr[np.argmin(np.abs(fmr - fnmr))]),
        float(auc),
    )


def _binned(scores: np.ndarray) -> np.ndarray:
    return np.bincount(((scores + 1) * (BINS / 2)).astype(np.int64), minlength=BINS)[:BINS]


class Design(NamedTuple):
    """Who meets whom, the same in every set."""

    first: np.ndarray
    second: np.ndarray
    persons: np.ndarray
    mated_person: np.ndarray
    meetings: Meetings


@functools.cache
def design(people: int) -> Design:
    first, second = np.triu_indices(people * PICTURES, 1)
    different = first // PICTURES != second // PICTURES
    first, second = first[different], second[different]
    persons = np.stack([first, second], axis=1).astype(np.int32) // PICTURES
    mated = np.arange(people, dtype=np.int32).repeat(PICTURES * (PICTURES - 1) // 2)
    return Design(first, second, persons, mated, Meetings.complete(np.full(people, PICTURES)))


Found = tuple[str, str, float, float, float]  # quantity, method, low, high, the true rate


def intervals(rows: np.ndarray, true: Truth, replicates: int, seed: int) -> Iterator[Found]:
    """All intervals of one set; without bootstraps for 0 replicates."""
    people = len(rows)
    made = design(people)
    x = rows.reshape(-1, DIMENSIONS)
    cosines = (x @ x.T).astype(np.float32)
    one, two = np.triu_indices(PICTURES, 1)
    own = cosines.reshape(people, PICTURES, people, PICTURES)
    mated = np.einsum("ipiq->ipq", own)[:, one, two].ravel()
    nonmated = cosines[made.first, made.second]
    scores = Scores(mated, nonmated, made.mated_person, made.persons, people)
    clusters = Clusters(scores, made.mated_person, nonmated, made.persons, made.meetings)
    resampled = Resampled(scores, draw(people, replicates, seed)) if replicates else None
    for level, t in true.thresholds.items():
        matched, missed = nonmated >= t, mated < t
        for what, errors, rate, clustered, sums in (
            (f"FMR at t({level:g})", matched, true.fmr[level], clusters.fmr, _matched_sums),
            (f"FNMR at t({level:g})", missed, true.fnmr[level], clusters.fnmr, _missed_sums),
        ):
            count, trials = int(errors.sum()), len(errors)
            yield what, NAIVE, *wilson(count, trials), rate
            yield what, EXACT, *clopper_pearson(count, trials), rate
            yield what, PUBLISHED, *_published(count, trials, sums(errors, made)), rate
            yield what, CLUSTERED, *clustered(t), rate
            if resampled:
                again = _resampled_rate(errors, made, resampled, what.startswith("FMR"))
                yield from _bootstraps(what, again, count / trials, rate, people)
    for level in LEVELS:
        what, point, rate = f"TAR at FMR {level:g}", tar_at_fmr(scores, level), 1 - true.fnmr[level]
        yield what, NAIVE, *wilson(point.accepted, point.mated), rate
        yield what, EXACT, *clopper_pearson(point.accepted, point.mated), rate
        low, high = clusters.fnmr(point.threshold)
        yield what, FIXED, 1 - high, 1 - low, rate
        yield what, CLUSTERED, *clusters.tar(level), rate
        if resampled:
            yield from _bootstraps(what, resampled.tar_at_fmr(level), point.tar, rate, people)
    equal, area = equal_error_rate(scores), area_under_curve(scores)
    missed = len(mated) - accepted(mated, equal.threshold)
    yield "EER", NAIVE, *wilson_share(equal.rate, len(mated)), true.eer
    yield "EER", EXACT, *clopper_pearson(missed, len(mated)), true.eer
    yield "EER", CLUSTERED, *clusters.eer(), true.eer
    yield "AUC", CLUSTERED, *clusters.auc(), true.auc
    if resampled:
        again = resampled.equal_error_rate()
        yield from _bootstraps("EER", again, equal.rate, true.eer, people)
        yield from _bootstraps("AUC", resampled.area_under_curve(), area, true.auc, people)


Sums = tuple[float, float]  # Σ of squares by person, and by pair of people


def _matched_sums(errors: np.ndarray, made: Design) -> Sums:
    people = len(made.meetings.of)
    met = np.zeros((people, people))
    np.add.at(met, tuple(made.persons[errors].T), 1)
    met += met.T
    expected = np.full((people, people), errors.mean() * PICTURES**2)
    np.fill_diagonal(expected, 0)
    off = met - expected
    return float((off.sum(axis=1) ** 2).sum()), float((off**2).sum() / 2)


def _missed_sums(errors: np.ndarray, made: Design) -> Sums:
    off = errors.reshape(len(made.meetings.of), -1).sum(axis=1)
    return float(((off - off.mean()) ** 2).sum()), 0.0


def _published(count: int, trials: int, sums: Sums) -> tuple[float, float]:
    """Wilson's interval of the normal distribution with n = p (1 - p) / Var, no more than that."""
    share, variance = count / trials, (sums[0] - sums[1]) / trials**2
    if variance <= 0:
        return wilson(count, trials)
    return wilson_share(share, share * (1 - share) / variance)


def _resampled_rate(
    errors: np.ndarray, made: Design, resampled: Resampled, pairs: bool
) -> np.ndarray:
    w = resampled.weights
    if not pairs:
        return (errors.reshape(len(w), -1).sum(axis=1) @ w) / resampled.mated
    met = np.zeros((len(w), len(w)))
    np.add.at(met, tuple(made.persons[errors].T), 1)
    return ((met @ w) * w).sum(axis=0) / resampled.nonmated


def _bootstraps(
    what: str, again: np.ndarray, rate: float, true: float, people: int
) -> Iterator[Found]:
    low, high = np.quantile(again, 0.025), np.quantile(again, 0.975)
    yield what, BOOTSTRAP, low, high, true
    variance = float(again.var(ddof=1))
    # the same shape as the clustered interval, so that only the variances differ
    worth = rate * (1 - rate) / variance if variance and 0 < rate < 1 else people
    yield what, SPREAD, *wilson_share(rate, worth, freedom=people - 1), true


class Job(NamedTuple):
    kind: str
    people: int
    first: int
    sets: int
    bootstrap: int  # sets up to this number are resampled
    replicates: int


def work(job: Job, true: Truth) -> tuple[Job, list[Found]]:
    found: list[Found] = []
    for number in range(job.first, job.first + job.sets):
        random = np.random.default_rng([KINDS.index(job.kind), job.people, number])
        replicates = job.replicates if number < job.bootstrap else 0
        found += intervals(crowd(random, job.people, job.kind), true, replicates, number)
    return job, found


def cell(found: list[tuple[float, float, float]]) -> str:
    low, high, true = np.array(found).T
    covers = ((low <= true) & (true <= high)).mean()
    error = np.sqrt(covers * (1 - covers) / len(found))
    return f"{100 * covers:.1f} ± {100 * error:.1f} ({np.mean(high - low):.2g})"


def table(people: int, found: dict[tuple[str, str, str], list[tuple[float, float, float]]]) -> str:
    quantities = list(dict.fromkeys(what for _, what, _ in found))
    lines = [
        f"| {people} people | method | {' | '.join(KINDS)} |",
        "|---|---|" + "---|" * len(KINDS),
    ]
    for what, method in itertools.product(quantities, METHODS):
        cells = [found.get((kind, what, method)) for kind in KINDS]
        if all(cells):
            lines.append(f"| {what} | {method} | {' | '.join(map(cell, cells))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=1000, help="sets of people of each kind")
    parser.add_argument("--bootstrap", type=int, default=300, help="how many are bootstrapped")
    parser.add_argument("--replicates", type=int, default=200, help="resamples of each of these")
    parser.add_argument("--people", type=int, nargs="+", default=[200, 40])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, help="write the tables to this file too")
    parser.add_argument("--quick", action="store_true", help="a look at the shape of the tables")
    args = parser.parse_args()
    blocks, step = 25, 25
    if args.quick:
        args.sets, args.bootstrap, args.replicates, blocks, step = 40, 8, 50, 2, 8
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    start = time.perf_counter()
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
    jobs = [
        Job(kind, people, first, min(step, args.sets - first), args.bootstrap, args.replicates)
        for people in args.people
        for kind in KINDS
        for first in range(0, args.sets, step)
    ]
    with ProcessPoolExecutor(args.processes) as pool:
        known = dict(zip(KINDS, pool.map(truth, KINDS, [blocks] * len(KINDS)), strict=True))
        say(f"true rates known after {time.perf_counter() - start:.0f} s")
        done = [pool.submit(work, job, known[job.kind]) for job in jobs]
        parts: dict[Job, list[Found]] = {}
        for count, future in enumerate(as_completed(done), start=1):
            job, found = future.result()
            parts[job] = found
            say(f"{count} of {len(jobs)} parts, {time.perf_counter() - start:.0f} s")
    rates = [
        f"{kind}: TAR {', '.join(f'{1 - t.fnmr[a]:.4f} at FMR {a:g}' for a in LEVELS)}, "
        f"EER {t.eer:.4f}, AUC {t.auc:.5f}"
        for kind, t in known.items()
    ]
    made = (
        f"{args.sets} sets of each kind, {args.bootstrap} of them bootstrapped with "
        f"{args.replicates} resamples; {time.perf_counter() - start:.0f} s in all."
    )
    pieces = [made, "\n".join(rates)]
    for people in args.people:
        found_by: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
        for job in jobs:  # in the order of the sets, whichever came first
            if job.people == people:
                for what, method, *ends in parts[job]:
                    found_by.setdefault((job.kind, what, method), []).append(tuple(ends))
        pieces.append(table(people, found_by))
    text = "\n\n".join(pieces)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
