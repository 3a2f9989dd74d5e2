"""Other people, on other pictures: what a cohort and distractors have to be."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed
from recognition.embeddings import People, people_of, require_directions, unit_rows
from recognition.errors import InputError

MARKED = 2**14  # rows that are looked at for twins at a time


def require_other_people(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    others: npt.ArrayLike,
    other_people: People,
    what: str,
) -> None:
    """Refuse `others`, called `what`, that share a person or a picture with what is evaluated.

    Pictures are the same where their unit embeddings, rounded to float32, are.

    Raises:
        InputError: another dimension, rows without a direction, or an overlap; it names the people.
    """
    given, theirs = np.asarray(embeddings), np.asarray(others)
    if given.ndim != 2 or theirs.ndim != 2 or given.shape[1] != theirs.shape[1]:
        raise InputError(
            f"expected {what} of the {given.shape[-1]} dimensions that are evaluated, but it has "
            f"{theirs.shape[-1]}; embed both with the same model"
        )
    people = people_of(labels, len(given))
    shared = np.intersect1d(people.names, other_people.names)
    if len(shared):
        raise InputError(
            f"expected other people in {what}, but {len(shared)} of its {len(other_people.names)} "
            f"people are evaluated too: {listed(shared.tolist())}; leave them out of {what}, or "
            "rename them if they only have the same name"
        )
    require_directions(given)
    require_directions(theirs, what=f"embeddings of {what}")
    known = dict(zip(_marks(given), people.codes.tolist(), strict=True))
    twins = {
        (str(other_people.names[code]), str(people.names[known[mark]]))
        for mark, code in zip(_marks(theirs), other_people.codes.tolist(), strict=True)
        if mark in known
    }
    if twins:
        same = ", ".join(f"{one!r} and {other!r}" for one, other in sorted(twins)[:5])
        raise InputError(
            f"expected other pictures in {what}, but some have the same embedding in both, of "
            f"people called {same}; leave these people out of {what}"
        )


def _marks(embeddings: npt.NDArray[Any]) -> Iterator[bytes]:
    """Something short that equal directions have in common; + 0 makes -0 a 0."""
    for start in range(0, len(embeddings), MARKED):
        unit = unit_rows(embeddings[start : start + MARKED])
        for row in unit.astype(np.float32) + np.float32(0):
            yield blake2b(row.tobytes(), digest_size=16).digest()
