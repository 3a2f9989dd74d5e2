"""Who is compared with whom, and the table of scores from which every verification rate follows."""

from recognition.comparisons.pairs import compare_all
from recognition.comparisons.scores import (
    ScoreLists,
    Scores,
    ScoreTable,
    accepted,
    threshold_allowing,
)
from recognition.comparisons.steps import Similarities, Stepped, Steps, count_steps

__all__ = [
    "ScoreLists",
    "ScoreTable",
    "Scores",
    "Similarities",
    "Stepped",
    "Steps",
    "accepted",
    "compare_all",
    "count_steps",
    "threshold_allowing",
]
