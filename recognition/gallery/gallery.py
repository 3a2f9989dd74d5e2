"""A gallery: who is enrolled, who somebody is, and who wants to be forgotten."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract, require_same
from recognition.datasets._files import reason, shown
from recognition.embeddings import require_directions, unit_rows
from recognition.errors import InputError
from recognition.gallery.answers import Answer, Candidate, Person, Receipt, Threshold
from recognition.gallery.cache import Cache, Cached
from recognition.gallery.changes import as_json, now
from recognition.gallery.lock import WriterLock
from recognition.gallery.records import Sample
from recognition.gallery.searched import WHOLE, Searched
from recognition.gallery.snapshot import Snapshot
from recognition.gallery.store import FILE, Store
from recognition.progress import Watch, unwatched
from recognition.search.scan import Hit, best_people

SHORTEST, LONGEST = 1e-6, 1e6  # lengths of embeddings
CHUNK = 2**14  # samples enrolled in one transaction
CHECKED = 2**12  # rows measured at a time
CACHE = "cache"
PATIENCE = 30.0  # seconds to wait for another writer
READERS = 5.0  # seconds to wait for those who read, so that the log can be emptied
ERASING = "erasing"  # said of a gallery while somebody is being forgotten


class Gallery:
    """People by name, each with one or more embeddings of one contract.

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
        with self._writer.held(), self._store.changing() as changes:
            changes.say("threshold", threshold.to_json())

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with the copy that is searched; it was made again."""
        return self._searched.problems

    def people(self) -> list[Person]:
        """Everybody, by name."""
        with self._store.snapshot() as snapshot:
            return list(snapshot.people())

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
        metadata: Mapping[str, Any] | None = None,
        contract: Contract | None = None,
    ) -> None:
        """Add samples (N, D) of a person, new or known, all or none.

        Args:
            name: any text that is not empty.
            embeddings: (N, D), or one (D,), of any length.
            sources: what to call each, such as the photograph.
            metadata: about the person, for JSON; replaces what it names.
            contract: of the embeddings, checked against the gallery's where it is given.

        Raises:
            InputError: a name, a vector or a contract that cannot be taken; nothing is changed.
        """
        what = f"embeddings of {name[:80]!r}"
        rows = self._rows(embeddings, contract, what)
        _require_text([name], sources, len(rows), what)
        as_json(metadata or {})
        samples = list(map(Sample, rows, sources or [""] * len(rows)))
        with self._writer.held():
            with self._store.changing() as changes:
                changes.enroll([(name, samples, metadata or {})])
            self._flush()

    def enroll_many(
        self,
        embeddings: npt.ArrayLike,
        names: Sequence[str],
        *,
        sources: Sequence[str] = (),
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
            contract: of the embeddings, checked against the gallery's where it is given.
            watch: told how many samples are enrolled.

        Raises:
            InputError: a name, a vector or a contract that cannot be taken; nothing is changed.
        """
        what = "embeddings"
        given = self._checked(np.asarray(embeddings), contract, what)
        if len(names) != len(given):
            raise InputError(
                f"{what}: expected the name of the person of each of {len(given)}, got {len(names)}"
            )
        _require_text(names, sources, len(given), what)
        with self._writer.held(), watch("enrolling", len(given)) as advance:
            for start in range(0, len(given), CHUNK):
                chunk = slice(start, start + CHUNK)
                rows = given[chunk].astype(np.float32)
                samples = map(Sample, rows, sources[chunk] or [""] * len(rows))
                people: dict[str, list[Sample]] = {}
                for name, sample in zip(names[chunk], samples, strict=True):
                    people.setdefault(str(name), []).append(sample)
                with self._store.changing() as changes:
                    changes.enroll((name, theirs, {}) for name, theirs in people.items())
                done = start + len(rows)
                if done % WHOLE == 0 or done == len(given):  # larger parts are written less often
                    self._flush()
                advance(done)

    def identify(
        self,
        embeddings: npt.ArrayLike,
        *,
        top: int = 5,
        threshold: float | None = None,
        contract: Contract | None = None,
    ) -> list[Answer]:
        """Who is on each of (N, D) probes: the best person, or unknown.

        Args:
            embeddings: (N, D), of any length.
            top: how many candidates to list.
            threshold: instead of the gallery's.
            contract: of the probes, checked against the gallery's where it is given.

        Raises:
            InputError: probes that are no embeddings of this gallery's contract.
        """
        if top < 1:
            raise InputError(f"top: expected at least 1 candidate, got {top}; 5 are usual")
        unit = unit_rows(self._rows(embeddings, contract, "probes"))
        given = None if threshold is None else Threshold(threshold)
        with self._view() as (snapshot, parts):
            used = given or snapshot.threshold
            found = best_people([part.part for part in parts], unit, top)
            numbers = [[int(parts[hit.part].samples[hit.place]) for hit in hits] for hits in found]
            names = snapshot.names({hit.person for hits in found for hit in hits})
            sources = snapshot.sources({number for each in numbers for number in each})
        return [
            Answer.of(_candidates(hits, of_hits, names, sources)[:top], used)
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
        are written again without, and the write-ahead log is emptied, for which those who read are
        waited for a little. What could not be done is on the receipt, and is done when the gallery
        is next opened, as it is after a crash in between. Numbers of samples stay, so that others
        who read leave them out.

        Raises:
            InputError: nobody has this name.
        """
        with self._writer.held():
            with self._store.changing() as changes:
                count = changes.remove(name)
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self) -> None:
        """Load what is searched, and finish what somebody who was stopped has begun."""
        with self._view() as (snapshot, _):
            unfinished = snapshot.about(ERASING) is not None
        if unfinished or self.problems:
            with suppress(InputError), self._writer.held(0):  # else whoever writes will do it
                self._flush()
                if unfinished:
                    self._forget()

    @contextmanager
    def _view(self) -> Iterator[tuple[Snapshot, tuple[Cached, ...]]]:
        """A moment of the store, and the parts to be searched in it."""
        with ExitStack() as stack:
            with self._searched.guard:  # so that moments follow each other, whatever the thread
                self._searched.look()
                snapshot = stack.enter_context(self._store.snapshot())
                parts = self._searched.at(snapshot)
            yield snapshot, parts

    def _flush(self) -> None:
        with self._view() as (snapshot, _):
            self._searched.flush(snapshot)

    def _forget(self) -> tuple[str, ...]:
        """Leave no byte of those who are gone; what could not be done."""
        left = []
        try:
            with self._view() as (snapshot, _):
                self._searched.purge(snapshot)
        except OSError as error:
            left.append(f"files of the cache could not be taken away ({reason(error)})")
        if not self._store.truncate_log(READERS):
            left.append("somebody reads the gallery, so the log of changes could not be emptied")
        if not left:
            with self._store.changing() as changes:
                changes.take_back(ERASING)
        return tuple(left)

    def _rows(
        self, embeddings: npt.ArrayLike, contract: Contract | None, what: str
    ) -> npt.NDArray[np.float32]:
        given = self._checked(np.atleast_2d(np.asarray(embeddings)), contract, what)
        return given.astype(np.float32)

    def _checked(
        self, rows: npt.NDArray[Any], contract: Contract | None, what: str
    ) -> npt.NDArray[Any]:
        if contract is not None:
            require_same(contract, self.contract, names=(what, f"the gallery {self.folder}"))
        require_directions(rows, what=what)
        if rows.shape[1] != self.contract.dimension:
            raise InputError(
                f"{what}: expected {self.contract.dimension} dimensions, as {self.contract} "
                f"makes them, got {rows.shape[1]}; embed with the gallery's model"
            )
        for start in range(0, len(rows), CHECKED):
            chunk = rows[start : start + CHECKED].astype(np.float64)
            lengths = np.linalg.norm(chunk, axis=1)
            if not ((lengths >= SHORTEST) & (lengths <= LONGEST)).all():
                raise InputError(
                    f"{what}: expected lengths from {SHORTEST:g} to {LONGEST:g}, got "
                    f"{lengths.min():g} to {lengths.max():g}; no model makes such embeddings"
                )
        return rows


def _candidates(
    hits: Sequence[Hit], numbers: Sequence[int], names: dict[int, str], sources: dict[int, str]
) -> tuple[Candidate, ...]:
    found = [
        Candidate(names[hit.person], hit.score, sources[number])
        for hit, number in zip(hits, numbers, strict=True)
    ]
    return tuple(sorted(found, key=lambda one: (-one.score, one.name)))


def _require_text(names: Sequence[str], sources: Sequence[str], count: int, what: str) -> None:
    if sources and len(sources) != count:
        raise InputError(f"{what}: expected a source for each of {count}, got {len(sources)}")
    for kind, texts in (("name", names), ("source", sources)):
        for text in texts:
            if not _writable(text) or (kind == "name" and not text):
                raise InputError(
                    f"{what}: expected a {kind} in Unicode that is not empty, got "
                    f"{str(text)[:80]!r}; name it otherwise"
                )


def _writable(text: str) -> bool:
    try:
        str.encode(text)
    except (UnicodeEncodeError, TypeError):
        return False
    return True


def _others(folder: Path) -> list[Path]:
    """What is in it, but for what is left of making a gallery that was stopped."""
    return [path for path in folder.iterdir() if not path.name.startswith(f"{FILE}.part")]
