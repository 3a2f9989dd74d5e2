"""The losses the article derives, and their gradients factor by factor down to the weights.

Three ways to score the same predictions: the share of wrong answers, the mean squared error and the
cross-entropy. Only the last knows how sure a right answer is and still learns from a confident
mistake.
"""

from margin_losses.article.gradients import (
    BinaryChain,
    SoftmaxChain,
    sigmoid_cross_entropy_chain,
    sigmoid_cross_entropy_gradient,
    sigmoid_squared_error_chain,
    sigmoid_squared_error_gradient,
    softmax_cross_entropy_chain,
    softmax_cross_entropy_gradient,
    softmax_jacobian,
    steps_to_learn,
)
from margin_losses.article.losses import (
    WORKED_EXAMPLE,
    WorkedExample,
    binary_cross_entropy,
    classification_error,
    cross_entropy,
    mean_squared_error,
    sigmoid_cross_entropy,
    sigmoid_squared_error,
    softmax_cross_entropy,
)

__all__ = [
    "WORKED_EXAMPLE",
    "BinaryChain",
    "SoftmaxChain",
    "WorkedExample",
    "binary_cross_entropy",
    "classification_error",
    "cross_entropy",
    "mean_squared_error",
    "sigmoid_cross_entropy",
    "sigmoid_cross_entropy_chain",
    "sigmoid_cross_entropy_gradient",
    "sigmoid_squared_error",
    "sigmoid_squared_error_chain",
    "sigmoid_squared_error_gradient",
    "softmax_cross_entropy",
    "softmax_cross_entropy_chain",
    "softmax_cross_entropy_gradient",
    "softmax_jacobian",
    "steps_to_learn",
]
