"""Vectors as they are searched, beside the store: files that are checked before they are used.

A part is a folder of plain arrays that never change. The list of parts is one small file, replaced
whole, with the sha256 of every 32 MiB of every array. Whoever stops at any moment leaves the old
list or the new one, and folders that are in neither are cleared away by the next who writes. What
is missing or damaged is made again from the store. Only the holder of the writer's lock writes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from recognition.comparisons.threads import threads
from recognition.datasets._files import reason
from recognition.gallery.records import Numbers, Rows
from recognition.search.quantised import Quantised, levelled
from recognition.search.scan import Part
from recognition.whole_files import private_file, sync_folder, written_whole

FORMAT = 3
LIST = "parts.json"
CHUNK = 2**25  # bytes hashed at a time, so that all threads have something to do
ROOM = 2**18  # bytes of it in memory
SLICE = 2**14  # rows written at a time
TRIES = 5  # of reading a list that others replace meanwhile
Entry = dict[str, Any]  # of a part: name, rows, first sample, sums of its files
TYPES = {
    "samples": "<i8",
    "people": "<i8",
    "vectors": "<f4",
    "codes": "|u1",
    "steps": "<f4",
    "lost": "<f4",
    "lengths": "<f4",
}


class Cached(NamedTuple):
    """A part of the gallery as it is searched; a new one takes its place when people go.

    Attributes:
        samples: (n,) numbers of the samples, ascending.
        part: what is searched.
        name: of the folder that holds it; empty where it is in memory only.
    """

    samples: Numbers
    part: Part
    name: str = ""

    def __repr__(self) -> str:
        """Without the embeddings: they are somebody's."""
        return f"Cached({len(self.samples)} samples, {self.name or 'in memory'})"

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Samples as the store has them.

        Raises:
            InputError: a vector without a direction.
        """
        return cls(rows.samples, Part.of(rows.vectors, rows.people))

    @property
    def living(self) -> int:
        """How many of its samples are to be found."""
        return int(np.count_nonzero(self.part.alive))

    def holding(self, rows: Quantised) -> "Cached":
        """The same with these as what is searched."""
        return self._replace(part=self.part._replace(rows=rows))

    def without(self, gone: Numbers) -> "Cached":
        """The same without samples, numbers ascending, which are found no more."""
        if not len(self.samples):
            return self
        places = np.searchsorted(self.samples, gone).clip(max=len(self.samples) - 1)
        places = places[self.samples[places] == gone]
        if not self.part.alive[places].any():
            return self
        alive = self.part.alive.copy()  # others may be searching
        alive[places] = False
        return self._replace(part=self.part._replace(alive=alive))


def joined(parts: Sequence[Cached]) -> Cached:
    """What lives in parts that follow each other, as one in memory."""
    arrays = {
        key: np.concatenate([each for part in parts for each in _slices(part, key)])
        for key in TYPES
    }
    return _cached(arrays, "")


class Cache:
    """The folder of parts of one gallery."""

    def __init__(self, folder: Path, dimension: int) -> None:
        self.folder = folder
        self.dimension = dimension
        self._told: dict[str, Entry] = {}  # of the parts that were checked or written here

    def names(self) -> list[str]:
        """Of the parts that are listed now; none where the list cannot be read."""
        try:
            return [str(entry["name"]) for entry in self._entries()]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def load(self, known: Mapping[str, Cached] | None = None) -> tuple[list[Cached], list[str]]:
        """The parts whose every byte is as it was written, and what is wrong with the others.

        Those that are known were checked before, and are taken as they are.
        """
        before, (parts, problems) = self.names(), self._load(known or {})
        for _ in range(TRIES):
            if not problems or self.names() == before:
                break  # else somebody has put others in their place meanwhile
            before, (parts, problems) = self.names(), self._load(known or {})
        return parts, problems

    def _load(self, known: Mapping[str, Cached]) -> tuple[list[Cached], list[str]]:
        try:
            entries = self._entries()
        except FileNotFoundError:
            left = self.folder.is_dir() and any(one.is_dir() for one in self.folder.iterdir())
            return [], [f"{LIST} is missing"] if left else []
        except (OSError, ValueError, KeyError, TypeError) as error:
            return [], [f"{LIST}: {reason(error)}"]
        parts, problems = [], []
        with ThreadPoolExecutor(threads()) as pool:
            for entry in entries:
                found = self._checked(entry, known, pool)
                if isinstance(found, Cached):
                    parts.append(found)
                else:
                    problems.append(found)
        return parts, problems

    def write(self, kept: Iterable[Cached], fresh: Iterable[Sequence[Cached]]) -> list[Cached]:
        """Have these parts and no others: some that are here already, and some to be written.

        Args:
            kept: parts of this cache.
            fresh: parts to write, those of each sequence as one, without whom is gone.

        Raises:
            OSError: they could not be written; what was there is there still.
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if not (self.folder / LIST).exists():  # so that who is stopped leaves a list all the same
            self._list([])
        here = {part.name: part for part in kept}
        entries = [self._told[name] for name in here]
        try:
            groups = (group for group in fresh if any(part.living for part in group))
            entries.extend(self._written(group) for group in groups)
            entries.sort(key=lambda one: int(one["first"]))
            self._list(entries)
        finally:
            with suppress(OSError):
                self.clean()
        self._told = {entry["name"]: entry for entry in entries}
        return [here.get(entry["name"]) or self._mapped(entry) for entry in entries]

    def clear(self) -> None:
        """Have no parts.

        Raises:
            OSError: they are there still.
        """
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def clean(self) -> None:
        """Take away what is not in the list: what is old, or was left by somebody who stopped.

        Raises:
            OSError: it is there still.
        """
        if not self.folder.exists():
            return
        kept = {LIST, *self.names()}
        for other in self.folder.iterdir():
            if other.name not in kept:
                if other.is_dir() and not other.is_symlink():
                    shutil.rmtree(other)
                else:
                    other.unlink(missing_ok=True)

    def _entries(self) -> list[Entry]:
        raw = (self.folder / LIST).read_bytes()
        content = raw[len(_sum_of(b"")) :]
        if _sum_of(content) + content != raw:
            raise ValueError("it is not as it was written")
        told = json.loads(content)
        if told["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, got {str(told['format'])[:20]}")
        return list(told["parts"])

    def _list(self, entries: Sequence[Entry]) -> None:
        content = json.dumps({"format": FORMAT, "parts": entries}).encode()
        with written_whole(self.folder / LIST) as file:
            file.write(_sum_of(content) + content)

    def _written(self, group: Sequence[Cached]) -> Entry:
        name = uuid4().hex
        folder = self.folder / name
        folder.mkdir(mode=0o700)
        rows = levelled([part.part.rows for part in group])
        group = [each.holding(some) for each, some in zip(group, rows, strict=True)]
        sums = {key: _write(folder / f"{key}.bin", key, group) for key in TYPES}
        living = [part.samples[part.part.alive] for part in group]
        sync_folder(folder)
        return {
            "name": name,
            "rows": sum(map(len, living)),
            "first": min(int(each[0]) for each in living if len(each)),
            "sums": sums,
        }

    def _mapped(self, entry: Entry) -> Cached:
        name, rows = str(entry["name"]), int(entry["rows"])
        arrays = {}
        for key, kind in TYPES.items():
            shape = (rows, self.dimension) if key in ("vectors", "codes") else (rows,)
            # "c": never written to, but torch asks whether it could be
            arrays[key] = np.memmap(self.folder / name / f"{key}.bin", kind, "c", shape=shape)
        return _cached(arrays, name)

    def _checked(self, entry: Entry, known: Mapping[str, Cached], pool: Executor) -> Cached | str:
        try:
            name, sums = entry["name"], entry["sums"]
            if name in known:
                return known[name]
            if not str(name).isalnum():
                return f"{LIST}: {str(name)[:40]!r} is no part"
            for key in TYPES:
                if _sums(self.folder / name / f"{key}.bin", pool) != sums[key]:
                    return f"{name}/{key}.bin is not as it was written"
            part = self._mapped(entry)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            return f"{LIST}: {reason(error)}"
        self._told[name] = entry
        if len(part.samples) > 1 and (np.diff(part.samples) <= 0).any():
            return f"{name}/samples.bin is not in order"
        return part


