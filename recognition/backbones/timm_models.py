"""Any network of timm as a backbone, with fresh weights: nothing is downloaded.

timm imports torchvision, whose operators do not load beside a CPU-only build of torch. It uses none
of them; all that fails there is what torchvision tells compilers about them, so that is left out.
"""

import difflib
import sys
from collections import OrderedDict
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import nn

from recognition.datasets._files import reason
from recognition.errors import InputError

PREFIX = "timm:"
EXAMPLE = f"{PREFIX}mobilenetv3_small_050"
WAY = "pip install 'margin-recognition[timm]'"
SIDE = 112
EMBEDDING_DIM = 512
_COMPILERS = "torchvision._meta_registrations"


class TimmBackbone(nn.Sequential):
    """A network's pooled features and a layer of our own: (B, 3, 112, 112) -> (B, 512).

    The layer is that of `SmallCNN`, linear and a batch normalisation.

    Args:
        network: gives (B, features).
        features: how many.
    """

    def __init__(self, network: nn.Module, features: int) -> None:
        linear = nn.Linear(features, EMBEDDING_DIM, bias=False)
        norm = nn.BatchNorm1d(EMBEDDING_DIM)
        super().__init__(OrderedDict(network=network, linear=linear, norm=norm))


def timm_backbone(name: str) -> TimmBackbone:
    """The network that timm builds for a name of its list, with fresh weights.

    Raises:
        InputError: timm is not there or has no such model, or the model takes no picture of this
            size.
    """
    require_known(name)
    timm = _timm()
    told = timm.get_pretrained_cfg(name)
    # transformers fix the side when they are built, and others have no such option
    side = {"img_size": SIDE} if getattr(told, "fixed_input_size", False) else {}
    try:
        network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **side)
        with torch.no_grad():
            shape = tuple(network.eval()(torch.zeros(1, 3, SIDE, SIDE)).shape)
    except Exception as error:  # somebody else's code
        raise InputError(
            f"timm's {name} does not take pictures of {SIDE} x {SIDE} ({reason(error)}); choose "
            f"another model, such as {EXAMPLE}"
        ) from error
    if len(shape) != 2:
        raise InputError(
            f"expected a model that pools its features to (1, F), got {shape} from timm's {name}; "
            f"choose another, such as {EXAMPLE}"
        )
    return TimmBackbone(network.train(), shape[1])


def require_known(name: str) -> None:
    """Refuse what is not in timm's list, such as a name on a hub, which would be downloaded.

    Raises:
        InputError: timm is not there, or has no such model.
    """
    known: list[str] = _timm().list_models()
    if name not in known:
        near = difflib.get_close_matches(name.partition(".")[0], known, n=1)
        hint = f"did you mean {PREFIX}{near[0]}?" if near else "see timm.list_models()"
        raise InputError(f"timm has no model {name[:60]!r} among its {len(known):,}; {hint}")


def _timm() -> Any:
    """The library, beside any torchvision.

    Raises:
        InputError: it is not installed, or does not load.
    """
    try:
        return _imported()
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "timm":
            raise InputError(
                f"timm is needed for {PREFIX}NAME, and it is not installed; {WAY}"
            ) from None
        raise InputError(f"timm does not load here ({reason(error)}); {WAY}") from error


def _imported() -> ModuleType:
    before = set(sys.modules)
    try:
        return import_module("timm")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    for name in set(sys.modules) - before:
        if name.split(".")[0] in {"timm", "torchvision"}:
            del sys.modules[name]
    sys.modules[_COMPILERS] = ModuleType(_COMPILERS)
    try:
        return import_module("timm")
    finally:
        del sys.modules[_COMPILERS]
