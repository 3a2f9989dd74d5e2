"""A Parquet table with a column of vectors, read with pyarrow where it is installed."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.datasets._arrays import Array, Container, Described, require_believable
from recognition.datasets._files import listed, shown
from recognition.datasets._tables import text_array
from recognition.errors import InputError

_ROWS = 2**14  # of a batch
_BUFFER = 2**20  # bytes read at a time


def open_parquet(path: Path) -> Container:
    """Columns by name: one of lists is a matrix, the others are text, numbers or truth values.

    A missing list is a row of NaN, a missing value an empty text.

    Raises:
        InputError: pyarrow is not installed, or a name that comes twice; while it is read: lists
            of different lengths, or a small file that would fill the memory.
    """
    arrow = _pyarrow()
    arrays: dict[str, Described] = {}
    with _file(path) as file:
        rows = file.metadata.num_rows
        for field in file.schema_arrow:
            if field.name in arrays:
                raise InputError(
                    f"{shown(path)}: expected every column once, got {listed([field.name])} "
                    "twice; rename one"
                )
            arrays[field.name] = _describe(arrow.types, file, field, rows)

    def load(name: str) -> Array:
        described = arrays[name]
        claimed = max(described.nbytes, 8 * rows)
        require_believable(path, name, claimed, path.stat().st_size)
        if len(described.shape) == 2:
            return _matrix(path, name, described)
        return _flat(path, name, described)

    def stream(name: str, size: int) -> Iterator[Array]:
        described, done = arrays[name], 0
        with _file(path) as file:
            for batch in file.iter_batches(size, columns=[name]):
                values = batch.column(0)
                if len(described.shape) == 2:
                    yield _part(path, name, values, described, done)
                else:
                    yield _values(path, name, described, values)
                done += len(values)
        _require_all(path, done, rows)

    return Container(arrays, load, stream=stream)


def _pyarrow() -> Any:
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError as error:
        raise InputError(
            "expected pyarrow to be installed, which reads .parquet, but it is not; run pip "
            "install 'margin-recognition[parquet]', or save the embeddings as .npz"
        ) from error


def _file(path: Path) -> Any:
    # read through a buffer, or pyarrow holds every column chunk of the file until its end
    return import_module("pyarrow.parquet").ParquetFile(
        path, page_checksum_verification=True, pre_buffer=False, buffer_size=_BUFFER
    )


def _describe(types: Any, file: Any, field: Any, rows: int) -> Described:
    kind = field.type
    if types.is_fixed_size_list(kind):
        return Described((rows, kind.list_size), _number_type(types, kind.value_type))
    if types.is_list(kind) or types.is_large_list(kind):
        shape = rows, _first_length(file, field.name)
        return Described(shape, _number_type(types, kind.value_type))
    if types.is_dictionary(kind):
        kind = kind.value_type
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return Described((rows,), np.dtype(np.str_) if is_text else _number_type(types, kind))


def _number_type(types: Any, kind: Any) -> np.dtype[Any]:
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
        return dtype
    return np.dtype("V1")


def _first_length(file: Any, name: str) -> int:
    for batch in file.iter_batches(_ROWS, columns=[name]):
        for vector in batch.column(0):
            if vector.is_valid:
                return len(vector)
    return 0


def _matrix(path: Path, name: str, described: Described) -> npt.NDArray[np.floating[Any]]:
    rows, size = described.shape
    matrix = np.empty((rows, size), described.dtype)
    done = 0
    with _file(path) as file:
        for batch in file.iter_batches(_ROWS, columns=[name]):
            lists = batch.column(0)
            matrix[done : done + len(lists)] = _part(path, name, lists, described, done)
            done += len(lists)
    _require_all(path, done, rows)
    return matrix


def _part(path: Path, name: str, lists: Any, described: Described, done: int) -> Array:
    """Some rows of a matrix, those after the first `done`; a missing list is a row of NaN."""
    _, size = described.shape
    there = ~np.asarray(lists.is_null().to_numpy(zero_copy_only=False), bool)
    part = np.full((len(lists), size), np.nan, described.dtype)
    part[there] = _vectors(path, name, lists, there, size, done)
    return part


def _vectors(
    path: Path, name: str, lists: Any, there: npt.NDArray[np.bool_], size: int, done: int
) -> Array:
    """The lists that are there as a matrix, a missing number as NaN."""
    lengths = np.asarray(
        import_module("pyarrow.compute")
        .list_value_length(lists)
        .fill_null(size)
        .to_numpy(zero_copy_only=False)
    )
    if (lengths != size).any():
        at = int((lengths != size).argmax())
        raise InputError(
            f"{shown(path)}: expected {size} numbers in every row of {listed([name])}, got "
            f"{int(lengths[at])} in row {done + at}; write null where a picture could not be "
            "embedded"
        )
    vectors: Array = lists.flatten().to_numpy(zero_copy_only=False)
    return vectors.reshape(int(there.sum()), size)


def _flat(path: Path, name: str, described: Described) -> Array:
    with _file(path) as file:
        values = file.read(columns=[name]).column(0)
    _require_all(path, len(values), described.shape[0])
    return _values(path, name, described, values)


def _values(path: Path, name: str, described: Described, values: Any) -> Array:
    if described.dtype.kind == "U" or values.null_count:
        texts = ["" if value is None else str(value) for value in values.to_pylist()]
        return text_array(path, name, texts)
    whole = (
        values.to_numpy() if hasattr(values, "chunks") else values.to_numpy(zero_copy_only=False)
    )
    flat: Array = whole.astype(described.dtype)
    return flat


def _require_all(path: Path, came: int, rows: int) -> None:
    if came != rows:
        raise InputError(
            f"{shown(path)}: expected {rows} rows as the file says, got {came}; it is damaged: "
            "write it again"
        )
