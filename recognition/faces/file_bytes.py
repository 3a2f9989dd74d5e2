"""All bytes of a file, or why there are none."""

import os
import stat
from pathlib import Path

MOST_BYTES = 2**28


def all_bytes(path: Path) -> bytes:
    """All of a regular file of at most 256 MiB, which must not change meanwhile.

    Raises:
        OSError: it cannot be read, or is something else.
    """
    # a pipe, opened without waiting for a writer, is told from a file before it is read
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        before = os.fstat(handle)
        _require_usual(before)
    except BaseException:
        os.close(handle)
        raise
    with os.fdopen(handle, "rb") as file:
        raw = file.read(before.st_size)
        after = os.fstat(handle)
    if len(raw) < before.st_size or (after.st_size, after.st_mtime_ns) != (
        before.st_size,
        before.st_mtime_ns,
    ):
        raise OSError("a file that changed while it was read")
    return raw


def _require_usual(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError("a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    if not status.st_size:
        raise OSError("an empty file")
    if status.st_size > MOST_BYTES:
        raise OSError(f"{status.st_size:,} bytes, more than {MOST_BYTES:,}")
