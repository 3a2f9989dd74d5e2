import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.errors import InputError
from recognition.training.recipe import Recipe


def test_the_learning_rate_rises_in_equal_steps_to_its_highest():
    recipe = Recipe(steps=100, lr=0.5, warmup=0.1)
    assert [recipe.lr_at(step) for step in range(10)] == pytest.approx(
        [0.05 * (step + 1) for step in range(10)]
    )


def test_then_it_falls_along_half_a_cosine_to_nearly_zero():
    recipe = Recipe(steps=500, lr=0.5, warmup=0.1)
    rates = [recipe.lr_at(step) for step in range(50, 500)]
    assert rates[0] == 0.5
    assert rates == sorted(rates, reverse=True)
    assert recipe.lr_at(275) == pytest.approx(0.25)  # halfway between 50 and 500
    assert recipe.lr_at(162) == pytest.approx(0.25 * (1 + math.cos(math.pi * 112 / 450)))
    assert rates[-1] < 1e-4 * 0.5


@given(st.integers(1, 400), st.floats(0, 1))
def test_whatever_the_length_rates_stay_above_zero_and_reach_the_highest(steps, warmup):
    recipe = Recipe(steps=steps, warmup=warmup, lr=0.01)
    rates = [recipe.lr_at(step) for step in range(steps)]
    assert min(rates) > 0
    assert max(rates) == pytest.approx(0.01)


def test_no_warm_up_starts_at_the_highest():
    assert Recipe(steps=10, warmup=0.0).lr_at(0) == Recipe().lr


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lr", 0.0, "lr: expected a number > 0, got 0"),
        ("lr", 0, "lr: expected a number > 0, got 0"),
        ("lr", -1e-3, "lr: expected 0 <= lr <= 10, got -0.001"),
        ("lr", -1, "lr: expected 0 <= lr <= 10, got -1"),
        ("lr", math.nan, "lr: expected 0 <= lr <= 10, got nan"),
        ("lr", math.inf, "lr: expected 0 <= lr <= 10, got inf"),
        ("weight_decay", math.nan, "weight_decay: expected 0 <= weight_decay <= 10"),
        ("warmup", -0.1, "warmup: expected 0 <= warmup <= 1, got -0.1"),
        ("turn", -0.1, "turn: expected 0 <= turn <= 3.14159"),
        ("zoom", math.inf, "zoom: expected 0 <= zoom <= 0.9"),
        ("shift", math.nan, "shift: expected 0 <= shift <= 1"),
        ("light", -1.0, "light: expected 0 <= light <= 1"),
        ("steps", 0, "steps: expected a whole number >= 1, got 0"),
        ("steps", -5, "steps: expected a whole number >= 1, got -5"),
        ("batch_size", 1, "batch_size: expected a whole number >= 2, got 1"),
        ("steps", 2.5, "steps: expected a whole number >= 1, got 2.5"),
        ("backbone", "large", "unknown backbone 'large'; known: small"),
        ("device", "meta", "device 'meta' holds no numbers"),
        ("device", "cuda:99", "device 'cuda:99' cannot be used here: "),
        ("device", "nonsense", "device 'nonsense' cannot be used here: "),
    ],
)
def test_numbers_nobody_can_train_with_are_refused_in_one_sentence(name, value, message):
    with pytest.raises(InputError) as refused:
        Recipe(**{name: value})
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_the_smallest_recipe_is_accepted():
    off = dict.fromkeys(("weight_decay", "warmup", "turn", "zoom", "shift", "light"), 0.0)
    Recipe(steps=1, batch_size=2, lr=1e-30, mirror=False, **off)


def test_a_recipe_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().lr = 1.0
