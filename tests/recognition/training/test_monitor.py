"""The monitor says what is wrong, once, and nothing where nothing is."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from margin_losses import MarginHead
from recognition.training.monitor import AT_LEAST, FEW, Monitor, Seen, check_before, other_cosine

FINE = Seen(loss=4.0, cosine=0.1, gradient=1.0, lr=0.1)


def told(monitor: Monitor, steps: int, seen: Any = FINE) -> list[str]:
    """What is said over some steps, of one kind or one a step."""
    return [
        text
        for step in range(steps)
        for text in monitor.see(seen(step) if callable(seen) else seen)
    ]


def test_a_loss_that_falls_is_no_news() -> None:
    monitor = Monitor(100)
    assert told(monitor, 500, lambda n: FINE._replace(loss=5 * 0.99**n + math.sin(n) / 10)) == []


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        (FINE._replace(cosine=0.99), "alike"),
        (FINE._replace(gradient=0.0), "no gradient"),
        (lambda n: FINE._replace(loss=4 if n < 30 else 40), "rises"),
        (FINE, "has not fallen"),
    ],
)
def test_what_goes_wrong_is_said_once(seen: Any, word: str) -> None:
    found = told(Monitor(100), AT_LEAST + 3 * FEW, seen)
    assert sum(word in text for text in found) == 1
    assert "0.1" in next(text for text in found if word in text) or word == "no gradient"


def test_a_network_that_has_learned_need_not_learn_more() -> None:
    """As where a run begins with the network of another."""
    assert told(Monitor(100), 500, FINE._replace(loss=0.5)) == []


def test_a_loss_that_stays_is_told_though_batches_differ_but_not_while_a_warm_up_lasts() -> None:
    def seen(step: int) -> Seen:
        return FINE._replace(loss=4 + 0.06 * math.sin(step / 9), lr=0.1 * min(1, step / 400))

    monitor = Monitor(100)
    assert told(monitor, 400 + AT_LEAST - 1, seen) == []
    (text,) = told(monitor, 60, lambda n: seen(n + 500))
    assert "has not fallen" in text


def test_a_few_steps_and_numbers_that_are_not_finite_are_no_evidence() -> None:
    monitor = Monitor(10)
    assert told(monitor, FEW - 1, FINE._replace(cosine=0.999)) == []
    assert told(Monitor(10), 300, Seen(math.nan, math.nan, math.inf, 0.1)) == []


def both(head: MarginHead, network: nn.Module) -> list[torch.optim.Optimizer]:
    return [torch.optim.SGD(network.parameters(), 0.1), torch.optim.SGD(head.parameters(), 0.1)]


def test_a_head_that_nobody_steps_is_told() -> None:
    network, head = nn.Linear(3, 8), MarginHead(8, 20_000, "arcface")
    assert check_before(head, (network, head), both(head, network)) == []
    (text,) = check_before(head, (network, head), both(head, network)[:1])
    assert "MarginHead's weight" in text
    assert "head.parameters()" in text
    frozen = nn.Linear(3, 8).requires_grad_(False)
    assert check_before(head, (frozen, head), both(head, network)[1:]) == []


@pytest.mark.parametrize(
    ("head", "classes", "word"),
    [
        ("arcface:s=64", 10, "large"),
        ("arcface:s=64", 10_575, ""),  # the paper's
        ("cosface:s=2", 1000, "small"),
        ("normface:s=10", 1000, ""),
        ("softmax", 10, ""),  # ‖w‖ and ‖x‖ are the scale
        ("adacos", 10, ""),  # chooses its own
        ("arcface:s=64", 2, ""),
    ],
)
def test_a_scale_that_so_few_or_many_classes_cannot_use(head: str, classes: int, word: str) -> None:
    made, network = MarginHead(4, classes, head), nn.Linear(3, 4)
    found = check_before(made, (network, made), both(made, network))
    assert len(found) == bool(word)
    assert all(word in text for text in found)


def test_the_floor_of_a_small_scale_is_what_perfect_embeddings_lose() -> None:
    """C unit vectors as far apart as C can be: cosines of -1 / (C - 1)."""
    classes, scale = 6, 1.5
    simplex = torch.eye(classes) - 1 / classes
    made = MarginHead.from_weights(simplex, "normface", scale=scale)
    loss = made(simplex, torch.arange(classes)).item()
    (text,) = check_before(made, (made,), [torch.optim.SGD(made.parameters(), 0.1)])
    assert f"{loss:.3g}" in text


def test_the_mean_cosine_of_different_people() -> None:
    x = torch.tensor([[1.0, 0], [2, 0], [0, 3], [1, 1]])
    found = other_cosine(x, torch.tensor([0, 0, 1, 2]))
    half = math.sqrt(0.5)
    assert found == pytest.approx((0 + 0 + half + half + half) / 5)
    assert math.isnan(other_cosine(x, torch.zeros(4)))
