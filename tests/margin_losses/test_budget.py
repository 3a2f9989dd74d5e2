"""The plan of a step says what the code does: bytes, operations and exchanges are counted."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from margin_losses import Chunked, FusedSGD, MarginHead, RowSGD, Shard, gather_batch
from margin_losses.budget import H100, PLANS, HeadStep, Machine, table

README = (Path(__file__).parents[2] / "README.md").read_text()
OPTIONS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}
STEPS = {
    "fused": HeadStep(40_000, 64, 64),
    "torch.optim.SGD": HeadStep(40_000, 64, 64, fused=False),
    "sampled": HeadStep(200_000, 64, 64, sample_rate=0.1),
    "recomputed": HeadStep(40_000, 256, 64),
    "bfloat16": HeadStep(80_000, 32, 64, itemsize=2),
}


def steps_of(plan: HeadStep) -> Callable[[], None]:
    """A head as planned, in one process; two steps, since the first makes the momentum."""
    rate = None if plan.sample_rate == 1 else plan.sample_rate
    head = MarginHead(plan.dim, plan.classes, "arcface", sample_rate=rate)
    head = head.bfloat16() if plan.itemsize == 2 else head
    optimiser: Any
    if rate is not None:
        optimiser = RowSGD(head.parameters(), **OPTIONS)
    elif plan.fused:
        optimiser = FusedSGD(head, **OPTIONS)
    else:
        optimiser = torch.optim.SGD(head.parameters(), **OPTIONS)

    def run() -> None:
        for _ in range(2):
            x = torch.randn(plan.batch, plan.dim, requires_grad=True)
            head(x, torch.randint(plan.classes, (plan.batch,))).backward()
            optimiser.step()
            optimiser.zero_grad()

    return run


def highest(run: Callable[[], None], trace: Path) -> int:
    """Bytes allocated at the highest point, above those at the start."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        run()
    found.export_chrome_trace(str(trace))
    events = json.loads(trace.read_text())["traceEvents"]
    told = sorted((e["ts"], e["args"]) for e in events if e["name"] == "[memory]")
    total = [each["Total Allocated"] for _, each in told]
    return max(total) - total[0] + told[0][1]["Bytes"]


