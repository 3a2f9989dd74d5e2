"""A training run at one step, in one file: tensors as safetensors has them, all else as JSON.

The file is written beside the last one and takes its name when it is on the disk, so whoever is
killed at any moment leaves a whole one. Nothing is pickled, and nothing of a file is executed.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from margin_losses.classes import follows_rows
from recognition.datasets._files import shown
from recognition.errors import InputError
from recognition.training.tensor_file import Keep, everything, read_metadata, read_tensors, said
from recognition.whole_files import whole_path

FORMAT = 1
TOLD, DIGEST = "checkpoint", "sha256"  # keys of the file's metadata: the JSON; of all that is read
LAST, BEST = "last.safetensors", "best.safetensors"


class Checkpoint(NamedTuple):
    """What a file holds.

    Attributes:
        tensors: by name; `backbone.fc.weight`, `optimiser.head.0.momentum_buffer`.
        told: everything else, as JSON has it.
    """

    tensors: Mapping[str, Tensor]
    told: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, without it."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): value
            for name, value in self.tensors.items()
            if name.startswith(start)
        }


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file whole, readable by its owner alone.

    Raises:
        OSError: no room, or no right to write; what was there is there still.
    """
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()
    }
    told = json.dumps({"format": FORMAT, **checkpoint.told}, allow_nan=False)
    save_whole(path, tensors, {TOLD: told, DIGEST: _digest(tensors, told)})


def save_whole(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors as safetensors, whole, readable by their owner alone.

    Raises:
        OSError: no room, or no right to write; what was there is there still.
    """
    with whole_path(path) as part:
        _save(tensors, part, metadata)


def _digest(tensors: Mapping[str, Tensor], told: str) -> str:
    """Of every name, shape and bit, as safetensors itself notices no bit that is another."""
    found = hashlib.sha256(told.encode())
    for name in sorted(tensors):
        value = tensors[name]
        found.update(said(name, value.dtype, tuple(value.shape)))
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _save(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """As safetensors writes it; a disk that is full is an `OSError`, as everywhere."""
    try:
        save_file(dict(tensors), path, metadata)
    except SafetensorError as error:
        raise OSError(None, str(error), str(path)) from error


def read_checkpoint(path: Path, *, keep: Keep = everything) -> Checkpoint:
    """What the file holds, on the CPU; all of it is looked at, and no more held than is kept.

    Args:
        path: of the file.
        keep: which rows of each tensor.

    Raises:
        InputError: no checkpoint, a damaged one, or one of another version of this toolkit.
    """
    wanted = f"{shown(path)}: expected a checkpoint that recognition train wrote"
    try:
        metadata = read_metadata(path)
        text = metadata.get(TOLD, "null")
        told = json.loads(text)
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise InputError(f"{wanted}, got {_reason(error)}") from None
    if not isinstance(told, dict):
        raise InputError(f"{wanted}, got weights without the state of a run")
    if told.get("format") != FORMAT:
        raise InputError(
            f"{wanted} in format {FORMAT}, got format {str(told.get('format'))[:20]}; resume it "
            "with the version that wrote it"
        )
    try:
        tensors, digest = read_tensors(path, text, keep)
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{wanted}, got {_reason(error)}") from None
    if metadata.get(DIGEST) != digest:
        raise InputError(f"{wanted}, got a damaged file (its bits are not those that were written)")
    return Checkpoint(tensors, told)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no file"
    if isinstance(error, IsADirectoryError):
        return "a folder"
    return f"a damaged file ({str(error).splitlines()[0][:100] if str(error) else 'unreadable'})"


def pack(prefix: str, optimiser: Optimizer) -> Checkpoint:
    """An optimiser's state: what it keeps of its parameters, and its options."""
    state = optimiser.state_dict()
    tensors, numbers = dict[str, Tensor](), dict[str, dict[str, Any]]()
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{prefix}.{index}.{name}"] = value
            else:
                numbers.setdefault(str(index), {})[name] = value
    return Checkpoint(tensors, {"groups": state["param_groups"], "numbers": numbers})


def unpack(optimiser: Optimizer, checkpoint: Checkpoint) -> None:
    """Give an optimiser of the same parameters what `pack` found.

    Raises:
        InputError: it is of other parameters.
    """
    state: dict[int, dict[str, Any]] = {}
    for name, value in checkpoint.tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    for index, entries in checkpoint.told["numbers"].items():
        state.setdefault(int(index), {}).update(entries)
    try:
        optimiser.load_state_dict({"state": state, "param_groups": checkpoint.told["groups"]})
    except (ValueError, KeyError) as error:
        raise InputError(
            f"the checkpoint's optimiser is of other parameters ({error}); it is of other code, of "
            "another network, or of another optimiser than is asked for"
        ) from None
    for group in optimiser.param_groups:
        for p in group["params"]:
            for name, value in optimiser.state.get(p, {}).items():
                if isinstance(value, Tensor) and value.ndim and not follows_rows(value, p):
                    raise InputError(
                        f"the checkpoint's {name} is {tuple(value.shape)}, and the parameter "
                        f"{tuple(p.shape)}: it is of another network or head"
                    )


def fill(module: torch.nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load tensors into a module of just these names and shapes.

    Raises:
        InputError: others are missing, left over, or of another shape; nothing has changed.
    """
    own = module.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    unlike = [
        name for name in own.keys() & tensors.keys() if own[name].shape != tensors[name].shape
    ]
    if missing or extra or unlike:
        told = [
            f"{word} {names[0]!r}" + (f" and {len(names) - 1} more" if names[1:] else "")
            for word, names in (("lacks", missing), ("has", extra), ("differs in", sorted(unlike)))
            if names
        ]
        raise InputError(
            f"the checkpoint is of another {what}: it {', it '.join(told)}; name the same backbone "
            "and head as the run had"
        )
    module.load_state_dict(dict(tensors))
