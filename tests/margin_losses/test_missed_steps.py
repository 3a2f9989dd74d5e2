"""Rows that missed steps make up for them: training is that of a dense gradient."""

import copy
import gc
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import Largest
from torch import Tensor, nn

import margin_losses.missed_steps
import margin_losses.tiles
from margin_losses import MarginHead, RowSGD, dominant_centers, keep_dominant, margin_softmax
from margin_losses.kernels import Sampled
from margin_losses.margins import ArcFace
from margin_losses.missed_steps import bring_up_own
from margin_losses.optimisers import sgd_rows, transition

OPTIONS = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.5, "weight_decay": 0.1, "nesterov": True},
]
SHAPES = [(13, 4), (13, 2, 3), (13,)]
DECAYS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 5 rows of 4, and few matrices kept: every test works on several, and forgets some."""
    monkeypatch.setattr(margin_losses.tiles, "TILE", 20)
    monkeypatch.setattr(margin_losses.missed_steps, "LONGEST", 6)


def close(ours: Tensor, theirs: Tensor, rtol: float = 1e-12) -> None:
    """To rounding of the largest number; a row that shrinks keeps the error it had."""
    bound = rtol * max([1.0, *theirs.detach().abs().flatten().tolist()])
    torch.testing.assert_close(ours.detach().double(), theirs.detach(), rtol=rtol, atol=bound)


def sparse(whole: Tensor, rows: list[int]) -> Tensor:
    index = torch.tensor(sorted(rows), dtype=torch.int64)
    return torch.sparse_coo_tensor(index[None], whole[index], whole.shape, check_invariants=True)


rows_of_a_step = st.none() | st.just("all") | st.sets(st.integers(0, 12), max_size=5)
schedules = st.lists(st.tuples(rows_of_a_step, st.floats(0, 0.5)), max_size=16)


@given(schedules, st.sampled_from(OPTIONS), st.sampled_from(SHAPES), st.integers(0, 2**31))
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_any_schedule_is_that_of_a_dense_gradient(
    dtype: torch.dtype, rtol: float, steps: list, options: dict, shape: tuple, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(shape, generator=generator, dtype=torch.float64)
    start = start.to(dtype)
    weight, whole = nn.Parameter(start.clone()), nn.Parameter(start.double().clone())
    ours = RowSGD([weight], 0.1, catch_up=True, **options)
    theirs = torch.optim.SGD([whole], lr=0.1, **options)
    for rows, lr in steps:
        ours.param_groups[0]["lr"] = theirs.param_groups[0]["lr"] = lr
        g = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        touched = [] if rows is None else list(range(13)) if rows == "all" else sorted(rows)
        weight.grad = None if rows is None else g if rows == "all" else sparse(g, touched)
        whole.grad = None
        if rows is not None:
            whole.grad = torch.zeros(shape, dtype=torch.float64)
            whole.grad[touched] = g.double()[touched]
        ours.step()
        theirs.step()
        close(weight[touched], whole[touched], rtol)
    assert len(ours.state.get(weight, {}).get("missed", [])) <= 6
    ours.settle()
    close(weight, whole, rtol)
    velocity = theirs.state.get(whole, {}).get("momentum_buffer")
    if velocity is not None:
        close(ours.state[weight]["momentum_buffer"], velocity, rtol)
    settled = weight.detach().clone()
    ours.settle()
    assert torch.equal(weight, settled)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_momentum_that_comes_late_or_goes_is_followed(options: dict) -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(13, 4, dtype=torch.float64))
    whole = nn.Parameter(weight.detach().clone())
    pair = RowSGD([weight], 0.1, catch_up=True), torch.optim.SGD([whole], lr=0.1)
    for step, momentum in enumerate([0.0, 0.0, 0.9, 0.5, 0.0, 0.9]):
        g = torch.zeros(13, 4, dtype=torch.float64)
        g[[step, step + 1]] = torch.randn(2, 4, dtype=torch.float64)
        weight.grad, whole.grad = sparse(g, [step, step + 1]), g
        for each in pair:
            each.param_groups[0].update(options, momentum=momentum, nesterov=False)
            each.step()
    pair[0].settle()
    close(weight, whole)


def test_a_matrix_is_a_step_without_a_gradient() -> None:
    for options in OPTIONS:
        full = {"lr": 0.3, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False, **options}
        w, v = torch.tensor([2.0, -1.0]).double(), torch.tensor([0.5, 3.0]).double()
        a, b, c, d = transition(**full)
        expected = a * w + b * v, c * w + d * v
        sgd_rows(w, v if full["momentum"] else None, torch.zeros(2).double(), **full)
        close(w, expected[0])
        close(v, expected[1])


Run = tuple[MarginHead, torch.optim.Optimizer]


def runs(margin: str, **options: Any) -> tuple[Run, Run]:
    """The same sampled head, stepped by rows that catch up, and by a dense gradient."""
    torch.manual_seed(0)
    options = {**DECAYS, **options}
    ours = MarginHead(8, 40, margin, sample_rate=0.1).double()
    theirs = copy.deepcopy(ours)
    return (
        (ours, RowSGD(ours.parameters(), catch_up=True, **options)),
        (theirs, torch.optim.SGD(theirs.parameters(), **options)),
    )


def train(run: Run, steps: range, labels: int = 40) -> None:
    """Steps under a schedule, on the same batches and samples whoever it is."""
    head, optimiser = run
    for step in steps:
        torch.manual_seed(step)
        optimiser.param_groups[0]["lr"] = 0.1 / (1 + step)
        x, y = torch.randn(6, 8, dtype=torch.float64), torch.randint(labels, (6,))
        optimiser.zero_grad()
        head(x, y).backward()
        assert head.weight.grad.is_sparse
        assert head.weight.grad._indices().shape[1] < 12  # far from all of them
        densify(run)
        optimiser.step()


def densify(run: Run) -> None:
    """Give an optimiser that is not of rows a gradient for all of them."""
    head, optimiser = run
    if not isinstance(optimiser, RowSGD):
        head.weight.grad = head.weight.grad.to_dense()


@pytest.mark.parametrize("options", OPTIONS[1:], ids=str)
@pytest.mark.parametrize(
    "margin", ["arcface", "arcface:k=3", "curricularface", "adacos", "softmax"]
)
def test_sampled_training_is_that_of_a_dense_gradient(margin: str, options: dict) -> None:
    ours, theirs = runs(margin, **{"momentum": 0.0, "weight_decay": 0.0, **options})
    for run in (ours, theirs):
        train(run, range(20))
    assert not torch.allclose(ours[0].weight, theirs[0].weight, rtol=1e-6)  # rows are behind,
    x = torch.randn(3, 8, dtype=torch.float64)
    close(ours[0].logits(x), theirs[0].logits(x), 1e-10)  # and here none is
    close(ours[0].weight, theirs[0].weight, 1e-10)
    for name, buffer in theirs[0].named_buffers():
        close(ours[0].get_buffer(name), buffer, 1e-10)


X, Y = torch.linspace(-1, 2, 24).sin().double().view(3, 8), torch.tensor([3, 39, 3])
READERS: dict[str, Callable[[MarginHead], Tensor]] = {
    "logits": lambda head: head.logits(X),
    "with a margin": lambda head: head.logits(X, Y),
    "evaluation": lambda head: head.eval()(X, Y, reduction="none"),
    "functional": lambda head: margin_softmax(X, head.weight, Y, ArcFace()),
    "prototypes": lambda head: head.prototypes(),
    "class_matrix": lambda head: head.class_matrix(),
    "more": lambda head: (head.add_classes(torch.ones(2, 8).double()), head.weight)[1],
    "fewer": lambda head: (head.remove_classes([2, 5]), head.weight)[1],
    "every class": lambda head: setattr(head, "sample_rate", None) or head(X, Y),
}


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", READERS)
def test_whoever_reads_all_classes_finds_no_row_behind(name: str, inference: bool) -> None:
    ours, theirs = runs("arcface")
    for run in (ours, theirs):
        train(run, range(8))
    with torch.inference_mode(inference):
        found, expected = (READERS[name](head) for head, _ in (ours, theirs))
    close(found, expected)


def test_sub_centres_are_read_after_they_are_brought_up() -> None:
    ours, theirs = runs("arcface:k=3", weight_decay=0.9)
    for run in (ours, theirs):
        train(run, range(8))
        run[0].sample_rate = None
    x, y = torch.randn(80, 8, dtype=torch.float64), torch.arange(80) % 40
    close(keep_dominant(ours[0], x, y).weight, keep_dominant(theirs[0], x, y).weight)
    assert torch.equal(
        dominant_centers(x, y, ours[0].weight), dominant_centers(x, y, theirs[0].weight)
    )


def test_a_pass_brings_up_the_rows_it_samples_and_no_others() -> None:
    (head, optimiser), _ = runs("arcface")
    train((head, optimiser), range(8))
    before = head.weight.detach().clone()
    torch.manual_seed(99)
    head(X, Y).backward()
    moved = (head.weight != before).any(1).nonzero().flatten().tolist()
    sampled = head.weight.grad.coalesce().indices()[0].tolist()
    assert set(moved) <= set(sampled)
    assert len(moved) > 3


def test_rows_drawn_anew_owe_nothing() -> None:
    (head, optimiser), _ = runs("arcface")
    train((head, optimiser), range(8))
    head.reset_parameters()
    drawn = head.weight.detach().clone()
    optimiser.settle()
    assert torch.equal(head.weight, drawn)


@pytest.mark.parametrize("told", [True, False])
def test_classes_come_and_go_as_with_a_dense_gradient(told: bool) -> None:
    found = []
    for head, optimiser in runs("arcface"):
        train((head, optimiser), range(8))
        head.add_classes(torch.ones(3, 8).double(), optimiser=optimiser if told else None)
        head.remove_classes([0, 7, 41], optimiser=optimiser if told else None)
        if not told:
            optimiser = type(optimiser)(head.parameters(), **DECAYS)
            for group in optimiser.param_groups:
                group["catch_up"] = True
        train((head, optimiser), range(8, 16), labels=40)
        head.logits(X)
        found.append(head.weight)
    close(*found)


def test_another_optimiser_pays_what_the_first_one_left() -> None:
    found = []
    for head, optimiser in runs("arcface"):
        train((head, optimiser), range(5))
        kind = {"catch_up": True} if isinstance(optimiser, RowSGD) else {}
        optimiser = type(optimiser)(head.parameters(), lr=0.1, weight_decay=0.3, **kind)
        train((head, optimiser), range(5, 10))
        head.logits(X)
        found.append(head.weight)
    close(*found)


def again(head: MarginHead, optimiser: RowSGD) -> Run:
    """Another head and optimiser with the same state, by way of a file."""
    file = io.BytesIO()
    torch.save([head.state_dict(), optimiser.state_dict()], file)
    file.seek(0)
    weights, state = torch.load(file, weights_only=True)
    other = MarginHead(8, 40, head.margin, sample_rate=0.1).to(head.weight.dtype)
    other.load_state_dict(weights)
    fresh = RowSGD(other.parameters(), 9.0)
    fresh.load_state_dict(state)
    return other, fresh


def copied(head: MarginHead, optimiser: RowSGD) -> Run:
    return copy.deepcopy((head, optimiser))


def pickled(head: MarginHead, optimiser: RowSGD) -> Run:
    return pickle.loads(pickle.dumps((head, optimiser)))


@pytest.mark.parametrize("way", [again, copied, pickled])
def test_a_saved_state_goes_on_to_the_last_bit(way: Callable[..., Run]) -> None:
    first, _ = runs("arcface")
    train(first, range(9))
    second = way(*first)
    state = second[1].state[second[0].weight]
    assert state["last"].dtype == torch.int32
    assert 0 < len(state["missed"]) <= 6
    for run in (first, second):
        train(run, range(9, 14))
    assert torch.equal(first[0].weight, second[0].weight)
    close(first[0].logits(X), second[0].logits(X), 0)


def test_what_is_kept_beside_the_momentum_is_one_whole_number_a_row() -> None:
    (head, optimiser), _ = runs("arcface")
    train((head, optimiser), range(9))
    state = optimiser.state[head.weight]
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    assert set(tensors) == {"momentum_buffer", "last"}
    assert tensors["last"].shape == (40,)
    assert tensors["last"].element_size() == 4


def test_it_costs_nothing_where_nothing_can_be_missed_or_is_made_up_for() -> None:
    for options in ({"catch_up": True}, {"weight_decay": 0.1}):
        weight = nn.Parameter(torch.ones(13, 4))
        weight.grad = sparse(torch.ones(13, 4), [2])
        optimiser = RowSGD([weight], 0.1, **options)
        optimiser.step()
        assert not optimiser.state.get(weight)


def test_nothing_of_the_weights_size_is_made_in_a_step() -> None:
    head = MarginHead(16, 1000, "arcface", sample_rate=0.05)
    optimiser = RowSGD(head.parameters(), **DECAYS, catch_up=True)
    for step in range(4):
        optimiser.zero_grad()
        with Largest() as seen:
            head(torch.randn(4, 16), torch.arange(4)).backward()
            optimiser.step()
        assert step == 0 or seen.found < head.weight.numel() / 10


@pytest.mark.filterwarnings("ignore")  # the tracer's, of sparse gradients among others
def test_a_sampled_pass_may_be_compiled() -> None:
    ours, theirs = runs("arcface")
    torch.compiler.reset()
    compiled = torch.compile(ours[0], backend="eager")
    for step in range(4):
        for head, run in ((compiled, ours), (theirs[0], theirs)):
            torch.manual_seed(step)
            run[1].zero_grad()
            head(X, Y).backward()
            densify(run)
            run[1].step()
    close(ours[0].logits(X), theirs[0].logits(X))


def test_a_state_of_sgd_is_gone_on_from() -> None:
    weight = nn.Parameter(torch.ones(13, 4))
    before = torch.optim.SGD([weight], **DECAYS)
    weight.grad = torch.ones(13, 4)
    before.step()
    optimiser = RowSGD([weight], 1.0, catch_up=True)
    optimiser.load_state_dict(before.state_dict())
    assert optimiser.param_groups[0]["catch_up"]
    whole = nn.Parameter(weight.detach().double())
    theirs = torch.optim.SGD([whole], **DECAYS)
    theirs.load_state_dict(before.state_dict())
    g = torch.zeros(13, 4)
    g[3] = 1
    weight.grad, whole.grad = sparse(g, [3]), g.double()
    optimiser.step()
    theirs.step()
    optimiser.settle()
    close(weight, whole, 1e-6)


def test_a_head_in_another_dtype_is_brought_up_too() -> None:
    ours, theirs = runs("arcface")
    for run in (ours, theirs):
        train(run, range(8))
        run[0].float()
    torch.testing.assert_close(ours[0].logits(X), theirs[0].logits(X), rtol=1e-6, atol=1e-5)


def test_half_precision_is_rounded_once_for_all_the_steps_a_row_missed() -> None:
    start = torch.linspace(1, 2, 60).bfloat16()
    weight = nn.Parameter(start.clone())
    optimiser = RowSGD([weight], 0.1, weight_decay=1.0, catch_up=True)
    for _ in range(5):
        weight.grad = sparse(torch.zeros(60, dtype=torch.bfloat16), [0])
        optimiser.step()
    optimiser.settle()
    assert torch.equal(weight[1:], (start.float() * 0.9**5).bfloat16()[1:])


def test_own_rows_may_come_twice_and_be_elsewhere() -> None:
    weight = nn.Parameter(torch.ones(13, 4))
    optimiser = RowSGD([weight], 0.1, weight_decay=1.0, catch_up=True)
    weight.grad = sparse(torch.zeros(13, 4), [0])
    optimiser.step()
    bring_up_own(weight, torch.tensor([12, -1, 13, 5, 5, 12, 5, 99]))
    expected = torch.ones(13)
    expected[[0, 5, 12]] = 0.9
    assert torch.equal(weight[:, 0], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"last": torch.zeros(39)}, r"a step for each of the 40 rows, got \(39,\)"),
        ({"last": torch.full((40,), 99)}, "do not belong together"),
        ({"last": torch.full((40,), -99)}, "do not belong together"),
        ({"missed": [[1.0, 0.0]] * 6}, "do not belong together"),
        ({"missed": [[1.0, 0.0, 0.0, float("nan")]] * 6}, "do not belong together"),
        ({"steps": None}, "do not belong together"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_before_anything_changes(
    change: dict, message: str
) -> None:
    first, _ = runs("arcface")
    train(first, range(9))
    state = copy.deepcopy(first[1].state_dict())
    state["state"][0].update(change)
    other = RowSGD(runs("arcface")[0][0].parameters(), 9.0)
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 9
    assert not other.state


def test_what_was_missed_goes_with_the_weight() -> None:
    gc.collect()
    before = len(margin_losses.missed_steps._owed)
    run, _ = runs("arcface")
    train(run, range(3))
    assert len(margin_losses.missed_steps._owed) == before + 1
    del run, _
    gc.collect()
    assert len(margin_losses.missed_steps._owed) == before


def test_a_kernel_given_to_the_head_samples_as_well() -> None:
    ours, theirs = runs("adacos")
    for head, _ in (ours, theirs):
        head.sample_rate, head.kernel = None, Sampled(0.1)
    for run in (ours, theirs):
        train(run, range(8))
    close(ours[0].logits(X), theirs[0].logits(X))
