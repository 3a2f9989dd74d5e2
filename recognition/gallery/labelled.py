"""Embeddings from files, and whether they may be compared with those of a gallery."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract, Preprocessing, require_same
from recognition.datasets._files import shown
from recognition.datasets.embedding_files import EmbeddingFile, read_embeddings
from recognition.errors import InputError


@dataclass(frozen=True)
class Labelled:
    """The embeddings in a file, as a gallery takes them.

    Attributes:
        path: the file.
        file: what is in it.
    """

    path: Path
    file: EmbeddingFile

    @property
    def contract(self) -> Contract | None:
        """What the file says of the model; None where it says nothing."""
        return self.file.contract

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
    """What `read_embeddings` reads, for a gallery.

    Raises:
        InputError: no such file, or one that is damaged.
    """
    return Labelled(path, read_embeddings(path, labelled=labelled))


def anonymous(name: str, dimension: int) -> Contract:
    """The contract of embeddings of which nobody knows the model: only the dimension is checked."""
    return Contract(name, "", dimension, Preprocessing())


def contract_of(path: Path) -> Contract:
    """Which model made the embeddings in a file, or that nobody knows.

    Raises:
        InputError: no such file, or one that is damaged.
    """
    found = read_labelled(path, labelled=False)
    return found.contract or anonymous(path.name, found.file.embeddings.shape[1])


def described(contract: Contract) -> str:
    """One line for people, which does not tell more than is known."""
    if contract.sha256:
        return str(contract)
    return f"{contract.model} ({contract.dimension} dimensions, of no known model)"


class Told(Protocol):
    """A file, and what it says of the model."""

    @property
    def path(self) -> Path: ...
    @property
    def contract(self) -> Contract | None: ...


def require_comparable(found: Told, wanted: Contract, *, trusted: bool) -> None:
    """Refuse embeddings by another model than a gallery's, or by one that is not known.

    Args:
        found: the file.
        wanted: the gallery's contract.
        trusted: the caller vouches for a file, or a gallery, that does not say which model it is.

    Raises:
        InputError: they are by another model, or one does not say which and nobody vouches for it.
    """
    known = found.contract if found.contract is not None and found.contract.sha256 else None
    if known is not None and wanted.sha256:
        require_same(known, wanted, names=(shown(found.path), "the gallery"))
    elif not trusted and (known is not None or wanted.sha256):
        silent = "the gallery" if known is not None else shown(found.path)
        raise InputError(
            f"{silent} does not say which model made its embeddings, so they cannot be compared "
            f"with those by {known or described(wanted)}; if you know that it is the same, say "
            "--trust"
        )
