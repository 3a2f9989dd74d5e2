"""insightface's .bin files: pictures and pairs, and nothing that a pickle could do besides."""

import io
import os
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import damaged, refused
from picture_files import encoded, python2, write_bin
from PIL import Image
from sklearn.model_selection import KFold

from recognition import evaluate, read_pairs, read_verification
from recognition.datasets.embedding_files import Failure
from recognition.datasets.insightface_bin import read_bin
from recognition.errors import InputError
from recognition.metrics.accuracy import fold_accuracy

SHADES = [10 * i for i in range(24)]
PICTURES = [encoded(shade) for shade in SHADES]
MATED = [True, False] * 6


def pixels(raw: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(raw)))


def flat(raw: bytes) -> np.ndarray:
    return np.frombuffer(raw, np.uint8)


KINDS = {
    "bytes": lambda raw: raw,
    "bytearray": bytearray,
    "encoded array": lambda raw: flat(raw).copy(),
    "read-only array": flat,
    "encoded column": lambda raw: flat(raw)[:, None].copy(),
    "every other byte of an array": lambda raw: flat(raw).repeat(2)[::2],
    "pixels": pixels,
    "pixels by column": lambda raw: np.asfortranarray(pixels(raw)),
}
FLAGS = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "numpy's own": lambda flags: [np.bool_(flag) for flag in flags],
    "numbers": lambda flags: [int(flag) for flag in flags],
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_in_every_protocol(kind: str, protocol: int, tmp_path: Path) -> None:
    path = write_bin(tmp_path / "x.bin", [KINDS[kind](raw) for raw in PICTURES], MATED, protocol)
    found = read_verification(path, size=8)
    assert found.pictures.images.shape == (24, 8, 8, 3)
    assert found.pictures.images[:, 4, 4, 0].astype(int) == pytest.approx(SHADES, abs=4)
    assert found.pictures.ids.tolist() == [str(i) for i in range(24)]
    assert set(found.pictures.labels) == {""}
    assert found.pairs.first.tolist() == list(range(0, 24, 2))
    assert found.pairs.second.tolist() == list(range(1, 24, 2))
    assert found.pairs.mated.tolist() == MATED
    assert found.pairs.anonymous


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("kind", FLAGS)
def test_every_kind_of_truth_value(kind: str, protocol: int, tmp_path: Path) -> None:
    path = write_bin(tmp_path / "x.bin", PICTURES, FLAGS[kind](MATED), protocol)
    assert read_bin(path).mated.tolist() == MATED


