"""A linear map of embeddings that a network has made, and its file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract, require_same
from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.embeddings import require_directions, unit_rows
from recognition.errors import InputError
from recognition.whole_files import written_whole

Singles = npt.NDArray[np.float32]

FORMAT = 1
KEY = "projection"  # of the metadata
ROWS = 2**13  # projected at a time
_EXPECTED = "a projection (.safetensors) that recognition finetune wrote"
_AGAIN = "run recognition finetune again"


@dataclass(frozen=True, eq=False)
class Projection:
    """x -> W x + ‖x‖ b, whose direction is that of W u + b where u = x / ‖x‖.

    Lengths go along, so that what is read from them, as a quality, can be read from W x too; and
    the identity leaves every float32 number as it is.

    Attributes:
        weight: (d, D) float32, d <= D.
        bias: (d,) float32, or None.
        contract: of the embeddings it was learned from, where they have one.
        told: how it was learned, for people: head, people, seed, command, verdict.

    Raises:
        InputError: shapes that do not fit, more dimensions out than in, or numbers that are not
            finite.
    """

    weight: Singles
    bias: Singles | None = None
    contract: Contract | None = None
    told: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.weight.shape
        fits = self.weight.ndim == 2 and 1 <= shape[0] <= shape[1]
        if not fits or (self.bias is not None and self.bias.shape != shape[:1]):
            biased = "" if self.bias is None else f" with a bias of shape {self.bias.shape}"
            raise InputError(
                "expected a projection of shape (d, D) with 1 <= d <= D, and no bias or one of "
                f"shape (d,), got {shape}{biased}"
            )
        if not all(
            np.isfinite(part).all() for part in (self.weight, self.bias) if part is not None
        ):
            raise InputError("expected a projection of finite numbers, got NaN or infinity")
        if self.contract is not None and self.contract.dimension != shape[1]:
            raise InputError(
                f"expected a projection of the {self.contract.dimension} dimensions that its "
                f"contract says, got one of {shape[1]}"
            )

    @property
    def source_dim(self) -> int:
        """D, numbers in an embedding."""
        return int(self.weight.shape[1])

    @property
    def dim(self) -> int:
        """d, numbers in a projected one."""
        return int(self.weight.shape[0])

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return (
            self.dim == self.source_dim
            and np.array_equal(self.weight, np.eye(self.dim))
            and (self.bias is None or not self.bias.any())
        )

    def apply(self, embeddings: npt.ArrayLike) -> Singles:
        """Projected embeddings (N, d); each depends, but for the last digit, on its own row alone.

        Args:
            embeddings: (N, D), of any length.

        Raises:
            InputError: embeddings of another dimension, without a direction, or whose projection
                has none that float32 can hold.

        >>> Projection(np.eye(2, 3, dtype=np.float32)).apply([[1, 2, 3]])
        array([[1., 2.]], dtype=float32)
        """
        given = np.asarray(embeddings)
        require_directions(given)
        if given.shape[1] != self.source_dim:
            raise InputError(
                f"expected embeddings of {self.source_dim} dimensions, which this projection was "
                f"learned from, got {given.shape[1]}; project those of the same model"
            )
        out = np.empty((len(given), self.dim), np.float32)
        matrix = self.weight.T.astype(np.float64)
        for start in range(0, len(given), ROWS):
            rows = given[start : start + ROWS].astype(np.float64)
            found = rows @ matrix
            if self.bias is not None:
                found += np.linalg.norm(rows, axis=1, keepdims=True) * self.bias
            with np.errstate(over="ignore", under="ignore"):
                out[start : start + ROWS] = found
        largest = np.abs(out).max(axis=1)
        lost = ~(np.isfinite(largest) & (largest > 0))
        if lost.any():
            raise InputError(
                f"expected embeddings whose projection has a direction in float32, but row "
                f"{int(lost.argmax())} ({int(lost.sum())} of {len(lost)}) has none; bring them to "
                "unit length, or leave these rows out"
            )
        return out


def identity(dim: int) -> Projection:
    """The projection that leaves embeddings of so many dimensions as they are."""
    return Projection(np.eye(dim, dtype=np.float32))


def principal(embeddings: npt.ArrayLike, dim: int) -> Projection:
    """The `dim` directions in which unit embeddings (N, D) vary most, as rows of unit length.

    Raises:
        InputError: embeddings without a direction, or more dimensions than they have.
    """
    unit = unit_rows(embeddings)
    if not 1 <= dim <= unit.shape[1]:
        raise InputError(
            f"dim: expected 1 to {unit.shape[1]} dimensions, as many as the embeddings have, "
            f"got {dim}"
        )
    centred = unit - unit.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    rows = vectors[:, ::-1][:, :dim].T
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return Projection((rows * np.sign(largest)).astype(np.float32))  # or the sign is anybody's


def save_projection(path: Path, projection: Projection) -> None:
    """A .safetensors file, written whole; the same projection makes the same bytes."""
    from safetensors.numpy import save

    tensors = {"weight": np.ascontiguousarray(projection.weight)}
    if projection.bias is not None:
        tensors["bias"] = np.ascontiguousarray(projection.bias)
    contract = projection.contract
    told = {
        "format": FORMAT,
        "source_dim": projection.source_dim,
        "dim": projection.dim,
        "contract": None if contract is None else json.loads(contract.to_json()),
        **projection.told,
    }
    # one entry, as the library writes several in any order
    data = save(tensors, {KEY: json.dumps(told, sort_keys=True, allow_nan=False)})
    with written_whole(path) as file:
        file.write(data)


class Saved(NamedTuple):
    """A projection from a file, and the file's sha256 in hexadecimal digits."""

    projection: Projection
    sha256: str
    path: Path

    def require_source(self, contract: Contract | None, dimension: int, name: str) -> None:
        """Refuse embeddings of another model than it was learned from.

        Args:
            contract: of the embeddings.
            dimension: theirs.
            name: what to call them, such as their file.

        Raises:
            InputError: another contract or dimension, or a contract on one side only.
        """
        known = self.projection.contract
        if known is not None and contract is not None:
            require_same(known, contract, names=(f"what {shown(self.path)} was learned from", name))
        elif known is not None:
            raise InputError(
                f"{name}: expected embeddings by {known}, which {shown(self.path)} was learned "
                "from, but the file does not say by which model they are; embed with recognition "
                "embed, which writes it"
            )
        elif contract is not None:
            raise InputError(
                f"{name}: expected embeddings that do not say by which model they are, like those "
                f"that {shown(self.path)} was learned from, got those by {contract}; run "
                "recognition finetune on embeddings of that model"
            )
        if dimension != self.projection.source_dim:
            raise InputError(
                f"{name}: expected embeddings of {self.projection.source_dim} dimensions, which "
                f"{shown(self.path)} was learned from, got {dimension}; project those of the same "
                "model"
            )

    def contract_of(self, source: Contract | None) -> Contract | None:
        """Of projected embeddings: never the source's, as the hash is that of this file."""
        if source is None:
            return None
        return replace(
            source,
            model=f"{source.model} + projection {self.sha256[:12]}",
            sha256=self.sha256,
            dimension=self.projection.dim,
        )


