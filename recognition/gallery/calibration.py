"""The threshold for a wanted error rate, set on strangers who search among the people enrolled.

A stranger is anybody who is not enrolled. The threshold is the smallest T with

    FPIR(T) = #{searches of strangers: best score >= T} / #{searches of strangers} <= target
    FMR(T)  = #{(search of a stranger, person enrolled): score >= T} / #{all such pairs} <= target

so whoever ties with the first who must not pass does not pass either. The interval is that of the
rate reached at T, by stranger (`metrics.clustered`): those who are enrolled are the gallery's, and
do not vary. FPIR holds for so many people as are enrolled; FMR does not depend on it, but the more
are enrolled, the more often one of them matches.

Sources: ISO/IEC 19795-1:2021; NIST FRTE 1:N; Jovanovic and Levy, A Look at the Rule of Three, The
American Statistician 51 (1997); Doddington's rule of 30 as in `metrics.verification`.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons import threshold_allowing
from recognition.contract import Contract
from recognition.embeddings import names_of
from recognition.errors import InputError
from recognition.gallery.answers import Answer, Threshold
from recognition.gallery.gallery import Gallery
from recognition.metrics.clustered import counted_interval
from recognition.metrics.verification import ENOUGH_ERRORS, allowed_errors, doubt
from recognition.progress import Advance, Watch, unwatched

Singles = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Names = list[str]

ANY = -1.0  # cosines are not lower; it decides nothing, and is no threshold that could be outgrown
BATCH = 256  # probes searched at a time
FIRST = 8  # candidates listed of a search at first, where all pairs are counted
THREE = 3  # without an error in n trials, the rate is at most 3 / n at 95 %
SAME = 1.0  # the score of a picture with itself


class _Measured(NamedTuple):
    """A threshold and the errors of strangers at it."""

    value: float
    errors: Counts  # (S,) of each stranger
    tried: Counts  # (S,)


def calibrate(
    gallery: Gallery,
    probes: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    fpir: float | None = None,
    fmr: float | None = None,
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
    rule = "fpir" if fmr is None else "fmr"
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
    missing = [name for name in lost if name not in enrolled] if rule == "fpir" else []
    trials = len(strangers) + len(missing) if rule == "fpir" else len(strangers) * len(enrolled)
    people = len({*strangers, *missing})
    _require(enrolled, people, rule, target, trials)
    with watch("searching", len(rows)) as advance:
        search = _Search(gallery, contract, advance)
        if rule == "fpir":
            measured = _by_search(search, rows[strange], strangers, missing, target)
        else:
            measured = _by_comparison(search, rows[strange], strangers, len(enrolled), target)
        found = Threshold(
            measured.value,
            "fpir" if rule == "fpir" else "fmr",
            target,
            *counted_interval(measured.errors, measured.tried),
            people=len(enrolled),
            strangers=people,
            data=_sum(rows, names, lost),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            reached=float(measured.errors.sum() / measured.tried.sum()),
            trials=trials,
        )
        found = replace(found, note=_doubt(rule, target, trials, people))
        mates = [name for name in names if name in enrolled]
        return _with_misses(
            found, search, rows[~strange], mates, [name for name in lost if name in enrolled]
        )


class _Search:
    """Searches of a gallery, told to somebody who watches."""

    def __init__(self, gallery: Gallery, contract: Contract | None, advance: Advance) -> None:
        self._gallery, self._contract, self._advance = gallery, contract, advance
        self._done = 0

    def __call__(self, rows: npt.NDArray[np.generic], top: int) -> list[Answer]:
        found: list[Answer] = []
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            found += self._gallery.identify(batch, top=top, threshold=ANY, contract=self._contract)
            self._advance(self._done + len(found))
        self._done += len(found)
        return found


def _by_search(
    search: _Search,
    rows: npt.NDArray[np.generic],
    strangers: Names,
    missing: Names,
    target: float,
) -> _Measured:
    """FPIR: of each search only the best score counts."""
    best = [answer.candidates[0] for answer in search(rows, 1)]
    for stranger, candidate in zip(strangers, best, strict=True):
        _refuse_same(stranger, candidate.name, candidate.score)
    scores = np.array([one.score for one in best] + [-np.inf] * len(missing), np.float32)
    value = threshold_allowing(scores, allowed_errors(target, len(scores)))
    codes = _codes([*strangers, *missing])
    value = max(value, ANY)  # searches that failed can leave none that must not pass
    return _Measured(
        value, np.bincount(codes[scores >= value], minlength=codes.max() + 1), np.bincount(codes)
    )


def _by_comparison(
    search: _Search,
    rows: npt.NDArray[np.generic],
    strangers: Names,
    enrolled: int,
    target: float,
) -> _Measured:
    """FMR: every person enrolled counts, so as many are listed as reach the threshold."""
    codes = _codes(strangers)
    tried = np.bincount(codes) * enrolled
    allowed = allowed_errors(target, int(tried.sum()))
    listed: list[Singles] = [np.empty(0, np.float32)] * len(rows)
    unsure, top = np.arange(len(rows)), min(FIRST, enrolled)
    while True:
        for at, answer in zip(unsure, search(rows[unsure], top), strict=True):
            _refuse_same(strangers[at], answer.candidates[0].name, answer.candidates[0].score)
            listed[at] = np.array([one.score for one in answer.candidates], np.float32)
        scores = np.concatenate(listed)
        # what is not listed of a search scores no more than the last that is
        last = np.array([own[-1] for own in listed])
        unsure = np.flatnonzero(last > _highest_rejected(scores, allowed))
        if top == enrolled or not len(unsure):
            break
        top = min(2 * top, enrolled)
    value = threshold_allowing(scores, allowed)
    errors = np.array([int((own >= value).sum()) for own in listed])
    return _Measured(value, np.bincount(codes, errors).astype(np.int64), tried)


def _highest_rejected(scores: Singles, allowed: int) -> float:
    """The score after the `allowed` highest; -inf where fewer are known."""
    if len(scores) <= allowed:
        return -np.inf
    return float(np.partition(scores, -allowed - 1)[-allowed - 1])


def _with_misses(
    found: Threshold,
    search: _Search,
    rows: npt.NDArray[np.generic],
    mates: Names,
    failed: Names,
) -> Threshold:
    """The same threshold, and FNIR at it where there are searches for somebody enrolled."""
    answers = search(rows, 2)
    new = [not _same(answer, mate) for answer, mate in zip(answers, mates, strict=True)]
    note = found.note
    if not all(new):
        left_out = f"{len(new) - sum(new):,} probes that are enrolled themselves were left out"
        note = "; ".join(filter(None, [note, left_out]))
    missed = [
        not _hit(answer, mate, found.value)
        for answer, mate, other in zip(answers, mates, new, strict=True)
        if other
    ] + [True] * len(failed)
    if not missed:
        return replace(found, note=note)
    codes = _codes([mate for mate, other in zip(mates, new, strict=True) if other] + failed)
    misses = np.array(missed)
    low, high = counted_interval(
        np.bincount(codes[misses], minlength=codes.max() + 1), np.bincount(codes)
    )
    return replace(
        found,
        note=note,
        fnir=float(misses.mean()),
        fnir_low=low,
        fnir_high=high,
        mated=len(misses),
    )


def _hit(answer: Answer, mate: str, threshold: float) -> bool:
    """Whether the person comes first, alone, at or above the threshold."""
    first, *others = answer.candidates
    alone = not others or others[0].score < first.score
    return first.name == mate and alone and first.score >= threshold


def _same(answer: Answer, mate: str) -> bool:
    return any(one.name == mate and one.score >= SAME for one in answer.candidates)


def _refuse_same(stranger: str, name: str, score: float) -> None:
    if score >= SAME:
        raise InputError(
            f"expected strangers, but a picture of {stranger[:80]!r} is enrolled as "
            f"{name[:80]!r}; correct the labels, or leave it out"
        )


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


def _require(enrolled: set[str], people: int, rule: str, target: float, trials: int) -> None:
    if not enrolled:
        raise InputError(
            "expected people in the gallery to set a threshold among, but nobody is enrolled; "
            "enrol them first"
        )
    if not people:
        raise InputError(
            "expected probes of strangers, but everybody on them is enrolled; add pictures of "
            "people who are not"
        )
    if people < 2 or not allowed_errors(target, trials):
        wanted = max(2, people + _more(THREE, target, trials, people))
        trusted = people + _more(ENOUGH_ERRORS, target, trials, people)
        why = "one stranger is one trial, however many the pictures"
        if people > 1:
            why = str(doubt(rule.upper(), target, trials, _trials(rule), _errors(rule)))
        raise InputError(
            f"{why}; {people:,} strangers are here: add {wanted - people:,} more to measure it, "
            f"{max(wanted, trusted) - people:,} more to trust it, with as many pictures each"
        )


def _doubt(rule: str, target: float, trials: int, people: int) -> str:
    """Why it is hardly measured, and how many more people would do; empty where it is."""
    why = doubt(rule.upper(), target, trials, _trials(rule), _errors(rule))
    if why is None:
        return ""
    more = _more(ENOUGH_ERRORS, target, trials, people)
    return f"{why}: {more:,} more strangers with as many pictures each"


def _more(errors: int, target: float, trials: int, people: int) -> int:
    """How many more strangers, each with as many trials, for so many errors to be allowed."""
    return max(0, math.ceil((errors / target - trials) * people / trials))


def _trials(rule: str) -> str:
    return "searches of strangers" if rule == "fpir" else "comparisons with strangers"


def _errors(rule: str) -> str:
    return "false alarms" if rule == "fpir" else "false matches"


def _codes(names: Sequence[str]) -> Counts:
    """A number for each name."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def _sum(rows: npt.NDArray[np.generic], names: Names, lost: Names) -> str:
    """sha256 of labels and embeddings, in their order."""
    found = hashlib.sha256(json.dumps([names, lost]).encode())
    found.update(np.ascontiguousarray(rows, "<f4").tobytes())
    return found.hexdigest()
