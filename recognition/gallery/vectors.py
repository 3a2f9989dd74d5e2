"""Embeddings as a gallery takes them: float32, of a length that models make."""

from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.embeddings import require_directions
from recognition.errors import InputError
from recognition.search.quantised import Singles

SHORTEST, LONGEST = 1e-6, 1e6  # lengths of embeddings
CHECKED = 2**12  # rows looked at in float64 at a time


def require_rows(embeddings: npt.NDArray[Any], *, what: str) -> None:
    """Refuse rows without a direction, or of a length that no model makes.

    Raises:
        InputError: another array than a matrix of finite numbers, or a row too short or too long.
    """
    require_directions(embeddings, what=what)
    for start in range(0, len(embeddings), CHECKED):
        part = embeddings[start : start + CHECKED].astype(np.float64)
        largest = np.abs(part).max(axis=1)
        lengths = largest * np.linalg.norm(part / largest[:, None], axis=1)
        if not ((lengths >= SHORTEST) & (lengths <= LONGEST)).all():
            raise InputError(
                f"{what}: expected lengths from {SHORTEST:g} to {LONGEST:g}, got "
                f"{lengths.min():g} to {lengths.max():g}; no model makes such embeddings"
            )


def gallery_rows(embeddings: npt.NDArray[Any], *, what: str) -> Singles:
    """(N, D) in float32, as a gallery takes them.

    Raises:
        InputError: see `require_rows`.

    >>> gallery_rows(np.array([[3, 4]]), what="embeddings")
    array([[3., 4.]], dtype=float32)
    """
    require_rows(embeddings, what=what)
    return embeddings.astype(np.float32)
