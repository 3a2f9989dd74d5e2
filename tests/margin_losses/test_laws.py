"""Laws every margin keeps: listing one in MARGINS is testing it."""

import copy
import pickle
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import margin_losses.embedding
from margin_losses import (
    MARGINS,
    Annealed,
    ArcFace,
    Embedding,
    HeadSpec,
    Logits,
    LSoftmax,
    Margin,
    MarginHead,
    SphereFace,
    Target,
    dense,
    margin_softmax,
)
from margin_losses.margins import INNER_PRODUCT

ALL = [kind() for kind in MARGINS.values()] + [
    LSoftmax(2),
    SphereFace(1.7),
    ArcFace(1.2),
    Annealed(SphereFace(4), base=3, minimum=1),
]
every_margin = pytest.mark.parametrize("margin", ALL, ids=repr)
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def target(margin: Margin, angle: Tensor) -> Target:
    cos, scale = angle.cos(), torch.full_like(angle, 7.0)
    return Target(
        plain=scale * cos,
        cos=cos,
        sin=angle.sin(),
        angle=angle,
        scale=scale,
        norm=torch.ones_like(cos),
        label=torch.zeros(len(cos), dtype=torch.int64),
        state=margin.init(),
    )


@every_margin
def test_a_closer_embedding_never_scores_lower(margin: Margin) -> None:
    t = target(margin, torch.linspace(torch.pi, 0, 20_001, dtype=torch.float64))
    assert (margin.target_logit(t).diff() >= -1e-9).all()


@every_margin
def test_a_margin_never_helps_its_own_class(margin: Margin) -> None:
    t = target(margin, torch.linspace(0, torch.pi, 2_001, dtype=torch.float64))
    assert (margin.target_logit(t) <= t.plain + 1e-12).all()


