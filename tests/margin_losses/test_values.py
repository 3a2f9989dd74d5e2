"""Every head against the paper's equation, golden values, and independent implementations."""

import json
import math
from pathlib import Path

import pytest
import references
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses as pml
from torch import Tensor

from margin_losses import Annealed, Embedding, HeadSpec, LSoftmax, MarginHead, margin_softmax

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
]


def batch(
    seed: int = 0, n: int = 16, classes: int = 11, dim: int = 8
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    w = torch.randn(classes, dim, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (n,), generator=generator)
    return x.requires_grad_(), w.requires_grad_(), y


def with_gradients(loss: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return (loss.detach(), *torch.autograd.grad(loss, inputs))


def ours(spec: str, x: Tensor, w: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    margin, scale, _ = HeadSpec.parse(spec)
    geometry = margin.geometry if scale is None else margin.geometry._replace(scale=scale)
    return with_gradients(margin_softmax(x, w, y, margin, geometry).mean(), x, w)


def assert_equal(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spec", SPECS)
def test_value_and_gradients_equal_the_papers_equation(spec: str) -> None:
    x, w, y = batch()
    name, _, options = spec.partition(":")
    values = {k: float(v) for k, v in (item.split("=") for item in options.split(","))}
    reference = getattr(references, name)(x, w, y, **values)
    assert_equal(ours(spec, x, w, y), with_gradients(reference, x, w))


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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("arcface:m=0,s=16", "normface:s=16"),
        ("amsoftmax:m=0,s=16", "normface:s=16"),
        ("lsoftmax:m=1", "softmax"),
        ("smsoftmax:m=0", "softmax"),
        ("cosface:m=0.35,s=30", "amsoftmax:m=0.35"),
    ],
)
def test_a_neutral_margin_is_its_plain_geometry(one: str, other: str) -> None:
    x, w, y = batch()
    assert_equal(ours(one, x, w, y), ours(other, x, w, y))


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
    "row", GOLDEN, ids=lambda r: f"{r['head']}-{r.get('scale', r.get('lambda'))}-{r['angles'][0]}"
)
def test_golden_values(row: dict) -> None:
    margin = HeadSpec.parse(row["head"]).margin
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64) * row.get("embedding_norm", 1)
    norms = torch.tensor(row.get("weight_norms", [1, 1, 1]), dtype=torch.float64)
    w = planar(row["angles"]) * norms[:, None]
    state = {}
    if row.get("lambda"):
        margin = Annealed(margin, base=0, minimum=row["lambda"])
        state = margin.init(len(w))
    geometry = margin.geometry._replace(scale=row.get("scale", 1))
    loss = margin_softmax(x, w, torch.tensor([0]), margin, geometry, state=state)
    # float64 can tell e^z_y apart from the others' sum only to a few ulps of the logits
    assert loss.item() == pytest.approx(float(row["loss"]), rel=1e-12, abs=1e-27)


def test_the_golden_file_agrees_with_the_published_table() -> None:
    """A few cells of the reference table, typed by hand from a second source."""
    known = {
        ("normface", 8): 0.0171784860398,
        ("amsoftmax:m=0.35", 64): 4.26515561187e-5,
        ("sphereface:m=1.7", 8): 0.334277591935,
        ("sphereface:m=4", 64): 76.7047466169,
        ("smsoftmax:m=2", 8): 0.120472148814,
        ("lsoftmax:m=3", None): 2.0893943291587,
    }
    found = {(r["head"], r.get("scale")): float(r["loss"]) for r in reversed(GOLDEN)}
    for key, value in known.items():
        assert found[key] == pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize(("spec", "extra"), [
    ("normface", 0.0), ("cosface:m=0.35", 64 * 0.35), ("arcface:m=0.5", 64 * math.sin(0.5)),
])  # fmt: skip
def test_the_initial_loss_of_a_wide_head(spec: str, extra: float) -> None:
    """ln C + s²/2D, and s·m or s·sin m more with a margin: what a training log should start at."""
    generator = torch.Generator().manual_seed(0)
    head = MarginHead(512, 10_575, spec)
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


@pytest.mark.parametrize("spec", [*SPECS, "lsoftmax:m=3,s=1+annealed:base=10"])
def test_gradcheck(spec: str) -> None:
    x, w, y = batch(n=5, classes=4, dim=3)
    margin, scale, _ = HeadSpec.parse(spec)
    geometry = margin.geometry._replace(scale=min(scale or 1, 8))
    assert torch.autograd.gradcheck(
        lambda a, b: margin_softmax(a, b, y, margin, geometry, state=margin.init(len(w))), (x, w)
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
