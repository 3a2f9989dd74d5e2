"""What is wrong with a gallery, and a new one of everything that is sound."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recognition.contract import Contract
from recognition.datasets._files import shown
from recognition.errors import InputError
from recognition.gallery.answers import Threshold
from recognition.gallery.cache import Cache
from recognition.gallery.changes import now
from recognition.gallery.embedded_gallery import CACHE, CHUNK, PATIENCE, EmbeddedGallery
from recognition.gallery.lock import WriterLock
from recognition.gallery.records import FORMAT, Sample
from recognition.gallery.salvage import Salvage, salvaging
from recognition.gallery.search_copy import Searched
from recognition.gallery.store import FILE, Store
from recognition.progress import Watch, unwatched


class _Someone(NamedTuple):
    name: str
    metadata: dict[str, Any]
    enrolled: str


People = dict[int, _Someone]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        where: `store`, `contract`, `threshold`, `people`, `samples` or `cache`.
        what: is wrong.
        lost: whether anything is lost with it that repair cannot save.
    """

    where: str
    what: str
    lost: bool

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Repaired:
    """What was saved.

    Attributes:
        people: how many.
        samples: how many.
        findings: what was wrong with the old gallery.
    """

    people: int
    samples: int
    findings: tuple[Finding, ...]


def check(folder: Path | str, *, watch: Watch = unwatched) -> list[Finding]:
    """What is wrong with a gallery, and whether anything is lost; it is left as it is.

    Every page of the file is looked at by SQLite, every record is compared with its sum, every byte
    of the cache with its hash. Nothing is wrong where the list is empty.

    Raises:
        InputError: there is no gallery.
    """
    path = _require_gallery(folder)
    with salvaging(path) as salvage:
        findings = [Finding("store", text[:200], False) for text in salvage.findings()]
        if wrong := salvage.wrongly_gone():
            what = f"of the samples that are said to be gone, {wrong:,} {'is' if wrong == 1 else 'are'} there"
            findings.append(Finding("store", what, False))
        contract, some = _of_about(salvage)
        findings += some
        people, some = _people(salvage)
        findings += some
        expected, found = salvage.count("samples_of", "samples"), 0
        with watch("checking", expected or 0) as advance:
            for chunk in _chunks(salvage, people, contract):
                found += sum(map(len, chunk.values()))
                advance(found)
    if expected != found:
        of = "an unknown number" if expected is None else f"{expected:,}"
        findings.append(Finding("samples", f"{found:,} of {of} are sound and of somebody", True))
    return findings + _of_cache(path, contract, sound=not findings)


def repair(
    folder: Path | str,
    into: Path | str,
    *,
    contract: Contract | None = None,
    watch: Watch = unwatched,
) -> Repaired:
    """A new gallery of every sound person and sample of a damaged one, which is left as it is.

    Args:
        folder: of the damaged gallery.
        into: the new one's, where nothing is yet.
        contract: of the embeddings, where the damaged one's is lost.
        watch: told how many samples are saved.

    Raises:
        InputError: there is no gallery, or something is at `into`, or the contract is lost and was
            not given.
    """
    path, target = _require_gallery(folder), Path(into)
    findings = tuple(check(path, watch=watch))
    with salvaging(path) as salvage:
        own, _ = _of_about(salvage)
        used = own or contract
        if used is None:
            raise InputError(
                f"expected {shown(path)} to say which model its embeddings are from, but that is "
                "lost; give the contract, such as that of embeddings by the same model"
            )
        people, _ = _people(salvage)
        EmbeddedGallery.create(target, used).close()
        store, count = Store.open(target), 0
        try:
            with WriterLock(target, PATIENCE).held(), watch("saving", 0) as advance:
                for chunk in _chunks(salvage, people, used):
                    _save(store, people, chunk)
                    count += sum(map(len, chunk.values()))
                    advance(count)
                _save(store, people, {number: [] for number in people})  # who has no sample left
                threshold = _threshold(salvage.about())
                if threshold is not None:
                    with store.changing() as changes:
                        changes.say("threshold", threshold.to_json())
        finally:
            store.close()
    return Repaired(len(people), count, findings)


def _save(store: Store, people: People, chunk: dict[int, list[Sample]]) -> None:
    some = [(people[number], samples) for number, samples in chunk.items()]
    with store.changing() as changes:
        changes.enroll(
            ((one.name, samples, one.metadata) for one, samples in some),
            {one.name: one.enrolled for one, _ in some},
        )


def _require_gallery(folder: Path | str) -> Path:
    path = Path(folder)
    if not (path / FILE).is_file():
        raise InputError(
            f"expected a gallery at {shown(path)}, but there is no {FILE} in it; check the path"
        )
    return path


def _of_about(salvage: Salvage) -> tuple[Contract | None, list[Finding]]:
    told = salvage.about()
    findings = []
    if told.get("format") != FORMAT:
        findings.append(Finding("store", f"the format is not said to be {FORMAT}", False))
    contract = None
    try:
        contract = Contract.from_json(told.get("contract", ""))
    except InputError:
        findings.append(Finding("contract", "which model the embeddings are from is lost", True))
    if _threshold(told) is None and salvage.said("threshold"):
        findings.append(Finding("threshold", "it is lost; calibrate again", True))
    return contract, findings


def _threshold(told: dict[str, str]) -> Threshold | None:
    try:
        return Threshold.from_json(told["threshold"])
    except (KeyError, InputError):
        return None


def _people(salvage: Salvage) -> tuple[People, list[Finding]]:
    """Everybody by number; whose record is damaged may still have a name in the index."""
    people = {
        int(str(number)): _Someone(str(name), json.loads(str(metadata)), str(enrolled))
        for number, name, metadata, enrolled, _ in salvage.people()
    }
    taken = {one.name for one in people.values()}
    names = salvage.names()
    findings = []
    for number, name in names.items():
        if number not in people and name and name not in taken:
            people[number] = _Someone(name, {}, now())
            taken.add(name)
            findings.append(
                Finding("people", f"metadata of {name[:80]!r} and the date are lost", True)
            )
    expected = salvage.count("sqlite_autoindex_people_1", "people")
    if expected != len(people):
        of = "an unknown number" if expected is None else f"{expected:,}"
        findings.append(Finding("people", f"{len(people):,} of {of} are sound", True))
    return people, findings


def _chunks(
    salvage: Salvage, people: People, contract: Contract | None
) -> Iterator[dict[int, list[Sample]]]:
    """Sound samples of people who are known, by person, some at a time."""
    chunk: dict[int, list[Sample]] = {}
    count = 0
    for _, person, source, digest, vector, _ in salvage.samples():
        raw, number = bytes(vector) if isinstance(vector, bytes) else b"", int(str(person))
        if number in people and raw and (contract is None or len(raw) == 4 * contract.dimension):
            sample = Sample(np.frombuffer(raw, "<f4"), str(source), str(digest))
            chunk.setdefault(number, []).append(sample)
            count += 1
        if count == CHUNK:
            yield chunk
            chunk, count = {}, 0
    if chunk:
        yield chunk


def _of_cache(path: Path, contract: Contract | None, sound: bool) -> list[Finding]:
    """Nothing is lost with the cache. Where the store is sound, they are compared."""
    cache = Cache(path / CACHE, contract.dimension if contract else 1)
    if not sound:
        return [Finding("cache", problem, False) for problem in cache.load()[1]]
    store, searched = Store.open(path), Searched(cache)
    try:
        searched.look()
        with store.snapshot() as snapshot:
            searched.at(snapshot)
    finally:
        store.close()
    return [Finding("cache", problem, False) for problem in searched.problems]
