"""Laws every margin keeps: listing one in MARGINS is testing it."""

import copy
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from samples import small_batch
from torch import Tensor

from margin_losses import (
    INNER_PRODUCT,
    MARGINS,
    AdaCos,
    AdaFace,
    Annealed,
    ArcFace,
    Chunked,
    CombinedMargin,
    CurricularFace,
    Detached,
    ElasticArcFace,
    Embedding,
    Logits,
    LSoftmax,
    MagFace,
    Margin,
    MarginHead,
    MVArcFace,
    MVSoftmax,
    PerClass,
    SphereFace,
    SphereFaceR,
    Target,
    dense,
    margin_softmax,
)

WRAPPED = [
    Annealed(SphereFace(4), base=3, minimum=1),
    Annealed(CurricularFace(), base=3, minimum=1),
    Annealed(AdaFace(), base=3, minimum=1),
    Annealed(ElasticArcFace(), base=3, minimum=1),
    Annealed(AdaCos(), base=3, minimum=1),
    Detached(ArcFace()),
    Detached(MagFace()),
    Detached(Annealed(SphereFaceR(), minimum=1)),
    PerClass(ArcFace(), (0.2, 0.7, 0.0)),
    PerClass(AdaFace(), (0.2, 0.7, 0.0)),
]
ALL = [
    *(kind() for kind in MARGINS.values()),
    LSoftmax(2),
    SphereFace(1.7),
    ArcFace(1.2),
    CombinedMargin(1.2, 0.4, 0.1, past="continuous"),
    SphereFaceR(form="v0"),
    SphereFaceR(form="v2"),
    SphereFaceR(4.0, form="v2"),
    MVSoftmax(form="fixed"),
    MVArcFace(past="continuous"),
    AdaFace(h=3.0),
    *WRAPPED,
]
every_margin = pytest.mark.parametrize("margin", ALL, ids=repr)
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def sized(margin: Margin, num_classes: int) -> Margin:
    """The margin, its numbers for each class repeated until there are enough."""
    if isinstance(margin, PerClass):
        return replace(margin, m=(margin.m * num_classes)[:num_classes])
    return margin


def losses_of(x: Tensor, w: Tensor, y: Tensor, margin: Margin) -> Tensor:
    return margin_softmax(x, w, y, sized(margin, len(w)))


def inside(margin: Margin) -> Margin:
    """The margin itself, without wrappers."""
    return inside(margin.margin) if hasattr(margin, "margin") else margin


def head_of(margin: Margin, w: Tensor) -> MarginHead:
    """A head in training mode with these class weights, in their dtype."""
    head = MarginHead(w.shape[1], len(w), sized(margin, len(w)), centers=1).to(w.dtype)
    with torch.no_grad():
        head.weight.copy_(w)
    return head


def target(margin: Margin, angle: Tensor, norm: float = 1.0, **state: float) -> Target:
    cos, scale = angle.cos(), torch.full_like(angle, 7.0)
    known = {name: torch.tensor(value, dtype=angle.dtype) for name, value in state.items()}
    return Target(
        plain=scale * cos,
        cos=cos,
        sin=angle.sin(),
        angle=angle,
        scale=scale,
        norm=torch.full_like(cos, norm),
        label=torch.zeros(len(cos), dtype=torch.int64),
        state={**sized(margin, 10).init(10), **known},
    )


def typical_targets(margin: Margin, angle: Tensor) -> Iterator[Target]:
    """One for each length, n̂ from -1 to 1, hardness, or drawn margin that training can meet."""
    within = inside(margin)
    if isinstance(within, AdaFace):
        for norm in (0.0, 1.0, 10.0, 15.0, 20.0, 25.0, 30.0, 100.0, 1e30):
            yield target(margin, angle, norm, norm_mean=20.0, norm_std=5.0)
    elif isinstance(within, MagFace):
        for norm in (0.0, 5.0, 10.0, 37.0, 80.0, 110.0, 120.0):
            yield target(margin, angle, norm)
    elif hasattr(within, "sigma"):
        for drawn in (0.0, 0.3, 0.5, 0.8, math.pi / 2):
            yield target(margin, angle, drawn=drawn)
    else:
        yield target(margin, angle)


