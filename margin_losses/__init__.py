"""Margin-softmax heads over shared, normalised embeddings.

    head = MarginHead(512, 10_572, "arcface:m=0.5", scale=64.0)
    loss = head(embeddings, labels)         # scalar, differentiable
    scores = head.logits(embeddings)        # no margin: for inference and accuracy

`MARGINS` lists the margins by name, `margin_losses.article` holds the losses the article derives.
"""

from margin_losses.drawn_margins import (
    ElasticArcFace,
    ElasticArcFacePlus,
    ElasticCosFace,
    ElasticCosFacePlus,
)
from margin_losses.embedding import Embedding
from margin_losses.functional import margin_softmax
from margin_losses.fused_sgd import FusedSGD
from margin_losses.hard_negatives import CurricularFace, MVArcFace, MVSoftmax
from margin_losses.head import MarginHead
from margin_losses.kernels import Auto, Chunked, Kernel, Sampled, Sums, dense
from margin_losses.lengths import AdaFace, MagFace
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
    SphereFaceR,
    SubCenterArcFace,
)
from margin_losses.optimisers import RowSGD
from margin_losses.own_scale import AdaCos, FixedAdaCos
from margin_losses.reduction import Statistics
from margin_losses.registry import MARGINS, HeadSpec, parse_margin
from margin_losses.shards import Shard, gather_batch
from margin_losses.subcenters import dominant_centers, keep_dominant, outliers
from margin_losses.wrappers import Annealed, Detached, PerClass

__all__ = [
    "COSINE",
    "INNER_PRODUCT",
    "MARGINS",
    "NORM_COSINE",
    "AMSoftmax",
    "AdaCos",
    "AdaFace",
    "Annealed",
    "ArcFace",
    "Auto",
    "Chunked",
    "CombinedMargin",
    "CosFace",
    "CurricularFace",
    "Detached",
    "ElasticArcFace",
    "ElasticArcFacePlus",
    "ElasticCosFace",
    "ElasticCosFacePlus",
    "Embedding",
    "FixedAdaCos",
    "FusedSGD",
    "Geometry",
    "HeadSpec",
    "Kernel",
    "LSoftmax",
    "Logits",
    "MVArcFace",
    "MVSoftmax",
    "MagFace",
    "Margin",
    "MarginHead",
    "NormFace",
    "PerClass",
    "RowSGD",
    "SMSoftmax",
    "Sampled",
    "Shard",
    "SingleMargin",
    "Softmax",
    "SphereFace",
    "SphereFaceR",
    "Statistics",
    "SubCenterArcFace",
    "Sums",
    "Target",
    "dense",
    "dominant_centers",
    "gather_batch",
    "keep_dominant",
    "margin_softmax",
    "outliers",
    "parse_margin",
]
