"""A run that goes on ends where it would have ended, or is refused."""

import pytest

from recognition.errors import InputError
from recognition.training.config import DEFAULTS, ScheduleConfig, TrainConfig
from recognition.training.config_files import changed
from recognition.training.resuming import FREE, check_resumed
from recognition.training.schedules import share_at

OTHER = {
    "data.pictures": "there",
    "data.validation": "there",
    "model.backbone": "inception_resnet_v1",
    "model.head": "cosface",
    "optimiser.name": "adamw",
    "optimiser.catch_up": True,
    "schedule.name": "constant",
    "schedule.milestones": (0.5,),
    "augment.mirror": False,
    "validation.metric": "auc",
    "run.device": "mps",
    "run.precision": "bf16",
}


def other(key):
    """A value that is not the default."""
    default = DEFAULTS[key]
    return (
        OTHER[key]
        if key in OTHER
        else default + 1
        if isinstance(default, int)
        else default / 2 + 0.01
    )


@pytest.mark.parametrize("key", DEFAULTS)
def test_only_what_changes_nothing_that_is_learned_may_change(key):
    before = changed(TrainConfig(), {"optimiser.lr": 0.01, "data.pictures": "here"})
    now = changed(before, {key: other(key)})
    assert now != before
    if key in FREE:
        check_resumed(now, before)
        return
    with pytest.raises(InputError) as error:
        check_resumed(now, before)
    assert str(error.value).startswith(f"{key} is ")
    assert "leave it out, or start a new run with --config" in str(error.value)


def test_what_is_named_again_and_the_same_is_no_change():
    before = changed(TrainConfig(), {"data.pictures": "/here"})
    check_resumed(changed(before, {"data.pictures": "/here", "run.device": "cuda"}), before)


@pytest.mark.parametrize("steps", [60, 150])
@pytest.mark.parametrize("warmup", [0, 0.001, 0.1])
@pytest.mark.parametrize("name", ["constant", "steps", "cosine", "polynomial"])
def test_steps_may_change_where_the_rates_are_the_same_all_the_way(name, warmup, steps):
    before = TrainConfig(schedule=ScheduleConfig(name, warmup=warmup))
    before = changed(before, {"run.steps": 100})
    now = changed(before, {"run.steps": steps})
    both = range(min(steps, 100))
    shares = [[share_at(c.schedule, s, c.run.steps) for s in both] for c in (now, before)]
    if shares[0] == shares[1]:
        check_resumed(now, before)
        return
    with pytest.raises(InputError, match=f"run.steps is {steps}, and was 100, on which the learn"):
        check_resumed(now, before)
