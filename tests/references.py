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


def arc(theta, m, past):
    """cos(θ + m), and what is in its place past θ = π - m; for `easy`, where cos θ <= 0."""
    m = torch.as_tensor(m, dtype=torch.float64)
    if past == "easy":
        return torch.cos(theta + m) if theta.item() < math.pi / 2 else torch.cos(theta)
    if past == "paper" or theta.item() <= math.pi - m.item():
        return torch.cos(theta + m)
    if past == "linear":
        return torch.cos(theta) - m * torch.sin(m)
    return {"clipped": 0 * theta - 1, "continuous": -2 - torch.cos(theta + m)}[past]


def arcface(x, weight, labels, s, m, past="linear"):
    return loss(
        x,
        weight,
        labels,
        lambda a, b: s * arc(angle(a, b), m, past),
        lambda a, b: s * cosine(a, b),
    )


def subcenterarcface(x, weight, labels, s, m):
    """The weight is (C, K, D)."""
    rows = []
    for i, y in enumerate(labels.tolist()):
        best = [max(cosine(x[i], center) for center in of_class) for of_class in weight]
        best[y] = arc(torch.acos(best[y]), m, "linear")
        rows.append([s * cos for cos in best])
    return cross_entropy(rows, labels)


def combinedmargin(x, weight, labels, s, m1, m2, m3, past="paper"):
    def target(a, b):
        theta = m1 * angle(a, b) + m2
        if past == "continuous":
            return s * (psi(theta, 1) - m3) if theta.item() <= math.pi else s * beyond(theta)
        if past == "clipped" and theta.item() > math.pi:
            return s * (0 * theta - 1 - m3)
        return s * (torch.cos(theta) - m3)

    def beyond(theta):
        k = math.floor(theta.item() / math.pi)
        return (-1) ** k * torch.cos(theta) - 2 * k - m3

    return loss(x, weight, labels, target, lambda a, b: s * cosine(a, b))


def spherefacer(x, weight, labels, s, m, form="v1"):
    def target(a, b):
        theta = angle(a, b)
        if form == "v0":
            return s * psi(theta, m)
        if form == "v2":
            return s * torch.cos(theta)
        return s * torch.cos(m * theta) if m * theta.item() < math.pi else s * (0 * theta - 1)

    def negative(a, b):
        return s * torch.cos(angle(a, b) / m if form == "v2" else angle(a, b))

    return loss(x, weight, labels, target, negative)


def with_hard_negatives(x, weight, labels, s, margined, hard):
    """`margined` is the own class's cosine of an angle, `hard` what a larger other one becomes."""
    rows = []
    for i, y in enumerate(labels.tolist()):
        own = margined(angle(x[i], weight[y]))
        row = []
        for j in range(len(weight)):
            cos = cosine(x[i], weight[j])
            if j == y:
                row.append(s * own)
            elif cos.item() > own.item():
                row.append(s * hard(cos))
            else:
                row.append(s * cos)
        rows.append(row)
    return cross_entropy(rows, labels)


def curricularface(x, weight, labels, s, m, hardness, past="linear"):
    return with_hard_negatives(
        x, weight, labels, s, lambda theta: arc(theta, m, past), lambda cos: cos * (hardness + cos)
    )


def mvsoftmax(x, weight, labels, s, m, t, form="adaptive"):
    return with_hard_negatives(
        x,
        weight,
        labels,
        s,
        lambda theta: torch.cos(theta) - m,
        lambda cos: t * cos + t - 1 if form == "adaptive" else cos + t - 1,
    )


def mvarcface(x, weight, labels, s, m, t, form="adaptive", past="linear"):
    return with_hard_negatives(
        x,
        weight,
        labels,
        s,
        lambda theta: arc(theta, m, past),
        lambda cos: t * cos + t - 1 if form == "adaptive" else cos + t - 1,
    )


def adaface(x, weight, labels, s, m, h, norm_mean, norm_std, past="clipped"):
    def target(a, b):
        length = min(max(a.norm().item(), 0.001), 100)
        quality = min(max(h * (length - norm_mean) / (norm_std + 0.001), -1), 1)
        theta = angle(a, b) - m * quality
        if past == "clipped" and not 0 <= theta.item() <= math.pi:
            theta = 0 * theta + (0 if theta.item() < 0 else math.pi)
        return s * (torch.cos(theta) - (m + m * quality))

    return loss(x, weight, labels, target, lambda a, b: s * cosine(a, b))


def magface(
    x,
    weight_of_classes,
    labels,
    s,
    lower_margin,
    upper_margin,
    lower_norm,
    upper_norm,
    weight,
    past="linear",
):
    def length(a):
        a = a.norm()
        if a.item() < lower_norm:
            return 0 * a + lower_norm
        return 0 * a + upper_norm if a.item() > upper_norm else a

    def target(a, b):
        slope = (upper_margin - lower_margin) / (upper_norm - lower_norm)
        m = slope * (length(a) - lower_norm) + lower_margin
        return s * arc(angle(a, b), m, past)

    found = loss(x, weight_of_classes, labels, target, lambda a, b: s * cosine(a, b))
    penalties = [length(a) / upper_norm**2 + 1 / length(a) for a in x]
    return found + weight * sum(penalties) / len(penalties)


def each(reference, x, weight, labels, s, margins):
    """The mean loss where each sample has its own m."""
    losses = [
        reference(x[i : i + 1], weight, labels[i : i + 1], s, m) for i, m in enumerate(margins)
    ]
    return sum(losses) / len(losses)


def elasticarcface(x, weight, labels, s, m, sigma, drawn=None):
    return each(arcface, x, weight, labels, s, [m] * len(x) if drawn is None else drawn)


def elasticcosface(x, weight, labels, s, m, sigma, drawn=None):
    return each(cosface, x, weight, labels, s, [m] * len(x) if drawn is None else drawn)


elasticarcfaceplus, elasticcosfaceplus = elasticarcface, elasticcosface


def adacos(x, weight, labels, adaptive_scale):
    return normface(x, weight, labels, adaptive_scale)


fixedadacos = adacos


def adacos_scale(x, weight, labels, scale):
    """The next scale of AdaCos from the one before."""
    angles, sums = [], []
    for i, y in enumerate(labels.tolist()):
        angles.append(angle(x[i], weight[y]).item())
        others = [cosine(x[i], weight[j]).item() for j in range(len(weight)) if j != y]
        sums.append(sum(math.exp(scale * cos) for cos in others))
    median = sorted(angles)[(len(angles) - 1) // 2]
    return math.log(sum(sums) / len(sums)) / math.cos(min(math.pi / 4, median))
