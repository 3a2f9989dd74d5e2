"""The truth about who is enrolled: one SQLite file, written durably, one writer at a time."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract
from recognition.errors import InputError
from recognition.gallery.answers import Person, Threshold

Singles = npt.NDArray[np.float32]

FORMAT = "1"
FILE = "gallery.sqlite3"
WAIT = 30.0  # seconds for another writer to finish
# Numbers of people and samples are never used again. Vectors are float32, little-endian, as the
# model gave them; sums, because SQLite does not notice a flipped bit. `gone` has numbers only, in
# the order in which samples went, for caches to leave them out.
SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE people (
    person INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    metadata TEXT NOT NULL,
    enrolled TEXT NOT NULL
) STRICT;
CREATE TABLE samples (
    sample INTEGER PRIMARY KEY AUTOINCREMENT,
    person INTEGER NOT NULL REFERENCES people (person),
    source TEXT NOT NULL,
    digest TEXT NOT NULL,
    vector BLOB NOT NULL,
    sum BLOB NOT NULL
) STRICT;
CREATE INDEX samples_of ON samples (person);
CREATE TABLE gone (change INTEGER PRIMARY KEY AUTOINCREMENT, sample INTEGER NOT NULL) STRICT;
"""


class Sample(NamedTuple):
    """An embedding of a person.

    Attributes:
        vector: (D,) float32, of any length.
        source: what it is called, such as the photograph and the face on it.
        digest: sha256 of the photograph; empty where it is not known.
    """

    vector: Singles
    source: str = ""
    digest: str = ""


class Rows(NamedTuple):
    """Samples as they are searched, by number ascending."""

    samples: npt.NDArray[np.int64]  # (n,)
    people: npt.NDArray[np.int64]  # (n,)
    vectors: Singles  # (n, D)


