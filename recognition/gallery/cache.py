"""Vectors as they are searched, beside the store: files that are checked before they are used.

A part is a folder of plain arrays that never change. The list of parts is one small file, replaced
whole, with the sha256 of every array. What is missing or damaged is made again from the store.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from recognition.comparisons.threads import threads
from recognition.gallery.store import Rows
from recognition.search.quantised import Quantised
from recognition.search.scan import Part

Places = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[np.generic]]

FORMAT = 1
LIST = "parts.json"
CHUNK = 2**22  # bytes hashed at a time
TYPES = {
    "samples": "<i8",
    "people": "<i8",
    "vectors": "<f4",
    "codes": "|i1",
    "steps": "<f4",
    "lost": "<f4",
    "lengths": "<f4",
}


class Cached(NamedTuple):
    """A part of the gallery in memory.

    Attributes:
        samples: (n,) numbers of the samples, ascending.
        part: what is searched.
        name: of the folder that holds it; empty where it is in memory only.
    """

    samples: Places
    part: Part
    name: str = ""

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Samples as the store has them.

        Raises:
            InputError: a vector without a direction.
        """
        return cls(rows.samples, Part.of(rows.vectors, rows.people))

    @property
    def rows(self) -> Rows:
        """What is left of it, as the store has it."""
        alive = self.part.alive
        vectors = self.part.rows.vectors[alive]
        return Rows(self.samples[alive], self.part.people[alive], vectors)

    def kill(self, samples: Places) -> int:
        """Find these no more; how many of them are here."""
        here = np.isin(self.samples, samples)
        self.part.alive[here] = False
        return int(here.sum())


class Cache:
    """The folder of parts of one gallery."""

    def __init__(self, folder: Path, dimension: int) -> None:
        self.folder = folder
        self.dimension = dimension

    def load(self) -> tuple[list[Cached], list[str]]:
        """The parts whose every byte is as it was written, and what is wrong with the others."""
        try:
            told = json.loads((self.folder / LIST).read_bytes())
            entries = told["parts"] if told["format"] == FORMAT else []
        except FileNotFoundError:
            return [], []
        except (OSError, ValueError, KeyError, TypeError) as error:
            return [], [f"{LIST}: {error}"]
        with ThreadPoolExecutor(threads()) as pool:
            found = list(pool.map(self._checked, entries))
        return (
            [one for one in found if isinstance(one, Cached)],
            [one for one in found if isinstance(one, str)],
        )

    def write(self, parts: Sequence[Cached]) -> list[Cached]:
        """Keep these parts and no others; those without a folder get one."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        written = [part if part.name else self._written(part) for part in parts]
        entries = [self._entry(part) for part in written]
        _replace(self.folder / LIST, json.dumps({"format": FORMAT, "parts": entries}).encode())
        kept = {part.name for part in written}
        for other in self.folder.iterdir():
            if other.is_dir() and other.name not in kept:
                shutil.rmtree(other, ignore_errors=True)
        return written

    def _written(self, part: Cached) -> Cached:
        name = uuid4().hex
        folder = self.folder / name
        folder.mkdir(mode=0o700)
        sums = {}
        for key, array in _arrays(part).items():
            path = folder / f"{key}.bin"
            _write(path, np.ascontiguousarray(array, TYPES[key]))
            sums[key] = _sum(path)
        _replace(folder / LIST, json.dumps({"rows": len(part.samples), "sums": sums}).encode())
        return part._replace(name=name)

    def _entry(self, part: Cached) -> dict[str, object]:
        return {"name": part.name, **json.loads((self.folder / part.name / LIST).read_bytes())}

    def _checked(self, entry: object) -> Cached | str:
        try:
            name, rows, sums = (entry[key] for key in ("name", "rows", "sums"))  # type: ignore[index]
            if not str(name).isalnum():
                return f"{LIST}: {str(name)[:40]!r} is no part"
            arrays = {}
            for key, kind in TYPES.items():
                path = self.folder / name / f"{key}.bin"
                if _sum(path) != sums[key]:
                    return f"{name}/{key}.bin is not as it was written"
                shape = (rows, self.dimension) if key in ("vectors", "codes") else (rows,)
                arrays[key] = (
                    np.memmap(path, kind, "r", shape=shape) if rows else np.empty(shape, kind)
                )
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"{LIST}: {error}"
        quantised = Quantised(*(arrays[key] for key in Quantised._fields))
        part = Part(quantised, arrays["people"], np.ones(rows, bool))
        return Cached(arrays["samples"], part, name)


def _arrays(cached: Cached) -> Arrays:
    rows = cached.part.rows._asdict()
    return {"samples": cached.samples, "people": cached.part.people, **rows}


def _sum(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        room = bytearray(CHUNK)
        while count := file.readinto(room):
            found.update(memoryview(room)[:count])
    return found.hexdigest()


def _write(path: Path, array: npt.NDArray[Any]) -> None:
    """The bytes of an array, on the disk when it returns; for the owner's eyes only."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    with path.open("wb") as file:
        file.write(array.data)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    _write(partial, np.frombuffer(content, np.uint8))
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
