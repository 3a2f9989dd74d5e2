"""What the first step of a run is taken from: a fresh state, a checkpoint, or another run."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from recognition.datasets._files import shown
from recognition.datasets.picture_source import PictureSource
from recognition.errors import InputError
from recognition.training.checkpoint import BEST, LAST, Checkpoint, read_checkpoint
from recognition.training.class_changes import adopt, embedded_means, started
from recognition.training.config import TrainConfig
from recognition.training.config_files import changed, config_of
from recognition.training.divided_classes import own_rows
from recognition.training.ranks import ALONE, Ranks
from recognition.training.resuming import check_resumed
from recognition.training.run_files import read_config_of
from recognition.training.sets import Sets, digest_of
from recognition.training.state import State, choose_kernel, fresh, from_checkpoint
from recognition.training.tensor_file import nothing

log = logging.getLogger(__name__)


def begun(
    config: TrainConfig,
    folder: Path,
    sets: Sets,
    resume: bool,
    start: Path | None,
    device: str,
    ranks: Ranks = ALONE,
) -> State:
    """The state that the first step is taken from, with all classes, or this process's rows."""
    people = np.unique(sets.learn.labels).tolist()
    if resume:
        state = _resumed(folder, config, digest_of(sets), device, ranks)
    elif start is None:
        state = fresh(config, people, device)
    else:
        state = started(start, config, device)
        new = sets.learn.of(np.setdiff1d(sets.learn.labels, state.people))
        adopt(state, people, embedded_means(state, new, config) if len(new) else {})
        choose_kernel(state.head, config)
    if sorted(state.people) != people:
        raise InputError(
            f"{shown(folder)} is of {len(state.people)} people, and there are {len(people)} now, or "
            "others; bring the pictures back, or begin a run --from it"
        )
    return state


def codes_of(source: PictureSource, people: Sequence[str]) -> npt.NDArray[np.int64]:
    """(N,) the class of each picture, classes being in the order of these people."""
    names, codes = np.unique(source.labels, return_inverse=True)
    order = {person: number for number, person in enumerate(people)}
    return np.array([order[name] for name in names.tolist()], np.int64)[codes]


def _resumed(folder: Path, config: TrainConfig, digest: str, device: str, ranks: Ranks) -> State:
    """The run at its last checkpoint, of which each process holds its own rows."""
    check_resumed(config, read_config_of(folder))
    checkpoint = read_checkpoint(folder / LAST, keep=own_rows(ranks))
    check_resumed(config, _asked_of(checkpoint, config))
    if checkpoint.told.get("data") != digest:
        raise InputError(
            f"the pictures are not those that {shown(folder)} learns from; bring them back, or "
            "begin another run --from it"
        )
    threads = checkpoint.told.get("threads")
    if threads != torch.get_num_threads():
        log.warning(
            "%s threads now, and %s before: sums may differ in their last digits",
            torch.get_num_threads(),
            threads,
        )
    state = from_checkpoint(checkpoint, config, device, ranks=ranks)
    if state.step > config.run.steps:
        raise InputError(
            f"{shown(folder)} has taken {state.step:,} steps, got --steps {config.run.steps:,}; "
            "ask for as many or more"
        )
    _recall_best(folder, state)
    return state


def _asked_of(checkpoint: Checkpoint, config: TrainConfig) -> TrainConfig:
    """What the run was asked to do when it was saved, whatever `config.toml` was made since.

    Where its pictures lie may have changed: that they are the same is seen by their names.
    """
    told = checkpoint.told.get("config")
    if not isinstance(told, dict):
        raise InputError(
            "the checkpoint is not as recognition train writes it; it is of other code"
        )
    here = {"data.pictures": config.data.pictures, "data.validation": config.data.validation}
    return changed(config_of(told), here)


def _recall_best(folder: Path, state: State) -> None:
    """Which network is the best by what is kept of it, perhaps since the last checkpoint."""
    if (folder / BEST).exists():
        try:
            state.best = dict(read_checkpoint(folder / BEST, keep=nothing).told["best"])
        except (InputError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{error}; remove it to go on, and the best is sought from here on"
            ) from None
    elif state.best:
        log.warning("%s is gone, and the best is sought from here on", shown(folder / BEST))
        state.best.clear()
