"""The threshold for a wanted error rate, set on strangers who search among the people enrolled.

A stranger is anybody who is not enrolled. The threshold is the smallest T with

    FPIR(T) = #{searches of strangers: best score >= T} / #{searches of strangers} <= target
    FMR(T)  = #{(search of a stranger, person enrolled): score >= T} / #{all such pairs} <= target

so whoever ties with the first who must not pass does not pass either. The interval is that of the
rate reached at T, by stranger (`metrics.clustered`): those who are enrolled are the gallery's, and
do not vary. The rate is at most the target on these strangers; with k errors allowed in n trials,
others are expected to reach (k + 1) / (n + 1), a little more, which is well within the interval (in
simulations of 60 and 200 strangers it held the true rate in 92 to 100 % of 300). FPIR holds for so many people as are enrolled; FMR does not depend on it, but the more
are enrolled, the more often one of them matches.

Sources: ISO/IEC 19795-1:2021; NIST FRTE 1:N; Jovanovic and Levy, A Look at the Rule of Three, The
American Statistician 51 (1997); Doddington's rule of 30 as in `metrics.verification`.
"""

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract
from recognition.embeddings import names_of
from recognition.errors import InputError
from recognition.gallery.answers import PersonScore, Rule, Threshold
from recognition.gallery.changes import now
from recognition.gallery.interface import Gallery
from recognition.gallery.searches import (
    Misses,
    Names,
    Search,
    by_comparison,
    by_search,
    count_misses,
)
from recognition.metrics.person_intervals import counted_interval
from recognition.metrics.verification import ENOUGH_ERRORS, allowed_errors, doubt
from recognition.progress import Watch, unwatched

THREE = 3  # without an error in n trials, the rate is at most 3 / n at 95 %
TRIALS = {
    "fpir": ("searches of strangers", "false alarms"),
    "fmr": ("comparisons with strangers", "false matches"),
}


def calibrate(
    gallery: Gallery,
    probes: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    fpir: float | None = None,
    fmr: float | None = None,
    score: PersonScore = "best",
    failures: npt.ArrayLike = (),
    contract: Contract | None = None,
    watch: Watch = unwatched,
) -> Threshold:
    """The lowest threshold whose FPIR, or FMR, is at most the target among those enrolled.

    It is returned, not set: `gallery.set_threshold` does that. Probes of people who are enrolled
    tell FNIR at it: a search misses where anybody else scores as much as the person, or the person
    below the threshold. Pictures that are enrolled themselves are left out of that.

    Args:
        gallery: who is enrolled.
        probes: (N, D) embeddings of strangers, and of people enrolled on other pictures.
        labels: (N,) the person on each.
        fpir: the share of searches of strangers that may give a name; or
        fmr: the share of comparisons of a stranger with a person enrolled that may match.
        score: a person's score, by the sample most alike or by the template.
        failures: the person on each picture that could not be embedded: a stranger gets no name
            by it, and somebody enrolled is missed. For FPIR and FNIR.
        contract: of the probes, checked against the gallery's where it is given.
        watch: told how many probes are searched.

    Raises:
        InputError: not one rate between 0 and 1; nobody enrolled; too few strangers to measure the
            rate, with how many more are needed; a stranger on a picture that is enrolled; probes
            that are no embeddings of the gallery's contract.

    Source: see the module.

    >>> import tempfile
    >>> from recognition.contract import Contract, Preprocessing
    >>> contract = Contract("demo", "00" * 32, 2, Preprocessing())
    >>> with tempfile.TemporaryDirectory() as folder, Gallery.create(folder, contract) as gallery:
    ...     gallery.enroll("ada", [1, 0])
    ...     found = calibrate(gallery, [[1, 1], [1, 2], [1, 3], [1, 4]], list("abcd"), fpir=0.25)
    >>> f"{found.value:.3f}", found.reached  # one of four strangers, at 45 degrees, is named
    ('0.447', 0.25)
    """
    target = _target(fpir, fmr)
    rule: Rule = "fpir" if fmr is None else "fmr"
    rows = np.atleast_2d(np.asarray(probes))
    names, lost = _names(labels, "labels"), _names(failures, "failures")
    if len(names) != len(rows):
        raise InputError(
            f"expected the person on each of {len(rows)} probes, got {len(names)} labels; name one "
            "for each"
        )
    enrolled = {person.name for person in gallery.people()}
    strange = np.array([name not in enrolled for name in names], bool)
    strangers = [name for name in names if name not in enrolled]
    missing = [name for name in lost if name not in enrolled]
    with watch("searching", len(rows)) as advance:
        search = Search(gallery, contract, advance, score)
        if rule == "fpir":
            people = _measurable(rule, target, enrolled, [*strangers, *missing], 1, strangers)
            measured = by_search(search, rows[strange], strangers, missing, target)
        else:
            people = _measurable(rule, target, enrolled, strangers, len(enrolled), strangers)
            measured = by_comparison(search, rows[strange], strangers, len(enrolled), target)
        mates = [name for name in names if name in enrolled]
        failed = [name for name in lost if name in enrolled]
        misses = count_misses(search, rows[~strange], mates, failed, measured.value)
    trials = int(measured.tried.sum())
    found = Threshold(
        measured.value,
        rule,
        target,
        *counted_interval(measured.errors, measured.tried),
        people=len(enrolled),
        strangers=people,
        data=_sum(rows, names, lost),
        date=now(),
        note=_note(rule, target, trials, people, misses.same),
        reached=float(measured.errors.sum() / trials),
        trials=trials,
        score=score,
    )
    return found if not misses.tried.any() else _with(found, misses)


