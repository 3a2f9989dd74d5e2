"""The head as one uses it: shared embeddings, schedules, dtypes, copies, names."""

import copy
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from heads import EXACT, assert_same_buffers, double_head, gradients
from samples import small_batch
from torch import Tensor

import margin_losses.embedding
from margin_losses import (
    MARGINS,
    Annealed,
    ArcFace,
    Embedding,
    HeadSpec,
    Margin,
    MarginHead,
    Sampled,
    Target,
    dense,
    margin_softmax,
)
from margin_losses.shards import Here, Shard


def test_two_heads_share_one_normalisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train two heads on one embedding: its directions are computed once."""
    normalised: list[tuple[int, ...]] = []
    inner = margin_losses.embedding.normalize

    def counting(x: Tensor) -> tuple[Tensor, Tensor]:
        normalised.append(tuple(x.shape))
        return inner(x)

    for module in ("embedding", "functional", "logits"):
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
    x, w, y = (part if part.dtype == torch.int64 else part.float() for part in small_batch())
    for dtype in (torch.float16, torch.bfloat16):
        half = margin_softmax(x.to(dtype), w.to(dtype), y, MARGINS[name]())
        same = margin_softmax(x.to(dtype).float(), w.to(dtype).float(), y, MARGINS[name]())
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, same)


@pytest.mark.parametrize("name", MARGINS)
def test_autocast_keeps_the_own_class_in_float32(name: str) -> None:
    torch.manual_seed(0)
    head, x, y = MarginHead(16, 10, name).eval(), torch.randn(8, 16), torch.arange(8)
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
    x, _, y = small_batch()
    calls = []

    def counting(*arguments):
        calls.append(arguments)
        return dense(*arguments)

    scale = None if MARGINS.get(name, Margin).chooses_scale else 16.0
    head = MarginHead(4, 5, name, scale=scale, kernel=counting).double().eval()
    geometry = head.margin.geometry if scale is None else head.margin.geometry._replace(scale=scale)
    state = dict(head.named_buffers())
    expected = margin_softmax(x, head.weight, y, head.margin, geometry, state=state)
    torch.testing.assert_close(head(x, y, reduction="none"), expected, rtol=1e-14, atol=0)
    assert len(calls) == 1


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # the tracer
@pytest.mark.parametrize("name", [*MARGINS, "sphereface+annealed"])
def test_a_compiled_head_is_the_head(name: str) -> None:
    x, _, y = small_batch()
    head = MarginHead(4, 5, name).double().eval()
    torch.compiler.reset()  # each name is compiled anew; together they pass the limit
    compiled = torch.compile(head, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, y), head(x, y), rtol=1e-14, atol=0)


def test_gradients_by_function_transforms() -> None:
    x, w, y = small_batch()
    found = torch.func.grad(lambda a: F.cross_entropy(Embedding.of(a).unit @ w.t(), y))(x)
    x.requires_grad_()
    (expected,) = torch.autograd.grad(F.cross_entropy(F.normalize(x) @ w.t(), y), x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def annealed_head() -> MarginHead:
    return MarginHead(4, 5, "sphereface:m=4+annealed:base=100,minimum=0,gamma=1")


def test_a_schedule_advances_in_training_only_and_is_saved() -> None:
    x, _, y = small_batch()
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
        def init(self, num_classes: int) -> dict[str, Tensor]:
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
    x, _, y = small_batch()
    head = MarginHead(4, 5, name).double().eval()
    loss = head(x, y)
    assert copy.deepcopy(head)(x, y) == loss
    assert pickle.loads(pickle.dumps(head))(x, y) == loss
    other = MarginHead(4, 5, name).double().eval()
    other.load_state_dict(head.state_dict())
    assert other(x, y) == loss


def test_inputs_are_left_alone() -> None:
    x, w, y = small_batch()
    before = [part.clone() for part in (x, w, y)]
    margin_softmax(x, w, y, ArcFace())
    for part, copy_ in zip((x, w, y), before, strict=True):
        assert torch.equal(part, copy_)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_labels_of_any_whole_number_type(dtype: torch.dtype) -> None:
    x, _, y = small_batch()
    head = MarginHead(4, 5, "arcface").double()
    assert head(x, y.to(dtype)) == head(x, y)


def test_reductions_and_odd_layouts_agree() -> None:
    x, _, y = small_batch()
    head = MarginHead(4, 5, "cosface").double()
    each = head(x, y, reduction="none")
    assert each.shape == (6,)
    torch.testing.assert_close(head(x, y), each.mean(), rtol=1e-14, atol=0)
    torch.testing.assert_close(head(x, y, reduction="sum"), each.sum(), rtol=1e-14, atol=0)
    strided = torch.stack([x, x], 2)[..., 0]
    assert not strided.is_contiguous()
    torch.testing.assert_close(head(strided, y), head(x, y), rtol=1e-14, atol=0)


def test_logits_have_no_margin() -> None:
    x, _, _ = small_batch()
    head = MarginHead(4, 5, "arcface:s=16").double()
    expected = 16 * F.normalize(x) @ F.normalize(head.weight).t()
    torch.testing.assert_close(head.logits(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MARGINS)
def test_a_name_is_the_default_margin(name: str) -> None:
    assert HeadSpec.parse(name) == HeadSpec(MARGINS[name]())
    assert f"{MARGINS[name]()!r}" in repr(MarginHead(4, 5, name))


PAPERS = {
    "softmax": (None, 1),
    "normface": (None, 64),
    "lsoftmax": (4, 1),
    "sphereface": (4, 1),
    "smsoftmax": (0.6, 1),
    "amsoftmax": (0.35, 30),
    "cosface": (0.35, 64),
    "arcface": (0.5, 64),
    "subcenterarcface": (0.5, 64),
    "combinedmargin": (None, 64),
    "spherefacer": (1.5, 30),
    "curricularface": (0.5, 64),
    "mvsoftmax": (0.35, 32),
    "mvarcface": (0.5, 32),
    "adaface": (0.4, 64),
    "magface": (None, 64),
    "elasticarcface": (0.5, 64),
    "elasticarcfaceplus": (0.5, 64),
    "elasticcosface": (0.35, 64),
    "elasticcosfaceplus": (0.35, 64),
    "fixedadacos": (None, 1),  # √2 ln(C - 1), which it makes itself
    "adacos": (None, 1),
}


@pytest.mark.parametrize("name", MARGINS)
def test_defaults_are_the_papers(name: str) -> None:
    kind = MARGINS[name]
    assert (getattr(kind(), "m", None), kind.geometry.scale) == PAPERS[name]


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


# -- which samples count ---------------------------------------------------------------------------

HEADS = [*MARGINS, "sphereface+annealed", "curricularface+detached"]
every_head = pytest.mark.parametrize("name", HEADS)
KEPT = torch.tensor([0, 2, 3, 5])  # of the six samples of a small batch


@pytest.mark.parametrize("ignore_index", [-100, 255, 3])
@every_head
def test_ignored_samples_are_as_if_they_were_not_there(name: str, ignore_index: int) -> None:
    x, _, y = small_batch()
    y[[1, 4]] = ignore_index
    labels = torch.tensor([0, 2, 4, 1])
    y[KEPT] = labels
    head, other = double_head(name), double_head(name)
    loss, of_x, of_weight = gradients(head, x, y, ignore_index=ignore_index)
    expected, of_kept, of_other = gradients(other, x[KEPT], labels)
    torch.testing.assert_close(loss, expected, **EXACT)
    torch.testing.assert_close(of_x[KEPT], of_kept, **EXACT)
    torch.testing.assert_close(of_weight, of_other, **EXACT)
    assert (of_x[[1, 4]] == 0).all()
    assert_same_buffers(head, other)


def test_an_ignored_sample_has_no_loss_and_no_say_in_the_statistics() -> None:
    x, _, y = small_batch()
    y[[1, 4]] = -1
    head = double_head("arcface")
    losses, found = head.loss_and_statistics(x, y, ignore_index=-1, reduction="none")
    expected, same = head.loss_and_statistics(x[KEPT], y[KEPT], reduction="none")
    assert (losses[[1, 4]] == 0).all()
    torch.testing.assert_close(losses[KEPT], expected, **EXACT)
    assert found.samples == 4
    torch.testing.assert_close(found, same, **EXACT)
    summed = head(x, y, ignore_index=-1, reduction="sum")
    torch.testing.assert_close(summed, expected.sum(), **EXACT)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@every_head
def test_a_batch_of_ignored_samples_costs_nothing_and_moves_nothing(
    name: str, reduction: str
) -> None:
    x, _, y = small_batch()
    head, before = double_head(name), double_head(name)
    ignored = torch.full_like(y, -1)
    loss, of_x, of_weight = gradients(head, x, ignored, ignore_index=-1, reduction=reduction)
    assert loss.shape == ((6,) if reduction == "none" else ())
    for value in (loss, of_x, of_weight):
        assert (value == 0).all()
    for statistic, value in before.named_buffers():
        if statistic != "iteration":  # it counts passes, and this was one
            assert torch.equal(head.get_buffer(statistic), value)
    _, found = head.loss_and_statistics(x, ignored, ignore_index=-1)
    assert found == (0, 0, 0)


@every_head
def test_a_weight_of_zero_takes_the_sample_out_of_loss_and_gradient(name: str) -> None:
    x, _, y = small_batch()
    weights = torch.tensor([1, 0, 1, 1, 0, 1])
    head = double_head(name).eval()
    loss, of_x, of_weight = gradients(head, x, y, sample_weight=weights)
    expected, of_kept, of_other = gradients(head, x[KEPT], y[KEPT])
    torch.testing.assert_close(loss, expected, **EXACT)
    torch.testing.assert_close(of_x[KEPT], of_kept, **EXACT)
    torch.testing.assert_close(of_weight, of_other, **EXACT)
    assert (of_x[[1, 4]] == 0).all()


def test_a_weighted_mean_divides_by_the_sum_of_the_weights() -> None:
    x, _, y = small_batch()
    head, weights = double_head("cosface"), torch.tensor([0.5, 0, 2, 1, 3, 0.25])
    each = head(x, y, reduction="none")
    w = weights.double()
    found = head(x, y, sample_weight=weights)
    torch.testing.assert_close(found, (w * each).sum() / w.sum(), **EXACT)
    found = head(x, y, sample_weight=weights, reduction="sum")
    torch.testing.assert_close(found, (w * each).sum(), **EXACT)
    found = head(x, y, sample_weight=weights, reduction="none")
    torch.testing.assert_close(found, w * each, **EXACT)
    torch.testing.assert_close(head(x, y, sample_weight=7 * w), head(x, y, sample_weight=w))
    assert head(x, y, sample_weight=0 * w) == 0
    _, statistics = head.loss_and_statistics(x, y, sample_weight=weights)
    assert statistics.samples == 5


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_and_ignored_labels_mean_what_they_mean_to_torch(reduction: str) -> None:
    x, _, y = small_batch()
    y[2] = -100
    head, by_class = double_head("softmax"), torch.tensor([0.5, 1, 2, 0, 4]).double()
    z = head.logits(x)
    found = head(x, y, ignore_index=-100, reduction=reduction)
    torch.testing.assert_close(found, F.cross_entropy(z, y, reduction=reduction), **EXACT)
    weights = by_class[y.clamp(min=0)]
    found = head(x, y, ignore_index=-100, sample_weight=weights, reduction=reduction)
    expected = F.cross_entropy(z, y, by_class, reduction=reduction)
    torch.testing.assert_close(found, expected, **EXACT)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0] * 6, "expected a tensor of shape (6,), one per embedding, got list"),
        (torch.ones(5), "expected a tensor of shape (6,), one per embedding, got (5,)"),
        (torch.ones(6, 1), "expected a tensor of shape (6,), one per embedding, got (6, 1)"),
        (torch.tensor([1.0, -1, 1, 1, 1, 1]), "expected finite numbers >= 0"),
        (torch.tensor([1.0, math.nan, 1, 1, 1, 1]), "expected finite numbers >= 0"),
        (torch.tensor([1.0, math.inf, 1, 1, 1, 1]), "expected finite numbers >= 0"),
    ],
)
def test_senseless_weights_are_refused_and_nothing_has_changed(weights, message: str) -> None:
    x, _, y = small_batch()
    head = annealed_head().double()
    with pytest.raises(ValueError, match=re.escape(f"sample_weight: {message}")):
        head(x, y, sample_weight=weights)
    if not isinstance(weights, list) and weights.shape == (6,):
        with pytest.raises(ValueError, match="sample_weight"):  # for ignored samples too
            head(x, torch.full_like(y, -1), sample_weight=weights, ignore_index=-1)
    assert head.iteration == 0


# -- statistics and logits -------------------------------------------------------------------------


def counting(calls: list[int]) -> Callable[..., Tensor]:
    def kernel(*arguments):
        calls.append(len(arguments[1]))
        return dense(*arguments)

    return kernel


@every_head
def test_statistics_are_those_of_the_plain_logits_and_cost_no_second_product(name: str) -> None:
    x, _, y = small_batch(n=40)
    calls: list[int] = []
    head = double_head(name, kernel=counting(calls)).eval()
    with torch.no_grad():
        head.weight[0] = x[::5].mean(0)  # so that some are right
    loss, found = head.loss_and_statistics(x, y)
    assert len(calls) == 1
    z = head.logits(x)
    assert found.accuracy == pytest.approx((z.argmax(1) == y).double().mean().item(), abs=1e-12)
    assert 0 < found.accuracy < 1
    nearest = (F.normalize(x)[:, None, None] * head.prototypes().view(1, 5, -1, 4)).sum(-1).amax(-1)
    angle = nearest.gather(1, y[:, None]).acos().mean()
    torch.testing.assert_close(found.angle, angle, **EXACT)
    assert found.samples == 40
    assert loss == head(x, y)
    assert not any(value.requires_grad for value in found)


def test_a_tie_with_another_class_is_a_miss() -> None:
    head = MarginHead.from_weights(torch.tensor([[1.0, 0], [1, 0], [0, 1]]), "normface")
    _, found = head.loss_and_statistics(torch.eye(2), torch.tensor([0, 2]))
    assert found.accuracy == 0.5


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", [n for n in HEADS if n != "magface"])
def test_logits_with_labels_go_into_any_cross_entropy(name: str, training: bool) -> None:
    x, _, y = small_batch()
    head = double_head(name).train(training)
    loss, *expected = gradients(copy.deepcopy(head), x, y)
    torch.manual_seed(1)
    z = head.logits(x.requires_grad_(), y)
    assert z.shape == (6, 5)
    torch.testing.assert_close(F.cross_entropy(z, y), loss, **EXACT)
    found = torch.autograd.grad(F.cross_entropy(z, y), (x, head.weight))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_a_penalty_is_not_in_the_logits() -> None:
    x, _, y = small_batch()
    head = double_head("magface")
    penalty = head(x, y, reduction="none") - F.cross_entropy(head.logits(x, y), y, reduction="none")
    a = x.norm(dim=1).clamp(10, 110)
    torch.testing.assert_close(penalty, 35 * (a / 110**2 + 1 / a), **EXACT)


def test_label_smoothing_of_arcface_is_that_of_its_formula() -> None:
    x, _, y = small_batch()
    head, smoothing = double_head("arcface:m=0.4,s=8"), 0.1
    found = F.cross_entropy(head.logits(x, y), y, label_smoothing=smoothing)
    expected = 0.0
    for i in range(6):
        angles = [
            math.acos(float(x[i] @ w / (x[i].norm() * w.norm()))) for w in head.weight.detach()
        ]
        z = [8 * math.cos(a + (0.4 if j == y[i] else 0)) for j, a in enumerate(angles)]
        assert angles[y[i]] < math.pi - 0.4
        total = math.log(sum(map(math.exp, z)))
        for j in range(5):
            share = smoothing / 5 + (1 - smoothing if j == y[i] else 0)
            expected -= share * (z[j] - total) / 6
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_each_training_pass_advances_a_schedule_once() -> None:
    x, _, y = small_batch()
    head = annealed_head().double()
    passes = (
        lambda: head(x, y),
        lambda: head.loss_and_statistics(x, y),
        lambda: head.logits(x, y),
        lambda: head(x, y, ignore_index=0, sample_weight=torch.ones(6)),
    )
    for done, one in enumerate(passes, start=1):
        one()
        assert head.iteration == done
    head.logits(x)
    assert head.iteration == len(passes)
    head.eval()
    for one in passes:
        one()
    assert head.iteration == len(passes)


@pytest.mark.parametrize("name", [n for n in MARGINS if not MARGINS[n]().observes])
def test_accumulated_gradients_are_those_of_the_whole_batch(name: str) -> None:
    x, _, y = small_batch(n=10)
    head = double_head(name)
    head(x, y).backward()
    whole = head.weight.grad.clone()
    head.zero_grad()
    for part in (slice(0, 3), slice(3, 10)):
        (head(x[part], y[part], reduction="sum") / 10).backward()
    torch.testing.assert_close(head.weight.grad, whole, **EXACT)


# -- dtypes, derivatives, what stays as it is ------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
@every_head
def test_a_head_moves_to_another_dtype(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    head, (x, _, y) = MarginHead(4, 5, name).eval(), small_batch()
    moved = copy.deepcopy(head).to(dtype)
    assert moved.weight.dtype == dtype
    x = x.to(dtype).requires_grad_()
    loss = moved(x, y)
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    loss.backward()
    assert x.grad.dtype == moved.weight.grad.dtype == dtype
    same = copy.deepcopy(head)
    with torch.no_grad():
        same.weight.copy_(moved.weight)
    for buffer, rounded in zip(same.buffers(), moved.buffers(), strict=True):
        buffer.copy_(rounded)
    torch.testing.assert_close(loss.float(), same(x.float(), y), rtol=1e-4, atol=1e-4)
    moved.train()(x, y)  # and its statistics can still be written
    assert all(b.isfinite().all() for b in moved.buffers())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every_head
def test_a_head_moves_to_another_device(name: str) -> None:
    torch.manual_seed(0)
    head, (x, _, y) = MarginHead(4, 5, name).double(), small_batch()
    moved = copy.deepcopy(head).cuda()
    loss = moved(x.cuda(), y.cuda())
    loss.backward()
    assert moved.weight.grad.is_cuda
    if "elastic" not in name:  # another generator draws there
        torch.testing.assert_close(loss.cpu(), head(x, y), rtol=1e-9, atol=1e-9)
    assert moved.remove_classes(torch.tensor([1], device="cuda")).is_cuda
    first = moved.add_classes(2).start
    assert moved.weight.is_cuda
    assert moved(x.cuda(), torch.full_like(y, first).cuda()).isfinite()
    assert moved.prototypes().is_cuda


@pytest.mark.parametrize("name", ["normface:s=4", "cosface:s=4", "arcface:s=4", "smsoftmax"])
def test_second_derivatives_of_smooth_heads(name: str) -> None:
    x, w, y = small_batch(n=3, classes=3, dim=3)
    head = MarginHead(3, 3, name).double()

    def loss(x: Tensor, w: Tensor) -> Tensor:
        return torch.func.functional_call(head, {"weight": w}, (x, y), {"reduction": "none"})

    inputs = (x.requires_grad_(), w.requires_grad_())
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradgradcheck(loss, inputs)


@every_head
def test_a_training_pass_leaves_its_inputs_alone(name: str) -> None:
    x, _, y = small_batch()
    inputs = {"labels": y.int(), "sample_weight": torch.tensor([1, 0, 2, 1, 1, 1])}
    before = copy.deepcopy(inputs)
    head, kept = double_head(name), x.clone()
    weight = head.weight.detach().clone()
    head(x, **inputs, ignore_index=3).backward()
    head.logits(x, inputs["labels"])
    assert torch.equal(x, kept)
    assert torch.equal(head.weight, weight)
    for key, value in before.items():
        assert torch.equal(inputs[key], value)
        assert inputs[key].dtype == value.dtype


@every_head
def test_running_statistics_go_through_the_state_dict(name: str) -> None:
    x, _, y = small_batch()
    head, fresh = double_head(name), double_head(name)
    head(3 * x, y)
    moving = [n for n, v in head.named_buffers() if not torch.equal(v, fresh.get_buffer(n))]
    observes = head.margin.init(5) and head.margin.observes
    assert bool(moving) == bool(observes)
    other = MarginHead(4, 5, name).double()
    assert set(head.state_dict()) == {"weight", *dict(head.named_buffers())}
    other.load_state_dict(head.state_dict())
    assert_same_buffers(head, other)
    for one in (head, other):
        one.eval()
    assert head(x, y) == other(x, y)
    torch.manual_seed(1)
    loss = head.train()(x, y)
    torch.manual_seed(1)
    assert other.train()(x, y) == loss
    assert_same_buffers(head, other)


# -- sampling and shards ---------------------------------------------------------------------------


def test_a_sampled_head_samples_in_training_and_only_there() -> None:
    torch.manual_seed(0)
    calls: list[int] = []
    head = MarginHead(4, 100, "arcface", kernel=counting(calls), sample_rate=0.1)
    whole = MarginHead.from_weights(head.weight, "arcface")
    x, _, y = small_batch()
    torch.manual_seed(1)
    loss = head(x.float(), y)
    assert 10 <= calls[-1] <= 10 + 5  # the drawn and the own classes
    torch.manual_seed(1)
    kernel = Sampled(0.1, dense)
    expected = margin_softmax(x.float(), head.weight, y, ArcFace(), kernel=kernel).mean()
    torch.testing.assert_close(loss, expected)
    assert loss < whole(x.float(), y)
    torch.testing.assert_close(head.logits(x.float()), whole.logits(x.float()))
    torch.testing.assert_close(head.logits(x.float(), y), whole.logits(x.float(), y))
    head.eval()
    torch.testing.assert_close(head(x.float(), y), whole(x.float(), y))
    assert calls[-1] == 100
    assert "sample_rate=0.1" in repr(head)
    assert "sample_rate" not in repr(whole)


@every_head
def test_a_sample_rate_of_one_is_every_class(name: str) -> None:
    x, _, y = small_batch()
    torch.manual_seed(1)
    expected = double_head(name)(x, y)
    torch.manual_seed(1)
    torch.testing.assert_close(double_head(name, sample_rate=1.0)(x, y), expected, **EXACT)


@pytest.mark.parametrize("rate", [0, -0.1, 1.5, float("nan"), "half"])
def test_a_senseless_sample_rate_is_refused(rate: object) -> None:
    with pytest.raises(ValueError, match="rate"):
        MarginHead(4, 5, "arcface", sample_rate=rate)


def test_a_margin_that_chooses_its_scale_takes_none() -> None:
    for make in (
        lambda: MarginHead(4, 5, "adacos", scale=30.0),
        lambda: MarginHead(4, 5, "adacos:s=30"),
        lambda: MarginHead(4, 5, "fixedadacos+detached", scale=30.0),
        lambda: MarginHead.from_weights(torch.eye(4), "adacos", scale=30.0),
    ):
        with pytest.raises(ValueError, match=r"chooses its own scale; leave out scale= and s="):
            make()


@pytest.fixture
def alone():
    """A group of one process."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_a_shard_of_all_classes_trains_as_a_whole_head() -> None:
    x, _, y = small_batch()
    head, whole = double_head("arcface", shard=Shard.even(5)), double_head("arcface")
    for found, expected in zip(gradients(head, x, y), gradients(whole, x, y), strict=True):
        torch.testing.assert_close(found, expected, **EXACT)


