"""What the readers of IJB's files share."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, shown
from recognition.datasets._tables import Block
from recognition.datasets._whole_numbers import DIGITS
from recognition.errors import InputError
from recognition.progress import Watch
from recognition.protocols import Small

Integers = npt.NDArray[np.int32] | npt.NDArray[np.int64]


def watched(path: Path, blocks: Iterable[Block], watch: Watch) -> Iterator[Block]:
    """The blocks of a file, while somebody is told how many of its lines are read."""
    with path.open("rb") as file:
        lines = sum(part.count(b"\n") for part in iter(partial(file.read, 2**20), b""))
    with watch(f"reading {shown(Path(path.name))}", lines) as advance:
        for block in blocks:
            yield block
            advance(block.line + block.rows - 1)


def whole(path: Path, what: str, texts: Sequence[str], line: int) -> Small:
    """Texts as whole numbers from 0."""
    joined = "".join(texts)
    if not (joined.isascii() and joined.isdigit()) or max(map(len, texts)) > DIGITS:
        at, text = next(
            (i, text)
            for i, text in enumerate(texts)
            if not (text.isascii() and text.isdigit()) or len(text) > DIGITS
        )
        raise InputError(
            f"{shown(path)}, line {line + at}: expected {what} as a whole number of at most "
            f"{DIGITS} digits, got {listed([text])}; correct this line"
        )
    return np.fromiter(map(int, texts), np.int32, len(texts))
