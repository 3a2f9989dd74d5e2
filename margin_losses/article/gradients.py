"""Gradients factor by factor down to the weights, for two classes and for many.

N samples, C classes, D features; everything is per sample, not averaged.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from margin_losses.article.checks import (
    binary,
    check_scores,
    one_hot,
    own_entry,
    shapes,
)


class BinaryChain(NamedTuple):
    """dL/dw = dL/dp · dp/ds · ds/dw of each sample, for s = w·x + b and p = sigmoid(s).

    Attributes:
        dl_dp: (N,) how the loss answers to the probability.
        dp_ds: (N,) = p (1 - p), how the sigmoid answers to the score: at most 1/4, nearly 0 for a
            sure answer, right or wrong.
        ds_dw: (N, D) = x, how the score answers to the weights; 1 for the bias.
    """

    dl_dp: Tensor
    dp_ds: Tensor
    ds_dw: Tensor

    @property
    def dl_ds(self) -> Tensor:
        """The first two factors, (N,): also the gradient of the bias."""
        return self.dl_dp * self.dp_ds

    @property
    def product(self) -> Tensor:
        """All three factors, (N, D). Not a number where p is so sure that it rounds to 0 or 1."""
        return self.dl_ds[:, None] * self.ds_dw


def sigmoid_cross_entropy_chain(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> BinaryChain:
    """The factors of the gradient of L = -[y log p + (1 - y) log(1 - p)], sample by sample.

        dL/dp = -y/p + (1 - y)/(1 - p) = (p - y) / (p (1 - p))
        dp/ds = p (1 - p)                     cancels the denominator above
        ds/dw = x
        dL/dw = (p - y) x                     the error times the input, nothing in the way

    Args:
        x: (N, D).
        weight: (D,).
        bias: a scalar, ().
        y: (N,) labels, 0 or 1.

    Raises:
        ValueError: shapes do not fit, numbers are not finite, or y is not 0 or 1.

    >>> x, w, b = torch.tensor([[2.0, 1.0]]), torch.tensor([-1.0, 0.0]), torch.tensor(0.0)
    >>> chain = sigmoid_cross_entropy_chain(x, w, b, torch.tensor([1]))
    >>> [factor.tolist() for factor in chain]
    [[-8.389], [0.105], [[2.0, 1.0]]]
    >>> chain.product
    tensor([[-1.762, -0.881]])
    """
    p, y = binary_model(x, weight, bias, y)
    return BinaryChain(torch.where(y == 1, -1 / p, 1 / (1 - p)), p * (1 - p), x)


def sigmoid_cross_entropy_gradient(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> Tensor:
    """dL/dw = (p - y) x of each sample, (N, D), as `sigmoid_cross_entropy_chain` derives it.

    Finite at any finite score: nothing is divided.

    >>> x, w, b = torch.tensor([[2.0, 1.0]]), torch.tensor([-1.0, 0.0]), torch.tensor(0.0)
    >>> sigmoid_cross_entropy_gradient(x, w, b, torch.tensor([1]))
    tensor([[-1.762, -0.881]])
    """
    p, y = binary_model(x, weight, bias, y)
    return (p - y)[:, None] * x


def sigmoid_squared_error_chain(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> BinaryChain:
    """The factors of the gradient of L = (p - y)², sample by sample.

        dL/dp = 2 (p - y)
        dp/ds = p (1 - p)                     nothing cancels it
        ds/dw = x
        dL/dw = 2 (p - y) p (1 - p) x         nearly 0 for a confident mistake: a slow start

    Arguments and errors are those of `sigmoid_cross_entropy_chain`.

    >>> x, w, b = torch.tensor([[2.0, 1.0]]), torch.tensor([-1.0, 0.0]), torch.tensor(0.0)
    >>> sigmoid_squared_error_chain(x, w, b, torch.tensor([1])).product
    tensor([[-0.370, -0.185]])
    """
    p, y = binary_model(x, weight, bias, y)
    return BinaryChain(2 * (p - y), p * (1 - p), x)


def sigmoid_squared_error_gradient(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> Tensor:
    """dL/dw = 2 (p - y) p (1 - p) x of each sample, (N, D).

    >>> x, w, b = torch.tensor([[2.0, 1.0]]), torch.tensor([-1.0, 0.0]), torch.tensor(0.0)
    >>> sigmoid_squared_error_gradient(x, w, b, torch.tensor([1]))
    tensor([[-0.370, -0.185]])
    """
    p, y = binary_model(x, weight, bias, y)
    return (2 * (p - y) * p * (1 - p))[:, None] * x


class SoftmaxChain(NamedTuple):
    """dL/dW = dL/dp · dp/ds · ds/dW of each sample, for s = W x + b and p = softmax(s).

    Attributes:
        dl_dp: (N, C) the row vector of ∂L/∂p_k.
        dp_ds: (N, C, C) the matrix of ∂p_k/∂s_j, row k and column j.
        ds_dw: (N, C, C, D) the array of ∂s_j/∂W_id: the input x where i = j, 0 elsewhere.
    """

    dl_dp: Tensor
    dp_ds: Tensor
    ds_dw: Tensor

    @property
    def dl_ds(self) -> Tensor:
        """The first two factors, (N, C): also the gradient of the biases."""
        return torch.einsum("nk,nkj->nj", self.dl_dp, self.dp_ds)

    @property
    def product(self) -> Tensor:
        """All three factors, (N, C, D). Not a number where p_y is so small that it rounds to 0."""
        return torch.einsum("nj,njid->nid", self.dl_ds, self.ds_dw)


def softmax_jacobian(scores: Tensor) -> Tensor:
    """∂p_k/∂s_j = p_k (δ_kj - p_j) of p = softmax(s): (N, C) -> (N, C, C), diag(p) - p pᵀ.

    From p_k = e^{s_k} / Σ by the quotient rule: p_k - p_k² where j = k, -p_k p_j elsewhere.
    As dL/ds = p - y, it is also the Hessian of the cross-entropy in the scores. For any vector v,
    vᵀ(diag(p) - p pᵀ)v = Σ p_k v_k² - (Σ p_k v_k)² is a variance, never negative: the
    cross-entropy is convex in the scores.

    Raises:
        ValueError: the scores are not finite or not (N, C).

    >>> softmax_jacobian(torch.tensor([[0.0, 0.0]]))
    tensor([[[ 0.2500, -0.2500],
             [-0.2500,  0.2500]]])
    """
    check_scores(scores, ndim=2)
    p = scores.softmax(1)
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


def softmax_cross_entropy_chain(
    x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor
) -> SoftmaxChain:
    """The factors of the gradient of L = -log p_y, sample by sample.

        ∂L/∂p_k   = -1/p_y where k = y, 0 elsewhere
        ∂p_k/∂s_j = p_k (δ_kj - p_j)                 see `softmax_jacobian`
        ∂L/∂s_j   = -1/p_y · p_y (δ_yj - p_j)        only the row k = y is left
                  = p_j - y_j                        with y_j = δ_yj, the one-hot label
        ∂s_j/∂W_j = x
        ∂L/∂W     = (p - y) xᵀ                       the article's (p - y) x, a row a class

    Args:
        x: (N, D).
        weight: (C, D).
        bias: (C,).
        labels: (N,) whole numbers in [0, C).

    Raises:
        ValueError: shapes do not fit, numbers are not finite, or the labels are not that.

    >>> x, w, b = torch.tensor([[2.0, 1.0]]), torch.zeros(2, 2), torch.zeros(2)
    >>> chain = softmax_cross_entropy_chain(x, w, b, torch.tensor([1]))
    >>> chain.dl_dp, chain.dl_ds
    (tensor([[ 0., -2.]]), tensor([[ 0.5000, -0.5000]]))
    >>> chain.product
    tensor([[[ 1.0000,  0.5000],
             [-1.0000, -0.5000]]])
    """
    scores = softmax_model(x, weight, bias)
    own = own_entry(scores.softmax(1), labels)
    dl_dp = torch.zeros_like(scores).scatter(1, labels.long()[:, None], (-1 / own)[:, None])
    each = torch.eye(len(weight), dtype=x.dtype, device=x.device)
    return SoftmaxChain(dl_dp, softmax_jacobian(scores), torch.einsum("ji,nd->njid", each, x))


def softmax_cross_entropy_gradient(
    x: Tensor, weight: Tensor, bias: Tensor, labels: Tensor
) -> Tensor:
    """∂L/∂W = (p - y) xᵀ of each sample, (N, C, D), as `softmax_cross_entropy_chain` derives it.

    Finite at any finite score: nothing is divided.

    >>> x, w, b = torch.tensor([[2.0, 1.0]]), torch.zeros(2, 2), torch.zeros(2)
    >>> softmax_cross_entropy_gradient(x, w, b, torch.tensor([1]))
    tensor([[[ 1.0000,  0.5000],
             [-1.0000, -0.5000]]])
    """
    p = softmax_model(x, weight, bias).softmax(1)
    return (p - one_hot(labels, p))[:, :, None] * x[:, None, :]


def steps_to_learn(
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    start: float = -6.0,
    rate: float = 1.0,
    within: float = 0.1,
    limit: int = 10_000,
) -> int:
    """Steps of plain gradient descent on one score until sigmoid(s) is `within` of the label 1.

    Args:
        loss: of scores (1,) and labels (1,): `sigmoid_cross_entropy` or `sigmoid_squared_error`.
        start: the first score; far below zero is a confident mistake.
        rate: the step is rate · dL/ds.
        within: how near to 1 is learned, in (0, 1).
        limit: the most steps to try.

    Raises:
        ValueError: `limit` steps were not enough, or `within` is not in (0, 1).

    >>> from margin_losses.article import sigmoid_cross_entropy, sigmoid_squared_error
    >>> steps_to_learn(sigmoid_cross_entropy), steps_to_learn(sigmoid_squared_error)
    (17, 249)
    """
    if not 0 < within < 1:
        raise ValueError(f"within: expected a number in (0, 1), got {within:g}; 0.1 is usual")
    score, label = torch.tensor([start], dtype=torch.float64), torch.ones(1)
    slope = torch.func.grad(loss)
    for step in range(limit + 1):
        if score.sigmoid().item() >= 1 - within:
            return step
        score = score - rate * slope(score, label)
    raise ValueError(
        f"expected to learn the label within {limit} steps, came to p = {score.sigmoid().item():.3g}"
        " only; raise limit or rate"
    )


def binary_model(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities sigmoid(w·x + b), (N,), and the labels in their dtype."""
    if x.ndim != 2 or weight.shape != x.shape[1:] or bias.ndim:
        raise ValueError(
            f"expected x (N, D), weight (D,) and a scalar bias, got {shapes(x, weight, bias)}; "
            "for more than two classes take the softmax"
        )
    scores = x @ weight + bias
    check_scores(scores, ndim=1)
    return scores.sigmoid(), binary(y, scores)


def softmax_model(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The scores W x + b, (N, C)."""
    fits = x.ndim == weight.ndim == 2 and x.shape[1] == weight.shape[1]
    if not fits or bias.shape != weight.shape[:1]:
        raise ValueError(
            f"expected x (N, D), weight (C, D) and bias (C,), got {shapes(x, weight, bias)}; "
            "a layer torch.nn.Linear(D, C) has them so"
        )
    scores = x @ weight.T + bias
    check_scores(scores, ndim=2)
    return scores
