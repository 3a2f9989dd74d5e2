"""What a gallery answers, and the threshold that the answer rests on."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, cast, get_args

from recognition.contract import Contract
from recognition.errors import InputError

Rule = Literal["fpir", "fmr", "given"]
PersonScore = Literal["best", "template"]


class OutgrownWarning(UserWarning):
    """More people are enrolled than the threshold holds for, so strangers get names more often."""


@dataclass(frozen=True)
class Threshold:
    """From which score on a name is given, and where that comes from.

    Attributes:
        value: accept at score >= value.
        rule: `fpir`, of searches of strangers a share `rate` is given a name; `fmr`, of
            comparisons of two people; `given`, somebody's own choice.
        rate: the share asked for, None for `given`.
        low: the lower end of the 95 % interval of the share reached, None where not measured.
        high: the upper end.
        people: how many enrolled people it holds for; searches among more give more false names.
        strangers: how many people it was measured on who were not enrolled.
        data: sha256 of what it was measured on, empty for `given`.
        date: when it was set, in ISO 8601.
        note: what else to know, such as how many more people are needed.
        reached: the share reached where it was measured, at most `rate`.
        trials: searches, or comparisons, of strangers that it is a share of.
        fnir: of searches for somebody enrolled, the share that misses; None where not measured.
        fnir_low: the lower end of its 95 % interval.
        fnir_high: the upper end.
        mated: searches for somebody enrolled that FNIR is a share of.
        score: what scores it is for: of a person's sample most alike, or of the template, the
            mean of all. They lie differently, and one threshold does not serve both.
    """

    value: float
    rule: Rule = "given"
    rate: float | None = None
    low: float | None = None
    high: float | None = None
    people: int | None = None
    strangers: int | None = None
    data: str = ""
    date: str = ""
    note: str = ""
    reached: float | None = None
    trials: int | None = None
    fnir: float | None = None
    fnir_low: float | None = None
    fnir_high: float | None = None
    mated: int | None = None
    score: PersonScore = "best"

    def __post_init__(self) -> None:
        if type(self.value) not in (int, float) or not math.isfinite(self.value):
            raise InputError(
                f"threshold: expected a finite score, got {self.value!r}; cosines are from -1 to 1"
            )
        if self.rule not in get_args(Rule):
            raise InputError(
                f"threshold: expected a rule of {', '.join(get_args(Rule))}, got {self.rule!r}"
            )
        if self.score not in get_args(PersonScore):
            raise InputError(
                f"threshold: expected a score of {' or '.join(get_args(PersonScore))}, got "
                f"{self.score!r}"
            )

    def __str__(self) -> str:
        """One line for people."""
        if self.rule == "given":
            return f"{self.value:g}, as given"
        reached = "" if self.low is None else f" (95 %: {self.low:.2g} to {self.high:.2g})"
        return (
            f"{self.value:g}, for {self.rule.upper()} {self.rate:g}{reached} among "
            f"{self.people or 0:,} people, set on {self.strangers or 0:,} strangers on "
            f"{self.date[:10]}"
        )

    def outgrown(self, people: int) -> str | None:
        """Why it holds no more once so many people are enrolled, in a sentence; None if it does.

        A stranger who meets n people instead of N is named with probability 1 - (1 - FPIR)^(n/N),
        were the comparisons independent; as they are not, usually less often.

        >>> print(Threshold(0.5, "fpir", 0.01, people=100, strangers=9).outgrown(300))
        the threshold was set for 100 people and 300 are enrolled: FPIR can be up to about 0.03 \
