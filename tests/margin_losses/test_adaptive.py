"""Margins that adapt: what they keep, batch by batch, and what each does with it."""

import math
from dataclasses import replace

import pytest
import references
import torch
import torch.nn.functional as F
from samples import small_batch
from torch import Tensor

from margin_losses import (
    COSINE,
    MARGINS,
    AdaCos,
    AdaFace,
    Annealed,
    ArcFace,
    CosFace,
    CurricularFace,
    Detached,
    ElasticArcFace,
    ElasticArcFacePlus,
    ElasticCosFace,
    ElasticCosFacePlus,
    FixedAdaCos,
    LSoftmax,
    MagFace,
    Margin,
    MarginHead,
    NormFace,
    PerClass,
    SMSoftmax,
    SphereFace,
    SphereFaceR,
    SubCenterArcFace,
    Target,
    margin_softmax,
)
from margin_losses.angles import divide_angle

ELASTIC = [ElasticArcFace, ElasticArcFacePlus, ElasticCosFace, ElasticCosFacePlus]


def three_batches() -> list[tuple[Tensor, Tensor]]:
    """(7, 4) embeddings of lengths around 2, 20 and 200, and labels of five classes."""
    generator = torch.Generator().manual_seed(4)
    batches = []
    for length in (1.0, 10.0, 100.0):
        x = length * torch.randn(7, 4, generator=generator, dtype=torch.float64)
        batches.append((x, torch.randint(5, (7,), generator=generator)))
    return batches


def head_of(margin: Margin, classes: int = 5) -> MarginHead:
    torch.manual_seed(0)
    return MarginHead(4, classes, margin).double()


def cosines(x: Tensor, w: Tensor, y: Tensor) -> Tensor:
    return torch.stack([references.cosine(a, w[j]) for a, j in zip(x, y.tolist(), strict=True)])


def close(found: Tensor | float, expected: Tensor | float) -> None:
    torch.testing.assert_close(
        torch.as_tensor(found).double(),
        torch.as_tensor(expected, dtype=torch.float64),
        rtol=1e-12,
        atol=1e-12,
    )


def test_the_other_defaults_are_the_papers() -> None:
    """Beside m, the scale, and the linear policy where cos(θ + m) rises again."""
    found = {
        name: {k: v for k, v in vars(kind()).items() if k != "m" and (k, v) != ("past", "linear")}
        for name, kind in MARGINS.items()
    }
    assert {name: values for name, values in found.items() if values} == {
        "combinedmargin": {"m1": 1, "m2": 0.3, "m3": 0.2, "past": "paper"},
        "spherefacer": {"form": "v1"},
        "curricularface": {"momentum": 0.99},
        "mvsoftmax": {"t": 1.12, "form": "adaptive"},
        "mvarcface": {"t": 1.12, "form": "adaptive"},
        "adaface": {"h": 0.333, "alpha": 0.01, "past": "clipped"},
        "magface": {
            "lower_margin": 0.45,
            "upper_margin": 0.8,
            "lower_norm": 10,
            "upper_norm": 110,
            "weight": 35,
        },
        "elasticarcface": {"sigma": 0.05},
        "elasticarcfaceplus": {"sigma": 0.0175},
        "elasticcosface": {"sigma": 0.05},
        "elasticcosfaceplus": {"sigma": 0.02},
    }


def test_curricular_face_keeps_the_mean_cosine_and_uses_the_new_one() -> None:
    head, hardness = head_of(CurricularFace(momentum=0.9)), 0.0
    assert head.hardness == 0
    for x, y in three_batches():
        w = head.weight.detach()
        hardness = 0.9 * hardness + 0.1 * cosines(x, w, y).mean().item()
        expected = references.curricularface(x, w, y, 64.0, 0.5, hardness)
        close(head(x, y), expected)
        close(head.hardness, hardness)


def test_the_default_momentum_keeps_most_of_the_past() -> None:
    head = head_of(CurricularFace())
    x, y = three_batches()[0]
    head(x, y)
    close(head.hardness, 0.01 * cosines(x, head.weight.detach(), y).mean())


