"""facenet-pytorch's InceptionResnetV1 from its published weights, wherever they lie here.

Nothing is downloaded: `recognition weights fetch` does that. The embedding is what stands before
the network's own normalisation, so that its length can be judged; cosines are the same either way.
The published weights go with a box of the detector and a margin of 14 of 160 pixels, as upstream's
own evaluation on LFW cuts it.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recognition.contract import Contract, Preprocessing
from recognition.datasets._files import reason, require_file, shown
from recognition.errors import InputError
from recognition.faces.models.card import Card, card_path, read_card
from recognition.faces.models.own_networks import load_safetensors
from recognition.faces.models.pins import HOME, home, pin, pinned, require_pinned
from recognition.faces.models.weight_bytes import (
    file_hash,
    fill,
    read_bytes,
    tensors_of_torch,
    versions,
    written_beside,
)

if TYPE_CHECKING:
    from torch import Tensor

    from recognition.faces.models.network import TorchEmbedder

VARIABLE = "RECOGNITION_FACENET_WEIGHTS"
RELEASE = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9"
BACKBONE = "inception_resnet_v1"
PREPROCESSING = Preprocessing(alignment="box", height=160, width=160, margin=14)
LICENCE = (
    "code MIT; nothing is said about the weights, which were learned from faces collected for "
    "research: unclear, get advice before commercial use"
)
log = logging.getLogger("recognition")
EXPECTED = "weights of InceptionResnetV1"


class Published(NamedTuple):
    """Weights that upstream published.

    Attributes:
        file: their name there, and in facenet-pytorch's cache.
        people: that they were trained on, which are the rows of `logits`.
    """

    file: str
    people: int


PUBLISHED = {
    "vggface2": Published("20180402-114759-vggface2.pt", 8_631),
    "casia-webface": Published("20180408-102900-casia-webface.pt", 10_575),
}


def cache_folder() -> Path:
    """facenet-pytorch's own cache, which is not the one of torch.hub."""
    torch_home = os.environ.get("TORCH_HOME")
    if torch_home is None:
        torch_home = os.environ.get("XDG_CACHE_HOME", "~/.cache") + "/torch"
    return Path(torch_home).expanduser() / "checkpoints"


def places(name: str | None = None) -> Iterator[Path]:
    """Where weights are looked for, in that order; with a name, those weights only."""
    if name is None and os.environ.get(VARIABLE):
        yield Path(os.environ[VARIABLE]).expanduser()
        return
    for key, published in PUBLISHED.items():
        if name in (None, key):
            yield cache_folder() / published.file
            yield from _converted_of(published)


def find_weights(name: str | None = None) -> Path | None:
    """The first of `places` where a file lies; None where there is none.

    Raises:
        InputError: the environment variable names a file that is not there.
    """
    named = os.environ.get(VARIABLE) if name is None else None
    if named:
        require_file(Path(named).expanduser(), f"{EXPECTED}, which ${VARIABLE} names,")
    return next((path for path in places(name) if path.exists()), None)


def load_facenet(path: Path, *, device: str = "cpu") -> "TorchEmbedder":
    """The network with the weights in a `.pt` of upstream, converted to safetensors on first use.

    The file's sha256 is remembered on first use and compared ever after.

    Raises:
        InputError: no such file, or not these weights, or not those of the first time.
    """
    raw, sha256 = read_bytes(path, EXPECTED)
    require_pinned(_pin_name(path), sha256, path)
    converted = converted_path(sha256)
    if card_path(converted).exists():
        try:
            embedder = load_safetensors(converted, device=device)
        except InputError as error:  # the original is at hand, so a damaged copy is no obstacle
            log.info("%s; it is converted again", error)
        else:
            remember(path, sha256)
            return embedder
    embedder = _unpickled(raw, path, sha256, device)
    try:
        remember(path, sha256)
        _convert(embedder, path, converted)
    except OSError as error:  # a machine that may not be written to embeds all the same
        log.warning(
            "%s cannot be written (%s), so the sha256 %s of %s is not remembered; name another "
            "place with $%s", shown(home()), reason(error), sha256, shown(path), HOME,
        )  # fmt: skip
    return embedder