instead of 0.01; calibrate it again with recognition calibrate
        """
        if self.rule != "fpir" or not self.people or not self.rate or people <= self.people:
            return None
        grown = -math.expm1(people / self.people * math.log1p(-self.rate))
        return (
            f"the threshold was set for {self.people:,} people and {people:,} are enrolled: FPIR "
            f"can be up to about {grown:.2g} instead of {self.rate:g}; calibrate it again with "
            "recognition calibrate"
        )

    @property
    def misses(self) -> str:
        """FNIR at this threshold in a line for people; empty where it was not measured."""
        if self.fnir is None or self.fnir_low is None or self.fnir_high is None:
            return ""
        return (
            f"FNIR {self.fnir:.2g} (95 %: {self.fnir_low:.2g} to {self.fnir_high:.2g}), the share "
            f"of {self.mated or 0:,} searches for somebody enrolled that missed"
        )

    def to_json(self) -> str:
        """One line of JSON; `from_json` reads it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote.

        Raises:
            InputError: it is something else.
        """
        try:
            return cls(**json.loads(text))
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"expected a threshold in JSON, got {text[:80]!r}; run recognition calibrate again"
            ) from error


def require_threshold(threshold: object) -> None:
    """Refuse a bare number, which does not say where it comes from.

    Raises:
        InputError: it is no `Threshold`.
    """
    if not isinstance(threshold, Threshold):
        raise InputError(
            f"expected a Threshold, as calibrate gives, got {threshold!r}; Threshold(0.5) is one of "
            "your own choice"
        )


def known_score(name: str) -> PersonScore:
    """The score of this name.

    Raises:
        InputError: there is none.
    """
    for score in get_args(PersonScore):
        if score == name:
            return cast(PersonScore, score)
    raise InputError(
        f"score: expected {' or '.join(get_args(PersonScore))}, got {name!r}; best is usual"
    )


def require_score(threshold: Threshold | None, score: PersonScore) -> None:
    """Refuse to decide on scores that a threshold was not set for.

    Raises:
        InputError: another score than the threshold's, or none that there is.
    """
    known_score(score)
    if threshold is not None and threshold.score != score:
        raise InputError(
            f"expected {threshold.score} scores, for which the threshold {threshold} was set, got "
            f"{score}; calibrate anew for {score} scores, or give a threshold"
        )


@dataclass(frozen=True)
class Candidate:
    """Somebody enrolled, and how alike the probe is.

    Attributes:
        name: of the person.
        score: cosine, from -1 to 1; of the person's best sample, or of the template.
        source: which sample, as it was called when it was enrolled; empty for a template.
    """

    name: str
    score: float
    source: str = ""


@dataclass(frozen=True)
class Answer:
    """Who it is, or nobody who is enrolled.

    Attributes:
        name: the person's, or None for unknown.
        threshold: what decided; None where the gallery has none, and everybody is unknown.
        candidates: the most alike people, best first, equal scores by name, whether or not they
            reach the threshold; empty where nobody is enrolled.
        approximate: whether the gallery's index may have missed somebody more alike.
    """

    name: str | None
    threshold: Threshold | None
    candidates: tuple[Candidate, ...]
    approximate: bool = False

    @property
    def score(self) -> float | None:
        """Of the best candidate; None where nobody is enrolled."""
        return self.candidates[0].score if self.candidates else None

    @property
    def margin(self) -> float | None:
        """How much better the best is than the second; None where there is no second."""
        if len(self.candidates) < 2:
            return None
        return self.candidates[0].score - self.candidates[1].score

    @classmethod
    def of(
        cls,
        candidates: tuple[Candidate, ...],
        threshold: Threshold | None,
        approximate: bool = False,
    ) -> Self:
        """The decision: the best candidate's name where its score reaches the threshold."""
        if threshold is None or not candidates or candidates[0].score < threshold.value:
            return cls(None, threshold, candidates, approximate)
        return cls(candidates[0].name, threshold, candidates, approximate)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "score": self.score,
            "margin": self.margin,
            "threshold": None if self.threshold is None else asdict(self.threshold),
            "candidates": [asdict(each) for each in self.candidates],
            "approximate": self.approximate,
        }


@dataclass(frozen=True)
class Person:
    """Somebody enrolled.

    Attributes:
        name: any text; it is data, never a path.
        samples: how many embeddings.
        metadata: what was said of the person, JSON.
        enrolled: when the person was first enrolled, ISO 8601.
    """

    name: str
    samples: int
    metadata: Mapping[str, Any]
    enrolled: str


@dataclass(frozen=True)
class Faceless:
    """Photographs without a face that could be enrolled.

    Attributes:
        settings: what they were looked at with; by others they may have one.
        reasons: why, by the sha256 of each.
    """

    settings: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line of JSON; `from_json` reads it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote; nothing where it is something else, as it can be found out again."""
        try:
            told = json.loads(text)
            reasons = {str(digest): str(why) for digest, why in told["reasons"].items()}
            return cls(str(told["settings"]), reasons)
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


@dataclass(frozen=True)
class Stats:
    """What a gallery holds.

    Attributes:
        people: how many are enrolled.
        samples: embeddings of them.
        size: bytes of all files in its folder; None where Milvus has it.
        contract: of the embeddings.
        threshold: from which score on a name is given.
        outgrown: why the threshold holds no more, and what to do; None where it does.
        problems: what was wrong with the cache when it was opened; it was made again.
    """

    people: int
    samples: int
    size: int | None
    contract: Contract
    threshold: Threshold | None
    outgrown: str | None
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Receipt:
    """That a person was erased, and what of.

    Attributes:
        name: of the person.
        samples: embeddings that were erased.
        complete: whether no byte is left under the gallery's folder.
        left: what could not be erased, and why; backups and exports are the owner's to erase.
        date: when, ISO 8601.
    """

    name: str
    samples: int
    complete: bool
    left: tuple[str, ...]
    date: str
