"""What two sets of embeddings must have in common."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from recognition.contract import Contract, Preprocessing, require_same
from recognition.errors import InputError

FACENET = Contract(
    "facenet.pt", "ab" * 32, 512, Preprocessing("box", 160, 160, 14), versions={"torch": "2.13.0"}
)


def test_it_survives_json() -> None:
    again = Contract.from_json(FACENET.to_json())
    assert again == FACENET
    assert again.versions == {"torch": "2.13.0"}
    assert again.preprocessing.mean == (127.5, 127.5, 127.5)


def test_names_licences_and_versions_may_differ() -> None:
    other = replace(FACENET, model="other", licence="MIT", versions={"torch": "2.4.0"})
    require_same(FACENET, other, names=("a.npz", "b.npz"))


@pytest.mark.parametrize(
    "other",
    [
        replace(FACENET, sha256="cd" * 32),
        replace(FACENET, dimension=256),
        replace(FACENET, preprocessing=replace(FACENET.preprocessing, channels="BGR")),
        replace(FACENET, preprocessing=replace(FACENET.preprocessing, mirror="sum")),
    ],
)
def test_mixing_two_is_refused_and_names_both(other: Contract) -> None:
    with pytest.raises(InputError) as refusal:
        require_same(FACENET, other, names=("a.npz", "b.npz"))
    for part in ("a.npz", "b.npz", str(FACENET), str(other)):
        assert part in str(refusal.value)
    assert str(FACENET) != str(other), "what differs can be seen"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"alignment": "eyes"}, "alignment"),
        ({"channels": "GBR"}, "channels"),
        ({"mirror": True}, "mirror"),
        ({"height": 0}, "height"),
        ({"width": 112.0}, "width"),
        ({"margin": -1}, "margin"),
        ({"margin": 112}, "margin"),
        ({"mean": (1.0, 2.0)}, "mean"),
        ({"mean": float("nan")}, "mean"),
        ({"std": (1.0, 0.0, 1.0)}, "std"),
        ({"std": "128"}, "std"),
    ],
)
def test_preprocessing_that_makes_no_sense_is_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=f"^{named}: expected"):
        Preprocessing(**wrong)


def test_one_number_stands_for_three_channels() -> None:
    assert Preprocessing(mean=0, std=255).std == (255.0, 255.0, 255.0)  # type: ignore[arg-type]


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_anything_else_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match="expected an embedding contract"):
        Contract.from_json(text)


@pytest.mark.parametrize("name", ["model", "sha256", "dimension", "licence", "versions"])
def test_fields_of_another_kind_are_refused(name: str) -> None:
    told = json.loads(FACENET.to_json())
    told[name] = None
    with pytest.raises(InputError, match=name):
        Contract.from_json(json.dumps(told))


def test_networks_in_memory_are_told_apart_by_their_weights() -> None:
    def contract(**weights: Any) -> Contract:
        how = {"dimension": 2, "preprocessing": Preprocessing("whole", 8, 8)}
        return Contract.of_weights("tiny", weights, **how)  # type: ignore[arg-type]

    torch.manual_seed(0)
    state = nn.Linear(3, 2).state_dict()
    one = contract(**state)
    assert one == contract(**dict(reversed(state.items())))
    others = [
        contract(**{**state, "bias": state["bias"].nextafter(state["bias"] + 1)}),
        contract(weight=state["weight"].reshape(3, 2), bias=state["bias"]),
        contract(weight=state["weight"], offset=state["bias"]),
        contract(weight=state["weight"].double(), bias=state["bias"]),
    ]
    assert len({each.sha256 for each in [one, *others]}) == 5
    assert Contract.from_json(one.to_json()) == one


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({}, "got none"),
        ({"w": torch.zeros(2, dtype=torch.bfloat16)}, "float()"),
        ({"w": ["a"]}, "numbers"),
    ],
)
def test_weights_that_cannot_be_hashed_are_refused(weights: Any, reason: str) -> None:
    with pytest.raises(InputError, match=re.escape(reason)):
        Contract.of_weights("tiny", weights, dimension=2, preprocessing=Preprocessing())
