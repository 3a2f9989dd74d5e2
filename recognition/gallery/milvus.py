"""A gallery on a Milvus server, for more people than one machine searches well."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract
from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.gallery.accept import (
    Accepted,
    accept,
    accept_people,
    accept_rows,
    accept_samples,
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
from recognition.gallery.changes import as_json, now
from recognition.gallery.interface import Gallery
from recognition.gallery.milvus_address import Address
from recognition.gallery.milvus_collections import Collections
from recognition.gallery.milvus_rows import Row, SampleRow, as_text, fits, new_key, person_key
from recognition.gallery.milvus_search import best_people
from recognition.gallery.records import Sample, nobody
from recognition.progress import Watch, unwatched

FORMAT = "1"
FACELESS = "faceless"
TOGETHER = 2**14  # samples enrolled before anybody sees them
KEPT = (
    "Milvus deletes by a note, and rewrites segments, drops the old ones (hours later, by "
    "dataCoord.gc) and empties its log when it likes; that no byte is left cannot be seen from "
    "here: export to a new gallery and drop this one where that matters"
)


class MilvusGallery(Gallery):
    """A gallery in three collections of a Milvus server, or of a file of milvus-lite.

    Every read waits for what was written before it, so whoever asks sees enrolments and removals
    that were finished. Several clients may write: an enrolment of a person adds to theirs, the
    order of two is that of their clients' clocks, and the last threshold set counts.

    Milvus has no transactions. Each enrolment of a person is there as a whole or not at all, but a
    crash in the middle of `enroll_many` may leave some people enrolled and some not, and any crash
    samples that nobody can see, until their person is erased. Erasing or removing
    a person while another client enrols the same is for the clients to avoid.
    """

    def __init__(self, collections: Collections, contract: Contract) -> None:
        self.address = collections.address
        self._collections = collections
        self._contract = contract
        self._counted = (0, 0)  # enrolments, and how many people have them

    def __repr__(self) -> str:
        """Where it is; nothing of who is in it."""
        return f"MilvusGallery({str(self.address)!r})"

    @classmethod
    def create(cls, where: Path | str, contract: Contract) -> Self:
        """A new, empty gallery for embeddings of one contract.

        Raises:
            InputError: there is one of this name already, or the server does not answer.
        """
        address = Address.parse(where)
        about = {
            "format": FORMAT,
            "contract": contract.to_json(),
            "created": now(),
            "index": address.kind,
        }
        for key, value in about.items():
            as_text(value, f"the {key}")
        collections = Collections.connect(address)
        try:
            collections.create(contract.dimension, about)
        except BaseException:
            collections.close()
            raise
        return cls(collections, contract)

    @classmethod
    def open(cls, where: Path | str) -> Self:
        """The gallery of a name on a server.

        Raises:
            InputError: there is none, or the server does not answer.
        """
        collections = Collections.connect(Address.parse(where))
        try:
            about = collections.open()
            if about.get("format") != FORMAT:
                raise InputError(
                    f"expected a gallery of format {FORMAT} at {collections.address}, got "
                    f"{about.get('format')!r}; a newer release of this package wrote it"
                )
            return cls(collections, Contract.from_json(about["contract"]))
        except BaseException:
            collections.close()
            raise

    @property
    def contract(self) -> Contract:
        """Which embeddings can be enrolled and searched for."""
        return self._contract

    @property
    def threshold(self) -> Threshold | None:
        """From which score on a name is given; None until it is set."""
        said = self._collections.about("threshold").get("threshold")
        return None if said is None else Threshold.from_json(said)

    def set_threshold(self, threshold: Threshold) -> None:
        """Decide by this threshold from now on.

        Raises:
            InputError: it is for scores by template, which Milvus is not asked for.
        """
        require_threshold(threshold)
        _require_best(threshold.score)
        self._collections.put({"threshold": threshold.to_json()})

    def people(self) -> list[Person]:
        """Everybody, by name."""
        people: dict[str, Person] = {}
        for row in self._collections.enrolments():
            before = people.get(row.name, Person(row.name, 0, {}, row.enrolled))
            people[row.name] = Person(
                row.name,
                before.samples + len(row.samples),
                {**before.metadata, **row.metadata},
                before.enrolled,
            )
        return sorted(people.values(), key=lambda person: person.name.encode())

    def samples(self, name: str) -> list[Sample]:
        """The embeddings of a person as they were enrolled, in that order."""
        keys = [key for row in self._rows(name) for key in row.samples]
        found = self._collections.read(keys, "vector", "source", "digest")
        return [
            Sample(np.array(vector, np.float32), source, digest)
            for vector, source, digest in (found[key] for key in keys if key in found)
        ]

    def __len__(self) -> int:
        """How many people are enrolled."""
        enrolments = self._collections.count()
        if self._counted[0] != enrolments:
            self._counted = (enrolments, len(self.people()))
        return self._counted[1]

    def stats(self) -> Stats:
        """How many people and samples, by which threshold; how large, Milvus does not say."""
        people, used = self.people(), self.threshold
        samples = sum(person.samples for person in people)
        outgrown = used.outgrown(len(people)) if used else None
        return Stats(len(people), samples, None, self.contract, used, outgrown, ())

    @property
    def faceless(self) -> Faceless:
        """Photographs that a sync found nobody on, so that it need not look again."""
        told = self._collections.about(FACELESS).get(FACELESS)
        return Faceless() if told is None else Faceless.from_json(told)

    def set_faceless(self, found: Faceless) -> None:
        """Remember photographs with nobody on them, as many as a text field of Milvus holds."""
        while not fits(found.to_json()):  # the others are looked at again
            kept = dict(list(found.reasons.items())[: len(found.reasons) // 2])
            found = Faceless(found.settings, kept)
        self._collections.put({FACELESS: found.to_json()})

    def known(self) -> list[tuple[str, str, str]]:
        """Name, source and digest of every sample whose digest is known."""
        return list(self._collections.known())

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
        """Add samples (N, D) of a person, new or known, all or none; see `Gallery`.

        Those that are replaced go after the new ones came.

        Raises:
            InputError: also what a text field of Milvus cannot hold; nothing is changed.
        """
        what = f"embeddings of {str(name)[:80]!r}"
        rows = accept_rows(embeddings, contract, self.contract, what, self.address)
        person = accept(name, rows, sources, digests, metadata)
        before = self._collections.enrolments_of(person_key(name)) if replacing else []
        self._enroll([person])
        if before:
            self._discard(before, replacing)

    def enroll_people(
        self, people: Sequence[tuple[str, Sequence[Sample], Mapping[str, Any]]]
    ) -> None:
        """Add samples and metadata of many people, one after the other; see `Gallery`."""
        accepted = [
            accept_samples(name, samples, metadata, self.contract, self.address)
            for name, samples, metadata in people
        ]
        _require_fits(accepted)
        for some in _groups(accepted):
            self._enroll(some)

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
        """Add samples (N, D) of many people, each with the name of its person; see `Gallery`.

        They are enrolled some thousands at a time, and each person whole: who is stopped has
        enrolled the first so many.

        Raises:
            InputError: also what a text field of Milvus cannot hold; nothing is changed.
        """
        rows = accept_rows(embeddings, contract, self.contract, "embeddings", self.address)
        people = accept_people(rows, names, sources, digests, metadata)
        _require_fits(people)
        with watch("enrolling", len(rows)) as advance:
            done = 0
            for some in _groups(people):
                self._enroll(some)
                done += sum(len(person.samples) for person in some)
                advance(done)

    def discard(self, name: str, digests: Sequence[str]) -> int:
        """Take some samples of a person out, by their digests; how many there were."""
        rows = self._rows(name)
        return self._discard(rows, digests)

    def describe(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Say something about somebody enrolled; it replaces what it names.

        Raises:
            InputError: nobody has this name, or JSON or a text field of Milvus cannot hold it.
        """
        told = json.loads(as_json(metadata))
        as_text(told, f"the metadata of {name[:80]!r}")
        self._rows(name)
        self._collections.finish([Row(new_key(), person_key(name), name, told, now(), 0)])

    def identify(
        self,
        embeddings: npt.ArrayLike,
        *,
        top: int = 5,
        threshold: float | None = None,
        score: PersonScore | None = None,
        contract: Contract | None = None,
    ) -> list[Answer]:
        """Who is on each of (N, D) probes: the best person, or unknown; see `Gallery`.

        With the index `hnsw` or `ivf` somebody enrolled may be missed; who is found has the exact
        score.
        """
        require_top(top)
        _require_best(score)
        rows = accept_rows(embeddings, contract, self.contract, "probes", self.address)
        given = None if threshold is None else Threshold(threshold)
        with ThreadPoolExecutor(1) as meanwhile:  # both wait for Milvus
            decided = meanwhile.submit(lambda: (given, None) if given else self._decide())
            found = best_people(self._collections, unit_rows(rows), top)
            used, outgrown = decided.result()
        require_score(used, "best")
        if outgrown:
            warnings.warn(outgrown, OutgrownWarning, stacklevel=2)
        samples = sorted({one.sample for people in found for one in people})
        sources = self._collections.read(samples, "source")
        return [
            Answer.of(
                tuple(
                    Candidate(one.name, one.score, *sources.get(one.sample, ("",)))
                    for one in people
                ),
                used,
            )
            for people in found
        ]

    def remove(self, name: str) -> int:
        """Take a person out of the gallery; how many samples there were.

        Raises:
            InputError: nobody has this name.
        """
        rows = self._rows(name)
        self._collections.delete(rows)
        return sum(len(row.samples) for row in rows)

    def erase(self, name: str) -> Receipt:
        """Forget a person, as far as Milvus does; the receipt says what cannot be shown.

        Raises:
            InputError: nobody has this name.
        """
        count = self.remove(name)
        self._collections.take_back(FACELESS)  # some may be theirs
        self._collections.purge(person_key(name))
        return Receipt(name, count, False, (KEPT,), now())

    def close(self) -> None:
        """Let go of the connection; what was changed is safe already."""
        self._collections.close()

    def _decide(self) -> tuple[Threshold | None, str | None]:
        """The threshold, and why it holds no more."""
        used = self.threshold
        return used, used.outgrown(len(self)) if used and used.people else None

    def _rows(self, name: str) -> list[Row]:
        rows = self._collections.enrolments_of(person_key(name))
        if not rows:
            raise nobody(name)
        return rows

    def _enroll(self, people: Sequence[Accepted]) -> None:
        _require_fits(people)
        date = now()
        rows = [
            Row(new_key(), person_key(one.name), one.name, one.metadata, date, len(one.samples))
            for one in people
        ]
        self._collections.add(_written(people, rows))
        self._collections.finish(rows)

    def _discard(self, rows: Sequence[Row], digests: Sequence[str]) -> int:
        """Samples of a person's enrolments by their digests, and who has none left; how many."""
        unwanted = set(digests) - {""}
        keys = [key for row in rows for key in row.samples]
        found = self._collections.read(keys, "digest")
        gone = {key for key, (digest,) in found.items() if digest in unwanted}
        if len(gone) == len(keys) and rows == self._collections.enrolments_of(rows[0].person):
            self._collections.delete(rows)
        elif gone:
            changed = [row.without(gone) for row in rows if gone & set(row.samples)]
            self._collections.discard(changed, sorted(gone))
        return len(gone)


