"""Tensors by name in a .safetensors file."""

import json
from pathlib import Path

import numpy as np
from safetensors import safe_open

from recognition.datasets._arrays import Array, Container, Described, read_at

_TYPES = {
    "BOOL": "?",
    "U8": "u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
    "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
    "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<f4",
}  # fmt: skip
_OTHER = np.dtype("V1")


def open_safetensors(path: Path) -> Container:
    """The tensors; bfloat16, which numpy has not, is read as float32, which holds it exactly."""
    with safe_open(path, "numpy"):
        pass  # the library has checked that header and data fit each other
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    kinds = {name: entry["dtype"] for name, entry in header.items()}
    starts = {name: 8 + length + entry["data_offsets"][0] for name, entry in header.items()}
    arrays = {
        name: Described(tuple(entry["shape"]), np.dtype(_TYPES[kind]) if kind in _TYPES else _OTHER)
        for (name, entry), kind in zip(header.items(), kinds.values(), strict=True)
    }

    def load(name: str) -> Array:
        shape, dtype = arrays[name]
        if kinds[name] != "BF16":
            return read_at(path, starts[name], Described(shape, dtype))
        halves = read_at(path, starts[name], Described(shape, np.dtype("<u2")))
        wide = halves.astype(np.uint32)
        wide <<= 16  # a bfloat16 is the upper half of a float32
        return wide.view(np.float32)

    return Container(arrays, load)
