"""A few steps of training for many heads, by one process or by several: what the tests compare.

python tests/training_ranks.py OUT.pt
torchrun --nproc-per-node 3 tests/training_ranks.py OUT.pt

Or a whole run, of which a process may die: `dying` begins several of three processes, which nobody
but themselves ends, as on several machines.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from margin_losses import MARGINS
from recognition.backbones.registry import BACKBONES, Backbone
from recognition.backbones.small import SmallCNN
from recognition.training import last_words
from recognition.training.checkpoint import Checkpoint
from recognition.training.config import TrainConfig
from recognition.training.config_files import changed
from recognition.training.divided_classes import divide, united
from recognition.training.engine import Engine, make_fabric, ranks_of
from recognition.training.ranks import Ranks
from recognition.training.run import run_training
from recognition.training.state import State, fresh, to_checkpoint
from recognition.training.supply import Batch

CLASSES, SIZE, STEPS, SIDE = 11, 7, 5, 4  # neither of the first two divides among 2 or 3
BARE = ("softmax", "lsoftmax", "sphereface", "smsoftmax", "fixedadacos", "adacos")  # no s of 8
Found = dict[str, Tensor]


class Tiny(nn.Module):
    """4 x 4 pictures to 6 numbers, without batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3 * SIDE**2, 9), nn.Linear(9, 6)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.to(self.first.weight.dtype).flatten(1)
        return self.last(self.first(flat).tanh())  # type: ignore[no-any-return]


class Exact(SmallCNN):
    """The network with batch normalisation, in the precision of its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self[0].weight.dtype))  # type: ignore[no-any-return]


class Uneven(Ranks):
    """The first processes have most rows, and the last has none."""

    def part(self, size: int) -> slice:
        stops = [size - 2, *[size] * self.world] if self.world > 2 else [size] * 2
        return slice([0, *stops][self.rank], stops[self.rank])


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every head, sampled or not, and the ways of stepping for one of them."""
    for name, rate in product(MARGINS, (1.0, 0.5)):
        head = name if name in BARE else f"{name}:s=8"
        yield f"{head} {rate}", {"model.head": head, "model.sample_rate": rate}
    one = {"model.head": "arcface:s=8"}
    yield "accumulated", {**one, "optimiser.accumulate": 2}
    yield "adamw", {**one, "optimiser.name": "adamw", "optimiser.lr": 0.01}
    yield "caught up", {**one, "model.sample_rate": 0.3, "optimiser.catch_up": True}
    yield "averaged", {**one, "optimiser.ema": 0.9, "optimiser.clip": 0.05}
    yield "more processes than classes", {"model.head": "normface:s=8", "classes": 2}
    yield from normalised()


def normalised() -> Iterator[tuple[str, dict[str, Any]]]:
    """A network that normalises by the batch, which is one of all processes."""
    one = {"model.head": "arcface:s=8", "model.backbone": "exact", "optimiser.lr": 0.01}
    yield "normalised", {**one, "optimiser.ema": 0.9}
    yield "normalised, accumulated", {**one, "optimiser.accumulate": 2}
    yield "normalised, some without rows", {**one, "ranks": Uneven}


def batch_of(number: int, classes: int, ranks: Ranks, side: int = SIDE) -> Batch:
    random = np.random.default_rng(number)
    images = torch.from_numpy(random.integers(0, 256, (SIZE, side, side, 3)).astype(np.uint8))
    labels = torch.from_numpy(random.integers(0, classes, SIZE))
    part = ranks.part(SIZE)
    return Batch(images[part], labels[part], tuple(map(str, range(SIZE)))[part])


def trained(values: dict[str, Any], fabric: Any) -> Found:
    """Losses, gradients, and all that a checkpoint has, after some steps."""
    ranks = ranks_of(fabric)
    classes, rows = values.pop("classes", CLASSES), values.pop("ranks", Ranks)
    given = {"model.backbone": "tiny", "run.steps": 20, "optimiser.lr": 0.05, **values}
    config = changed(TrainConfig(), given)
    state = fresh(config, [str(n) for n in range(classes)])
    for module in (state.backbone, state.head, *filter(None, [state.average])):
        module.double()
    divide(state, ranks)
    engine = Engine(state, config, fabric)
    engine.ranks = rows(ranks.rank, ranks.world)
    side = BACKBONES[config.model.backbone].input_size
    gradients: Found = {}
    clip = engine._clip
    engine._clip = partial(_noted, clip, gradients, state)  # type: ignore[method-assign]
    found: Found = {}
    for step in range(STEPS):
        batches = [batch_of(10 * step + n, classes, engine.ranks, side)
                   for n in range(config.optimiser.accumulate)]  # fmt: skip
        report = engine.step(batches)
        assert not report.skipped, report.skipped
        made = united(Checkpoint({"head.weight": gradients.pop("head")}, {}), _as(state), ranks)
        found[f"{step}.head"] = made.tensors["head.weight"].to_dense().clone()
        found |= {f"{step}.{name}": value for name, value in gradients.items()}
        found[f"{step}.loss"] = torch.tensor(report.loss, dtype=torch.float64)
    whole = united(to_checkpoint(state, config), state, ranks)
    return found | {name: value.clone() for name, value in whole.tensors.items()}


