"""A step is that of a plain loop, and one that is not finite is as if it had not been."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from margin_losses.kernels import dense
from recognition.backbones.registry import BACKBONES, Backbone
from recognition.errors import InputError
from recognition.training.augment import to_input
from recognition.training.class_changes import add_people
from recognition.training.config import TrainConfig
from recognition.training.engine import Engine, make_fabric
from recognition.training.schedules import share_at
from recognition.training.state import State, fresh, from_checkpoint, to_checkpoint
from recognition.training.supply import Batch

PEOPLE = [f"p{n}" for n in range(5)]


class Tiny(nn.Sequential):
    """8 x 8 pictures to 6 numbers; running statistics where asked for."""

    def __init__(self, norm: bool = True) -> None:
        layers: list[nn.Module] = [nn.Flatten(), nn.Linear(192, 6)]
        super().__init__(*layers, *([nn.BatchNorm1d(6)] if norm else []))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "tiny", Backbone(Tiny, 8, 6))
    monkeypatch.setitem(BACKBONES, "plain", Backbone(partial(Tiny, norm=False), 8, 6))


def config_of(**changes: Any) -> TrainConfig:
    """No augmentation; sections changed by `optimiser__lr=...`."""
    base = TrainConfig()
    base = replace(base, augment=replace(base.augment, mirror=False, light=0.0))
    given = {"model__backbone": "tiny", "run__steps": 20, "run__batch_size": 8, "schedule__warmup": 0.2, "optimiser__lr": 0.01,
             **changes}  # fmt: skip
    for key, value in given.items():
        section, _, name = key.partition("__")
        base = replace(base, **{section: replace(getattr(base, section), **{name: value})})
    return base


def a_batch(number: int, size: int = 8) -> Batch:
    random = np.random.default_rng(number)
    labels = random.integers(0, 5, size)
    images = random.integers(0, 256, (size, 8, 8, 3)).astype(np.uint8)
    ids = tuple(f"{number}/{n}.png" for n in range(size))
    return Batch(torch.from_numpy(images), torch.from_numpy(labels), ids)


def engine_of(config: TrainConfig, state: State | None = None) -> Engine:
    return Engine(state or fresh(config, PEOPLE), config, make_fabric(config.run))


def weights(state: State) -> list[Tensor]:
    modules = [state.backbone, state.head, *([state.average] if state.average else [])]
    return [value.clone() for module in modules for value in module.state_dict().values()]


def same(one: list[Tensor], two: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("head", ["arcface:s=8", "softmax", "curricularface:s=8"])
def test_a_step_is_that_of_a_plain_loop(name: str, head: str) -> None:
    config = config_of(optimiser__name=name, model__head=head, optimiser__clip=0.5)
    engine = engine_of(config)
    own = fresh(config, PEOPLE)
    decay = {True: 5e-4, False: 0.0}
    groups = [
        {"params": [p for p in module.parameters() if (p.ndim > 1) is matrix],
         "weight_decay": decay[matrix]}
        for module in (own.backbone, own.head) for matrix in (True, False)
    ]  # fmt: skip
    plain = (
        torch.optim.SGD(groups, 0.01, momentum=0.9)
        if name == "sgd"
        else torch.optim.AdamW(groups, 0.01)
    )
    for number in range(6):
        batch = a_batch(number)
        report = engine.step([batch])
        for group in plain.param_groups:
            group["lr"] = 0.01 * share_at(config.schedule, number, 20)
        loss = own.head(own.backbone(to_input(batch.images)), batch.labels)
        plain.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(own.backbone.parameters(), 0.5)
        plain.step()
        assert report.loss == pytest.approx(loss.item(), rel=1e-5)
        assert report.gradient == pytest.approx(norm.item(), rel=1e-4)
        assert report.lr == pytest.approx(group["lr"])
    for one, two in zip(weights(engine.state), weights(own), strict=True):
        assert torch.allclose(one.float(), two.float(), rtol=1e-4, atol=1e-6)


def test_batches_together_are_one_large_batch() -> None:
    config = config_of(model__backbone="plain", model__head="cosface:s=8")
    one, two = engine_of(config), engine_of(config)
    parts = [a_batch(n) for n in range(3)]
    whole = Batch(
        torch.cat([b.images for b in parts]), torch.cat([b.labels for b in parts]),
        tuple(name for b in parts for name in b.ids),
    )  # fmt: skip
    report = one.step(parts)
    assert report.loss == pytest.approx(two.step([whole]).loss, rel=1e-5)
    for a, b in zip(weights(one.state), weights(two.state), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def poisoned(engine: Engine, number: float) -> Any:
    """Whoever gives pictures of this batch meets an embedding that is no number."""

    def hook(module: nn.Module, given: Any, out: Tensor) -> Tensor:
        return out * number

    return engine.state.backbone.register_forward_hook(hook)


@pytest.mark.parametrize("number", [math.nan, math.inf, 1e30])
def test_a_step_that_is_not_finite_changes_nothing_and_is_named(number: float) -> None:
    # of embeddings of 1e30 plain softmax has a loss beyond float32, or a gradient
    config = config_of(model__head="softmax" if number == 1e30 else "curricularface:s=8",
                       optimiser__ema=0.5, run__patience=3)  # fmt: skip
    engine = engine_of(config)
    engine.step([a_batch(0)])
    before = weights(engine.state)
    hook = poisoned(engine, number)
    report = engine.step([a_batch(1)])
    assert report.skipped
    assert same(before, weights(engine.state)), "running statistics too"
    (told,) = engine.state.skipped
    assert told["step"] == 2
    assert told["pictures"] == [f"1/{n}.png" for n in range(8)]
    hook.remove()
    report = engine.step([a_batch(2)])
    assert not report.skipped
    assert math.isfinite(report.loss)
    assert engine.state.in_a_row == 0
    assert not same(before, weights(engine.state))
    hook = poisoned(engine, number)
    for n in (3, 4):
        engine.step([a_batch(n)])
    with pytest.raises(InputError, match=r"run away.*3 in a row.*smaller learning rate"):
        engine.step([a_batch(5)])


@pytest.mark.parametrize("changes", [{}, {"model__sample_rate": 0.5}], ids=["dense", "sparse"])
def test_a_gradient_of_the_head_that_is_not_finite_changes_nothing(changes: dict[str, Any]) -> None:
    engine = engine_of(config_of(**changes))
    before = weights(engine.state)
    hook = engine.state.head.weight.register_hook(lambda gradient: gradient * math.nan)
    report = engine.step([a_batch(0)])
    assert report.skipped == "the head's gradient is not finite"
    assert same(before, weights(engine.state))
    hook.remove()
    assert not engine.step([a_batch(1)]).skipped


def test_weights_that_no_step_can_mend_stop_training_at_once() -> None:
    engine = engine_of(config_of())
    engine.require_finite()
    with torch.no_grad():
        engine.state.head.weight[0, 0] = math.inf
    with pytest.raises(InputError, match=r"weights of the head are not finite.*smaller learning"):
        engine.step([a_batch(0)])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", math.inf), ("step", None), ("best", 3), ("skipped", 1), ("kernel", {"size": -1}),
        ("kernel", {"evil": 1}), ("kernel", [1]), ("optimisers", []), ("optimisers", {}),
        ("optimisers", {"backbone": [], "head": []}), ("people", None), ("broken", "x"),
        ("optimisers", {"backbone": {"numbers": [], "groups": []}, "head": {}}),
    ],
)  # fmt: skip
def test_a_checkpoint_that_tells_nonsense_is_refused(key: str, value: Any) -> None:
    config = config_of()
    saved = to_checkpoint(fresh(config, PEOPLE), config)
    assert from_checkpoint(saved, config).step == 0
    with pytest.raises(InputError, match=r"of other code|of other parameters"):
        from_checkpoint(saved._replace(told={**saved.told, key: value}), config)


def test_any_batch_size_gives_a_kernel_without_taking_its_memory() -> None:
    config = config_of(model__backbone="small", run__batch_size=10**9)  # 512 GB
    assert fresh(config, [str(n) for n in range(1500)]).head.kernel != dense
    assert fresh(config, PEOPLE).head.kernel == dense


def test_one_bad_batch_of_several_skips_the_step() -> None:
    engine = engine_of(config_of())
    before = weights(engine.state)
    seen: list[int] = []

    def hook(module: nn.Module, given: Any, out: Tensor) -> Tensor:
        seen.append(1)
        return out * (math.nan if len(seen) == 2 else 1)

    engine.state.backbone.register_forward_hook(hook)
    assert engine.step([a_batch(0), a_batch(1), a_batch(2)]).skipped
    assert same(before, weights(engine.state))
    assert len(engine.state.skipped[0]["pictures"]) == 24
    assert all(p.grad is None or not p.grad.any() for p in engine.state.head.parameters())


def test_the_average_is_of_the_weights_and_has_the_running_statistics() -> None:
    engine = engine_of(config_of(optimiser__ema=0.9))
    state = engine.state
    assert state.average is not None
    expected = [p.detach().clone() for p in state.average.parameters()]
    for number in range(3):
        engine.step([a_batch(number)])
        for mean, p in zip(expected, state.backbone.parameters(), strict=True):
            mean.mul_(0.9).add_(p.detach(), alpha=0.1)
    for mean, p in zip(expected, state.average.parameters(), strict=True):
        assert torch.allclose(mean, p, atol=1e-6)
    pairs = zip(state.average.buffers(), state.backbone.buffers(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert state.judged is state.average


HEADS = ["arcface:s=8", "softmax", "elasticarcface:s=8", "adaface:s=8", "subcenterarcface:s=8"]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimiser__name": "adamw", "optimiser__ema": 0.5},
        {"model__sample_rate": 0.5, "optimiser__accumulate": 2},
        {"model__sample_rate": 0.2, "optimiser__catch_up": True},
    ],
    ids=["sgd", "adamw", "sampled", "caught up"],
)
def test_a_run_goes_on_from_its_checkpoint_bit_by_bit(head: str, changes: dict[str, Any]) -> None:
    config = config_of(model__head=head, **changes)
    config = replace(config, augment=replace(config.augment, mirror=True, light=0.2, turn=0.1))
    engine = engine_of(config)
    for number in range(3):
        engine.step([a_batch(number), a_batch(100 + number)])
    saved = to_checkpoint(engine.state, config)
    saved = saved._replace(tensors={name: value.clone() for name, value in saved.tensors.items()})
    torch.manual_seed(999)  # whatever else was drawn meanwhile
    again = engine_of(config, from_checkpoint(saved, config))
    for number in range(3, 6):
        batches = [a_batch(number), a_batch(100 + number)]
        one, two = engine.step(batches), again.step(batches)
        assert one == two
    assert same(weights(engine.state), weights(again.state))


class Exact(Tiny):
    """In the precision of its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double())  # type: ignore[no-any-return]


