"""Every kernel equals `dense`, in value and gradient, for every margin and at awkward sizes."""

import copy
import gc
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from samples import Largest, named
from torch import Tensor

from margin_losses import (
    COSINE,
    INNER_PRODUCT,
    MARGINS,
    ArcFace,
    Auto,
    Chunked,
    CosFace,
    Kernel,
    Logits,
    Margin,
    MarginHead,
    Sampled,
    Softmax,
    dense,
    margin_softmax,
)
from margin_losses.kernels import memory, routines

CHUNKED = [
    Chunked("recompute", 1),
    Chunked("recompute", 7),
    Chunked("recompute", 100),
    Chunked("store", 1),
    Chunked("store", 7),
    Chunked("store", 100),
]
KERNELS = [*CHUNKED, Auto(), Sampled(1.0), Sampled(1.0, Chunked("store", 5))]
every_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=named)
every_margin = pytest.mark.parametrize("margin", [kind() for kind in MARGINS.values()], ids=named)


def batch(
    margin: Margin, n: int = 9, classes: int = 23, dim: int = 5, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    centers = (margin.centers,) if margin.centers > 1 else ()
    x = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    w = torch.randn(classes, *centers, dim, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (n,), generator=generator)
    y[:4] = torch.tensor([0, classes - 1, 7 % classes, 7 % classes])  # edges of chunks, twice
    return x.to(dtype).requires_grad_(), w.to(dtype).requires_grad_(), y


def value_and_gradients(
    x: Tensor, w: Tensor, y: Tensor, margin: Margin, kernel: Kernel
) -> tuple[Tensor, ...]:
    losses = margin_softmax(x, w, y, margin, kernel=kernel)
    upstream = torch.linspace(0.5, 2, len(y), dtype=losses.dtype)
    gradients = torch.autograd.grad(losses, (x, w), upstream)
    return losses.detach(), *(g.to_dense() for g in gradients)


def relative(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


@every_kernel
@every_margin
def test_value_and_gradients_equal_dense(margin: Margin, kernel: Kernel) -> None:
    x, w, y = batch(margin)
    expected = value_and_gradients(x, w, y, margin, dense)
    for found, exact in zip(value_and_gradients(x, w, y, margin, kernel), expected, strict=True):
        torch.testing.assert_close(found, exact, rtol=1e-11, atol=1e-11)


@given(
    name=st.sampled_from(sorted(MARGINS)),
    policy=st.sampled_from(["recompute", "store"]),
    n=st.integers(1, 9),
    classes=st.integers(3, 40),
    centers=st.integers(1, 3),
    dim=st.integers(2, 6),
    size=st.integers(1, 50),
    seed=st.integers(0, 2**31),
)
def test_chunks_equal_dense_whatever_the_sizes(
    name, policy, n, classes, centers, dim, size, seed
) -> None:
    margin = MARGINS[name]()
    generator = torch.Generator().manual_seed(seed)
    shape = (classes, centers, dim) if margin.geometry.unit_weight else (classes, dim)
    x = torch.randn(n, dim, generator=generator, dtype=torch.float64, requires_grad=True)
    w = torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randint(classes, (n,), generator=generator)
    expected = value_and_gradients(x, w, y, margin, dense)
    found = value_and_gradients(x, w, y, margin, Chunked(policy, size))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * (1 + float(b.abs().max())))


@every_kernel
def test_a_bias_column_comes_along(kernel: Kernel) -> None:
    head = MarginHead(5, 23, "softmax", bias=True, kernel=kernel).double()
    x, _, y = batch(Softmax())
    torch.nn.init.normal_(head.weight)
    loss = head(x, y)
    expected = F.cross_entropy(F.linear(x, head.weight[:, :5], head.weight[:, 5]), y)
    found = torch.autograd.grad(loss, (x, head.weight))
    for a, b in zip(found, torch.autograd.grad(expected, (x, head.weight)), strict=True):
        torch.testing.assert_close(a.to_dense(), b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("n", "classes"), [(1, 1), (1, 2), (5, 1), (3, 7), (2, 8), (4, 14), (0, 9)]
)
@every_kernel
def test_sums_equal_those_of_dense_at_any_size(kernel: Kernel, n: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    x = torch.randn(n, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    w = torch.randn(classes, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    rows = torch.arange(n) * 3 % (classes + 2) - 1  # some are elsewhere, on both sides
    found, exact = (k(x, w, rows, Logits(INNER_PRODUCT)) for k in (kernel, dense))
    for a, b in zip(found, exact, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert not found.top.requires_grad
    finite = exact.negative.detach() > -torch.inf
    gradients = [
        torch.autograd.grad(
            sums.negative[finite].sum() + (sums.own * torch.arange(3)).sum(), (x, w)
        )
        for sums in (found, exact)
    ]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a.to_dense(), b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [dense, *KERNELS], ids=named)
def test_an_empty_part_of_the_axis_sums_to_nothing_and_keeps_the_graph(kernel: Kernel) -> None:
    x = torch.randn(3, 4, requires_grad=True)
    w = torch.empty(0, 4, requires_grad=True)
    sums = kernel(x, w, torch.tensor([-1, 0, 5]), Logits(COSINE))
    assert (sums.negative == -torch.inf).all()
    assert (sums.top == -torch.inf).all()
    assert (sums.own == 0).all()
    (gradient,) = torch.autograd.grad(sums.negative.exp().sum() + sums.own.sum(), x)
    assert (gradient == 0).all()


@pytest.mark.parametrize("kernel", CHUNKED, ids=named)
@every_margin
def test_float32_is_as_exact_as_promised(margin: Margin, kernel: Chunked) -> None:
    """Rounding alone with recompute; the stored terms' eight bits besides in the weight's."""
    exact = value_and_gradients(*batch(margin), margin, dense)
    x, w, y = batch(margin, dtype=torch.float32)
    losses, of_x, of_w = value_and_gradients(x, w, y, margin, kernel)
    torch.testing.assert_close(losses.double(), exact[0], rtol=2e-5, atol=2e-4)
    assert relative(of_x.double(), exact[1]) < 1e-5
    assert relative(of_w.double(), exact[2]) < (1e-5 if kernel.policy == "recompute" else 4e-3)


def trained(cosine: float) -> tuple[Tensor, Tensor, Tensor]:
    """Samples at this cosine to their own class, among 3,000 others in 64 dimensions."""
    generator = torch.Generator().manual_seed(0)
    w = F.normalize(torch.randn(3000, 64, generator=generator, dtype=torch.float64))
    y = torch.arange(32) * 90
    noise = torch.randn(32, 64, generator=generator, dtype=torch.float64)
    noise = F.normalize(noise - (noise * w[y]).sum(1, keepdim=True) * w[y])
    x = cosine * w[y] + math.sqrt(1 - cosine**2) * noise
    return 3 * x, 2 * w, y


@pytest.mark.parametrize("cosine", [0.1, 0.6, 0.95])  # from new to confident
@pytest.mark.parametrize(("policy", "weight_error"), [("recompute", 1e-5), ("store", 5e-4)])
def test_errors_in_the_trained_regime(policy: str, weight_error: float, cosine: float) -> None:
    x, w, y = trained(cosine)
    exact = value_and_gradients(x.requires_grad_(), w.requires_grad_(), y, CosFace(), dense)
    x32, w32 = (part.detach().float().requires_grad_() for part in (x, w))
    kernel = Chunked(policy, 1024)  # type: ignore[arg-type]
    found = value_and_gradients(x32, w32, y, CosFace(), kernel)
    # a confident loss is the exponential of a difference of logits near 64
    assert relative(found[0].double(), exact[0]) < 1e-5
    assert relative(found[1].double(), exact[1]) < 1e-5
    assert relative(found[2].double(), exact[2]) < weight_error


@pytest.mark.skipif(not routines.multiplies_bfloat16(), reason="no bfloat16 instructions here")
@pytest.mark.parametrize("size", [10, 1024])  # chunks shorter than the batch, and longer
@pytest.mark.parametrize("policy", ["recompute", "store"])
def test_autocast_halves_the_gradients_products_and_leaves_the_loss(policy: str, size: int) -> None:
    x, w, y = (part.float() if part.is_floating_point() else part for part in trained(0.6))
    x.requires_grad_(), w.requires_grad_()
    kernel = Chunked(policy, size)  # type: ignore[arg-type]
    plain = value_and_gradients(x, w, y, CosFace(), kernel)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = margin_softmax(x, w, y, CosFace(), kernel=kernel)
    torch.testing.assert_close(losses, plain[0], rtol=1e-6, atol=0)
    gradients = torch.autograd.grad(losses, (x, w), torch.linspace(0.5, 2, len(y)))
    for found, exact in zip(gradients, plain[1:], strict=True):
        assert 1e-6 < relative(found, exact) < 5e-3


@pytest.mark.parametrize("kernel", CHUNKED, ids=named)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_weight_in_half_precision_gets_a_gradient_rounded_once(kernel, dtype) -> None:
    x, w, y = batch(ArcFace(), dtype=dtype)
    exact = value_and_gradients(*(p.detach().double().requires_grad_() for p in (x, w)), y,
                                ArcFace(), dense)  # fmt: skip
    _, of_x, of_w = value_and_gradients(x, w, y, ArcFace(), kernel)
    assert (of_x.dtype, of_w.dtype) == (dtype, dtype)
    assert relative(of_x.double(), exact[1]) < 8e-3
    assert relative(of_w.double(), exact[2]) < 8e-3


@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-38, 1e-20, 1e20, 3e38])
@pytest.mark.parametrize("kernel", CHUNKED, ids=named)
def test_rows_of_extreme_length_are_as_in_dense(kernel: Chunked, size: float) -> None:
    x, w, y = batch(ArcFace(), dtype=torch.float32)
    with torch.no_grad():
        w[[0, 8]] = w[[0, 8]].sign() * size
    expected = value_and_gradients(x, w, y, ArcFace(), dense)
    for found, exact in zip(value_and_gradients(x, w, y, ArcFace(), kernel), expected, strict=True):
        assert found.isfinite().all()
        torch.testing.assert_close(found, exact, rtol=1e-2, atol=1e-2 * float(exact.abs().max()))


@pytest.mark.parametrize("kernel", CHUNKED, ids=named)
def test_long_rows_whose_sum_would_overflow(kernel: Chunked) -> None:
    w = torch.full((40, 2), 3e37)
    w[:, 1] = 0
    x = torch.tensor([[1e-37, 1.0]], requires_grad=True)
    found = value_and_gradients(x, w.requires_grad_(), torch.tensor([3]), Softmax(), kernel)
    for value in found:
        assert value.isfinite().all()


@pytest.mark.parametrize("kernel", CHUNKED, ids=named)
@pytest.mark.parametrize("which", [0, 1])
def test_one_side_alone_may_want_a_gradient(kernel: Chunked, which: int) -> None:
    x, w, y = batch(ArcFace())
    expected = value_and_gradients(x, w, y, ArcFace(), dense)
    wanted, other = ((x, w), (w, x))[which]
    other.requires_grad_(False)
    loss = margin_softmax(x, w, y, ArcFace(), kernel=kernel)
    (found,) = torch.autograd.grad(loss, wanted, torch.linspace(0.5, 2, len(y)).double())
    torch.testing.assert_close(found, expected[1 + which], rtol=1e-11, atol=1e-11)
    with torch.no_grad():
        torch.testing.assert_close(margin_softmax(x, w, y, ArcFace(), kernel=kernel), expected[0])


@pytest.mark.parametrize("by", ["x", "w", "upstream"])
@pytest.mark.parametrize("policy", ["recompute", "store"])
def test_a_second_derivative_is_refused_and_points_to_dense(policy: str, by: str) -> None:
    x, w, y = batch(CosFace())
    upstream = torch.ones(len(y), dtype=torch.float64, requires_grad=True)
    losses = margin_softmax(x, w, y, CosFace(), kernel=Chunked(policy, 7))  # type: ignore[arg-type]
    first = torch.autograd.grad(losses, (x, w), upstream, create_graph=True)
    second = {"x": x, "w": w, "upstream": upstream}[by]
    for gradient in first:
        with pytest.raises(RuntimeError, match="give the head kernel=dense"):
            torch.autograd.grad(gradient.square().sum(), second, retain_graph=True)


@pytest.mark.parametrize("policy", ["recompute", "store"])
def test_a_graph_that_is_kept_gives_the_same_gradient_again(policy: str) -> None:
    x, w, y = batch(ArcFace())
    loss = margin_softmax(x, w, y, ArcFace(), kernel=Chunked(policy, 7)).sum()  # type: ignore[arg-type]
    first = torch.autograd.grad(loss, (x, w), retain_graph=True)
    second = torch.autograd.grad(loss, (x, w))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)


@every_kernel
def test_nothing_that_comes_in_is_changed(kernel: Kernel) -> None:
    x, w, y = batch(ArcFace())
    before = [part.detach().clone() for part in (x, w, y)]
    value_and_gradients(x, w, y, ArcFace(), kernel)
    for part, copied in zip((x, w, y), before, strict=True):
        assert torch.equal(part, copied)


@pytest.mark.parametrize("margin", [ArcFace(), *(MARGINS[n]() for n in MARGINS if "curr" in n)])
def test_recompute_makes_nothing_as_large_as_the_logits_or_the_weight(margin: Margin) -> None:
    """(B, C) is 64,000 numbers and (C, D) 16,000; the weight's gradient alone is that large."""
    x, w = torch.randn(64, 16, requires_grad=True), torch.randn(1000, 16, requires_grad=True)
    y = torch.arange(64)
    with torch.no_grad(), Largest() as seen:
        margin_softmax(x, w, y, margin, kernel=Chunked("recompute", 50))
    assert seen.found <= 64 * 50
    loss = margin_softmax(x, w, y, margin, kernel=Chunked("recompute", 50)).sum()
    with Largest() as seen:
        loss.backward()
    assert seen.found == 1000 * 16


def test_a_loss_alone_keeps_no_terms_and_a_gradient_no_zeros_of_their_size() -> None:
    x, w = torch.randn(64, 16, requires_grad=True), torch.randn(1000, 16, requires_grad=True)
    kernel, y = Chunked("store", 50), torch.arange(64)
    with torch.no_grad(), Largest() as seen:
        margin_softmax(x, w, y, ArcFace(), kernel=kernel)
    assert seen.found <= 64 * 50
    loss = margin_softmax(x, w, y, ArcFace(), kernel=kernel).sum()
    with Largest() as seen:
        loss.backward()
    assert seen.found == 1000 * 16


def test_auto_chooses_by_size_and_budget_alone() -> None:
    def choose(n: int, classes: int, budget: int | None = None, dtype=torch.float32) -> Kernel:
        x = torch.empty(n, 512, dtype=dtype, device="meta")
        return Auto(budget).choose(x, torch.empty(classes, 512, dtype=dtype, device="meta"))

    assert choose(128, 1024) is dense
    assert choose(128, 1025) == Chunked("store", 1025)
    assert choose(128, 10_000) == Chunked("store", 5000)  # two of at most 8,192
    assert choose(128, 100_000) == Chunked("store", 7693)
    assert choose(1024, 100_000) == Chunked("store", 1021)
    assert choose(1025, 100_000).policy == "recompute"  # 2 B C bytes are more than 4 C D
    assert choose(128, 10_000, 128 * 10_000 * 2) == Chunked("store", 5000)
    assert choose(128, 10_000, 128 * 10_000 * 2 - 1) == Chunked("recompute", 5000)
    assert choose(0, 10_000) == Chunked("store", 5000)
    assert choose(3, 10_000, dtype=torch.float64).policy == "store"
    assert eval(repr(choose(128, 10_000))) == choose(128, 10_000)  # it can be written down


@pytest.mark.parametrize(
    ("text", "routine"),
    [
        ("vendor_id : AuthenticAMD\ncpu family : 26\n\ncpu family : 1", "onednn"),
        ("vendor_id : AuthenticAMD\ncpu family : 25", "mm"),
        ("vendor_id : GenuineIntel\ncpu family : 26", "mm"),
        ("Processor : ARMv8", "mm"),
    ],
)
def test_the_routine_is_chosen_by_the_processors_model(monkeypatch, text, routine) -> None:
    if not routines._onednn_is_right():
        pytest.skip("this torch has no such operator")
    monkeypatch.setattr("pathlib.Path.read_text", lambda self: text)
    routines._family.cache_clear()
    try:
        assert routines.choose_routine(torch.device("cpu"), torch.float32) == routine
        assert routines.choose_routine(torch.device("cpu"), torch.float64) == "mm"
        assert routines.choose_routine(torch.device("cuda"), torch.float32) == "mm"
    finally:
        routines._family.cache_clear()


@pytest.mark.parametrize("policy", ["recompute", "store"])
@pytest.mark.parametrize("margin", [ArcFace(), MARGINS["subcenterarcface"]()], ids=named)
def test_the_other_routine_multiplies_alike(policy: str, margin: Margin) -> None:
    if not routines._onednn_is_right():
        pytest.skip("this torch has no such operator")
    x, w, y = batch(margin, dtype=torch.float32)
    expected = value_and_gradients(x, w, y, margin, Chunked(policy, 7))  # type: ignore[arg-type]
    found = value_and_gradients(x, w, y, margin, Chunked(policy, 7, "onednn"))  # type: ignore[arg-type]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-2 * float(b.abs().max()))


def test_a_missing_operator_falls_back(monkeypatch) -> None:
    def missing(*_: object) -> Tensor:
        raise AttributeError("no such operator")

    routines._onednn_is_right.cache_clear()
    monkeypatch.setattr(routines, "_onednn", missing)
    monkeypatch.setattr(routines, "_family", lambda: routines.ZEN_5)
    try:
        assert routines.choose_routine(torch.device("cpu"), torch.float32) == "mm"
    finally:
        routines._onednn_is_right.cache_clear()


def test_fresh_memory_is_as_large_as_asked_for() -> None:
    like = torch.ones(3)
    assert memory.fresh(like, (5, 2)).shape == (5, 2)
    large = memory.fresh(like, (3, 1_000_001)).fill_(7)
    assert (large == 7).all()


def large_head() -> tuple[MarginHead, Tensor, Tensor]:
    head = MarginHead(64, 20_000, "cosface", kernel=Chunked("store", 5000))
    return head, torch.randn(4, 64), torch.arange(4)


def test_the_memory_of_a_gradient_that_is_gone_is_used_again() -> None:
    head, x, y = large_head()
    head(x, y).backward()
    place = head.weight.grad.data_ptr()
    first = head.weight.grad.clone()
    head.zero_grad()
    head(x, y).backward()
    assert head.weight.grad.data_ptr() == place
    torch.testing.assert_close(head.weight.grad, first, rtol=0, atol=0)


@pytest.mark.parametrize(
    "hold", [lambda g: g, lambda g: g[7:9], lambda g: g.numpy()], ids=["itself", "rows", "numpy"]
)
def test_a_gradient_that_somebody_holds_is_never_written_over(hold) -> None:
    head, x, y = large_head()
    head(x, y).backward()
    held = hold(head.weight.grad)
    before = held.copy() if hasattr(held, "copy") else held.clone()
    head.zero_grad()
    for _ in range(2):
        head(-x, y).backward()
        head.zero_grad()
    assert (held == before).all()


@pytest.mark.parametrize("policy", ["recompute", "store"])
def test_gradients_of_large_weights_by_function_transforms(policy: str) -> None:
    head, x, y = large_head()
    head.kernel = Chunked(policy, 5000)  # type: ignore[arg-type]
    weight = head.weight.detach()

    def loss(x: Tensor, weight: Tensor) -> Tensor:
        return margin_softmax(x, weight, y, CosFace(), kernel=head.kernel).mean()

    found = torch.func.grad(loss, argnums=(0, 1))(x, weight)
    head(x.requires_grad_(), y).backward()
    torch.testing.assert_close(found, (x.grad, head.weight.grad), rtol=1e-5, atol=1e-7)


def test_gradients_of_large_weights_accumulate() -> None:
    head, x, y = large_head()
    head(x, y).backward()
    once = head.weight.grad.clone()
    head(x, y).backward()
    torch.testing.assert_close(head.weight.grad, 2 * once)
    one, other = (torch.autograd.grad(head(z, y), head.weight)[0] for z in (x, -x))
    assert one.data_ptr() != other.data_ptr()
    torch.testing.assert_close(one, once, rtol=0, atol=0)


def test_threads_do_not_share_a_gradient() -> None:
    head, x, y = large_head()

    def gradient(sign: float) -> Tensor:
        return torch.autograd.grad(head(sign * x, y), head.weight)[0]

    expected = {sign: gradient(sign).clone() for sign in (1.0, -1.0)}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(gradient, [1.0, -1.0] * 8))
    for sign, value in zip([1.0, -1.0] * 8, found, strict=True):
        torch.testing.assert_close(value, expected[sign], rtol=1e-5, atol=1e-6)