def check_weights(path: Path, name: Path | None = None) -> str:
    """The sha256 of a file of weights that load, embed, and are those of the first time.

    Args:
        path: the file.
        name: where it will lie, if that is another place: it is judged as if it lay there.

    Raises:
        InputError: as `load_facenet` says; nothing is converted or remembered.
    """
    name = name or path
    raw, sha256 = read_bytes(path, EXPECTED)
    require_pinned(_pin_name(name), sha256, name)
    _unpickled(raw, name, sha256, "cpu")
    return sha256


def remember(path: Path, sha256: str) -> None:
    """Remember the hash of a file of weights, to be compared ever after."""
    pin(_pin_name(path), sha256, path)


def converted_path(sha256: str) -> Path:
    """Where the weights of a file with this hash lie in safetensors once they were used."""
    return home() / "models" / f"facenet-{sha256[:16]}" / "model.safetensors"


def known_name(path: Path) -> str | None:
    """The name of published weights, if the file is called as they are."""
    return next((key for key, told in PUBLISHED.items() if told.file == path.name), None)


def hash_of(path: Path) -> str:
    """The sha256 of the file, for lists."""
    return file_hash(path, EXPECTED)


def first_hash(path: Path) -> str | None:
    """The sha256 that was remembered for a file of weights."""
    return pinned(_pin_name(path))


def _converted_of(published: Published) -> Iterator[Path]:
    """Conversions of a published file that was removed since."""
    first = pinned(published.file)
    if first is not None and card_path(converted_path(first)).exists():
        yield converted_path(first)


def _pin_name(path: Path) -> str:
    """Published files are known by their name wherever they lie, others by their place."""
    if known_name(path):
        return path.name
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]


def _unpickled(raw: bytes, path: Path, sha256: str, device: str) -> "TorchEmbedder":
    from recognition.backbones import create_backbone
    from recognition.faces.models.network import TorchEmbedder

    tensors = tensors_of_torch(raw, path)
    name = _require_right_name(tensors, path)
    network = create_backbone(BACKBONE)
    body = {key: value for key, value in tensors.items() if not key.startswith("logits.")}
    fill(network, body, path, "InceptionResnetV1")
    told = versions("torch", "facenet-pytorch")
    contract = Contract(f"facenet {name}", sha256, 512, PREPROCESSING, LICENCE, told)
    return TorchEmbedder.of(network, contract, device=device)


def _require_right_name(tensors: dict[str, "Tensor"], path: Path) -> str:
    """Which data set the weights learned from: the classifier's rows tell, whatever the name."""
    classifier = tensors.get("logits.weight")
    rows = len(classifier) if classifier is not None and classifier.ndim else 0
    found = next((key for key, told in PUBLISHED.items() if told.people == rows), None)
    named = known_name(path)
    if named and rows and found != named:
        raise InputError(
            f"{shown(path)}: expected the weights of {named}, with {PUBLISHED[named].people:,} "
            f"people, got those of {found or 'another set'}, with {rows:,}; give the file its own "
            "name back, or fetch it again"
        )
    return found or named or path.stem


def _convert(embedder: "TorchEmbedder", path: Path, final: Path) -> None:
    """Write the weights in safetensors with their card; the card comes last and makes it valid."""
    from safetensors.torch import save_file

    final.parent.mkdir(parents=True, exist_ok=True)
    state = embedder.network.state_dict()
    with written_beside(final) as partial:
        tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
        save_file(tensors, partial, {"backbone": BACKBONE})
        sha256 = file_hash(partial, EXPECTED)
    told = embedder.contract
    source = f"{RELEASE}/{path.name}" if known_name(path) else shown(path.resolve())
    card = Card(
        PREPROCESSING,
        name=told.model,
        licence=LICENCE,
        sha256=sha256,
        original_sha256=told.sha256,
        source=source,
        date=datetime.now(UTC).date().isoformat(),
        backbone=BACKBONE,
    )
    with written_beside(card_path(final)) as partial:
        partial.write_text(card.to_json() + "\n", encoding="utf-8")
    read_card(final)
