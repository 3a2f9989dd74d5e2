"""A configuration refuses in one sentence what nobody can train with."""

import dataclasses
import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from recognition.errors import InputError
from recognition.evaluation import evaluate_strangers
from recognition.training.config import (
    CHOICES,
    DEFAULTS,
    LIMITS,
    SECTIONS,
    AugmentConfig,
    DataConfig,
    ModelConfig,
    OptimiserConfig,
    RunConfig,
    ScheduleConfig,
    TrainConfig,
    ValidationConfig,
    flat,
    higher_is_better,
)
from recognition.training.metric import HIGHER_IS_BETTER

STEPS = {"name": "steps"}


def refused(make):
    with pytest.raises(InputError) as error:
        make()
    message = str(error.value)
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (OptimiserConfig, {"lr": 0}, "optimiser.lr: expected 0 < lr <= 10, got 0"),
        (OptimiserConfig, {"lr": math.nan}, "optimiser.lr: expected 0 < lr <= 10, got nan"),
        (OptimiserConfig, {"lr": math.inf}, "optimiser.lr: expected 0 < lr <= 10, got inf"),
        (OptimiserConfig, {"lr": 10**400}, "optimiser.lr: expected 0 < lr <= 10, got inf"),
        (OptimiserConfig, {"lr": True}, "optimiser.lr: expected a number, got true"),
        (OptimiserConfig, {"lr": "0.1"}, "optimiser.lr: expected a number, got '0.1'"),
        (OptimiserConfig, {"momentum": 1}, "optimiser.momentum: expected 0 <= momentum < 1, got 1"),
        (OptimiserConfig, {"ema": 1.0}, "optimiser.ema: expected 0 <= ema < 1, got 1"),
        (OptimiserConfig, {"name": "adam"}, "optimiser.name: 'adam' is not known; did you mean"),
        (OptimiserConfig, {"name": "adamw"}, "optimiser.lr: of adamw expected at most 0.05"),
        (
            OptimiserConfig,
            {"name": "adamw", "lr": 1e-3, "head_lr": 0.1},
            "optimiser.lr: of adamw expected at most 0.05",
        ),
        (
            OptimiserConfig,
            {"accumulate": 2.0},
            "optimiser.accumulate: expected a whole number, got",
        ),
        (
            ScheduleConfig,
            {"name": "cosin"},
            "schedule.name: 'cosin' is not known; did you mean 'co",
        ),
        (
            ScheduleConfig,
            {"name": "x"},
            "schedule.name: 'x' is not known; known: constant, steps, ",
        ),
        (ScheduleConfig, {"warmup": 1.5}, "schedule.warmup: expected 0 <= warmup <= 1, got 1.5"),
        (ScheduleConfig, {"factor": 0}, "schedule.factor: expected 0 < factor <= 1, got 0"),
        (ScheduleConfig, {"milestones": 0.5}, "schedule.milestones: expected a list of numbers"),
        (ScheduleConfig, {"milestones": (0.5, True)}, "schedule.milestones: expected a list of"),
        (ScheduleConfig, {"milestones": (0.5, 0.5)}, "schedule.milestones: expected shares of the"),
        (ScheduleConfig, {"milestones": (0.5, 1.0)}, "schedule.milestones: expected shares of the"),
        (ScheduleConfig, {"milestones": (0, 0.5)}, "schedule.milestones: expected shares of the"),
        (
            ScheduleConfig,
            {"milestones": (math.nan,)},
            "schedule.milestones: expected shares of the",
        ),
        (ScheduleConfig, {**STEPS, "milestones": ()}, "schedule.milestones: steps goes down at"),
        (
            ScheduleConfig,
            {**STEPS, "warmup": 0.6},
            "schedule.milestones: expected all of them after",
        ),
        (AugmentConfig, {"mirror": 1}, "augment.mirror: expected true or false, got 1"),
        (AugmentConfig, {"turn": 45}, "augment.turn: expected 0 <= turn <= 3.14159, got 45"),
        (AugmentConfig, {"zoom": 1}, "augment.zoom: expected 0 <= zoom <= 0.9, got 1"),
        (
            DataConfig,
            {"validation_share": 0},
            "data.validation_share: expected 0 < validation_share",
        ),
        (
            DataConfig,
            {"validation_share": 1},
            "data.validation_share: expected 0 < validation_share",
        ),
        (DataConfig, {"pictures": 5}, "data.pictures: expected text, in quotation marks, got 5"),
        (DataConfig, {"people": 5}, "data.people: goes with pictures of one's own, got 5"),
        (DataConfig, {"pictures": "a\udcff"}, "data.pictures: expected text that UTF-8 can write"),
        (
            ModelConfig,
            {"head": "arcfase"},
            "model.head: unknown margin 'arcfase'; did you mean 'arc",
        ),
        (ModelConfig, {"head": "arcface:m=99"}, "model.head: "),
        (ModelConfig, {"backbone": "smal"}, "unknown backbone 'smal'"),
        (
            ModelConfig,
            {"sample_rate": 0},
            "model.sample_rate: expected 0 < sample_rate <= 1, got 0",
        ),
        (ValidationConfig, {"every": -1}, "validation.every: expected a whole number 0 <= every"),
        (
            ValidationConfig,
            {"metric": "err"},
            "validation.metric: 'err' is not known; did you mean",
        ),
        (
            ValidationConfig,
            {"metric": "tar@fmr=0.05"},
            "validation.metric: 'tar@fmr=0.05' is not measured; TAR is at tar@fmr=0.1, tar@fmr=0.01",
        ),
        (
            ValidationConfig,
            {"metric": "fnir@fpir=0.5"},
            "validation.metric: 'fnir@fpir=0.5' is not measured; FNIR is at fnir@fpir=0.01, fnir",
        ),
        (
            RunConfig,
            {"steps": 0},
            "run.steps: expected a whole number 1 <= steps <= 1000000000, got",
        ),
        (RunConfig, {"steps": True}, "run.steps: expected a whole number, got true"),
        (RunConfig, {"batch_size": 1}, "run.batch_size: expected a whole number 2 <= batch_size"),
        (RunConfig, {"seed": 2**32}, "run.seed: expected a whole number 0 <= seed <= 4294967295"),
        (
            RunConfig,
            {"seed": 10**5000},
            "run.seed: expected a whole number 0 <= seed <= 4294967295",
        ),
        (RunConfig, {"device": "gpu"}, "run.device: expected cpu, cuda, cuda:0"),
        (RunConfig, {"device": "cuda:"}, "run.device: expected cpu, cuda, cuda:0"),
        (RunConfig, {"device": "meta"}, "run.device: expected cpu, cuda, cuda:0"),
        (RunConfig, {"precision": 32}, "run.precision: expected text, in quotation marks, got 32"),
        (
            RunConfig,
            {"precision": "fp16"},
            "run.precision: 'fp16' is not known; did you mean 'bf16'",
        ),
        (TrainConfig, {"run": {"steps": 3}}, "run: expected a RunConfig, got {'steps': 3}"),
    ],
)
def test_what_nobody_can_train_with_is_refused_in_one_sentence(section, values, message):
    assert refused(lambda: section(**values)).startswith(message)