def test_curricular_face_compares_with_its_policy() -> None:
    """Past π - m the threshold is what the policy makes of cos(θ + m), not the cosine itself."""
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    angles = torch.tensor([175.0, 165.0], dtype=torch.float64).deg2rad()
    w = torch.stack([angles.cos(), angles.sin()], 1)
    other, state = angles[1].cos(), {"hardness": torch.tensor(0.5, dtype=torch.float64)}
    for past, hard in (("paper", False), ("linear", True), ("easy", True)):
        margin = CurricularFace(0.5, past=past)
        loss = margin_softmax(x, w, torch.tensor([0]), margin, state=state)
        own = {
            "paper": (angles[0] + 0.5).cos(),
            "linear": angles[0].cos() - 0.5 * math.sin(0.5),
            "easy": angles[0].cos(),
        }[past]
        z = other * (0.5 + other) if hard else other
        close(loss[0], F.softplus(64 * (z - own)))


def test_ada_face_keeps_the_lengths_and_uses_the_new_ones() -> None:
    head, mean, std = head_of(AdaFace(alpha=0.3, h=2.0)), 20.0, 100.0
    assert (head.norm_mean, head.norm_std) == (20, 100)
    for x, y in three_batches():
        w = head.weight.detach()
        lengths = [min(max(a.norm().item(), 0.001), 100.0) for a in x]
        average = sum(lengths) / 7
        spread = math.sqrt(sum((n - average) ** 2 for n in lengths) / 6)
        mean, std = 0.7 * mean + 0.3 * average, 0.7 * std + 0.3 * spread
        expected = references.adaface(x, w, y, 64.0, 0.4, 2.0, mean, std)
        close(head(x, y), expected)
        close(head.norm_mean, mean)
        close(head.norm_std, std)


def test_one_sample_changes_the_mean_length_but_not_its_deviation() -> None:
    head = head_of(AdaFace(alpha=0.5))
    x = torch.tensor([[0.0, 30.0, 0.0, 0.0]], dtype=torch.float64)
    assert head(x, torch.tensor([2])).isfinite()
    assert (head.norm_mean, head.norm_std) == (25, 100)


def test_lengths_of_zero_and_beyond_a_hundred_count_as_the_ends_of_the_range() -> None:
    head = head_of(AdaFace(alpha=1.0))
    x = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1e9, 0.0]], dtype=torch.float64)
    head(x, torch.tensor([0, 1]))
    close(head.norm_mean, (0.001 + 100) / 2)
    close(head.norm_std, (100 - 0.001) / math.sqrt(2))


def quality(margin: AdaFace, norm: float, mean: float = 20.0, std: float = 100.0) -> float:
    x = torch.tensor([norm], dtype=torch.float64)
    state = {"norm_mean": torch.tensor(mean), "norm_std": torch.tensor(std)}
    return margin.quality(Target(x, x, x, x, x, x, x.long(), state)).item()


def test_the_quality_of_a_length_is_its_standardised_clipped_place() -> None:
    margin = AdaFace(h=0.333)
    assert quality(margin, 20) == 0
    assert quality(margin, 70) == pytest.approx(0.333 * 50 / 100.001)
    assert quality(margin, 500) == quality(margin, 100) == pytest.approx(0.333 * 80 / 100.001)
    assert quality(margin, 0) == pytest.approx(0.333 * (0.001 - 20) / 100.001)
    assert quality(margin, 50, std=1) == 1
    assert quality(margin, 5, std=1) == -1


def test_ada_face_learns_no_length() -> None:
    x, w, y = small_batch()
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(margin_softmax(x, w, y, AdaFace(h=50)).sum(), x)
    torch.testing.assert_close((gradient * x).sum(1), torch.zeros(6).double(), rtol=0, atol=1e-12)


def test_beyond_the_clipped_angle_ada_face_has_no_gradient() -> None:
    """At n̂ = 1 within m of the class, and at n̂ = -1 within m of its opposite."""
    y, w = torch.tensor([0]), torch.eye(2, dtype=torch.float64)[:1]
    state = {"norm_std": torch.tensor(1e-3)}
    for theta, mean in ((0.3, -1e3), (math.pi - 0.3, 1e3)):
        state["norm_mean"] = torch.tensor(mean)
        x = torch.tensor([[math.cos(theta), math.sin(theta)]], dtype=torch.float64)
        x, both = x.requires_grad_(), torch.cat([w, torch.zeros_like(w)])
        for past, still in (("clipped", True), ("paper", False)):
            margin = AdaFace(0.4, h=1, past=past)
            loss = margin_softmax(x, both, y, margin, COSINE._replace(scale=2.0), state=state)
            (gradient,) = torch.autograd.grad(loss.sum(), x)
            assert (gradient == 0).all() == still


