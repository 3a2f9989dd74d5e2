"""The truth about who is enrolled: one SQLite file, written durably, one writer at a time.

A connection is used by one thread at a time: each snapshot and each transaction takes one that is
free, or makes one, so that a gallery may be used from several threads. Connections do not outlive a
fork.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from recognition.contract import Contract
from recognition.datasets._files import reason, shown
from recognition.errors import InputError
from recognition.gallery.changes import Changes, now
from recognition.gallery.page_gaps import clear_gaps
from recognition.gallery.records import FORMAT, PAGE, SCHEMA
from recognition.gallery.snapshot import WAY_OUT, Snapshot
from recognition.whole_files import sync_folder

FILE = "gallery.sqlite3"
WAIT = 30.0  # seconds for another writer to finish
LOG = 2**10  # pages of the log after which they are moved into the file
BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY")


class Store:
    """The SQLite file of a gallery. Readers see the last finished change, never half of one."""

    def __init__(self, path: Path) -> None:
        """What is at a path.

        Raises:
            InputError: it cannot be read.
        """
        self.path = path
        self._guard = threading.Lock()
        self._free: list[sqlite3.Connection] = []
        self._open = True
        self._process = os.getpid()
        try:
            with self.snapshot() as snapshot:
                self.contract = snapshot.contract
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, folder: Path, contract: Contract) -> Self:
        """A new, empty store in a folder that is there; it takes its name when it is whole.

        Raises:
            InputError: there is one already, or it cannot be written.
        """
        path = folder / FILE
        if path.exists():
            raise InputError(f"{path} exists already; open it, or name another folder")
        partial = folder / f"{FILE}.part"
        try:
            for old in folder.glob(f"{FILE}.part*"):  # of somebody who was stopped
                old.unlink()
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            connection = _connect(partial)
            try:
                with _transaction(connection):
                    for statement in SCHEMA.split(";\n"):
                        connection.execute(statement)
                    for key, value in (
                        ("format", FORMAT),
                        ("contract", contract.to_json()),
                        ("created", now()),
                    ):
                        Changes(connection).say(key, value)
            finally:
                connection.close()
            partial.rename(path)
            sync_folder(folder)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"expected to make a gallery in {shown(folder)}, but it could not be written "
                f"({reason(error)}); nothing is lost: make room, or name another folder"
            ) from error
        return cls(path)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The store in a folder.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        path = folder / FILE
        if not path.is_file():
            raise InputError(
                f"expected a gallery at {shown(folder)}, but there is no {FILE} in it; make one "
                "with recognition gallery create"
            )
        return cls(path)

    def __repr__(self) -> str:
        """Where it is; nothing of what is in it."""
        return f"Store({shown(self.path)!r})"

    def close(self) -> None:
        """Let go of the file; what was changed is safe already."""
        with self._guard:
            self._open = False
            free, self._free = self._free, []
        if os.getpid() == self._process:
            for connection in free:
                connection.close()

    def require_process(self) -> None:
        """Refuse another process than that which opened it; no lock is waited for.

        Raises:
            InputError: there was a fork.
        """
        if os.getpid() != self._process:
            raise InputError(
                f"expected {shown(self.path)} to be used by process {self._process}, which opened "
                f"it, but this is {os.getpid()}; open the gallery again after a fork"
            )

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Everything read of it is of one moment.

        Raises:
            InputError: what is read is damaged.
        """
        try:
            with self._connection() as connection:
                connection.execute("BEGIN")
                try:
                    connection.execute("SELECT 1 FROM about").fetchone()  # the moment is now
                    yield Snapshot(connection, self.path)
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise InputError(self._unreadable(error)) from error

    @contextmanager
    def changing(self, *, anew: bool = False) -> Iterator[Changes]:
        """Changes that last, all or none, once this is over without an error.

        Args:
            anew: by a connection that remembers no page. After it the others do not, either.

        Raises:
            InputError: they could not be written; nothing is changed.
        """
        try:
            with self._connection(anew=anew) as connection, _transaction(connection):
                yield Changes(connection)
        except sqlite3.Error as error:
            raise InputError(
                f"{shown(self.path)} could not be written ({reason(error)}); nothing was changed: "
                f"make room or let it be written to, and if it is damaged, {WAY_OUT}"
            ) from error

    def truncate_log(self, seconds: float) -> bool:
        """Move everything from the write-ahead log into the file, and empty the log.

        False where somebody who reads holds on to it for longer than that.
        """
        try:
            with self._connection() as connection:
                connection.execute(f"PRAGMA busy_timeout = {int(1000 * seconds)}")
                busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                connection.execute(f"PRAGMA busy_timeout = {int(1000 * WAIT)}")
        except sqlite3.Error:
            return False
        return not busy

    def clear_gaps(self) -> None:
        """Leave nothing in the file that is in no record; only for the writer, with an empty log.

        Until the next change, made anew, connections may remember pages as they were.

        Raises:
            OSError: that could not be done.
        """
        clear_gaps(self.path)

    @contextmanager
    def _connection(self, *, anew: bool = False) -> Iterator[sqlite3.Connection]:
        self.require_process()
        with self._guard:
            if not self._open:
                raise InputError(f"{shown(self.path)} was closed; open the gallery again")
            free = self._free.pop() if self._free and not anew else None
        with _readable():
            connection = free or _connect(self.path)
            try:
                yield connection
            finally:
                self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._guard:
            if self._open:
                self._free.append(connection)
                return
        connection.close()

    def _unreadable(self, error: sqlite3.Error) -> str:
        name = getattr(error, "sqlite_errorname", "")
        what = (
            f"expected a gallery at {shown(self.path)}, but it cannot be read ({reason(error)}); "
        )
        if name.startswith((*BUSY, "SQLITE_CANTOPEN")):
            return what + "see that the disk is well and that the folder can be written to"
        return what + WAY_OUT


@contextmanager
def _readable() -> Iterator[None]:
    """Damaged text, in a record or in what SQLite has to say of it, is a damaged file."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError("text in it is no UTF-8") from error


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that any one thread may use; it only reads where the folder is read-only.

    In such a folder SQLite cannot make the files by which those who write and read agree, so it
    is told that nobody writes, if there is no log.
    """
    writable = os.access(path.parent, os.W_OK)
    address = path.resolve().as_uri() + "?mode=" + ("rw" if writable else "ro")
    if not writable and not path.with_name(f"{path.name}-wal").exists():
        address += "&immutable=1"
    connection = sqlite3.connect(
        address, uri=True, timeout=WAIT, isolation_level=None, check_same_thread=False
    )
    for_writing = (f"page_size={PAGE}", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON")
    for_all = ("foreign_keys=ON", "trusted_schema=OFF", f"wal_autocheckpoint={LOG}")
    try:
        for pragma in (*(for_writing if writable else ()), *for_all):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself ends it where the disk is full
            connection.execute("ROLLBACK")
        raise
