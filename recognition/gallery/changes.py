"""What is changed in a gallery: within one transaction, so all of it or nothing."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from recognition.errors import InputError
from recognition.gallery.records import Sample, Singles, number_of, packed, record_sum


class Changes:
    """Changes to people and samples that last once their transaction is over."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def enroll(
        self,
        people: Iterable[tuple[str, Sequence[Sample], Mapping[str, Any]]],
        dates: Mapping[str, str] | None = None,
    ) -> None:
        """Add samples of people, new or known; new metadata replaces what it names.

        Dates of those who are new may be given; else it is now.
        """
        first = self._last("people", "person") + 1
        new: dict[str, tuple[object, ...]] = {}
        samples = []
        time = now()
        for name, theirs, metadata in people:
            person = self._known(name, metadata)
            if person is None:
                person = first + len(new)
                new[name] = (person, name, as_json(metadata), (dates or {}).get(name, time))
            samples += [(person, one.source, one.digest, one.vector) for one in theirs]
        self._connection.executemany(
            "INSERT INTO people (person, name, metadata, enrolled, sum) VALUES (?, ?, ?, ?, ?)",
            ((*told, record_sum(*told)) for told in new.values()),
        )
        numbered = enumerate(samples, self._last("samples", "sample") + 1)
        self._connection.executemany(
            "INSERT INTO samples (sample, person, source, digest, vector, sum) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (_record(number, *sample) for number, sample in numbered),
        )

    def remove(self, name: str) -> int:
        """Take a person out; how many samples there were.

        Raises:
            InputError: nobody has this name.
        """
        run = self._connection.execute
        row = (number_of(self._connection, name),)
        run("INSERT INTO gone (sample) SELECT sample FROM samples WHERE person = ?", row)
        count = run("DELETE FROM samples WHERE person = ?", row).rowcount
        run("DELETE FROM people WHERE person = ?", row)
        return count

    def discard(self, name: str, digests: Sequence[str]) -> int:
        """Take samples of a person out by their digests, the person with the last; how many.

        Raises:
            InputError: nobody has this name.
        """
        person = number_of(self._connection, name)
        count = self.drop(name, digests)
        self._connection.execute(
            "DELETE FROM people WHERE person = ? AND NOT EXISTS "
            "(SELECT 1 FROM samples WHERE person = ?)",
            (person, person),
        )
        return count

    def drop(self, name: str, digests: Sequence[str]) -> int:
        """Take samples of a person out by their digests, never the person; how many there were."""
        these = (
            "person = (SELECT person FROM people WHERE name = ?) AND digest != '' "
            "AND digest IN (SELECT value FROM json_each(?))"
        )
        chosen = (name, json.dumps(list(digests)))
        run = self._connection.execute
        run(f"INSERT INTO gone (sample) SELECT sample FROM samples WHERE {these}", chosen)
        return run(f"DELETE FROM samples WHERE {these}", chosen).rowcount

    def correct_gone(self) -> None:
        """Whoever is there is not gone, whatever damage says."""
        self._connection.execute("DELETE FROM gone WHERE sample IN (SELECT sample FROM samples)")

    def describe(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Say something about a person; it replaces what it names.

        Raises:
            InputError: nobody has this name, or JSON cannot say it.
        """
        as_json(metadata)
        number_of(self._connection, name)
        self._known(str(name), metadata)

    def say(self, key: str, value: str) -> None:
        """Say something of the gallery."""
        self._connection.execute(
            "INSERT OR REPLACE INTO about VALUES (?, ?, ?)", (key, value, record_sum(key, value))
        )

    def take_back(self, key: str) -> None:
        """Say nothing of it any more."""
        self._connection.execute("DELETE FROM about WHERE key = ?", (key,))

    def _known(self, name: str, metadata: Mapping[str, Any]) -> int | None:
        """The number of somebody who is enrolled, told what is new about them."""
        row = self._connection.execute(
            "SELECT person, metadata, enrolled FROM people WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            return None
        person, before, enrolled = row
        merged = as_json({**json.loads(before), **metadata}) if metadata else before
        if merged != before:
            self._connection.execute(
                "UPDATE people SET metadata = ?, sum = ? WHERE person = ?",
                (merged, record_sum(person, name, merged, enrolled), person),
            )
        return int(person)

    def _last(self, table: str, number: str) -> int:
        """The highest number that was ever given."""
        (last,) = self._connection.execute(
            f"SELECT max((SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '{table}'),"
            f" (SELECT coalesce(max({number}), 0) FROM {table}))"
        ).fetchone()
        return int(last)


def _record(
    number: int, person: int, source: str, digest: str, vector: Singles
) -> tuple[object, ...]:
    told = (number, person, source, digest, packed(vector))
    return *told, record_sum(*told)


def as_json(metadata: Mapping[str, Any]) -> str:
    """Metadata as it is kept.

    Raises:
        InputError: it cannot be said in JSON.
    """
    if not metadata:
        return "{}"
    try:
        text = json.dumps(dict(metadata), allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"metadata: expected names with text, numbers, lists or dictionaries ({error}); leave "
            "out what JSON cannot say"
        ) from None
    return text


def now() -> str:
    """The time, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
