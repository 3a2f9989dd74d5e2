"""From embeddings, pairs or scores to all findings: which sections the data allows, in order."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.comparisons.pairs import compare_all, compare_pairs
from recognition.comparisons.scores import ScoreLists, Scores
from recognition.datasets.embedding_files import Failure
from recognition.datasets.pair_lists import PairList
from recognition.datasets.score_files import ScoreFile
from recognition.errors import InputError
from recognition.evaluation.accuracy import FoldedPairs, accuracy_row, person_folds
from recognition.evaluation.calibration import calibrate
from recognition.evaluation.failures import (
    Lost,
    account_for,
    comparisons_lost,
    failures_to_acquire,
    lost_pairs,
)
from recognition.evaluation.findings import Findings
from recognition.evaluation.groups import group_rates
from recognition.evaluation.identification import identify_strangers
from recognition.evaluation.options import PARTS, Options, Part
from recognition.evaluation.paired import compare_scores
from recognition.evaluation.retrieval import retrieve
from recognition.evaluation.rows import Row, Section
from recognition.evaluation.thresholds import transfer_thresholds
from recognition.evaluation.verification import verify
from recognition.progress import Watch, unwatched

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Grouping:
    """What to tell pictures apart by: the name of the column, and each picture's entry (N,)."""

    column: str
    values: npt.NDArray[np.str_]


def evaluate(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    options: Options | None = None,
    pairs: PairList | None = None,
    other: npt.ArrayLike | None = None,
    grouping: Grouping | None = None,
    failures: Sequence[Failure] = (),
    watch: Watch = unwatched,
) -> Findings:
    """What embeddings are worth on the people they show, who must not have been in training.

    Verification over all pairs or those of a list, thresholds, calibration; identification and
    retrieval too, unless a list says which pairs to judge. A part that the data is too small for
    is left out, and the notes of the input say why; a part that was asked for by name is refused.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture.
        options: targets, thresholds, the seed; see `Options`.
        pairs: judge these pairs only, accuracy with their own folds.
        other: (N, D') a second model's embeddings of the same pictures, in the same order.
        grouping: report both error rates within each group at one threshold.
        failures: pictures that could not be embedded; they count as errors.
        watch: told how far each stage is.

    Raises:
        InputError: embeddings or labels that cannot be used, one kind of comparisons only.
    """
    given, names = np.asarray(embeddings), np.asarray(labels).astype(str)
    task = _Task(given, names, pairs, options or Options(), tuple(failures), watch)
    scores = task.scores(given)
    sections = task.sections(scores)
    groups = task.groups(scores, grouping) if grouping is not None else None
    comparison = task.comparison(scores, np.asarray(other)) if other is not None else None
    return Findings(task.describe(scores), sections, groups, comparison)


def evaluate_scores(scores: ScoreFile, *, options: Options | None = None) -> Findings:
    """What ready-made scores are worth: verification, thresholds and calibration.

    Comparisons without a score count as failures to acquire. Where nobody knows who was compared,
    intervals take the comparisons for independent, and nothing can be judged on other people.

    Raises:
        InputError: one kind of scores only.
    """
    options = options or Options()
    table = scores.table()
    notes: list[str] = []
    parts = _Parts(options, notes)
    sections = parts.of_scores(table)
    lost = Lost(*scores.failures)
    sections.append(account_for(comparisons_lost(table, lost), table, lost, options))
    if not isinstance(table, Scores):
        notes.append(
            "nobody knows who was compared: intervals take comparisons for independent, and are "
            "too narrow where people take part in several"
        )
    described = {
        "mated": len(table.mated),
        "nonmated": table.nonmated_count,
        "people": table.people if isinstance(table, Scores) else None,
        "failed_comparisons": lost._asdict(),
        "failures": [],
        "notes": notes,
    }
    return Findings(described, sections)


class _Parts:
    """The sections that were asked for; what the data is too small for becomes a note."""

    def __init__(self, options: Options, notes: list[str]) -> None:
        self.options = options
        self.notes = notes

    def add(self, sections: list[Section], part: Part, make: Callable[[], Section]) -> None:
        """Make a section if its part was asked for; refuse only if it was asked for by name."""
        if part not in self.options.parts:
            return
        try:
            sections.append(make())
        except InputError as error:
            if tuple(self.options.parts) != PARTS:
                raise
            self.notes.append(f"{part} was left out: {error}")

    def of_scores(
        self, table: ScoreLists, accuracy: Callable[[Scores], Row] | None = None
    ) -> list[Section]:
        """What follows from a table of scores alone."""
        sections: list[Section] = []
        options = self.options
        if "verification" in options.parts:  # never left out: without it there is no evaluation
            sections.append(verify(table, options))
        if isinstance(table, Scores):
            self._with_accuracy(sections, table, accuracy or self._accuracy)
            self.add(sections, "thresholds", lambda: transfer_thresholds(table, options))
        self.add(sections, "calibration", lambda: calibrate(table, options))
        return sections

    def _accuracy(self, table: Scores) -> Row:
        label = "Accuracy, folds by person"
        return accuracy_row(person_folds(table, seed=self.options.seed), label)

    def _with_accuracy(
        self, sections: list[Section], table: Scores, accuracy: Callable[[Scores], Row]
    ) -> None:
        if not sections:
            return
        try:
            sections[0] = replace(sections[0], rows=(*sections[0].rows, accuracy(table)))
        except InputError as error:
            self.notes.append(f"accuracy was left out: {error}")


