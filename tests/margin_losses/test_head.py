"""The head as one uses it: shared embeddings, schedules, dtypes, copies, names."""

import copy
import pickle
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
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
    Target,
    dense,
    margin_softmax,
)


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
    x, _, y = small_batch()
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
        "subcenterarcface": (0.5, 64),
        "combinedmargin": (None, 64),
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
