"""facenet-pytorch's InceptionResnetV1, without what it does not need.

`import facenet_pytorch` imports torchvision, whose operators do not load beside a CPU-only build of
torch. The network itself needs none of it, so its module is imported alone.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import cast

from torch import nn

from recognition.errors import InputError

PACKAGE = "facenet_pytorch"


def inception_resnet_v1() -> nn.Module:
    """The network of FaceNet's reimplementations: (B, 3, 160, 160) -> (B, 512), fresh weights.

    Its embedding is what stands before the normalisation, so that heads see its length. Training
    needs batches of two or more.
    """
    network = submodule("models.inception_resnet_v1").InceptionResnetV1()
    network.classify = True  # it then skips its own normalisation, for a classifier of our own
    network.logits = nn.Identity()
    return cast(nn.Module, network)


def submodule(name: str) -> ModuleType:
    """A module of facenet-pytorch without what the package imports beside it.

    Raises:
        InputError: facenet-pytorch is not installed.
    """
    name = f"{PACKAGE}.{name}"
    if name in sys.modules:
        return sys.modules[name]
    before = {key for key in sys.modules if key.split(".")[0] == PACKAGE}
    if PACKAGE not in before:
        sys.modules[PACKAGE] = _bare_package()
    try:
        return importlib.import_module(name)
    finally:
        # a later `import facenet_pytorch` must find the real package, not this stand-in
        for key in [key for key in sys.modules if key.split(".")[0] == PACKAGE]:
            if key not in before:
                del sys.modules[key]


def folder() -> Path:
    """Where facenet-pytorch is installed.

    Raises:
        InputError: it is not.
    """
    spec = None if PACKAGE in sys.modules else importlib.util.find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec else _paths(sys.modules.get(PACKAGE))
    if not places:
        raise InputError(
            "facenet-pytorch is needed for this, and it is not installed; "
            "pip install facenet-pytorch==2.5.3"
        )
    return Path(next(iter(places)))


def _paths(package: ModuleType | None) -> Iterable[str]:
    return getattr(package, "__path__", ())


def _bare_package() -> ModuleType:
    package = ModuleType(PACKAGE)
    package.__path__ = [str(folder())]
    return package
