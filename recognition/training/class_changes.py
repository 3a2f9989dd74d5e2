"""People who come and go in a run: other rows of the class matrix, and the optimiser's with them.

Nobody is trained from nothing because somebody arrived: who is known keeps the row and its
momentum, who is new begins at the mean of their own embeddings.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recognition.backbones.registry import find_backbone
from recognition.datasets._files import listed
from recognition.datasets.picture_source import PictureSource
from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.progress import Advance
from recognition.training.checkpoint import LAST, read_checkpoint
from recognition.training.config import TrainConfig
from recognition.training.optimisers import make_optimisers, settle
from recognition.training.state import State, from_checkpoint
from recognition.training.validation import embed_source

Floats = npt.NDArray[np.floating]


def mean_embeddings(embeddings: Floats, labels: npt.NDArray[np.str_]) -> dict[str, Tensor]:
    """The mean direction of each person's embeddings, (D,) of unit length.

    Args:
        embeddings: (N, D), of any length.
        labels: (N,) the person on each.

    Raises:
        InputError: a row without a direction, or a person whose embeddings cancel out.
    """
    unit = unit_rows(embeddings)
    people, codes = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(people), unit.shape[1]))
    np.add.at(sums, codes, unit)
    flat = np.flatnonzero(np.linalg.norm(sums, axis=1) < 1e-6)
    if len(flat):
        raise InputError(f"{listed(people[flat])}: the embeddings cancel out; name other pictures")
    return dict(zip(people.tolist(), torch.from_numpy(unit_rows(sums)), strict=True))


def add_people(state: State, means: Mapping[str, Tensor]) -> None:
    """A class for each of these people, after the others, in order of their names.

    A row is as long as the others are on average, so that a learning rate turns it as much.

    Raises:
        InputError: somebody has a class already, or the directions are of another length than the
            head's; nothing has changed.
    """
    names = sorted(means)
    known = sorted(set(state.people) & set(names))
    if known:
        raise InputError(
            f"{listed(known)} learned from already; leave them out, or remove them first"
        )
    if not names:
        return
    settle(state.optimisers)
    head = state.head
    rows = torch.stack([means[name] for name in names]).to(head.weight)
    if rows.shape[1] != head.embedding_dim:
        raise InputError(
            f"expected embeddings of {head.embedding_dim} numbers, as this head takes, got "
            f"{rows.shape[1]}; embed the pictures with this run's network"
        )
    own = head.weight.detach()[..., : head.embedding_dim]
    rows *= own.norm(dim=-1).mean()
    if own.ndim == 3:  # sub-centres of a person begin together, and part as their pictures do
        rows = rows[:, None].expand(-1, own.shape[1], -1)
    head.add_classes(rows, optimiser=state.optimisers.head)
    state.people = [*state.people, *names]


def remove_people(state: State, names: Iterable[str]) -> None:
    """Drop the classes of these people.

    Raises:
        InputError: somebody has no class, or too few would be left; nothing has changed.
    """
    gone = set(names)
    unknown = sorted(gone - set(state.people))
    if unknown:
        raise InputError(
            f"{listed(unknown)}: not among the {len(state.people)} people of this run; "
            "recognition classes list names them"
        )
    labels = [number for number, person in enumerate(state.people) if person in gone]
    if not labels:
        return
    try:
        state.head.remove_classes(labels, optimiser=state.optimisers.head)
    except ValueError as error:
        raise InputError(str(error)) from None
    state.people = [person for person in state.people if person not in gone]


def set_directions(state: State, means: Mapping[str, Tensor]) -> None:
    """Other directions for people who have a class; their rows keep their lengths.

    Raises:
        InputError: somebody has no class, or the directions do not fit; nothing has changed.
    """
    order = {person: number for number, person in enumerate(state.people)}
    unknown = sorted(means.keys() - order.keys())
    if unknown:
        raise InputError(f"{listed(unknown)}: no such class; add them instead")
    if not means:
        return
    settle(state.optimisers)
    own = state.head.weight.detach()[..., : state.head.embedding_dim]
    rows = torch.stack([means[name] for name in means]).to(own)
    if rows.shape[1] != own.shape[-1]:
        raise InputError(
            f"expected embeddings of {own.shape[-1]} numbers, as this head takes, got "
            f"{rows.shape[1]}; embed the pictures with this run's network"
        )
    places = torch.tensor([order[name] for name in means], device=own.device)
    if own.ndim == 3:
        rows = rows[:, None].expand(-1, own.shape[1], -1)
    own[places] = rows * own[places].norm(dim=-1, keepdim=True)


def directions(state: State) -> tuple[npt.NDArray[np.float32], Sequence[str]]:
    """Each person's direction, (C, D) unit rows, and who they are; of sub-centres their mean.

    Raises:
        InputError: sub-centres of somebody cancel out.
    """
    rows = state.head.prototypes()
    mean = rows.mean(dim=1) if rows.ndim == 3 else rows
    found = unit_rows(mean.cpu().numpy()).astype(np.float32)
    return found, list(state.people)


def adopt(state: State, people: Sequence[str], means: Mapping[str, Tensor]) -> None:
    """Exactly these people: who is new comes at their mean, and who is not among them goes.

    Raises:
        InputError: too few would be left.
        KeyError: somebody new has no mean.
    """
    known, wanted = set(state.people), set(people)
    add_people(state, {name: means[name] for name in wanted - known})
    remove_people(state, known - wanted)


def embedded_means(
    state: State, source: PictureSource, config: TrainConfig, *, advance: Advance | None = None
) -> dict[str, Tensor]:
    """Each person's mean direction by the run's own network, from their pictures.

    Raises:
        InputError: somebody's pictures can all not be decoded, or cancel out.
    """
    embedded = embed_source(
        state.judged,
        source,
        standardisation=find_backbone(config.model.backbone).standardisation,
        workers=config.data.workers,
        advance=advance,
    )
    missing = np.setdiff1d(source.labels, embedded.labels)
    if len(missing):
        raise InputError(f"{listed(missing)}: none of the pictures can be decoded; mend them")
    return mean_embeddings(embedded.embeddings, embedded.labels)


def started(folder: Path, config: TrainConfig, device: str | None = None) -> State:
    """A run's network, class rows and momentum at their last checkpoint, before a first step.

    Learning rates, momentum and decay are those of the configuration.

    Raises:
        InputError: no such run, or one with another backbone, head or optimiser.
    """
    checkpoint = read_checkpoint(folder / LAST)
    if config.optimiser.ema and not checkpoint.part("average"):  # an average of one
        own = {f"average.{name}": value for name, value in checkpoint.part("backbone").items()}
        checkpoint = checkpoint._replace(tensors={**checkpoint.tensors, **own})
    state = from_checkpoint(checkpoint, config, device)
    fresh_ones = make_optimisers(state.backbone, state.head, config.optimiser)
    for new, old in zip(fresh_ones, state.optimisers, strict=True):
        new.state.update(old.state)
    state.optimisers = fresh_ones
    state.step, state.in_a_row = 0, 0
    state.best.clear()
    state.skipped.clear()
    state.broken.clear()
    return state
