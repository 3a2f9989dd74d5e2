"""Small inputs that several tests share."""

import re

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def named(value: object) -> str:
    """The repr without addresses, which differ between the workers of a test run."""
    return re.sub(r" at 0x\w+", "", repr(value))


def small_batch(n: int = 6, classes: int = 5, dim: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    w = torch.randn(classes, dim, generator=generator, dtype=torch.float64)
    return x, w, torch.arange(n) % classes


class Largest(TorchDispatchMode):
    """Counts the numbers of the largest storage that any operation makes, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.found = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        known = {t.untyped_storage().data_ptr() for t in _tensors((args, list(kwargs.values())))}
        out = function(*args, **kwargs)
        for made in _tensors(out):
            storage = made.untyped_storage()
            if storage.data_ptr() not in known:
                self.found = max(self.found, storage.nbytes() // made.itemsize)
        return out


def _tensors(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.layout == torch.strided else []
    return [t for part in value for t in _tensors(part)] if isinstance(value, tuple | list) else []