@pytest.mark.parametrize("protocol", [0, 2])
def test_files_of_python_2(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    odd = [*PICTURES[:22], b'it\'s "odd"\n\\ \xff\0', b""]
    path.write_bytes(python2(odd, MATED, protocol))
    assert read_bin(path).entries == odd


@pytest.mark.parametrize("protocol", range(6))
def test_pictures_without_a_byte_are_pictures_that_cannot_be_decoded(
    protocol: int, tmp_path: Path
) -> None:
    path = write_bin(tmp_path / "x.bin", [b"", bytearray(), *PICTURES[:2]], [True, False], protocol)
    assert [len(entry) > 0 for entry in read_bin(path).entries] == [False, False, True, True]


def test_bytearrays_of_older_pythons_are_text(tmp_path: Path) -> None:
    older = b"cbuiltins\nbytearray\n(X\x03\x00\x00\x00a\xc3\xbfX\x07\x00\x00\x00latin-1tR"
    (tmp_path / "x.bin").write_bytes(b"\x80\x02](" + 2 * older + b"e]\x88a\x86.")
    assert read_bin(tmp_path / "x.bin").entries == [b"a\xff"] * 2
    (tmp_path / "x.bin").write_bytes(
        b"\x80\x02](" + 2 * older.replace(b"-1", b"_1") + b"e]\x88a\x86."
    )
    with pytest.raises(InputError, match="not spelled in latin1"):
        read_bin(tmp_path / "x.bin")


def test_arrays_of_python_2(tmp_path: Path) -> None:
    arrays = array(b"K\x03\x85"), array(b"K\x03K\x01\x86", data=b"xyz")
    (tmp_path / "x.bin").write_bytes(b"\x80\x02](" + b"".join(arrays) + b"e]\x88a\x86.")
    entries, mated = read_bin(tmp_path / "x.bin")
    assert [bytes(entry) for entry in entries] == [b"abc", b"xyz"]
    assert mated.tolist() == [True]


@pytest.mark.parametrize("old", [True, False])
def test_numpy_of_either_name(old: bool, tmp_path: Path) -> None:
    raw = pickle.dumps(([flat(p).copy() for p in PICTURES], MATED), 2)
    if old:
        assert b"numpy._core" in raw
        raw = raw.replace(b"numpy._core", b"numpy.core")
    (tmp_path / "x.bin").write_bytes(raw)
    assert len(read_verification(tmp_path / "x.bin").pictures) == 24


def test_png_and_one_picture_twice(tmp_path: Path) -> None:
    one = encoded(200, "PNG")
    path = write_bin(tmp_path / "x.bin", [one, one, one, encoded(3, "PNG")], [1, 0], 4)
    assert read_verification(path, size=8).pictures.images[:, 0, 0, 0].tolist() == [
        200,
        200,
        200,
        3,
    ]


@pytest.mark.parametrize("pairs", [10, 11, 19, 25, 600])
def test_folds_are_those_of_kfold_in_the_order_of_the_file(pairs: int, tmp_path: Path) -> None:
    mated = np.arange(pairs) % 2 == 0 if pairs >= 20 else np.arange(pairs) % 2 == 1
    path = write_bin(tmp_path / "x.bin", [b"-"] * 2 * pairs, mated.tolist())
    found = read_pairs(path, np.arange(2 * pairs), None)
    if pairs < 20:  # somewhere a fold has one pair
        assert found.folds is None
        assert any("lacks one kind" in note for note in found.notes)
        return
    expected = np.zeros(pairs, int)
    for number, (_, test) in enumerate(KFold(10, shuffle=False).split(mated), 1):
        expected[test] = number
    assert found.folds is not None
    assert found.folds.tolist() == expected.tolist()
    assert found.notes == ()


def test_pictures_that_cannot_be_decoded_fail_their_pairs(tmp_path: Path) -> None:
    entries = list(PICTURES)
    entries[2], entries[5] = b"no picture", b""
    found = read_verification(write_bin(tmp_path / "x.bin", entries, MATED), size=8)
    assert [skipped.path for skipped in found.pictures.skipped] == ["2", "5"]
    assert found.pairs.failures == (1, 1)
    assert len(found.pairs) == 10
    rows = found.pictures.ids[found.pairs.first]
    assert rows.tolist() == ["0", "6", "8", "10", "12", "14", "16", "18", "20", "22"]
    assert found.pictures.ids[found.pairs.second].tolist()[:2] == ["1", "7"]


def clustered(mated: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(5)
    first = random.normal(size=(len(mated), 8))
    other = np.where(mated[:, None], first, random.normal(size=first.shape))
    both = np.stack([first, other], axis=1) + 0.7 * random.normal(size=(len(mated), 2, 8))
    return both.reshape(-1, 8)


def test_embeddings_are_judged_on_the_files_own_pairs(tmp_path: Path) -> None:
    mated = np.tile([True, True, False], 100)
    path = write_bin(tmp_path / "x.bin", [b"-"] * 600, mated.tolist())
    embeddings = clustered(mated)
    pairs = read_pairs(path, np.arange(600), None)
    found = evaluate(embeddings, None, pairs=pairs)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    scores = (unit[::2] * unit[1::2]).sum(axis=1)
    folds = np.zeros(300, int)
    for number, (_, test) in enumerate(KFold(10).split(mated)):
        folds[test] = number
    expected = fold_accuracy(scores.astype(np.float32).astype(float), mated, folds)
    assert found["accuracy"].estimate.value == pytest.approx(expected.mean, abs=1e-12)
    assert found["accuracy"].estimate.counts["folds"] == 10
    assert 0.6 < expected.mean < 0.999
    assert "independent" in found["eer"].interval
    assert found.input["people"] is None
    assert any("nobody knows" in note for note in found.input["notes"])
    shuffled = np.random.default_rng(0).permutation(600)
    again = read_pairs(path, shuffled, None)
    other = evaluate(embeddings[shuffled], np.zeros(600, int), pairs=again)
    assert other["eer"].estimate == found["eer"].estimate, "labels are not looked at"


def test_failed_embeddings_fail_their_pairs(tmp_path: Path) -> None:
    path = write_bin(tmp_path / "x.bin", [b"-"] * 24, MATED)
    failed = (Failure("3", "", "NaN"),)
    pairs = read_pairs(path, [i for i in range(24) if i != 3], None, failed=failed)
    assert pairs.failures == (0, 1)
    assert pairs.second.tolist()[:3] == [1, 4, 6]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (range(23), "got just 23 rows"),
        ([*range(23), 99], "got '99' among 24 rows"),
        ([*range(23), 0], "ids repeat"),
        ([f"a/{i}.jpg" for i in range(24)], "leave the ids out"),
    ],
)
def test_tables_of_other_pictures_are_refused(ids: Any, message: str, tmp_path: Path) -> None:
    path = write_bin(tmp_path / "x.bin", [b"-"] * 24, MATED)
    with pytest.raises(InputError, match=message):
        read_pairs(path, list(ids), None)


