"""Embeddings from files, and whether they may be compared with those of a gallery."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract, Preprocessing
from recognition.datasets._files import refusing, shown
from recognition.datasets._npy import open_npz
from recognition.datasets.embedding_files import EmbeddingFile, read_embeddings
from recognition.errors import InputError


@dataclass(frozen=True)
class Labelled:
    """The embeddings in a file, and which model made them.

    Attributes:
        path: the file.
        file: what is in it.
        contract: what it says of the model; None where it says nothing.
    """

    path: Path
    file: EmbeddingFile
    contract: Contract | None

    @property
    def rows(self) -> npt.NDArray[np.float32]:
        """(N, D) as they are enrolled."""
        return np.asarray(self.file.embeddings, np.float32)

    @property
    def photos(self) -> list[str]:
        """The photograph of each row, where the file has it; else its id."""
        return list(map(str, self.file.columns.get("photos", self.file.ids).tolist()))

    @property
    def places(self) -> list[int]:
        """Which face it is on its photograph, where the file has it; else 0."""
        told = self.file.columns.get("places")
        return [0] * len(self.file) if told is None else [_whole(text) for text in told.tolist()]

    @property
    def digests(self) -> list[str]:
        """sha256 of each photograph where the file has it, else of the embedding."""
        known = self.file.columns.get("digests")
        if known is not None and len(set(known.tolist())) == len(known) and all(known.tolist()):
            return list(map(str, known.tolist()))
        rows = self.rows.astype("<f4")
        return [hashlib.sha256(np.ascontiguousarray(row).tobytes()).hexdigest() for row in rows]


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def read_labelled(path: Path, *, labelled: bool = True) -> Labelled:
    """What `read_embeddings` reads, with the contract that `recognition embed` writes.

    Raises:
        InputError: no such file, or one that is damaged.
    """
    file = read_embeddings(path, labelled=labelled)
    contract = None
    if path.suffix.lower() == ".npz":
        with refusing(path, "a file of embeddings", "write it again"):
            container = open_npz(path)
            described = container.arrays.get("contract")
            if described is not None and described.shape == () and described.dtype.kind == "U":
                contract = Contract.from_json(str(container.load("contract")))
    if contract is not None and contract.dimension != file.embeddings.shape[1]:
        raise InputError(
            f"{shown(path)}: expected {contract.dimension} dimensions, as its contract says, got "
            f"{file.embeddings.shape[1]}; embed the photographs again"
        )
    return Labelled(path, file, contract)


def anonymous(name: str, dimension: int) -> Contract:
    """The contract of embeddings of which nobody knows the model: only the dimension is checked."""
    return Contract(name, "", dimension, Preprocessing())


def described(contract: Contract) -> str:
    """One line for people, which does not tell more than is known."""
    if contract.sha256:
        return str(contract)
    return f"{contract.model} ({contract.dimension} dimensions, of no known model)"


def contract_to_check(found: Labelled, wanted: Contract, *, trusted: bool) -> Contract | None:
    """What a gallery is to check of a file; None where there is nothing but the dimension.

    Args:
        found: the file.
        wanted: the gallery's contract.
        trusted: the caller vouches for a file, or a gallery, that does not say which model it is.

    Raises:
        InputError: one of them does not say which model it is, and nobody vouches for it.
    """
    unknown = found.contract is None or not found.contract.sha256
    if unknown and not wanted.sha256:
        return None
    if unknown or not wanted.sha256:
        if trusted:
            return None
        silent = shown(found.path) if unknown else "the gallery"
        other = described(wanted) if unknown else str(found.contract)
        raise InputError(
            f"{silent} does not say which model made its embeddings, so they cannot be compared "
            f"with those by {other}; if you know that it is the same, say --trust"
        )
    return found.contract