@pytest.mark.parametrize("margin", [m for m in ALL if m.monotone], ids=repr)
def test_a_closer_embedding_never_scores_lower(margin: Margin) -> None:
    for t in typical_targets(margin, torch.linspace(math.pi, 0, 20_001, dtype=torch.float64)):
        assert (margin.target_logit(t).diff() >= -1e-9).all()


@every_margin
def test_a_margin_never_helps_its_own_class(margin: Margin) -> None:
    for t in typical_targets(margin, torch.linspace(0, math.pi, 2_001, dtype=torch.float64)):
        assert (margin.target_logit(t) <= t.plain + 1e-12).all()


def test_only_the_combined_margin_is_not_monotone_by_default() -> None:
    assert [name for name, kind in MARGINS.items() if not kind().monotone] == ["combinedmargin"]


@pytest.mark.parametrize("margin", [ArcFace(), MVArcFace(), MagFace()], ids=repr)
def test_policies_that_rise_are_said_not_to_be_monotone(margin: Margin) -> None:
    for past in ("paper", "easy"):
        assert not replace(margin, past=past).monotone
        assert not Annealed(replace(margin, past=past)).monotone
    for past in ("linear", "clipped", "continuous"):
        assert replace(margin, past=past).monotone


def scores(margin: Margin, angle: Tensor, norm: float = 1.0, **state: float) -> Tensor:
    """The own class's logit over the scale."""
    t = target(margin, angle, norm, **state)
    return margin.target_logit(t) / t.scale


GRID = torch.linspace(0, math.pi, 200_001, dtype=torch.float64)


@pytest.mark.parametrize("m", [0.1, 0.5, 1.2, math.pi / 2])
def test_the_linear_policy_falls_at_once_where_it_begins(m: float) -> None:
    """From -1 to -cos m - m sin m, at θ = π - m."""
    found = scores(ArcFace(m), GRID)
    falls = -found.diff()
    step = int(falls.argmax())
    assert GRID[step].item() <= math.pi - m <= GRID[step + 1].item() + 1e-12
    jump = math.cos(m) + m * math.sin(m) - 1
    assert falls[step].item() == pytest.approx(jump, abs=2e-5)
    if m == 0.5:
        assert jump == pytest.approx(0.1173, abs=1e-4)


@pytest.mark.parametrize("m", [0.1, 0.5, 1.2])
def test_the_easy_policy_rises_at_a_right_angle(m: float) -> None:
    """From cos(π/2 + m) to 0."""
    found = scores(ArcFace(m, past="easy"), GRID)
    rises = found.diff()
    assert (rises > 1e-9).sum() == 1
    step = int(rises.argmax())
    assert GRID[step].item() <= math.pi / 2 <= GRID[step + 1].item()
    assert rises[step].item() == pytest.approx(math.sin(m), abs=2e-5)


@pytest.mark.parametrize(
    ("margin", "state", "turn", "rise"),
    [
        (ArcFace(0.5, past="paper"), {}, math.pi - 0.5, 1 - math.cos(0.5)),
        (ArcFace(1.2, past="paper"), {}, math.pi - 1.2, 1 - math.cos(1.2)),
        (CombinedMargin(), {}, math.pi - 0.3, 1 - math.cos(0.3)),
        (
            CombinedMargin(0.9, 0.4, 0.15),
            {},
            (math.pi - 0.4) / 0.9,
            1 - math.cos(0.1 * math.pi - 0.4),
        ),
        (
            AdaFace(0.4, h=1, past="paper"),  # n̂ = -1: ArcFace
            {"norm_mean": 50.0, "norm_std": 1.0},
            math.pi - 0.4,
            1 - math.cos(0.4),
        ),
        (MagFace(past="paper"), {}, math.pi - 0.45, 1 - math.cos(0.45)),
    ],
    ids=repr,
)
def test_the_papers_cosine_rises_again_from_where_it_passes_pi(margin, state, turn, rise) -> None:
    assert not margin.monotone
    found = scores(margin, GRID, **state)
    lowest = int(found.argmin())
    assert GRID[lowest].item() == pytest.approx(turn, abs=1e-3)
    assert (found[-1] - found[lowest]).item() == pytest.approx(rise, abs=1e-9)