def _cached(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> Cached:
    quantised = Quantised(*(arrays[key] for key in Quantised._fields))
    part = Part(quantised, arrays["people"], np.ones(len(quantised), bool))
    return Cached(arrays["samples"], part, name)


def _slices(part: Cached, key: str) -> Iterator[npt.NDArray[Any]]:
    """One of its arrays, of what lives, some rows at a time."""
    arrays = {"samples": part.samples, "people": part.part.people, **part.part.rows._asdict()}
    for start in range(0, max(1, len(part.samples)), SLICE):
        rows = slice(start, start + SLICE)
        alive = part.part.alive[rows]
        yield arrays[key][rows] if alive.all() else arrays[key][rows][alive]


def _write(path: Path, key: str, group: Sequence[Cached]) -> list[str]:
    """The bytes of an array of several parts, on the disk when it returns, and their sums."""
    sums = _Sums()
    with private_file(path) as file:
        for array in (each for part in group for each in _slices(part, key)):
            raw = np.ascontiguousarray(array, TYPES[key]).reshape(-1).view(np.uint8).data
            file.write(raw)
            sums.update(raw)
        file.flush()
        os.fsync(file.fileno())
    return sums.done()


class _Sums:
    """sha256 of every CHUNK bytes that come."""

    def __init__(self) -> None:
        self._hash, self._room, self._found = hashlib.sha256(), CHUNK, list[str]()

    def update(self, raw: memoryview) -> None:
        while len(raw) >= self._room:
            self._hash.update(raw[: self._room])
            raw = raw[self._room :]
            self._found.append(self._hash.hexdigest())
            self._hash, self._room = hashlib.sha256(), CHUNK
        self._hash.update(raw)
        self._room -= len(raw)

    def done(self) -> list[str]:
        return [*self._found, self._hash.hexdigest()]


def _sums(path: Path, pool: Executor) -> list[str]:
    """sha256 of every CHUNK bytes of a file, the last of which may be none."""
    starts = range(0, path.stat().st_size + 1, CHUNK)
    return list(pool.map(_sum, [path] * len(starts), starts))


def _sum(path: Path, start: int) -> str:
    found, left = hashlib.sha256(), CHUNK
    room = bytearray(ROOM)
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while left and (count := file.readinto(memoryview(room)[: min(ROOM, left)])):
            found.update(memoryview(room)[:count])
            left -= count
    return found.hexdigest()


def _sum_of(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + b"\n"