def densely(state: State) -> None:
    """Let sampled classes be stepped with all others, whose gradient is 0."""
    groups = [
        {key: value for key, value in group.items() if key != "catch_up"}
        for group in state.optimisers.head.param_groups
    ]
    dense_one = torch.optim.SGD(groups, lr=0.1)
    taken = dense_one.step

    def step() -> None:
        for p in state.head.parameters():
            p.grad = None if p.grad is None else p.grad.to_dense()
        taken()

    dense_one.step = step  # type: ignore[method-assign, assignment]
    state.optimisers = state.optimisers._replace(head=dense_one)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_sampled_classes_that_catch_up_are_stepped_as_all(
    accumulate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKBONES, "exact", Backbone(Exact, 8, 6))
    given = {"model__backbone": "exact", "model__sample_rate": 0.2, "optimiser__lr": 0.1,
             "optimiser__head_weight_decay": 0.1, "optimiser__accumulate": accumulate}  # fmt: skip
    far = {}
    for catch_up in (True, False):
        config = config_of(optimiser__catch_up=catch_up, **given)
        one, other = (fresh(config, [f"p{n:02}" for n in range(30)]) for _ in range(2))
        for state in (one, other):
            state.backbone.double(), state.head.double()
        densely(other)
        both = engine_of(config, one), engine_of(config, other)
        for number in range(12):
            for engine in both:
                assert not engine.step(
                    [a_batch(number + 50 * n) for n in range(accumulate)]
                ).skipped
            if number == 3:
                to_checkpoint(one, config)  # on the way nothing may change
            if number == 5:
                for state in (one, other):
                    add_people(state, {"new": torch.ones(6, dtype=torch.float64) / 6**0.5})
        to_checkpoint(one, config)
        far[catch_up] = float((one.head.weight - other.head.weight).detach().abs().max())
    assert far[True] < 1e-9
    assert far[False] > 1e-3


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"model__head": "softmax"}, "another head"),
        ({"model__head": "subcenterarcface"}, "another head"),
        ({"model__backbone": "plain"}, "another backbone"),
        ({"optimiser__name": "adamw"}, "other code|optimiser"),
        ({"optimiser__ema": 0.5}, "average"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(changes: dict[str, Any], word: str) -> None:
    config = config_of(model__head="curricularface")
    engine = engine_of(config)
    engine.step([a_batch(0)])
    saved = to_checkpoint(engine.state, config)
    with pytest.raises(InputError, match=word):
        from_checkpoint(saved, config_of(**{"model__head": "curricularface", **changes}))
    broken = saved._replace(told={key: value for key, value in saved.told.items() if key != "step"})
    with pytest.raises(InputError, match="other code"):
        from_checkpoint(broken, config)


def test_mixed_precision_is_near_the_plain_one() -> None:
    losses = []
    for precision in ("32", "bf16"):
        engine = engine_of(config_of(run__precision=precision))
        losses.append([engine.step([a_batch(n)]).loss for n in range(4)])
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(InputError, match="device 'cuda:7'"):
        make_fabric(replace(TrainConfig().run, device="cuda:7"))
