"""From embeddings, pairs or scores to all findings: which sections the data allows, in order."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.comparisons.all_pairs import tally_all
from recognition.comparisons.pairs import compare_all, compare_pairs
from recognition.comparisons.scores import ScoreLists, Scores
from recognition.comparisons.tally import Tally
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
from recognition.evaluation.tallied import verify_tally
from recognition.evaluation.thresholds import transfer_thresholds
from recognition.evaluation.verification import verify
from recognition.progress import Watch, unwatched
from recognition.protocols import sample_people

Mask = npt.NDArray[np.bool_]

EVERY_SCORE = 2**23  # pairs: up to here every score is kept, in some 700 MB with the resamples
SEARCHED = 100_000  # pictures: up to here all of them are searched among


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
    checkpoint: Path | None = None,
    watch: Watch = unwatched,
) -> Findings:
    """What embeddings are worth on the people they show, who must not have been in training.

    Verification over all pairs or those of a list, thresholds, calibration; identification and
    retrieval too, unless a list says which pairs to judge. A part that the data is too small for
    is left out, and the notes of the input say why; a part that was asked for by name is refused.

    Up to eight million pairs (4,000 pictures) every score is kept. Beyond, verification still
    compares all pairs, see `tally_all`; accuracy, thresholds, calibration and the comparison of
    two models are measured on people drawn at random with so many pictures, and identification
    and retrieval on a hundred thousand pictures. Their notes say so.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture.
        options: targets, thresholds, the seed; see `Options`.
        pairs: judge these pairs only, accuracy with their own folds.
        other: (N, D') a second model's embeddings of the same pictures, in the same order.
        grouping: report both error rates within each group at one threshold.
        failures: pictures that could not be embedded; they count as errors.
        checkpoint: where more pairs than can be kept save how far they are, and go on from.
        watch: told how far each stage is.

    Raises:
        InputError: embeddings or labels that cannot be used, one kind of comparisons only.
    """
    task = _Task(
        np.asarray(embeddings),
        np.asarray(labels).astype(str),
        pairs,
        options or Options(),
        tuple(failures),
        checkpoint,
        watch,
    )
    task.check(other, grouping)
    scores = task.scores()
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
    checkpoint: Path | None
    watch: Watch
    notes: list[str] = field(default_factory=list)

    def check(self, other: npt.ArrayLike | None, grouping: Grouping | None) -> None:
        """Refuse what cannot be, before hours of work."""
        if self.embeddings.ndim != 2 or self.labels.shape != self.embeddings.shape[:1]:
            raise InputError(
                f"expected embeddings of shape (N, D) and N labels, got {self.embeddings.shape} "
                f"and {self.labels.shape}"
            )
        for what, entries in (("second model", other), ("grouping", grouping and grouping.values)):
            if entries is not None and len(np.asarray(entries)) != len(self.labels):
                raise InputError(
                    f"expected a {what} with one entry for each of {len(self.labels)} pictures, "
                    f"got {len(np.asarray(entries))}; put them in the same order"
                )

    @cached_property
    def large(self) -> bool:
        """Whether there are more pairs than every score can be kept of."""
        n = len(self.labels)
        return self.pairs is None and n * (n - 1) // 2 > EVERY_SCORE

    @cached_property
    def sample(self) -> Mask:
        """(N,) the pictures of people drawn at random, few enough to keep every score of."""
        most = int((2 * EVERY_SCORE) ** 0.5)
        kept = sample_people(self.labels, most_pictures=most, seed=self.options.seed)
        return np.isin(self.labels, kept)

    def scores(self) -> Scores | Tally:
        """The comparisons that are judged: all of them, or those of the list."""
        if not self.large:
            return self._kept(self.embeddings)
        pairs = len(self.labels) * (len(self.labels) - 1) // 2
        with self.watch("comparing all pairs", pairs) as advance:
            return tally_all(
                self.embeddings, self.labels, checkpoint=self.checkpoint, progress=advance
            )

    def _kept(self, embeddings: npt.NDArray[Any], mask: Mask | None = None) -> Scores:
        """Every score, of all pictures or those of a mask."""
        if self.pairs is None:
            mask = np.ones(len(self.labels), bool) if mask is None else mask
            return compare_all(embeddings[mask], self.labels[mask])
        first, second = self.pairs.first, self.pairs.second
        inside = np.ones(len(first), bool) if mask is None else mask[first] & mask[second]
        return compare_pairs(embeddings, self.labels, first[inside], second[inside])

    def sections(self, scores: Scores | Tally) -> list[Section]:
        """All that was asked for and can be done."""
        parts = _Parts(self.options, self.notes)
        folded = self.pairs is not None and self.pairs.folds is not None
        accuracy = self._listed_accuracy if folded else None
        if isinstance(scores, Tally):
            sections = self._of_tally(parts, scores)
        else:
            sections = parts.of_scores(scores, accuracy)
        failed = np.array([one.label for one in self.failures], np.str_)
        if self.pairs is None:
            parts.add(sections, "identification", lambda: self._identification(failed))
            parts.add(sections, "retrieval", self._retrieval)
        acquired = failures_to_acquire(self.labels, failed, self.options)
        sections.append(account_for(acquired, scores, self._lost(failed), self.options))
        return sections

    def _of_tally(self, parts: "_Parts", tally: Tally) -> list[Section]:
        """Verification of all, and the rest of what needs every score on a sample of people."""
        sampled = parts.of_scores(self._kept(self.embeddings, self.sample))
        note = self._sample_note
        sections = []
        for section in sampled:
            if section.key != "verification":
                sections.append(replace(section, notes=(note, *section.notes)))
                continue
            whole = verify_tally(tally, self.options)
            accuracy = [
                replace(
                    row, label=f"{row.label}, sample", estimate=replace(row.estimate, note=note)
                )
                for row in section.rows
                if row.key == "accuracy"
            ]
            sections.append(replace(whole, rows=(*whole.rows, *accuracy)))
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

    @cached_property
    def _searched(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.str_], tuple[str, ...]]:
        """Embeddings and labels that are searched among, and what to say of them."""
        if len(self.labels) <= SEARCHED:
            return self.embeddings, self.labels, ()
        kept = sample_people(self.labels, most_pictures=SEARCHED, seed=self.options.seed)
        mask = np.isin(self.labels, kept)
        note = f"Measured on {len(kept)} people at random, {mask.sum()} pictures of {len(mask)}"
        return self.embeddings[mask], self.labels[mask], (note,)

    def _identification(self, failed: npt.NDArray[np.str_]) -> Section:
        options = self.options
        embeddings, labels, notes = self._searched
        section = identify_strangers(
            embeddings,
            labels,
            seed=options.seed,
            replicates=options.replicates,
            enrolled_pictures=options.enrolled_pictures,
            fpir_targets=options.fpir,
            failures=failed[np.isin(failed, labels)] if notes else failed,
            progress=self.watch,
        )
        return replace(section, notes=(*notes, *section.notes))

    def _retrieval(self) -> Section:
        options = self.options
        embeddings, labels, notes = self._searched
        section = retrieve(
            embeddings,
            labels,
            seed=options.seed,
            replicates=options.replicates,
            progress=self.watch,
        )
        return replace(section, notes=(*notes, *section.notes))

    def _lost(self, failed: npt.NDArray[np.str_]) -> Lost:
        return lost_pairs(self.labels, failed) if self.pairs is None else Lost(*self.pairs.failures)

    def groups(self, scores: Scores | Tally, grouping: Grouping) -> dict[str, Any]:
        """Both error rates within each group."""
        if isinstance(scores, Tally):
            scores, mask = self._kept(self.embeddings, self.sample), self.sample
        else:
            mask = np.ones(len(self.labels), bool)
        found = group_rates(
            scores,
            self.labels[mask],
            grouping.values[mask],
            grouping.column,
            lambda inside: self._kept(self.embeddings, _spread(mask, inside)),
            self.options,
        )
        if self.large:
            found["notes"].insert(0, self._sample_note)
        return found

    @property
    def _sample_note(self) -> str:
        people, pictures = len(np.unique(self.labels[self.sample])), int(self.sample.sum())
        return f"Measured on {people} people at random, {pictures} pictures of {len(self.labels)}"

    def comparison(self, scores: Scores | Tally, other: npt.NDArray[Any]) -> dict[str, Any]:
        """Differences to a second model, on the same people."""
        options = self.options
        mask = self.sample if self.large else None
        first = self._kept(self.embeddings, mask) if isinstance(scores, Tally) else scores
        differences = compare_scores(
            first,
            self._kept(other, mask),
            options.targets(first.nonmated_count),
            replicates=options.replicates,
            seed=options.seed,
        )
        notes = [
            (
                "Both models are judged on the same comparisons, each at its own thresholds; intervals "
                "of the differences resample the same people for both"
            )
        ]
        if self.large:
            notes.insert(0, self._sample_note)
        return {
            "people": first.people,
            "rows": [asdict(one) for one in differences],
            "notes": notes,
        }

    def describe(self, scores: Scores | Tally) -> dict[str, Any]:
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


def _spread(mask: Mask, inside: Mask) -> Mask:
    """`inside` says which of the pictures of `mask`; as a mask of all pictures."""
    every = np.zeros(len(mask), bool)
    every[np.flatnonzero(mask)[inside]] = True
    return every