def test_mag_face_learns_the_length_through_margin_and_penalty() -> None:
    """Within the range the derivative by the length is that of both terms; outside there is none."""
    margin, w = MagFace(), torch.eye(3, dtype=torch.float64)
    direction = torch.tensor([0.6, 0.64, 0.48], dtype=torch.float64)
    theta, others = math.acos(0.6), [0.64, 0.48]
    for length, inside in ((5.0, False), (11.0, True), (60.0, True), (109.0, True), (300.0, False)):
        norm = torch.tensor(length, dtype=torch.float64, requires_grad=True)
        loss = margin_softmax(norm * direction[None], w, torch.tensor([0]), margin)[0]
        (found,) = torch.autograd.grad(loss, norm)
        a = min(max(length, 10.0), 110.0)
        m = 0.45 + 0.0035 * (a - 10)
        own = 64 * math.cos(theta + m)
        rest = sum(math.exp(64 * cos - own) for cos in others)
        penalty = 35 * (a / 110**2 + 1 / a)
        assert loss.item() == pytest.approx(math.log1p(rest) + penalty, rel=1e-12)
        share = rest / (1 + rest)
        pull = share * 64 * math.sin(theta + m) * 0.0035
        push = 35 * (1 / 110**2 - 1 / a**2)
        assert found.item() == pytest.approx(pull + push if inside else 0.0, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    "margin", [MagFace(), MagFace(0.2, 1.0, 5.0, 20.0), MagFace(0.45, 0.8, 1.0, 51.0)], ids=repr
)
def test_above_the_least_weight_short_embeddings_grow(margin: MagFace) -> None:
    """Below it there is an angle at which the shortest ones would rather be shorter."""
    w = torch.zeros(2, 2, dtype=torch.float64)
    w[1, 0] = 1
    least = margin.least_weight(64.0)

    def by_length(weight: float) -> Tensor:
        """dL/da at the lower end for angles of which the loss is steep, the other class near."""
        theta = torch.linspace(0, math.pi - 0.3, 500, dtype=torch.float64)
        x = torch.stack([theta.cos(), theta.sin()], 1) * margin.lower_norm * (1 + 1e-9)
        own = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
        x.requires_grad_()
        loss = margin_softmax(
            x, own, torch.zeros(500, dtype=torch.int64), replace(margin, weight=weight)
        )
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        return (gradient * x.detach()).sum(1) / x.detach().norm(dim=1)

    assert (by_length(1.0001 * least) < 0).all()
    assert (by_length(0.999 * least) > 0).any()


def test_the_published_weight_is_above_the_least() -> None:
    assert MagFace().least_weight(64.0) == pytest.approx(22.6, abs=0.05)
    assert MagFace().weight > MagFace().least_weight(64.0)