@dataclass(frozen=True)
class _Task:
    """One set of embeddings, and what is asked of it."""

    embeddings: npt.NDArray[Any]
    labels: npt.NDArray[np.str_]
    pairs: PairList | None
    options: Options
    failures: tuple[Failure, ...]
    watch: Watch
    notes: list[str] = field(default_factory=list)

    def scores(self, embeddings: npt.NDArray[Any]) -> Scores:
        """The comparisons that are judged, by one model."""
        if self.pairs is None:
            return compare_all(embeddings, self.labels)
        return compare_pairs(embeddings, self.labels, self.pairs.first, self.pairs.second)

    def sections(self, scores: Scores) -> list[Section]:
        """All that was asked for and can be done."""
        parts = _Parts(self.options, self.notes)
        folded = self.pairs is not None and self.pairs.folds is not None
        sections = parts.of_scores(scores, self._listed_accuracy if folded else None)
        options, failed = self.options, np.array([one.label for one in self.failures], np.str_)
        if self.pairs is None:
            parts.add(sections, "identification", lambda: self._identification(failed))
            parts.add(sections, "retrieval", self._retrieval)
        acquired = failures_to_acquire(self.labels, failed, options)
        sections.append(account_for(acquired, scores, self._lost(failed), options))
        return sections

    def _listed_accuracy(self, scores: Scores) -> Row:
        pairs = self.pairs
        if pairs is None or pairs.folds is None:
            raise InputError("expected a list of pairs with folds")
        kinds = pairs.mated, ~pairs.mated
        listed = FoldedPairs(
            np.concatenate([scores.mated, scores.nonmated]).astype(np.float64),
            np.repeat([True, False], [len(scores.mated), len(scores.nonmated)]),
            np.concatenate([pairs.folds[kind] for kind in kinds]),
        )
        return accuracy_row(listed, "Accuracy, folds of the list")

    def _identification(self, failed: npt.NDArray[np.str_]) -> Section:
        options = self.options
        return identify_strangers(
            self.embeddings,
            self.labels,
            seed=options.seed,
            replicates=options.replicates,
            enrolled_pictures=options.enrolled_pictures,
            fpir_targets=options.fpir,
            failures=failed,
            progress=self.watch,
        )

    def _retrieval(self) -> Section:
        options = self.options
        return retrieve(
            self.embeddings,
            self.labels,
            seed=options.seed,
            replicates=options.replicates,
            progress=self.watch,
        )

    def _lost(self, failed: npt.NDArray[np.str_]) -> Lost:
        return lost_pairs(self.labels, failed) if self.pairs is None else Lost(*self.pairs.failures)

    def groups(self, scores: Scores, grouping: Grouping) -> dict[str, Any]:
        """Both error rates within each group."""
        return group_rates(
            scores, self.labels, grouping.values, grouping.column, self._within, self.options
        )

    def _within(self, mask: Mask) -> Scores:
        if self.pairs is None:
            return compare_all(self.embeddings[mask], self.labels[mask])
        first, second = self.pairs.first, self.pairs.second
        inside = mask[first] & mask[second]
        return compare_pairs(self.embeddings, self.labels, first[inside], second[inside])

    def comparison(self, scores: Scores, other: npt.NDArray[Any]) -> dict[str, Any]:
        """Differences to a second model, on the same people."""
        options = self.options
        differences = compare_scores(
            scores,
            self.scores(other),
            options.targets(scores.nonmated_count),
            replicates=options.replicates,
            seed=options.seed,
        )
        note = (
            "Both models are judged on the same comparisons, each at its own thresholds; intervals "
            "of the differences resample the same people for both"
        )
        return {
            "people": scores.people,
            "rows": [asdict(one) for one in differences],
            "notes": [note],
        }

    def describe(self, scores: Scores) -> dict[str, Any]:
        """What was evaluated."""
        return {
            "pictures": len(self.labels),
            "people": len(np.unique(self.labels)),
            "dimensions": self.embeddings.shape[1],
            "mated": len(scores.mated),
            "nonmated": scores.nonmated_count,
            "failures": [one._asdict() for one in self.failures],
            "notes": [*self.notes, *(self.pairs.notes if self.pairs is not None else ())],
        }
