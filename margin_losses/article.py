"""The losses the article derives, and their gradients factor by factor down to the weights.

Three ways to score the same predictions: the share of wrong answers, the mean squared error and the
cross-entropy. Only the last knows how sure a right answer is and still learns from a confident
mistake. N samples, C classes, D features; natural logarithms; losses average over the samples.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

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

_SUM_TOLERANCE = 1e-3  # probabilities typed with three digits, or computed in half precision


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


# -- losses of probabilities -----------------------------------------------------------------------


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
    _check_probabilities(probabilities)
    own = _own(probabilities, labels)
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
    _check_probabilities(probabilities)
    y = _one_hot(targets, probabilities)
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
    _check_unit_interval(p)
    return -torch.where(_binary(y, p) == 1, p, 1 - p).log().mean()


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
    _check_probabilities(probabilities)
    return -_own(probabilities, labels).log().mean()


# -- the same losses of scores ---------------------------------------------------------------------


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
    _check_scores(scores, ndim=1)
    return -F.logsigmoid(torch.where(_binary(y, scores) == 1, scores, -scores)).mean()


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
    _check_scores(scores, ndim=2)
    # log_softmax takes the largest score away first, so that no e^s overflows
    return -_own(scores.log_softmax(1), labels).mean()


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
    _check_scores(scores, ndim=1)
    return (scores.sigmoid() - _binary(y, scores)).square().mean()


# -- two classes: three factors down to the weights ------------------------------------------------


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
    p, y = _binary_model(x, weight, bias, y)
    return BinaryChain(torch.where(y == 1, -1 / p, 1 / (1 - p)), p * (1 - p), x)


def sigmoid_cross_entropy_gradient(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> Tensor:
    """dL/dw = (p - y) x of each sample, (N, D), as `sigmoid_cross_entropy_chain` derives it.

    Finite at any finite score: nothing is divided.

    >>> x, w, b = torch.tensor([[2.0, 1.0]]), torch.tensor([-1.0, 0.0]), torch.tensor(0.0)
    >>> sigmoid_cross_entropy_gradient(x, w, b, torch.tensor([1]))
    tensor([[-1.762, -0.881]])
    """
    p, y = _binary_model(x, weight, bias, y)
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
    p, y = _binary_model(x, weight, bias, y)
    return BinaryChain(2 * (p - y), p * (1 - p), x)


def sigmoid_squared_error_gradient(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> Tensor:
    """dL/dw = 2 (p - y) p (1 - p) x of each sample, (N, D).

    >>> x, w, b = torch.tensor([[2.0, 1.0]]), torch.tensor([-1.0, 0.0]), torch.tensor(0.0)
    >>> sigmoid_squared_error_gradient(x, w, b, torch.tensor([1]))
    tensor([[-0.370, -0.185]])
    """
    p, y = _binary_model(x, weight, bias, y)
    return (2 * (p - y) * p * (1 - p))[:, None] * x


# -- many classes: the derivation the article leaves open ------------------------------------------


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
    _check_scores(scores, ndim=2)
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
    scores = _softmax_model(x, weight, bias)
    own = _own(scores.softmax(1), labels)
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
    p = _softmax_model(x, weight, bias).softmax(1)
    return (p - _one_hot(labels, p))[:, :, None] * x[:, None, :]


# -- the claim that one starts slowly --------------------------------------------------------------


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


# -- the models, and what may come in --------------------------------------------------------------


def _binary_model(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities sigmoid(w·x + b), (N,), and the labels in their dtype."""
    if x.ndim != 2 or weight.shape != x.shape[1:] or bias.ndim:
        raise ValueError(
            f"expected x (N, D), weight (D,) and a scalar bias, got {_shapes(x, weight, bias)}; "
            "for more than two classes take the softmax"
        )
    scores = x @ weight + bias
    _check_scores(scores, ndim=1)
    return scores.sigmoid(), _binary(y, scores)