def drawn(margin: Margin, cos: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    t = Target(cos, cos, cos, cos, cos, cos, torch.zeros(len(cos)).long(), {"kept": cos})
    state = margin.observe(t)
    assert state["kept"] is cos
    return state["drawn"]


@pytest.mark.parametrize("kind", ELASTIC)
def test_margins_are_drawn_from_the_normal_distribution(kind: type) -> None:
    margins = drawn(kind(), torch.rand(200_000, dtype=torch.float64))
    assert margins.mean().item() == pytest.approx(kind().m, abs=5e-4)
    assert margins.std().item() == pytest.approx(kind().sigma, rel=0.01)
    inside = (margins - kind().m).abs() < kind().sigma
    assert inside.double().mean().item() == pytest.approx(0.6827, abs=0.005)


@pytest.mark.parametrize("kind", ELASTIC)
def test_drawn_margins_are_such_as_the_base_accepts(kind: type) -> None:
    margins = drawn(kind(sigma=1.0), torch.rand(1000))
    most = math.pi / 2 if "Arc" in kind.__name__ else 2.0
    assert margins.min() == 0
    assert margins.max().item() == pytest.approx(most)
    assert 0 < ((margins > 0) & (margins < most)).sum() < 1000


@pytest.mark.parametrize("kind", ELASTIC)
def test_elastic_draws_are_those_of_the_global_generator(kind: type) -> None:
    x, _, y = small_batch()
    head = head_of(kind())
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(head(x, y))
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("kind", ELASTIC)
def test_an_elastic_loss_is_that_of_the_drawn_margins(kind: type) -> None:
    for x, y in three_batches():
        head = head_of(kind(m=0.4, sigma=0.1))
        w = head.weight.detach()
        cos = cosines(x, w, y)
        torch.manual_seed(9)
        draws = (0.4 + 0.1 * torch.randn(7, dtype=torch.float64)).tolist()
        if kind in (ElasticArcFacePlus, ElasticCosFacePlus):
            by_cosine = sorted(range(7), key=lambda i: cos[i].item())
            largest = sorted(draws, reverse=True)
            draws = [largest[by_cosine.index(i)] for i in range(7)]
        base = references.arcface if "Arc" in kind.__name__ else references.cosface
        torch.manual_seed(9)
        close(head(x, y), references.each(base, x, w, y, 64.0, draws))
        assert list(head.state_dict()) == ["weight"]  # the draws are not kept


@pytest.mark.parametrize("plus", [ElasticArcFacePlus(), ElasticCosFacePlus()], ids=repr)
def test_the_plus_deals_the_same_margins_out_by_difficulty(plus: Margin) -> None:
    base = next(c for c in type(plus).mro()[1:] if c.__name__.startswith("Elastic"))
    cos = torch.tensor([0.3, -0.2, 0.9, 0.3, 0.5, -0.7, 0.3])
    dealt, drawn_ = drawn(plus, cos), drawn(base(plus.m, sigma=plus.sigma), cos)
    assert torch.equal(dealt.sort().values, drawn_.sort().values)
    assert not torch.equal(dealt, drawn_)
    by_cosine = dealt[torch.tensor([5, 1, 0, 3, 6, 4, 2])]  # equal ones in the batch's order
    assert (by_cosine.diff() <= 0).all()


def test_what_the_published_plus_does_is_another_assignment() -> None:
    """Indexing sorted margins by the order, not its inverse, gives the easiest the largest here."""
    cos = torch.tensor([0.3, 0.9, 0.5])
    ours = drawn(ElasticArcFacePlus(), cos)
    theirs = ours.sort().values[cos.argsort(descending=True)]
    assert ours.argmax() == cos.argmin()
    assert theirs.argmax() == cos.argmax()


@pytest.mark.parametrize("kind", ELASTIC)
def test_elastic_margins_are_their_mean_in_evaluation(kind: type) -> None:
    x, _, y = small_batch()
    head = head_of(kind(m=0.4)).eval()
    base = (ArcFace if "Arc" in kind.__name__ else CosFace)(m=0.4)
    close(head(x, y), margin_softmax(x, head.weight, y, base).mean())


def test_ada_cos_follows_the_batch_and_uses_the_new_scale() -> None:
    head = head_of(AdaCos())
    scale = math.sqrt(2) * math.log(4)
    assert head.adaptive_scale.item() == pytest.approx(scale, rel=1e-7)
    scale = head.adaptive_scale.item()
    for x, y in three_batches():
        w = head.weight.detach()
        scale = references.adacos_scale(x, w, y, scale)
        close(head(x, y), references.normface(x, w, y, scale))
        close(head.adaptive_scale, scale)
        close(head.logits(x), scale * F.normalize(x) @ F.normalize(w).t())
    close(head.eval()(x, y), references.normface(x, w, y, scale))
    close(head.adaptive_scale, scale)


def test_the_median_angle_counts_only_where_it_is_small() -> None:
    """Beyond π/4 it is taken as π/4: the scale is √2 ln B."""
    x = torch.eye(4, dtype=torch.float64)[:3]
    head = head_of(AdaCos(), classes=4)
    with torch.no_grad():
        head.weight.copy_(torch.eye(4))
    s = head.adaptive_scale.item()
    head(x, torch.tensor([0, 1, 2]))  # angles of 0
    close(head.adaptive_scale, math.log(3))
    s = head.adaptive_scale.item()
    head(x, torch.tensor([1, 2, 0]))  # right angles
    close(head.adaptive_scale, math.sqrt(2) * math.log(2 + math.exp(s)))


def test_the_median_of_an_even_batch_is_the_lower_one() -> None:
    angles = torch.tensor([0.1, 0.2, 0.6, 0.7], dtype=torch.float64)
    ones = torch.ones(4, dtype=torch.float64)
    state = {"adaptive_scale": torch.tensor(5.0)}
    t = Target(ones, ones, ones, angles, ones, ones, ones.long(), state, 3 * ones)
    close(AdaCos().observe(t)["adaptive_scale"], 3 / math.cos(0.2))


@pytest.mark.parametrize(
    ("negative", "kept"),
    [
        ([600.0, -600.0], False),  # exp(600) is beyond float32
        ([700.0, 700.0], False),
        ([900.0, 900.0], True),  # a scale of 1,273
        ([0.0, 0.0], True),  # 0
        ([-5.0, -4.0], True),
        ([math.inf, 0.0], True),
        ([math.nan, 0.0], True),
        ([-math.inf, -math.inf], True),
    ],
)
def test_a_scale_beyond_reason_leaves_the_one_before(negative: list[float], kept: bool) -> None:
    ones, state = torch.ones(2), {"adaptive_scale": torch.tensor(5.0)}
    t = Target(ones, ones, ones, ones, ones, ones, ones.long(), state, torch.tensor(negative))
    found = AdaCos().observe(t)["adaptive_scale"].item()
    if kept:
        assert found == 5
    else:
        mean = max(negative) + math.log(negative.count(max(negative)) / 2)
        assert found == pytest.approx(math.sqrt(2) * mean, rel=1e-6)


def test_classes_that_collapse_do_not_blow_the_scale_up() -> None:
    """All in one place the scale would grow by √2 each batch, for ever."""
    head = head_of(AdaCos()).float()
    with torch.no_grad():
        head.weight.copy_(torch.ones(5, 4))
    x, y = torch.ones(3, 4), torch.tensor([0, 1, 2])
    for _ in range(100):
        assert head(x, y).isfinite()
    assert head.adaptive_scale <= 1000


def test_fixed_ada_cos_is_norm_face_at_its_scale() -> None:
    x, _, y = small_batch()
    head = head_of(FixedAdaCos(), classes=1000)
    geometry = COSINE._replace(scale=head.adaptive_scale.item())
    close(head(x, y), margin_softmax(x, head.weight, y, NormFace(), geometry).mean())
    assert head.adaptive_scale.item() == pytest.approx(math.sqrt(2) * math.log(999), rel=1e-7)


def test_margins_that_choose_their_scale_say_so() -> None:
    assert {name for name, kind in MARGINS.items() if kind.chooses_scale} == {
        "adacos",
        "fixedadacos",
    }
    assert Detached(AdaCos()).chooses_scale
    assert not Annealed(ArcFace()).chooses_scale


@pytest.mark.parametrize("m", [1.0, 1.5, 4.0])
def test_a_divided_angle_has_the_derivative_of_the_cosine(m: float) -> None:
    theta = torch.linspace(0.01, math.pi - 0.01, 500, dtype=torch.float64)
    cos = theta.cos().requires_grad_()
    found = divide_angle(cos, m)
    torch.testing.assert_close(found, (theta / m).cos(), rtol=1e-13, atol=1e-13)
    (slope,) = torch.autograd.grad(found.sum(), cos)
    expected = (theta / m).sin() / (m * theta.sin())
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_derivative_of_a_divided_angle_is_limited_at_the_poles(dtype: torch.dtype) -> None:
    """1/m² at 0; at π, where it has none, that of the angle whose sine is √eps; beyond, the same."""
    eps = torch.finfo(dtype).eps
    cos = torch.tensor([1.0, 1 + 4 * eps, -1.0, -1 - 4 * eps], dtype=dtype, requires_grad=True)
    found = divide_angle(cos, 1.5)
    torch.testing.assert_close(
        found, torch.tensor([1, 1, math.cos(math.pi / 1.5), math.cos(math.pi / 1.5)], dtype=dtype)
    )
    (slope,) = torch.autograd.grad(found.sum(), cos)
    most = math.sin(math.pi / 1.5) / (1.5 * math.sqrt(eps))
    expected = torch.tensor([1 / 2.25, 1 / 2.25, most, most], dtype=dtype)
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=0)
    near = (1 - torch.arange(1, 50, dtype=dtype) * eps).requires_grad_()
    (slope,) = torch.autograd.grad(divide_angle(near, 1.5).sum(), near)
    torch.testing.assert_close(slope, torch.full_like(slope, 1 / 2.25), rtol=1e-3, atol=0)