class Store:
    """The SQLite file of a gallery. Readers see the last finished change, never half of one."""

    def __init__(self, path: Path, connection: sqlite3.Connection, contract: Contract) -> None:
        self.path = path
        self.contract = contract
        self._connection = connection

    @classmethod
    def create(cls, folder: Path, contract: Contract) -> Self:
        """A new, empty store in a folder that is there.

        Raises:
            InputError: there is one already.
        """
        path = folder / FILE
        if path.exists():
            raise InputError(f"{path} exists already; open it, or name another folder")
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = _connect(path)
        about = {"format": FORMAT, "contract": contract.to_json(), "created": _now()}
        with _transaction(connection):
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())
        return cls(path, connection, contract)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The store in a folder.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        path = folder / FILE
        if not path.is_file():
            raise InputError(
                f"expected a gallery at {folder}, but there is no {FILE} in it; make one with "
                "recognition gallery create"
            )
        try:
            connection = _connect(path)
            about = dict(connection.execute("SELECT key, value FROM about"))
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"expected a gallery at {folder}, but {path.name} cannot be read ({error}); "
                "recognition gallery repair saves what can be saved"
            ) from error
        if about.get("format") != FORMAT:
            raise InputError(
                f"expected a gallery of format {FORMAT} at {folder}, got "
                f"{about.get('format')!r}; a newer release of this package wrote it"
            )
        return cls(path, connection, Contract.from_json(about["contract"]))

    def close(self) -> None:
        """Let go of the file; what was changed is safe already."""
        self._connection.close()

    # reading

    @property
    def version(self) -> tuple[int, int]:
        """What is another with every change, whoever makes it."""
        (others,) = self._connection.execute("PRAGMA data_version").fetchone()
        return self._connection.total_changes, others

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read meanwhile is of one moment."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def people(self) -> Iterator[Person]:
        """Everybody, by name."""
        found = self._connection.execute(
            "SELECT name, count(sample), metadata, enrolled FROM people "
            "LEFT JOIN samples USING (person) GROUP BY person ORDER BY name"
        )
        for name, samples, metadata, enrolled in found:
            yield Person(name, samples, json.loads(metadata), enrolled)

    def names(self, after: int = 0) -> dict[int, str]:
        """The names of people with numbers above `after`, by number."""
        return dict(
            self._connection.execute("SELECT person, name FROM people WHERE person > ?", (after,))
        )

    def rows(self, after: int = 0) -> Rows:
        """The samples with numbers above `after`.

        Raises:
            InputError: one is damaged.
        """
        found = self._connection.execute(
            "SELECT sample, person, vector, sum FROM samples WHERE sample > ? ORDER BY sample",
            (after,),
        )
        samples, people, vectors = [], [], bytearray()
        for sample, person, vector, sum_ in found:
            self._require_sound(sample, vector, sum_)
            samples.append(sample)
            people.append(person)
            vectors += vector
        matrix = np.frombuffer(vectors, "<f4").reshape(len(samples), self.contract.dimension)
        return Rows(np.array(samples, np.int64), np.array(people, np.int64), matrix)

    def samples(self, name: str) -> list[Sample]:
        """All that is kept of a person, oldest first.

        Raises:
            InputError: nobody has this name, or a sample is damaged.
        """
        person = self._number(name)
        found = self._connection.execute(
            "SELECT sample, vector, sum, source, digest FROM samples WHERE person = ? "
            "ORDER BY sample",
            (person,),
        ).fetchall()
        for sample, vector, sum_, _, _ in found:
            self._require_sound(sample, vector, sum_)
        return [
            Sample(np.frombuffer(vector, "<f4"), source, digest)
            for _, vector, _, source, digest in found
        ]

    def known(self) -> list[tuple[str, str, str]]:
        """Name, source and digest of every sample whose digest is known."""
        return self._connection.execute(
            "SELECT name, source, digest FROM samples JOIN people USING (person) "
            "WHERE digest != '' ORDER BY sample"
        ).fetchall()

    def counts(self) -> tuple[int, int]:
        """How many people and samples there are."""
        people, samples = self._connection.execute(
            "SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM samples)"
        ).fetchone()
        return people, samples

    def gone(self, after: int = 0) -> tuple[npt.NDArray[np.int64], int]:
        """The samples removed by changes after `after`, and the number of the last change."""
        found = self._connection.execute(
            "SELECT sample, change FROM gone WHERE change > ? ORDER BY change", (after,)
        ).fetchall()
        return np.array([sample for sample, _ in found], np.int64), found[-1][1] if found else after

    def sources(self, samples: Iterable[int]) -> dict[int, str]:
        """What samples are called."""
        wanted = json.dumps([int(sample) for sample in samples])
        return dict(
            self._connection.execute(
                "SELECT sample, source FROM samples "
                "WHERE sample IN (SELECT value FROM json_each(?))",
                (wanted,),
            )
        )

    @property
    def threshold(self) -> Threshold | None:
        """What decides whether somebody is known; None until one is set."""
        row = self._connection.execute("SELECT value FROM about WHERE key = 'threshold'").fetchone()
        return None if row is None else Threshold.from_json(row[0])

    # writing

    def enroll(
        self,
        name: str,
        samples: Sequence[Sample],
        metadata: Mapping[str, Any],
        replacing: Sequence[str] = (),
    ) -> None:
        """Add samples of a person, all or none; new metadata replaces what it names.

        Samples with the digests `replacing` go in the same transaction.
        """
        with self._writing() as write:
            person = self._person(write, name, metadata)
            self._drop(write, person, replacing)
            self._add(write, person, samples)

    def discard(self, name: str, digests: Sequence[str]) -> int:
        """Take samples of a person out, and the person with the last one; how many there were.

        Raises:
            InputError: nobody has this name.
        """
        with self._writing() as write:
            person = self._number(name)
            count = self._drop(write, person, digests)
            write.execute(
                "DELETE FROM people WHERE person = ? AND NOT EXISTS "
                "(SELECT 1 FROM samples WHERE person = ?)",
                (person, person),
            )
        return count

    def enroll_all(self, people: Iterable[tuple[str, Sequence[Sample], Mapping[str, Any]]]) -> None:
        """Add many people in one transaction, all or none."""
        with self._writing() as write:
            for name, samples, metadata in people:
                person = self._person(write, name, metadata)
                self._add(write, person, samples)

    def remove(self, name: str) -> int:
        """Take a person out; how many samples there were.

        Raises:
            InputError: nobody has this name.
        """
        with self._writing() as write:
            row = (self._number(name),)
            write.execute(
                "INSERT INTO gone (sample) SELECT sample FROM samples WHERE person = ?", row
            )
            count = write.execute("DELETE FROM samples WHERE person = ?", row).rowcount
            write.execute("DELETE FROM people WHERE person = ?", row)
        return count

    def set_threshold(self, threshold: Threshold) -> None:
        """Decide by this one from now on."""
        with self._writing() as write:
            write.execute(
                "INSERT OR REPLACE INTO about VALUES ('threshold', ?)", (threshold.to_json(),)
            )

    def truncate_log(self) -> bool:
        """Move everything from the write-ahead log into the file, and empty the log.

        False where somebody who reads holds on to it.
        """
        busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def _number(self, name: str) -> int:
        found = self._connection.execute("SELECT person FROM people WHERE name = ?", (name,))
        row = found.fetchone()
        if row is None:
            raise InputError(
                f"expected the name of somebody enrolled, got {name[:80]!r}; recognition gallery "
                "list shows the names"
            )
        return int(row[0])

    def _add(self, write: sqlite3.Connection, person: int, samples: Sequence[Sample]) -> None:
        write.executemany(
            "INSERT INTO samples (person, source, digest, vector, sum) VALUES (?, ?, ?, ?, ?)",
            ((person, s.source, s.digest, *_packed(s.vector)) for s in samples),
        )

    def _drop(self, write: sqlite3.Connection, person: int, digests: Sequence[str]) -> int:
        """Samples of a person by their digests; how many."""
        these = "person = ? AND digest != '' AND digest IN (SELECT value FROM json_each(?))"
        chosen = (person, json.dumps(list(digests)))
        write.execute(f"INSERT INTO gone (sample) SELECT sample FROM samples WHERE {these}", chosen)
        return write.execute(f"DELETE FROM samples WHERE {these}", chosen).rowcount

    def _person(self, write: sqlite3.Connection, name: str, metadata: Mapping[str, Any]) -> int:
        row = write.execute(
            "SELECT person, metadata FROM people WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            new = (name, json.dumps(dict(metadata)), _now())
            made = write.execute(
                "INSERT INTO people (name, metadata, enrolled) VALUES (?, ?, ?)", new
            )
            return int(made.lastrowid or 0)
        person, before = row
        merged = json.dumps({**json.loads(before), **metadata})
        if merged != before:
            write.execute("UPDATE people SET metadata = ? WHERE person = ?", (merged, person))
        return int(person)

    def _require_sound(self, sample: int, vector: bytes, sum_: bytes) -> None:
        if len(vector) != 4 * self.contract.dimension or _sum(vector) != sum_:
            raise InputError(
                f"expected sample {sample} of {self.path} as it was written, but it is damaged; "
                "recognition gallery check lists what is, repair saves the rest"
            )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with _transaction(self._connection):
                yield self._connection
        except sqlite3.OperationalError as error:
            raise InputError(
                f"{self.path} could not be written ({error}); nothing was changed"
            ) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
        "foreign_keys=ON",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _packed(vector: Singles) -> tuple[bytes, bytes]:
    raw = np.ascontiguousarray(vector, "<f4").tobytes()
    return raw, _sum(raw)


def _sum(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=8).digest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
