"""How well features keep people apart, before any threshold is set.

    features = features_of(embeddings, labels)
    moments = class_moments(features)
    trace_ratio(moments), silhouette(features, moments).mean

All measures are of unit embeddings. Each says whether higher or lower is better, and what people
with a single picture count for.
"""

from recognition.metrics.separability.collapse import (
    PairVariance,
    SimplexDistance,
    nearest_mean_disagreement,
    pair_variance,
    simplex_distance,
    weight_duality,
    within_collapse,
)
from recognition.metrics.separability.moments import (
    ClassMoments,
    Features,
    class_moments,
    features_of,
)
from recognition.metrics.separability.overlap import (
    KolmogorovSmirnov,
    histogram_overlap,
    kolmogorov_smirnov,
)
from recognition.metrics.separability.scatter import (
    DaviesBouldin,
    FisherRatio,
    calinski_harabasz,
    davies_bouldin,
    fisher_ratio,
    trace_ratio,
    trace_ratio_resamples,
)
from recognition.metrics.separability.silhouette import Silhouette, silhouette
from recognition.metrics.separability.spectrum import (
    effective_rank,
    participation_ratio,
    singular_values,
)
from recognition.metrics.separability.uniformity import (
    Alignment,
    Uniformity,
    alignment,
    alignment_resamples,
    pair_mean_interval,
    uniformity,
    uniformity_interval,
)

__all__ = [
    "Alignment",
    "ClassMoments",
    "DaviesBouldin",
    "Features",
    "FisherRatio",
    "KolmogorovSmirnov",
    "PairVariance",
    "Silhouette",
    "SimplexDistance",
    "Uniformity",
    "alignment",
    "alignment_resamples",
    "calinski_harabasz",
    "class_moments",
    "davies_bouldin",
    "effective_rank",
    "features_of",
    "fisher_ratio",
    "histogram_overlap",
    "kolmogorov_smirnov",
    "nearest_mean_disagreement",
    "pair_mean_interval",
    "pair_variance",
    "participation_ratio",
    "silhouette",
    "simplex_distance",
    "singular_values",
    "trace_ratio",
    "trace_ratio_resamples",
    "uniformity",
    "uniformity_interval",
    "weight_duality",
    "within_collapse",
]
