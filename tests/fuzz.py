"""Damage for files: every reader must refuse it in a sentence, or read what is sound all the same.

    for name, raw in damaged(good):
        path.write_bytes(raw)
        refused(lambda: read(path), sound)

The number of random variants is small in the suite and large under `make soak`.
"""

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from recognition.errors import InputError

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
RANDOM = 1000 if SOAK else 20  # of each random kind of damage
Read = TypeVar("Read")


def damaged(good: bytes, *, seed: int = 0, count: int = RANDOM) -> Iterator[tuple[str, bytes]]:
    """Cuts at every 5 %, flipped bits, random bytes alone and over a part, doubled, and zeros."""
    random = np.random.default_rng(seed)
    for percent in range(0, 100, 5):
        yield f"cut at {percent} %", good[: len(good) * percent // 100]
    yield "twice", good + good
    yield "a byte more", good + b"\0"
    for number in range(count):
        yield f"bits {number}", _flipped(good, random)
        yield f"noise {number}", random.bytes(int(random.integers(1, max(2, 2 * len(good)))))
        yield f"overwritten {number}", _overwritten(good, random)


def refused(read: Callable[[], Read], sound: Callable[[Read], bool]) -> bool:
    """Whether it was refused; anything but one sentence with a way out, or a sound result, fails."""
    try:
        result = read()
    except InputError as error:
        message = str(error)
        assert "\n" not in message, message
        assert message.isprintable(), message
        assert len(message) > 40, message
        return True
    assert sound(result)
    return False


def _flipped(good: bytes, random: np.random.Generator) -> bytes:
    raw = bytearray(good)
    for place in random.integers(0, len(raw), size=int(random.integers(1, 9))):
        raw[place] ^= 1 << int(random.integers(8))
    return bytes(raw)


def _overwritten(good: bytes, random: np.random.Generator) -> bytes:
    raw = bytearray(good)
    start = int(random.integers(0, len(raw)))
    length = int(random.integers(1, 1 + min(64, len(raw) - start)))
    raw[start : start + length] = random.bytes(length)
    return bytes(raw)