@pytest.mark.filterwarnings("ignore")  # the profiler's own
@pytest.mark.parametrize("name", STEPS)
def test_memory_is_what_is_allocated(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = steps_of(STEPS[name])
    weight = STEPS[name].memory.weight
    found = highest(run, tmp_path / "trace.json") + weight
    assert 0.98 * found < STEPS[name].memory.total < 1.2 * found


@pytest.mark.parametrize(
    ("gib", "plan"),
    [
        (4.6, HeadStep(1_000_000, 256)),
        (8.4, HeadStep(1_000_000, 256, fused=False)),
        (4.6, HeadStep(1_000_000, 256, sample_rate=0.1)),
    ],
)
def test_memory_of_a_million_classes_is_what_was_measured(gib: float, plan: HeadStep) -> None:
    """The README's table, with 0.3 GiB for Python and torch."""
    assert plan.memory.total / 2**30 + 0.3 == pytest.approx(gib, rel=0.05)


@pytest.mark.parametrize("name", STEPS)
def test_operations_are_those_of_the_products(name: str) -> None:
    """But for a few own classes of the batch that the draw had left out."""
    run = steps_of(STEPS[name])

    def in_place(total: Any, a: tuple[int, int], b: tuple[int, int], **options: Any) -> int:
        return 2 * a[0] * a[1] * b[1]

    mapping = {torch.ops.aten.addmm_: in_place}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        run()
    assert counter.get_total_flops() / 2 == pytest.approx(STEPS[name].operations, rel=0.02)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one process, which exchanges as many would."""
    dist.init_process_group(
        "gloo", init_method=(tmp_path / "meeting").as_uri(), rank=0, world_size=1
    )
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_exchanges_are_those_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = HeadStep(300, 12, 8, ranks=2)
    head = MarginHead(8, 300, "cosface", shard=Shard.even(300))
    found: list[tuple[str, int]] = []
    gather, reduce = dist.all_gather, dist.all_reduce

    def counted_gather(parts: list[torch.Tensor], *args: Any, **options: Any) -> Any:
        found.append(("gather", sum(part.nbytes for part in parts)))
        return gather(parts, *args, **options)

    def counted_reduce(total: torch.Tensor, *args: Any, **options: Any) -> Any:
        found.append(("reduce", total.nbytes))
        return reduce(total, *args, **options)

    monkeypatch.setattr(dist, "all_gather", counted_gather)
    monkeypatch.setattr(dist, "all_reduce", counted_reduce)
    x = torch.randn(plan.whole_batch, 8, requires_grad=True)
    head(*gather_batch(x, torch.arange(plan.whole_batch))).backward()
    sizes, *others = [(each.kind, each.nbytes) for each in plan.exchanges]
    assert found == [(sizes[0], sizes[1] // plan.ranks), *others]


def test_a_sum_goes_around_twice_and_one_process_sends_nothing() -> None:
    plan = HeadStep(1000, 4, 8, ranks=4)
    gathered, reduced = plan.exchanges[1], plan.exchanges[-1]
    assert gathered.sent(4) == 3 / 4 * 16 * 8 * 4
    assert reduced.sent(4) == 2 * gathered.sent(4)
    assert HeadStep(1000, 4, 8).exchanges == ()
    assert HeadStep(1000, 4, 8).sent == 0


def test_more_processes_hold_less_and_take_as_long_for_a_larger_batch() -> None:
    """Each has its share of the classes, and multiplies it with the batches of all."""
    few, many = (
        HeadStep(2**20, 128, ranks=ranks, kernel=Chunked("recompute")) for ranks in (2, 16)
    )
    assert few.memory.weight == 8 * many.memory.weight
    assert few.operations == many.operations
    assert many.whole_batch == 8 * few.whole_batch


def test_a_tenth_of_the_classes_is_a_tenth_of_the_products_and_all_of_the_weight() -> None:
    whole = HeadStep(1_000_000, 256)
    tenth = replace(whole, sample_rate=0.1)
    assert tenth.operations == whole.operations / 10
    assert tenth.memory.weight == whole.memory.weight
    assert tenth.traffic < whole.traffic / 3


def test_seconds_are_bytes_and_operations_over_what_the_machine_does() -> None:
    plan = HeadStep(1_000_000, 128, ranks=8)
    machine = Machine(1e12, 1e11, link=1e10, call=1e-6, latency=1e-3)
    found = plan.seconds(machine)
    assert found.products == plan.operations / 1e12
    assert found.memory == plan.traffic / 1e11
    assert found.calls == pytest.approx(plan.calls * 1e-6)
    assert found.link == pytest.approx(plan.sent / 1e10 + 7e-3)
    assert found.longest == max(found) < found.total == math.fsum(found)
    assert plan.seconds(Machine(1e12, 1e11)).link == 0


def test_every_plan_fits_and_the_readme_has_them() -> None:
    assert table() in README
    for plan, machine in PLANS.values():
        assert plan.memory.total < 0.7 * machine.memory  # a network has to fit as well
    largest = HeadStep(100_000_000, 128, ranks=8)
    assert largest.chosen.policy == "store"
    assert largest.memory.total > 0.9 * H100.memory


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"classes": 0}, "classes: expected a whole number >= 1, got 0"),
        ({"batch": 1.5}, "batch: expected a whole number >= 1, got 1.5"),
        ({"ranks": True}, "ranks: expected a whole number >= 1, got True"),
        ({"itemsize": 1}, "itemsize: expected 2 or 4 bytes a number, got 1"),
        ({"slots": -1}, "slots: expected a whole number >= 0, got -1"),
        ({"sample_rate": 0}, "sample_rate: expected 0 < rate <= 1, got 0"),
        ({"sample_rate": math.nan}, "sample_rate: expected 0 < rate <= 1, got nan"),
        ({"sample_rate": "all"}, "sample_rate: expected 0 < rate <= 1, got 'all'"),
    ],
)
def test_senseless_sizes_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=f"HeadStep: {told}"):
        HeadStep(**{"classes": 10, "batch": 2, **options})
