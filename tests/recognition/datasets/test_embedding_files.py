"""Embeddings from files: exactly what was stored, or a sentence about what is wrong."""

import builtins
import io
import json
import os
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from recognition.datasets import _arrays, _tables
from recognition.datasets.embedding_files import EmbeddingFile, Failure, read_embeddings
from recognition.errors import InputError


def or_refused(read: Callable[[], EmbeddingFile]) -> EmbeddingFile | None:
    """What is read, or None where it is refused with a way out."""
    try:
        return read()
    except InputError as refused:
        message = str(refused)
    assert "; " in message
    return None


MATRIX = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
LABELS = ["ann", "ann", "bö", "bö", "c d"]
IDS = ["a/1", "a/2", "b/1", "b/2", "c/1"]
LOOKS = ["x", "y", "", "y", "x"]


def write_npz(path: Path, matrix: Any = MATRIX, **more: Any) -> Path:
    arrays = {"labels": np.array(LABELS), "ids": np.array(IDS), "look": np.array(LOOKS)} | more
    np.savez(path, embeddings=matrix, **{k: v for k, v in arrays.items() if v is not None})
    return path


def write_csv(path: Path) -> Path:
    rows = zip(LABELS, IDS, LOOKS, strict=True)
    text = "label,id,look\n" + "".join(f'"{a}",{b},{c}\n' for a, b, c in rows)
    path.write_text(text, encoding="utf-8-sig")
    return path


def write_npy(path: Path, matrix: Any = MATRIX) -> Path:
    np.save(path, matrix)
    write_csv(path.with_suffix(".csv"))
    return path


def write_parquet(path: Path, matrix: Any = MATRIX, *, fixed: bool = True, **more: Any) -> Path:
    pa = pytest.importorskip("pyarrow")
    matrix = np.asarray(matrix)
    values = pa.array(matrix.ravel())
    if fixed:
        vectors = pa.FixedSizeListArray.from_arrays(values, matrix.shape[1])
    else:
        vectors = pa.array(list(matrix), pa.list_(values.type))
    columns = {"embedding": vectors, "label": LABELS, "id": IDS, "look": LOOKS} | more
    pytest.importorskip("pyarrow.parquet").write_table(pa.table(columns), path)
    return path


def write_safetensors(path: Path, matrix: Any = MATRIX) -> Path:
    save_file({"embeddings": matrix}, path)
    write_csv(path.with_suffix(".csv"))
    return path


WRITERS: dict[str, Callable[..., Path]] = {
    ".npz": write_npz,
    ".npy": write_npy,
    ".parquet": write_parquet,
    ".safetensors": write_safetensors,
}


@pytest.fixture(params=WRITERS)
def suffix(request: pytest.FixtureRequest) -> str:
    if request.param == ".parquet":
        pytest.importorskip("pyarrow.parquet")
    return request.param


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_was_stored_is_read(suffix: str, dtype: type, tmp_path: Path) -> None:
    file = read_embeddings(WRITERS[suffix](tmp_path / f"e{suffix}", MATRIX.astype(dtype)))
    assert file.embeddings.dtype == dtype
    np.testing.assert_array_equal(file.embeddings, MATRIX.astype(dtype))
    assert file.labels.tolist() == LABELS
    assert file.ids.tolist() == IDS
    assert {name: texts.tolist() for name, texts in file.columns.items()} == {"look": LOOKS}
    assert not file.failures
    assert len(file) == 5


def test_real_embeddings(shared_data: Path) -> None:
    file = read_embeddings(str(shared_data / "orl_mobilefacenet.npz"))
    assert (file.embeddings.shape, file.embeddings.dtype) == ((400, 256), np.float32)
    assert file.ids[0] == "s1/1.pgm"
    assert len(set(file.labels)) == 40


