"""Weights of face networks: where they are, whether they are sound, and whether they embed."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import numpy as np

from recognition.datasets._files import reason, shown
from recognition.doctor.findings import Finding, broken, missing, works
from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.faces.models.card import card_path, read_card, require_unchanged
from recognition.faces.models.facenet import (
    PUBLISHED,
    VARIABLE,
    cache_folder,
    check_weights,
    find_weights,
    hash_of,
    known_name,
    places,
)
from recognition.faces.models.loading import load_embedder
from recognition.faces.models.own_networks import load_safetensors
from recognition.faces.models.pins import HOME, home
from recognition.faces.models.trial import noise

ALIKE = 0.9999  # cosine of the same crop embedded twice


def home_folder() -> Iterator[Finding]:
    """Whether there is a place for what must be remembered."""
    place = home()
    parent = place
    while not parent.exists():
        parent = parent.parent
    try:
        with tempfile.TemporaryFile(dir=parent):
            yield works("cache", f"{place} can be written to")
    except OSError as error:
        yield missing(
            "cache",
            f"{place} cannot be written to ({reason(error)}), so hashes of weights are not "
            "remembered",
            f"export {HOME}=~/recognition",
        )


def published() -> Iterator[Finding]:
    """The files of facenet-pytorch's weights: those that load are told with their hash."""
    named = os.environ.get(VARIABLE)
    there = [path for path in places() if path.exists() or named]
    if not there:
        yield missing(
            "weights",
            f"none of {', '.join(PUBLISHED)} in {cache_folder()}, none in ${VARIABLE}",
            _fetch("vggface2"),
        )
    for path in there:
        try:
            sha256 = _checked(path)
        except InputError as error:
            yield broken("weights", reason(error), _mended(path))
        else:
            yield works("weights", f"{shown(path)}, sha256 {sha256}")


def conversions() -> Iterator[Finding]:
    """What is kept of earlier runs, and is of no use any more."""
    stale = [folder for folder in sorted(home().glob("models/*")) if not _sound(folder)]
    stale += sorted(home().rglob("*.part")) + sorted(cache_folder().glob("*.part"))
    for path in stale:
        yield missing(
            "cache",
            f"{shown(path)} is stale, left by a run that was stopped or damaged since",
            f"rm -r {quote(str(path))}",
        )


def embedding(model: str) -> Iterator[Finding]:
    """Whether a model embeds crops, each the same alone and among others."""
    if model in PUBLISHED and find_weights(model) is None:
        yield broken("model", f"no weights of {model} are here", _fetch(model))
        return
    embedder = load_embedder(model)
    crops = noise(embedder.contract.preprocessing, 3)
    together = unit_rows(embedder.embed(crops))
    alone = unit_rows(np.concatenate([embedder.embed(crops[[place]]) for place in range(3)]))
    least = float((together * alone).sum(axis=1).min())
    if least >= ALIKE:
        yield works("model", f"embeds; {embedder.contract}; licence: {embedder.contract.licence}")
    else:
        yield broken(
            "model",
            f"{embedder.contract.model}: a crop's embedding depends on the others in its batch "
            f"(cosine {least:.4f}), so it was exported for training",
            "recognition export onnx --help",
        )


def _fetch(name: str) -> str:
    return f"recognition weights fetch {name} --accept-licence"


def _checked(path: Path) -> str:
    if path.suffix != ".safetensors":
        return check_weights(path)
    load_safetensors(path)
    return hash_of(path)


def _mended(path: Path) -> str:
    name = known_name(path)
    if name is not None and not os.environ.get(VARIABLE):
        return f"rm {quote(str(path))} && {_fetch(name)}"
    return f"unset {VARIABLE}" if os.environ.get(VARIABLE) else f"rm {quote(str(path))}"


def _sound(folder: Path) -> bool:
    """Whether a conversion is what its card says."""
    path = folder / "model.safetensors"
    try:
        if not card_path(path).exists():
            return False
        require_unchanged(read_card(path), hash_of(path), path)
    except InputError:
        return False
    return True
