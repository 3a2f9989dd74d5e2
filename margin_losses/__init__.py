"""Margin-softmax heads over shared, normalised embeddings.

    head = MarginHead(512, 10_572, "arcface:m=0.5", scale=64.0)
    loss = head(embeddings, labels)         # scalar, differentiable
    scores = head.logits(embeddings)        # no margin: for inference and accuracy

`MARGINS` lists the margins by name, `margin_losses.article` holds the losses the article derives.
"""

from margin_losses.annealing import Annealed
from margin_losses.embedding import Embedding
from margin_losses.functional import margin_softmax
from margin_losses.head import MarginHead
from margin_losses.kernels import Kernel, Logits, Sums, dense
from margin_losses.margins import (
    COSINE,
    INNER_PRODUCT,
    NORM_COSINE,
    AMSoftmax,
    ArcFace,
    CosFace,
    Geometry,
    LSoftmax,
    Margin,
    NormFace,
    SMSoftmax,
    Softmax,
    SphereFace,
    Target,
)
from margin_losses.registry import MARGINS, HeadSpec, parse_margin

__all__ = [
    "COSINE",
    "INNER_PRODUCT",
    "MARGINS",
    "NORM_COSINE",
    "AMSoftmax",
    "Annealed",
    "ArcFace",
    "CosFace",
    "Embedding",
    "Geometry",
    "HeadSpec",
    "Kernel",
    "LSoftmax",
    "Logits",
    "Margin",
    "MarginHead",
    "NormFace",
    "SMSoftmax",
    "Softmax",
    "SphereFace",
    "Sums",
    "Target",
    "dense",
    "margin_softmax",
    "parse_margin",
]
