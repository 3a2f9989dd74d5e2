"""Any PyTorch network, named by whoever calls: code is never named by a file.

A TorchScript file is code: it runs whatever its author compiled into it, and torch's own security
notes ask to treat it as a program. So it is loaded only when it is asked for as `script:face.pt`.
A network by dotted name is imported from this machine, and its weights come from safetensors, which
hold numbers and nothing else. Beside either lies a card that says how crops are prepared.
"""

import importlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recognition.contract import Contract
from recognition.datasets._files import reason, refusing, shown
from recognition.errors import InputError
from recognition.faces.models.card import Card, read_card, require_unchanged
from recognition.faces.models.weight_bytes import (
    fill,
    is_torchscript,
    read_bytes,
    tensors_of_safetensors,
    versions,
)

if TYPE_CHECKING:
    from torch import nn

    from recognition.faces.models.network import TorchEmbedder

SCRIPT = "script:"
FORM = "package.module:factory@weights.safetensors"


def load_module(name: str, *, device: str = "cpu") -> "TorchEmbedder":
    """`package.module:factory@weights.safetensors`: what the callable builds, with these weights.

    Raises:
        InputError: no such callable, no network, no file of weights or no card beside it, or weights
            of another network.
    """
    from recognition.faces.models.network import TorchEmbedder

    dotted, _, file = name.partition("@")
    if not file:
        raise InputError(
            f"expected {FORM}, got {name[:80]!r} without a file of weights; save them with "
            "safetensors.torch.save_file, as random weights recognise nobody"
        )
    path = Path(file).expanduser()
    raw, sha256 = read_bytes(path, f"weights of {dotted} in safetensors")
    card = read_card(path)
    require_unchanged(card, sha256, path)
    tensors = tensors_of_safetensors(raw, path)
    network = _built(dotted)
    fill(network, tensors, path, dotted)
    return TorchEmbedder.of(network, _contract(card, dotted, sha256), device=device)


def load_script(path: Path, *, device: str = "cpu") -> "TorchEmbedder":
    """A TorchScript file, with a card beside it. This runs the file's code.

    Raises:
        InputError: no such file or card, or something else than TorchScript.
    """
    import torch

    from recognition.faces.models.network import TorchEmbedder

    raw, sha256 = read_bytes(path, "a TorchScript file")
    card = read_card(path)
    require_unchanged(card, sha256, path)
    if not is_torchscript(raw):
        raise InputError(
            f"expected a TorchScript file at {shown(path)}, got something else; save one with "
            "torch.jit.save, or name a state dict without script:"
        )
    again = "save it again with torch.jit.save"
    with refusing(path, "a TorchScript file", again), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises torch.export to those who save
        load: Any = torch.jit.load
        network = load(io.BytesIO(raw), map_location="cpu")
    return TorchEmbedder.of(network, _contract(card, path.name, sha256), device=device)


def _contract(card: Card, name: str, sha256: str) -> Contract:
    return Contract(
        card.name or name,
        card.original_sha256 or sha256,
        1,  # found by the first pass
        card.preprocessing,
        card.licence,
        versions("torch"),
    )


def _built(dotted: str) -> "nn.Module":
    from torch import nn

    build = _found(dotted)
    try:
        network = build()
    except Exception as error:  # somebody else's code
        raise InputError(
            f"expected {dotted} to build a network when it is called without arguments, but it "
            f"fails ({reason(error)}); name a function without arguments that does"
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(
            f"expected {dotted} to build a torch.nn.Module, got {type(network).__name__}; name the "
            "class, or a function that returns one"
        )
    return network


def _found(dotted: str) -> Callable[[], object]:
    module, _, attributes = dotted.partition(":")
    try:
        found: object = importlib.import_module(module)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except Exception as error:  # importing runs somebody else's code
        raise InputError(
            f"expected {FORM}, but {dotted[:80]!r} cannot be imported ({reason(error)}); install "
            "its package, or start with PYTHONPATH=. beside it"
        ) from error
    if not callable(found):
        raise InputError(
            f"expected {dotted} to build a network, but it cannot be called; name a class or a "
            "function"
        )
    return found
