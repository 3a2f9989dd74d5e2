"""Margin-softmax heads over shared, normalised embeddings.

    head = MarginHead(512, 10_572, "arcface:m=0.5", scale=64.0)
    loss = head(embeddings, labels)         # scalar, differentiable
    scores = head.logits(embeddings)        # no margin: for inference and accuracy

`MARGINS` lists the margins by name, `margin_losses.article` holds the losses the article derives.
"""

from margin_losses.embedding import Embedding
from margin_losses.functional import margin_softmax
from margin_losses.head import MarginHead, Statistics
from margin_losses.kernels import Kernel, Sums, dense
from margin_losses.logits import Logits
from margin_losses.margin import (
    COSINE,
    INNER_PRODUCT,
    NORM_COSINE,
    Geometry,
    Margin,
    SingleMargin,
    Target,
)
from margin_losses.margins import (
    AMSoftmax,
    ArcFace,
    CombinedMargin,
    CosFace,
    LSoftmax,
    NormFace,
    SMSoftmax,
    Softmax,
    SphereFace,
    SubCenterArcFace,
)
from margin_losses.registry import MARGINS, HeadSpec, parse_margin
from margin_losses.wrappers import Annealed, Detached, PerClass

__all__ = [
    "COSINE",
    "INNER_PRODUCT",
    "MARGINS",
    "NORM_COSINE",
    "AMSoftmax",
    "Annealed",
    "ArcFace",
    "CombinedMargin",
    "CosFace",
    "Detached",
    "Embedding",
    "Geometry",
    "HeadSpec",
    "Kernel",
    "LSoftmax",
    "Logits",
    "Margin",
    "MarginHead",
    "NormFace",
    "PerClass",
    "SMSoftmax",
    "SingleMargin",
    "Softmax",
    "SphereFace",
    "Statistics",
    "SubCenterArcFace",
    "Sums",
    "Target",
    "dense",
    "margin_softmax",
    "parse_margin",
]
