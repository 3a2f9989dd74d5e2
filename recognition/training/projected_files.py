"""Files of embeddings, projected: everything else in them stays as it is."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract
from recognition.datasets import embedding_files as files
from recognition.datasets._arrays import Container
from recognition.datasets._files import refusing, shown
from recognition.datasets.embedding_files import EmbeddingFile, read_embeddings
from recognition.errors import InputError
from recognition.training.projection import Saved
from recognition.whole_files import save_arrays

MARK = "projection"  # of a file that could not say it in a contract


@dataclass(frozen=True)
class Projected:
    """What `project_file` did.

    Attributes:
        rows: how many embeddings there are, failures among them.
        failures: how many pictures could not be embedded; they are so still.
        contract: of what was written.
        left_out: arrays of objects, which only unpickling could read.
    """

    rows: int
    failures: int
    contract: Contract | None
    left_out: tuple[str, ...]


def read_unprojected(path: Path | str) -> EmbeddingFile:
    """Labelled embeddings to learn a projection of.

    Raises:
        InputError: as `read_embeddings`; or they are projected, and do not say by which model the
            network's were.
    """
    table = read_embeddings(path)
    if table.contract is None:
        _require_unmarked(Path(path), _open(Path(path)))
    return table


def project_file(source: Path | str, projection: Saved, out: Path | str) -> Projected:
    """Write a file of embeddings again, with the embeddings projected, as .npz.

    Labels, ids, columns and whatever else there is stay as they are, in their order, as do pictures
    that could not be embedded. Where there is a contract, the new one is of the projection's file;
    else a text `projection` says that it is projected, and by what.

    Raises:
        InputError: a file that cannot be read, embeddings of another model or dimension than the
            projection was learned from, or a place that cannot be written to.
    """
    source, out = Path(source), Path(out)
    _require_place(source, out)
    table = read_embeddings(source, labelled=False)
    container = _open(source)
    if table.contract is None:
        _require_unmarked(source, container)
    projection.require_source(table.contract, table.embeddings.shape[1], shown(source))
    matrix = files._the(source, container, files._EMBEDDINGS)
    with refusing(source, "a file of embeddings", "write it again"):
        arrays = {name: container.load(name) for name in _readable(container)}
    arrays[matrix] = _project(arrays[matrix], projection)
    contract = projection.contract_of(table.contract)
    if contract is not None:
        arrays["contract"] = np.array(contract.to_json())
    else:
        told = {"sha256": projection.sha256, **projection.projection.told}
        arrays[MARK] = np.array(json.dumps(told, sort_keys=True))
    save_arrays(out, arrays)
    left_out = tuple(name for name in container.arrays if name not in arrays)
    return Projected(len(arrays[matrix]), len(table.failures), contract, left_out)


def _readable(container: Container) -> list[str]:
    return [
        name
        for name, described in container.arrays.items()
        if not described.dtype.hasobject and described.dtype.kind != "V"
    ]


def _project(embeddings: npt.NDArray[Any], projection: Saved) -> npt.NDArray[np.float32]:
    """Each row projected; one without a direction is NaN, infinite or zero as before."""
    failed = list(files._failed(embeddings))
    rows = np.ones(len(embeddings), bool)
    rows[failed] = False
    found = np.empty((len(embeddings), projection.projection.dim), np.float32)
    found[rows] = projection.projection.apply(embeddings[rows])
    with np.errstate(invalid="ignore"):
        found[failed] = np.abs(embeddings[failed]).max(axis=1, initial=0)[:, None]
    return found


def _open(path: Path) -> Container:
    suffix = files._require_format(path)
    with refusing(path, f"a {suffix} file of embeddings", "write it again"):
        container = files._OPEN[suffix](path)
        if suffix in (".npy", ".safetensors") and path.with_suffix(".csv").exists():
            return files._with_sidecar(path, container, labelled=False)
        return container


def _require_unmarked(path: Path, container: Container) -> None:
    described = container.arrays.get(MARK)
    if described is not None and described.shape == ():
        raise InputError(
            f"{shown(path)}: expected embeddings as a network gives them, but these are projected "
            "already; name the file that they were projected from"
        )


def _require_place(source: Path, out: Path) -> None:
    if out.suffix.lower() != ".npz" or out.is_dir():
        raise InputError(
            f"expected a .npz file to write projected embeddings to, got {shown(out)}; try "
            "projected.npz"
        )
    if not out.parent.is_dir():
        raise InputError(
            f"expected a folder for {shown(out)}, got none; make the folder first, or name another "
            "place"
        )
    if out.exists():
        same = source.exists() and out.samefile(source)
        raise InputError(
            f"{shown(out)} is there already{', and is what is to be projected' if same else ''}; "
            "name another file with --out, or remove it"
        )
