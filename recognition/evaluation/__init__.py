"""What embeddings are worth on people never seen in training, from the table to the estimates."""

from typing import TYPE_CHECKING

from recognition.lazy_names import load_on_use

if TYPE_CHECKING:
    from recognition.evaluation.blufr import evaluate_blufr
    from recognition.evaluation.distractors import Distractors
    from recognition.evaluation.estimates import Estimate
    from recognition.evaluation.everything import evaluate, evaluate_scores
    from recognition.evaluation.findings import Findings
    from recognition.evaluation.ijb import evaluate_ijb
    from recognition.evaluation.options import Options
    from recognition.evaluation.paired import Difference, compare_scores
    from recognition.evaluation.quality import Quality
    from recognition.evaluation.rows import Listing, Row, Section
    from recognition.evaluation.strangers import BINS, Evaluation, class_angles, evaluate_strangers
    from recognition.evaluation.task import Grouping

_HOME = {
    "BINS": "strangers",
    "Difference": "paired",
    "Distractors": "distractors",
    "Estimate": "estimates",
    "Evaluation": "strangers",
    "Findings": "findings",
    "Grouping": "task",
    "Listing": "rows",
    "Options": "options",
    "Quality": "quality",
    "Row": "rows",
    "Section": "rows",
    "class_angles": "strangers",
    "compare_scores": "paired",
    "evaluate": "everything",
    "evaluate_blufr": "blufr",
    "evaluate_ijb": "ijb",
    "evaluate_scores": "everything",
    "evaluate_strangers": "strangers",
}

__all__ = [
    "BINS",
    "Difference",
    "Distractors",
    "Estimate",
    "Evaluation",
    "Findings",
    "Grouping",
    "Listing",
    "Options",
    "Quality",
    "Row",
    "Section",
    "class_angles",
    "compare_scores",
    "evaluate",
    "evaluate_blufr",
    "evaluate_ijb",
    "evaluate_scores",
    "evaluate_strangers",
]

if not TYPE_CHECKING:  # which would believe in any name
    __getattr__, __dir__ = load_on_use(__name__, _HOME)
