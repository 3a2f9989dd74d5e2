"""Who is compared with whom, and the table of scores from which every verification rate follows."""

from recognition.comparisons.all_pairs import tally_all
from recognition.comparisons.pairs import compare_all, compare_marked, compare_pairs
from recognition.comparisons.scores import (
    ScoreLists,
    Scores,
    ScoreTable,
    accepted,
    threshold_allowing,
)
from recognition.comparisons.steps import Similarities, Stepped, Steps, count_steps
from recognition.comparisons.tally import Tally

__all__ = [
    "ScoreLists",
    "ScoreTable",
    "Scores",
    "Similarities",
    "Stepped",
    "Steps",
    "Tally",
    "accepted",
    "compare_all",
    "compare_marked",
    "compare_pairs",
    "count_steps",
    "tally_all",
    "threshold_allowing",
]