def test_rows_without_a_direction_are_failures_not_rows(suffix: str, tmp_path: Path) -> None:
    broken = MATRIX.copy()
    broken[0, 2], broken[2], broken[4, 0] = np.nan, 0, -np.inf
    broken[0, 1] = np.inf
    file = read_embeddings(WRITERS[suffix](tmp_path / f"e{suffix}", broken))
    assert file.failures == (
        Failure("a/1", "ann", "NaN"),
        Failure("b/1", "bö", "all zeros"),
        Failure("c/1", "c d", "infinite"),
    )
    np.testing.assert_array_equal(file.embeddings, MATRIX[[1, 3]])
    assert file.ids.tolist() == ["a/2", "b/2"]
    assert file.labels.tolist() == ["ann", "bö"]
    assert file.columns["look"].tolist() == ["y", "y"]


def test_failures_are_found_in_every_block(tmp_path: Path) -> None:
    matrix = np.ones((3000, 1024), np.float16)
    matrix[[0, 1023, 1024, 2999]] = 0
    path = write_npz(tmp_path / "e.npz", matrix, labels=np.arange(3000), ids=None, look=None)
    file = read_embeddings(path)
    assert [failure.id for failure in file.failures] == ["0", "1023", "1024", "2999"]
    assert len(file) == 2996


def test_all_rows_failing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="all 5 rows are NaN, infinite or zero"):
        read_embeddings(write_npz(tmp_path / "e.npz", 0 * MATRIX))


def test_without_ids_the_rows_are_numbered(tmp_path: Path) -> None:
    file = read_embeddings(write_npz(tmp_path / "e.npz", ids=None))
    assert file.ids.tolist() == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int32, ">i8"])
def test_whole_labels_stay_exact(dtype: Any, tmp_path: Path) -> None:
    big = 2**24 if np.dtype(dtype).itemsize == 4 else 2**60
    labels = np.array([big, big + 1, 1, 2, 3], dtype)
    file = read_embeddings(write_npz(tmp_path / "e.npz", labels=labels))
    assert file.labels.tolist()[:2] == [str(big), str(big + 1)]
    save_file({"embedding": MATRIX, "label": labels.astype("=i8")}, tmp_path / "f.safetensors")
    assert read_embeddings(tmp_path / "f.safetensors").labels.tolist() == file.labels.tolist()


def test_labels_may_be_bytes_and_byte_orders_may_differ(tmp_path: Path) -> None:
    labels = np.array([label.encode() for label in LABELS])
    ids = np.array(IDS).astype(">U3")
    file = read_embeddings(
        write_npz(tmp_path / "e.npz", MATRIX.astype(">f4"), labels=labels, ids=ids)
    )
    assert file.labels.tolist() == LABELS
    assert file.ids.tolist() == IDS
    assert file.embeddings.dtype == np.dtype("=f4")
    assert file.ids.dtype == np.dtype("=U3")
    np.testing.assert_array_equal(file.embeddings, MATRIX)


def test_columns_of_a_matrix_may_lie_together(tmp_path: Path) -> None:
    file = read_embeddings(write_npy(tmp_path / "e.npy", np.asfortranarray(MATRIX)))
    np.testing.assert_array_equal(file.embeddings, MATRIX)


