"""What embeddings are worth on people never seen in training, from the table to the estimates."""

from recognition.evaluation.estimates import Estimate
from recognition.evaluation.strangers import BINS, Evaluation, class_angles, evaluate_strangers

__all__ = ["BINS", "Estimate", "Evaluation", "class_angles", "evaluate_strangers"]
