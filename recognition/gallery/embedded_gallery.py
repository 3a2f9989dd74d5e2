"""A gallery: who is enrolled, who somebody is, and who wants to be forgotten."""

import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract
from recognition.datasets._files import reason, shown
from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.gallery.accept import (
    accept,
    accept_rows,
    accept_samples,
    plain,
    rectangular,
    require_embeddings,
    require_people,
    require_top,
)
from recognition.gallery.answers import (
    Answer,
    Candidate,
    Faceless,
    OutgrownWarning,
    Person,
    PersonScore,
    Receipt,
    Stats,
    Threshold,
    require_score,
    require_threshold,
)
from recognition.gallery.cache import Cache, Cached
from recognition.gallery.changes import now
from recognition.gallery.interface import Gallery
from recognition.gallery.lock import WriterLock
from recognition.gallery.records import Sample
from recognition.gallery.salvage import COPIED
from recognition.gallery.search_copy import WHOLE, Searched
from recognition.gallery.search_kind import Kinds
from recognition.gallery.snapshot import Snapshot
from recognition.gallery.store import FILE, Store
from recognition.progress import Watch, unwatched
from recognition.search.index_kinds import Exact, Kind, parse_kind
from recognition.search.scan import Hit

CHUNK = 2**14  # samples enrolled in one transaction
CACHE = "cache"
PATIENCE = 30.0  # seconds to wait for another writer
READERS = 5.0  # seconds to wait for those who read, so that the log can be emptied
FACELESS = "faceless"
INDEX = "index"
ERASING = "erasing"  # said of a gallery while somebody is being forgotten