def test_large_plain_files_are_mapped(suffix: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(_arrays, "MAPPED", 1)
    file = read_embeddings(WRITERS[suffix](tmp_path / f"e{suffix}"))
    assert isinstance(file.embeddings, np.memmap) == (suffix in (".npy", ".safetensors"))
    np.testing.assert_array_equal(file.embeddings, MATRIX)


def test_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    short = (MATRIX.view(np.uint32) >> 16).astype("<u2")
    header = {
        "embeddings": {"dtype": "BF16", "shape": [5, 3], "data_offsets": [0, 30]},
        "labels": {"dtype": "I64", "shape": [5], "data_offsets": [30, 70]},
    }
    text = json.dumps(header).encode()
    data = short.tobytes() + np.arange(5, dtype="<i8").tobytes()
    (tmp_path / "e.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    file = read_embeddings(tmp_path / "e.safetensors")
    assert file.embeddings.dtype == np.float32
    np.testing.assert_array_equal(file.embeddings.view(np.uint32), short.astype(np.uint32) << 16)
    assert file.labels.tolist() == ["0", "1", "2", "3", "4"]


def test_other_arrays_are_columns_where_they_fit(tmp_path: Path) -> None:
    more = {
        "age": np.arange(5),
        "male": np.ones(5, bool),
        "box": np.ones((5, 4)),
        "mean": MATRIX[0],
    }
    file = read_embeddings(write_npz(tmp_path / "e.npz", look=None, **more))
    assert {k: v.tolist() for k, v in file.columns.items()} == {
        "age": ["0", "1", "2", "3", "4"],
        "male": ["True"] * 5,
    }


@pytest.mark.parametrize("fixed", [True, False])
def test_parquet_without_a_vector_is_a_failure(fixed: bool, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    kind = pa.list_(pa.float32(), 3) if fixed else pa.list_(pa.float32())
    vectors = pa.array([[1, 2, 3], None, [4, None, 6], [7, 8, 9], [1, 0, 0]], kind)
    labels = pa.array(LABELS).dictionary_encode()
    path = write_parquet(
        tmp_path / "e.parquet", embedding=vectors, label=labels, age=[1, None, 3, 4, 5]
    )
    file = read_embeddings(path)
    assert [failure[:2] for failure in file.failures] == [("a/2", "ann"), ("b/1", "bö")]
    np.testing.assert_array_equal(file.embeddings, [[1, 2, 3], [7, 8, 9], [1, 0, 0]])
    assert file.columns["age"].tolist() == ["1", "4", "5"]
    assert file.labels.tolist() == ["ann", "bö", "c d"]


def test_parquet_of_many_row_groups(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    matrix = np.random.default_rng(1).normal(size=(40_000, 2)).astype(np.float32)
    for fixed in (True, False):
        offsets = pa.array(np.arange(0, 80_001, 2, dtype=np.int32))
        values = pa.array(matrix.ravel())
        vectors = (
            pa.FixedSizeListArray.from_arrays(values, 2)
            if fixed
            else pa.ListArray.from_arrays(offsets, values)
        )
        table = pa.table({"embedding": vectors, "label": np.arange(40_000) % 7})
        pytest.importorskip("pyarrow.parquet").write_table(
            table, tmp_path / "e.parquet", row_group_size=9_999
        )
        file = read_embeddings(tmp_path / "e.parquet")
        np.testing.assert_array_equal(file.embeddings, matrix)
        assert file.labels[13] == "6"


def test_ragged_lists_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    ragged = [[1.0, 2.0, 3.0]] * 3 + [[1.0, 2.0], [0.0, 0.0, 1.0]]
    with pytest.raises(InputError, match=r"expected 3 numbers in every row .* got 2 in row 3"):
        read_embeddings(write_parquet(tmp_path / "e.parquet", embedding=ragged))


def test_a_missing_pyarrow_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "e.parquet").write_bytes(b"PAR1 and more")

    def missing(name: str, *_: Any) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("recognition.datasets._parquet.import_module", missing)
    with pytest.raises(InputError, match=r"pip install 'margin-recognition\[parquet\]'"):
        read_embeddings(tmp_path / "e.parquet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array(LABELS, object)}, "only unpickling could read"),
        ({"ids": np.array(IDS, object)}, "only unpickling could read"),
        ({"matrix": MATRIX.astype(object)}, "only unpickling could read"),
        ({"matrix": MATRIX[0]}, r"got shape \(3,\) of float32"),
        ({"matrix": MATRIX[None]}, r"got shape \(1, 5, 3\)"),
        ({"matrix": MATRIX[:0]}, r"got shape \(0, 3\)"),
        ({"matrix": MATRIX[:, :0]}, r"got shape \(5, 0\)"),
        ({"matrix": MATRIX.astype(np.int8)}, "float16, float32 or float64, got .* of int8"),
        ({"matrix": MATRIX.astype(np.complex64)}, "complex64"),
        ({"matrix": MATRIX.astype(np.longdouble)}, r"of (float128|longdouble|float96)"),
        ({"labels": np.array(LABELS[:4])}, r"each of 5 rows of embeddings, got shape \(4,\)"),
        ({"labels": np.array([LABELS])}, r"got shape \(1, 5\)"),
        ({"labels": np.arange(5, dtype=np.float32)}, r"float32 does above 2\^24 = 16777216"),
        ({"labels": np.ones(5, bool)}, "text or whole numbers, got type bool"),
        ({"labels": np.array(["a", "a", " ", "b", ""])}, r"row 2 has none \(2 of 5\)"),
        ({"labels": np.array([b"\xff"] * 5)}, "text in UTF-8"),
        ({"labels": None}, r"expected labels under one of the names 'labels', 'label', got"),
        ({"label": np.array(LABELS)}, "got labels and label; rename one"),
        ({"ids": np.array(["a", "b", "a", "b", "c"])}, r"'a' in rows 0 and 2; 'b' in rows 1 and 3"),
        ({"ids": np.array([1.5, 2, 3, 4, 5])}, "may have rounded"),
        ({"ids": np.array(["a", "b"])}, r"expected ids for each of 5 rows"),
        ({"labels": np.array([0xD800, 1, 2, 3, 4], "<u4").view("<U1")}, "no Unicode character"),
        ({"labels": np.array([0x110000, 1, 2, 3, 4], "<u4").view("<U1")}, "no Unicode character"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write_npz(tmp_path / "e.npz", **change)
    with pytest.raises(InputError, match=message) as refused:
        read_embeddings(path)
    assert "e.npz" in str(refused.value)
    assert "; " in str(refused.value), "the way out"


def test_duplicate_rows_are_no_error(tmp_path: Path) -> None:
    assert len(read_embeddings(write_npz(tmp_path / "e.npz", MATRIX[[0] * 5]))) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected the labels of .* in a CSV"),
        ("", "it is empty"),
        ("label\na\nb\n", r"e.csv: expected label for each of 5 rows .* got shape \(2,\)"),
        ("name\na\n", "line 1: expected a column label"),
        ("label;id\na;1\n", "line 1: expected a column label, .* got 'label;id'"),
        ("label,label\na,b\n", "every column name once"),
        ("label,embeddings\na,b\n", "none that .* has too"),
        ("\nlabel\n", "line 1: expected a header"),
        ("label,id\na,1\nb\n", "line 3: expected 2 fields as in the first line, got 1"),
        ("label\na\n\nb\n", "line 3: expected a row, but the line is blank"),
        ('label\na\n"b\nc"\n', "line 3: expected one row a line"),
        ('label\na\n"b"c\n', "line 3: expected comma separated fields"),
        ("label\na\nb\nc\nd\ne", "the file may be cut short"),
        ("label\na\nb\n\0\nd\ne\n", "NUL"),
        ("label\na\nb\n\nd\ne\n", "line 4"),
        (b"label\na\nb\xff\nc\nd\ne\n", "line 3: expected UTF-8"),
        ("label\na\nb\nc\nd\ne\n".encode("utf-16"), "line 1: expected UTF-8"),
        ("label,id\na,1\na,2\na,1\na,4\na,5\n", r"e.csv: .*'1' in rows 0 and 2"),
        ('label,id\na,1\n"",2\na,3\na,4\na,5\n', "e.csv: expected label for every row, but row 1"),
    ],
)
def test_sidecars_that_do_not_fit_are_refused(
    text: str | bytes | None, message: str, tmp_path: Path
) -> None:
    path = write_npy(tmp_path / "e.npy")
    sidecar = path.with_suffix(".csv")
    sidecar.unlink()
    if text is not None:
        sidecar.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        read_embeddings(path)


def test_sidecars_may_come_from_pandas_windows_and_old_macs(tmp_path: Path) -> None:
    path = write_npy(tmp_path / "e.npy")
    for end in ("\n", "\r\n", "\r"):
        rows = ["", *(f"{i},{label}" for i, label in enumerate(LABELS))]
        text = ",label" + end.join(rows) + end + end
        path.with_suffix(".csv").write_bytes(text.encode())
        file = read_embeddings(path)
        assert file.labels.tolist() == LABELS
        assert not file.columns


def test_a_huge_label_is_refused_before_the_array_is_made(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(_tables, "MOST_TEXT", 1000)
    path = write_npy(tmp_path / "e.npy")
    path.with_suffix(".csv").write_text("label\na\na\na\na\n" + "b" * 51 + "\n")
    with pytest.raises(InputError, match="of sensible length, but one has 51 characters"):
        read_embeddings(path)


def _npy(shape: tuple[Any, ...], descr: str = "<f4", data: bytes = b"") -> bytes:
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "member",
    [
        _npy((2**40, 2**20)),
        _npy((2**62, 2**62)),
        _npy((-1, 3), data=b"\0" * 12),
        _npy((True, True), data=b"\0" * 4),
        _npy((5, 3), data=b"?" * 59),
        _npy((5, 3), data=b"?" * 61),
        _npy((5, 3), descr="<Q9", data=b"\0" * 60),
        b"\x93NUMPY\x03\x00" + b"\0" * 40,
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 9000,
        b"\x93NUMPY\x01\x00\x09\x00",
        b"not numpy",
    ],
    ids=range(11),
)
def test_headers_are_not_believed(member: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "e.npz", "w") as archive:
        archive.writestr("embeddings.npy", member)
        for name, texts in (("labels", LABELS), ("ids", IDS)):
            file = io.BytesIO()
            np.save(file, texts)
            archive.writestr(f"{name}.npy", file.getvalue())
    with pytest.raises(InputError, match=r"e\.npz"):
        read_embeddings(tmp_path / "e.npz")
    write_npy(tmp_path / "e.npy").write_bytes(member)
    with pytest.raises(InputError, match=r"e\.npy"):
        read_embeddings(tmp_path / "e.npy")


def test_a_small_zip_may_not_fill_the_memory(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(_arrays, "UNPACKED", 100_000)
    matrix = np.ones((5, 40_000), np.float32)
    np.savez_compressed(tmp_path / "bomb.npz", embeddings=matrix, labels=LABELS)
    with pytest.raises(InputError, match=r"claim to unpack to 800,128; .* without compression"):
        read_embeddings(tmp_path / "bomb.npz")
    np.savez(tmp_path / "plain.npz", embeddings=matrix, labels=LABELS)
    assert len(read_embeddings(tmp_path / "plain.npz")) == 5


def test_a_small_parquet_may_not_fill_the_memory(tmp_path: Path, monkeypatch: Any) -> None:
    pa = pytest.importorskip("pyarrow")
    monkeypatch.setattr(_arrays, "UNPACKED", 100_000)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(1_000_000, np.float32)), 10)
    table = pa.table({"embedding": vectors, "label": np.zeros(100_000, np.int64)})
    pytest.importorskip("pyarrow.parquet").write_table(
        table, tmp_path / "e.parquet", compression="zstd"
    )
    with pytest.raises(InputError, match="claim to unpack to"):
        read_embeddings(tmp_path / "e.parquet")


def test_odd_zips_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("embeddings.npy", _npy((1, 1), data=b"\0\0\0\0"))
    with pytest.raises(InputError, match="expected every array once"):
        read_embeddings(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("embeddings.npy", _npy((1, 1), data=b"\0\0\0\0"))
    with pytest.raises(InputError, match=r"packed in another way .* numpy\.savez"):
        read_embeddings(path)
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(InputError, match="got no arrays"):
        read_embeddings(path)


def test_changed_bytes_of_a_zip_are_noticed(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "e.npz")
    raw = bytearray(path.read_bytes())
    at = bytes(raw).index(MATRIX.tobytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match="Bad CRC-32"):
        read_embeddings(path)


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.npz").touch()
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "e.pkl").write_bytes(b"\x80\x04")
    os.mkfifo(tmp_path / "pipe.npy")
    write_npy(tmp_path / "renamed.npy").rename(tmp_path / "renamed.npz")
    (tmp_path / "renamed.parquet").write_bytes(b"\x89HDF\r\n\x1a\n")
    for name, message in [
        ("none.npz", "there is no such file; check the path"),
        ("empty.npz", "it is empty"),
        ("folder.npz", "it is a folder"),
        ("pipe.npy", "no regular file"),
        ("e.pkl", r"got the suffix '\.pkl'"),
        ("renamed.npz", r"its content is that of a \.npy file; rename it"),
        ("renamed.parquet", r"that of a \.h5 file; save the embeddings with numpy\.savez"),
        ("nul\0.npz", "embedded null byte"),
    ]:
        with pytest.raises(InputError, match=message):
            read_embeddings(tmp_path / name)


def test_a_closed_file_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    path = write_npz(tmp_path / "e.npz")

    def closed(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(builtins, "open", closed)
    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(InputError, match="Permission denied"):
        read_embeddings(path)


def same(file: EmbeddingFile, original: EmbeddingFile) -> bool:
    return bool(
        np.array_equal(file.embeddings, original.embeddings)
        and file.labels.tolist() == original.labels.tolist()
        and file.ids.tolist() == original.ids.tolist()
    )


QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(data=st.data())
def test_a_file_cut_short_is_refused_or_whole(suffix: str, tmp_path: Path, data: Any) -> None:
    path = tmp_path / f"e{suffix}"
    if not path.exists():
        WRITERS[suffix](tmp_path / f"whole{suffix}")
        WRITERS[suffix](path)
    original = read_embeddings(tmp_path / f"whole{suffix}")
    for part in (path, path.with_suffix(".csv")):
        if part.exists():
            raw = (tmp_path / f"whole{part.suffix}").read_bytes()
            cut = data.draw(st.integers(0, len(raw)), label=part.suffix)
            part.write_bytes(raw[:cut])
    file = or_refused(lambda: read_embeddings(path))
    if file is not None:
        assert same(file, original)


@QUICK
@given(raw=st.binary(max_size=300), begin=st.booleans())
def test_any_bytes_are_refused_in_words(suffix: str, raw: bytes, begin: bool) -> None:
    marks = {".npz": b"PK\x03\x04", ".npy": b"\x93NUMPY\x01\x00", ".parquet": b"PAR1"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"e{suffix}"
        path.write_bytes(marks.get(suffix, b"") * begin + raw)
        path.with_suffix(".csv").write_text("label\na\n")
        with pytest.raises(InputError, match="; "):
            read_embeddings(path)


@QUICK
@given(data=st.data())
def test_changed_bytes_never_raise_anything_else(suffix: str, tmp_path: Path, data: Any) -> None:
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"e{suffix}"
    if not whole.exists():
        WRITERS[suffix](whole)
        WRITERS[suffix](path)
    raw = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    file = or_refused(lambda: read_embeddings(path))
    if file is not None:
        rows = len(file) + len(file.failures)
        assert len(file.ids) == len(file.labels) == len(file.embeddings)
        assert rows == len({*file.ids, *(failure.id for failure in file.failures)})
        assert np.isfinite(file.embeddings).all()
        " ".join([*file.labels, *file.ids]).encode()


def test_files_without_labels_are_read_where_something_else_knows_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", embeddings=np.eye(3))
    np.save(tmp_path / "b.npy", np.eye(3))
    for name in ("a.npz", "b.npy"):
        with pytest.raises(InputError):
            read_embeddings(tmp_path / name)
        read = read_embeddings(tmp_path / name, labelled=False)
        assert read.labels.tolist() == [""] * 3
        assert read.ids.tolist() == ["0", "1", "2"]
    (tmp_path / "b.csv").write_text("id\nx\ny\nz\n")
    assert read_embeddings(tmp_path / "b.npy", labelled=False).ids.tolist() == ["x", "y", "z"]
    (tmp_path / "b.csv").write_text("id,label\nx,k\ny,k\nz,l\n")
    assert read_embeddings(tmp_path / "b.npy", labelled=False).labels.tolist() == [""] * 3
