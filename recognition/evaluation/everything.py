"""From embeddings, pairs or scores to all findings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.cohorts import Normaliser
from recognition.comparisons.scores import Scores
from recognition.datasets.embedding_files import Failure
from recognition.datasets.pair_lists import PairList
from recognition.datasets.score_files import ScoreFile
from recognition.datasets.weight_files import ClassWeights
from recognition.embeddings import names_of
from recognition.errors import InputError
from recognition.evaluation.anonymous import UNKNOWN, evaluate_anonymous
from recognition.evaluation.distractors import Distractors
from recognition.evaluation.failures import (
    Lost,
    account_for,
    comparisons_lost,
)
from recognition.evaluation.findings import Findings
from recognition.evaluation.options import Options, require_comparisons
from recognition.evaluation.quality import Quality
from recognition.evaluation.score_sections import Parts
from recognition.evaluation.task import Grouping, Task
from recognition.progress import Watch, unwatched

_KINDS: dict[str, tuple[type, str]] = {  # of the arguments of `evaluate`, and how to get one
    "options": (Options, "Options(fmr=[0.001])"),
    "pairs": (PairList, "read_pairs(path, ids, labels) or read_verification(path).pairs"),
    "grouping": (Grouping, "Grouping(name, values)"),
    "weights": (ClassWeights, "read_weights(path)"),
    "normaliser": (Normaliser, "Normaliser.of(embeddings, labels, 'as')"),
    "quality": (Quality, "Quality(name, values)"),
    "distractors": (Distractors, "Distractors(embeddings, labels)"),
}


def evaluate(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike | None,
    *,
    options: Options | None = None,
    pairs: PairList | None = None,
    other: npt.ArrayLike | None = None,
    grouping: Grouping | None = None,
    failures: Sequence[Failure] = (),
    checkpoint: Path | None = None,
    ids: npt.ArrayLike | None = None,
    weights: ClassWeights | None = None,
    normaliser: Normaliser | None = None,
    quality: Quality | None = None,
    distractors: Distractors | None = None,
    watch: Watch = unwatched,
) -> Findings:
    """What embeddings are worth on the people they show, who must not have been in training.

    Verification over all pairs or those of a list, thresholds, calibration; identification,
    retrieval, separability and neighbours too, unless a list says which pairs to judge. A part
    that the data is too small for is left out, and the notes of the input say why; a part that was
    asked for by name is refused.

    Up to eight million pairs (4,000 pictures) every score is kept. Beyond, verification still
    compares all pairs, see `tally_all`; accuracy, thresholds, calibration and the comparison of
    two models are measured on people drawn at random with so many pictures, and identification,
    retrieval, separability and neighbours on a hundred thousand pictures. Their notes say so.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture; None with `pairs` that are anonymous, as those of
            a `.bin`, which are judged by comparison instead of by person.
        options: targets, thresholds, the seed; see `Options`.
        pairs: judge these pairs only, accuracy with their own folds.
        other: (N, D') a second model's embeddings of the same pictures, in the same order.
        grouping: report both error rates within each group at one threshold.
        failures: pictures that could not be embedded; they count as errors.
        checkpoint: where more pairs than can be kept save how far they are, and go on from.
        ids: (N,) names of the pictures, for the lists of those to look at; their rows if None.
        weights: class weights of the head, where these are the people it was trained on: adds
            W-EC, W-Inter, NC3 and NC4 to separability.
        normaliser: a cohort of other people to hold scores against; what that changes is a section.
        quality: of each picture; what discarding the worst ones does is a section.
        distractors: other people to be found among; how often that succeeds is a section.
        watch: told how far each stage is.

    Raises:
        InputError: embeddings or labels that cannot be used, one kind of comparisons only, or an
            option that is no such thing.
    """
    _require_kinds(
        options=options,
        pairs=pairs,
        grouping=grouping,
        weights=weights,
        normaliser=normaliser,
        quality=quality,
        distractors=distractors,
    )
    if pairs is not None:
        require_comparisons(options or Options(), "pairs")
    if pairs is not None and pairs.anonymous:
        by_person = other, grouping, weights, normaliser, quality, distractors
        if any(each is not None for each in by_person):
            raise InputError(
                "expected no second model, grouping, weights, cohort, quality or distractors with "
                "pairs that do not know the people: all are judged by person; give a list of "
                "pairs, and labels"
            )
        return evaluate_anonymous(
            np.asarray(embeddings), pairs, options or Options(), failures, watch, ids=ids
        )
    if labels is None:
        raise InputError(
            "expected labels, (N,) the person on each picture, got none; only pairs of a .bin do "
            "without"
        )
    task = Task(
        np.asarray(embeddings),
        names_of(labels),
        pairs,
        options or Options(),
        tuple(failures),
        checkpoint,
        watch,
        ids=None if ids is None else np.asarray(ids).astype(str),
        weights=weights,
        normaliser=normaliser,
        quality=quality,
        distractors=distractors,
    )
    task.check(other, grouping)
    scores = task.scores()
    sections = task.sections(scores)
    if normaliser is not None:
        sections.append(task.normalisation(scores, normaliser))
    if distractors is not None:
        sections.append(task.among(distractors))
    if quality is not None:
        sections.append(task.discarding(scores, quality))
    groups = task.groups(scores, grouping) if grouping is not None else None
    comparison = task.comparison(scores, np.asarray(other)) if other is not None else None
    return Findings(task.describe(scores), sections, groups, comparison, task.map())


def _require_kinds(**given: object) -> None:
    for name, value in given.items():
        kind, way = _KINDS[name]
        if value is not None and not isinstance(value, kind):
            raise InputError(f"expected {name} as {way} makes, not {type(value).__name__}")


def evaluate_scores(
    scores: ScoreFile, *, options: Options | None = None, watch: Watch = unwatched
) -> Findings:
    """What ready-made scores are worth: verification, thresholds and calibration.

    Comparisons without a score count as failures to acquire. Where nobody knows who was compared,
    intervals take the comparisons for independent, and nothing can be judged on other people.

    Raises:
        InputError: one kind of scores only.
    """
    options = options or Options()
    require_comparisons(options, "scores")
    table = scores.table()
    notes: list[str] = []
    parts = Parts(options, notes, watch)
    sections = parts.of_scores(table)
    lost = Lost(*scores.failures)
    sections.append(account_for(comparisons_lost(table, lost), table, lost, options))
    if not isinstance(table, Scores):
        notes.append(UNKNOWN)
    described = {
        "mated": len(table.mated),
        "nonmated": table.nonmated_count,
        "people": table.people if isinstance(table, Scores) else None,
        "failed_comparisons": lost._asdict(),
        "failures": [],
        "notes": notes,
    }
    return Findings(described, sections)
