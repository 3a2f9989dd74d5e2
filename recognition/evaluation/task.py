"""One set of embeddings and what is asked of it: all pairs or a list, in full or on a sample."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.cohorts import Normaliser
from recognition.comparisons.all_pairs import tally_all
from recognition.comparisons.compared_pictures import Compared, all_pairs, listed_pairs
from recognition.comparisons.pairs import compare_all, compare_pairs
from recognition.comparisons.scores import Scores
from recognition.comparisons.tally import Tally
from recognition.datasets.embedding_files import Failure
from recognition.datasets.health import few_pictures
from recognition.datasets.pair_lists import PairList
from recognition.datasets.weight_files import ClassWeights
from recognition.embeddings import people_of
from recognition.errors import InputError
from recognition.evaluation.accuracy import accuracy_row, listed_accuracy, person_folds
from recognition.evaluation.checks import (
    require_entries,
    require_none_failed,
    require_rows,
    require_use,
)
from recognition.evaluation.class_weights import check_classes
from recognition.evaluation.distractors import Distractors, distractor_section
from recognition.evaluation.failures import (
    Lost,
    account_for,
    failures_to_acquire,
    lost_pairs,
)
from recognition.evaluation.groups import group_rates
from recognition.evaluation.identification import Searched, identify_strangers, search_strangers
from recognition.evaluation.neighbourhood import neighbour
from recognition.evaluation.normalised import normalised_section, searched_twice
from recognition.evaluation.options import Options
from recognition.evaluation.paired import compare_scores
from recognition.evaluation.picture_map import map_pictures
from recognition.evaluation.quality import Quality, quality_section
from recognition.evaluation.retrieval import retrieve
from recognition.evaluation.rows import Listing, Row, Section
from recognition.evaluation.score_sections import Parts
from recognition.evaluation.separability import separate
from recognition.evaluation.tallied import verify_tally
from recognition.evaluation.worst_comparisons import with_worst, worst_of_tally, worst_pairs
from recognition.metrics.identification import fnir_at_fpir
from recognition.other_people import require_other_people
from recognition.progress import Watch
from recognition.protocols import sample_people

Mask = npt.NDArray[np.bool_]

EVERY_SCORE = 2**23  # pairs: up to here every score is kept, in some 700 MB with the resamples
SEARCHED = 100_000  # pictures: up to here all of them are searched among


@dataclass(frozen=True)
class Grouping:
    """What to tell pictures apart by: the name of the column, and each picture's entry (N,)."""

    column: str
    values: npt.NDArray[np.str_]


