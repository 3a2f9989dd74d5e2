"""What may come in: probabilities, scores and labels, or one sentence why not."""

import torch
import torch.nn.functional as F
from torch import Tensor

SUM_TOLERANCE = 1e-3  # probabilities typed with three digits, or computed in half precision


def own_entry(rows: Tensor, labels: Tensor) -> Tensor:
    """The entry of the right class of each row: (N, C), (N,) -> (N,)."""
    check_labels(labels, *rows.shape)
    return rows.gather(1, labels.long()[:, None]).squeeze(1)


def binary(y: Tensor, like: Tensor) -> Tensor:
    """The labels 0 or 1 in the dtype of `like`, (N,)."""
    if like.ndim != 1 or 0 in like.shape or y.shape != like.shape:
        raise ValueError(
            f"expected vectors of one length with at least one sample, got shapes "
            f"{shapes(like, y)}; a single sample is a vector of length 1"
        )
    wrong = y[(y != 0) & (y != 1)]
    if len(wrong):
        raise ValueError(
            f"labels: expected 0 or 1, got {wrong[0].item():g}; "
            "for more than two classes take the softmax"
        )
    return y.to(like.dtype)


def one_hot(targets: Tensor, like: Tensor) -> Tensor:
    """Labels (N,) or one-hot rows (N, C) as one-hot rows in the dtype of `like` (N, C)."""
    if targets.ndim == 1:
        check_labels(targets, *like.shape)
        return F.one_hot(targets.long(), like.shape[1]).to(like.dtype)
    fits = targets.shape == like.shape
    if not fits or ((targets != 0) & (targets != 1)).any() or (targets.sum(1) != 1).any():
        came = "rows that are not one-hot" if fits else f"shape {tuple(targets.shape)}"
        raise ValueError(
            f"targets: expected labels ({len(like)},) or one-hot rows {tuple(like.shape)}, "
            f"got {came}; labels are the simpler way"
        )
    return targets.to(like.dtype)


def check_probabilities(probabilities: Tensor) -> None:
    if probabilities.ndim != 2 or 0 in probabilities.shape:
        raise ValueError(
            f"probabilities: expected shape (N, C) with at least one row and one class, "
            f"got {tuple(probabilities.shape)}; two classes are two columns, p and 1 - p"
        )
    check_unit_interval(probabilities)
    total = probabilities.detach().sum(1)
    row = int((total - 1).abs().argmax())
    if abs(float(total[row]) - 1) > SUM_TOLERANCE:
        raise ValueError(
            f"probabilities: expected each row to sum to 1 within {SUM_TOLERANCE}, got "
            f"{float(total[row]):.6g} in row {row}; of scores take softmax_cross_entropy"
        )


def check_unit_interval(p: Tensor) -> None:
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


def check_scores(scores: Tensor, *, ndim: int) -> None:
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


def check_labels(labels: Tensor, n: int, c: int) -> None:
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


def shapes(*tensors: Tensor) -> str:
    return ", ".join(str(tuple(t.shape)) for t in tensors)