def test_the_forms_of_sphere_face_r_agree_where_the_angle_is_small() -> None:
    """Up to π/m v0 and v1 are the same; beyond, v1 stays and v0 falls on."""
    theta = torch.linspace(0, math.pi, 1001, dtype=torch.float64)
    one = torch.ones_like(theta)
    t = Target(theta.cos(), theta.cos(), theta.sin(), theta, one, one, one.long())
    v0, v1 = (SphereFaceR(1.5, form=form).target_logit(t) for form in ("v0", "v1"))
    small = theta <= math.pi / 1.5
    torch.testing.assert_close(v0[small], v1[small], rtol=0, atol=1e-14)
    assert (v1[~small] == -1).all()
    assert (v0[~small] < -1).all()
    assert torch.equal(SphereFaceR(form="v2").target_logit(t), t.plain)
    plain = SphereFace(1.5).target_logit(t)
    assert torch.equal(v0, plain)


PER_CLASS = [
    (ArcFace(), (0.0, 0.2, 0.5, 0.9, 1.5)),
    (ArcFace(past="continuous"), (0.3, 0.2, 1.5, 0.9, 0.1)),
    (SubCenterArcFace(), (0.0, 0.2, 0.5, 0.9, 1.5)),
    (CosFace(), (0.0, 0.35, 0.1, 1.0, 2.0)),
    (SMSoftmax(), (0.0, 0.6, 3.0, 1.0, 7.0)),
    (SphereFace(), (1.0, 1.35, 2.0, 3.3, 4.0)),
    (LSoftmax(), (1, 2, 3, 4, 2)),
    (SphereFaceR(), (1.0, 1.5, 2.0, 3.3, 4.0)),
    (SphereFaceR(form="v0"), (1.0, 1.5, 2.0, 3.3, 4.0)),
    (AdaFace(h=5.0), (0.0, 0.4, 0.2, 0.9, 1.5)),
]


