"""Embeddings of pictures of nobody knows whom, on a list that alone says which pairs are mated."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.comparisons.compared_pictures import marked_pairs
from recognition.comparisons.pairs import compare_marked
from recognition.datasets.embedding_files import Failure
from recognition.datasets.pair_lists import PairList
from recognition.evaluation.accuracy import listed_accuracy
from recognition.evaluation.failures import Lost, account_for, comparisons_lost
from recognition.evaluation.findings import Findings
from recognition.evaluation.options import Options
from recognition.evaluation.score_sections import Parts
from recognition.evaluation.worst_comparisons import with_worst, worst_pairs
from recognition.progress import Watch, unwatched

UNKNOWN = (
    "nobody knows who was compared: intervals take comparisons for independent, and are too "
    "narrow where people take part in several"
)


def evaluate_anonymous(
    embeddings: npt.NDArray[Any],
    pairs: PairList,
    options: Options,
    failures: Sequence[Failure],
    watch: Watch = unwatched,
    *,
    ids: npt.ArrayLike | None = None,
) -> Findings:
    """Verification, accuracy in the list's folds, and calibration; intervals by comparison."""
    scores = compare_marked(embeddings, pairs.first, pairs.second, pairs.mated)
    notes: list[str] = []
    accuracy = None if pairs.folds is None else lambda: listed_accuracy(scores, pairs)
    sections = Parts(options, notes, watch).of_scores(scores, accuracy=accuracy)
    compared = marked_pairs(pairs.first, pairs.second, pairs.mated)
    lists = worst_pairs(scores, None, ids=ids, compared=compared)
    sections = [with_worst(section, lists) for section in sections]
    lost = Lost(*pairs.failures)
    sections.append(account_for(comparisons_lost(scores, lost), scores, lost, options))
    described = {
        "pictures": len(embeddings),
        "people": None,
        "dimensions": int(np.shape(embeddings)[1]),
        "mated": len(scores.mated),
        "nonmated": scores.nonmated_count,
        "failures": [one._asdict() for one in failures],
        "notes": [*notes, *pairs.notes, UNKNOWN],
    }
    return Findings(described, sections)