def _as(state: State) -> State:
    """The same, whose optimiser keeps nothing: only the gradient is to be put together."""
    other = replace(state)
    other.optimisers = replace_head(state)
    return other


def replace_head(state: State) -> Any:
    return state.optimisers._replace(head=torch.optim.SGD([state.head.weight], 0.1))


def _noted(clip: Any, gradients: Found, state: State) -> float:
    of_head = state.head.weight.grad  # None where no row is
    gradients["head"] = (
        torch.zeros_like(state.head.weight) if of_head is None else (of_head.to_dense().clone())
    )
    for name, p in state.backbone.named_parameters():
        gradients[name] = p.grad.clone()  # type: ignore[union-attr]
    norm: float = clip()
    return norm


def steps(out: Path) -> None:
    fabric = make_fabric(TrainConfig().run)
    torch.set_default_dtype(torch.float64)
    found = {name: trained(values, fabric) for name, values in cases()}
    if ranks_of(fabric).first:
        torch.save(found, out)


def run(folder: Path) -> None:
    """A whole run; DIES=RANK:STEP kills a process, DIES=RANK:STEP:WORDS raises in it."""
    rank, at, words = [*os.environ.get("DIES", "").split(":"), "", ""][:3]
    busy = os.environ.get("BUSY")
    taken = Engine.step

    def step(self: Engine, batches: Any) -> Any:
        if self.state.step == int(at or -1):
            if os.environ.get("RANK", "0") == busy:
                time.sleep(100)
            if os.environ.get("RANK", "0") == rank:
                (folder / "died").write_text(str(time.time()))
                if words:
                    raise MemoryError(words)
                os.kill(os.getpid(), signal.SIGKILL)
        return taken(self, batches)

    Engine.step = step  # type: ignore[method-assign]
    file = os.environ["CONFIGURATION"]  # torchrun keeps stdin for itself
    config = changed(TrainConfig(), json.loads(file))
    run_training(config, folder, resume=(folder / "config.toml").exists())


DEATHS = {
    "the first is killed": {"DIES": "0:3"},
    "the last is killed": {"DIES": "2:3"},
    "the first fails": {"DIES": "0:3:no room here"},
    "the last fails": {"DIES": "2:3:no room here"},
    "one is busy meanwhile": {"DIES": "2:3:no room here", "BUSY": "1"},
}


def dying(folder: Path) -> None:
    """Of each of DEATHS, in its own folder: how long each process lived on, and what it said."""
    last_words.GRACE = 3
    children = {}
    for name, environment in DEATHS.items():
        own = folder / name
        own.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        shared = {
            **environment, "WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "3", "MASTER_PORT": port,
            "MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "none",
        }  # fmt: skip
        for rank in range(3):
            os.environ.update(shared, RANK=str(rank), LOCAL_RANK=str(rank))
            children[_forked(own, rank)] = name, rank
        for key in environment:
            del os.environ[key]
    found: dict[str, dict[int, float]] = {name: {} for name in DEATHS}
    while children:
        number, _ = os.wait()
        name, rank = children.pop(number)
        found[name][rank] = time.time()
    for name, ends in found.items():
        died = float((folder / name / "run" / "died").read_text())
        said = {r: (folder / name / f"{r}.txt").read_text() for r in ends}
        found[name] = {r: (ends[r] - died, said[r]) for r in ends}  # type: ignore[misc]
    print(json.dumps(found))


def _forked(folder: Path, rank: int) -> int:
    """The number of a child that trains; the imports are paid for once."""
    number = os.fork()
    if number:
        return number
    said = os.open(folder / f"{rank}.txt", os.O_CREAT | os.O_WRONLY)
    os.dup2(said, 1), os.dup2(said, 2)
    try:
        run(folder / "run")
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    os._exit(0)


if __name__ == "__main__":
    BACKBONES["tiny"] = Backbone(Tiny, SIDE, 6)
    BACKBONES["exact"] = Backbone(Exact, Exact.input_size, Exact.embedding_dim)
    work = {"steps": steps, "run": run, "dying": dying}[sys.argv[1]]
    work(Path(sys.argv[2]))
