"""Who stays keeps the row and its momentum; who is new begins at the mean of their embeddings."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from margin_losses import MarginHead
from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.training.class_changes import (
    add_people,
    adopt,
    directions,
    mean_embeddings,
    remove_people,
    set_directions,
)
from recognition.training.config import OptimiserConfig
from recognition.training.optimisers import make_optimisers
from recognition.training.state import State

HEADS = ["arcface", "softmax", "subcenterarcface:s=16", "adaface"]


def a_state(head: str = "arcface", name: str = "sgd", rate: float | None = None) -> State:
    torch.manual_seed(0)
    backbone = nn.Linear(6, 4)
    made = MarginHead(4, 3, head, sample_rate=rate)
    optimisers = make_optimisers(backbone, made, OptimiserConfig(name=name, lr=0.01))
    state = State(backbone, made, optimisers, ["ada", "bob", "cy"])
    step(state)
    return state


def step(state: State) -> None:
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    state.head(state.backbone(x), torch.arange(5) % len(state.people)).backward()
    for each in (state.optimisers.backbone, state.optimisers.head):
        each.step()
        each.zero_grad()


def kept(state: State) -> dict[str, Any]:
    """Every person's row, and what the optimiser keeps of it."""
    stored = state.optimisers.head.state[state.head.weight]
    rows = {
        name: value.clone()
        for name, value in {"weight": state.head.weight.detach(), **stored}.items()
        if isinstance(value, torch.Tensor) and value.ndim
    }
    return {
        person: {name: value[number] for name, value in rows.items()}
        for number, person in enumerate(state.people)
    }


MEANS = {"eve": torch.tensor([0.0, 1, 0, 0]), "dan": torch.tensor([0.6, 0, 0.8, 0])}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("name", "rate"), [("sgd", None), ("adamw", None), ("sgd", 0.9)])
def test_people_come_and_go_and_the_others_keep_all_they_have(
    head: str, name: str, rate: float | None
) -> None:
    state = a_state(head, name, rate)
    before = kept(state)
    assert len(before["ada"]) > 1, "the optimiser keeps something"
    adopt(state, ["ada", "dan", "cy", "eve"], MEANS)
    assert state.people == ["ada", "cy", "dan", "eve"]
    after = kept(state)
    for person in ("ada", "cy"):
        for key, value in before[person].items():
            assert torch.equal(after[person][key], value), key
    for person, mean in MEANS.items():
        row = after[person]["weight"]
        cosines = nn.functional.cosine_similarity(row.reshape(-1, row.shape[-1])[:, :4], mean[None])
        assert torch.allclose(cosines, torch.ones(1))
        assert all(not value.any() for key, value in after[person].items() if key != "weight")
    step(state)
    assert state.head.weight.isfinite().all()


def test_new_rows_are_as_long_as_the_others() -> None:
    state = a_state("softmax")
    with torch.no_grad():
        state.head.weight.mul_(7)
    length = float(state.head.weight[:, :4].detach().norm(dim=1).mean())
    add_people(state, MEANS)
    assert float(state.head.weight[3, :4].detach().norm()) == pytest.approx(length)


def test_what_does_not_fit_changes_nothing() -> None:
    state = a_state()
    before = kept(state)
    with pytest.raises(InputError, match="'ada' learned from already"):
        add_people(state, {"ada": torch.ones(4), "zoe": torch.ones(4)})
    with pytest.raises(InputError, match=r"4 numbers.*got 5"):
        add_people(state, {"zoe": torch.ones(5)})
    with pytest.raises(InputError, match=r"'zoe'.*not among the 3 people"):
        remove_people(state, ["ada", "zoe"])
    with pytest.raises(InputError, match="would be left"):
        remove_people(state, state.people)
    with pytest.raises(InputError, match=r"'zoe'.*add them"):
        set_directions(state, {"ada": torch.ones(4), "zoe": torch.ones(4)})
    with pytest.raises(InputError, match=r"4 numbers.*got 3"):
        set_directions(state, {"ada": torch.ones(3)})
    assert state.people == ["ada", "bob", "cy"]
    for person, values in kept(state).items():
        assert all(torch.equal(values[key], before[person][key]) for key in values)
    for nobody in (lambda: add_people(state, {}), lambda: remove_people(state, [])):
        nobody()
    assert state.people == ["ada", "bob", "cy"]


@pytest.mark.parametrize("head", HEADS)
def test_directions_go_out_and_in_again(head: str) -> None:
    state = a_state(head)
    found, people = directions(state)
    assert people == state.people
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    lengths = state.head.weight.detach()[..., :4].norm(dim=-1)
    other = {person: torch.from_numpy(np.roll(found, 1, axis=0)[n]) for n, person in
             enumerate(people)}  # fmt: skip
    set_directions(state, other)
    again, _ = directions(state)
    assert np.allclose(again, np.roll(found, 1, axis=0), atol=1e-6)
    assert torch.allclose(state.head.weight.detach()[..., :4].norm(dim=-1), lengths)


def test_a_mean_is_of_directions() -> None:
    embeddings = np.array([[3.0, 0], [0, 0.1], [-5, 0]])
    means = mean_embeddings(embeddings, np.array(["b", "b", "a"]))
    assert list(means) == ["a", "b"]
    assert np.allclose(means["b"], unit_rows([[1.0, 1.0]])[0])
    assert means["a"].tolist() == [-1, 0]
    with pytest.raises(InputError, match=r"'a'.*cancel out"):
        mean_embeddings(np.array([[1.0, 0], [-1, 0]]), np.array(["a", "a"]))
