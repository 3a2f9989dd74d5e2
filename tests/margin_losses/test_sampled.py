"""Some classes in place of all, and the optimiser that touches only those."""

import copy
import math
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import small_batch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import margin_losses.tiles
from margin_losses import (
    COSINE,
    INNER_PRODUCT,
    MARGINS,
    ArcFace,
    Kernel,
    Logits,
    MarginHead,
    dense,
    margin_softmax,
)
from margin_losses.kernels import Chunked, Sampled
from margin_losses.kernels.sampled import draw, gather_rows, with_own
from margin_losses.optimisers import RowSGD, sgd_rows

CPU = torch.device("cpu")
every_margin = pytest.mark.parametrize("name", MARGINS)
every_kernel = pytest.mark.parametrize("kernel", [dense, Chunked(size=7)], ids=["dense", "chunked"])


def sample_classes(rows: Tensor, num_classes: int, count: int) -> tuple[Tensor, Tensor]:
    """Random classes and the own ones, as `Sampled` takes them of a whole axis."""
    return with_own(draw(num_classes, count, rows.device), rows, num_classes)


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def same_head(name: str, kernel: Kernel, **options: Any) -> MarginHead:
    torch.manual_seed(0)
    return MarginHead(8, 23, name, kernel=kernel, **options).double()


