"""Faces on photographs, embedded by the model of a gallery."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract, require_same
from recognition.datasets._files import shown
from recognition.datasets.folder import persons_of
from recognition.datasets.pictures import Skipped
from recognition.errors import InputError
from recognition.faces.embedder import Embedder
from recognition.faces.face import Detector
from recognition.faces.photos import Found, PhotoFile, UnusableError, digest_of, find_photos
from recognition.faces.pipeline import CERTAIN, Outcome, embed_groups, embed_photos
from recognition.gallery.labelled import described
from recognition.gallery.sync import Item, Vector
from recognition.progress import Watch, unwatched

NOBODYS = "in nobody's folder; give each person a folder of their own"


@dataclass(frozen=True)
class Models:
    """What finds faces, and what embeds them."""

    detector: Detector
    embedder: Embedder
    min_score: float = CERTAIN

    @classmethod
    def load(
        cls, contract: Contract | None, *, model: str | None, device: str, min_score: float
    ) -> "Models":
        """MTCNN, and the model that is named, which has to be the contract's where there is one.

        Raises:
            InputError: no such model, or another one than made the gallery's embeddings.
        """
        from recognition.faces.mtcnn import Mtcnn

        if not 0 <= min_score <= 1:
            raise InputError(
                f"--min-score: expected a probability from 0 to 1, got {min_score}; {CERTAIN} is "
                "usual"
            )
        if contract is not None and not contract.sha256:
            raise InputError(
                "expected a gallery whose model is known to embed photographs for it, but it was "
                f"made for embeddings {described(contract)}; embed them as those were, into a .npz"
            )
        embedder = _embedder(contract, model, device)
        if contract is not None:
            require_same(embedder.contract, contract, names=("the model", "the gallery"))
        return cls(Mtcnn(device=device), embedder, min_score)


def _embedder(contract: Contract | None, model: str | None, device: str) -> Embedder:
    from recognition.faces.models.loading import load_embedder

    try:
        return load_embedder(model, device=device)
    except InputError as error:
        if model is not None or contract is None or contract.model.startswith("facenet "):
            raise
        raise InputError(
            f"expected the gallery's model, {described(contract)}, which is not the usual one; "
            "name it with --model"
        ) from error


@dataclass(frozen=True)
class Faces:
    """Faces on photographs, and photographs that could not be used.

    Attributes:
        photos: (N,) the photograph of each.
        places: (N,) the place among the detections there, the largest first.
        digests: (N,) sha256 of the photograph of each.
        embeddings: (N, D).
        skipped: what could not be used, with the reason.
        readable: how many photographs could be looked at.
    """

    photos: tuple[str, ...]
    places: tuple[int, ...]
    digests: tuple[str, ...]
    embeddings: npt.NDArray[np.float32]
    skipped: tuple[Skipped, ...]
    readable: int

    @classmethod
    def of(
        cls, outcomes: Sequence[Outcome], dimension: int, skipped: Sequence[Skipped] = ()
    ) -> "Faces":
        """The faces of photographs, and those that were skipped before and now."""
        places = [outcome.embedded.tolist() for outcome in outcomes]
        faces = [outcome for outcome in outcomes for _ in outcome.embedded]
        rows = [row for outcome in outcomes for row in outcome.embeddings]
        problems = [Skipped(each.file.id, each.problem) for each in outcomes if each.problem]
        return cls(
            tuple(outcome.file.id for outcome in faces),
            tuple(chain.from_iterable(places)),
            tuple(outcome.digest for outcome in faces),
            np.array(rows, np.float32).reshape(-1, dimension),
            (*skipped, *problems),
            sum(bool(outcome.digest) for outcome in outcomes),
        )

    @property
    def largest(self) -> list[int]:
        """The first face of each photograph."""
        return [at for at, name in enumerate(self.photos) if name not in self.photos[:at][-1:]]


def embed_faces(found: Found, models: Models, *, watch: Watch = unwatched) -> Faces:
    """Every certain face on photographs."""
    with closing(_watched(found, models, watch)) as groups:
        outcomes = list(chain.from_iterable(groups))
    return Faces.of(outcomes, models.embedder.contract.dimension, found.skipped)


def embed_faces_as_found(
    found: Found, models: Models, *, watch: Watch = unwatched
) -> Generator[Faces, None, None]:
    """The same in parts, each as soon as it is known; not those that `found` skipped already."""
    with closing(_watched(found, models, watch)) as groups:
        for group in groups:
            yield Faces.of(group, models.embedder.contract.dimension)


def _watched(found: Found, models: Models, watch: Watch) -> Generator[list[Outcome], None, None]:
    done = 0
    stream = embed_groups(found.files, models.detector, models.embedder, min_score=models.min_score)
    with watch("looking for faces", len(found.files)) as advance, closing(stream):
        for group in stream:
            yield group
            done += len(group)
            advance(done)  # drawn below what was printed of the group


@dataclass(frozen=True)
class People:
    """Photographs in a folder a person.

    Attributes:
        items: each photograph that can be read, with the person its folder names.
        files: where each lies.
        skipped: what cannot be used, with the reason.
    """

    items: tuple[Item, ...]
    files: tuple[PhotoFile, ...]
    skipped: tuple[Skipped, ...]


def find_people(folder: Path, *, watch: Watch = unwatched) -> People:
    """The photographs below a folder that has a folder a person, and the sha256 of each.

    Raises:
        InputError: no such folder, or no photographs in folders below it.
    """
    found = find_photos(folder)
    skipped = list(found.skipped)
    skipped += [Skipped(file.id, NOBODYS) for file in found.files if "/" not in file.id]
    owned = [file.id for file in found.files if "/" in file.id]
    persons = dict(zip(*persons_of(owned, skipped), strict=True)) if owned else {}
    if not persons:
        raise InputError(
            f"expected a folder a person with photographs at {shown(folder)}, got none; put "
            "ann/1.jpg there"
        )
    files = [file for file in found.files if file.id in persons]
    items: list[Item] = []
    readable: list[PhotoFile] = []
    with watch("looking for what changed", len(files)) as advance:
        for number, file in enumerate(files, 1):
            try:
                items.append(Item(persons[file.id], file.id, digest_of(file)))
                readable.append(file)
            except UnusableError as error:
                skipped.append(Skipped(file.id, error.reason))
            advance(number)
    return People(tuple(items), tuple(readable), tuple(skipped))


def embed_people(
    items: Iterable[Item], people: People, models: Models, faceless: dict[str, str]
) -> Iterator[Vector | str]:
    """The largest certain face on each photograph, or why there is none.

    Those that could be looked at, and have none, are added to `faceless`, with the reason.
    """
    where = dict(zip(people.items, people.files, strict=True))
    stream = embed_photos(
        [where[item] for item in items],
        models.detector,
        models.embedder,
        min_score=models.min_score,
    )
    with closing(stream):
        for outcome in stream:
            if not len(outcome.embedded) and outcome.digest:
                faceless[outcome.digest] = outcome.problem
            yield outcome.embeddings[0] if len(outcome.embedded) else outcome.problem
