"""How two matrices are multiplied on a CPU."""

import functools
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

Routine = Literal["mm", "onednn"]
ZEN_5 = 26  # family of the first AMD processors on which oneDNN multiplies twice as fast as MKL


def multiply(a: Tensor, b: Tensor, out: Tensor, routine: Routine) -> Tensor:
    """`a @ b` into `out`."""
    if routine == "mm":
        return torch.mm(a, b, out=out)
    return out.copy_(_onednn(a, b))


def add_product(total: Tensor, a: Tensor, b: Tensor, routine: Routine) -> None:
    """`total += a @ b`."""
    if routine == "mm":
        total.addmm_(a, b)
    else:
        total.add_(_onednn(a, b))


def _onednn(a: Tensor, b: Tensor) -> Tensor:
    linear = torch.ops.mkldnn._linear_pointwise  # a @ weight.T
    product: Tensor = linear(a, b.t(), None, "none", [], "")
    return product


def choose_routine(device: torch.device, dtype: torch.dtype) -> Routine:
    """The faster one for this processor; the same answer at every call.

    MKL, behind `torch.mm`, reaches the peak of Intel's processors and of AMD's up to Zen 4, and less
    than half of it on Zen 5 (150 to 195 GFLOP/s of 340 to 453 with oneDNN, on two cores).
    """
    known = device.type == "cpu" and dtype == torch.float32
    return "onednn" if known and _family() >= ZEN_5 and _onednn_is_right() else "mm"


@functools.cache
def _family() -> int:
    """The family of an AMD processor; 0 for all others, and where it cannot be read."""
    try:
        text = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return 0
    lines = (line.partition(":") for line in text.splitlines())
    found = {key.strip(): value.strip() for key, _, value in lines}
    if found.get("vendor_id") != "AuthenticAMD":
        return 0
    return int(found.get("cpu family", 0))


@functools.cache
def _onednn_is_right() -> bool:
    """The operator is not public: it must exist, and multiply in float32."""
    a = torch.linspace(-1, 1, 64 * 48).view(64, 48)
    b = torch.linspace(1, -1, 48 * 32).view(48, 32).sin()
    try:
        product = _onednn(a, b)
    except (AttributeError, RuntimeError, TypeError):
        return False
    exact = a.double() @ b.double()
    return product.shape == exact.shape and bool((product - exact).abs().max() < 1e-4)


@functools.cache
def multiplies_bfloat16() -> bool:
    """The CPU has instructions for it; emulated, such products are 20 to 50 times slower."""
    ask = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(ask and ask()) or bool(amx and amx())
