"""What may be asked otherwise of a run that goes on."""

from recognition.errors import InputError
from recognition.training.config import TrainConfig, flat
from recognition.training.config_files import differences
from recognition.training.schedules import warmup_steps

# none of them changes what is learned, but for roundings: of another device, or of what is caught up
FREE = frozenset({"run.device", "data.workers", "run.save_every", "validation.every"})


def check_resumed(now: TrainConfig, before: TrainConfig) -> None:
    """Refuse changes with which a run would end elsewhere than one that was never stopped.

    More or fewer steps are for a constant learning rate without warm-up: all others depend on their
    number from the first step on.

    Raises:
        InputError: such a change.
    """
    old = flat(before)
    for key, value in flat(now).items():
        if value == old[key] or key in FREE or (key == "run.steps" and _same_rates(now, before)):
            continue
        said = next(line for line in differences(now, before) if line.startswith(f"{key} "))
        why = (
            f", on which the learning rates of the schedule {now.schedule.name} depend"
            if key == "run.steps"
            else ""
        )
        raise InputError(
            f"{said}{why}: a run that goes on keeps it; leave it out, or start a new run with "
            "--config and the config.toml of this one"
        )


def _same_rates(now: TrainConfig, before: TrainConfig) -> bool:
    """Whether the learning rates of both are the same at every step that both have."""
    rises = {warmup_steps(each.schedule, each.run.steps) for each in (now, before)}
    return now.schedule.name == "constant" and len(rises) == 1