def test_another_thread_that_comes_in_between_gets_memory_of_its_own(monkeypatch) -> None:
    weight = torch.zeros(20_000, 64)

    def room() -> Tensor:
        return memory.room_beside(weight, "gradient", 20_000, (64,), weight)

    room()
    inner, between = memory.in_use, []

    def interrupted(tensor: Tensor) -> bool:
        found = inner(tensor)
        if not between:
            between.append(None)
            between[0] = room()
        return found

    monkeypatch.setattr(memory, "in_use", interrupted)
    assert room().data_ptr() != between[0].data_ptr()


def test_the_memory_goes_with_the_weight() -> None:
    weight = torch.zeros(20_000, 64)
    memory.room_beside(weight, "gradient", 20_000, (64,), weight)
    assert weight in memory._SPARES
    known = len(memory._SPARES)
    del weight
    gc.collect()
    assert len(memory._SPARES) == known - 1


def test_a_torch_that_does_not_count_gives_fresh_memory(monkeypatch) -> None:
    monkeypatch.delattr(torch._C, "_storage_Use_Count")
    monkeypatch.setattr(memory, "_alone", lambda: None)
    weight = torch.zeros(20_000, 64)
    assert memory.room_beside(weight, "gradient", 20_000, (64,), weight).shape == weight.shape
    assert weight not in memory._SPARES


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Chunked("keep"), "unknown policy 'keep'; known: recompute, store"),
        (lambda: Chunked(routine="blas"), "unknown routine 'blas'; known: mm, onednn"),
        (lambda: Chunked(size=0), "expected a whole number size >= 1, got 0"),
        (lambda: Chunked(size=2.5), "got 2.5"),
        (lambda: Auto(-1), "a whole number >= 0, got -1"),
    ],
)
def test_senseless_options_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_head_with_a_kernel_can_be_copied() -> None:
    x, _, y = batch(ArcFace())
    head = MarginHead(5, 23, "arcface", kernel=Chunked("store", 7)).double()
    assert copy.deepcopy(head)(x, y) == head(x, y)
    assert "Chunked(policy='store', size=7" in repr(head)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # the tracer's
def test_a_compiled_head_may_have_chunks() -> None:
    x, _, y = batch(ArcFace())
    head = MarginHead(5, 23, "arcface", kernel=Chunked("store", 7)).double()
    torch.compiler.reset()
    compiled = torch.compile(head, backend="aot_eager")
    torch.testing.assert_close(compiled(x, y), head(x, y), rtol=1e-13, atol=0)