class Part(Here):
    """Classes 2, 3 and 4 of 5."""

    start = 2

    def size(self, num_classes: int) -> int:
        return num_classes - 2

    def __repr__(self) -> str:
        return "Part()"


def test_a_part_of_a_head_has_its_own_rows_and_labels_of_the_whole() -> None:
    x, _, _ = small_batch(n=3)
    head = double_head("arcface", shard=Part())
    assert head.weight.shape == (3, 4)
    assert head.num_classes == 5
    assert "shard=Part()" in repr(head)
    found = head(x, torch.tensor([2, 3, 4]))
    expected = margin_softmax(x, head.weight, torch.tensor([0, 1, 2]), ArcFace()).mean()
    torch.testing.assert_close(found, expected, **EXACT)


@pytest.mark.parametrize(
    ("what", "use"),
    [
        ("logits", lambda head: head.logits(torch.ones(1, 4))),
        ("prototypes", lambda head: head.prototypes()),
        ("class_matrix", lambda head: head.class_matrix()),
        ("add_classes", lambda head: head.add_classes(1)),
        ("remove_classes", lambda head: head.remove_classes([3])),
    ],
)
def test_what_needs_every_class_is_refused_to_a_part(what: str, use) -> None:
    head = double_head("arcface", shard=Part())
    message = (
        f"{what}: expected a head with all of its 5 classes, this one holds those from 2 to 4;"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        use(head)
