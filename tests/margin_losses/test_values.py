"""Every head against the paper's equation, golden values, and independent implementations."""

import json
import math
from pathlib import Path

import pytest
import references
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses as pml
from samples import named
from torch import Tensor

from margin_losses import (
    COSINE,
    MARGINS,
    AdaFace,
    Annealed,
    ArcFace,
    CosFace,
    Detached,
    ElasticArcFace,
    ElasticCosFace,
    Embedding,
    HeadSpec,
    LSoftmax,
    MagFace,
    Margin,
    MarginHead,
    NormFace,
    SphereFaceR,
    margin_softmax,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "margins.json").read_text())["rows"]
SPECS = [
    "softmax:s=1",
    "softmax:s=2",
    "normface:s=20",
    "lsoftmax:m=1,s=1",
    "lsoftmax:m=2,s=1",
    "lsoftmax:m=4,s=0.5",
    "sphereface:m=1,s=1",
    "sphereface:m=1.35,s=2",
    "sphereface:m=1.7,s=1",
    "sphereface:m=4,s=1",
    "smsoftmax:m=0.6,s=1",
    "smsoftmax:m=3,s=2",
    "amsoftmax:m=0.35,s=30",
    "cosface:m=0.4,s=64",
    "arcface:m=0.5,s=64",
    "arcface:m=0.3,s=16",
    "arcface:m=1.5,s=8",  # most angles are past π - m
    *(
        f"arcface:m=1,past={past},s=8"
        for past in ("paper", "linear", "clipped", "easy", "continuous")
    ),
    "subcenterarcface:m=0.5,s=64",
    "combinedmargin:m1=1,m2=0.3,m3=0.2,s=16",
    "combinedmargin:m1=0.9,m2=0.4,m3=0.15,s=64",
    *(
        f"combinedmargin:m1=1.6,m2=1,m3=0.1,past={p},s=8"
        for p in ("paper", "clipped", "continuous")
    ),
    *(f"spherefacer:m=1.5,form={form},s=30" for form in ("v0", "v1", "v2")),
    "spherefacer:m=3.3,form=v0,s=8",
    "spherefacer:m=3.3,form=v1,s=8",
    "spherefacer:m=3.3,form=v2,s=8",
    *(f"mvsoftmax:m=0.35,t=1.12,form={form},s=32" for form in ("adaptive", "fixed")),
    *(f"mvarcface:m=0.5,t=1.12,form={form},s=32" for form in ("adaptive", "fixed")),
    "mvarcface:m=0.5,t=1.2,past=easy,s=32",
    "magface:lower_margin=0.45,upper_margin=0.8,lower_norm=2,upper_norm=3,weight=35,s=64",
    "magface:lower_margin=0,upper_margin=1.5,lower_norm=1,upper_norm=3,weight=3,past=easy,s=8",
    "elasticarcface:m=0.5,sigma=0.05,s=64",  # without draws: as in evaluation
    "elasticarcfaceplus:m=0.5,sigma=0.0175,s=64",
    "elasticcosfaceplus:m=0.35,sigma=0.02,s=64",
]
DRAWN = torch.linspace(0.2, 0.7, 16, dtype=torch.float64)
WITH_STATE: list[tuple[str, dict[str, float | Tensor]]] = [
    ("curricularface:m=0.5,s=64", {"hardness": 0.0}),
    ("curricularface:m=0.5,s=16", {"hardness": 0.7}),
    ("curricularface:m=1.2,past=clipped,s=8", {"hardness": -0.3}),
    ("adaface:m=0.4,h=0.333,s=64", {"norm_mean": 20.0, "norm_std": 100.0}),
    ("adaface:m=0.4,h=0.5,s=64", {"norm_mean": 2.5, "norm_std": 0.5}),
    ("adaface:m=1.5,h=3,s=8", {"norm_mean": 2.5, "norm_std": 0.1}),  # many are clipped to 0 or π
    ("adaface:m=1.5,h=3,past=paper,s=8", {"norm_mean": 2.5, "norm_std": 0.1}),
    ("elasticarcface:m=0.5,sigma=0.05,s=64", {"drawn": DRAWN}),
    ("elasticcosface:m=0.35,sigma=0.05,s=64", {"drawn": DRAWN}),
    ("adacos", {"adaptive_scale": 13.25}),
    ("fixedadacos", {"adaptive_scale": 3.5}),
]


