"""Batch normalisation by several equals torch's of all rows at once.

Here the processes are threads, whose exchanges meet in a list; test_ranks.py has real ones.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import pytest
import torch
from fuzz import SOAK
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from recognition.errors import InputError
from recognition.training import synchronised_norm
from recognition.training.synchronised_norm import Synchronised, batch_norm

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "rows": (lambda: nn.BatchNorm1d(3), ()),
    "lines": (lambda: nn.BatchNorm1d(3, eps=0.1), (2,)),
    "planes": (lambda: nn.BatchNorm2d(3, momentum=0.3), (2, 3)),
    "a mean of all batches": (lambda: nn.BatchNorm2d(3, momentum=None), (2, 2)),
    "bare": (lambda: nn.BatchNorm2d(3, affine=False), (1, 2)),
    "untracked": (lambda: nn.BatchNorm1d(3, track_running_stats=False), ()),
}


class Threads:
    """Exchanges between threads, one for each shard."""

    def __init__(self, world: int) -> None:
        self.barrier, self.world = threading.Barrier(world, timeout=20), world
        self.slots: list[Any] = [None] * world
        self.own = threading.local()

    def every(self, x: Tensor) -> Tensor:
        self.slots[self.own.rank] = x
        self.barrier.wait()
        found = torch.stack(self.slots)
        self.barrier.wait()
        return found

    def run(self, work: Callable[[int], Any]) -> list[Any]:
        def enter(rank: int) -> Any:
            self.own.rank = rank
            return work(rank)

        with ThreadPoolExecutor(self.world) as pool:
            return list(pool.map(enter, range(self.world)))


def passes(layer: nn.Module, x: Tensor, slope: Tensor, several: bool) -> dict[str, Tensor]:
    """Two passes forward and backward: what comes out, gradients, and running statistics."""
    layer, x = deepcopy(layer), x.clone().requires_grad_()
    found = {}
    for number in range(2):
        shifted = x * (1 + number)
        if several:
            with Synchronised():
                y = layer(shifted)
        else:
            y = layer(shifted)
        (y * slope).sum().backward()
        found[f"{number}"] = y.detach()
    assert x.grad is not None
    found["x"] = x.grad
    found |= {name: p.grad for name, p in layer.named_parameters() if p.grad is not None}
    return found | {f"buffer {name}": value for name, value in layer.named_buffers()}


def together(layer: nn.Module, x: Tensor, slope: Tensor, sizes: list[int]) -> dict[str, Tensor]:
    """The same of shards: rows one after the other, gradients of parameters added up."""
    threads = Threads(len(sizes))
    parts = list(zip(x.split(sizes), slope.split(sizes), strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synchronised_norm, "_every", threads.every)
        patch.setattr(synchronised_norm, "_sum", lambda each: threads.every(each).sum(0))
        found = threads.run(lambda rank: passes(layer, *parts[rank], several=True))
    whole = {}
    for name, first in found[0].items():
        every = [each[name] for each in found]
        if name.startswith("buffer"):
            assert all(torch.equal(each, first) for each in every)
            whole[name] = first
        else:
            whole[name] = torch.cat(every) if name in ("0", "1", "x") else sum(every)
    return whole


@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=600 if SOAK else 12)
@given(
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 1),
    seed=st.integers(0, 99),
)
def test_shards_of_any_size_are_the_whole_batch(name: str, sizes: list[int], seed: int) -> None:
    make, place = LAYERS[name]
    torch.manual_seed(seed)
    layer = make().double()
    for value in layer.parameters():
        nn.init.normal_(value)
    x, slope = torch.randn(2, sum(sizes), 3, *place, dtype=torch.float64)
    x += 5
    expected, found = passes(layer, x, slope, several=False), together(layer, x, slope, sizes)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-9, msg=key)


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)
    weight, bias = torch.randn(2, 3, dtype=torch.float64).unbind()
    inputs = (x, weight.requires_grad_(), bias.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda *of: batch_norm(of[0], None, None, *of[1:], True), inputs
    )


def test_in_evaluation_it_is_torchs() -> None:
    layer, x = nn.BatchNorm1d(3).eval(), torch.randn(2, 3)
    layer.running_mean = torch.tensor([1.0, 2.0, 3.0])
    with Synchronised():
        assert torch.equal(layer(x[:1]), layer(x)[:1])
        assert torch.equal(layer(x), nn.functional.batch_norm(x, layer.running_mean, torch.ones(3)))


def test_small_differences_of_large_numbers_are_kept() -> None:
    torch.manual_seed(0)
    x = 4096 + torch.randn(60, 2)  # the mean of squares less the square of the mean knows nothing
    slope = torch.ones_like(x)
    found = together(nn.BatchNorm1d(2), x, slope, [7, 0, 50, 3])
    expected = passes(nn.BatchNorm1d(2).double(), x.double(), slope.double(), several=False)
    assert (found["0"] - expected["0"]).abs().max() < 1e-3
    variance = expected["buffer running_var"]
    assert ((found["buffer running_var"] - variance) / variance).abs().max() < 1e-4


def test_half_precision_keeps_its_dtype_and_its_statistics_are_float32() -> None:
    torch.manual_seed(0)
    x, layer = torch.randn(6, 3).bfloat16(), nn.BatchNorm1d(3)
    found = passes(layer, x, torch.ones_like(x), several=True)
    exact = passes(layer, x.float(), torch.ones(6, 3), several=False)
    assert (found["0"].dtype, found["x"].dtype) == (torch.bfloat16, torch.bfloat16)
    assert (found["0"] - exact["0"]).abs().max() < 0.02
    torch.testing.assert_close(found["buffer running_var"], exact["buffer running_var"])


def test_one_value_in_all_is_refused_before_anything_has_changed() -> None:
    mean, variance = torch.zeros(3), torch.ones(3)
    with pytest.raises(InputError, match=r"at least 2 values of each channel.*got 1 on all"):
        batch_norm(torch.ones(1, 3), mean, variance, training=True)
    assert torch.equal(mean, torch.zeros(3))
    assert torch.equal(variance, torch.ones(3))


def test_second_derivatives_are_refused() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    (first,) = torch.autograd.grad(
        batch_norm(x, None, None, training=True).pow(3).sum(), x, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
