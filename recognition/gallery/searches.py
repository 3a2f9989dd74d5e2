"""Searches of strangers and of people enrolled, counted by person: what a threshold is set by."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons import threshold_allowing
from recognition.contract import Contract
from recognition.errors import InputError
from recognition.gallery.answers import Answer, PersonScore
from recognition.gallery.interface import Gallery
from recognition.metrics.verification import allowed_errors
from recognition.progress import Advance

Singles = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Rows = npt.NDArray[np.generic]
Names = list[str]

ANY = -1.0  # cosines are not lower; it decides nothing, and is no threshold that could be outgrown
BATCH = 256  # probes searched at a time
FIRST = 8  # candidates listed of a search at first, where all pairs are counted
SAME = 1.0  # the score of a picture with itself


class Measured(NamedTuple):
    """A threshold and the errors of strangers at it."""

    value: float
    errors: Counts  # (S,) of each stranger
    tried: Counts  # (S,)


class Misses(NamedTuple):
    """Searches for people who are enrolled, on other pictures than these."""

    missed: Counts  # (M,) of each person
    tried: Counts  # (M,)
    same: int  # probes left out, as they are enrolled themselves


class Search:
    """Searches of a gallery, told to somebody who watches."""

    def __init__(
        self,
        gallery: Gallery,
        contract: Contract | None,
        advance: Advance,
        score: PersonScore = "best",
    ) -> None:
        self._gallery, self._contract, self._advance = gallery, contract, advance
        self._score = score
        self._done = 0

    def __call__(self, rows: Rows, top: int) -> list[Answer]:
        found: list[Answer] = []
        for start in range(0, len(rows), BATCH):
            found += self._answers(rows[start : start + BATCH], top, self._score)
            self._advance(self._done + len(found))
        self._done += len(found)
        return found

    def copies(self, rows: Rows, answers: Sequence[Answer]) -> list[Names]:
        """Who has the very picture of each probe enrolled; the answers tell, but of templates."""
        if self._score != "best":
            starts = range(0, len(rows), BATCH)
            answers = [
                one
                for start in starts
                for one in self._answers(rows[start : start + BATCH], 2, "best")
            ]
        return [[one.name for one in answer.candidates if one.score >= SAME] for answer in answers]

    def _answers(self, rows: Rows, top: int, score: PersonScore) -> list[Answer]:
        return self._gallery.identify(
            rows, top=top, threshold=ANY, score=score, contract=self._contract
        )


def by_search(
    search: Search,
    rows: Rows,
    strangers: Names,
    missing: Names,
    target: float,
) -> Measured:
    """FPIR: of each search only the best score counts."""
    answers = search(rows, 1)
    _refuse_enrolled(strangers, search.copies(rows, answers))
    best = [answer.candidates[0].score for answer in answers]
    scores = np.array(best + [-np.inf] * len(missing), np.float32)
    value = threshold_allowing(scores, allowed_errors(target, len(scores)))
    codes = _codes([*strangers, *missing])
    value = max(value, ANY)  # searches that failed can leave none that must not pass
    return Measured(
        value, np.bincount(codes[scores >= value], minlength=codes.max() + 1), np.bincount(codes)
    )


def by_comparison(
    search: Search,
    rows: Rows,
    strangers: Names,
    enrolled: int,
    target: float,
) -> Measured:
    """FMR: every person enrolled counts, so as many are listed as reach the threshold."""
    codes = _codes(strangers)
    tried = np.bincount(codes) * enrolled
    allowed = allowed_errors(target, int(tried.sum()))
    listed: list[Singles] = [np.empty(0, np.float32)] * len(rows)
    unsure, top = np.arange(len(rows)), min(FIRST, enrolled)
    while True:
        answers = search(rows[unsure], top)
        if len(unsure) == len(rows):  # at first
            _refuse_enrolled(strangers, search.copies(rows, answers))
        for at, answer in zip(unsure, answers, strict=True):
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
    return Measured(value, np.bincount(codes, errors).astype(np.int64), tried)


def _highest_rejected(scores: Singles, allowed: int) -> float:
    """The score after the `allowed` highest; -inf where fewer are known."""
    if len(scores) <= allowed:
        return -np.inf
    return float(np.partition(scores, -allowed - 1)[-allowed - 1])


def count_misses(
    search: Search, rows: Rows, mates: Names, failed: Names, threshold: float
) -> Misses:
    """Searches that miss: anybody else scores as much as the mate, or the mate below T.

    Those of pictures that could not be embedded, `failed`, miss.
    """
    tried: Names = list(failed)
    missed: Names = list(failed)
    same = 0
    answers = search(rows, 2)
    copies = search.copies(rows, answers)
    for mate, answer, enrolled in zip(mates, answers, copies, strict=True):
        if mate in enrolled:
            same += 1
            continue
        tried.append(mate)
        if not _hit(answer, mate, threshold):
            missed.append(mate)
    codes = _codes([*tried, *missed])  # who is missed was tried, so the first are numbered first
    people = int(codes.max()) + 1 if len(codes) else 0
    first = len(tried)
    return Misses(np.bincount(codes[first:], minlength=people), np.bincount(codes[:first]), same)


def _hit(answer: Answer, mate: str, threshold: float) -> bool:
    """Whether the person comes first, alone, at or above the threshold."""
    first, *others = answer.candidates
    alone = not others or others[0].score < first.score
    return first.name == mate and alone and first.score >= threshold


def _refuse_enrolled(strangers: Names, copies: Sequence[Names]) -> None:
    for stranger, enrolled in zip(strangers, copies, strict=True):
        if enrolled:
            raise InputError(
                f"expected strangers, but a picture of {stranger[:80]!r} is enrolled as "
                f"{enrolled[0][:80]!r}; correct the labels, or leave it out"
            )


def _codes(names: Sequence[str]) -> Counts:
    """A number for each name."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
