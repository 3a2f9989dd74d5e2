"""Whether torchvision's operators load here, and what takes their place where they do not.

PyPI's torchvision is built for PyPI's torch. Beside another build, such as the one for CPUs only,
`import torchvision` dies with `operator torchvision::nms does not exist`.
"""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from recognition.datasets._files import reason
from recognition.faces import nms
from recognition.faces.face import Floats

log = logging.getLogger(__name__)
Nms = Callable[[Tensor, Tensor, float], Tensor]
_said: set[str] = set()  # what was said already in this process


@dataclass(frozen=True)
class Operators:
    """Whose non-maximum suppression detection uses.

    Attributes:
        whole: whether it is torchvision's own; otherwise it is that of `recognition.faces.nms`,
            which finds the same boxes.
        reason: why torchvision's cannot be used, in a few words; empty where it can.
    """

    whole: bool
    reason: str = ""


@cache
def operators() -> Operators:
    """What there is, found out by trying.

    An `import torchvision` that fails leaves nothing behind: another by the caller fails alike.
    """
    before = set(sys.modules)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on readers of images that nobody needs here
            from torchvision.ops import nms as own

            own(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except Exception as error:  # a RuntimeError, an ImportError, or what a broken library raises
        for name in [name for name in sys.modules if _of_torchvision(name)]:
            if name not in before:
                del sys.modules[name]
        missing = isinstance(error, ModuleNotFoundError) and error.name == "torchvision"
        return Operators(False, "torchvision is not installed" if missing else reason(error))
    return Operators(True)


def told() -> Operators:
    """What there is, for who says it to people: `suppression` does not say it again then."""
    _said.add("torchvision")
    return operators()


def suppression() -> Nms:
    """Torchvision's operator where it is whole, and otherwise our own, which is said once."""
    if operators().whole:
        from torchvision.ops import nms as own

        return own  # type: ignore[no-any-return]
    if not _said:
        _said.add("torchvision")
        log.warning("torchvision is not whole; faces are found all the same (recognition doctor)")
    return nms.nms


@contextmanager
def standing_in() -> Iterator[None]:
    """While it lasts, `import torchvision` gives the little of it that facenet-pytorch uses.

    Afterwards the names mean what they meant before; who imported keeps what it got.
    """
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _of_torchvision(name)}
    sys.modules.update(_stand_ins())
    try:
        yield
    finally:
        for name in [name for name in sys.modules if _of_torchvision(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _stand_ins() -> Mapping[str, ModuleType]:
    names = ("", ".ops", ".ops.boxes", ".transforms", ".transforms.functional")
    modules = {f"torchvision{name}": ModuleType(f"torchvision{name}") for name in names}
    for name, module in modules.items():
        module.__path__ = []
        parent, _, own = name.rpartition(".")
        if parent:
            setattr(modules[parent], own, module)
    modules["torchvision.ops.boxes"].__dict__["batched_nms"] = nms.batched_nms
    modules["torchvision.transforms.functional"].__dict__["to_tensor"] = _to_tensor
    return modules


def _to_tensor(picture: Floats) -> Tensor:
    """(H, W, 3) floats as a tensor (3, H, W), unchanged."""
    return torch.from_numpy(picture).permute(2, 0, 1).contiguous()


def _of_torchvision(name: str) -> bool:
    return name.split(".")[0] == "torchvision"
