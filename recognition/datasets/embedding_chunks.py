"""Embeddings from a file of any size, some rows at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from recognition.contract import Contract
from recognition.datasets import embedding_files as files
from recognition.datasets._arrays import Array, Container, Described
from recognition.datasets._files import refusing
from recognition.datasets.embedding_files import EmbeddingFile, Failure

ROWS = 2**14  # at a time


@dataclass(frozen=True)
class EmbeddingStream:
    """A file of N labelled embeddings that is never in memory as a whole.

    Attributes:
        path: the file.
        contract: which model made the embeddings, where the file says so.
        rows: N.
        dimension: numbers in an embedding.
    """

    path: Path
    contract: Contract | None
    rows: int
    dimension: int
    _container: Container

    def chunks(self, rows: int = ROWS) -> Iterator[EmbeddingFile]:
        """All of it, in order, `rows` at a time; other columns than labels and ids are left out.

        Ids are not compared with each other. A chunk may hold failures and nothing else.

        Raises:
            InputError: the file is damaged, or a label is missing.
        """
        with refusing(self.path, "a file of embeddings", "write it again"):
            container = self._container
            known = [files._EMBEDDINGS, files._LABELS]
            known += [files._IDS] if files._has(container, files._IDS) else []
            names = [files._the(self.path, container, each) for each in known]
            streams = (container.chunks(name, rows) for name in names)
            start = 0
            for parts in zip(*streams, strict=True):
                yield self._chunk(dict(zip(names, parts, strict=True)), names, start)
                start += len(parts[0])

    def _chunk(self, parts: dict[str, Array], names: list[str], start: int) -> EmbeddingFile:
        described = {name: Described(part.shape, part.dtype) for name, part in parts.items()}
        container = Container(described, parts.__getitem__, self._container.elsewhere)
        embeddings = parts[names[0]]
        count = len(embeddings)
        embeddings = embeddings.astype(embeddings.dtype.newbyteorder("="), copy=False)
        labels, *given = (files._names(self.path, container, name, count) for name in names[1:])
        ids = given[0] if given else np.arange(start, start + count).astype(str)
        lost = files._failed(embeddings)
        failures = tuple(Failure(str(ids[at]), str(labels[at]), why) for at, why in lost.items())
        keep = np.ones(count, bool)
        keep[list(lost)] = False
        return EmbeddingFile(
            embeddings[keep], labels[keep], ids[keep], MappingProxyType({}), failures, {},
            self.contract,
        )  # fmt: skip


def open_embeddings(path: Path | str) -> EmbeddingStream:
    """The file, in the formats of `read_embeddings`, looked at but not read.

    Raises:
        InputError: no such file, another content than its suffix says, or arrays that do not fit.
    """
    path = Path(path)
    suffix = files._require_format(path)
    with refusing(path, f"a {suffix} file of embeddings", "write it again"):
        container = files._OPEN[suffix](path)
        if suffix == ".npy" or (
            suffix == ".safetensors" and not files._has(container, files._LABELS)
        ):
            container = files._with_sidecar(path, container, labelled=True)
        matrix = files._the(path, container, files._EMBEDDINGS)
        files._the(path, container, files._LABELS)
        rows = files._require_matrix(path, matrix, container.arrays[matrix])
        for known in (files._LABELS, files._IDS):
            if files._has(container, known):
                name = files._the(path, container, known)
                if container.arrays[name].shape != (rows,):
                    files._names(path, container, name, rows)  # says what is wrong
        dimension = container.arrays[matrix].shape[1]
        return EmbeddingStream(
            path, files._contract(path, container, dimension), rows, dimension, container
        )
