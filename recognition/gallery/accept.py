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


class Accepted(NamedTuple):
    """Samples of a person that were looked at, to be enrolled together."""

    name: str
    samples: list[Sample]
    metadata: dict[str, Any]


def accept(
    name: str,
    rows: Singles,
    sources: Sequence[str] = (),
    digests: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Accepted:
    """Rows (N, D) of `accept_rows`, with what is said of them, as samples of a person.

    Raises:
        InputError: a name or something said that cannot be taken.
    """
    if not _writable(name) or not name:
        raise InputError(f"expected a name in Unicode that is not empty, got {str(name)[:80]!r}")
    for what, words in (("source", sources), ("digest", digests)):
        if len(words) and len(words) != len(rows):
            raise InputError(
                f"expected a {what} for each of {len(rows)} embeddings of {name[:80]!r}, got "
                f"{len(words)}; name as many"
            )
        if not all(map(_writable, words)):
            raise InputError(
                f"expected every {what} of {name[:80]!r} as text in Unicode, got something else; "
                "spell out what is no UTF-8"
            )
    empty = [""] * len(rows)
    samples = [Sample(*one) for one in zip(rows, sources or empty, digests or empty, strict=True)]
    return Accepted(name, samples, accept_metadata(metadata or {}, name))


def accept_people(
    rows: Singles,
    names: Sequence[str],
    sources: Sequence[str] = (),
    digests: Sequence[str] = (),
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Accepted]:
    """Rows (N, D) of `accept_rows` as samples of people, in the order in which these first come.

    Raises:
        InputError: names or something said that cannot be taken, or is not as many.
    """
    for what, words in (
        ("name", names),
        ("source", sources or names),
        ("digest", digests or names),
    ):
        if len(words) != len(rows):
            raise InputError(
                f"expected a {what} for each of {len(rows)} embeddings, got {len(words)}; name as "
                "many"
            )
    places: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        places.setdefault(str(name), []).append(at)
    said = metadata or {}
    if others := set(said) - set(places):
        raise InputError(
            "expected metadata of people whose embeddings come with it, got some of "
            f"{min(others)[:80]!r}; describe says something about who is enrolled"
        )
    return [
        accept(
            name,
            rows[own],
            [sources[at] for at in own] if len(sources) else (),
            [digests[at] for at in own] if len(digests) else (),
            said.get(name),
        )
        for name, own in places.items()
    ]


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
    try:
        rows = np.atleast_2d(np.asarray(embeddings))
    except ValueError as error:  # lists of different lengths
        raise InputError(
            f"{what}: expected as many numbers of each, got another number of some ({error}); pass "
            "shape (pictures, dimensions)"
        ) from None
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