def test_unclipped_ada_face_falls_as_a_good_picture_meets_its_class() -> None:
    """At n̂ = 1 its highest score is at θ = m, not at 0."""
    margin = AdaFace(0.4, h=1, past="paper")
    found = scores(margin, GRID, norm_mean=-50.0, norm_std=1.0)
    assert GRID[int(found.argmax())].item() == pytest.approx(0.4, abs=1e-3)
    assert (found.max() - found[0]).item() == pytest.approx(1 - math.cos(0.4), abs=1e-9)
    clipped = scores(replace(margin, past="clipped"), GRID, norm_mean=-50.0, norm_std=1.0)
    assert (clipped[GRID < 0.4] == clipped[0]).all()


def test_a_margin_that_multiplies_by_less_than_one_helps_the_own_class() -> None:
    margin = CombinedMargin(0.5, 0.1, 0.1, past="clipped")
    assert not margin.monotone
    assert (scores(margin, GRID) > GRID.cos()).any()


def test_curricular_face_can_lose_more_when_closer() -> None:
    """A negative that stops being hard goes from cos (h + cos) up to cos, while h is small."""
    x = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)

    def loss(degrees: float) -> float:
        angles = torch.tensor([degrees, 75.0], dtype=torch.float64).deg2rad()
        w = torch.stack([angles.cos(), angles.sin(), 0 * angles], 1)
        return margin_softmax(x, w, torch.tensor([0]), CurricularFace()).item()

    edge = 75 - math.degrees(0.5)
    assert loss(edge - 0.01) > 0.5
    assert loss(edge + 0.01) < 1e-5


