"""Learning rates: torch's own schedulers say the same."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from recognition.errors import InputError
from recognition.training.config import CHOICES, ScheduleConfig
from recognition.training.schedules import share_at, warmup_steps

NAMES = st.sampled_from(CHOICES["schedule.name"])


def shares(schedule, steps):
    return [share_at(schedule, step, steps) for step in range(steps)]


def of_torch(make, steps):
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimiser)
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


@given(
    st.integers(1, 60), st.sets(st.integers(1, 19), min_size=1), st.sampled_from([0.1, 0.5, 1.0])
)
def test_steps_is_multisteplr(steps, twentieths, factor):
    milestones = tuple(sorted(number / 20 for number in twentieths))
    schedule = ScheduleConfig("steps", warmup=0, milestones=milestones, factor=factor)
    at = [round(share * steps) for share in milestones]
    # torch falls at step 0 only after it: milestones there are for no run that one would make
    wanted = of_torch(lambda o: lr_scheduler.MultiStepLR(o, [max(1, a) for a in at], factor), steps)
    start = sum(a == 0 for a in at)
    assert shares(schedule, steps)[1:] == pytest.approx(wanted[1:])
    assert shares(schedule, steps)[0] == pytest.approx(factor**start)


@given(st.integers(1, 60))
def test_cosine_is_cosineannealinglr(steps):
    wanted = of_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, steps), steps)
    assert shares(ScheduleConfig("cosine", warmup=0), steps) == pytest.approx(wanted, abs=1e-12)


@given(st.integers(1, 60), st.sampled_from([0.5, 1.0, 2.0, 3.0]))
def test_polynomial_is_polynomiallr(steps, power):
    wanted = of_torch(lambda o: lr_scheduler.PolynomialLR(o, steps, power), steps)
    schedule = ScheduleConfig("polynomial", warmup=0, power=power)
    assert shares(schedule, steps) == pytest.approx(wanted)


def test_warm_up_is_linear_from_one_nth_to_the_highest():
    for name in CHOICES["schedule.name"]:
        found = shares(ScheduleConfig(name, warmup=0.1), 100)
        assert found[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])


def test_the_rest_begins_where_the_warm_up_ends():
    after = {
        name: shares(ScheduleConfig(name, warmup=0.2, milestones=(0.5,)), 10)[2:]
        for name in CHOICES["schedule.name"]
    }
    assert after["constant"] == [1] * 8
    assert after["steps"] == pytest.approx([1] * 3 + [0.1] * 5)  # 0.5 of all ten steps
    assert after["cosine"] == pytest.approx(shares(ScheduleConfig("cosine", warmup=0), 8))
    assert after["polynomial"] == pytest.approx([(1 - t / 8) ** 2 for t in range(8)])


@given(NAMES, st.integers(1, 400), st.floats(0, 0.8))
def test_rates_rise_once_fall_once_and_are_never_nothing(name, steps, warmup):
    schedule = ScheduleConfig(name, warmup=warmup, milestones=(0.9,))
    found = shares(schedule, steps)
    assert min(found) > 0
    top = max(0, warmup_steps(schedule, steps) - 1)
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert found[top] == 1 or round(0.9 * steps) == top == 0


def test_a_warm_up_may_take_all_steps():
    assert shares(ScheduleConfig(warmup=1), 4) == [0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("step", [-1, 10])
def test_a_step_outside_of_the_run_has_no_rate(step):
    with pytest.raises(InputError, match="expected a step 0 <= step < 10"):
        share_at(ScheduleConfig("polynomial", power=0.5), step, 10)
