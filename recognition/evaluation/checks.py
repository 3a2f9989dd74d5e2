"""What is refused before an evaluation begins, as it may take hours."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.cohorts import Normaliser
from recognition.datasets._files import listed as named
from recognition.datasets.embedding_files import Failure
from recognition.embeddings import People
from recognition.errors import InputError
from recognition.evaluation.options import Options


def require_rows(embeddings: npt.NDArray[Any], labels: npt.NDArray[np.str_]) -> None:
    """A label for each row of a matrix."""
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise InputError(
            f"expected embeddings of shape (N, D) and N labels, got {embeddings.shape} and "
            f"{labels.shape}"
        )


def require_entries(pictures: int, what: str, entries: npt.ArrayLike | None) -> None:
    """Nothing, or an entry for each picture."""
    if entries is not None and len(np.asarray(entries)) != pictures:
        raise InputError(
            f"expected a {what} with one entry for each of {pictures} pictures, got "
            f"{len(np.asarray(entries))}; put them in the same order"
        )


def require_none_failed(failures: Iterable[Failure], people: People, what: str) -> None:
    """None of these people is evaluated by a picture that could not be embedded."""
    shared = sorted({one.label for one in failures} & set(people.names.tolist()))
    if shared:
        raise InputError(
            f"expected other people in {what}, but {named(shared)} are evaluated too, by "
            f"pictures that could not be embedded; leave them out of {what}"
        )


def require_use(normaliser: Normaliser, options: Options, *, listed: bool) -> None:
    """Something that the cohort can be held against, of all pairs or of a list."""
    parts = options.parts
    pairs = "verification" in parts and (normaliser.symmetric or listed)
    if pairs or (not listed and "identification" in parts):
        return
    way_out = (
        "let verification or identification be done too"
        if normaliser.symmetric
        else "take s or as, list pairs with --pairs, or let identification be done too"
    )
    raise InputError(
        f"expected something to normalise by {normaliser.method}, but only {', '.join(parts)} is "
        f"asked for; {way_out}"
    )