@pytest.mark.parametrize(("margin", "m"), PER_CLASS, ids=repr)
def test_a_margin_for_each_class_is_that_classs_margin(margin: Margin, m: tuple) -> None:
    """Value and gradients equal looping over the classes."""
    x, w, y = small_batch(n=12)
    w = torch.stack([w, -w.flip(0), w.roll(1, 1)], 1) if margin.centers == 3 else w
    x.requires_grad_(), w.requires_grad_()
    wrapped = PerClass(margin, m)
    state = {name: value.double() for name, value in wrapped.init(5).items()}
    state["class_margins"] = torch.tensor(m, dtype=torch.float64)
    loss = margin_softmax(x, w, y, wrapped, state=state).sum()
    looped = torch.zeros((), dtype=torch.float64)
    for label, own in enumerate(m):
        looped = looped + margin_softmax(x, w, y, replace(margin, m=own))[y == label].sum()
    close(loss, looped)
    for found, expected in zip(
        torch.autograd.grad(loss, (x, w)), torch.autograd.grad(looped, (x, w)), strict=True
    ):
        close(found, expected)


def test_equal_margins_for_all_classes_are_one_margin() -> None:
    x, w, y = small_batch()
    for margin in (ArcFace(0.5), CosFace(0.25), Detached(ArcFace(0.5))):
        inner = margin.margin if isinstance(margin, Detached) else margin
        per_class: Margin = PerClass(inner, (inner.m,) * 5)
        wrapped = Detached(per_class) if isinstance(margin, Detached) else per_class
        close(margin_softmax(x, w, y, wrapped), margin_softmax(x, w, y, margin))


