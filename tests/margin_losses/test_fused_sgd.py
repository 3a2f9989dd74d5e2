"""The optimiser in the backward pass equals the one behind it."""

import copy

import pytest
import torch
from samples import Largest
from torch import Tensor

from margin_losses import MARGINS, Auto, Chunked, FusedSGD, MarginHead, dense

OPTIONS = [
    {},
    {"momentum": 0.9},
    {"weight_decay": 0.1},
    {"momentum": 0.8, "weight_decay": 0.05, "nesterov": True},
]
KERNELS = [Chunked("recompute", 5), Chunked("store", 5), Auto()]


def heads(name: str, kernel: object, **options: object) -> tuple[MarginHead, MarginHead]:
    torch.manual_seed(0)
    one = MarginHead(4, 13, name, kernel=dense, **options).double()
    other = copy.deepcopy(one)
    other.kernel = kernel
    return one, other


def batches(count: int = 4) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(6, 4, generator=generator, dtype=torch.float64),
            torch.randint(13, (6,), generator=generator),
        )
        for _ in range(count)
    ]


def descend(head: MarginHead, optimiser: torch.optim.Optimizer, seed: int = 0) -> list[Tensor]:
    """A few steps with a falling learning rate; the gradients of the embeddings."""
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 1, 0.7)
    found = []
    for x, y in batches():
        torch.manual_seed(seed)  # for margins that are drawn
        x.requires_grad_()
        optimiser.zero_grad()
        head(x, y).backward()
        optimiser.step()
        schedule.step()
        found.append(x.grad)
    return found


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("name", [*MARGINS, "sphereface:m=3+annealed"])
def test_training_is_that_of_the_ordinary_optimiser(name: str, kernel: object) -> None:
    one, other = heads(name, kernel)
    options = {"lr": 0.3, **OPTIONS[-1]}
    expected = descend(one, torch.optim.SGD([one.weight], **options))
    found = descend(other, FusedSGD(other, **options))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(other.weight, one.weight, rtol=1e-9, atol=1e-11)
    assert other.weight.grad is None


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("extra", [{}, {"bias": True}], ids=str)
def test_every_option_is_that_of_the_ordinary_optimiser(options: dict, extra: dict) -> None:
    one, other = heads("softmax", Chunked("store", 4), **extra)
    descend(one, torch.optim.SGD([one.weight], lr=0.2, **options))
    descend(other, FusedSGD(other, lr=0.2, **options))
    torch.testing.assert_close(other.weight, one.weight, rtol=1e-11, atol=1e-12)


def test_a_run_is_resumed_from_its_state() -> None:
    _, other = heads("arcface", Chunked("recompute", 5))
    options = {"lr": 0.2, "momentum": 0.9}
    whole = copy.deepcopy(other)
    optimiser = FusedSGD(whole, **options)
    for x, y in batches():
        whole(x, y).backward()
        optimiser.step()
    half = FusedSGD(other, **options)
    for x, y in batches()[:2]:
        other(x, y).backward()
        half.step()
    resumed = MarginHead(4, 13, "arcface", kernel=Chunked("recompute", 5)).double()
    resumed.load_state_dict(other.state_dict())
    again = FusedSGD(resumed, lr=99.0)
    again.load_state_dict(half.state_dict())
    for x, y in batches()[2:]:
        resumed(x, y).backward()
        again.step()
    assert torch.equal(resumed.weight, whole.weight)


def test_a_second_backward_pass_before_the_step_is_refused_with_nothing_changed() -> None:
    _, head = heads("cosface", Chunked("recompute", 5))
    optimiser = FusedSGD(head, lr=0.1, momentum=0.9)
    (x, y), (x2, y2), *_ = batches()
    head(x, y).backward()
    weight, momentum = head.weight.clone(), optimiser.state[head.weight]["momentum_buffer"].clone()
    loss = head(x2, y2)
    with pytest.raises(RuntimeError, match="one backward pass a step, got a second one"):
        loss.backward()
    assert torch.equal(head.weight, weight)
    assert torch.equal(optimiser.state[head.weight]["momentum_buffer"], momentum)
    optimiser.step()
    head(x2, y2).backward()
    assert not torch.equal(head.weight, weight)


def test_a_closure_makes_the_step() -> None:
    _, head = heads("cosface", Chunked("recompute", 5))
    optimiser = FusedSGD(head, lr=0.1)
    (x, y), *_ = batches()
    before = head.weight.clone()

    def closure() -> float:
        loss = head(x, y)
        loss.backward()
        return loss.item()

    assert optimiser.step(closure) > optimiser.step(closure)
    assert not torch.equal(head.weight, before)


def test_looking_at_a_loss_steps_nothing() -> None:
    _, head = heads("cosface", Auto())
    FusedSGD(head, lr=0.1)
    (x, y), *_ = batches()
    before = head.weight.clone()
    with torch.no_grad():
        head(x, y)
    head.eval().logits(x)
    assert torch.equal(head.weight, before)


def test_no_gradient_of_the_weights_size_exists() -> None:
    head = MarginHead(16, 1000, "arcface", kernel=Chunked("recompute", 50))
    optimiser = FusedSGD(head, lr=0.1, momentum=0.9)
    x, y = torch.randn(64, 16, requires_grad=True), torch.arange(64)
    head(x, y).backward()
    optimiser.step()  # the momentum is there now
    with Largest() as seen:
        head(x, y).backward()
    assert seen.found <= 64 * 50


def test_a_weight_in_half_precision_stays_so() -> None:
    head = MarginHead(4, 13, "arcface", kernel=Chunked("store", 5)).bfloat16()
    optimiser = FusedSGD(head, lr=0.1, momentum=0.9)
    before = head.weight.clone()
    head(torch.randn(6, 4), torch.arange(6)).backward()
    optimiser.step()
    assert head.weight.dtype == optimiser.state[head.weight]["momentum_buffer"].dtype
    assert not torch.equal(head.weight, before)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (lambda: MarginHead(4, 13, "arcface", kernel=dense), "expected a head with kernel='auto'"),
        (lambda: MarginHead(4, 13, "arcface", sample_rate=0.5), "RowSGD takes sampled classes"),
    ],
)
def test_a_head_that_cannot_be_stepped_is_refused(head, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FusedSGD(head(), lr=0.1)


def test_options_that_make_no_sense_leave_the_head_alone() -> None:
    _, head = heads("arcface", Auto())
    with pytest.raises(ValueError, match="lr: expected a finite number >= 0"):
        FusedSGD(head, lr=-1)
    assert head.kernel == Auto()
