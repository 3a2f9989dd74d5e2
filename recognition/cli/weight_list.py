"""What `recognition weights` says of the weights on this machine."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from recognition.datasets._files import shown
from recognition.errors import InputError
from recognition.faces.models.facenet import (
    LICENCE,
    PUBLISHED,
    VARIABLE,
    cache_folder,
    check_weights,
    find_weights,
    first_hash,
    hash_of,
    places,
)
from recognition.faces.models.own_networks import load_safetensors

SAFE = ".safetensors"  # a conversion, whose card knows its hash


def table() -> Iterator[str]:
    """A few lines for each of the published weights, and where they are looked for."""
    named = find_weights() if os.environ.get(VARIABLE) else None
    if named is not None:
        yield f"${VARIABLE}: {_described(named)}"
    for name in PUBLISHED:
        path = find_weights(name)
        if path is None:
            yield f"{name}: not here; recognition weights fetch {name}"
            continue
        yield f"{name}: {_described(path)}"
    yield ""
    yield f"Looked for in ${VARIABLE}, then in {shown(cache_folder())}."
    yield f"Licence: {LICENCE}."


def described() -> dict[str, Any]:
    """What `table` says, for programs."""
    named = find_weights() if os.environ.get(VARIABLE) else None
    paths: list[tuple[str | None, Path | None]] = [] if named is None else [(None, named)]
    paths += [(name, find_weights(name)) for name in PUBLISHED]
    return {
        "format": 1,
        "weights": [
            {"name": name, "path": None}
            if path is None
            else {"name": name, "path": str(path), **_hashes(path)._asdict()}
            for name, path in paths
        ],
        "folder": str(cache_folder()),
        "licence": LICENCE,
    }


class _Hashes(NamedTuple):
    sha256: str
    first_sha256: str | None  # when it was first used; None if it never was


def _hashes(path: Path) -> _Hashes:
    sha256 = hash_of(path)
    return _Hashes(sha256, sha256 if path.suffix == SAFE else first_hash(path))


def _described(path: Path) -> str:
    sha256, first = _hashes(path)
    changed = f"CHANGED: it was {first} when first used"
    state = {None: "never used yet", sha256: "as when first used"}.get(first, changed)
    return f"{shown(path)}, {path.stat().st_size >> 20} MB, sha256 {sha256}, {state}"


@dataclass(frozen=True)
class Verified:
    """A file of weights that was looked at.

    Attributes:
        path: of the file.
        sha256: of what is sound.
        problem: what is wrong otherwise.
    """

    path: str
    sha256: str | None = None
    problem: str | None = None


def verified(files: Sequence[Path] | None) -> list[Verified]:
    """Every file, sound or not.

    Raises:
        InputError: there are none to check.
    """
    there = (path for name in PUBLISHED for path in places(name))
    chosen = list(files) if files else [path for path in there if path.exists()]
    if not chosen:
        raise InputError(
            f"there are no weights in {shown(cache_folder())} to check; recognition weights fetch "
            "brings some, or name a file"
        )
    return [_verified(path) for path in chosen]


def _verified(path: Path) -> Verified:
    try:
        return Verified(str(path), sha256=_sound(path))
    except InputError as error:
        if not path.exists():
            raise
        return Verified(str(path), problem=str(error))


def _sound(path: Path) -> str:
    if path.suffix != SAFE:
        return check_weights(path)
    load_safetensors(path)
    return hash_of(path)