def test_people_are_needed_elsewhere(tmp_path: Path) -> None:
    path = write_bin(tmp_path / "x.bin", [b"-"] * 24, MATED)
    pairs = read_pairs(path, np.arange(24), None)
    vectors = np.random.default_rng(0).normal(size=(24, 3))
    with pytest.raises(InputError, match="judged by person"):
        evaluate(vectors, None, pairs=pairs, other=vectors)
    with pytest.raises(InputError, match="expected labels"):
        evaluate(vectors, None)
    with pytest.raises(InputError, match="expected a label for each of 2 pictures, got none"):
        read_pairs(tmp_path / "pairs.csv", ["a", "b"], None)


# -- what a pickle could do ------------------------------------------------------------------------


class Evil:
    """Runs a command when it is unpickled freely."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_of_the_files_choosing_runs(protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    raw = pickle.dumps(([Evil(marker)] * 2, [True]), protocol)
    pickle.loads(raw)
    assert marker.exists(), "the file is as bad as it should be"
    marker.unlink()
    (tmp_path / "x.bin").write_bytes(raw)
    with pytest.raises(InputError, match=r"asks for '\w+\.system'; nothing of it was run"):
        read_verification(tmp_path / "x.bin")
    assert not marker.exists()


CALLS = {
    "eval": b"cbuiltins\neval\n(S'1'\ntR.",
    "an attribute": b"cbuiltins\ngetattr\n.",
    "an import": b"c__builtin__\n__import__\n.",
    "numpy's loader": b"cnumpy\nload\n(S'/etc/passwd'\ntR.",
    "an inner class": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
    "the unpickler itself": b"crecognition.datasets.insightface_bin\n_Unpickler\n.",
    "a method of bytes": b"\x80\x04\x8c\x08builtins\x8c\x09bytes.hex\x93.",
    "INST": b"(S'true'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'true'\no.",
    "NEWOBJ": b"\x80\x02cbuiltins\nbytearray\n(K\x09t\x81.",
    "an extension": b"\x80\x02\x82\x01.",
    "a persistent id": b"Pexternal\n.",
    "a dictionary": b"}.",
    "a place far away in the memo": b"\x80\x02Nr\x00\x00\x10\x00.",
    "a place far away, in text": b"Np1000000\n.",
    "a place before the first": b"Np-1\n.",
    "a set": b"\x80\x04\x8f.",
    "a buffer from elsewhere": b"\x80\x05\x97.",
    "a dictionary set on a stand-in": b"cnumpy\nndarray\n}(S'x'\nK\x01ub.",
}


@pytest.mark.parametrize("raw", CALLS.values(), ids=CALLS)
def test_what_pictures_do_not_need_is_named(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(raw)
    with pytest.raises(InputError, match="but it asks for"):
        read_bin(tmp_path / "x.bin")


def array(shape: bytes, kind: bytes = b"u1", data: bytes = b"abc") -> bytes:
    """A numpy array of protocol 2 with a shape of one's own choosing."""
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + shape + b"cnumpy\ndtype\nU" + bytes([len(kind)]) + kind
        + b"K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U" + bytes([len(data)]) + data + b"tb"
    )  # fmt: skip


