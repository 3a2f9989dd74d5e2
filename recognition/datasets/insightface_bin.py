"""insightface's verification sets (lfw.bin, agedb_30.bin): pictures and pairs in one pickle.

A pickle is a program. This one is read twice: first its instructions are listed without being
run, and any that lists of pictures do not need are refused; then it is run with nothing to call
but the few functions below, which stand in for what Python and numpy would have called and build
only bytes and views of bytes. So nothing of the file's choosing is imported or called, and memory
stays within a multiple of the file's size.

Source: insightface, recognition/arcface_torch/eval/verification.py, `load_bin`.
"""

import io
import pickle
import pickletools
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.errors import InputError

Entry = bytes | bytearray | npt.NDArray[np.uint8]

_EXPECTED = "a verification set of insightface (a pickle of pictures and pairs)"
_WAY_OUT = "fetch it again from where it was published"
_CODES = {known.code: known for known in pickletools.opcodes}
_PLAIN = {
    "PROTO", "FRAME", "STOP", "MARK",
    "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET",
    "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
    "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    "EMPTY_LIST", "LIST", "APPEND", "APPENDS",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
}  # fmt: skip
_MAKING = {"EMPTY_LIST", "LIST", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "BYTEARRAY8", "REDUCE"}
_BYTES_AN_OBJECT = 16  # of the file, at least: each takes 50 to 250 in memory, a picture hundreds
_SPARE = 1000  # objects that any file may have


class Bin(NamedTuple):
    """2 M encoded pictures, and for each of M pairs whether both show one person."""

    entries: list[Entry]
    mated: npt.NDArray[np.bool_]


def read_bin(path: Path) -> Bin:
    """The pictures as they are stored, and the pairs; nothing is decoded.

    Raises:
        InputError: no such file, one that asks for anything else, or is damaged.
    """
    size = require_file(path, _EXPECTED)
    with refusing(path, _EXPECTED, _WAY_OUT):
        raw = path.read_bytes()
        _require_plain(path, raw)
        content = _Unpickler(path, raw, size).load()
        if not isinstance(content, tuple | list) or len(content) != 2:
            raise InputError(_unlike(path, "something else"))
        bins, flags = content
        entries = [_entry(path, number, bin_) for number, bin_ in enumerate(_list(path, bins))]
        mated = np.array([_flag(path, flag) for flag in _list(path, flags)], bool)
    if not len(mated) or len(entries) != 2 * len(mated):
        raise InputError(
            f"{shown(path)}: expected two pictures for each pair, got {len(entries):,} pictures "
            f"for {len(mated):,} pairs; {_WAY_OUT}"
        )
    return Bin(entries, mated)


def _require_plain(path: Path, raw: bytes) -> None:
    """Refuse, without running it, what lists of pictures have no use for.

    The module pickle reserves memory for whatever place in its memo and whatever length a file
    names; here a place must be below the number of instructions so far, and every length has
    been read.
    """
    objects = 0
    for number, (name, argument) in enumerate(_instructions(raw)):
        if name not in _PLAIN:
            raise InputError(_asks(path, f"the instruction {name}"))
        if name.endswith("PUT") and not 0 <= argument <= number + 1:
            raise InputError(_asks(path, f"place {argument} of its memo at instruction {number}"))
        objects += name in _MAKING
        if objects > _SPARE + len(raw) // _BYTES_AN_OBJECT:
            raise InputError(_asks(path, f"{objects:,} objects in {len(raw):,} bytes"))


def _instructions(raw: bytes) -> Iterator[tuple[str, Any]]:
    """The names of a pickle's instructions, each with its argument, up to the first STOP."""
    file = io.BytesIO(raw)
    while code := file.read(1):
        known = _CODES.get(code.decode("latin1"))
        if known is None:
            raise ValueError(f"there is no instruction {code!r}")
        if (
            known.name == "STRING"
        ):  # pickletools takes those of Python 2 for ASCII, which they are not
            yield known.name, file.readline()
        else:
            yield known.name, known.arg and known.arg.reader(file)
        if known.name == "STOP":
            return
    raise ValueError("it ends before its last instruction")


class _Unpickler(pickle.Unpickler):
    """Runs a pickle that can call nothing but what is in `known`."""

    def __init__(self, path: Path, raw: bytes, size: int) -> None:
        super().__init__(io.BytesIO(raw), encoding="bytes")
        self.path = path
        made = _Made(size)
        self.known: dict[tuple[str, str], Any] = {
            ("_codecs", "encode"): made.encoded,
            ("numpy", "dtype"): _Kind,
            ("numpy", "ndarray"): _NDARRAY,
        }
        for builtins in ("builtins", "__builtin__"):
            self.known[builtins, "bytes"] = made.nothing
            self.known[builtins, "bytearray"] = made.bytearray
        for core in ("numpy.core", "numpy._core"):
            self.known[f"{core}.multiarray", "_reconstruct"] = _reconstruct
            self.known[f"{core}.multiarray", "scalar"] = _scalar
            self.known[f"{core}.numeric", "_frombuffer"] = _from_buffer

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.known:
            raise InputError(_asks(self.path, f"{module}.{name}"))
        return self.known[module, name]