def batch(
    seed: int = 0, n: int = 16, classes: int = 11, dim: int = 8, centers: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    row = (dim,) if centers == 1 else (centers, dim)
    w = torch.randn(classes, *row, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (n,), generator=generator)
    return x.requires_grad_(), w.requires_grad_(), y


def with_gradients(loss: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return (loss.detach(), *torch.autograd.grad(loss, inputs))


def state_of(margin: Margin, num_classes: int, given: dict) -> dict[str, Tensor]:
    """The state at the start, with these numbers in it, in float64."""
    state = {**margin.init(num_classes), **given}
    return {name: torch.as_tensor(value, dtype=torch.float64) for name, value in state.items()}


def ours(spec: str, x: Tensor, w: Tensor, y: Tensor, **state: float | Tensor) -> tuple[Tensor, ...]:
    margin, scale, _ = HeadSpec.parse(spec)
    geometry = margin.geometry if scale is None else margin.geometry._replace(scale=scale)
    loss = margin_softmax(x, w, y, margin, geometry, state=state_of(margin, len(w), state))
    return with_gradients(loss.mean(), x, w)


def assert_equal(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@pytest.mark.parametrize(("spec", "state"), [*((spec, {}) for spec in SPECS), *WITH_STATE])
def test_value_and_gradients_equal_the_papers_equation(spec: str, state: dict) -> None:
    x, w, y = batch(centers=3) if spec.startswith("subcenter") else batch()
    name, _, options = spec.partition(":")
    values = {k: number(v) for k, v in (item.split("=") for item in options.split(",") if options)}
    reference = getattr(references, name)(x, w, y, **values, **state)
    assert_equal(ours(spec, x, w, y, **state), with_gradients(reference, x, w))


def test_every_margin_is_compared_with_its_equation() -> None:
    assert {spec.partition(":")[0] for spec in [*SPECS, *(s for s, _ in WITH_STATE)]} == set(
        MARGINS
    )


def peer(loss: torch.nn.Module, x: Tensor, w: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """The library keeps its weight as (D, C), a parameter of its own dtype; give it ours."""
    del loss.W
    loss.W = w.t()
    loss.cast_types = lambda *_: None
    return with_gradients(loss(x, y), x, w)


@pytest.mark.parametrize(
    ("spec", "loss"),
    [
        ("arcface:m=0.5,s=64", lambda c, d: pml.ArcFaceLoss(c, d, math.degrees(0.5), 64)),
        ("cosface:m=0.35,s=64", lambda c, d: pml.CosFaceLoss(c, d, margin=0.35, scale=64)),
        ("amsoftmax:m=0.35,s=30", lambda c, d: pml.CosFaceLoss(c, d, margin=0.35, scale=30)),
        ("normface:s=20", lambda c, d: pml.NormalizedSoftmaxLoss(c, d, temperature=0.05)),
        ("lsoftmax:m=4,s=1", lambda c, d: pml.LargeMarginSoftmaxLoss(c, d, 4, 1)),
        ("lsoftmax:m=3,s=1", lambda c, d: pml.LargeMarginSoftmaxLoss(c, d, 3, 1)),
        ("sphereface:m=4,s=1", lambda c, d: pml.SphereFaceLoss(c, d, 4, 1)),
        ("sphereface:m=2,s=3", lambda c, d: pml.SphereFaceLoss(c, d, 2, 3)),
    ],
)
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # the peer's, on numpy 2
def test_value_and_gradients_equal_pytorch_metric_learning(spec, loss) -> None:
    x, w, y = batch()
    assert_equal(ours(spec, x, w, y), peer(loss(*w.shape), x, w, y))


@pytest.mark.parametrize("centers", [2, 3])
def test_sub_centres_equal_those_of_pytorch_metric_learning(centers: int) -> None:
    """Its weight is (D, C K), column c K + k for centre k of class c."""
    x, w, y = batch(centers=centers)
    loss = pml.SubCenterArcFaceLoss(
        num_classes=11,
        embedding_size=8,
        margin=math.degrees(0.5),
        scale=64,
        sub_centers=centers,
    )
    del loss.W
    loss.W = w.flatten(0, 1).t()
    loss.cast_types = lambda *_: None
    assert_equal(ours("subcenterarcface:m=0.5,s=64", x, w, y), with_gradients(loss(x, y), x, w))


def test_softmax_with_a_bias_is_a_linear_layer_and_cross_entropy() -> None:
    x, w, y = batch()
    head = MarginHead(8, 11, "softmax", bias=True).double()
    b = torch.randn(11, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(torch.cat([w, b[:, None]], 1))
    loss = F.cross_entropy(F.linear(x, w, b), y)
    assert_equal(with_gradients(head(x, y), x), with_gradients(loss, x))
    torch.testing.assert_close(head.logits(x), F.linear(x, w, b), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("m", [0.0, 0.6, 5.0])
def test_soft_margin_is_cross_entropy_of_a_shifted_logit(m: float) -> None:
    x, w, y = batch()
    logits = x @ w.t() - m * F.one_hot(y, len(w)).double()
    expected = with_gradients(F.cross_entropy(logits, y), x, w)
    assert_equal(ours(f"smsoftmax:m={m}", x, w, y), expected)


@pytest.mark.parametrize("name", [n for n, kind in MARGINS.items() if kind().neutral is not None])
def test_a_neutral_margin_is_its_plain_geometry(name: str) -> None:
    x, w, y = batch()
    margin = MARGINS[name](**MARGINS[name]().neutral)
    state = state_of(margin, len(w), {})
    geometry = margin.rescale(margin.geometry._replace(scale=2.5), state)
    plain = margin_softmax(x, w, y, Margin(), geometry).mean()
    found = margin_softmax(x, w, y, margin, geometry, state=state).mean()
    assert_equal(with_gradients(found, x, w), with_gradients(plain, x, w))


def test_only_curricular_face_has_no_neutral_setting() -> None:
    assert [name for name, kind in MARGINS.items() if kind().neutral is None] == ["curricularface"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cosface:m=0.35,s=30", "amsoftmax:m=0.35"),
        ("combinedmargin:m1=1,m2=0.5,m3=0,s=16", "arcface:m=0.5,past=paper,s=16"),
        ("combinedmargin:m1=1,m2=0.5,m3=0,past=clipped,s=16", "arcface:m=0.5,past=clipped,s=16"),
        ("combinedmargin:m1=1,m2=1,m3=0,past=continuous", "arcface:m=1,past=continuous"),
        ("combinedmargin:m1=1,m2=0,m3=0.35", "cosface:m=0.35"),
        ("combinedmargin:m1=1.7,m2=0,m3=0,past=continuous,s=30", "spherefacer:m=1.7,form=v0"),
        ("combinedmargin:m1=1.7,m2=0,m3=0,past=clipped,s=30", "spherefacer:m=1.7,form=v1"),
        ("mvsoftmax:m=0.35,t=1,s=30", "amsoftmax:m=0.35"),
        ("mvsoftmax:m=0.35,t=1,form=fixed,s=30", "amsoftmax:m=0.35"),
        ("mvarcface:m=0.5,t=1,s=64", "arcface:m=0.5"),
        ("adaface:m=0.4,h=0", "cosface:m=0.4"),
        ("magface:lower_margin=0.5,upper_margin=0.5,weight=0", "arcface:m=0.5"),
        ("elasticarcface:m=0.4", "arcface:m=0.4"),
        ("elasticarcfaceplus:m=0.4", "arcface:m=0.4"),
        ("elasticcosface:m=0.3", "cosface:m=0.3"),
        ("elasticcosfaceplus:m=0.3", "cosface:m=0.3"),
        ("subcenterarcface:m=0.4", "arcface:m=0.4"),
    ],
)
def test_one_margin_is_another(one: str, other: str) -> None:
    x, w, y = batch()
    assert_equal(ours(one, x, w, y), ours(other, x, w, y))


def test_sub_centres_have_no_order_and_one_of_them_is_none() -> None:
    x, w, y = batch(centers=3)
    order = torch.tensor([2, 0, 1])
    found = ours("subcenterarcface", x, w[:, order], y)
    assert_equal(found, (*ours("subcenterarcface", x, w, y)[:2], found[2]))
    single, plain = w[:, :1].detach().requires_grad_(), w[:, 0].detach().requires_grad_()
    assert_equal(ours("subcenterarcface", x, single, y)[:2], ours("arcface", x, plain, y)[:2])


@pytest.mark.parametrize(
    ("quality", "norm_mean", "same"),
    [
        (-1, 1e4, lambda theta, m: torch.cos(theta + m)),
        (0, 2.0, lambda theta, m: torch.cos(theta) - m),
        (1, -1e4, lambda theta, m: torch.cos(theta - m) - 2 * m),
    ],
)
def test_ada_face_goes_from_arc_face_by_cos_face_to_twice_the_margin(
    quality: int, norm_mean: float, same
) -> None:
    theta = torch.tensor(1.1, dtype=torch.float64)
    x = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    w = torch.stack([torch.stack([theta.cos(), theta.sin()]), x[0].flip(0)])
    state = state_of(AdaFace(), 2, {"norm_mean": norm_mean, "norm_std": 1.0})
    loss = margin_softmax(x, w, torch.tensor([0]), AdaFace(0.4, h=1), state=state)
    torch.testing.assert_close(loss[0], F.softplus(-64 * same(theta, 0.4)), rtol=1e-12, atol=1e-14)


def test_unit_vectors_make_l_softmax_of_sphereface_and_soft_margin_of_additive_margin() -> None:
    x, w, y = batch()
    x, w = F.normalize(x).detach().requires_grad_(), F.normalize(w).detach().requires_grad_()
    for one, other in [
        ("lsoftmax:m=3,s=7", "sphereface:m=3,s=7"),
        ("smsoftmax:m=2,s=8", "amsoftmax:m=0.25,s=8"),
        ("sphereface:m=1,s=8", "normface:s=8"),
    ]:
        torch.testing.assert_close(
            ours(one, x, w, y)[0], ours(other, x, w, y)[0], rtol=1e-12, atol=1e-12
        )


def planar(angles: list[float]) -> Tensor:
    """Unit vectors at these angles, in degrees, from the first axis."""
    radians = torch.tensor(angles, dtype=torch.float64).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], 1)


@pytest.mark.parametrize(
    "row",
    GOLDEN,
    ids=lambda r: "-".join(
        str(r[key]) for key in ("head", "scale", "lambda", "quality", "angles") if key in r
    ),
)
def test_golden_values(row: dict) -> None:
    margin = HeadSpec.parse(row["head"]).margin
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64) * row.get("embedding_norm", 1)
    norms = torch.tensor(row.get("weight_norms", [1, 1, 1]), dtype=torch.float64)
    w = planar(row["angles"]) * norms[:, None]
    if row.get("lambda"):
        margin = Annealed(margin, base=0, minimum=row["lambda"])
    state = state_of(margin, len(w), row.get("state", {}))
    geometry = margin.geometry._replace(scale=row.get("scale", 1))
    loss = margin_softmax(x, w, torch.tensor([0]), margin, geometry, state=state)
    # float64 can tell e^z_y apart from the others' sum only to a few ulps of the logits
    assert loss.item() == pytest.approx(float(row["loss"]), rel=1e-12, abs=1e-27)


def test_the_golden_file_agrees_with_the_published_table() -> None:
    """A few cells of the reference table, typed by hand from a second source."""
    known = [
        ("normface", 8, 40, None, 0.0171784860398),
        ("amsoftmax:m=0.35", 64, 40, None, 4.26515561187e-5),
        ("combinedmargin:m1=0.9,m2=0.4,m3=0.15", 8, 40, None, 0.353709366323),
        ("combinedmargin:m1=1,m2=0.3,m3=0.2", 64, 40, None, 0.00490286100983),
        ("sphereface:m=1.7", 8, 40, None, 0.334277591935),
        ("sphereface:m=4", 64, 40, None, 76.7047466169),
        ("smsoftmax:m=2", 8, 40, None, 0.120472148814),
        ("lsoftmax:m=3", None, 40, None, 2.0893943291587),
        ("adaface:m=0.4,h=1", 8, 40, 0.5, 0.618668374697),
        ("adaface:m=0.4,h=1", 64, 40, -0.5, 2.72018248827e-5),
        ("arcface:m=0.5,past=paper", 8, 160, None, 9.98195421351),
        ("arcface:m=0.5,past=linear", 8, 160, None, 11.5081127631),
        ("arcface:m=0.5,past=clipped", 8, 160, None, 10.0729018029),
        ("arcface:m=0.5,past=easy", 8, 160, None, 9.59046894005),
        ("arcface:m=0.5,past=continuous", 8, 160, None, 10.1638497417),
    ]
    found = {
        (r["head"], r.get("scale"), r["angles"][0], r.get("quality")): float(r["loss"])
        for r in reversed(GOLDEN)
    }
    for *key, value in known:
        assert found[tuple(key)] == pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize(
    ("classes", "scale"),
    [(10, 3.11), (1_000, 9.77), (10_575, 13.1), (85_742, 16.1), (1_000_000, 19.5)],
)
def test_the_scale_of_ada_cos_follows_the_number_of_classes(classes: int, scale: float) -> None:
    for name in ("adacos", "fixedadacos"):
        start = MARGINS[name]().init(classes)["adaptive_scale"].item()
        assert start == pytest.approx(math.sqrt(2) * math.log(classes - 1), rel=1e-7)
        assert start == pytest.approx(scale, abs=0.05)


@pytest.mark.parametrize(
    ("spec", "extra"),
    [
        ("normface", 0.0),
        ("cosface:m=0.35", 64 * 0.35),
        ("arcface:m=0.5", 64 * math.sin(0.5)),
        ("elasticarcface:m=0.5", 64 * math.sin(0.5)),
        ("elasticcosfaceplus:m=0.35", 64 * 0.35),
        ("adaface:m=0.4", 64 * 0.4),  # embeddings are 22.6 long, which is n̂ = 0.01
        ("magface", 64 * math.sin(0.45 + 0.0035 * 12.6) + 35 * (22.6 / 110**2 + 1 / 22.6)),
        ("spherefacer:s=64", -64 * math.cos(0.75 * math.pi)),
        ("spherefacer:form=v0,s=64", -64 * math.cos(0.75 * math.pi)),
        # nearly all negatives are hard: t cos + t - 1, and h cos + cos² with h = 0
        ("mvsoftmax:s=64", 64 * (0.35 + 0.12) + (1.12**2 - 1) * 4),
        ("mvsoftmax:form=fixed,s=64", 64 * (0.35 + 0.12)),
        ("curricularface", 64 * math.sin(0.5) - 4 - 0.5 * math.log(1 - 2 * 64 / 512)),
    ],
)
def test_the_initial_loss_of_a_wide_head(spec: str, extra: float) -> None:
    """ln C + s²/2D, and what the margin adds at 90°: what a training log should start at."""
    generator = torch.Generator().manual_seed(0)
    head = MarginHead(512, 10_575, spec).eval()
    torch.nn.init.normal_(head.weight, generator=generator)
    x = torch.randn(256, 512, generator=generator)
    y = torch.randint(10_575, (256,), generator=generator)
    assert head(x, y).item() == pytest.approx(math.log(10_575) + 64**2 / 1024 + extra, abs=0.7)


def test_l_softmax_from_scratch_starts_high_and_its_schedule_mends_it() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 512, generator=generator)
    y = torch.randint(10_575, (64,), generator=generator)
    bare = MarginHead(512, 10_575, "sphereface:m=4", scale=64.0)
    mended = MarginHead(512, 10_575, "sphereface:m=4+annealed", scale=64.0)
    unit = F.normalize(x)
    assert bare(unit, y).item() == pytest.approx(205, abs=5)
    assert mended(unit, y).item() < 15


@pytest.mark.parametrize(
    ("spec", "state"),
    [*((spec, {}) for spec in [*SPECS, "lsoftmax:m=3,s=1+annealed:base=10"]), *WITH_STATE],
)
def test_gradcheck(spec: str, state: dict) -> None:
    x, w, y = batch(n=5, classes=4, dim=3, centers=3 if spec.startswith("subcenter") else 1)
    margin, scale, _ = HeadSpec.parse(spec)
    geometry = margin.geometry._replace(scale=min(scale or 1, 8))
    state = state_of(margin, len(w), {k: v[:5] if k == "drawn" else v for k, v in state.items()})
    lengths = x.detach().norm(dim=1, keepdim=True)

    def losses(a: Tensor, b: Tensor) -> Tensor:
        if isinstance(margin, AdaFace):  # n̂ is a constant; moving lengths would change it
            a = a / a.norm(dim=1, keepdim=True) * lengths
        return margin_softmax(a, b, y, margin, geometry, state=state)

    assert torch.autograd.gradcheck(losses, (x, w))


@pytest.mark.parametrize("form", ["v0", "v1", "v2"])
def test_second_derivatives_of_sphere_face_r(form: str) -> None:
    x, w, y = batch(n=3, classes=4, dim=3)
    margin = SphereFaceR(form=form)
    geometry = COSINE._replace(scale=2.0)
    assert torch.autograd.gradgradcheck(
        lambda a: margin_softmax(a, w.detach(), y, margin, geometry), (x,)
    )


def test_the_gradient_of_normalising_is_right_twice() -> None:
    x, _, _ = batch(n=3)
    assert torch.autograd.gradgradcheck(lambda a: Embedding.of(a).unit, (x,))
    assert torch.autograd.gradgradcheck(lambda a: Embedding.of(a).norm, (x,))


def test_the_papers_schedules() -> None:
    sphereface = Annealed(LSoftmax(4))
    steps = torch.tensor([0, 1, 10, 10_000])
    expected = [max(5, 1500 / (1 + 0.1 * i)) for i in steps.tolist()]
    assert sphereface.weight(steps).tolist() == pytest.approx(expected, rel=1e-12)
    mnist = Annealed(LSoftmax(4), base=1000, gamma=2.5e-5, power=35, minimum=0)
    expected = [1000 * (1 + 2.5e-5 * i) ** -35 for i in steps.tolist()]
    assert mnist.weight(steps).tolist() == pytest.approx(expected, rel=1e-12)


def detached_reference(x: Tensor, w: Tensor, y: Tensor, margined, scale: float) -> Tensor:
    """Autograd of s (cos + sg[margined(θ) - cos]) in the own class's place."""
    cos = F.normalize(x) @ F.normalize(w).t()
    own = cos.gather(1, y[:, None]).squeeze(1)
    changed = own + (margined(own.acos()) - own).detach()
    return F.cross_entropy(scale * cos.scatter(1, y[:, None], changed[:, None]), y)


@pytest.mark.parametrize(
    ("margin", "margined"),
    [
        (ArcFace(0.5, past="paper"), lambda theta: torch.cos(theta + 0.5)),
        (CosFace(0.35), lambda theta: torch.cos(theta) - 0.35),
        (SphereFaceR(1.5), lambda theta: torch.cos((1.5 * theta).clamp(max=math.pi))),
        (NormFace(), torch.cos),
    ],
    ids=named,
)
def test_a_detached_margin_has_the_gradient_of_the_plain_logit(margin: Margin, margined) -> None:
    x, w, y = batch()
    found = margin_softmax(x, w, y, Detached(margin), margin.geometry).mean()
    expected = detached_reference(x, w, y, margined, margin.geometry.scale)
    assert_equal(with_gradients(found, x, w), with_gradients(expected, x, w))
    value = margin_softmax(x, w, y, margin).mean()
    torch.testing.assert_close(found, value, rtol=1e-13, atol=0)


@pytest.mark.parametrize("degrees", [10, 30, 40, 60, 75.7, 90, 120, 150])
def test_the_detached_gradient_is_sin_over_sin_of_the_exact_one(degrees: float) -> None:
    theta = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    w = torch.stack([torch.stack([theta.cos(), theta.sin()]), torch.zeros(2)])  # a zero class
    y, m = torch.tensor([0]), 0.5
    exact, detached = (
        torch.autograd.grad(margin_softmax(x, w, y, margin).mean(), x)[0][0, 1]
        for margin in (ArcFace(m), Detached(ArcFace(m)))
    )
    torch.testing.assert_close(detached / exact, theta.sin() / (theta + m).sin())


def test_cos_face_is_the_same_detached() -> None:
    x, w, y = batch()
    assert_equal(
        *(
            with_gradients(margin_softmax(x, w, y, margin).mean(), x, w)
            for margin in (CosFace(), Detached(CosFace()))
        )
    )


def test_a_detached_margin_leaves_other_classes_and_penalties_their_gradient() -> None:
    x, w, y = batch()
    for margin in (SphereFaceR(form="v2"), MagFace(0, 0, 1, 4)):
        assert_equal(
            *(
                with_gradients(margin_softmax(x, w, y, one).mean(), x, w)
                for one in (margin, Detached(margin))
            )
        )


@pytest.mark.parametrize("margin", [ElasticArcFace(sigma=0), ElasticCosFace(sigma=0)], ids=repr)
def test_elastic_without_deviation_is_its_base(margin: Margin) -> None:
    x, _, y = batch()
    elastic, base = (MarginHead(8, 11, m).double() for m in (margin, type(margin).mro()[1]()))
    base.load_state_dict(elastic.state_dict())
    assert torch.equal(elastic(x, y, reduction="none"), base(x, y, reduction="none"))
