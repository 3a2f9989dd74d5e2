"""The papers' equations transcribed once, naively: float64, loops, slow and obviously right.

Each takes the (B, D) embeddings, the (C, D) class weights, the labels, the scale and the margin's
parameters, and returns the mean loss; autograd of it is the reference for gradients.
"""

import math

import torch
from torch import Tensor


def cross_entropy(rows: list[list[Tensor]], labels: Tensor) -> Tensor:
    losses = []
    for logits, y in zip(rows, labels.tolist(), strict=True):
        total = sum(torch.exp(z - logits[y]) for z in logits)
        losses.append(torch.log(total))
    return sum(losses) / len(losses)


def angle(x: Tensor, w: Tensor) -> Tensor:
    return torch.acos((x @ w) / (x.norm() * w.norm()))


def psi(theta: Tensor, m: float) -> Tensor:
    """(-1)^k cos(mθ) - 2k on [kπ/m, (k+1)π/m]."""
    for k in range(math.ceil(m)):
        if k * math.pi / m <= theta.item() <= (k + 1) * math.pi / m:
            return (-1) ** k * torch.cos(m * theta) - 2 * k
    raise AssertionError(theta)


def loss(x: Tensor, weight: Tensor, labels: Tensor, target, negative) -> Tensor:
    """`target` and `negative` map (embedding, class weight) to a logit."""
    rows = []
    for i, y in enumerate(labels.tolist()):
        rows.append([(target if j == y else negative)(x[i], weight[j]) for j in range(len(weight))])
    return cross_entropy(rows, labels)


def cosine(x: Tensor, w: Tensor) -> Tensor:
    return torch.cos(angle(x, w))


def softmax(x, weight, labels, s):
    return loss(x, weight, labels, lambda a, b: s * (a @ b), lambda a, b: s * (a @ b))


def normface(x, weight, labels, s):
    return loss(x, weight, labels, lambda a, b: s * cosine(a, b), lambda a, b: s * cosine(a, b))


def lsoftmax(x, weight, labels, s, m):
    return loss(
        x,
        weight,
        labels,
        lambda a, b: s * a.norm() * b.norm() * psi(angle(a, b), m),
        lambda a, b: s * (a @ b),
    )


def sphereface(x, weight, labels, s, m):
    return loss(
        x,
        weight,
        labels,
        lambda a, b: s * a.norm() * psi(angle(a, b), m),
        lambda a, b: s * a.norm() * cosine(a, b),
    )


def smsoftmax(x, weight, labels, s, m):
    return loss(x, weight, labels, lambda a, b: s * (a @ b) - m, lambda a, b: s * (a @ b))


def amsoftmax(x, weight, labels, s, m):
    return loss(
        x, weight, labels, lambda a, b: s * (cosine(a, b) - m), lambda a, b: s * cosine(a, b)
    )


cosface = amsoftmax


def arcface(x, weight, labels, s, m):
    def target(a, b):
        theta = angle(a, b)
        if theta.item() <= math.pi - m:
            return s * torch.cos(theta + m)
        return s * (torch.cos(theta) - m * math.sin(m))

    return loss(x, weight, labels, target, lambda a, b: s * cosine(a, b))
