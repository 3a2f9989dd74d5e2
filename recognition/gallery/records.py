"""What a gallery's SQLite file holds, and sums by which a flipped bit is noticed."""

import hashlib
import sqlite3
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.errors import InputError

Singles = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

FORMAT = "1"
PAGE = 2**14  # bytes: seven samples of 512 numbers to a page; with SQLite's own 4096, one
SUM = 8  # bytes
# Numbers of people and samples are never used again. Vectors are float32, little-endian, as the
# model gave them. Every row of people and samples has a sum of all that it says, its number too,
# because SQLite does not notice a flipped bit. `gone` has numbers only, in the order in which
# samples went, for caches to leave them out.
SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL, sum BLOB NOT NULL) STRICT;
CREATE TABLE people (
    person INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    metadata TEXT NOT NULL,
    enrolled TEXT NOT NULL,
    sum BLOB NOT NULL
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

    def __repr__(self) -> str:
        """Without the embedding: it is somebody's."""
        return f"Sample({len(self.vector)} numbers, {self.source!r})"


class Rows(NamedTuple):
    """Samples as they are searched, by number ascending."""

    samples: Numbers  # (n,)
    people: Numbers  # (n,)
    vectors: Singles  # (n, D)

    def __repr__(self) -> str:
        """Without the embeddings: they are somebody's."""
        return f"Rows({len(self.samples)} samples)"


def record_sum(*fields: object) -> bytes:
    """blake2b of the fields: of text and numbers as a list, and of what bytes are between them.

    >>> record_sum(1, "ab") == record_sum(1, "ab"), record_sum("a", "b") == record_sum("ab", "")
    (True, False)
    """
    head = ascii([len(field) if type(field) is bytes else field for field in fields])
    raws = [field for field in fields if type(field) is bytes]
    told = b"".join([head.encode(), *raws])
    return hashlib.blake2b(told, digest_size=SUM).digest()


def packed(vector: Singles) -> bytes:
    """A vector as the file holds it."""
    return np.ascontiguousarray(vector, "<f4").tobytes()


def number_of(connection: sqlite3.Connection, name: str) -> int:
    """The number of a person.

    Raises:
        InputError: nobody has this name.
    """
    query = "SELECT person FROM people WHERE name = ?"
    try:
        row = connection.execute(query, (name,)).fetchone()
    except UnicodeEncodeError:  # nobody could be enrolled by what is no Unicode
        row = None
    if row is None:
        raise nobody(name)
    return int(row[0])


def nobody(name: str) -> InputError:
    """That nobody has this name."""
    return InputError(
        f"expected the name of somebody enrolled, got {name[:80]!r}; recognition gallery list "
        "shows the names"
    )
