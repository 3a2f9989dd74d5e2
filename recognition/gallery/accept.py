"""What a gallery takes: names that are text, and embeddings of its contract."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract, require_same
from recognition.embeddings import require_directions
from recognition.errors import InputError
from recognition.gallery.store import Sample, Singles

SHORTEST, LONGEST = 1e-6, 1e6  # lengths of embeddings


class Enrolment(NamedTuple):
    """Samples of a person, to be enrolled together.

    Attributes:
        name: any text that is not empty.
        embeddings: (N, D), or one (D,), of any length.
        sources: what to call each; none, or one a sample.
        digests: sha256 of the photograph of each; none, or one a sample.
        metadata: about the person, for JSON; replaces what it names.
    """

    name: str
    embeddings: npt.ArrayLike
    sources: Sequence[str] = ()
    digests: Sequence[str] = ()
    metadata: Mapping[str, Any] | None = None


class Accepted(NamedTuple):
    """An enrolment that was looked at."""

    name: str
    samples: list[Sample]
    metadata: dict[str, Any]


def accept(
    enrolment: Enrolment, given: Contract | None, contract: Contract, where: object
) -> Accepted:
    """The samples of an enrolment, as they are kept.

    Args:
        enrolment: what came.
        given: the contract of its embeddings, where it is known.
        contract: that of the gallery.
        where: the gallery, for messages.

    Raises:
        InputError: a name, a vector, a contract or something said that cannot be taken.
    """
    name, embeddings, sources, digests, metadata = enrolment
    rows = accept_rows(embeddings, given, contract, f"embeddings of {name[:80]!r}", where)
    if not name or not _writable(name):
        raise InputError(f"expected a name in Unicode that is not empty, got {name[:80]!r}")
    for what, words in (("source", sources), ("digest", digests)):
        if words and len(words) != len(rows):
            raise InputError(
                f"expected a {what} for each of {len(rows)} embeddings of {name[:80]!r}, got "
                f"{len(words)}"
            )
        if not all(_writable(word) for word in words):
            raise InputError(f"expected every {what} of {name[:80]!r} as text in Unicode")
    empty = [""] * len(rows)
    samples = [Sample(*one) for one in zip(rows, sources or empty, digests or empty, strict=True)]
    return Accepted(name, samples, accept_metadata(metadata or {}, name))


def accept_rows(
    embeddings: npt.ArrayLike,
    given: Contract | None,
    contract: Contract,
    what: str,
    where: object,
) -> Singles:
    """Embeddings (N, D), or one (D,), as rows of float32.

    Raises:
        InputError: they are not of the gallery's contract, or no embeddings.
    """
    if given is not None:
        require_same(given, contract, names=(what, f"the gallery {where}"))
    rows = np.atleast_2d(np.asarray(embeddings))
    require_directions(rows, what=what)
    if rows.shape[1] != contract.dimension:
        raise InputError(
            f"{what}: expected {contract.dimension} dimensions, as {contract} makes them, got "
            f"{rows.shape[1]}; embed with the gallery's model"
        )
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    if not ((lengths >= SHORTEST) & (lengths <= LONGEST)).all():
        raise InputError(
            f"{what}: expected lengths from {SHORTEST:g} to {LONGEST:g}, got "
            f"{lengths.min():g} to {lengths.max():g}; no model makes such embeddings"
        )
    return rows.astype(np.float32)


def accept_metadata(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What is said about a person, as JSON has it.

    Raises:
        InputError: JSON cannot hold it.
    """
    try:
        text = json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"expected metadata of {name[:80]!r} that JSON can hold ({error}); text, numbers, "
            "lists and dictionaries by text do"
        ) from error
    plain: dict[str, Any] = json.loads(text)
    return plain


def _writable(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_top(top: int) -> None:
    """Refuse to list nobody.

    Raises:
        InputError: fewer than one candidate.
    """
    if top < 1:
        raise InputError(f"top: expected at least 1 candidate, got {top}; 5 are usual")


def nobody(name: str) -> InputError:
    """That nobody has this name."""
    return InputError(f"expected the name of somebody enrolled, got {name[:80]!r}")