class EmbeddedGallery(Gallery):
    """A gallery in a folder.

    SQLite holds the truth; what is searched is a copy, checked by hash before it is used. Several
    processes and threads may read while one writes, with one Gallery for all threads of a process
    or several; a search sees the last finished change. After a fork, open it again.

    >>> import tempfile
    >>> from recognition.contract import Preprocessing
    >>> contract = Contract("demo", "00" * 32, 2, Preprocessing())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Gallery.create(f"{folder}/people.gallery", contract) as gallery:
    ...         gallery.enroll("ada", [[1, 0], [3, 1]])
    ...         gallery.enroll("bob", [[0, 2]])
    ...         gallery.set_threshold(Threshold(0.9))
    ...         [answer.name for answer in gallery.identify([[5, 1], [1, 1]])]
    ['ada', None]
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self._store = store
        self._searched = Searched(Cache(folder / CACHE, store.contract.dimension))
        self._writer = WriterLock(folder, PATIENCE)
        self._kinds = Kinds()
        self._counted = ((-1, -1), 0)  # the state of the store, and how many people there are
        try:
            self._begin()
        except BaseException:
            store.close()
            raise

    def __repr__(self) -> str:
        """Where it is; nothing of who is in it."""
        return f"Gallery({shown(self.folder)!r})"

    @classmethod
    def create(cls, path: Path | str, contract: Contract) -> Self:
        """A new, empty gallery for embeddings of one contract; only its owner can read it.

        Raises:
            InputError: something is there already.
        """
        folder = Path(path)
        try:
            if folder.exists() and (not folder.is_dir() or _others(folder)):
                raise InputError(f"{shown(folder)} exists already; open it, or name another folder")
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except InputError:
            raise
        except (OSError, ValueError) as error:
            raise InputError(
                f"expected to make a gallery at {shown(folder)}, but the folder cannot be made "
                f"({reason(error)}); name another"
            ) from error
        return cls(folder, Store.create(folder, contract))

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """The gallery in a folder.

        Raises:
            InputError: there is none, or it is damaged.
        """
        return cls(Path(path), Store.open(Path(path)))

    @property
    def contract(self) -> Contract:
        """Which embeddings can be enrolled and searched for."""
        return self._store.contract

    @property
    def threshold(self) -> Threshold | None:
        """From which score on a name is given; None until it is set."""
        with self._store.snapshot() as snapshot:
            return snapshot.threshold

    def set_threshold(self, threshold: Threshold) -> None:
        """Decide by this threshold from now on."""
        require_threshold(threshold)
        with self._writer.held(), self._store.changing() as changes:
            changes.say("threshold", threshold.to_json())

    @property
    def index(self) -> Kind:
        """By which kind of index samples are searched; exact until another is set."""
        with self._store.snapshot() as snapshot:
            return _index(snapshot)

    def set_index(self, kind: Kind) -> None:
        """Search by this kind of index from now on; it is made in memory when it is first used."""
        with self._writer.held(), self._store.changing() as changes:
            changes.say(INDEX, str(kind))

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with the copy that is searched; it was made again."""
        return self._searched.problems

    def people(self) -> list[Person]:
        """Everybody, by name."""
        with self._store.snapshot() as snapshot:
            return list(snapshot.people())

    def samples(self, name: str) -> list[Sample]:
        """All that is kept of a person's embeddings, oldest first.

        Raises:
            InputError: nobody has this name.
        """
        with self._store.snapshot() as snapshot:
            return snapshot.samples(name, self.contract.dimension)

    def known(self) -> list[tuple[str, str, str]]:
        """Name, source and digest of every sample whose digest is known."""
        with self._store.snapshot() as snapshot:
            return snapshot.known()

    @property
    def faceless(self) -> Faceless:
        """Photographs that a sync found nobody on, so that it need not look again."""
        with self._store.snapshot() as snapshot:
            told = snapshot.about(FACELESS)
        return Faceless() if told is None else Faceless.from_json(told)

    def set_faceless(self, found: Faceless) -> None:
        """Remember photographs with nobody on them, until somebody is erased."""
        with self._writer.held(), self._store.changing() as changes:
            changes.say(FACELESS, found.to_json())

    def stats(self) -> Stats:
        """How many people and samples, how large, by which threshold."""
        with self._store.snapshot() as snapshot:
            people, samples = snapshot.count("people"), snapshot.count()
            used = snapshot.threshold
        outgrown = used.outgrown(people) if used else None
        return Stats(
            people, samples, _size(self.folder), self.contract, used, outgrown, self.problems
        )

    def __len__(self) -> int:
        """How many people are enrolled."""
        with self._store.snapshot() as snapshot:
            return snapshot.count("people")

    def enroll(
        self,
        name: str,
        embeddings: npt.ArrayLike,
        *,
        sources: Sequence[str] = (),
        digests: Sequence[str] = (),
        replacing: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        contract: Contract | None = None,
    ) -> None:
        """Add samples (N, D) of a person, new or known, all or none; see `Gallery`."""
        what = f"embeddings of {str(name)[:80]!r}"
        rows = accept_rows(embeddings, contract, self.contract, what, self.folder)
        person = accept(name, rows, sources, digests, metadata)
        with self._writer.held():
            with self._store.changing() as changes:
                changes.drop(name, replacing)
                changes.enroll([person])
            self._flush()

    def enroll_people(
        self, people: Sequence[tuple[str, Sequence[Sample], Mapping[str, Any]]]
    ) -> None:
        """Add samples and metadata of many people in one transaction; see `Gallery`."""
        accepted = [
            accept_samples(name, samples, metadata, self.contract, self.folder)
            for name, samples, metadata in people
        ]
        with self._writer.held():
            with self._store.changing() as changes:
                changes.enroll(accepted)
            self._flush()

    def digests(self, names: Iterable[str]) -> set[tuple[str, str]]:
        """Name and digest of every sample of these people whose digest is known."""
        with self._store.snapshot() as snapshot:
            return snapshot.digests(names)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """While this lasts nobody else writes.

        Raises:
            InputError: somebody else does, for longer than is waited; it says who.
        """
        with self._writer.held():
            yield True

    def discard(self, name: str, digests: Sequence[str]) -> int:
        """Take some samples of a person out, by their digests; how many there were.

        Who has none left is enrolled no more.

        Raises:
            InputError: nobody has this name.
        """
        with self._writer.held():
            with self._store.changing() as changes:
                count = changes.discard(name, digests)
            self._flush()
        return count

    def enroll_many(
        self,
        embeddings: npt.ArrayLike,
        names: Sequence[str],
        *,
        sources: Sequence[str] = (),
        digests: Sequence[str] = (),
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
        contract: Contract | None = None,
        watch: Watch = unwatched,
    ) -> None:
        """Add samples (N, D) of many people, each with the name of its person.

        Everything is checked before anything is changed. Then it is written 16,384 samples at a
        time: who is stopped has enrolled the first so many of them, and no part of one.

        Args:
            embeddings: (N, D), of any length; a memory map is read in chunks.
            names: (N,) of the person of each, any text that is not empty.
            sources: what to call each, such as the photograph.
            digests: sha256 of what each was made from, by which it is known again.
            metadata: about people, by name.
            contract: of the embeddings, checked against the gallery's where it is given.
            watch: told how many samples are enrolled.

        Raises:
            InputError: a name, a vector or a contract that cannot be taken; nothing is changed.
        """
        given = rectangular(embeddings, "embeddings")
        require_embeddings(given, contract, self.contract, "embeddings", self.folder)
        said = require_people(names, sources, digests, metadata, len(given))
        with self._writer.held(), watch("enrolling", len(given)) as advance:
            for start in range(0, len(given), CHUNK):
                chunk = slice(start, start + CHUNK)
                rows = given[chunk].astype(np.float32)
                said_of = (plain(texts[chunk], len(rows)) for texts in (sources, digests))
                samples = map(Sample, rows, *said_of)
                people: dict[str, list[Sample]] = {}
                for name, sample in zip(names[chunk], samples, strict=True):
                    people.setdefault(str(name), []).append(sample)
                with self._store.changing() as changes:
                    changes.enroll(
                        (name, theirs, said.get(name, {})) for name, theirs in people.items()
                    )
                done = start + len(rows)
                if done % WHOLE == 0 or done == len(given):  # larger parts are written less often
                    self._flush()
                advance(done)

    def describe(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Say something about somebody enrolled; it replaces what it names.

        Raises:
            InputError: nobody has this name, or JSON cannot hold it.
        """
        with self._writer.held(), self._store.changing() as changes:
            changes.describe(name, metadata)

    def identify(
        self,
        embeddings: npt.ArrayLike,
        *,
        top: int = 5,
        threshold: float | None = None,
        score: PersonScore | None = None,
        contract: Contract | None = None,
    ) -> list[Answer]:
        """Who is on each of (N, D) probes: the best person, or unknown; see `Gallery`."""
        require_top(top)
        unit = unit_rows(accept_rows(embeddings, contract, self.contract, "probes", self.folder))
        given = None if threshold is None else Threshold(threshold, score=score or "best")
        with self._view() as (snapshot, parts):
            used = given or snapshot.threshold
            outgrown = used.outgrown(self._count(snapshot)) if used and not given else None
            by = score or ("best" if used is None else used.score)
            require_score(used, by)
            if by == "template":
                found = self._kinds.templates(snapshot, parts, unit, top)
                numbers, approximate = [[0] * len(hits) for hits in found], False
            else:
                found, numbers, approximate = self._kinds.samples(
                    _index(snapshot), parts, unit, top
                )
            names = snapshot.names({hit.person for hits in found for hit in hits})
            sources = snapshot.sources({number for each in numbers for number in each})
        if outgrown:
            warnings.warn(outgrown, OutgrownWarning, stacklevel=2)
        return [
            Answer.of(_candidates(hits, of_hits, names, sources)[:top], used, approximate)
            for hits, of_hits in zip(found, numbers, strict=True)
        ]

    def remove(self, name: str) -> int:
        """Take a person out of the gallery; how many samples there were.

        The bytes stay in files until these are next written; `erase` sees to that at once, and
        `compact` for all who were removed.

        Raises:
            InputError: nobody has this name.
        """
        with self._writer.held():
            with self._store.changing() as changes:
                count = changes.remove(name)
            self._flush()
        return count

    def erase(self, name: str) -> Receipt:
        """Forget a person: no byte of theirs is left under the gallery's folder.

        SQLite writes zeros over what it deletes, parts of the cache that hold somebody who is gone
        are written again without, the write-ahead log is emptied, for which those who read are
        waited for a little, and what SQLite left in unused parts of pages is written over. What could not be done is on the receipt, and is done when the gallery
        is next opened, as it is after a crash in between. Numbers of samples stay, so that others
        who read leave them out.

        Raises:
            InputError: nobody has this name.
        """
        with self._writer.held():
            with self._store.changing() as changes:
                count = changes.remove(name)
                changes.take_back(FACELESS)  # some may be theirs
                changes.say(ERASING, now())
            left = self._forget()
        return Receipt(name, count, not left, left, now())

    def compact(self) -> Receipt:
        """Forget all who were removed: no byte of theirs is left under the gallery's folder."""
        with self._writer.held():
            with self._store.changing() as changes:
                changes.say(ERASING, now())
            left = self._forget()
        return Receipt("", 0, not left, left, now())

    def close(self) -> None:
        """Let go of the files."""
        self._store.close()

    def _begin(self) -> None:
        """Load what is searched, and finish what somebody who was stopped has begun."""
        with self._view() as (snapshot, _):
            unfinished = snapshot.about(ERASING) is not None
        if unfinished or self.problems:
            with suppress(InputError), self._writer.held(0):  # else whoever writes will do it
                if self.problems:
                    with self._store.changing() as changes:
                        changes.correct_gone()
                self._flush()
                if unfinished:
                    self._forget()

    @contextmanager
    def _view(self) -> Iterator[tuple[Snapshot, tuple[Cached, ...]]]:
        """A moment of the store, and the parts to be searched in it."""
        self._store.require_process()  # in which a thread may hold the guard for ever
        with ExitStack() as stack:
            with self._searched.guard:  # so that moments follow each other, whatever the thread
                self._searched.look()
                snapshot = stack.enter_context(self._store.snapshot())
                parts = self._searched.at(snapshot)
            yield snapshot, parts

    def _count(self, snapshot: Snapshot) -> int:
        """How many people are enrolled; counted anew, which takes a while, after changes only."""
        state, counted = snapshot.state, self._counted
        if counted[0] != state:
            self._counted = counted = (state, snapshot.count("people"))
        return counted[1]

    def _flush(self) -> None:
        with self._view() as (snapshot, _):
            self._searched.flush(snapshot)

    def _forget(self) -> tuple[str, ...]:
        """Leave no byte of those who are gone; what could not be done."""
        left = []
        self._kinds.forget()
        try:
            with self._view() as (snapshot, _):
                self._searched.purge(snapshot)
            for copy in self.folder.glob(f"{COPIED}*"):  # of a repair that was stopped
                shutil.rmtree(copy)
        except OSError as error:
            left.append(f"files of the cache could not be taken away ({reason(error)})")
        if not self._store.truncate_log(READERS):
            left.append("somebody reads the gallery, so the log of changes could not be emptied")
        else:
            try:
                self._store.clear_gaps()
            except OSError as error:
                left.append(f"unused parts of {FILE} could not be written over ({reason(error)})")
        if not left:
            with self._store.changing(anew=True) as changes:
                changes.take_back(ERASING)
        return tuple(left)


def _index(snapshot: Snapshot) -> Kind:
    told = snapshot.about(INDEX)
    return Exact() if told is None else parse_kind(told)


def _candidates(
    hits: Sequence[Hit], numbers: Sequence[int], names: dict[int, str], sources: dict[int, str]
) -> tuple[Candidate, ...]:
    found = [
        Candidate(names[hit.person], hit.score, sources.get(number, ""))  # none of a template
        for hit, number in zip(hits, numbers, strict=True)
    ]
    return tuple(sorted(found, key=lambda one: (-one.score, one.name)))


def _size(folder: Path) -> int:
    """Bytes of the files in a folder; others may take some away meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _others(folder: Path) -> list[Path]:
    """What is in it, but for what is left of making a gallery that was stopped."""
    return [path for path in folder.iterdir() if not path.name.startswith(f"{FILE}.part")]
