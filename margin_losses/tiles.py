"""Rows worked on at a time."""

from collections.abc import Iterator

import torch

TILE = 2**17  # numbers worked on at a time: they stay in a CPU's cache; others get WIDER times more
WIDER = 2**7


def tiles(rows: int, width: int, device: torch.device) -> Iterator[slice]:
    """The parts of so many rows of so many numbers, in order."""
    room = TILE if device.type == "cpu" else TILE * WIDER
    size = max(1, room // max(1, width))
    return (slice(start, start + size) for start in range(0, rows, size))
