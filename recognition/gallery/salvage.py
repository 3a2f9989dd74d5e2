"""Every record of a damaged SQLite file that can still be read and is as it was written."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recognition.contract import Contract, Preprocessing
from recognition.gallery.records import PAGE, record_sum
from recognition.gallery.snapshot import OF_PERSON, OF_SAMPLE
from recognition.gallery.store import FILE, Store

UNREADABLE = (sqlite3.Error, MemoryError, OverflowError, ValueError)  # what damage makes it raise
COPIED = ".repair-"  # how a folder with a copy of the file is called, while it is read
FEW = 256  # records read together
END = 2**62  # above all numbers
TABLES = {"about", "people", "samples", "gone", "sqlite_sequence"}
Record = tuple[object, ...]
Read = Callable[[int, int], list[Record]]


class Salvage:
    """What is left of a gallery's file; it is read only, and what cannot be read is passed over."""

    def __init__(self, connection: sqlite3.Connection, *, first_page: bool) -> None:
        self._connection = connection
        self._first_page = first_page

    def about(self) -> dict[str, str]:
        """What is said of the gallery, as far as it is sound."""
        told: dict[str, str] = {}
        for key in ("format", "contract", "threshold"):
            with suppress(*UNREADABLE):
                found = self._connection.execute(
                    "SELECT key, value, sum FROM about WHERE key = ?", (key,)
                ).fetchall()
                told.update((str(row[0]), str(row[1])) for row in filter(_sound, found))
        return told

    def said(self, key: str) -> bool:
        """Whether something is said of this, sound or not."""
        with suppress(*UNREADABLE):
            query = "SELECT count(*) FROM about WHERE key = ?"
            return bool(self._connection.execute(query, (key,)).fetchone()[0])
        return True

    def people(self) -> Iterator[Record]:
        """(person, name, metadata, enrolled, sum) by number, sound ones only."""
        return filter(_sound, self._all(OF_PERSON + "WHERE person > ? ORDER BY person LIMIT ?"))

    def samples(self) -> Iterator[Record]:
        """(sample, person, source, digest, vector, sum) by number, sound ones only."""
        return filter(_sound, self._all(OF_SAMPLE + "WHERE sample > ? ORDER BY sample LIMIT ?"))

    def names(self) -> dict[int, str]:
        """The names of people as the index has them, which is another place."""
        found: dict[int, str] = {}
        with suppress(*UNREADABLE):
            query = "SELECT person, name FROM people INDEXED BY sqlite_autoindex_people_1"
            for person, name in self._connection.execute(query):
                found[int(person)] = str(name)
        return found

    def count(self, index: str, table: str) -> int | None:
        """How many records there are by an index, which is another place; None if it is gone."""
        with suppress(*UNREADABLE):
            query = f"SELECT count(*) FROM {table} INDEXED BY {index}"
            return int(self._connection.execute(query).fetchone()[0])
        return None

    def wrongly_gone(self) -> int:
        """How many samples there are by the index that are said to be gone; 0 if none can be."""
        with suppress(*UNREADABLE):
            query = (
                "SELECT count(*) FROM samples INDEXED BY samples_of "
                "WHERE sample IN (SELECT sample FROM gone)"
            )
            return int(self._connection.execute(query).fetchone()[0])
        return 0

    def findings(self) -> list[str]:
        """What SQLite itself finds wrong with the file."""
        if not self._first_page:
            return ["the first page cannot be understood"]
        try:
            found = self._connection.execute("PRAGMA integrity_check(20)").fetchall()
        except UNREADABLE as error:
            return [str(error)]
        lines = [line for (text,) in found for line in str(text).splitlines()]
        return [] if lines == ["ok"] else lines

    def _all(self, query: str) -> Iterator[Record]:
        def read(after: int, most: int) -> list[Record]:
            found = self._connection.execute(query, (after, most)).fetchall()
            return [row for row in found if type(row[0]) is int and after < row[0] < END]

        return _readable(read)


def _readable(read: Read) -> Iterator[Record]:
    """All records of a table by number, those on pages that cannot be read passed over."""
    after, most = -1, FEW
    while after < END:
        try:
            rows = sorted(read(after, most), key=lambda row: row[0])  # type: ignore[arg-type, return-value]
        except UNREADABLE:
            if most > 1:
                most = 1  # up to the page that is bad
            else:
                after, most = _beyond(read, after), FEW
            continue
        if not rows:
            return
        yield from rows
        after = int(rows[-1][0])  # type: ignore[call-overload]


def _beyond(read: Read, after: int) -> int:
    """The first number from which on something can be read again, found by doubling and halving."""
    bad, step = after, 1
    while not _works(read, after + step):
        bad, step = after + step, 2 * step
        if after + step >= END:
            return END
    good = after + step
    while good - bad > 1:
        middle = (good + bad) // 2
        bad, good = (bad, middle) if _works(read, middle) else (middle, good)
    return good


def _works(read: Read, after: int) -> bool:
    try:
        read(after, 1)
    except UNREADABLE:
        return False
    return True


def _sound(row: Record) -> bool:
    *told, sum_ = row
    return record_sum(*told) == sum_


@contextmanager
def salvaging(folder: Path) -> Iterator[Salvage]:
    """The file of a gallery in whatever state, left as it is.

    Its first page says where the tables are, and is the same in every gallery but for the size of
    the file: where it cannot be understood, a copy of the file with another first page is read.
    """
    connection = _opened(folder / FILE)
    if connection is None:
        with tempfile.TemporaryDirectory(prefix=COPIED, dir=folder) as temporary:
            copy = _with_another_first_page(folder / FILE, Path(temporary))
            connection = _opened(copy) or sqlite3.connect(":memory:")
            try:
                yield Salvage(connection, first_page=False)
            finally:
                connection.close()
        return
    try:
        yield Salvage(connection, first_page=True)
    finally:
        connection.close()


def _opened(path: Path) -> sqlite3.Connection | None:
    """A connection, if it sees the tables."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        connection.text_factory = lambda raw: raw.decode(errors="replace")
        connection.execute("PRAGMA trusted_schema=OFF")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if tables >= TABLES:
            for table in TABLES:
                connection.execute(f"SELECT * FROM {table} WHERE 0")
            return connection
    except UNREADABLE:
        pass
    connection.close()
    return None


def _with_another_first_page(path: Path, folder: Path) -> Path:
    copy = folder / "damaged"
    shutil.copyfile(path, copy)
    fresh = folder / "fresh"
    fresh.mkdir()
    Store.create(fresh, Contract("", "", 1, Preprocessing())).close()
    first = bytearray((fresh / FILE).read_bytes()[:PAGE])
    first[28:32] = (copy.stat().st_size // PAGE).to_bytes(4, "big")  # pages; there are no free ones
    first[32:40] = bytes(8)
    with copy.open("r+b") as file:
        file.write(first)
    return copy