def test_class_margins_are_a_buffer_of_the_head() -> None:
    x, _, y = small_batch()
    margin = PerClass(ArcFace(), (0.1, 0.2, 0.3, 0.4, 0.5))
    head = MarginHead(4, 5, margin)
    assert head.class_margins.dtype == torch.float32
    assert head.double().class_margins.dtype == torch.float64
    assert head.half().class_margins.dtype == torch.float16
    assert head.to("meta").class_margins.device.type == "meta"
    head, other = (
        MarginHead(4, 5, margin).double(),
        MarginHead(4, 5, PerClass(ArcFace(), (0.0,) * 5)),
    )
    other.double().load_state_dict(head.state_dict())
    assert other(x, y) == head(x, y)
    other.reset_parameters()
    assert (other.class_margins == 0).all()


def test_whole_class_margins_are_kept_as_floats() -> None:
    head = MarginHead(4, 5, PerClass(LSoftmax(), (1, 2, 3, 4, 2)))
    assert head.class_margins.dtype == torch.float32
    assert head.class_margins.tolist() == [1, 2, 3, 4, 2]


def test_class_margins_come_from_any_sequence_of_numbers() -> None:
    counts = torch.tensor([10.0, 100.0, 1000.0])
    margin = PerClass(ArcFace(), tuple(counts**-0.25))
    assert margin == PerClass(ArcFace(), [m.item() for m in counts**-0.25])
    assert hash(margin) == hash(PerClass(ArcFace(), margin.m))
    assert repr(PerClass(ArcFace(), (0.5,) * 9)) == (
        "PerClass(ArcFace(m=0.5, past='linear'), m=(0.5, 0.5, 0.5, ...))"
    )


def test_statistics_of_a_schedule_and_of_its_margin_move_together() -> None:
    x, y = three_batches()[1]
    for margin in (CurricularFace(), AdaFace(), AdaCos()):
        bare, wrapped = head_of(margin), head_of(Annealed(margin, base=0, minimum=0))
        bare(x, y), wrapped(x, y)
        for name, buffer in bare.named_buffers():
            assert torch.equal(wrapped.get_buffer(name), buffer)
        assert wrapped.iteration == 1
        assert bare(x, y) == wrapped(x, y)


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_statistics_are_computed_in_the_dtype_of_the_batch(narrow: torch.dtype) -> None:
    """A narrow buffer rounds what it keeps, not what the batch uses."""
    wide = torch.float32 if narrow != torch.float32 else torch.float64
    one = torch.tensor([0.7, 0.1], dtype=wide)
    for margin in (CurricularFace(), AdaFace(h=0.7)):
        state = {name: (value + 0.3).to(narrow) for name, value in margin.init(5).items()}
        t = Target(one, one, one, one, one, 30 * one, one.long(), state)
        same = {name: value.to(wide) for name, value in state.items()}
        for name, found in margin.observe(t).items():
            assert torch.equal(found, margin.observe(t._replace(state=same))[name])
            assert found.dtype == wide
        logits = (margin.target_logit(t._replace(state=each)) for each in (state, same))
        assert torch.equal(*logits)


@pytest.mark.parametrize("name", [n for n, kind in MARGINS.items() if kind().observes])
def test_observing_hands_on_what_is_not_the_margins_own(name: str) -> None:
    one, margin = torch.ones(3), MARGINS[name]()
    other = torch.tensor(7)
    state = {**margin.init(5), "other": other}
    found = margin.observe(Target(one, one, one, one, one, one, one.long(), state, one))
    assert found["other"] is other
    assert found.keys() >= state.keys()


def test_a_refused_batch_changes_no_statistics() -> None:
    for kind in (CurricularFace, AdaFace, AdaCos):
        head = head_of(kind())
        before = {name: buffer.clone() for name, buffer in head.named_buffers()}
        with pytest.raises(ValueError, match="0 <= label < 5"):
            head(torch.randn(2, 4), torch.tensor([0, 5]))
        for name, buffer in head.named_buffers():
            assert torch.equal(buffer, before[name])
