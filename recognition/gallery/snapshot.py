"""What is read of a gallery, all of it of one moment."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recognition.contract import Contract
from recognition.errors import InputError
from recognition.gallery.answers import Person, Threshold
from recognition.gallery.records import FORMAT, Numbers, Rows, Sample, number_of, record_sum

MANY = 2**16  # samples in memory at a time
WAY_OUT = "recognition gallery check lists what is, repair saves the rest"
OF_SAMPLE = "SELECT sample, person, source, digest, vector, sum FROM samples "
OF_PERSON = "SELECT person, name, metadata, enrolled, sum FROM people "


class Snapshot:
    """A gallery as it was when the snapshot was taken, whatever is written meanwhile."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection

    @property
    def state(self) -> tuple[int, int]:
        """The last sample and the last change of `gone`: the same only for the same samples."""
        last = dict(self._connection.execute("SELECT name, seq FROM sqlite_sequence"))
        return int(last.get("samples", 0)), int(last.get("gone", 0))

    def about(self, key: str) -> str | None:
        """What is said of the gallery; None where nothing is.

        Raises:
            InputError: it is damaged.
        """
        row = self._connection.execute(
            "SELECT key, value, sum FROM about WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            return None
        self._require_sound(f"its {key}", row)
        return str(row[1])

    @property
    def contract(self) -> Contract:
        """Which embeddings are enrolled.

        Raises:
            InputError: the file is of another format, or nothing is said of it.
        """
        made = self.about("format")
        if made != FORMAT:
            raise InputError(
                f"expected a gallery of format {FORMAT} at {self.path}, got {made!r}; a newer "
                "release of this package wrote it"
            )
        return Contract.from_json(self.about("contract") or "")

    @property
    def threshold(self) -> Threshold | None:
        """What decides whether somebody is known; None until one is set."""
        told = self.about("threshold")
        return None if told is None else Threshold.from_json(told)

    def people(self) -> Iterator[Person]:
        """Everybody, by name.

        Raises:
            InputError: a record is damaged.
        """
        found = self._connection.execute(
            "SELECT p.*, (SELECT count(*) FROM samples s WHERE s.person = p.person) "
            f"FROM ({OF_PERSON}) p ORDER BY name"
        )
        for *row, samples in found:
            self._require_sound(f"person {row[0]}", row)
            _, name, metadata, enrolled, _ = row
            yield Person(name, samples, json.loads(metadata), enrolled)

    def names(self, people: Iterable[int]) -> dict[int, str]:
        """The names of people with these numbers.

        Raises:
            InputError: a record is damaged.
        """
        found = self._connection.execute(
            OF_PERSON + "WHERE person IN (SELECT value FROM json_each(?))", (_json(people),)
        )
        names = {}
        for row in found:
            self._require_sound(f"person {row[0]}", row)
            names[int(row[0])] = str(row[1])
        return names

    def sources(self, samples: Iterable[int]) -> dict[int, str]:
        """What samples with these numbers are called."""
        found = self._connection.execute(
            "SELECT sample, source FROM samples WHERE sample IN (SELECT value FROM json_each(?))",
            (_json(samples),),
        )
        return dict(found)

    def samples(self, name: str, dimension: int) -> list[Sample]:
        """All that is kept of a person, oldest first.

        Raises:
            InputError: nobody has this name, or a sample is damaged.
        """
        found = self._connection.execute(
            OF_SAMPLE + "WHERE person = ? ORDER BY sample", (self.number(name),)
        )
        samples = []
        for row in found:
            self._require_vector(row, dimension)
            samples.append(Sample(np.frombuffer(row[4], "<f4"), row[2], row[3]))
        return samples

    def number(self, name: str) -> int:
        """The number of a person.

        Raises:
            InputError: nobody has this name.
        """
        return number_of(self._connection, name)

    def known(self) -> list[tuple[str, str, str]]:
        """Name, source and digest of every sample whose digest is known."""
        return self._connection.execute(
            "SELECT name, source, digest FROM samples JOIN people USING (person) "
            "WHERE digest != '' ORDER BY sample"
        ).fetchall()

    def digests(self, names: Iterable[str]) -> set[tuple[str, str]]:
        """Name and digest of every sample of these people whose digest is known."""
        asked = (
            "SELECT digest FROM samples WHERE digest != '' "
            "AND person = (SELECT person FROM people WHERE name = ?)"
        )
        return {
            (name, digest)
            for name in set(names)
            for (digest,) in self._connection.execute(asked, (name,))
        }

    def rows(self, dimension: int, after: int = 0, most: int = MANY) -> Rows:
        """The first `most` samples with numbers above `after`.

        Raises:
            InputError: one is damaged.
        """
        found = self._connection.execute(
            OF_SAMPLE + "WHERE sample > ? ORDER BY sample LIMIT ?", (after, most)
        )
        samples, people, vectors = [], [], bytearray()
        for row in found:
            self._require_vector(row, dimension)
            samples.append(row[0])
            people.append(row[1])
            vectors += row[4]
        matrix = np.frombuffer(vectors, "<f4").reshape(len(samples), dimension)
        return Rows(np.array(samples, np.int64), np.array(people, np.int64), matrix)

    def gone(self, after: int = 0) -> Numbers:
        """The samples removed by changes after `after`, ascending."""
        found = self._connection.execute("SELECT sample FROM gone WHERE change > ?", (after,))
        return np.sort(np.fromiter((sample for (sample,) in found), np.int64))

    def count(self, table: str = "samples") -> int:
        """How many samples there are, or people."""
        (found,) = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(found)

    def tally(self) -> tuple[int, int]:
        """How many samples there are, and the sum of their numbers."""
        (count, total) = self._connection.execute(
            "SELECT count(*), coalesce(sum(sample), 0) FROM samples"
        ).fetchone()
        return int(count), int(total)

    def _require_sound(self, what: str, row: Iterable[object]) -> None:
        *told, sum_ = row
        if record_sum(*told) != sum_:
            raise InputError(self._damaged(what))

    def _require_vector(self, row: Sequence[Any], dimension: int) -> None:
        self._require_sound(f"sample {row[0]}", row)
        if len(row[4]) != 4 * dimension:
            raise InputError(self._damaged(f"sample {row[0]}"))

    def _damaged(self, what: str) -> str:
        return f"expected {what} of {self.path} as it was written, but it is damaged; {WAY_OUT}"


def _json(numbers: Iterable[int]) -> str:
    return json.dumps([int(number) for number in numbers])