TEN_BILLION = b"\x8a\x05\x00\xe4\x0b\x54\x02"
LARGE = {
    "a bytearray by its length": b"\x80\x02cbuiltins\nbytearray\n" + TEN_BILLION + b"\x85R.",
    "a large shape": b"\x80\x02](" + array(TEN_BILLION + b"\x85") + b"e]\x88a\x86.",
    "a product that overflows": b"\x80\x02]("
    + array(b"\x8a\x05\x00\x00\x00\x00\x01" * 2 + b"\x86") + b"e]\x88a\x86.",
    "a negative side": b"\x80\x02](" + array(b"J\xff\xff\xff\xffJ\xfd\xff\xff\xff\x86") + b"e]\x88a\x86.",
    "a large type": b"\x80\x02](" + array(b"K\x03\x85", b"V1000000000") + b"e]\x88a\x86.",
    "objects": b"\x80\x02](" + array(b"K\x03\x85", b"O8") + b"e]\x88a\x86.",
    "a large array at first": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    + TEN_BILLION + b"\x85U\x01b\x87R.",
    "one array over and over": b"\x80\x04cnumpy.core.numeric\n_frombuffer\n\x94(C\x03abccnumpy\n"
    b"dtype\nU\x02u1\x85RK\x03\x85\x8c\x01Ct\x94](" + b"h\x00h\x01R" * 100_000 + b"e]\x88a\x86.",
    "a place far away in the memo": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "the same in text": b"Np2147483647\n.",
    "bytes that are not there": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",
    "a bytearray that is not there": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
    "text that is not there": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.",
    "a frame that is not there": b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"].",
    "a long number": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    "one text made into bytes over and over": b"\x80\x02c_codecs\nencode\nq\x00X"
    + struct.pack("<I", 100_000) + b"x" * 100_000 + b"X\x06\x00\x00\x00latin1\x86q\x01]("
    + b"h\x00h\x01R" * 10_000 + b"e]\x88a\x86.",
    "lists beyond number": b"](" + b"]" * 100_000 + b"e]\x88a\x86.",
    "lists in lists": b"]" * 100_000 + b"a" * 99_999 + b".",
    "tuples in tuples": b"N" + b"\x85" * 100_000 + b".",
    "laughter": b"](" + b"K\x01" * 10 + b"eq\x00" + b"".join(
        b"](" + bytes([0x68, i]) * 10 + b"eq" + bytes([i + 1]) for i in range(60)) + b".",
}  # fmt: skip


@pytest.mark.parametrize("raw", LARGE.values(), ids=LARGE)
def test_a_small_file_cannot_fill_the_memory(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(raw)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"x\.bin"):
            read_bin(tmp_path / "x.bin")
        assert tracemalloc.get_traced_memory()[1] < 2**20 + 20 * len(raw)
    finally:
        tracemalloc.stop()


def test_more_pictures_than_memory_holds_are_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("recognition.datasets.choosing.memory", lambda: 10_000)
    path = write_bin(tmp_path / "x.bin", PICTURES, MATED)
    with pytest.raises(InputError, match=r"fit in a quarter of the memory.*pass a smaller size"):
        read_verification(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((PICTURES[:3], [True]), "got 3 pictures for 1 pairs"),
        ((PICTURES[:2], [True, False]), "got 2 pictures for 2 pairs"),
        (([], []), "got 0 pictures for 0 pairs"),
        (PICTURES, "got something else"),
        ((PICTURES, 3), "no lists"),
        ((["text"] * 2, [True]), "got none at place 0"),
        (([None] * 2, [True]), "got none at place 0"),
        (([np.zeros((4, 4, 4), np.uint8)] * 2, [True]), r"got shape \(4, 4, 4\) at place 0"),
        (([np.zeros((4, 4), np.uint8)] * 2, [True]), r"got shape \(4, 4\) at place 0"),
        (([np.zeros(3, np.float32)] * 2, [True]), "arrays of uint8, not of 'f4'"),
        ((np.zeros((2, 3), np.uint8), [True]), "no lists"),
        ((PICTURES[:2], [2]), "truth values that are none"),
        ((PICTURES[:2], ["yes"]), "truth values that are none"),
    ],
)  # fmt: skip
def test_other_contents_are_refused(content: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=message):
        read_bin(tmp_path / "x.bin")


def test_pairs_of_one_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected mated and non-mated pairs"):
        read_verification(write_bin(tmp_path / "x.bin", PICTURES, [True] * 12))


def test_no_picture_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of 24 can be used"):
        read_verification(write_bin(tmp_path / "x.bin", [b"-"] * 24, MATED))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("kind", ["bytes", "encoded array"])
def test_damage_is_refused_in_words(kind: str, protocol: int, tmp_path: Path) -> None:
    path = write_bin(tmp_path / "x.bin", [KINDS[kind](p) for p in PICTURES[:4]], [1, 0], protocol)
    good = path.read_bytes()
    for _, raw in damaged(good, seed=protocol):
        path.write_bytes(raw)
        refused(
            lambda: read_verification(path, size=8),
            lambda found: (
                len(found.pictures) + len(found.pictures.skipped) == 4
                and len(found.pairs) + sum(found.pairs.failures) == 2
                and found.pictures.images.shape[1:] == (8, 8, 3)
            ),
        )
