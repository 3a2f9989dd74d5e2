"""Networks of ours from safetensors: those of our own runs, and conversions."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from recognition.contract import Contract, Preprocessing
from recognition.datasets._files import listed, refusing, shown
from recognition.errors import InputError
from recognition.faces.models.card import Card, card_path, read_card, require_unchanged
from recognition.faces.models.weight_bytes import (
    fill,
    read_bytes,
    tensors_of_safetensors,
    versions,
)

if TYPE_CHECKING:
    from recognition.backbones import Backbone
    from recognition.faces.models.network import TorchEmbedder

EXPECTED = "weights of a network in safetensors"


def load_safetensors(path: Path, *, device: str = "cpu") -> "TorchEmbedder":
    """One of our backbones, as `recognition compare` saves it or `load_facenet` converts it.

    The backbone's name and the preprocessing are in the file's metadata, or in the card beside it.
    Where a run says no preprocessing, the detector's box is stretched to the backbone's input,
    as `recognition compare` stretches the pictures it is given.

    Raises:
        InputError: no such file, a damaged or changed one, or one of another network.
    """
    from recognition.backbones.registry import BACKBONES, NAMES, TIMM, find_backbone
    from recognition.faces.models.network import TorchEmbedder

    raw, sha256 = read_bytes(path, EXPECTED)
    card = read_card(path) if card_path(path).exists() else None
    if card is not None:
        require_unchanged(card, sha256, path)
    tensors = tensors_of_safetensors(raw, path)
    told = _metadata(raw)
    backbone = (card.backbone if card else "") or told.get("backbone", "")
    if backbone not in BACKBONES and not backbone.startswith(TIMM):
        raise InputError(
            f"{shown(path)}: expected weights of {NAMES}, got "
            f"{listed([backbone]) if backbone else 'a file that names no backbone'}; name a "
            "backbone that recognition compare wrote, or the network with "
            "package.module:factory@weights.safetensors"
        )
    kind = find_backbone(backbone)
    card = card or _card_of_run(told, kind, path)
    network = kind.build()
    fill(network, tensors, path, backbone)
    contract = Contract(
        card.name or path.name,
        card.original_sha256 or sha256,
        kind.embedding_dim,
        card.preprocessing,
        card.licence,
        versions("torch", *kind.packages),
    )
    return TorchEmbedder.of(network, contract, device=device)


def weights_in(folder: Path) -> Path:
    """The one file of a network in a run folder, or in a folder of weights.

    Raises:
        InputError: there is none, or several.
    """
    found = sorted(
        path
        for place in (folder, folder / "weights")
        for pattern in ("*.backbone.safetensors", "model.safetensors")
        for path in place.glob(pattern)
    )
    if len(found) != 1:
        came = listed(path.name for path in found) or "none"
        raise InputError(
            f"expected one network in {shown(folder)}, model.safetensors or "
            f"HEAD-SEED.backbone.safetensors, got {came}; name the file itself"
        )
    return found[0]


def _card_of_run(told: dict[str, str], kind: "Backbone", path: Path) -> Card:
    if "preprocessing" not in told:
        return Card(kind.preprocessing, licence=OWN)
    with refusing(path, "how its crops are prepared, in JSON", "train it again"):
        values = json.loads(told["preprocessing"])
        return Card(Preprocessing(**values), licence=told.get("licence", OWN))


OWN = "your own training; that of the pictures it learned from"


def _metadata(raw: bytes) -> dict[str, str]:
    """The texts beside the tensors; the library has checked the header by now."""
    length = int.from_bytes(raw[:8], "little")
    found = json.loads(raw[8 : 8 + length]).get("__metadata__") or {}
    return {str(key): str(value) for key, value in found.items()}
