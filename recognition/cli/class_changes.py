"""What `recognition classes` does: a run is read, its people change, and it is written anew."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import typer
from torch import Tensor

from recognition.backbones.registry import find_backbone
from recognition.cli.console import bar, counter, show_json, show_lines, whole
from recognition.datasets._files import listed, shown
from recognition.datasets.embedding_files import read_embeddings
from recognition.datasets.picture_source import open_pictures
from recognition.errors import InputError
from recognition.report.results_folder import check_free
from recognition.report.text import legible
from recognition.training.class_changes import (
    add_people,
    directions,
    embedded_means,
    mean_embeddings,
    remove_people,
    set_directions,
)
from recognition.training.config import TrainConfig
from recognition.training.run_files import read_run, write_run
from recognition.training.state import State
from recognition.whole_files import save_arrays

Change = Callable[[State, TrainConfig], None]


def run_list(run: Path, *, as_json: bool) -> None:
    """Name everybody.

    Raises:
        InputError: no run.
    """
    people = read_run(run).state.people
    if as_json:
        show_json({"format": 1, "run": str(run), "people": list(people)})
        return
    for person in people:
        typer.echo(legible(person))


def run_add(run: Path, source: Path, out: Path, *, as_json: bool) -> None:
    """Let people in.

    Raises:
        InputError: somebody is known already, or the source does not fit.
    """

    def change(state: State, config: TrainConfig) -> None:
        add_people(state, _means(state, config, source))

    _changed(run, out, change, as_json=as_json)


def run_remove(run: Path, names: Sequence[str], out: Path, *, as_json: bool) -> None:
    """Drop people.

    Raises:
        InputError: somebody is not known, or too few would be left.
    """
    _changed(run, out, lambda state, _: remove_people(state, names), as_json=as_json)


def run_import(run: Path, source: Path, out: Path, *, as_json: bool) -> None:
    """Turn classes, and let in who is new.

    Raises:
        InputError: the source does not fit.
    """

    def change(state: State, config: TrainConfig) -> None:
        means = _means(state, config, source)
        known = {name: mean for name, mean in means.items() if name in set(state.people)}
        set_directions(state, known)
        add_people(state, {name: mean for name, mean in means.items() if name not in known})

    _changed(run, out, change, as_json=as_json)


def run_export(run: Path, out: Path, *, as_json: bool) -> None:
    """Write everybody's direction.

    Raises:
        InputError: no run, or another suffix than .npz.
    """
    if out.suffix != ".npz":
        raise InputError(f"--out: expected a file named .npz, got {shown(out)}")
    rows, people = directions(read_run(run).state)
    names = np.array(people, np.str_)
    save_arrays(out, {"embeddings": rows, "labels": names, "ids": names})
    if as_json:
        show_json(
            {"format": 1, "out": str(out), "people": len(people), "dimensions": rows.shape[1]}
        )
        return
    show_lines([f"Wrote the directions of {len(people)} people to {legible(str(out))}"])


def _changed(run: Path, out: Path, change: Change, *, as_json: bool) -> None:
    check_free(out)
    found = read_run(run)
    before = set(found.state.people)
    change(found.state, found.config)
    write_run(out, found)
    after = set(found.state.people)
    if as_json:
        told = {
            "format": 1,
            "run": str(out),
            "people": len(after),
            "added": sorted(after - before),
            "removed": sorted(before - after),
        }
        show_json(told)
        return
    added, removed = len(after - before), len(before - after)
    show_lines(
        [f"{len(after)} people now: {added} added, {removed} removed; written to {whole(out)}"]
    )
    show_lines([f"Go on with: recognition train PICTURES --from {whole(out)}"])


def _means(state: State, config: TrainConfig, source: Path) -> Mapping[str, Tensor]:
    """Each person's mean direction, of pictures or of embeddings."""
    if source.suffix.lower() in (".npz", ".npy", ".parquet"):
        table = read_embeddings(source)
        if table.failures:
            raise InputError(
                f"{shown(source)}: {len(table.failures)} rows have no embedding, "
                f"{listed(str(each.id) for each in table.failures)} among them; leave them out"
            )
        return mean_embeddings(table.embeddings, table.labels)
    side = find_backbone(config.model.backbone).input_size
    with counter(f"looking through {source.name}") as count:
        pictures = open_pictures(source, side=side, progress=count)
    with bar("embedding", len(pictures)) as advance:
        return embedded_means(state, pictures, config, advance=advance)
