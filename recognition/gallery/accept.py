"""What a gallery takes: names that are text, and embeddings of its contract."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract, require_same
from recognition.errors import InputError
from recognition.gallery.changes import as_json
from recognition.gallery.records import Sample, Singles
from recognition.gallery.vectors import require_rows


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
    what = f"embeddings of {str(name)[:80]!r}"
    require_text([name], sources, len(rows), what)
    require_text([], digests, len(rows), what, kind="digest")
    samples = list(map(Sample, rows, plain(sources, len(rows)), plain(digests, len(rows))))
    return Accepted(str(name), samples, json.loads(as_json(metadata or {})))


def plain(texts: Sequence[str], count: int) -> list[str]:
    """As many texts, empty where none were given; numpy's become Python's, as records are summed."""
    return list(map(str, texts)) if len(texts) else [""] * count


def accept_samples(
    name: str,
    samples: Sequence[Sample],
    metadata: Mapping[str, Any],
    contract: Contract,
    where: object,
) -> Accepted:
    """Samples of a person that come from a gallery or an export, looked at anew.

    Raises:
        InputError: a name, a vector or something said that cannot be taken.
    """
    what = f"embeddings of {str(name)[:80]!r}"
    rows = accept_rows([one.vector for one in samples], None, contract, what, where)
    sources, digests = [one.source for one in samples], [one.digest for one in samples]
    return accept(name, rows, sources, digests, metadata)


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
    said = require_people(names, sources, digests, metadata, len(rows))
    places: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        places.setdefault(str(name), []).append(at)
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
    rows = np.atleast_2d(rectangular(embeddings, what))
    require_embeddings(rows, given, contract, what, where)
    return rows.astype(np.float32)


def rectangular(embeddings: npt.ArrayLike, what: str) -> npt.NDArray[Any]:
    """Embeddings as an array.

    Raises:
        InputError: lists of different lengths.
    """
    try:
        return np.asarray(embeddings)
    except ValueError as error:
        raise InputError(
            f"{what}: expected as many numbers of each, got another number of some ({error}); pass "
            "shape (pictures, dimensions)"
        ) from None


def require_embeddings(
    rows: npt.NDArray[Any], given: Contract | None, contract: Contract, what: str, where: object
) -> None:
    """Refuse rows (N, D) that are no embeddings of a gallery.

    Args:
        rows: what came, of any length.
        given: the contract of the embeddings, where it is known.
        contract: that of the gallery.
        what: to call them in messages.
        where: the gallery is, for messages.

    Raises:
        InputError: they are not of its contract, or no embeddings.
    """
    if given is not None:
        require_same(given, contract, names=(what, f"the gallery {where}"))
    require_rows(rows, what=what)
    if rows.shape[1] != contract.dimension:
        raise InputError(
            f"{what}: expected {contract.dimension} dimensions, as {contract} makes them, got "
            f"{rows.shape[1]}; embed with the gallery's model"
        )


def require_people(
    names: Sequence[str],
    sources: Sequence[str],
    digests: Sequence[str],
    metadata: Mapping[str, Mapping[str, Any]] | None,
    count: int,
) -> Mapping[str, Mapping[str, Any]]:
    """Refuse what is said of `count` embeddings of many people where it cannot be taken.

    Raises:
        InputError: names or something said that is no text, or not as many.
    """
    what = "embeddings"
    if len(names) != count:
        raise InputError(
            f"{what}: expected the name of the person of each of {count}, got {len(names)}"
        )
    require_text(names, sources, count, what)
    require_text([], digests, count, what, kind="digest")
    said = metadata or {}
    if others := set(said) - set(map(str, names)):
        raise InputError(
            f"{what}: expected metadata of the people they are of, got some of "
            f"{min(others)[:80]!r}; describe says something about who is enrolled"
        )
    for one in said.values():
        as_json(one)
    return said


def require_text(
    names: Sequence[str], sources: Sequence[str], count: int, what: str, *, kind: str = "source"
) -> None:
    """Refuse names, sources or digests that are no text, or not as many.

    Raises:
        InputError: they are something else.
    """
    if len(sources) and len(sources) != count:
        raise InputError(f"{what}: expected a {kind} for each of {count}, got {len(sources)}")
    for each, texts in (("name", names), (kind, sources)):
        for text in texts:
            if not _writable(text) or (each == "name" and not text):
                raise InputError(
                    f"{what}: expected a {each} in Unicode that is not empty, got "
                    f"{str(text)[:80]!r}; name it otherwise"
                )


def require_top(top: int) -> None:
    """Refuse to list nobody.

    Raises:
        InputError: fewer than one candidate.
    """
    if top < 1:
        raise InputError(f"top: expected at least 1 candidate, got {top}; 5 are usual")


def _writable(text: object) -> bool:
    try:
        str.encode(text)  # type: ignore[arg-type]
    except (UnicodeEncodeError, TypeError):
        return False
    return True
