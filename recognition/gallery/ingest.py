"""Files of any size into a gallery, some rows at a time, again and again without harm."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recognition.datasets._files import shown
from recognition.datasets.embedding_chunks import EmbeddingStream, open_embeddings
from recognition.datasets.embedding_files import EmbeddingFile, Failure
from recognition.errors import InputError
from recognition.gallery.interface import Gallery
from recognition.gallery.labelled import require_comparable
from recognition.gallery.vectors import gallery_rows
from recognition.progress import Watch, unwatched

SHOWN = 20  # failures kept to be told


@dataclass(frozen=True)
class Ingested:
    """What became of the rows of some files.

    Attributes:
        enrolled: rows that are enrolled now, and were not.
        known: rows whose person has the same embedding already.
        failed: rows without an embedding (NaN, infinite or all zeros).
        failures: the first of these.
    """

    enrolled: int
    known: int
    failed: int
    failures: tuple[Failure, ...]


def enroll_files(
    gallery: Gallery,
    paths: Iterable[Path | str] | Path | str,
    *,
    trusted: bool = False,
    watch: Watch = unwatched,
) -> Ingested:
    """Enrol every row of files of embeddings with labels, never holding a whole file.

    Files are as for `read_embeddings`, best `.npz` or `.parquet`. All of them are read once, and
    nothing is enrolled if anything is wrong with one. Then 16,384 rows at a time are enrolled, each
    such chunk whole or not at all. A row is known by its person and the sha256 of its embedding in
    float32: who was interrupted starts again, and it goes on where it was; a row that is there
    twice is enrolled once, also by two runs at once, but for those on Milvus, which can lock nobody
    out. The source of a sample is its id.

    Args:
        gallery: where to.
        paths: the files, or one, each with the person on every row.
        trusted: the caller vouches for files that do not say which model made them.
        watch: told how many rows are done.

    Raises:
        InputError: a file that cannot be read, of another model or dimension, or a row that a
            gallery cannot take; nothing is changed.
    """
    named = [paths] if isinstance(paths, Path | str) else paths
    streams = [open_embeddings(path) for path in named]
    total = sum(stream.rows for stream in streams)
    for stream in streams:
        require_comparable(stream, gallery.contract, trusted=trusted)
        if stream.dimension != gallery.contract.dimension:
            raise InputError(
                f"{shown(stream.path)}: expected {gallery.contract.dimension} dimensions, as the "
                f"gallery's, got {stream.dimension}; embed with the gallery's model"
            )
    with watch("checking files", total) as advance:
        done = 0
        for stream, chunk in _chunks(streams):
            _require(stream, chunk)
            done += len(chunk) + len(chunk.failures)
            advance(done)
    enrolled = known = failed = done = 0
    failures: list[Failure] = []
    with watch("enrolling", total) as advance:
        for _, chunk in _chunks(streams):
            new = _enroll_new(gallery, chunk)
            enrolled, known = enrolled + new, known + len(chunk) - new
            failed += len(chunk.failures)
            failures += chunk.failures[: SHOWN - len(failures)]
            done += len(chunk) + len(chunk.failures)
            advance(done, f"{known:,} known" if known else "")
    return Ingested(enrolled, known, failed, tuple(failures))


def _chunks(streams: list[EmbeddingStream]) -> Iterable[tuple[EmbeddingStream, EmbeddingFile]]:
    return ((stream, chunk) for stream in streams for chunk in stream.chunks())


def _require(stream: EmbeddingStream, chunk: EmbeddingFile) -> None:
    if not len(chunk):
        return
    gallery_rows(chunk.embeddings, what=shown(stream.path))


def _enroll_new(gallery: Gallery, chunk: EmbeddingFile) -> int:
    """Enrol the rows that their person does not have yet; how many they are."""
    rows = np.ascontiguousarray(chunk.embeddings, "<f4")
    names = chunk.labels.tolist()
    digests = [hashlib.sha256(row.tobytes()).hexdigest() for row in rows]
    with gallery.alone():
        have = gallery.digests(names)
        new = []
        for at, key in enumerate(zip(names, digests, strict=True)):
            if key not in have:
                have.add(key)
                new.append(at)
        if new:
            gallery.enroll_many(
                rows[new],
                [names[at] for at in new],
                sources=[str(chunk.ids[at]) for at in new],
                digests=[digests[at] for at in new],
            )
    return len(new)
