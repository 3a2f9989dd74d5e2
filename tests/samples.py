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
    """Counts the numbers of the largest storage that any operation makes."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self.known, self.found = known, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for part in out if isinstance(out, tuple | list) else (out,):
            if isinstance(part, Tensor) and part.untyped_storage().data_ptr() not in self.known:
                self.found = max(self.found, part.untyped_storage().nbytes() // part.itemsize)
        return out
