"""How learning rates go from step to step, as shares of the highest."""

import math

from recognition.errors import InputError
from recognition.training.config import ScheduleConfig


def warmup_steps(schedule: ScheduleConfig, steps: int) -> int:
    """Over how many of the steps the learning rates rise."""
    return round(schedule.warmup * steps)


def share_at(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """The factor of the highest learning rate at a step.

    Over the first n steps it rises linearly from 1/n to 1. From there on, with t the share of the
    other steps that are done, it is 1 (`constant`), (1 + cos(pi t)) / 2 (`cosine`), or
    (1 - t) ** power (`polynomial`); t < 1, so that the last step is small and never nothing. `steps`
    is multiplied by `factor` from each milestone on, a share of all steps, the warm-up among them.

    Args:
        schedule: which, and its numbers.
        step: 0 <= step < steps.
        steps: of the whole run.

    Raises:
        InputError: a step outside of the run.

    >>> [share_at(ScheduleConfig("cosine", warmup=0.5), step, 4) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    if not 0 <= step < steps:
        raise InputError(f"expected a step 0 <= step < {steps}, got {step}")
    rise = warmup_steps(schedule, steps)
    if step < rise:
        return (step + 1) / rise
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "steps":
        passed = sum(step >= round(share * steps) for share in schedule.milestones)
        return schedule.factor**passed
    t = (step - rise) / (steps - rise)
    if schedule.name == "cosine":
        return (1 + math.cos(math.pi * t)) / 2
    return float((1 - t) ** schedule.power)
