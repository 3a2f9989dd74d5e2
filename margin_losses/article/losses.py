"""The losses of the article, of probabilities and of scores, and its worked example.

N samples, C classes; natural logarithms; losses average over the samples.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from margin_losses.article.checks import (
    binary,
    check_probabilities,
    check_scores,
    check_unit_interval,
    one_hot,
    own_entry,
)


class WorkedExample(NamedTuple):
    """The article's comparison of two models on the same three samples of three classes.

    Attributes:
        models: the probabilities (3, 3) that each of the two models gives.
        labels: (3,) the right classes.
    """

    models: tuple[Tensor, Tensor]
    labels: Tensor


WORKED_EXAMPLE = WorkedExample(
    models=(
        torch.tensor([[0.3, 0.3, 0.4], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]], dtype=torch.float64),
        torch.tensor([[0.1, 0.2, 0.7], [0.1, 0.7, 0.2], [0.3, 0.4, 0.3]], dtype=torch.float64),
    ),
    labels=torch.tensor([2, 1, 0]),
)
"""Both models are wrong once; the second is surer where it is right and less sure where wrong."""


def classification_error(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The share of samples whose right class is not the single most probable one.

    A tie with the right class counts as an error. It is constant almost everywhere, so it teaches
    nothing: its gradient is zero.

    Args:
        probabilities: (N, C), each row in [0, 1] and summing to 1 within 0.001.
        labels: (N,) whole numbers in [0, C).

    Raises:
        ValueError: probabilities or labels are not that.

    >>> first, second = WORKED_EXAMPLE.models
    >>> classification_error(first, WORKED_EXAMPLE.labels)
    tensor(0.3333, dtype=torch.float64)
    >>> classification_error(second, WORKED_EXAMPLE.labels)
    tensor(0.3333, dtype=torch.float64)
    """
    check_probabilities(probabilities)
    own = own_entry(probabilities, labels)
    others = probabilities.scatter(1, labels.long()[:, None], -1.0)
    return (own <= others.amax(1)).to(probabilities.dtype).mean()


def mean_squared_error(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Σ_k (p_k - y_k)², summed over the classes, averaged over the samples.

    It looks at the wrong classes too: the same p_y costs more when one wrong class holds the rest.

    Args:
        probabilities: (N, C), each row in [0, 1] and summing to 1 within 0.001.
        targets: one-hot rows (N, C), or labels (N,).

    Raises:
        ValueError: probabilities or targets are not that.

    >>> first, second = WORKED_EXAMPLE.models
    >>> mean_squared_error(first, WORKED_EXAMPLE.labels)
    tensor(0.807, dtype=torch.float64)
    >>> mean_squared_error(second, WORKED_EXAMPLE.labels)
    tensor(0.340, dtype=torch.float64)
    """
    check_probabilities(probabilities)
    y = one_hot(targets, probabilities)
    return (probabilities - y).square().sum(1).mean()


def binary_cross_entropy(p: Tensor, y: Tensor) -> Tensor:
    """-[y log p + (1 - y) log(1 - p)], averaged over the samples.

    Infinite where a label has probability 0; `sigmoid_cross_entropy` stays finite.

    Args:
        p: (N,) probabilities of the class 1.
        y: (N,) labels, 0 or 1.

    Raises:
        ValueError: p is not within [0, 1], or y is not 0 or 1.

    >>> binary_cross_entropy(torch.tensor([0.8, 0.8]), torch.tensor([1, 0]))
    tensor(0.9163)
    """
    check_unit_interval(p)
    return -torch.where(binary(y, p) == 1, p, 1 - p).log().mean()


def cross_entropy(probabilities: Tensor, labels: Tensor) -> Tensor:
    """-log p_y, averaged over the samples.

    It looks at the right class alone: however the rest is split among the wrong ones, the loss is
    the same. Infinite where p_y = 0; `softmax_cross_entropy` stays finite.

    Args:
        probabilities: (N, C), each row in [0, 1] and summing to 1 within 0.001.
        labels: (N,) whole numbers in [0, C).

    Raises:
        ValueError: probabilities or labels are not that.

    >>> first, second = WORKED_EXAMPLE.models
    >>> cross_entropy(first, WORKED_EXAMPLE.labels)
    tensor(1.378, dtype=torch.float64)
    >>> cross_entropy(second, WORKED_EXAMPLE.labels)
    tensor(0.639, dtype=torch.float64)
    """
    check_probabilities(probabilities)
    return -own_entry(probabilities, labels).log().mean()


def sigmoid_cross_entropy(scores: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy of p = sigmoid(s), without passing through p.

    -log p = -log sigmoid(s) and -log(1 - p) = -log sigmoid(-s): one formula, the sign of s decides.

    Args:
        scores: (N,).
        y: (N,) labels, 0 or 1.

    Raises:
        ValueError: the scores are not finite, or y is not 0 or 1.

    >>> sigmoid_cross_entropy(torch.tensor([-1000.0]), torch.tensor([1]))
    tensor(1000.)
    """
    check_scores(scores, ndim=1)
    return -F.logsigmoid(torch.where(binary(y, scores) == 1, scores, -scores)).mean()


def softmax_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of p = softmax(s), without passing through p: log Σ_j e^{s_j} - s_y.

    Args:
        scores: (N, C).
        labels: (N,) whole numbers in [0, C).

    Raises:
        ValueError: the scores are not finite, or the labels are not that.

    >>> softmax_cross_entropy(torch.tensor([[1000.0, 0.0]]), torch.tensor([1]))
    tensor(1000.)
    """
    check_scores(scores, ndim=2)
    # log_softmax takes the largest score away first, so that no e^s overflows
    return -own_entry(scores.log_softmax(1), labels).mean()


def sigmoid_squared_error(scores: Tensor, y: Tensor) -> Tensor:
    """(p - y)² of p = sigmoid(s), averaged over the samples: what cross-entropy is compared with.

    Args:
        scores: (N,).
        y: (N,) labels, 0 or 1.

    Raises:
        ValueError: the scores are not finite, or y is not 0 or 1.

    >>> sigmoid_squared_error(torch.tensor([-1000.0]), torch.tensor([1]))
    tensor(1.)
    """
    check_scores(scores, ndim=1)
    return (scores.sigmoid() - binary(y, scores)).square().mean()