def step(head: MarginHead) -> tuple[Tensor, Tensor, Tensor]:
    """The losses of a training batch and the gradients of x and of the weight."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(6, 8, generator=generator, dtype=torch.float64).requires_grad_()
    torch.manual_seed(2)
    losses = head(x, torch.tensor([3, 22, 0, 3, 7, 11]), reduction="none")
    losses.sum().backward()
    return losses, x.grad, head.weight.grad


@every_kernel
@every_margin
def test_a_rate_of_one_is_the_inner_kernel(name: str, kernel: Kernel) -> None:
    whole, sampled = same_head(name, kernel), same_head(name, Sampled(1.0, kernel))
    (losses, of_x, of_weight), (ours, our_x, our_weight) = step(whole), step(sampled)
    assert our_weight.is_sparse
    close(ours, losses)
    close(our_x, of_x)
    close(our_weight.to_dense(), of_weight)
    for name, buffer in whole.named_buffers():
        close(sampled.get_buffer(name), buffer)


@pytest.mark.parametrize(
    ("name", "options"), [("arcface", {"centers": 3}), ("softmax", {"bias": True})]
)
def test_a_rate_of_one_takes_sub_centres_and_bias(name: str, options: dict[str, Any]) -> None:
    whole, sampled = same_head(name, dense, **options), same_head(name, Sampled(1.0), **options)
    for ours, theirs in zip(step(sampled), step(whole), strict=True):
        close(ours.to_dense(), theirs)


@pytest.mark.parametrize("options", [{}, {"centers": 3}])
@every_kernel
def test_a_sample_is_the_inner_kernel_on_the_sampled_rows(kernel: Kernel, options: Any) -> None:
    head = same_head("arcface", Sampled(0.3, kernel), **options)
    losses, of_x, of_weight = step(head)
    torch.manual_seed(2)
    y = torch.tensor([3, 22, 0, 3, 7, 11])
    index, rows = sample_classes(y, 23, 7)
    assert len(index) < 23
    part = same_head("arcface", kernel, **options)
    weight = part.weight.detach()[index].requires_grad_()
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = margin_softmax(x.requires_grad_(), weight, rows, ArcFace(), kernel=kernel)
    expected.sum().backward()
    close(losses, expected)
    close(of_x, x.grad)
    assert torch.equal(of_weight.coalesce().indices()[0], index)
    close(of_weight.coalesce().values(), weight.grad)


@every_margin
def test_every_margin_learns_from_a_share_of_the_classes(name: str) -> None:
    head = same_head(name, Sampled(0.3))
    before = head.weight.detach().clone()
    losses, of_x, of_weight = step(head)
    touched = of_weight.coalesce().indices()[0]
    assert losses.isfinite().all()
    assert of_x.isfinite().all()
    assert {0, 3, 7, 11, 22} <= set(touched.tolist())
    assert 7 <= len(touched) <= 12
    assert torch.equal(head.weight, before)


def test_the_gradient_has_each_row_once_in_order_and_is_told_so() -> None:
    _, w, _ = small_batch(classes=9)
    index = torch.tensor([1, 4, 5])
    (gradient,) = torch.autograd.grad(gather_rows(w.requires_grad_(), index).sin().sum(), w)
    assert gradient.is_coalesced()
    assert torch.equal(gradient.indices()[0], index)
    with torch.sparse.check_sparse_tensor_invariants():
        torch.sparse_coo_tensor(
            gradient.indices(), gradient.values(), gradient.shape, is_coalesced=True
        )
    close(gradient.values(), w.detach()[index].cos())


class Allocations(TorchDispatchMode):
    """The most bytes of a dense tensor that any operation made, other than in these."""

    def __init__(self, *known: Tensor) -> None:
        super().__init__()
        self.known = {each.untyped_storage().data_ptr() for each in known}
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else (made,):
            if isinstance(each, Tensor) and each.layout == torch.strided:
                storage = each.untyped_storage()
                if storage.data_ptr() not in self.known:
                    self.most = max(self.most, storage.nbytes())
        return made


def test_nothing_of_the_weights_size_is_made_in_a_step() -> None:
    weight = nn.Parameter(torch.randn(1000, 16, dtype=torch.float64))
    optimiser = RowSGD([weight], 0.1, momentum=0.9, weight_decay=0.1, nesterov=True)
    x, y = torch.randn(4, 16, dtype=torch.float64), torch.arange(4)

    def a_step(kernel: Kernel) -> int:
        optimiser.zero_grad()
        known = (weight, *(state["momentum_buffer"] for state in optimiser.state.values()))
        with Allocations(*known) as seen:
            margin_softmax(x, weight, y, ArcFace(), kernel=kernel).sum().backward()
            optimiser.step()
        return seen.most

    whole = weight.numel() * weight.element_size()
    assert a_step(dense) == whole  # the first step makes the momentum, too
    assert a_step(Sampled(0.05)) < whole / 15


@given(
    st.integers(0, 40),
    st.lists(st.integers(-3, 45), max_size=30),
    st.floats(1e-3, 1.0),
    st.integers(0, 2**31),
)
def test_no_own_class_is_ever_left_out(
    num_classes: int, labels: list[int], rate: float, seed: int
) -> None:
    torch.manual_seed(seed)
    given_rows = torch.tensor(labels, dtype=torch.int64)
    kept = given_rows.clone()
    count = Sampled(rate).count(num_classes)
    index, rows = sample_classes(given_rows, num_classes, count)
    assert torch.equal(given_rows, kept)
    assert index.tolist() == sorted(set(index.tolist()) & set(range(num_classes)))
    here = (given_rows >= 0) & (given_rows < num_classes)
    assert torch.equal(index[rows[here]], given_rows[here])
    assert (rows[~here] == -1).all()
    own = set(given_rows[here].tolist())
    assert (
        max(min(count, num_classes), len(own)) <= len(index) <= min(num_classes, count + len(own))
    )


@given(st.integers(1, 60), st.floats(0, 1), st.integers(0, 2**31))
def test_a_draw_has_as_many_different_classes_as_asked(
    num_classes: int, share: float, seed: int
) -> None:
    torch.manual_seed(seed)
    count = max(1, int(share * num_classes))
    found = draw(num_classes, count, CPU)
    assert len(found.unique()) == count
    assert found.min() >= 0
    assert found.max() < num_classes


def frequencies(num_classes: int, count: int, rows: Tensor, draws: int) -> Tensor:
    """How often each class is in a sample, (C,), and each pair, (C, C)."""
    found = torch.zeros(draws, num_classes)
    for one in found:
        one[sample_classes(rows, num_classes, count)[0]] = 1
    return found.T @ found / draws


@pytest.mark.parametrize(("num_classes", "count"), [(13, 4), (11, 10), (12, 4), (7, 1)])
def test_every_class_is_drawn_with_the_same_probability(num_classes: int, count: int) -> None:
    torch.manual_seed(0)
    draws, share = 6000, count / num_classes
    together = frequencies(num_classes, count, torch.tensor([-1]), draws)
    error = math.sqrt(share * (1 - share) / draws)
    assert (together.diag() - share).abs().max() < 4 * error
    if count > 1:
        assert together.min() > 0  # no two classes keep each other out


def test_an_own_class_excludes_nobody() -> None:
    torch.manual_seed(0)
    draws, share = 6000, 5 / 20
    found = frequencies(20, 5, torch.tensor([8, 8]), draws).diag()
    assert found[8] == 1
    others = found[torch.arange(20) != 8]
    assert (others - share).abs().max() < 4 * math.sqrt(share * (1 - share) / draws)


def test_more_own_classes_than_the_quota_grow_the_sample() -> None:
    index, rows = sample_classes(torch.arange(30), 100, 2)
    assert 30 <= len(index) <= 32
    assert torch.equal(rows[:30], torch.arange(30))


@pytest.mark.parametrize(
    ("rate", "num_classes", "count"), [(0.1, 1, 1), (1e-9, 50, 1), (0.27, 10, 3), (1, 9, 9)]
)
def test_the_quota_is_rounded_and_at_least_one(rate: float, num_classes: int, count: int) -> None:
    assert Sampled(rate).count(num_classes) == count


def test_a_seed_repeats_the_sample() -> None:
    torch.manual_seed(5)
    first = [draw(1000, 30, CPU) for _ in range(2)]
    torch.manual_seed(5)
    again = [draw(1000, 30, CPU) for _ in range(2)]
    assert torch.equal(torch.stack(first), torch.stack(again))
    assert not torch.equal(*first)


def test_a_rate_of_one_draws_nothing() -> None:
    state = torch.get_rng_state()
    sample_classes(torch.tensor([1]), 9, 9)
    assert torch.equal(torch.get_rng_state(), state)


def losses_of(x: Tensor, w: Tensor, y: Tensor, kernel: Kernel, seed: int = 3) -> Tensor:
    torch.manual_seed(seed)
    return margin_softmax(x, w, y, ArcFace(), COSINE._replace(scale=4.0), kernel=kernel)


def test_the_order_of_the_batch_does_not_matter_to_a_sample() -> None:
    x, w, y = small_batch(classes=40)
    losses = losses_of(x, w, y, Sampled(0.2))
    close(losses_of(x.flip(0), w, y.flip(0), Sampled(0.2)).flip(0), losses)


def test_a_sampled_loss_is_below_that_of_all_classes() -> None:
    x, w, y = small_batch(classes=40)
    whole = losses_of(x, w, y, dense)
    for seed in range(20):
        assert (losses_of(x, w, y, Sampled(0.2), seed) < whole).all()


def test_the_sums_are_on_average_the_share_of_all_that_is_drawn() -> None:
    """Not corrected for the sampling: Σ e^z over a fifth of the negatives is a fifth of it."""
    x, w, _ = small_batch(n=2, classes=40)
    logits, elsewhere = Logits(COSINE._replace(scale=1.0)), torch.tensor([-1, 99])
    torch.manual_seed(0)
    found = [Sampled(0.2)(x, w, elsewhere, logits).negative.exp() for _ in range(2000)]
    whole = dense(x, w, elsewhere, logits).negative.exp()
    torch.testing.assert_close(torch.stack(found).mean(0), whole / 5, rtol=0.01, atol=0)


def test_neither_weight_nor_rows_are_changed() -> None:
    x, w, y = small_batch(classes=40)
    kept_w, kept_y = w.clone(), y.clone()
    Sampled(0.2)(x, w.requires_grad_(), y, Logits(COSINE)).negative.sum().backward()
    assert torch.equal(w, kept_w)
    assert torch.equal(y, kept_y)


def test_rows_outside_hide_nothing_and_have_no_own_weight() -> None:
    x, w, _ = small_batch(n=3, classes=40)
    torch.manual_seed(0)
    sums = Sampled(0.2)(x, w, torch.tensor([-1, 40, 7]), Logits(INNER_PRODUCT))
    torch.manual_seed(0)
    index, _ = sample_classes(torch.tensor([7]), 40, 8)
    close(sums.negative[:2], (x[:2] @ w[index].t()).logsumexp(1))
    assert (sums.own[:2] == 0).all()
    assert torch.equal(sums.own[2], w[7])


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_without_classes_here_it_sums_nothing(batch: int) -> None:
    x = torch.randn(batch, 4, requires_grad=True)
    weight = torch.empty(0, 4, requires_grad=True)
    sums = Sampled(0.1)(x, weight, torch.arange(batch), Logits(COSINE))
    assert (sums.negative == -torch.inf).all()
    assert sums.own.shape == (batch, 4)
    sums.negative.sum().backward()
    assert (x.grad == 0).all()


@pytest.mark.parametrize("batch", [0, 1])
def test_small_batches_are_sampled(batch: int) -> None:
    x, w, y = small_batch(n=batch, classes=40)
    sums = Sampled(0.1)(x, w, y, Logits(COSINE))
    assert [len(each) for each in sums] == [batch] * 3
    assert sums.negative.isfinite().all()


def test_half_precision_gives_a_gradient_of_its_dtype() -> None:
    x, w, y = small_batch(classes=40)
    w = w.bfloat16().requires_grad_()
    losses_of(x.float(), w, y, Sampled(0.2)).sum().backward()
    assert w.grad.is_sparse
    assert w.grad.dtype == torch.bfloat16


def test_sparse_gradients_add_up_over_batches() -> None:
    x, w, y = small_batch(classes=40)
    w.requires_grad_()
    single = []
    for seed in (1, 2):
        (gradient,) = torch.autograd.grad(losses_of(x, w, y, Sampled(0.2), seed).sum(), w)
        single.append(gradient.to_dense())
        losses_of(x, w, y, Sampled(0.2), seed).sum().backward()
    close(w.grad.to_dense(), single[0] + single[1])


@pytest.mark.parametrize("rate", [0, -0.1, 1.1, math.nan, "0.1", True, None])
def test_a_rate_that_is_no_share_is_refused(rate: Any) -> None:
    with pytest.raises(ValueError, match=r"0 < rate <= 1.*got"):
        Sampled(rate)


@pytest.mark.parametrize("kernel", ["dense", Chunked, None])
def test_what_is_no_kernel_is_refused(kernel: Any) -> None:
    with pytest.raises(ValueError, match="expected a kernel like dense, got"):
        Sampled(0.1, kernel)


def test_a_kernel_that_updates_rows_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="leave out update= and step with RowSGD"):
        Sampled(0.1, Chunked(update=lambda start, stop, gradient: None))


def test_it_is_a_value() -> None:
    one = Sampled(0.1, Chunked())
    assert one == Sampled(0.1, Chunked()) == copy.deepcopy(one) == pickle.loads(pickle.dumps(one))
    assert one != Sampled(0.2, Chunked())
    with pytest.raises(FrozenInstanceError):
        one.rate = 0.5  # type: ignore[misc]


OPTIONS = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.5, "weight_decay": 0.1, "nesterov": True},
]
every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)
Optimiser = Callable[..., torch.optim.Optimizer]


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 5 rows of 4: every test works on several, and on a last one that is short."""
    monkeypatch.setattr(margin_losses.tiles, "TILE", 20)


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(4)
    shapes = [(), (7,), (13, 4), (6, 3, 4), (0, 4), (2, 50)]
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    turned = torch.randn(4, 13, generator=generator, dtype=torch.float64).t()  # not contiguous
    return [nn.Parameter(each) for each in (*drawn, turned)]