@pytest.mark.parametrize("key", LIMITS)
def test_numbers_may_lie_at_their_limits_and_nowhere_beyond(key):
    section, name = key.split(".")
    limit, whole = LIMITS[key], isinstance(DEFAULTS[key], int)
    beside = {"data": {"pictures": "here"}}.get(section, {})

    def after(value, way):
        return value + way if whole else math.nextafter(value, way * math.inf)

    for end, way, is_open in ((limit.low, -1, limit.open_low), (limit.high, 1, limit.open_high)):
        inside, outside = (after(end, -way), end) if is_open else (end, after(end, way))
        assert getattr(SECTIONS[section](**beside, **{name: inside}), name) == inside
        assert f"{key}: expected" in refused(
            lambda o=outside: SECTIONS[section](**beside, **{name: o})
        )


def test_every_number_has_limits_and_every_key_is_of_its_section():
    numbers = {
        key
        for key, value in DEFAULTS.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    assert numbers == set(LIMITS)
    assert set(CHOICES) <= set(DEFAULTS)
    assert {each.name: type(getattr(TrainConfig(), each.name)) for each in dataclasses.fields(
        TrainConfig)} == dict(SECTIONS)  # fmt: skip
    assert flat(TrainConfig()) == dict(DEFAULTS)


def test_whole_numbers_and_those_of_numpy_become_numbers_and_lists_tuples():
    found = OptimiserConfig(lr=1, momentum=np.float32(0.5), accumulate=np.int64(2))
    assert [type(v) for v in (found.lr, found.momentum, found.accumulate)] == [float, float, int]
    assert ScheduleConfig(milestones=[0.25, np.float64(0.5)]).milestones == (0.25, 0.5)


def test_milestones_count_for_the_schedule_that_has_them():
    assert ScheduleConfig("cosine", warmup=0.9, milestones=()).milestones == ()


def test_sampled_classes_and_adamw_do_not_go_together():
    model, adamw = ModelConfig(sample_rate=0.1), OptimiserConfig("adamw", lr=1e-3)
    assert "take the optimiser sgd, or sample_rate 1" in refused(
        lambda: TrainConfig(model=model, optimiser=adamw)
    )
    assert TrainConfig(model=model).model.sample_rate == 0.1
    assert TrainConfig(optimiser=adamw).optimiser.name == "adamw"


def test_a_configuration_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().run.steps = 1


def test_networks_are_kept_by_numbers_that_strangers_are_judged_by():
    rows = np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32)
    judged = evaluate_strangers(rows, np.repeat(list("abcdefgh"), 4), replicates=2).estimates
    rates = ("eer", "auc", "rank", "tar", "fnir")
    assert {name for name in judged if name.startswith(rates)} == set(HIGHER_IS_BETTER)


def test_rates_of_errors_are_better_lower_and_rates_of_what_is_right_higher():
    perfect = SimpleNamespace(auc=1, rank1=1, tar=1, eer=0, fnir=0)
    for metric in HIGHER_IS_BETTER:
        assert higher_is_better(metric) == bool(getattr(perfect, metric.partition("@")[0]))
    refused(lambda: higher_is_better("loss"))


def test_importing_it_is_quick():
    code = "import recognition.training.config, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "scipy", "margin_losses"} & set(done.stdout.split())
