"""facenet-pytorch's InceptionResnetV1, without what it does not need.

`import facenet_pytorch` imports torchvision, whose operators do not load beside a CPU-only build of
torch. The network itself needs none of it, so its module is imported alone.
"""

import importlib
import importlib.util
import sys
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
    network = _network_module().InceptionResnetV1()
    network.classify = True  # it then skips its own normalisation, for a classifier of our own
    network.logits = nn.Identity()
    return cast(nn.Module, network)


def _network_module() -> ModuleType:
    name = f"{PACKAGE}.models.inception_resnet_v1"
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


def _bare_package() -> ModuleType:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise InputError(
            "inception_resnet_v1 needs facenet-pytorch, which is not installed; "
            "pip install facenet-pytorch==2.5.3"
        )
    package = ModuleType(PACKAGE)
    package.__path__ = list(spec.submodule_search_locations)
    return package