def trained(make: Optimiser, options: dict[str, Any]) -> list[nn.Parameter]:
    """Parameters after six steps of dense gradients, the second without one for the third."""
    found = parameters()
    optimiser = make(found, lr=0.3, **options)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.7)
    generator = torch.Generator().manual_seed(5)
    for number in range(6):
        for p in found:
            p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        if number == 1:
            found[2].grad = None
        optimiser.step()
        schedule.step()
    return found


@every_option
def test_with_dense_gradients_it_is_sgd(options: dict[str, Any]) -> None:
    for one, other in zip(trained(RowSGD, options), trained(torch.optim.SGD, options), strict=True):
        close(one, other)


@pytest.mark.parametrize("shape", [(40, 4), (40, 3, 4)])
@every_option
def test_with_all_rows_touched_it_is_sgd(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    start = torch.randn(shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    x, _, y = small_batch(n=9)
    found = []
    for make, kernel in ((RowSGD, Sampled(1.0)), (torch.optim.SGD, dense)):
        weight = nn.Parameter(start.clone())
        optimiser = make([weight], lr=0.1, **options)
        for _ in range(5):
            optimiser.zero_grad()
            losses_of(x, weight, y, kernel).sum().backward()
            optimiser.step()
        found.append(weight)
    close(*found)


def sparse(rows: list[int], shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    values = torch.randn(len(rows), *shape[1:], generator=generator, dtype=torch.float64)
    return torch.sparse_coo_tensor([rows], values, shape, check_invariants=True)


TOUCHED = [[0, 4, 11], [4], [], [1, 2, 3, 4, 5, 6, 7, 12], list(range(13)), [12, 0], [4, 4, 9]]


@every_option
def test_each_row_is_stepped_only_when_touched_as_if_it_were_alone(options: dict[str, Any]) -> None:
    weight = parameters()[2]
    alone = [nn.Parameter(row.detach().clone()) for row in weight]
    ours, theirs = RowSGD([weight], 0.3, **options), torch.optim.SGD(alone, lr=0.3, **options)
    generator = torch.Generator().manual_seed(7)
    for rows in TOUCHED:
        gradient = sparse(rows, (13, 4), generator)
        weight.grad, whole = gradient, gradient.to_dense()
        for number, row in enumerate(alone):
            row.grad = whole[number] if number in rows else None
        before = weight.detach().clone()
        ours.step()
        theirs.step()
        untouched = [number for number in range(13) if number not in rows]
        assert torch.equal(weight[untouched], before[untouched])
        close(weight.detach(), torch.stack([row.detach() for row in alone]))


def test_rows_that_are_not_touched_keep_their_momentum() -> None:
    weight = nn.Parameter(torch.zeros(3, 4, dtype=torch.float64))
    optimiser = RowSGD([weight], 1.0, momentum=0.5)
    one = torch.ones(1, 4, dtype=torch.float64)
    for row in (0, 1, 1, 0):
        weight.grad = torch.sparse_coo_tensor([[row]], one, weight.shape, check_invariants=True)
        optimiser.step()
    # v = 1, then 1/2 + 1, however long the row was left alone
    expected = torch.tensor([-2.5, -2.5, 0.0], dtype=torch.float64)[:, None].expand(3, 4)
    assert torch.equal(weight, expected)


def test_gradients_added_over_two_batches_are_one_step() -> None:
    x, w, y = small_batch(classes=40)
    found = []
    for make in (RowSGD, torch.optim.SGD):
        weight = nn.Parameter(w.clone())
        total = torch.zeros_like(w)
        for seed in (1, 2):
            losses_of(x, weight, y, Sampled(0.2), seed).sum().backward()
        if make is torch.optim.SGD:
            total += weight.grad.to_dense()
            weight.grad = total
        make([weight], lr=0.1).step()
        found.append(weight)
    close(*found)


def test_an_uncoalesced_gradient_is_added_up_first() -> None:
    weight = nn.Parameter(torch.zeros(3, 1))
    weight.grad = torch.sparse_coo_tensor(
        [[2, 0, 2]], [[1.0], [2.0], [3.0]], (3, 1), check_invariants=True
    )
    RowSGD([weight], 1.0, momentum=0.5).step()
    assert weight.flatten().tolist() == [-2, 0, -4]


def test_the_gradient_is_left_as_it_came() -> None:
    weight = parameters()[2]
    optimiser = RowSGD([weight], 0.3, momentum=0.9, weight_decay=0.1, nesterov=True)
    for gradient in (sparse([1, 5], (13, 4), torch.Generator()), torch.ones_like(weight)):
        weight.grad, kept = gradient, gradient.to_dense().clone()
        optimiser.step()
        assert weight.grad is gradient
        assert torch.equal(gradient.to_dense(), kept)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_stays_what_it_is(dtype: torch.dtype) -> None:
    x, w, y = small_batch(classes=40)
    weight = nn.Parameter(w.to(dtype))
    optimiser = RowSGD([weight], 0.1, momentum=0.9, weight_decay=5e-4)
    before = weight.detach().clone()
    losses_of(x.float(), weight, y, Sampled(0.2)).sum().backward()
    optimiser.step()
    assert weight.dtype == optimiser.state[weight]["momentum_buffer"].dtype == dtype
    assert 8 <= (weight != before).any(1).sum() <= 13


def test_momentum_is_made_at_the_first_step_and_only_where_asked_for() -> None:
    weight, plain = parameters()[2], parameters()[2]
    optimiser = RowSGD([{"params": [weight], "momentum": 0.9}, {"params": [plain]}], 0.3)
    assert not optimiser.state
    weight.grad = sparse([3], (13, 4), torch.Generator())
    plain.grad = sparse([3], (13, 4), torch.Generator())
    optimiser.step()
    assert set(optimiser.state) == {weight}
    velocity = optimiser.state[weight]["momentum_buffer"]
    assert velocity.shape == weight.shape
    assert velocity.abs().sum(1).nonzero().flatten().tolist() == [3]


def test_a_saved_optimiser_goes_on_as_it_would_have(tmp_path: Any) -> None:
    options = {"momentum": 0.9, "weight_decay": 0.1}
    one = parameters()[2]
    first = RowSGD([one], 0.3, **options)
    generator = torch.Generator().manual_seed(8)
    gradients = [sparse(rows, (13, 4), generator) for rows in TOUCHED]
    for gradient in gradients[:4]:
        one.grad = gradient
        first.step()
    torch.save(first.state_dict(), tmp_path / "optimiser.pt")
    other = nn.Parameter(one.detach().clone())
    second = RowSGD([other], 9.0)
    second.load_state_dict(torch.load(tmp_path / "optimiser.pt", weights_only=True))
    for gradient in gradients[4:]:
        one.grad = other.grad = gradient
        first.step()
        second.step()
        assert torch.equal(one, other)


def test_it_goes_on_from_the_state_of_sgd() -> None:
    found = []
    for make in (RowSGD, torch.optim.SGD):
        weight = parameters()[2]
        optimiser = torch.optim.SGD([weight], lr=0.3, momentum=0.9)
        weight.grad = torch.ones_like(weight)
        optimiser.step()
        after = make([weight], lr=0.3, momentum=0.9)
        after.load_state_dict(optimiser.state_dict())
        after.step()
        found.append(weight)
    assert torch.equal(*found)


def test_a_closure_is_run_with_gradients_and_its_loss_told() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    optimiser = RowSGD([weight], 0.5)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimiser.step(closure) == 4
    assert (weight == 0).all()
    assert optimiser.step() is None


def test_a_group_added_later_has_its_own_options() -> None:
    first, second = nn.Parameter(torch.zeros(2, 1)), nn.Parameter(torch.zeros(2, 1))
    optimiser = RowSGD([first], 0.5, weight_decay=0.1)
    optimiser.add_param_group({"params": [second], "lr": 0.25})
    first.grad = second.grad = torch.ones(2, 1)
    optimiser.step()
    assert (first == -0.5).all()
    assert (second == -0.25).all()
    assert optimiser.param_groups[1]["weight_decay"] == 0.1
    with pytest.raises(ValueError, match="momentum: expected 0 <= momentum < 1, got 2"):
        optimiser.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "momentum": 2})
    assert len(optimiser.param_groups) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1}, "lr: expected a finite number >= 0, got -1"),
        ({"lr": math.nan}, "lr: expected a finite number >= 0, got nan"),
        ({"lr": math.inf}, "lr: expected a finite number >= 0, got inf"),
        ({"lr": "0.1"}, "lr: expected a finite number >= 0, got '0.1'"),
        ({"momentum": -0.1}, "momentum: expected 0 <= momentum < 1, got -0.1"),
        ({"momentum": 1}, "momentum: expected 0 <= momentum < 1, got 1"),
        ({"weight_decay": -5e-4}, "weight_decay: expected a finite number >= 0, got -0.0005"),
        ({"nesterov": True}, "expected momentum > 0 with it, got 0.0; 0.9 is usual"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RowSGD(parameters(), **{"lr": 0.1, **options})


def test_gradients_sparse_in_another_way_are_refused_before_anything_changes() -> None:
    first, second = nn.Parameter(torch.ones(3, 4)), nn.Parameter(torch.ones(3, 4))
    first.grad, second.grad = torch.ones(3, 4), torch.eye(3, 4).to_sparse()
    optimiser = RowSGD([first, second], 0.1, momentum=0.9)
    with pytest.raises(ValueError, match=r"rows alone \(sparse_dim 1\), got 2 sparse dimensions"):
        optimiser.step()
    assert (first == 1).all()
    assert not optimiser.state


def test_the_row_update_needs_no_optimiser() -> None:
    w, v, g = (torch.full((2, 3), value, dtype=torch.float64) for value in (1.0, 0.5, 2.0))
    sgd_rows(w, v, g, lr=0.1, momentum=0.9, weight_decay=0.5)
    close(v, torch.full_like(v, 0.9 * 0.5 + 2 + 0.5))
    close(w, 1 - 0.1 * v)
    assert (g == 2).all()


def test_a_head_learns_its_classes_from_a_fifth_of_them_at_a_time() -> None:
    torch.manual_seed(0)
    centres = torch.randn(50, 8)
    head = MarginHead(8, 50, "cosface:m=0.1,s=8", kernel=Sampled(0.2))
    optimiser = RowSGD(head.parameters(), 1.0, momentum=0.9)
    for _ in range(150):
        y = torch.randint(50, (16,))
        optimiser.zero_grad()
        head(centres[y] + 0.1 * torch.randn(16, 8), y).backward()
        optimiser.step()
    accuracy = (head.logits(centres).argmax(1) == torch.arange(50)).float().mean()
    assert accuracy > 0.9


def test_sparse_adam_takes_the_gradient_too() -> None:
    head = same_head("arcface", Sampled(0.3))
    before = head.weight.detach().clone()
    optimiser = torch.optim.SparseAdam(head.parameters(), lr=0.1)
    _, _, gradient = step(head)
    optimiser.step()
    moved = (head.weight != before).any(1).nonzero().flatten()
    assert torch.equal(moved, gradient.coalesce().indices()[0])