def _require_best(score: PersonScore | None) -> None:
    require_score(None, score or "best")
    if score == "template":
        raise InputError(
            "expected best scores, by which people are searched on Milvus, got template; a gallery "
            "in a folder has both"
        )


def _require_fits(people: Sequence[Accepted]) -> None:
    for person in people:
        as_text(person.name, f"the name {person.name[:80]!r}")
        as_text(person.metadata, f"the metadata of {person.name[:80]!r}")
        for sample in person.samples:
            as_text(sample.source, f"a source of {person.name[:80]!r}")
            as_text(sample.digest, f"a digest of {person.name[:80]!r}")


def _groups(people: Sequence[Accepted]) -> Iterator[Sequence[Accepted]]:
    """People, as many at a time as have about `TOGETHER` samples."""
    start = samples = 0
    for at, person in enumerate(people):
        samples += len(person.samples)
        if samples >= TOGETHER or at == len(people) - 1:
            yield people[start : at + 1]
            start, samples = at + 1, 0


def _written(people: Sequence[Accepted], rows: Sequence[Row]) -> list[SampleRow]:
    return [
        SampleRow(key, row.person, sample.source, sample.digest, sample.vector)
        for person, row in zip(people, rows, strict=True)
        for key, sample in zip(row.samples, person.samples, strict=True)
    ]
