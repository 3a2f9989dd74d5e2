"""Embeddings that another program wrote, with the person on each picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract
from recognition.datasets._arrays import Array, Container, Described
from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.datasets._npy import open_npy, open_npz
from recognition.datasets._parquet import open_parquet
from recognition.datasets._safetensors import open_safetensors
from recognition.datasets._tables import read_columns
from recognition.errors import InputError

Names = npt.NDArray[np.str_]

_OPEN: dict[str, Callable[[Path], Container]] = {
    ".npz": open_npz,
    ".npy": open_npy,
    ".parquet": open_parquet,
    ".safetensors": open_safetensors,
}
_BEGINNINGS = {
    b"PK\x03\x04": ".npz",
    b"PK\x05\x06": ".npz",
    b"\x93NUMPY": ".npy",
    b"PAR1": ".parquet",
    b"\x89HDF": ".h5",
    b"\x80": ".pickle",
}
_EMBEDDINGS = ("embeddings", "embedding")
_LABELS = ("labels", "label")
_IDS = ("ids", "id")
_FLOATS = (np.float16, np.float32, np.float64)


class Failure(NamedTuple):
    """A picture that could not be embedded: it counts as an error, not as absent."""

    id: str
    label: str
    reason: str


@dataclass(frozen=True)
class EmbeddingFile:
    """N embeddings as they were stored, with the person on each picture.

    Attributes:
        embeddings: (N, D) float16, float32 or float64, finite, no row all zeros, of any length;
            a large .npy or .safetensors file is mapped, not read.
        labels: (N,) str, the person on each picture; empty texts where they were not asked for.
        ids: (N,) str, unique.
        columns: what else the file says of each picture, each (N,) str.
        failures: the pictures whose embedding is NaN, infinite or all zeros; they are in none of
            the arrays.
        failed_columns: what else the file says of each failure, each (F,) str.
        contract: which model made the embeddings, where the file says so, as those that
            `recognition embed` writes do.
    """

    embeddings: npt.NDArray[np.floating[Any]]
    labels: Names
    ids: Names
    columns: Mapping[str, Names]
    failures: tuple[Failure, ...] = ()
    failed_columns: Mapping[str, Names] = field(default_factory=dict)
    contract: Contract | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def everyone(self) -> Names:
        """(N + F,) the person on each picture, then on each of those that could not be embedded."""
        return np.concatenate([self.labels, np.array([f.label for f in self.failures], np.str_)])

    def at(self, places: npt.NDArray[np.int64]) -> "EmbeddingFile":
        """Only these pictures, by their place in `everyone`, ascending."""
        rows, lost = places[places < len(self)], places[places >= len(self)] - len(self)
        return EmbeddingFile(
            self.embeddings[rows],
            self.labels[rows],
            self.ids[rows],
            MappingProxyType({name: texts[rows] for name, texts in self.columns.items()}),
            tuple(self.failures[at] for at in lost),
            {name: texts[lost] for name, texts in self.failed_columns.items()},
            self.contract,
        )


def read_embeddings(path: Path | str, *, labelled: bool = True) -> EmbeddingFile:
    """The embeddings, labels and ids in a file; the suffix names the format.

    `.npz`: arrays `embeddings` (N, D), `labels` (N,), perhaps `ids` (N,); other flat arrays of
    N values are columns, a text `contract` says which model made them, the rest is passed over.
    `.npy`: the matrix, and beside it a CSV of the
    same name (`a.npy`, `a.csv`) with a column `label`, perhaps `id` and others, one line for each
    row in the same order. `.parquet`: a column `embedding` of lists, `label`, perhaps `id` and
    others. `.safetensors`: a tensor `embeddings`, and `labels` as whole numbers or in a CSV as
    above; bfloat16 becomes float32. Singular and plural names are the same.

    Labels and ids are text or whole numbers, never floats: float32 has rounded what is above
    2^24. Without ids the rows are numbered from 0. Nothing is unpickled.

    Args:
        path: the file.
        labelled: where this is False, labels are not looked at, need not be there, and are empty
            texts in what is returned: for pairs that say themselves which are mated.

    Raises:
        InputError: no such file, another content than its suffix says, a damaged one, arrays
            that do not fit each other, a missing label, an id that comes twice, or no row that
            can be used.
    """
    path = Path(path)
    suffix = _require_format(path)
    with refusing(path, f"a {suffix} file of embeddings", "write it again"):
        container = _OPEN[suffix](path)
        lacking = suffix == ".npy" or (suffix == ".safetensors" and not _has(container, _LABELS))
        if lacking and (labelled or path.with_suffix(".csv").exists()):
            container = _with_sidecar(path, container, labelled=labelled)
        return assemble(path, container, labelled=labelled)


def _require_format(path: Path) -> str:
    known = ", ".join(_OPEN)
    require_file(path, f"a file of embeddings ({known})")
    suffix = path.suffix.lower()
    if suffix not in _OPEN:
        raise InputError(
            f"expected a file of embeddings ({known}) at {shown(path)}, got the suffix "
            f"{listed([suffix])}; save them with numpy.savez(path, embeddings=..., labels=...)"
        )
    with refusing(path, f"a {suffix} file", "check the disk"), path.open("rb") as file:
        beginning = file.read(8)
    content = next((kind for mark, kind in _BEGINNINGS.items() if beginning.startswith(mark)), "")
    # a .safetensors file begins with a length, which may look like anything
    if content != suffix and suffix != ".safetensors":
        raise InputError(
            f"expected a {suffix} file at {shown(path)}, but its content is "
            f"{f'that of a {content} file' if content else 'something else'}; "
            + ("rename it" if content in _OPEN else "save the embeddings with numpy.savez")
        )
    return suffix


def _with_sidecar(path: Path, container: Container, *, labelled: bool) -> Container:
    """The container, and the columns of the CSV of the same name beside it."""
    sidecar = path.with_suffix(".csv")
    require_file(
        sidecar, f"the labels of {shown(path)}, in a CSV with a column label and a line a row,"
    )
    columns = read_columns(sidecar)
    twice = sorted(columns.keys() & container.arrays.keys())
    if twice or (labelled and not _named(columns, _LABELS)):
        raise InputError(
            f"{shown(sidecar)}, line 1: expected a column label, and none that "
            f"{shown(path)} has too, got {listed(columns, 20)}; rename the columns"
        )

    def load(name: str) -> Array:
        return columns[name] if name in columns else container.load(name)

    described = {name: Described(texts.shape, texts.dtype) for name, texts in columns.items()}
    return Container({**container.arrays, **described}, load, dict.fromkeys(columns, sidecar))


def assemble(path: Path, container: Container, *, labelled: bool = True) -> EmbeddingFile:
    arrays = container.arrays
    matrix = _the(path, container, _EMBEDDINGS)
    rows = _require_matrix(path, matrix, arrays[matrix])
    contract = _contract(path, container, arrays[matrix].shape[1])
    if labelled and contract is not None and not _has(container, _LABELS):
        raise InputError(
            f"{shown(path)}: expected labels, the person on each picture, but recognition embed "
            "was not told who they are; embed a folder of folders, one a person, with --labelled"
        )
    label = _the(path, container, _LABELS) if labelled else None
    labels = np.full(rows, "") if label is None else _names(path, container, label, rows)
    given = _the(path, container, _IDS) if _has(container, _IDS) else None
    ids = np.arange(rows).astype(str) if given is None else _names(path, container, given, rows)
    _require_unique(container.elsewhere.get(given or "", path), ids)
    columns = {
        name: _text(path, name, container.load(name))
        for name, described in arrays.items()
        if name not in (matrix, label, given)
        and described.shape == (rows,)
        and described.dtype.kind in "USiufb"
    }
    embeddings = container.load(matrix)
    embeddings = embeddings.astype(embeddings.dtype.newbyteorder("="), copy=False)
    failed = _failed(embeddings)
    if len(failed) == rows:
        raise InputError(
            f"{shown(path)}: expected embeddings, but all {rows} rows are NaN, infinite or zero "
            f"(row 0 is {failed[0]}); look at the program that wrote them"
        )
    failures = tuple(Failure(str(ids[i]), str(labels[i]), why) for i, why in failed.items())
    lost: dict[str, Names] = {}
    if failures:
        lost = {name: texts[list(failed)] for name, texts in columns.items()}
        keep = np.ones(rows, bool)
        keep[list(failed)] = False
        embeddings, labels, ids = embeddings[keep], labels[keep], ids[keep]
        columns = {name: texts[keep] for name, texts in columns.items()}
    return EmbeddingFile(
        embeddings, labels, ids, MappingProxyType(columns), failures, lost, contract
    )


def _contract(path: Path, container: Container, dimension: int) -> Contract | None:
    """The contract of the embeddings, a single text; another array of that name is none."""
    described = container.arrays.get("contract")
    if described is None or described.shape != () or described.dtype.kind != "U":
        return None
    contract = Contract.from_json(_text(path, "contract", container.load("contract")).item())
    if contract.dimension != dimension:
        raise InputError(
            f"{shown(path)}: expected embeddings of {contract.dimension} dimensions, as the "
            f"contract in it says, got {dimension}; embed the photographs again"
        )
    return contract


def _named(names: Mapping[str, object], known: Sequence[str]) -> list[str]:
    return [name for name in known if name in names]


def _has(container: Container, known: Sequence[str]) -> bool:
    return bool(_named(container.arrays, known))


def _the(path: Path, container: Container, known: Sequence[str]) -> str:
    """The one array that goes by any of these names."""
    found = _named(container.arrays, known)
    if len(found) != 1:
        came = " and ".join(found) if found else listed(container.arrays, 20) or "no arrays"
        way_out = "rename one" if found else "rename one, or add it"
        raise InputError(
            f"{shown(path)}: expected {known[0]} under one of the names {listed(known)}, got "
            f"{came}; {way_out}"
        )
    return found[0]


def _require_matrix(path: Path, name: str, described: Described) -> int:
    shape, dtype = described
    if dtype.hasobject:
        raise InputError(
            f"{shown(path)}: expected {name} to be numbers, but they are an array of objects, "
            "which only unpickling could read and which may run code; save numpy.stack(rows) as "
            "float32"
        )
    if len(shape) != 2 or 0 in shape or dtype.newbyteorder("=") not in _FLOATS:
        kind = "an unknown type" if dtype.kind == "V" else dtype
        raise InputError(
            f"{shown(path)}: expected {name} of shape (pictures, dimensions) in float16, float32 "
            f"or float64, got shape {shape} of {kind}; save it as such a matrix, one row for each "
            "picture"
        )
    return shape[0]


def _names(path: Path, container: Container, name: str, rows: int) -> Names:
    """Labels or ids: one text or whole number a row, and none missing."""
    path = container.elsewhere.get(name, path)
    shape, dtype = container.arrays[name]
    if shape != (rows,):
        raise InputError(
            f"{shown(path)}: expected {name} for each of {rows} rows of embeddings, got shape "
            f"{shape}; write one for each row, in the same order"
        )
    if dtype.kind == "f":
        raise InputError(
            f"{shown(path)}: expected {name} in text or whole numbers, got {dtype}, which may "
            "have rounded them (float32 does above 2^24 = 16777216); save the originals as int64 "
            "or text"
        )
    if dtype.kind not in "USiuO":
        raise InputError(
            f"{shown(path)}: expected {name} in text or whole numbers, got type {dtype}; save "
            "them as text"
        )
    texts = _text(path, name, container.load(name))
    missing = np.strings.str_len(np.strings.strip(texts)) == 0
    if missing.any():
        raise InputError(
            f"{shown(path)}: expected {name} for every row, but row {int(missing.argmax())} has "
            f"none ({int(missing.sum())} of {rows}); fill them in, or leave these rows out"
        )
    return texts


def _text(path: Path, name: str, values: Array) -> Names:
    """Values as the texts a person would write for them."""
    kind = values.dtype.kind
    if kind == "S":
        try:
            decoded: Names = np.strings.decode(values, "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{shown(path)}: expected {name} to be text in UTF-8, but some are other bytes; "
                "save them as text"
            ) from error
        return decoded
    if kind != "U":
        return values.astype(np.str_)
    texts: Names = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    if texts.dtype.itemsize:
        points = texts.view(np.uint32)
        if ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any():
            raise InputError(
                f"{shown(path)}: expected {name} to be text, but some of it is no Unicode "
                "character; the file is damaged: write it again"
            )
    return texts


def _require_unique(path: Path, ids: Names) -> None:
    listing = ids.tolist()
    if len(set(listing)) == len(listing):
        return
    first: dict[str, int] = {}
    twice = [
        f"{listed([name])} in rows {first[name]} and {row}"
        for row, name in enumerate(listing)
        if first.setdefault(name, row) != row
    ]
    raise InputError(
        f"{shown(path)}: expected every id once, got {'; '.join(twice[:3])} ({len(twice)} "
        "repeated); give each picture an id of its own, or leave the ids out"
    )


def _failed(embeddings: npt.NDArray[np.floating[Any]]) -> dict[int, str]:
    """The rows without a direction, each with the reason; a block of rows at a time."""
    failed: dict[int, str] = {}
    step = max(1, 2**20 // embeddings.shape[1])
    for start in range(0, len(embeddings), step):
        with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
            largest = np.abs(embeddings[start : start + step]).max(axis=1)
        for i in np.flatnonzero(~(np.isfinite(largest) & (largest > 0))):
            value = largest[i]
            why = "NaN" if np.isnan(value) else "infinite" if value else "all zeros"
            failed[start + int(i)] = why
    return failed