@every_margin
def test_order_of_batch_and_classes_does_not_matter(margin: Margin) -> None:
    x, w, y = small_batch()
    margin = sized(margin, len(w))
    turned_margin = replace(margin, m=margin.m[::-1]) if isinstance(margin, PerClass) else margin
    losses = margin_softmax(x, w, y, margin)
    turned = margin_softmax(x.flip(0), w, y.flip(0), margin).flip(0)
    renamed = margin_softmax(x, w.flip(0), len(w) - 1 - y, turned_margin)
    torch.testing.assert_close(turned, losses, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(renamed, losses, rtol=1e-12, atol=1e-12)


@every_margin
def test_unit_sides_ignore_lengths(margin: Margin) -> None:
    x, w, y = small_batch()
    losses = losses_of(x, w, y, margin)
    if margin.geometry.unit_weight:
        lengths = torch.linspace(0.1, 30, len(w), dtype=torch.float64)[:, None]
        torch.testing.assert_close(
            losses_of(x, w * lengths, y, margin), losses, rtol=1e-12, atol=1e-12
        )
    if margin.geometry.unit_embedding and not isinstance(inside(margin), AdaFace | MagFace):
        torch.testing.assert_close(losses_of(x * 1e5, w, y, margin), losses, rtol=1e-10, atol=1e-12)


@every_margin
def test_a_gradient_of_unit_sides_only_turns(margin: Margin) -> None:
    """It is orthogonal to what it moves; MagFace alone learns a length."""
    x, w, y = (part.requires_grad_(part.is_floating_point()) for part in small_batch())
    of_x, of_w = torch.autograd.grad(losses_of(x, w, y, margin).mean(), (x, w))
    if margin.geometry.unit_weight:
        torch.testing.assert_close((of_w * w).sum(1), torch.zeros(5).double(), rtol=0, atol=1e-12)
    if margin.geometry.unit_embedding and not isinstance(inside(margin), MagFace):
        torch.testing.assert_close((of_x * x).sum(1), torch.zeros(6).double(), rtol=0, atol=1e-12)


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
    """And every kernel's are those of `dense`, as far as rounding to the dtype goes."""
    found = []
    for kernel in (dense, Chunked("recompute", 2), Chunked("store", 2)):
        x, w = (part.to(dtype).requires_grad_() for part in adversarial()[case])
        y = torch.tensor([0, 1, 2, 0])
        loss = margin_softmax(x, w, y, sized(margin, len(w)), kernel=kernel).mean()
        loss.backward()
        found.append((loss, x.grad, w.grad))
        for value in found[-1]:
            assert value.isfinite().all()
    coarse = 8 * torch.finfo(torch.bfloat16).eps if dtype.itemsize < 8 else 1e-11
    for other in found[1:]:
        for value, exact in zip(other, found[0], strict=True):
            size = max(1.0, float(exact.detach().abs().max()))
            torch.testing.assert_close(value, exact, rtol=coarse, atol=coarse * size)


OBSERVERS = [margin for margin in ALL if margin.observes]
every_observer = pytest.mark.parametrize("margin", OBSERVERS, ids=repr)


@pytest.mark.parametrize("case", adversarial())
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@every_observer
def test_training_stays_finite(margin: Margin, dtype: torch.dtype, case: str) -> None:
    """The statistics too, whatever batches come, and however often."""
    x, w = (part.to(dtype) for part in adversarial()[case])
    head, y = head_of(margin, w), torch.tensor([0, 1, 2, 0])
    for batch in (slice(4), slice(0, 1), slice(1, 3), slice(4)):
        part = x[batch].detach().requires_grad_()
        head.zero_grad()
        loss = head(part, y[batch])
        loss.backward()
        for value in (loss, part.grad, head.weight.grad, *head.buffers()):
            assert value.isfinite().all()


@every_observer
def test_a_batch_of_one_trains(margin: Margin) -> None:
    x, w, y = small_batch(n=1)
    head = head_of(margin, w)
    assert head(x, y).isfinite()
    assert all(buffer.isfinite().all() for buffer in head.buffers())


@every_observer
def test_a_batch_of_ignored_samples_leaves_the_statistics_alone(margin: Margin) -> None:
    x, w, y = small_batch()
    head = head_of(margin, w)
    head(x, y)
    before = {name: value.clone() for name, value in head.named_buffers() if name != "iteration"}
    assert head(x, torch.full_like(y, -1), ignore_index=-1) == 0
    for name, value in before.items():
        assert torch.equal(head.get_buffer(name), value)


@every_observer
def test_ignored_samples_are_not_observed(margin: Margin) -> None:
    x, w, y = small_batch()
    some, all_ = head_of(margin, w), head_of(margin, w)
    some(x[:4], y[:4])
    all_(x, torch.cat([y[:4], y.new_tensor([-1, -1])]), ignore_index=-1)
    for one, other in zip(some.buffers(), all_.buffers(), strict=True):
        assert torch.equal(one, other)


@every_margin
def test_evaluation_changes_no_statistics(margin: Margin) -> None:
    x, w, y = small_batch()
    head = head_of(margin, w)
    head(x, y)
    head.eval()
    before = copy.deepcopy(head.state_dict())
    first, second = head(x, y), head(3 * x, y) * 0 + head(x, y)
    head.logits(x)
    head.logits(x, y)
    assert first == second  # nothing is drawn either
    for name, value in head.state_dict().items():
        assert torch.equal(value, before[name])


@every_observer
def test_training_resumes_from_the_state_dict(margin: Margin) -> None:
    x, w, y = small_batch()
    head = head_of(margin, w)
    head(x, y)
    other = head_of(margin, w)
    other.load_state_dict(head.state_dict())
    found = []
    for one in (head, other):
        torch.manual_seed(5)
        found.append(one(2 * x, y))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "margin", [m for m in OBSERVERS if not hasattr(inside(m), "sigma")], ids=repr
)  # draws go by position
def test_order_of_the_batch_does_not_matter_in_training(margin: Margin) -> None:
    x, w, y = small_batch()
    head, other = head_of(margin, w), head_of(margin, w)
    for _ in range(2):
        losses = head(x, y, reduction="none")
        turned = other(x.flip(0), y.flip(0), reduction="none").flip(0)
    torch.testing.assert_close(turned, losses, rtol=1e-6, atol=1e-6)


