"""A safetensors file read a piece at a time: every byte is hashed, and what is wanted is kept.

The library maps a file into memory, and whoever hashes it then holds all of it. Here nothing of
what is not kept stays.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import torch
from safetensors import safe_open
from torch import Tensor

PIECE = 1 << 22  # bytes read at a time
DTYPES = MappingProxyType(
    {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "I64": torch.int64,
        "I32": torch.int32,
        "I16": torch.int16,
        "I8": torch.int8,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    }
)
Keep = Callable[[str, tuple[int, ...]], slice]  # of a tensor's name and shape: the rows to keep


def everything(name: str, shape: tuple[int, ...]) -> slice:
    """All rows of all tensors."""
    return slice(None)


def nothing(name: str, shape: tuple[int, ...]) -> slice:
    """No rows; a number alone has none, and is kept."""
    return slice(0, 0)


def read_metadata(path: Path) -> Mapping[str, str]:
    """What the file has beside its tensors.

    Raises:
        OSError, SafetensorError: no such file, or one whose header is not sound.
    """
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def read_tensors(path: Path, begun: str, keep: Keep) -> tuple[dict[str, Tensor], str]:
    """The rows that are kept of each tensor, and the sha256 of `begun` and of all names and bytes.

    Raises:
        OSError, SafetensorError, ValueError: no such file, or a damaged one.
    """
    read_metadata(path)  # looks whether the offsets fit each other and the file
    hashed, found = hashlib.sha256(begun.encode()), {}
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(size))
        for name in sorted(header.keys() - {"__metadata__"}):
            told = header[name]
            if told["dtype"] not in DTYPES:
                raise ValueError(f"{name} is {told['dtype']}")
            dtype, shape = DTYPES[told["dtype"]], tuple(told["shape"])
            hashed.update(said(name, dtype, shape))
            file.seek(8 + size + told["data_offsets"][0])
            rows = range(shape[0])[keep(name, shape)] if shape else None
            part = shape if rows is None else (len(rows), *shape[1:])
            kept = torch.empty(part, dtype=dtype)
            row = math.prod(shape[1:]) * dtype.itemsize
            before = 0 if rows is None else rows.start * row
            after = math.prod(shape) * dtype.itemsize - before - kept.nbytes
            _skim(file, before, hashed)
            for piece in _pieces(kept):
                _fill(file, piece)
                hashed.update(piece)
            _skim(file, after, hashed)
            found[name] = kept
    return found, hashed.hexdigest()


def said(name: str, dtype: torch.dtype, shape: tuple[int, ...]) -> bytes:
    """What is hashed of a tensor before its bytes."""
    return f"{name} {dtype} {shape}".encode()


def _pieces(kept: Tensor) -> Iterator[memoryview]:
    """Its memory, to be written into."""
    whole = kept.reshape(-1).view(torch.uint8).numpy().data
    return (whole[start : start + PIECE] for start in range(0, len(whole), PIECE))


def _skim(file: BinaryIO, count: int, hashed: Any) -> None:
    """Hash bytes that are not kept."""
    piece = memoryview(bytearray(min(count, PIECE)))
    while count:
        some = piece[:count]
        _fill(file, some)
        hashed.update(some)
        count -= len(some)


def _fill(file: BinaryIO, piece: memoryview) -> None:
    if file.readinto(piece) != len(piece):  # type: ignore[attr-defined]
        raise ValueError("it ends early")