@dataclass(frozen=True)
class Task:
    """One set of embeddings, and what is asked of it."""

    embeddings: npt.NDArray[Any]
    labels: npt.NDArray[np.str_]
    pairs: PairList | None
    options: Options
    failures: tuple[Failure, ...]
    checkpoint: Path | None
    watch: Watch
    notes: list[str] = field(default_factory=list)
    ids: npt.NDArray[np.str_] | None = None
    weights: ClassWeights | None = None
    normaliser: Normaliser | None = None
    quality: Quality | None = None
    distractors: Distractors | None = None

    def check(self, other: npt.ArrayLike | None, grouping: Grouping | None) -> None:
        """Refuse what cannot be, before hours of work."""
        require_rows(self.embeddings, self.labels)
        if self.weights is not None:
            check_classes(self.weights, self.labels, self.embeddings.shape[1])
        require_entries(len(self.labels), "second model", other)
        if grouping is not None:
            require_entries(len(self.labels), "grouping", grouping.values)
        require_entries(len(self.labels), "list of ids", self.ids)
        if self.quality is not None:
            require_entries(len(self.labels), "quality", self.quality.values)
        if self.distractors is not None:
            others = self.distractors.embeddings
            people = people_of(self.distractors.labels, len(others))
            require_none_failed(self.failures, people, "the distractors")
            require_other_people(self.embeddings, self.labels, others, people, "the distractors")
        if self.normaliser is not None:
            require_none_failed(self.failures, self.normaliser.people, "the cohort")
            self.normaliser.require_apart(self.embeddings, self.labels)
            require_use(self.normaliser, self.options, listed=self.pairs is not None)

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
        parts = Parts(self.options, self.notes, self.watch)
        if isinstance(scores, Tally):
            sections = self._of_tally(parts, scores)
        else:
            marks = self._search_thresholds()
            sections = parts.of_scores(scores, accuracy=self._folded(scores), marks=marks)
        if "verification" in self.options.parts:
            lists = self._worst(scores)
            sections = [with_worst(section, lists) for section in sections]
        if self.pairs is None:
            # the same thresholds, so that pairs and searches can be read side by side
            rates = sections[0].curves.get("operating", {}) if sections else {}
            grid = rates.get("threshold")  # none where only other parts were asked for
            parts.add(sections, "identification", lambda: self._identification(grid))
            parts.add(sections, "retrieval", self._retrieval)
            parts.add(sections, "separability", lambda: self._separability(scores))
            parts.add(sections, "neighbours", self._neighbours)
        acquired = failures_to_acquire(self.labels, self._failed)
        sections.append(account_for(acquired, scores, self._lost(self._failed), self.options))
        return sections

    def _of_tally(self, parts: Parts, tally: Tally) -> list[Section]:
        """Verification of all, and the rest of what needs every score on a sample of people."""
        kept = self._kept(self.embeddings, self.sample)
        sections = parts.of_scores(
            kept,
            verification=lambda: verify_tally(tally, self.options, self._search_thresholds()),
            accuracy=lambda: self._sampled_accuracy(kept),
        )
        return [
            section
            if section.key == "verification"
            else replace(section, notes=(self._sample_note, *section.notes))
            for section in sections
        ]

    def _worst(self, scores: Scores | Tally) -> tuple[Listing, Listing]:
        """The pairs that errors are made of."""
        if isinstance(scores, Tally):
            return worst_of_tally(scores, self.labels, ids=self.ids)
        return worst_pairs(scores, self.labels, ids=self.ids, compared=self._listed)

    @property
    def _listed(self) -> Compared | None:
        """The rows of each pair, where a list says which are compared."""
        if self.pairs is None:
            return None
        return listed_pairs(self.labels, self.pairs.first, self.pairs.second)

    def _folded(self, scores: Scores) -> Callable[[], Row] | None:
        """How accuracy follows from the folds of the list, if it has any."""
        pairs = self.pairs
        if pairs is None or pairs.folds is None:
            return None
        return lambda: listed_accuracy(scores, pairs)

    def _sampled_accuracy(self, scores: Scores) -> Row:
        found = accuracy_row(
            person_folds(scores, seed=self.options.seed), "Accuracy, folds by person"
        )
        return replace(found, estimate=replace(found.estimate, note=self._sample_note))

    @cached_property
    def _among(self) -> Mask:
        """(N,) the pictures that are searched among."""
        if len(self.labels) <= SEARCHED:
            return np.ones(len(self.labels), bool)
        kept = sample_people(self.labels, most_pictures=SEARCHED, seed=self.options.seed)
        return np.isin(self.labels, kept)

    @cached_property
    def _searched(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.str_], tuple[str, ...]]:
        """Embeddings and labels that are searched among, and what to say of them."""
        mask = self._among
        if mask.all():
            return self.embeddings, self.labels, ()
        people = len(np.unique(self.labels[mask]))
        note = f"Measured on {people} people at random, {mask.sum()} pictures of {len(mask)}"
        return self.embeddings[mask], self.labels[mask], (note,)

    @cached_property
    def _failed(self) -> npt.NDArray[np.str_]:
        """(F,) the person on each picture that could not be embedded."""
        return np.array([one.label for one in self.failures], np.str_)

    @cached_property
    def _strangers(self) -> Searched:
        """The searches of identification."""
        embeddings, labels, notes = self._searched
        return search_strangers(
            embeddings,
            labels,
            seed=self.options.seed,
            enrolled_pictures=self.options.enrolled_pictures,
            failures=self._failed[np.isin(self._failed, labels)] if notes else self._failed,
            watch=self.watch,
        )

    def _search_thresholds(self) -> list[float]:
        """Those of the rates of false alarms asked for, to be on verification's grid as well."""
        parts = self.options.parts
        if self.pairs is not None or "identification" not in parts or "verification" not in parts:
            return []
        try:
            searches = self._strangers.searches
        except InputError:  # told when identification is left out for it
            return []
        return [fnir_at_fpir(searches, target).threshold for target in self.options.fpir]

    def _identification(self, grid: Sequence[float] | None) -> Section:
        options = self.options
        embeddings, labels, notes = self._searched
        section = identify_strangers(
            embeddings,
            labels,
            seed=options.seed,
            replicates=options.replicates,
            enrolled_pictures=options.enrolled_pictures,
            fpir_targets=options.fpir,
            thresholds=grid,
            searched=self._strangers,
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

    def _separability(self, scores: Scores | Tally) -> Section:
        embeddings, labels, notes = self._searched
        section = separate(
            embeddings,
            labels,
            scores=scores,
            weights=self.weights,
            options=self.options,
            watch=self.watch,
        )
        if notes:
            notes = (*notes, "Kolmogorov-Smirnov is of all comparisons")
        return replace(section, notes=(*notes, *section.notes))

    def _neighbours(self) -> Section:
        embeddings, labels, notes = self._searched
        ids = None if self.ids is None else self.ids[self._among]
        section = neighbour(embeddings, labels, ids=ids, options=self.options, watch=self.watch)
        return replace(section, notes=(*notes, *section.notes))

    def normalisation(self, scores: Scores | Tally, normaliser: Normaliser) -> Section:
        """What normalised scores are worth beside the raw ones, of all pairs or those of a list."""
        options, notes = self.options, []
        pairs = None
        if "verification" in options.parts:
            if normaliser.symmetric or self.pairs is not None:
                pairs = self._normalised_pairs(scores, normaliser)
                if self.large:
                    notes.append(f"Pairs: {self._sample_note}")
            else:
                notes.append(
                    f"{normaliser.method} tells the enrolled picture from the other, which all pairs "
                    "do not: only searches are normalised; s and as1 do for both"
                )
        searches = None
        if self.pairs is None and "identification" in options.parts:
            embeddings, labels, about = self._searched
            searches = searched_twice(normaliser, embeddings, labels, options, self.watch)
            notes += [f"Searches: {note}" for note in about]
            if self.failures:
                notes.append("Pictures that could not be embedded are left out of these searches")
        return normalised_section(normaliser, pairs, searches, options, notes, self.watch)

    def _normalised_pairs(
        self, scores: Scores | Tally, normaliser: Normaliser
    ) -> tuple[Scores, Scores]:
        raw, compared, mask = self._pair_by_pair(scores)
        return raw, normaliser.scores(raw, self.embeddings[mask], compared, watch=self.watch)

    def _pair_by_pair(self, scores: Scores | Tally) -> tuple[Scores, Compared, Mask]:
        """Every score with its two pictures, of all pictures or those of the sample."""
        mask = self.sample if self.large else np.ones(len(self.labels), bool)
        kept = self._kept(self.embeddings, mask) if isinstance(scores, Tally) else scores
        return kept, self._listed or all_pairs(self.labels[mask]), mask

    def among(self, distractors: Distractors) -> Section:
        """How often people are found first among distractors."""
        embeddings, labels, notes = self._searched
        failed = self._failed
        section = distractor_section(
            embeddings,
            labels,
            distractors,
            failures=failed[np.isin(failed, labels)] if notes else failed,
            seed=self.options.seed,
            watch=self.watch,
        )
        return replace(section, notes=(*notes, *section.notes))

    def discarding(self, scores: Scores | Tally, quality: Quality) -> Section:
        """What discarding pictures of low quality does to the errors."""
        kept, compared, mask = self._pair_by_pair(scores)
        section = quality_section(
            kept, compared, Quality(quality.name, quality.values[mask]), self.options, self.watch
        )
        notes = [self._sample_note] if self.large else []
        if self.failures:
            notes.append("Pictures that could not be embedded are in none of these comparisons")
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
            watch=self.watch,
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

    def map(self) -> dict[str, Any] | None:
        """Where pictures lie in a plane."""
        found = map_pictures(
            self.embeddings,
            self.labels,
            ids=self.ids,
            method=self.options.map,
            seed=self.options.seed,
            watch=self.watch,
        )
        return None if found is None else asdict(found)

    def describe(self, scores: Scores | Tally) -> dict[str, Any]:
        """What was evaluated."""
        return {
            "pictures": len(self.labels),
            "people": len(np.unique(self.labels)),
            "dimensions": self.embeddings.shape[1],
            **few_pictures(self.labels),
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