class _Made:
    """What bytes Python's own pickles are made by; together no more than the file is long."""

    def __init__(self, budget: int) -> None:
        self.left = budget

    def encoded(self, text: Any, encoding: object) -> bytes:
        """_codecs.encode, of which only what protocols 0 to 2 make of bytes."""
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise ValueError("bytes that are not spelled in latin1")
        self._spend(len(text))
        return str.encode(text, "latin1")

    def bytearray(self, *given: Any) -> bytes:
        """Bytes, from bytes or from text: never from a length."""
        if len(given) == 2:
            return self.encoded(*given)
        if not given:
            return b""
        (content,) = given
        if not isinstance(content, bytes):
            raise ValueError("a bytearray of something else than bytes")
        return content

    def nothing(self) -> bytes:
        """What protocols 0 to 2 make of no bytes."""
        return b""

    def _spend(self, length: int) -> None:
        self.left -= length
        if self.left < 0:
            raise ValueError("the same text is made into bytes over and over")


class _Kind:
    """Stands for a numpy.dtype of one byte: numbers or truth values."""

    __slots__ = ("dtype",)

    def __init__(self, name: str | bytes, align: object = False, copy: object = True) -> None:
        text = name.decode("ascii") if isinstance(name, bytes) else name
        self.dtype = {"u1": np.dtype("u1"), "b1": np.dtype("?")}.get(text.lstrip("|"))
        if self.dtype is None:
            raise ValueError(f"expected arrays of uint8, not of {text[:20]!r}")

    def __setstate__(self, state: object) -> None:
        """Byte order and the like, which a byte has not."""


_NDARRAY = object()  # numpy.ndarray is only ever an argument


class _Array:
    """Stands for a numpy array until its state comes."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: npt.NDArray[Any] | None = None

    def __setstate__(self, state: tuple[object, Any, _Kind, bool, bytes]) -> None:
        _, shape, kind, columns_first, data = state
        self.values = _view(data, kind, shape, "F" if columns_first else "C")


def _reconstruct(kind: object, shape: object, letter: object) -> _Array:
    if kind is not _NDARRAY or shape != (0,):
        raise ValueError("expected an array that is empty at first")
    return _Array()


def _from_buffer(data: bytes | bytearray, kind: _Kind, shape: Any, order: str) -> _Array:
    array = _Array()
    array.values = _view(data, kind, shape, order)
    return array


def _scalar(kind: _Kind, data: bytes) -> bool:
    return bool(_view(data, kind, (1,), "C")[0])


def _view(data: Any, kind: Any, shape: Any, order: Any) -> npt.NDArray[Any]:
    """The bytes in this shape; nothing is copied, and nothing is believed about their number."""
    if not isinstance(kind, _Kind) or not isinstance(data, bytes | bytearray):
        raise ValueError("expected arrays of uint8")
    if not isinstance(shape, tuple) or len(shape) > 3 or not all(_is_length(n) for n in shape):
        raise ValueError("expected arrays of at most three dimensions")
    if prod(shape) != len(data):
        raise ValueError(f"an array of {prod(shape):,} bytes, of which {len(data):,} are there")
    return np.frombuffer(data, kind.dtype).reshape(shape, order=order)


def _is_length(n: object) -> bool:
    return isinstance(n, int) and 0 <= n < 2**48


def _list(path: Path, given: object) -> Sequence[Any]:
    if isinstance(given, _Array):
        given = given.values.tolist() if given.values is not None and given.values.ndim == 1 else 0
    if not isinstance(given, list | tuple):
        raise InputError(_unlike(path, "no lists"))
    return given


def _entry(path: Path, number: int, given: object) -> Entry:
    values = given.values if isinstance(given, _Array) else given
    if isinstance(values, np.ndarray) and values.dtype == np.uint8:
        encoded = values.ndim == 1 or (values.ndim == 2 and 1 in values.shape)
        if encoded or (values.ndim == 3 and values.shape[2] == 3 and values.size):
            return values
        raise InputError(_unlike(path, f"shape {values.shape} at place {number}"))
    if isinstance(values, bytes | bytearray):
        return values
    raise InputError(_unlike(path, f"none at place {number}"))


def _flag(path: Path, given: object) -> bool:
    if not isinstance(given, int) or given not in (0, 1):
        raise InputError(_unlike(path, "truth values that are none"))
    return bool(given)


def _unlike(path: Path, came: str) -> str:
    return (
        f"{shown(path)}: expected a list of encoded pictures and one of truth values, got {came}; "
        f"{_WAY_OUT}"
    )


def _asks(path: Path, what: str) -> str:
    return (
        f"{shown(path)}: expected a pickle of pictures and truth values alone, but it asks for "
        f"{listed([what])}; nothing of it was run: do not trust it, and {_WAY_OUT}"
    )