def read_projection(path: Path | str) -> Saved:
    """What `save_projection` wrote, or `projection.safetensors` in a run folder.

    Raises:
        InputError: no such file, a damaged one, or one that holds something else.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "projection.safetensors"
    require_file(path, _EXPECTED)
    with refusing(path, _EXPECTED, _AGAIN):
        from safetensors import safe_open
        from safetensors.numpy import load

        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
        data = path.read_bytes()
        told = json.loads(metadata.get(KEY, "null"))
        tensors = load(data)
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise InputError(
            f"expected {_EXPECTED} at {shown(path)}, got tensors {listed(tensors)} without its "
            f"description; {_AGAIN}"
        )
    return Saved(_described(path, told, tensors), hashlib.sha256(data).hexdigest(), path)


def _described(
    path: Path, told: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]
) -> Projection:
    singles = all(tensor.dtype == np.float32 for tensor in tensors.values())
    if not {"weight"} <= tensors.keys() <= {"weight", "bias"} or not singles:
        raise InputError(
            f"{shown(path)}: expected a tensor weight, and perhaps one named bias, in float32, got "
            f"{listed(tensors)}; {_AGAIN}"
        )
    contract = told.pop("contract", None)
    sizes = told.pop("source_dim", None), told.pop("dim", None)
    del told["format"]
    with refusing(path, _EXPECTED, _AGAIN):
        known = None if contract is None else Contract.from_json(json.dumps(contract))
    try:
        projection = Projection(tensors["weight"], tensors.get("bias"), known, told)
    except InputError as error:
        raise InputError(f"{shown(path)}: {error}; {_AGAIN}") from None
    if sizes != (projection.source_dim, projection.dim):
        raise InputError(
            f"{shown(path)}: expected a projection of {sizes[0]} to {sizes[1]} dimensions, as it "
            f"says, got {projection.source_dim} to {projection.dim}; {_AGAIN}"
        )
    return projection
