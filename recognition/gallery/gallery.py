"""A gallery: who is enrolled, who somebody is, and who wants to be forgotten."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from recognition.contract import Contract, require_same
from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.gallery.answers import (
    Answer,
    Candidate,
    Person,
    PersonScore,
    Receipt,
    Threshold,
    require_score,
)
from recognition.gallery.cache import Cache, Cached
from recognition.gallery.store import Sample, Store
from recognition.gallery.vectors import gallery_rows
from recognition.search.means import Templates, best_templates
from recognition.search.scan import Hit, best_people

FLUSHED = 2**15  # rows in memory before they are written to the cache
LOCK, CACHE = "lock", "cache"
PATIENCE = 30.0  # seconds to wait for another writer


class Gallery:
    """People by name, each with one or more embeddings of one contract.

    SQLite holds the truth; what is searched is a copy, checked by hash before it is used. Several
    processes may read while one writes; a search sees the last finished change.

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
        self._cache = Cache(folder / CACHE, store.contract.dimension)
        self._lock = FileLock(folder / LOCK, timeout=PATIENCE, mode=0o600)
        self._parts: list[Cached] = []
        self._names: dict[int, str] = {}
        self._seen_change = 0
        self._version: tuple[int, int] | None = None
        self._means: tuple[tuple[int, int] | None, Templates] | None = None
        self.problems: tuple[str, ...] = ()
        self._load()

    @classmethod
    def create(cls, path: Path | str, contract: Contract) -> Self:
        """A new, empty gallery for embeddings of one contract; only its owner can read it.

        Raises:
            InputError: something is there already.
        """
        folder = Path(path)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists already; open it, or name another folder")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        return self._store.threshold

    def set_threshold(self, threshold: Threshold) -> None:
        """Decide by this threshold from now on."""
        with self._lock_held():
            self._store.set_threshold(threshold)

    def people(self) -> list[Person]:
        """Everybody, by name."""
        return list(self._store.people())

    def __len__(self) -> int:
        return len(self.people())

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
        rows = self._rows(embeddings, contract, f"embeddings of {name[:80]!r}")
        if not name or not _writable(name):
            raise InputError(f"expected a name in Unicode that is not empty, got {name[:80]!r}")
        if sources and len(sources) != len(rows):
            raise InputError(
                f"expected a source for each of {len(rows)} embeddings of {name[:80]!r}, got "
                f"{len(sources)}"
            )
        samples = [
            Sample(row, source)
            for row, source in zip(rows, sources or [""] * len(rows), strict=True)
        ]
        with self._lock_held():
            self._store.enroll(name, samples, metadata or {})
            self._refresh()
            self._flush()

    def identify(
        self,
        embeddings: npt.ArrayLike,
        *,
        top: int = 5,
        threshold: float | None = None,
        score: PersonScore | None = None,
        contract: Contract | None = None,
    ) -> list[Answer]:
        """Who is on each of (N, D) probes: the best person, or unknown.

        Args:
            embeddings: (N, D), of any length.
            top: how many candidates to list.
            threshold: instead of the gallery's.
            score: of a person, by the best sample or by the template, the mean of the unit
                samples; what the gallery's threshold was set for where it is not given.
            contract: of the probes, checked against the gallery's where it is given.

        Raises:
            InputError: probes that are no embeddings of this gallery's contract, scores other
                than the gallery's threshold was set for, or, with templates, a person whose
                samples cancel out.
        """
        if top < 1:
            raise InputError(f"top: expected at least 1 candidate, got {top}; 5 are usual")
        rows = self._rows(embeddings, contract, "probes")
        self._refresh()
        used = self.threshold if threshold is None else Threshold(threshold, score=score or "best")
        by = score or ("best" if used is None else used.score)
        require_score(used, by)
        if by == "template":
            return [self._by_template(hits, top, used) for hits in self._templates(rows, top)]
        found = best_people([part.part for part in self._parts], unit_rows(rows), top)
        numbers = {int(self._parts[hit.part].samples[hit.place]) for hits in found for hit in hits}
        sources = self._store.sources(numbers)
        answers = []
        for hits in found:
            candidates = [
                Candidate(
                    self._names[hit.person],
                    hit.score,
                    sources.get(int(self._parts[hit.part].samples[hit.place]), ""),
                )
                for hit in hits
            ]
            candidates.sort(key=lambda one: (-one.score, one.name))
            answers.append(Answer.of(tuple(candidates[:top]), used))
        return answers

    def _templates(self, rows: npt.NDArray[np.float32], top: int) -> list[list[Hit]]:
        if self._means is None or self._means[0] != self._version:
            parts = [part.part for part in self._parts]
            self._means = self._version, Templates.of(parts, self._names.__getitem__)
        return best_templates(self._means[1], unit_rows(rows), top)

    def _by_template(self, hits: Sequence[Hit], top: int, used: Threshold | None) -> Answer:
        candidates = [Candidate(self._names[hit.person], hit.score) for hit in hits]
        candidates.sort(key=lambda one: (-one.score, one.name))
        return Answer.of(tuple(candidates[:top]), used)

    def remove(self, name: str) -> int:
        """Take a person out of the gallery; how many samples there were.

        The bytes stay in the cache until it is next written; `erase` sees to that at once.

        Raises:
            InputError: nobody has this name.
        """
        with self._lock_held():
            count = self._store.remove(name)
            self._refresh()
        return count

    def erase(self, name: str) -> Receipt:
        """Forget a person: no byte of theirs is left under the gallery's folder.

        Raises:
            InputError: nobody has this name.
        """
        left = []
        with self._lock_held():
            count = self._store.remove(name)
            self._refresh()
            self._rewrite()
            if not self._store.truncate_log():
                left.append("another process reads the gallery, so the log could not be emptied")
        return Receipt(name, count, not left, tuple(left), datetime.now(UTC).isoformat())

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

    def _rows(
        self, embeddings: npt.ArrayLike, contract: Contract | None, what: str
    ) -> npt.NDArray[np.float32]:
        if contract is not None:
            require_same(contract, self.contract, names=(what, f"the gallery {self.folder}"))
        rows = np.atleast_2d(np.asarray(embeddings))
        made = gallery_rows(rows, what=what)
        if rows.shape[1] != self.contract.dimension:
            raise InputError(
                f"{what}: expected {self.contract.dimension} dimensions, as {self.contract} "
                f"makes them, got {rows.shape[1]}; embed with the gallery's model"
            )
        return made

    def _lock_held(self) -> Any:
        try:
            return self._lock.acquire()
        except Timeout:
            raise InputError(
                f"another process has been writing to {self.folder} for {PATIENCE:g} s; try again"
            ) from None

    def _load(self) -> None:
        parts, problems = self._cache.load()
        self._parts = sorted(parts, key=lambda part: int(part.samples[0]))
        self.problems = tuple(problems)
        if problems:  # some samples are in no part: begin anew
            self._parts = []
        self._refresh()

    def _refresh(self) -> None:
        version = self._store.version
        if version == self._version:
            return
        with self._store.snapshot():
            last = max((int(part.samples[-1]) for part in self._parts), default=0)
            rows = self._store.rows(last)
            gone, self._seen_change = self._store.gone(self._seen_change)
            self._names.update(self._store.names(max(self._names, default=0)))
        if len(rows.samples):
            self._parts.append(Cached.of(rows))
        if len(gone):
            for part in self._parts:
                part.kill(gone)
        self._version = version

    def _flush(self) -> None:
        """Write what is in memory only to the cache, once it is much."""
        loose = [part for part in self._parts if not part.name]
        if sum(len(part.samples) for part in loose) >= FLUSHED:
            self._parts = self._cache.write([*self._kept(), _merged(loose)])

    def _kept(self) -> list[Cached]:
        return [part for part in self._parts if part.name]

    def _rewrite(self) -> None:
        """Leave those who are gone out of every file."""
        fresh = [part if part.part.alive.all() else Cached.of(part.rows) for part in self._parts]
        self._parts = self._cache.write([part for part in fresh if len(part.samples)])


def _merged(parts: Sequence[Cached]) -> Cached:
    from recognition.gallery.store import Rows

    rows = [part.rows for part in parts]
    return Cached.of(Rows(*(np.concatenate(arrays) for arrays in zip(*rows, strict=True))))


def _writable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