def _with(found: Threshold, misses: Misses) -> Threshold:
    low, high = counted_interval(misses.missed, misses.tried)
    mated = int(misses.tried.sum())
    share = float(misses.missed.sum() / mated)
    return replace(found, fnir=share, fnir_low=low, fnir_high=high, mated=mated)


def _target(fpir: float | None, fmr: float | None) -> float:
    given = [rate for rate in (fpir, fmr) if rate is not None]
    if len(given) != 1 or not 0 < given[0] < 1:
        raise InputError(
            f"expected one of fpir and fmr between 0 and 1, got fpir {fpir} and fmr {fmr}; fpir "
            "0.01 gives a name to at most one of 100 strangers"
        )
    return given[0]


def _names(labels: npt.ArrayLike, what: str) -> Names:
    names_of(labels, what=what)  # refuses what are no names
    return [str(name) for name in (labels.tolist() if isinstance(labels, np.ndarray) else labels)]  # type: ignore[union-attr]


def _measurable(
    rule: Rule, target: float, enrolled: set[str], tried: Names, each: int, embedded: Names
) -> int:
    """How many strangers there are, if they are enough for the rate.

    Args:
        rule: which rate.
        target: the rate.
        enrolled: everybody in the gallery.
        tried: the stranger of each search.
        each: how many trials a search is.
        embedded: the stranger of each search that could be made.

    Raises:
        InputError: they are not, and how many more would be.
    """
    if not enrolled:
        raise InputError(
            "expected people in the gallery to set a threshold among, but nobody is enrolled; "
            "enrol them first"
        )
    if not embedded:
        raise InputError(
            "expected probes of strangers, but everybody on them is enrolled; add pictures of "
            "people who are not"
        )
    people, trials = len(set(tried)), len(tried) * each
    if people < 2 or not allowed_errors(target, trials):
        wanted = max(2, people + _more(THREE, target, trials, people))
        trusted = max(wanted, people + _more(ENOUGH_ERRORS, target, trials, people))
        why = "one stranger is one trial, however many the pictures"
        if people > 1:
            why = str(doubt(rule.upper(), target, trials, *TRIALS[rule]))
        raise InputError(
            f"{why}; {people:,} strangers are here: add {wanted - people:,} more to measure it, "
            f"{trusted - people:,} more to trust it, with as many pictures each"
        )
    return people


def _note(rule: Rule, target: float, trials: int, people: int, same: int) -> str:
    """Why it is hardly measured, how many more people would do, and what was left out."""
    told = []
    why = doubt(rule.upper(), target, trials, *TRIALS[rule])
    if why is not None:
        more = _more(ENOUGH_ERRORS, target, trials, people)
        told.append(f"{why}: {more:,} more strangers with as many pictures each")
    if same:
        told.append(f"{same:,} probes that are enrolled themselves were left out")
    return "; ".join(told)


def _more(errors: int, target: float, trials: int, people: int) -> int:
    """How many more strangers, each with as many trials, for so many errors to be allowed."""
    return max(0, math.ceil((errors / target - trials) * people / trials))


def _sum(rows: npt.NDArray[np.generic], names: Names, lost: Names) -> str:
    """sha256 of labels and embeddings, in their order."""
    found = hashlib.sha256(json.dumps([names, lost]).encode())
    found.update(np.ascontiguousarray(rows, "<f4").tobytes())
    return found.hexdigest()
