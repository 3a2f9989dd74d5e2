"""One writer at a time, and who that is."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from recognition.datasets._files import reason, shown
from recognition.errors import InputError
from recognition.gallery.changes import now

LOCK, HOLDER = "lock", "writer.json"
PAUSE = 0.01  # seconds between two tries


class WriterLock:
    """Held by the one who writes to a gallery, over processes and threads; free when they die."""

    def __init__(self, folder: Path, patience: float) -> None:
        self.folder = folder
        self.patience = patience
        self._lock = FileLock(folder / LOCK, mode=0o600)

    @contextmanager
    def held(self, patience: float | None = None) -> Iterator[None]:
        """Alone from here on; who holds it already goes on holding it.

        Raises:
            InputError: somebody else writes for longer than the patience; it says who.
        """
        patience = self.patience if patience is None else patience
        try:
            held = self._lock.acquire(timeout=patience, poll_interval=PAUSE)
        except Timeout:
            raise InputError(
                f"{shown(self.folder)} is being written to by {self._holder()}; it was waited for "
                f"{patience:g} s: try again when that is done"
            ) from None
        except OSError as error:
            raise InputError(
                f"{shown(self.folder)} cannot be written to ({reason(error)}); nothing was changed"
            ) from error
        with held:
            if self._lock.lock_counter > 1:
                yield
                return
            self._sign()
            try:
                yield
            finally:
                with suppress(OSError):
                    (self.folder / HOLDER).unlink()

    def _sign(self) -> None:
        me = {"pid": os.getpid(), "host": platform.node(), "since": now()}
        with suppress(OSError):  # on a full disk the lock holds without a name
            path = self.folder / HOLDER
            with open(path, "w", opener=_for_the_owner) as file:
                json.dump(me, file)

    def _holder(self) -> str:
        try:
            told = json.loads((self.folder / HOLDER).read_bytes())
            return f"process {told['pid']} on {told['host']}, since {told['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process or thread"


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
