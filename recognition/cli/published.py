"""What `recognition weights` says of the weights on this machine."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

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
from recognition.faces.models.run import load_safetensors

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


def _described(path: Path) -> str:
    sha256 = hash_of(path)
    first = sha256 if path.suffix == SAFE else first_hash(path)
    changed = f"CHANGED: it was {first} when first used"
    state = {None: "never used yet", sha256: "as when first used"}.get(first, changed)
    return f"{shown(path)}, {path.stat().st_size >> 20} MB, sha256 {sha256}, {state}"


def verified(files: Sequence[Path] | None) -> list[str]:
    """The hash and path of each file, all of them sound.

    Raises:
        InputError: one is not, or there are none to check.
    """
    there = (path for name in PUBLISHED for path in places(name))
    chosen = list(files) if files else [path for path in there if path.exists()]
    if not chosen:
        raise InputError(
            f"there are no weights in {shown(cache_folder())} to check; recognition weights fetch "
            "brings some, or name a file"
        )
    return [f"{_sound(path)}  {shown(path)}" for path in chosen]


def _sound(path: Path) -> str:
    if path.suffix != SAFE:
        return check_weights(path)
    load_safetensors(path)
    return hash_of(path)
