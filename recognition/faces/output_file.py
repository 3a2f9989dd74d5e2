"""The file that is to be written: it can be, and nobody else is at it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recognition.datasets._files import shown
from recognition.errors import InputError


def require_place(out: Path) -> None:
    """Refuse a place where no file of faces could be written, before any work is done.

    Raises:
        InputError: it is not named `.npz`, is a folder, or its folder cannot be written to.
    """
    if out.suffix.lower() != ".npz" or out.is_dir():
        raise InputError(
            f"expected a .npz file to write the faces to, got {shown(out)}; try faces.npz"
        )
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(
            f"expected a folder that can be written to for {shown(out)}, got none; make the "
            "folder first, or name another place"
        )


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """One process at a time writes a file; the lock is a hidden file beside it.

    Raises:
        InputError: another process is at it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(out.with_name(f".{out.name}.lock"), timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"expected {shown(out)} to be written by nobody else, but another process is at it; "
            "wait until it has finished, or name another file"
        ) from None
    try:
        yield
    finally:
        lock.release()
