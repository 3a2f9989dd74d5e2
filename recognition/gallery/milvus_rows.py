"""Rows of a gallery on Milvus: keys of our own making, and texts that fit in its fields."""

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any, NamedTuple, Self

from recognition.errors import InputError
from recognition.gallery.records import Singles

TEXT = 65_535  # bytes in a text field of Milvus, the most there can be
CALL = 8 * 2**20  # bytes written in a call; servers refuse 64 MiB

_last = 0
_counting = threading.Lock()


class Row(NamedTuple):
    """A finished enrolment."""

    key: str
    person: str
    name: str
    metadata: dict[str, Any]
    enrolled: str
    size: int
    gone: tuple[int, ...] = ()

    @property
    def samples(self) -> list[str]:
        """The keys of its samples, in their order, but for those that are gone."""
        gone = set(self.gone)
        return [sample_key(self.key, at) for at in range(self.size) if at not in gone]

    def without(self, samples: Container[str]) -> Self:
        """The enrolment with these samples gone, too."""
        keys = (sample_key(self.key, at) for at in range(self.size))
        new = {at for at, key in enumerate(keys) if key in samples}
        return self._replace(gone=tuple(sorted({*self.gone, *new})))


class SampleRow(NamedTuple):
    """A sample as it is written."""

    key: str
    person: str
    source: str
    digest: str
    vector: Singles


def fits(value: object) -> bool:
    """Whether a text field of Milvus can hold it."""
    return len(_json(value).encode()) <= TEXT


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a character, as JSON can spell it
        return json.dumps(value)
    return text


def as_text(value: object, what: str) -> str:
    """What is kept of a value: JSON, so that no NUL gets to the server.

    Raises:
        InputError: it is too long.
    """
    text = _json(value)
    if (size := len(text.encode())) > TEXT:
        raise InputError(
            f"{what}: expected at most {TEXT:,} bytes in JSON, got {size:,}; a text field of "
            "Milvus holds no more, a gallery in a folder does"
        )
    return text


def sample_key(enrolment: str, at: int) -> str:
    """That of a sample: its enrolment's, and its number there."""
    return f"{enrolment}-{at:08x}"


def enrolment_of(sample: str) -> str:
    """The key of its enrolment."""
    return sample.rpartition("-")[0]


def person_key(name: str) -> str:
    """That of a person, whatever the name is."""
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()


def new_key() -> str:
    """That of a new enrolment: of one process in their order, of several by their clocks."""
    global _last
    with _counting:
        _last = max(_last + 1, time.time_ns())
        return f"{_last:016x}-{secrets.token_hex(8)}"


def require_key(key: str) -> str:
    """A key of a person, and nothing else; it gets into a filter."""
    if not key or set(key) - set("0123456789abcdef"):
        raise ValueError("only keys of our own making get into a filter")
    return key


def in_calls(
    rows: Sequence[dict[str, Any]], size: Callable[[dict[str, Any]], int]
) -> Iterator[list[dict[str, Any]]]:
    """Rows as many at a time as fit in a call; other fields than those counted are small."""
    some: list[dict[str, Any]] = []
    taken = 0
    for row in rows:
        bytes_ = 4 * size(row) + 512
        if some and taken + bytes_ > CALL:
            yield some
            some, taken = [], 0
        some.append(row)
        taken += bytes_
    if some:
        yield some