def batch(n: int = 6, classes: int = 5, dim: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    w = torch.randn(classes, dim, generator=generator, dtype=torch.float64)
    return x, w, torch.arange(n) % classes


@every_margin
def test_order_of_batch_and_classes_does_not_matter(margin: Margin) -> None:
    x, w, y = batch()
    losses = margin_softmax(x, w, y, margin, state=margin.init())
    turned = margin_softmax(x.flip(0), w, y.flip(0), margin, state=margin.init()).flip(0)
    renamed = margin_softmax(x, w.flip(0), len(w) - 1 - y, margin, state=margin.init())
    torch.testing.assert_close(turned, losses, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(renamed, losses, rtol=1e-12, atol=1e-12)


@every_margin
def test_unit_sides_ignore_lengths(margin: Margin) -> None:
    x, w, y = batch()
    losses = margin_softmax(x, w, y, margin, state=margin.init())
    if margin.geometry.unit_weight:
        lengths = torch.linspace(0.1, 30, len(w), dtype=torch.float64)[:, None]
        longer = margin_softmax(x, w * lengths, y, margin, state=margin.init())
        torch.testing.assert_close(longer, losses, rtol=1e-12, atol=1e-12)
    if margin.geometry.unit_embedding:
        longer = margin_softmax(x * 1e5, w, y, margin, state=margin.init())
        torch.testing.assert_close(longer, losses, rtol=1e-10, atol=1e-12)


def adversarial() -> dict[str, tuple[Tensor, Tensor]]:
    """Embeddings and class weights, (4, 6) and (3, 6); the labels are 0, 1, 2, 0."""
    generator = torch.Generator().manual_seed(2)
    w = torch.randn(3, 6, generator=generator)
    x = torch.randn(4, 6, generator=generator)
    at = torch.tensor([0, 1, 2, 0])
    zero_row = w.clone()
    zero_row[0] = 0
    return {
        "random": (x, w),
        "equal to the class weight": (w[at], w),
        "along the class weight": (2.7 * w[at], w),
        "opposite to the class weight": (-w[at], w),
        "zero embedding": (x * torch.tensor([0, 1, 1, 0])[:, None], w),
        "zero class weight": (x, zero_row),
        "both zero": (torch.zeros(4, 6), zero_row),
        "tiny": (x * 1e-7, w * 1e-7),
        "large": (x * 200, w),
        "all classes the same": (x, w[:1].expand(3, 6).clone()),
        "one hot": (torch.eye(6)[:4], torch.eye(6)[:3]),
    }


@pytest.mark.parametrize("case", adversarial())
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@every_margin
def test_loss_and_gradients_are_finite(margin: Margin, dtype: torch.dtype, case: str) -> None:
    x, w = (part.to(dtype).requires_grad_() for part in adversarial()[case])
    loss = margin_softmax(x, w, torch.tensor([0, 1, 2, 0]), margin, state=margin.init()).mean()
    loss.backward()
    for value in (loss, x.grad, w.grad):
        assert value.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("x", "w"),
    [
        ([[0.0, 0.0]], [[-3e38, 0.0], [0.0, 1.0]]),
        ([[1e-10, 0.0]], [[-3e38, 0.0], [0.0, 1.0]]),
        ([[5e37, 2e37]], [[1.0, 0.0], [0.0, 1.0]]),
        ([[-3e38, 0.0]], [[1.0, 0.0], [0.0, 1.0]]),
        ([[1e-40, 1e-40]], [[1e38, 1e38], [-1e38, 1e38]]),
    ],
)
@pytest.mark.parametrize(
    "margin", [*ALL, LSoftmax(16), SphereFace(16), Annealed(LSoftmax(16))], ids=repr
)
def test_products_that_overflow_leave_finite_gradients(margin, x, w, dtype) -> None:
    x, w = (torch.tensor(part, dtype=dtype, requires_grad=True) for part in (x, w))
    loss = margin_softmax(x, w, torch.tensor([0]), margin).mean()
    loss.backward()
    for value in (loss, x.grad, w.grad):
        assert value.isfinite().all()


@pytest.mark.parametrize("size", [1e-30, 1e-38, 1e30])
def test_directions_survive_lengths_whose_squares_do_not(size: float) -> None:
    e = Embedding.of(torch.tensor([[3.0, 4.0]]) * size)
    torch.testing.assert_close(e.unit, torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(e.norm / size, torch.tensor([5.0]))


def test_the_mean_of_losses_near_the_end_of_float32_does_not_overflow() -> None:
    head = MarginHead(2, 2, "softmax")
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    x = torch.tensor([[1.6e38, 0.0]] * 3)
    assert head(x, torch.zeros(3, dtype=torch.int64)).item() == pytest.approx(3.2e38, rel=1e-5)


@pytest.mark.parametrize("size", [1e-45, 1e-38, 1e-30, 1e18, 3e38])
@every_margin
def test_extreme_lengths_stay_finite_in_float32(margin: Margin, size: float) -> None:
    generator = torch.Generator().manual_seed(3)
    # the plain logits must fit into float32
    if not margin.geometry.unit_embedding and margin.geometry.unit_weight:
        size = min(size, 1e38)
    x = (torch.randn(4, 6, generator=generator).clamp(-1, 1) * size).requires_grad_()
    w = (torch.randn(3, 6, generator=generator) / max(size, 1)).requires_grad_()
    loss = margin_softmax(x, w, torch.tensor([0, 1, 2, 0]), margin, state=margin.init()) / 4
    loss = loss.sum()
    loss.backward()
    for value in (loss, x.grad, w.grad):
        assert value.isfinite().all()


def test_lengths_whose_product_overflows_where_the_logit_does_not() -> None:
    x = torch.tensor([[1e30, 0.0]], requires_grad=True)
    w = torch.tensor([[0.0, 1e30], [0.0, 1.0]], requires_grad=True)
    loss = margin_softmax(x, w, torch.tensor([0]), LSoftmax(4)).mean()
    loss.backward()
    assert all(value.isfinite().all() for value in (loss, x.grad, w.grad))


def test_a_gradient_beyond_the_dtype_is_clipped_to_its_largest_number() -> None:
    x = torch.tensor([[6e-8, 0.0]], dtype=torch.float16, requires_grad=True)
    margin_softmax(x, torch.eye(2), torch.tensor([1]), ArcFace()).mean().backward()
    assert x.grad[0, 1] == -torch.finfo(torch.float16).max


def test_a_zero_vector_is_a_right_angle_away_and_stays_put() -> None:
    x = torch.zeros(1, 4, requires_grad=True)
    w = torch.eye(4)[:2].clone().requires_grad_()
    loss = margin_softmax(x, w, torch.tensor([0]), ArcFace(0.5), ArcFace.geometry)
    expected = F.softplus(64 * torch.tensor(0.5).sin())  # cos(π/2 + m) = -sin m against 0
    torch.testing.assert_close(loss[0], expected)
    loss.sum().backward()
    assert (x.grad == 0).all()


def test_a_zero_class_weight_is_a_right_angle_away() -> None:
    x = torch.tensor([[1.0, 0.0]])
    w = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    loss = margin_softmax(x, w, torch.tensor([0]), ArcFace(0.5))
    torch.testing.assert_close(loss[0], F.softplus(64 * torch.tensor(0.5).sin()))


def test_plain_softmax_at_a_zero_embedding_keeps_its_gradient() -> None:
    x = torch.zeros(1, 4, requires_grad=True)
    w, y = torch.eye(4)[:3], torch.tensor([0])
    (ours,) = torch.autograd.grad(margin_softmax(x, w, y, MARGINS["softmax"]()).mean(), x)
    (theirs,) = torch.autograd.grad(F.cross_entropy(x @ w.t(), y), x)
    torch.testing.assert_close(ours, theirs)


def test_hiding_survives_where_subtracting_does_not() -> None:
    """s = 64, cosines 0.9 and 0.2, float32: the sum of the others is lost in e^{z_y}."""
    x = torch.tensor([[1.0, 0.0]])
    cos = torch.tensor([0.9, 0.2])
    w = torch.stack([cos, (1 - cos**2).sqrt()], 1)
    sums = dense(x, w, torch.tensor([0]), Logits(ArcFace.geometry))
    torch.testing.assert_close(sums.negative, torch.tensor([12.8]))
    torch.testing.assert_close(sums.top, torch.tensor([12.8]))
    assert not dense(
        x, w.requires_grad_(), torch.tensor([0]), Logits(INNER_PRODUCT)
    ).top.requires_grad
    torch.testing.assert_close(sums.own, w[:1])


def test_rows_outside_the_weight_hide_nothing() -> None:
    x, w, _ = batch(n=2)
    rows = torch.tensor([-1, len(w)])
    sums = dense(x, w, rows, Logits(INNER_PRODUCT))
    torch.testing.assert_close(sums.negative, (x @ w.t()).logsumexp(1), rtol=1e-12, atol=0)
    assert (sums.own == 0).all()


@every_margin
def test_one_class_has_nothing_to_lose(margin: Margin) -> None:
    x, w, _ = batch(n=2, classes=1)
    x.requires_grad_(), w.requires_grad_()
    loss = margin_softmax(x, w, torch.zeros(2, dtype=torch.int64), margin, state=margin.init())
    loss.sum().backward()
    assert (loss == 0).all()
    assert (x.grad == 0).all()
    assert (w.grad == 0).all()


def test_a_loss_above_69_is_told() -> None:
    x, w, y = batch()
    assert margin_softmax(x * 100, -w, y, LSoftmax(4)).max() > 690


def test_two_heads_share_one_normalisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train two heads on one embedding: its directions are computed once."""
    normalised: list[tuple[int, ...]] = []
    inner = margin_losses.embedding.normalize

    def counting(x: Tensor) -> tuple[Tensor, Tensor]:
        normalised.append(tuple(x.shape))
        return inner(x)

    for module in ("embedding", "functional", "kernels"):
        monkeypatch.setattr(f"margin_losses.{module}.normalize", counting)
    network = torch.nn.Linear(3, 4)
    heads = [MarginHead(4, 9, "arcface:s=16"), MarginHead(4, 9, "sphereface:m=1.7")]
    optimiser = torch.optim.SGD(
        [*network.parameters(), *(p for h in heads for p in h.parameters())]
    )
    embedding = Embedding.of(network(torch.randn(7, 3)))
    sum(head(embedding, torch.arange(7)) for head in heads).backward()
    optimiser.step()
    weights = [(9, 4), (9, 4)]  # each head normalises its own classes
    own = [(7, 4), (7, 4)]  # and the rows it gathered for the batch
    assert sorted(normalised) == sorted([(7, 4), *own, *weights])
    assert embedding is Embedding.of(embedding)
    assert network.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", MARGINS)
def test_half_precision_is_computed_in_float32(name: str) -> None:
    x, w, y = (part if part.dtype == torch.int64 else part.float() for part in batch())
    for dtype in (torch.float16, torch.bfloat16):
        half = margin_softmax(x.to(dtype), w.to(dtype), y, MARGINS[name]())
        same = margin_softmax(x.to(dtype).float(), w.to(dtype).float(), y, MARGINS[name]())
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, same)


@pytest.mark.parametrize("name", MARGINS)
def test_autocast_keeps_the_own_class_in_float32(name: str) -> None:
    torch.manual_seed(0)
    head, x, y = MarginHead(16, 10, name), torch.randn(8, 16), torch.arange(8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = head(x, y)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, head(x, y), rtol=0.02, atol=0.3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", MARGINS)
def test_autocast_never_overflows(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    head, x = MarginHead(16, 10, name), (3e4 * torch.randn(8, 16)).requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        loss, logits = head(x, torch.arange(8)), head.logits(x)
    loss.backward()
    assert logits.dtype == torch.float32
    for value in (loss, logits, x.grad, head.weight.grad):
        assert value.isfinite().all()


@pytest.mark.parametrize("name", [*MARGINS, "sphereface+annealed"])
def test_a_head_is_margin_softmax_at_its_own_scale(name: str) -> None:
    x, _, y = batch()
    calls = []

    def counting(*arguments):
        calls.append(arguments)
        return dense(*arguments)

    head = MarginHead(4, 5, name, scale=16.0, kernel=counting).double().eval()
    geometry = head.margin.geometry._replace(scale=16.0)
    expected = margin_softmax(x, head.weight, y, head.margin, geometry)
    torch.testing.assert_close(head(x, y, reduction="none"), expected, rtol=1e-14, atol=0)
    assert len(calls) == 1


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # the tracer
@pytest.mark.parametrize("name", [*MARGINS, "sphereface+annealed"])
def test_a_compiled_head_is_the_head(name: str) -> None:
    x, _, y = batch()
    head = MarginHead(4, 5, name).double().eval()
    torch.compiler.reset()  # each name is compiled anew; together they pass the limit
    compiled = torch.compile(head, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, y), head(x, y), rtol=1e-14, atol=0)


def test_gradients_by_function_transforms() -> None:
    x, w, y = batch()
    found = torch.func.grad(lambda a: F.cross_entropy(Embedding.of(a).unit @ w.t(), y))(x)
    x.requires_grad_()
    (expected,) = torch.autograd.grad(F.cross_entropy(F.normalize(x) @ w.t(), y), x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def annealed_head() -> MarginHead:
    return MarginHead(4, 5, "sphereface:m=4+annealed:base=100,minimum=0,gamma=1")


def test_a_schedule_advances_in_training_only_and_is_saved() -> None:
    x, _, y = batch()
    head = annealed_head().double()
    first = head(x, y)
    for _ in range(3):
        head(x, y)
    assert head.iteration == 4
    head.eval()
    assert head(x, y) > first  # less of the plain logit is left
    assert head.iteration == 4
    resumed = annealed_head().double()
    resumed.load_state_dict(head.state_dict())
    assert resumed.eval()(x, y) == head(x, y)


def test_a_schedule_counts_on_in_half_precision() -> None:
    head = annealed_head()
    head.iteration.fill_(5000)
    head.half()
    head(torch.randn(2, 4).half(), torch.tensor([0, 1]))
    assert head.iteration == 5001
    assert head.iteration.dtype == torch.int64  # float16 would stop at 2,048


def test_resetting_a_head_starts_it_anew() -> None:
    head = annealed_head()
    head.iteration.fill_(7)
    head.reset_parameters()
    assert head.iteration == 0
    wide = MarginHead(512, 300, "softmax", bias=True)
    assert (wide.weight[:, 512] == 0).all()
    assert wide.weight.detach().norm(dim=1).mean() == pytest.approx(1, abs=0.02)


def test_annealing_keeps_the_statistics_of_the_margin_inside() -> None:
    @dataclass(frozen=True)
    class Counting(Margin):
        def init(self) -> dict[str, Tensor]:
            return {"seen": torch.zeros((), dtype=torch.int64)}

        def observe(self, t: Target) -> dict[str, Tensor]:
            assert torch.equal(t.label, labels)
            torch.testing.assert_close(t.norm, x.norm(dim=1))
            return {"seen": t.state["seen"] + len(t.label)}

    x, labels = torch.randn(3, 4), torch.tensor([4, 0, 2])
    head = MarginHead(4, 5, Annealed(Counting()))
    head(x, labels)
    assert head.seen == 3
    assert head.iteration == 1


def test_a_refused_batch_changes_nothing() -> None:
    head = annealed_head()
    with pytest.raises(ValueError, match="0 <= label < 5"):
        head(torch.randn(2, 4), torch.tensor([0, 5]))
    assert head.iteration == 0


@pytest.mark.parametrize("name", [*MARGINS, "sphereface+annealed"])
def test_a_head_survives_copying_pickling_and_its_state_dict(name: str) -> None:
    x, _, y = batch()
    head = MarginHead(4, 5, name).double().eval()
    loss = head(x, y)
    assert copy.deepcopy(head)(x, y) == loss
    assert pickle.loads(pickle.dumps(head))(x, y) == loss
    other = MarginHead(4, 5, name).double().eval()
    other.load_state_dict(head.state_dict())
    assert other(x, y) == loss


def test_inputs_are_left_alone() -> None:
    x, w, y = batch()
    before = [part.clone() for part in (x, w, y)]
    margin_softmax(x, w, y, ArcFace())
    for part, copy_ in zip((x, w, y), before, strict=True):
        assert torch.equal(part, copy_)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_labels_of_any_whole_number_type(dtype: torch.dtype) -> None:
    x, _, y = batch()
    head = MarginHead(4, 5, "arcface").double()
    assert head(x, y.to(dtype)) == head(x, y)


def test_reductions_and_odd_layouts_agree() -> None:
    x, _, y = batch()
    head = MarginHead(4, 5, "cosface").double()
    each = head(x, y, reduction="none")
    assert each.shape == (6,)
    torch.testing.assert_close(head(x, y), each.mean(), rtol=1e-14, atol=0)
    torch.testing.assert_close(head(x, y, reduction="sum"), each.sum(), rtol=1e-14, atol=0)
    strided = torch.stack([x, x], 2)[..., 0]
    assert not strided.is_contiguous()
    torch.testing.assert_close(head(strided, y), head(x, y), rtol=1e-14, atol=0)


def test_logits_have_no_margin() -> None:
    x, _, _ = batch()
    head = MarginHead(4, 5, "arcface:s=16").double()
    expected = 16 * F.normalize(x) @ F.normalize(head.weight).t()
    torch.testing.assert_close(head.logits(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MARGINS)
def test_a_name_is_the_default_margin(name: str) -> None:
    assert HeadSpec.parse(name) == HeadSpec(MARGINS[name](), None)
    assert f"{MARGINS[name]()!r}" in repr(MarginHead(4, 5, name))


def test_defaults_are_the_papers() -> None:
    found = {name: (kind(), kind.geometry.scale) for name, kind in MARGINS.items()}
    assert {name: (getattr(m, "m", None), s) for name, (m, s) in found.items()} == {
        "softmax": (None, 1),
        "normface": (None, 64),
        "lsoftmax": (4, 1),
        "sphereface": (4, 1),
        "smsoftmax": (0.6, 1),
        "amsoftmax": (0.35, 30),
        "cosface": (0.35, 64),
        "arcface": (0.5, 64),
    }


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (" ArcFace : M = 0.5 ".replace("M", "m"), "arcface:m=0.5"),
        ("sphereface:m=1e+0", "sphereface:m=1"),
        ("sphereface:m=2+annealed:base=1e+3", "sphereface:m=2+annealed:base=1000"),
    ],
)
def test_names_are_read_generously(text: str, same: str) -> None:
    assert HeadSpec.parse(text) == HeadSpec.parse(same)


def test_a_bias_passes_through_annealing_and_shows() -> None:
    head = MarginHead(4, 5, "smsoftmax+annealed", bias=True)
    assert head.weight.shape == (5, 5)
    assert "bias=True" in repr(head)
