"""What a gallery is, wherever its people are kept."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy.typing as npt

from recognition.contract import Contract
from recognition.errors import InputError
from recognition.gallery.answers import (
    Answer,
    Faceless,
    Person,
    PersonScore,
    Receipt,
    Stats,
    Threshold,
)
from recognition.gallery.milvus_address import is_milvus
from recognition.gallery.records import Sample
from recognition.progress import Watch, unwatched


class Gallery(ABC):
    """People by name, each with one or more embeddings of one contract.

    A folder holds them (`EmbeddedGallery`), or a Milvus server (`MilvusGallery`), by an address
    `milvus://host:port/name`. Both find the same people in the same order, by the same scores, and
    decide alike: a score is the product of unit rows in float64, rounded; a person's is that of
    the best sample; equal scores are listed by name.
    """

    @classmethod
    def create(cls, where: Path | str, contract: Contract) -> "Gallery":
        """A new, empty gallery for embeddings of one contract.

        Args:
            where: a folder, or `milvus://host:port/name`; see `Address` for the other forms.
            contract: which embeddings it takes.

        Raises:
            InputError: something is there already.
        """
        if not isinstance(cast(object, contract), Contract):
            raise InputError(
                f"contract: expected a Contract, got {contract!r}; that of a model is "
                "load_embedder(...).contract, or write Contract(name, sha256, dimension, "
                "Preprocessing())"
            )
        return _kind(where).create(where, contract)

    @classmethod
    def open(cls, where: Path | str) -> "Gallery":
        """The gallery in a folder, or at `milvus://host:port/name`.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        return _kind(where).open(where)

    @property
    @abstractmethod
    def contract(self) -> Contract:
        """Which embeddings can be enrolled and searched for."""

    @property
    @abstractmethod
    def threshold(self) -> Threshold | None:
        """From which score on a name is given; None until it is set."""

    @abstractmethod
    def set_threshold(self, threshold: Threshold) -> None:
        """Decide by this threshold from now on."""

    @abstractmethod
    def people(self) -> list[Person]:
        """Everybody, by name."""

    @abstractmethod
    def samples(self, name: str) -> list[Sample]:
        """The embeddings of a person as they were enrolled, in that order.

        Raises:
            InputError: nobody has this name.
        """

    @abstractmethod
    def known(self) -> list[tuple[str, str, str]]:
        """Name, source and digest of every sample whose digest is known."""

    def digests(self, names: Iterable[str]) -> set[tuple[str, str]]:
        """Name and digest of every sample of these people whose digest is known."""
        wanted = set(names)
        return {(name, digest) for name, _, digest in self.known() if name in wanted}

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else writes while this lasts: a folder sees to that, Milvus cannot.

        What is read meanwhile is still so when it is acted on.
        """
        yield False

    @abstractmethod
    def __len__(self) -> int:
        """How many people are enrolled."""

    @abstractmethod
    def stats(self) -> Stats:
        """How many people and samples, how large, by which threshold."""

    @property
    @abstractmethod
    def faceless(self) -> Faceless:
        """Photographs that a sync found nobody on, so that it need not look again."""

    @abstractmethod
    def set_faceless(self, found: Faceless) -> None:
        """Remember photographs with nobody on them, until somebody is erased."""

    @abstractmethod
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
        """Add samples (N, D) of a person, new or known, all or none.

        Args:
            name: any text that is not empty.
            embeddings: (N, D), or one (D,), of any length.
            sources: what to call each, such as the photograph.
            digests: sha256 of what each was made from, by which it is known again.
            replacing: digests of samples of this person that these take the place of.
            metadata: about the person, for JSON; replaces what it names.
            contract: of the embeddings, checked against the gallery's where it is given.

        Raises:
            InputError: a name, a vector or a contract that cannot be taken; nothing is changed.
        """

    @abstractmethod
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

        Everything is checked before anything is changed.

        Args:
            embeddings: (N, D), of any length.
            names: (N,) of the person of each, any text that is not empty.
            sources: what to call each, such as the photograph.
            digests: sha256 of what each was made from.
            metadata: about people, by name.
            contract: of the embeddings, checked against the gallery's where it is given.
            watch: told how many samples are enrolled.

        Raises:
            InputError: a name, a vector or a contract that cannot be taken; nothing is changed.
        """

    @abstractmethod
    def enroll_people(
        self, people: Sequence[tuple[str, Sequence[Sample], Mapping[str, Any]]]
    ) -> None:
        """Add samples and metadata of many people, such as an export holds.

        In a folder it is all of them or none; on Milvus all of a person or nothing.

        Raises:
            InputError: a name, a vector or metadata that cannot be taken; nothing is changed.
        """

    @abstractmethod
    def discard(self, name: str, digests: Sequence[str]) -> int:
        """Take some samples of a person out, by their digests; how many there were.

        Who has none left is enrolled no more.

        Raises:
            InputError: nobody has this name.
        """

    @abstractmethod
    def describe(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Say something about somebody enrolled; it replaces what it names.

        Raises:
            InputError: nobody has this name, or JSON cannot hold it.
        """

    @abstractmethod
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
            InputError: probes that are no embeddings of this gallery's contract, or scores other
                than the gallery's threshold was set for, or, by template, a person whose samples
                cancel out.

        Warns:
            OutgrownWarning: more people are enrolled than the gallery's threshold holds for.
        """

    @abstractmethod
    def remove(self, name: str) -> int:
        """Take a person out of the gallery; how many samples there were.

        Raises:
            InputError: nobody has this name.
        """

    @abstractmethod
    def erase(self, name: str) -> Receipt:
        """Forget a person: leave no byte of theirs, or say in the receipt what is left.

        Raises:
            InputError: nobody has this name.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections; what was changed is safe already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _kind(where: Path | str) -> type[Gallery]:
    if is_milvus(where):
        from recognition.gallery.milvus import MilvusGallery

        return MilvusGallery
    from recognition.gallery.embedded_gallery import EmbeddedGallery

    return EmbeddedGallery
