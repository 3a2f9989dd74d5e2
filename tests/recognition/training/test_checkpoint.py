"""A checkpoint holds all of a run, is there whole or not at all, and is never executed."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from fuzz import damaged, refused
from safetensors.torch import save, save_file
from torch import nn

from margin_losses import MarginHead, RowSGD
from recognition.errors import InputError
from recognition.training import checkpoint as module
from recognition.training import tensor_file
from recognition.training.checkpoint import (
    FORMAT,
    TOLD,
    Checkpoint,
    fill,
    pack,
    read_checkpoint,
    unpack,
    write_checkpoint,
)
from recognition.training.divided_classes import own_rows
from recognition.training.ranks import Ranks
from recognition.training.tensor_file import nothing

MAKERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
    "plain sgd": lambda p: torch.optim.SGD(p, 0.1),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, 0.01),
}


def stepped(network: nn.Module, optimiser: torch.optim.Optimizer, seeds: range) -> None:
    for seed in seeds:
        x = torch.randn(6, 3, generator=torch.Generator().manual_seed(seed))
        optimiser.zero_grad()
        network(x).square().sum().backward()
        optimiser.step()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_an_optimiser_goes_on_as_if_it_had_not_been_saved(make: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    optimiser = make(network.parameters())
    stepped(network, optimiser, range(4))
    packed = pack("o", optimiser)
    weights = {f"n.{name}": value for name, value in network.state_dict().items()}
    write_checkpoint(
        tmp_path / "c", Checkpoint({**weights, **packed.tensors}, {"o": packed.told, "step": 4})
    )
    stepped(network, optimiser, range(4, 7))

    found = read_checkpoint(tmp_path / "c")
    assert (found.told["step"], found.told["format"]) == (4, FORMAT)
    other = nn.Linear(3, 2)
    fill(other, found.part("n"), "network")
    again = make(other.parameters())
    unpack(again, Checkpoint(found.part("o"), found.told["o"]))
    stepped(other, again, range(4, 7))
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_rows_that_missed_steps_are_still_behind_in_the_file(tmp_path: Path) -> None:
    def train(head: MarginHead, optimiser: RowSGD, seeds: range) -> None:
        for seed in seeds:
            torch.manual_seed(seed)
            optimiser.zero_grad()
            head(torch.randn(3, 4), torch.randint(30, (3,))).backward()
            optimiser.step()

    heads = [MarginHead(4, classes, "arcface", sample_rate=0.1) for classes in (30, 30, 31)]
    made = [
        RowSGD(head.parameters(), 0.1, momentum=0.9, weight_decay=0.1, catch_up=True)
        for head in heads
    ]
    train(heads[0], made[0], range(5))
    packed = pack("o", made[0])
    weights = {f"h.{name}": value for name, value in heads[0].state_dict().items()}
    write_checkpoint(tmp_path / "c", Checkpoint({**weights, **packed.tensors}, {"o": packed.told}))
    found = read_checkpoint(tmp_path / "c")
    saved = Checkpoint(found.part("o"), found.told["o"])
    with pytest.raises(InputError, match="a step for each of the 31 rows"):
        unpack(made[2], saved)
    fill(heads[1], found.part("h"), "head")
    unpack(made[1], saved)
    for head, optimiser in zip(heads[:2], made[:2], strict=True):
        train(head, optimiser, range(5, 9))
        assert optimiser.state[head.weight]["last"].unique().numel() > 2
        optimiser.settle()
    assert torch.equal(heads[0].weight, heads[1].weight)


def test_who_is_stopped_while_writing_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.safetensors"
    write_checkpoint(path, Checkpoint({"a": torch.ones(3)}, {"step": 1}))
    assert path.stat().st_mode & 0o777 == 0o600

    def full(*args: Any) -> None:
        Path(args[1]).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(path, Checkpoint({"a": torch.zeros(3)}, {"step": 2}))
    assert read_checkpoint(path).told["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.safetensors"]


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    whole = save({"a": torch.ones(300)}, {TOLD: json.dumps({"format": FORMAT})})

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path(tmp_path / "executed").write_text, ("x",))

    for raw, reason in (
        (b"", "damaged"),
        (whole[:200], "damaged"),
        (b"\xff" * 8 + whole[8:], "damaged"),
        (pickle.dumps(Hostile()), "damaged"),
        (save({"a": torch.ones(3)}), "without the state"),
        (save({"a": torch.ones(3)}, {TOLD: "[1"}), "damaged"),
        (save({"a": torch.ones(3)}, {TOLD: "[1]"}), "without the state"),
        (save({"a": torch.ones(3)}, {TOLD: '{"format": 99}'}), "format 99"),
    ):
        path.write_bytes(raw)
        with pytest.raises(InputError, match=reason) as caught:
            read_checkpoint(path)
        assert "c.safetensors" in str(caught.value)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(InputError, match="no file"):
        read_checkpoint(tmp_path / "missing")
    with pytest.raises(InputError, match=r"a folder|damaged"):
        read_checkpoint(tmp_path)


def test_tensors_of_another_network_are_refused_and_nothing_changes() -> None:
    network = nn.Linear(3, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for tensors, told in (
        ({"weight": torch.zeros(2, 3)}, "lacks 'bias'"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "x": torch.ones(1)}, "has 'x'"),
        ({"weight": torch.zeros(5, 3), "bias": torch.zeros(2)}, "differs in 'weight'"),
    ):
        with pytest.raises(InputError, match=told):
            fill(network, tensors, "head")
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_an_optimiser_of_other_parameters_is_refused() -> None:
    one, two, more = nn.Linear(3, 2), nn.Linear(4, 2), nn.Sequential(nn.Linear(3, 2), nn.PReLU())
    optimiser = torch.optim.AdamW(one.parameters())
    stepped(one, optimiser, range(1))
    packed = pack("o", optimiser)
    saved = Checkpoint(Checkpoint(packed.tensors, {}).part("o"), packed.told)
    with pytest.raises(InputError, match="exp_avg"):
        unpack(torch.optim.AdamW(two.parameters()), saved)
    with pytest.raises(InputError, match="other parameters"):
        unpack(torch.optim.AdamW(more.parameters()), saved)


def test_the_file_is_plain_safetensors(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "plain")
    write_checkpoint(tmp_path / "c", Checkpoint({"b.c": torch.arange(3)}, {}))
    found = read_checkpoint(tmp_path / "c")
    assert found.part("b")["c"].tolist() == [0, 1, 2]
    assert found.part("a") == {}


def test_a_damaged_checkpoint_is_refused_or_as_it_was(tmp_path: Path) -> None:
    """safetensors alone would read other numbers where a bit of them is flipped."""
    path = tmp_path / "c.safetensors"
    tensors = {"a": torch.arange(40.0), "b": torch.tensor(3), "c": torch.zeros(0, 2)}
    write_checkpoint(path, Checkpoint(tensors, {"step": 7, "people": ["a", "b"]}))
    good = path.read_bytes()

    def sound(found: Checkpoint) -> bool:
        return found.told == {"format": FORMAT, "step": 7, "people": ["a", "b"]} and all(
            torch.equal(found.tensors[name], value) for name, value in tensors.items()
        )

    assert sound(read_checkpoint(path))
    for name, raw in damaged(good):
        path.write_bytes(raw)
        assert refused(lambda: read_checkpoint(path), sound) or raw[8:] == good[8:], name
    deep = "[" * 100_000
    path.write_bytes(save({"a": torch.ones(3)}, {TOLD: deep}))
    with pytest.raises(InputError, match="damaged"):
        read_checkpoint(path)


def test_each_process_holds_its_own_rows_and_all_of_the_file_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_file, "PIECE", 24)  # as of a file of many pieces
    path, own = tmp_path / "c.safetensors", "optimiser.head.0.momentum_buffer"
    tensors = {
        "backbone.a": torch.arange(11.0),
        "head.weight": torch.arange(22.0).view(11, 2),
        own: -torch.arange(22.0).view(11, 2).bfloat16(),
        "optimiser.head.0.last": torch.arange(11, dtype=torch.int32),
        "optimiser.head.0.step": torch.tensor(3),
        "head.flags": torch.tensor([True, False]),
    }
    write_checkpoint(path, Checkpoint(tensors, {"step": 7}))
    parts = [read_checkpoint(path, keep=own_rows(Ranks(rank, 3))).tensors for rank in range(3)]
    for name, value in tensors.items():
        held = [part[name] for part in parts]
        divided = "head" in name and len(value.shape) and name != "head.flags"
        assert torch.equal(torch.cat(held) if divided else held[1], value), name
        assert not divided or [len(each) for each in held] == [4, 4, 3]
        assert all(each.untyped_storage().nbytes() == each.nbytes for each in held)
    assert read_checkpoint(path, keep=nothing).tensors["head.weight"].shape == (0, 2)
    raw = bytearray(path.read_bytes())
    raw[raw.find(tensors["head.weight"][10].numpy().tobytes())] ^= 1
    path.write_bytes(raw)
    for keep in (nothing, own_rows(Ranks(0, 3)), own_rows(Ranks(2, 3))):
        with pytest.raises(InputError, match="bits are not those"):
            read_checkpoint(path, keep=keep)
