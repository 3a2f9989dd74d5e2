"""What is changed in a gallery: within one transaction, so all of it or nothing."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from recognition.errors import InputError
from recognition.gallery.records import Sample, number_of, packed, record_sum


class Changes:
    """Changes to people and samples that last once their transaction is over."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def enroll(
        self,
        name: str,
        samples: Iterable[Sample],
        metadata: Mapping[str, Any],
        replacing: Sequence[str] = (),
    ) -> None:
        """Add samples of a person, new or known; new metadata replaces what it names.

        Samples of theirs with the digests `replacing` go.
        """
        person = self._person(name, metadata)
        self._drop(person, replacing)
        number = self._last("samples", "sample")
        self._connection.executemany(
            "INSERT INTO samples (sample, person, source, digest, vector, sum) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                (*told, record_sum(*told))
                for told in (
                    (at, person, one.source, one.digest, packed(one.vector))
                    for at, one in enumerate(samples, number + 1)
                )
            ),
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
        count = self._drop(person, digests)
        self._connection.execute(
            "DELETE FROM people WHERE person = ? AND NOT EXISTS "
            "(SELECT 1 FROM samples WHERE person = ?)",
            (person, person),
        )
        return count

    def say(self, key: str, value: str) -> None:
        """Say something of the gallery."""
        self._connection.execute(
            "INSERT OR REPLACE INTO about VALUES (?, ?, ?)", (key, value, record_sum(key, value))
        )

    def take_back(self, key: str) -> None:
        """Say nothing of it any more."""
        self._connection.execute("DELETE FROM about WHERE key = ?", (key,))

    def _drop(self, person: int, digests: Sequence[str]) -> int:
        these = "person = ? AND digest != '' AND digest IN (SELECT value FROM json_each(?))"
        chosen = (person, json.dumps(list(digests)))
        run = self._connection.execute
        run(f"INSERT INTO gone (sample) SELECT sample FROM samples WHERE {these}", chosen)
        return run(f"DELETE FROM samples WHERE {these}", chosen).rowcount

    def _person(self, name: str, metadata: Mapping[str, Any]) -> int:
        row = self._connection.execute(
            "SELECT person, metadata, enrolled FROM people WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            new = self._last("people", "person") + 1
            told = (new, name, as_json(metadata), now())
            self._connection.execute(
                "INSERT INTO people (person, name, metadata, enrolled, sum) VALUES (?, ?, ?, ?, ?)",
                (*told, record_sum(*told)),
            )
            return new
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


def as_json(metadata: Mapping[str, Any]) -> str:
    """Metadata as it is kept.

    Raises:
        InputError: it cannot be said in JSON.
    """
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
