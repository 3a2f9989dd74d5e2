"""A file some rows at a time is the file as a whole."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzz import damaged, refused

from recognition.datasets.embedding_chunks import open_embeddings
from recognition.datasets.embedding_files import EmbeddingFile, read_embeddings
from recognition.errors import InputError


def table(count: int = 103, dimension: int = 5, *, kind: Any = np.float32) -> dict[str, Any]:
    random = np.random.default_rng(count)
    rows = random.standard_normal((count, dimension)).astype(kind)
    if count > 20:
        rows[3], rows[17] = np.nan, 0
        rows[40:60] = np.inf  # whole chunks without an embedding
    names = np.array([f"person {n % 7}" * (1 + n % 3) for n in range(count)])
    return {"embeddings": rows, "labels": names, "ids": np.array([f"é{n}" for n in range(count)])}


def write(folder: Path, suffix: str, arrays: dict[str, Any]) -> Path:
    path = folder / f"faces.{suffix.removeprefix('packed.')}"
    if suffix == "npz":
        np.savez(path, **arrays)
    elif suffix == "packed.npz":
        np.savez_compressed(path, **arrays)
    elif suffix == "parquet":
        columns = {key: list(value) for key, value in arrays.items()}
        pq.write_table(pa.table(columns), path, row_group_size=17)
    else:
        np.save(path, arrays["embeddings"])
        lines = [f"{a},{b}" for a, b in zip(arrays["labels"], arrays["ids"], strict=True)]
        path.with_suffix(".csv").write_text("\n".join(["label,id", *lines, ""]))
    return path


def joined(chunks: list[EmbeddingFile]) -> Any:
    keys = ("embeddings", "labels", "ids")
    return [np.concatenate([getattr(chunk, key) for chunk in chunks]) for key in keys]


@pytest.mark.parametrize("suffix", ["npz", "packed.npz", "parquet", "npy"])
@pytest.mark.parametrize("size", [1, 10, 64, 103, 500])
def test_the_chunks_are_the_file(tmp_path: Path, suffix: str, size: int) -> None:
    path = write(tmp_path, suffix, table())
    whole, stream = read_embeddings(path), open_embeddings(path)
    assert (stream.rows, stream.dimension, stream.contract) == (103, 5, None)
    for _ in range(2):  # it can be read again
        chunks = list(stream.chunks(size))
        assert all(len(c) + len(c.failures) == size for c in chunks[:-1])
        for mine, theirs in zip(
            joined(chunks), (whole.embeddings, whole.labels, whole.ids), strict=True
        ):
            assert np.array_equal(mine, theirs)
        assert tuple(f for chunk in chunks for f in chunk.failures) == whole.failures


def test_without_ids_rows_are_numbered_through_and_columns_may_come_first(tmp_path: Path) -> None:
    arrays = table(50, kind=np.float64)
    del arrays["ids"]
    arrays["embeddings"] = np.asfortranarray(arrays["embeddings"])
    stream = open_embeddings(write(tmp_path, "npz", arrays))
    rows, _, ids = joined(list(stream.chunks(8)))
    whole = read_embeddings(stream.path)
    assert ids.tolist() == whole.ids.tolist()
    assert np.array_equal(rows, whole.embeddings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": np.arange(9)}, "for each of 103 rows"),
        ({"labels": np.arange(103.0)}, "text or whole numbers"),
        ({"labels": np.array(["a"] * 102 + [""])}, "labels for every row"),
        ({"labels": None}, "under one of the names"),
        ({"embeddings": np.ones(103)}, "of shape"),
        ({"embeddings": np.array([{}] * 103)}, "unpickling|objects"),
    ],
)
def test_what_read_embeddings_refuses_is_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    arrays = {key: value for key, value in {**table(), **change}.items() if value is not None}
    path = write(tmp_path, "npz", arrays)
    with pytest.raises(InputError, match=words):
        list(open_embeddings(path).chunks(30))


def test_a_flipped_byte_of_the_last_rows_is_found_by_the_sum_of_all(tmp_path: Path) -> None:
    path = write(tmp_path, "npz", table())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("embeddings.npy")
        place = info.header_offset + info.file_size
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"faces\.npz"):
        list(open_embeddings(path).chunks(10))


@pytest.mark.parametrize("suffix", ["npz", "packed.npz", "parquet"])
def test_damage_is_refused_or_read_as_the_whole_is(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix, table(40))
    for _, raw in damaged(path.read_bytes()):
        path.write_bytes(raw)
        refused(
            lambda: list(open_embeddings(path).chunks(11)),
            lambda chunks: all(np.isfinite(chunk.embeddings).all() for chunk in chunks),
        )
