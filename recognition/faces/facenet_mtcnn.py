"""The door to facenet-pytorch's detector, which opens beside a broken torchvision as well."""

import hashlib
import importlib
import io
import threading
from types import ModuleType
from typing import cast

import torch
from torch import nn

from recognition.backbones.facenet import PACKAGE, folder, submodule
from recognition.datasets._files import require_file, shown
from recognition.errors import InputError
from recognition.faces.torchvision_operators import operators, standing_in

MODULE = "models.mtcnn"
SHA256 = {  # of the files in data/, the same in the wheels of 2.5.2, 2.5.3 and 2.6.0
    "PNet": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "RNet": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "ONet": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}
_importing = threading.Lock()
_apart: dict[str, ModuleType] = {}


def mtcnn_module() -> ModuleType:
    """`facenet_pytorch.models.mtcnn`: its classes MTCNN, PNet, RNet and ONet.

    Where torchvision is whole it is simply imported. Otherwise it is imported with a stand-in for
    torchvision, and afterwards `import torchvision` and `import facenet_pytorch` do what they would
    have done.

    Raises:
        InputError: facenet-pytorch is not installed.
    """
    with _importing:
        folder()
        if operators().whole:
            return importlib.import_module(f"{PACKAGE}.{MODULE}")
        if MODULE not in _apart:
            with standing_in():
                _apart[MODULE] = submodule(MODULE)
        return _apart[MODULE]


def network(name: str) -> nn.Module:
    """MTCNN's `PNet`, `RNet` or `ONet` with its weights, as facenet-pytorch comes with them.

    Raises:
        InputError: facenet-pytorch is not installed, or its file of weights is another.
    """
    module = cast(nn.Module, getattr(mtcnn_module(), name)(pretrained=False))
    module.load_state_dict(_weights(name))
    return module.eval().requires_grad_(False)


def _weights(name: str) -> dict[str, torch.Tensor]:
    path = folder() / "data" / f"{name.lower()}.pt"
    expected = f"facenet-pytorch's weights of {name}"
    require_file(path, expected)
    raw = path.read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    if digest != SHA256[name]:
        raise InputError(
            f"expected {expected} at {shown(path)}, sha256 {SHA256[name][:12]}..., got a file with "
            f"{digest[:12]}...; pip install --force-reinstall --no-deps facenet-pytorch==2.5.3"
        )
    return cast(dict[str, torch.Tensor], torch.load(io.BytesIO(raw), weights_only=True))