def _softmax_model(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The scores W x + b, (N, C)."""
    fits = x.ndim == weight.ndim == 2 and x.shape[1] == weight.shape[1]
    if not fits or bias.shape != weight.shape[:1]:
        raise ValueError(
            f"expected x (N, D), weight (C, D) and bias (C,), got {_shapes(x, weight, bias)}; "
            "a layer torch.nn.Linear(D, C) has them so"
        )
    scores = x @ weight.T + bias
    _check_scores(scores, ndim=2)
    return scores


def _own(rows: Tensor, labels: Tensor) -> Tensor:
    """The entry of the right class of each row: (N, C), (N,) -> (N,)."""
    _check_labels(labels, *rows.shape)
    return rows.gather(1, labels.long()[:, None]).squeeze(1)


def _binary(y: Tensor, like: Tensor) -> Tensor:
    """The labels 0 or 1 in the dtype of `like`, (N,)."""
    if like.ndim != 1 or 0 in like.shape or y.shape != like.shape:
        raise ValueError(
            f"expected vectors of one length with at least one sample, got shapes "
            f"{_shapes(like, y)}; a single sample is a vector of length 1"
        )
    wrong = y[(y != 0) & (y != 1)]
    if len(wrong):
        raise ValueError(
            f"labels: expected 0 or 1, got {wrong[0].item():g}; "
            "for more than two classes take the softmax"
        )
    return y.to(like.dtype)


def _one_hot(targets: Tensor, like: Tensor) -> Tensor:
    """Labels (N,) or one-hot rows (N, C) as one-hot rows in the dtype of `like` (N, C)."""
    if targets.ndim == 1:
        _check_labels(targets, *like.shape)
        return F.one_hot(targets.long(), like.shape[1]).to(like.dtype)
    fits = targets.shape == like.shape
    if not fits or ((targets != 0) & (targets != 1)).any() or (targets.sum(1) != 1).any():
        came = "rows that are not one-hot" if fits else f"shape {tuple(targets.shape)}"
        raise ValueError(
            f"targets: expected labels ({len(like)},) or one-hot rows {tuple(like.shape)}, "
            f"got {came}; labels are the simpler way"
        )
    return targets.to(like.dtype)


def _check_probabilities(probabilities: Tensor) -> None:
    if probabilities.ndim != 2 or 0 in probabilities.shape:
        raise ValueError(
            f"probabilities: expected shape (N, C) with at least one row and one class, "
            f"got {tuple(probabilities.shape)}; two classes are two columns, p and 1 - p"
        )
    _check_unit_interval(probabilities)
    total = probabilities.detach().sum(1)
    row = int((total - 1).abs().argmax())
    if abs(float(total[row]) - 1) > _SUM_TOLERANCE:
        raise ValueError(
            f"probabilities: expected each row to sum to 1 within {_SUM_TOLERANCE}, got "
            f"{float(total[row]):.6g} in row {row}; of scores take softmax_cross_entropy"
        )


def _check_unit_interval(p: Tensor) -> None:
    if not p.is_floating_point():
        raise ValueError(
            f"probabilities: expected a floating dtype, got {p.dtype}; call .double() on them"
        )
    outside = p.detach()[~((p >= 0) & (p <= 1))]
    if len(outside):
        raise ValueError(
            f"probabilities: expected numbers in [0, 1], got {float(outside[0]):.6g}; "
            "if these are scores, take sigmoid_cross_entropy or softmax_cross_entropy"
        )


def _check_scores(scores: Tensor, *, ndim: int) -> None:
    if scores.ndim != ndim or 0 in scores.shape:
        raise ValueError(
            f"scores: expected shape {'(N,)' if ndim == 1 else '(N, C)'} with at least one sample, "
            f"got {tuple(scores.shape)}; the sigmoid takes one score a sample, the softmax C"
        )
    if not scores.is_floating_point() or not scores.isfinite().all():
        came = "NaN or infinity" if scores.is_floating_point() else str(scores.dtype)
        raise ValueError(
            f"scores: expected finite numbers of a floating dtype, got {came}; "
            "look at the network's input and at its learning rate"
        )


def _check_labels(labels: Tensor, n: int, c: int) -> None:
    if labels.shape != (n,):
        raise ValueError(
            f"labels: expected shape ({n},), one a sample, got {tuple(labels.shape)}; "
            "one-hot rows become labels with .argmax(1)"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels: expected whole numbers, got {labels.dtype}; call .long()")
    wrong = labels[(labels < 0) | (labels >= c)]
    if len(wrong):
        raise ValueError(
            f"labels: expected 0 <= label < {c}, got {int(wrong[0])}; "
            "number the classes from 0, without gaps"
        )


def _shapes(*tensors: Tensor) -> str:
    return ", ".join(str(tuple(t.shape)) for t in tensors)
