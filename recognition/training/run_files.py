"""A run's folder as a whole: read, and written anew with other people."""

from pathlib import Path
from typing import NamedTuple

from recognition.datasets._files import shown
from recognition.errors import InputError
from recognition.report.results_folder import run_folder
from recognition.training.checkpoint import LAST, read_checkpoint, write_checkpoint
from recognition.training.config import TrainConfig
from recognition.training.config_files import read_config, write_config
from recognition.training.state import State, from_checkpoint, to_checkpoint
from recognition.training.weights import save_network

CONFIG = "config.toml"


class Run(NamedTuple):
    """A run at its last checkpoint."""

    config: TrainConfig
    state: State


def read_config_of(folder: Path) -> TrainConfig:
    """What a run was asked to do.

    Raises:
        InputError: it is no folder of a run, or its configuration is damaged.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(
            f"expected the folder of a run at {shown(folder)}, with its {CONFIG}, got none; "
            "name a folder that recognition train made"
        )
    return read_config(folder / CONFIG)


def read_run(folder: Path) -> Run:
    """A run as it was saved last, on the CPU or the device of its configuration.

    Raises:
        InputError: it is none, or its checkpoint is damaged.
    """
    config = read_config_of(folder)
    return Run(config, from_checkpoint(read_checkpoint(folder / LAST), config))


def write_run(folder: Path, run: Run) -> None:
    """A new folder with a checkpoint, the weights, and the configuration; whole or not at all.

    Raises:
        InputError: something is there.
    """
    config, state = run
    with run_folder(folder) as partial:
        write_config(config, partial / CONFIG)
        write_checkpoint(partial / LAST, to_checkpoint(state, config))
        save_weights_of(partial, run)


def save_weights_of(folder: Path, run: Run) -> None:
    """The network and the classes in files of their own, as `recognition compare` writes them."""
    model = run.config.model
    save_network(
        run.state.judged,
        run.state.head,
        run.state.people,
        folder / "weights",
        backbone_name=model.backbone,
        head_name=model.head,
        seed=run.config.run.seed,
        name=model.head,
    )
