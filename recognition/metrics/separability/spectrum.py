"""How many of the dimensions the embeddings use."""

import numpy as np

from recognition.embeddings import Floats
from recognition.errors import InputError
from recognition.metrics.separability.moments import CELLS, NOTHING
from recognition.progress import Watch, unwatched


def singular_values(rows: Floats, centre: Floats, *, watch: Watch = unwatched) -> Floats:
    """Those of the (N, D) rows less their centre, descending; min(N, D) of them.

    A block at a time is folded into an upper triangle by QR, which loses nothing that the
    scatter matrix would lose by squaring.
    """
    dim = rows.shape[1]
    triangle: Floats = np.empty((0, dim))
    step = max(dim, CELLS // dim)
    with watch("dimensions in use", len(rows)) as advance:
        for start in range(0, len(rows), step):
            block = rows[start : start + step] - centre
            triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, block]), mode="r"))
            advance(min(start + step, len(rows)))
    found: Floats = np.linalg.svd(triangle, compute_uv=False).astype(np.float64)
    found[found < NOTHING * np.sqrt(len(rows))] = 0
    return found


def effective_rank(singular: Floats) -> float:
    """exp(-Σ p_k ln p_k) with p_k = σ_k / Σ σ: between 1 and the rank; D where all are equal.

    Raises:
        InputError: all embeddings are alike.

    Source: Roy and Vetterli, The effective rank, EUSIPCO 2007.

    >>> effective_rank(np.array([2.0, 2.0, 0.0]))
    2.0
    """
    share = _shares(singular)
    return float(np.exp(-(share * np.log(share)).sum()))


def participation_ratio(singular: Floats) -> float:
    """(Σ λ)² / Σ λ² of the variances λ_k = σ_k²: less than the effective rank for uneven ones.

    Raises:
        InputError: all embeddings are alike.

    Source: Gao et al., A theory of multineuronal dimensionality, bioRxiv 214262 (2017).

    >>> participation_ratio(np.array([2.0, 2.0, 0.0]))
    2.0
    """
    share = _shares(singular**2)
    return float(1 / (share**2).sum())


def _shares(values: Floats) -> Floats:
    whole = values.sum()
    if not whole:
        raise InputError("expected embeddings that differ, but all are alike; check the model")
    share: Floats = values[values > 0] / whole
    return share