@every_margin
def test_logits_with_labels_go_into_any_cross_entropy(margin: Margin) -> None:
    """The loss of the head is cross-entropy of them, and the penalty, in training as well."""
    x, w, y = small_batch()
    found = []
    for way in ("loss", "logits"):
        head = head_of(margin, w)
        torch.manual_seed(3)
        if way == "loss":
            found.append(head(x, y, reduction="none"))
        else:
            found.append(F.cross_entropy(head.logits(x, y), y, reduction="none"))
        found.append(
            torch.cat([b.reshape(-1).double() for b in head.buffers()] or [x.new_zeros(1)])
        )
    if isinstance(inside(margin), MagFace):
        found[2] = found[2] + inside(margin).penalty(target(margin, y.double(), 1.0))
    torch.testing.assert_close(found[0], found[2], rtol=1e-10, atol=1e-10)
    assert torch.equal(found[1], found[3])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("x", "w"),
    [
        ([[0.0, 0.0]], [[-3e38, 0.0], [0.0, 1.0], [0.0, -1.0]]),
        ([[1e-10, 0.0]], [[-3e38, 0.0], [0.0, 1.0], [0.0, -1.0]]),
        ([[5e37, 2e37]], [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]),
        ([[-3e38, 0.0]], [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]),
        ([[1e-40, 1e-40]], [[1e38, 1e38], [-1e38, 1e38], [-1e38, -1e38]]),
    ],
)
@pytest.mark.parametrize(
    "margin", [*ALL, LSoftmax(16), SphereFace(16), Annealed(LSoftmax(16))], ids=repr
)
def test_products_that_overflow_leave_finite_gradients(margin, x, w, dtype) -> None:
    x, w = (torch.tensor(part, dtype=dtype, requires_grad=True) for part in (x, w))
    loss = losses_of(x, w, torch.tensor([0]), margin).mean()
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
    loss = (losses_of(x, w, torch.tensor([0, 1, 2, 0]), margin) / 4).sum()
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


@pytest.mark.parametrize("margin", [m for m in ALL if m.fewest_classes == 1], ids=repr)
def test_one_class_has_nothing_to_lose(margin: Margin) -> None:
    """But a penalty; embeddings this short are below MagFace's range."""
    x, w, _ = small_batch(n=2, classes=1)
    x.requires_grad_(), w.requires_grad_()
    loss = losses_of(x, w, torch.zeros(2, dtype=torch.int64), margin)
    loss.sum().backward()
    penalty = inside(margin).penalty(target(margin, torch.zeros(2).double()))
    assert torch.equal(loss, torch.zeros_like(loss) if penalty is None else penalty)
    assert (x.grad == 0).all()
    assert (w.grad == 0).all()


@pytest.mark.parametrize("margin", [m for m in ALL if m.fewest_classes > 1], ids=repr)
def test_a_margin_of_more_classes_refuses_fewer(margin: Margin) -> None:
    few = margin.fewest_classes - 1
    x, w, _ = small_batch(n=2, classes=few)
    with pytest.raises(ValueError, match=f"is defined for 3 classes or more, got {few}"):
        losses_of(x, w, torch.zeros(2, dtype=torch.int64), margin)
    with pytest.raises(ValueError, match=f"is defined for 3 classes or more, got {few}"):
        MarginHead(4, few, margin)


def test_a_loss_above_69_is_told() -> None:
    x, w, y = small_batch()
    assert margin_softmax(x * 100, -w, y, LSoftmax(4)).max() > 690
