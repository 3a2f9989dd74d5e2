"""How the error rates of identification change with the number of people enrolled, as rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.evaluation.estimates import Estimate
from recognition.evaluation.rows import Row
from recognition.progress import Watch, numbered, unwatched
from recognition.protocols import OpenSet
from recognition.search.growth import Growth, grow_gallery, halvings, pool_growth, spread

REPEATS = 20  # random orders in which people are enrolled
ROWS = 3  # the largest sizes; the curve has them all


def grow_halves(
    embeddings: npt.NDArray[np.generic],
    labels: npt.NDArray[np.generic],
    halves: Sequence[OpenSet],
    thresholds: Mapping[float, float],
    *,
    seed: int = 0,
    watch: Watch = unwatched,
) -> dict[float, Growth]:
    """The growth at the threshold of each target FPIR, of all halves counted together.

    The sizes are those of the smaller gallery. Nothing is measured where there is no threshold,
    or a gallery of fewer than two people.
    """
    largest = min(len(np.unique(labels[half.gallery_index])) for half in halves)
    if largest < 2 or not thresholds:
        return {}
    parts = [
        grow_gallery(
            embeddings[half.gallery_index],
            labels[half.gallery_index],
            embeddings[half.probe_index],
            labels[half.probe_index],
            thresholds=list(thresholds.values()),
            sizes=halvings(largest),
            repeats=REPEATS,
            seed=seed,
            watch=numbered(watch, f"{number}/{len(halves)}"),
        )
        for number, half in enumerate(halves, start=1)
    ]
    pooled = [pool_growth(part) for part in zip(*parts, strict=True)]
    return dict(zip(thresholds, pooled, strict=True))


def growth_rows(growths: Mapping[float, Growth]) -> Iterator[Row]:
    """FPIR and FNIR in the largest galleries, at the threshold of the highest target."""
    if not growths:
        return
    target = max(growths)
    growth = growths[target]
    for name, rates in (("fpir", growth.fpir), ("fnir", growth.fnir)):
        mean, deviation = spread(rates)
        for at in range(len(growth.sizes))[: -ROWS - 1 : -1]:
            size = int(growth.sizes[at])
            counts = {
                "gallery": size,
                "threshold": growth.threshold,
                "target": target,
                "repeats": len(rates),
                "deviation": _number(deviation[at]),
            }
            if name == "fpir":
                counts["independent"] = float(growth.independent[at])
            note = None if np.isfinite(mean[at]) else "nobody searched for was enrolled"
            estimate = Estimate(_number(mean[at]), note=note, counts=counts)
            label = f"{name.upper()} with {size} people enrolled"
            yield Row(f"{name}@gallery={size}", label, "share", estimate)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def growth_curve(growth: Growth) -> dict[str, Any]:
    """Rates over the size of the gallery, and how far they scatter with who is enrolled."""
    (alarms, alarms_vary), (misses, misses_vary) = spread(growth.fpir), spread(growth.fnir)
    return {
        "gallery": growth.sizes,
        "fpir": alarms,
        "fpir_deviation": alarms_vary,
        "fnir": misses,
        "fnir_deviation": misses_vary,
        "independent": growth.independent,
    }
