"""Laws every margin keeps: listing one in MARGINS is testing it."""

import pytest
import torch
import torch.nn.functional as F
from samples import small_batch
from torch import Tensor

from margin_losses import (
    INNER_PRODUCT,
    MARGINS,
    Annealed,
    ArcFace,
    Embedding,
    Logits,
    LSoftmax,
    Margin,
    MarginHead,
    SphereFace,
    Target,
    dense,
    margin_softmax,
)

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
        state=margin.init(10),
    )


@pytest.mark.parametrize("margin", [m for m in ALL if m.monotone], ids=repr)
def test_a_closer_embedding_never_scores_lower(margin: Margin) -> None:
    t = target(margin, torch.linspace(torch.pi, 0, 20_001, dtype=torch.float64))
    assert (margin.target_logit(t).diff() >= -1e-9).all()


@every_margin
def test_a_margin_never_helps_its_own_class(margin: Margin) -> None:
    t = target(margin, torch.linspace(0, torch.pi, 2_001, dtype=torch.float64))
    assert (margin.target_logit(t) <= t.plain + 1e-12).all()


@every_margin
def test_order_of_batch_and_classes_does_not_matter(margin: Margin) -> None:
    x, w, y = small_batch()
    losses = margin_softmax(x, w, y, margin, state=margin.init(len(w)))
    turned = margin_softmax(x.flip(0), w, y.flip(0), margin, state=margin.init(len(w))).flip(0)
    renamed = margin_softmax(x, w.flip(0), len(w) - 1 - y, margin, state=margin.init(len(w)))
    torch.testing.assert_close(turned, losses, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(renamed, losses, rtol=1e-12, atol=1e-12)


@every_margin
def test_unit_sides_ignore_lengths(margin: Margin) -> None:
    x, w, y = small_batch()
    losses = margin_softmax(x, w, y, margin, state=margin.init(len(w)))
    if margin.geometry.unit_weight:
        lengths = torch.linspace(0.1, 30, len(w), dtype=torch.float64)[:, None]
        longer = margin_softmax(x, w * lengths, y, margin, state=margin.init(len(w)))
        torch.testing.assert_close(longer, losses, rtol=1e-12, atol=1e-12)
    if margin.geometry.unit_embedding:
        longer = margin_softmax(x * 1e5, w, y, margin, state=margin.init(len(w)))
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
    loss = margin_softmax(
        x, w, torch.tensor([0, 1, 2, 0]), margin, state=margin.init(len(w))
    ).mean()
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
    loss = margin_softmax(x, w, torch.tensor([0, 1, 2, 0]), margin, state=margin.init(len(w))) / 4
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
    x, w, _ = small_batch(n=2)
    rows = torch.tensor([-1, len(w)])
    sums = dense(x, w, rows, Logits(INNER_PRODUCT))
    torch.testing.assert_close(sums.negative, (x @ w.t()).logsumexp(1), rtol=1e-12, atol=0)
    assert (sums.own == 0).all()


@every_margin
def test_one_class_has_nothing_to_lose(margin: Margin) -> None:
    x, w, _ = small_batch(n=2, classes=1)
    x.requires_grad_(), w.requires_grad_()
    loss = margin_softmax(
        x, w, torch.zeros(2, dtype=torch.int64), margin, state=margin.init(len(w))
    )
    loss.sum().backward()
    assert (loss == 0).all()
    assert (x.grad == 0).all()
    assert (w.grad == 0).all()


def test_a_loss_above_69_is_told() -> None:
    x, w, y = small_batch()
    assert margin_softmax(x * 100, -w, y, LSoftmax(4)).max() > 690
