"""Rates, angles and their intervals: pure functions of scores, candidates and embeddings.

Higher scores are more alike, and accepted at score >= threshold. A rate is at most its target,
ties count against the system, and what cannot be measured says so instead of being zero.
"""

from recognition.metrics.angles import AngleStatistics, angle_statistics
from recognition.metrics.identification import (
    OpenSetPoint,
    fnir,
    fnir_at_fpir,
    fpir,
    rank_one_rate,
)
from recognition.metrics.intervals import (
    IdentificationIntervals,
    Interval,
    VerificationIntervals,
    identification_intervals,
    mean_interval,
    verification_intervals,
    wilson,
)
from recognition.metrics.searches import Searches, pool
from recognition.metrics.verification import (
    EqualErrorRate,
    ErrorCurve,
    OperatingPoint,
    area_under_curve,
    equal_error_rate,
    error_curve,
    fmr,
    fnmr,
    tar_at_fmr,
    threshold_at_fmr,
)

__all__ = [
    "AngleStatistics",
    "EqualErrorRate",
    "ErrorCurve",
    "IdentificationIntervals",
    "Interval",
    "OpenSetPoint",
    "OperatingPoint",
    "Searches",
    "VerificationIntervals",
    "angle_statistics",
    "area_under_curve",
    "equal_error_rate",
    "error_curve",
    "fmr",
    "fnir",
    "fnir_at_fpir",
    "fnmr",
    "fpir",
    "identification_intervals",
    "mean_interval",
    "pool",
    "rank_one_rate",
    "tar_at_fmr",
    "threshold_at_fmr",
    "verification_intervals",
    "wilson",
]
