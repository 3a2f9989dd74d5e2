"""Named arrays in a file, described before they are read, so that no claim is believed unseen."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import shown
from recognition.errors import InputError

Array = npt.NDArray[Any]

MAPPED = 2**26  # bytes from which an array is mapped instead of read
UNPACKED = 2**26  # bytes that any file may claim to hold
RATIO = 200  # beyond that, how many times as large as stored; embeddings hardly compress at all


class Described(NamedTuple):
    """What a file says about one of its arrays. Unknown types are of kind V."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes when unpacked."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Container:
    """A file of named arrays: what it says of them, and how one is read.

    `elsewhere` has the path of those that are in another file. `stream` gives an array some rows
    at a time without holding all of it; where it is None, the format maps what is large.
    """

    arrays: Mapping[str, Described]
    load: Callable[[str], Array]
    elsewhere: Mapping[str, Path] = field(default_factory=dict)
    stream: Callable[[str, int], Iterator[Array]] | None = None

    def chunks(self, name: str, rows: int) -> Iterator[Array]:
        """An array, `rows` of it at a time, whatever pieces it is read in."""
        if self.stream is None:
            whole = self.load(name)
            yield from (whole[start : start + rows] for start in range(0, len(whole), rows))
            return
        held: list[Array] = []
        for piece in self.stream(name, rows):
            held.append(piece)
            while sum(map(len, held)) >= rows:
                joined = np.concatenate(held)
                yield joined[:rows]
                held = [joined[rows:]]
        if sum(map(len, held)):
            yield np.concatenate(held)


def require_believable(path: Path, name: str, claimed: int, stored: int) -> None:
    """Refuses a small file that would unpack to fill the memory.

    Raises:
        InputError: it claims more than 64 MiB and more than 200 times what is stored.
    """
    if claimed > max(UNPACKED, RATIO * stored):
        raise InputError(
            f"{shown(path)}: expected {name!r} to hold what is stored, but {stored:,} bytes claim "
            f"to unpack to {claimed:,}; if that is true, save it without compression"
        )


def read_at(path: Path, offset: int, described: Described, *, columns_first: bool = False) -> Array:
    """An array that lies plainly in a file: mapped if large and aligned, else read."""
    shape, dtype = described
    order: Any = "F" if columns_first else "C"
    if described.nbytes >= MAPPED and offset % dtype.alignment == 0:
        return np.memmap(path, dtype, "r", offset, shape, order)
    return np.fromfile(path, dtype, prod(shape), offset=offset).reshape(shape, order=order)
