"""What `recognition embed` writes: embeddings of faces, where they come from, and their contract."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract
from recognition.datasets.pictures import Skipped
from recognition.faces.face import Face, Floats
from recognition.faces.photos import PhotoFile
from recognition.faces.pipeline import Outcome
from recognition.whole_files import save_arrays

Names = npt.NDArray[np.str_]
FORMAT = 1


@dataclass(frozen=True)
class Settings:
    """What decides which faces are embedded, besides the contract.

    Attributes:
        detector: the detector's name, its version and settings in it.
        min_score: faces from this probability on are embedded.
        labelled: whether there is one row for each photograph, of the person its folder names.
    """

    detector: str
    min_score: float
    labelled: bool

    def __str__(self) -> str:
        """One line for people."""
        return ", ".join(self._words())

    def unlike(self, other: "Settings") -> str:
        """What of it is otherwise than in `other`, for people."""
        pairs = zip(self._words(), other._words(), strict=True)
        return ", ".join(mine for mine, theirs in pairs if mine != theirs)

    def _words(self) -> tuple[str, str, str]:
        rows = "a row for each photograph, labelled" if self.labelled else "a row for each face"
        return f"found by {self.detector}", f"of probability {self.min_score:g} or more", rows


class LeftOut(NamedTuple):
    """A detection that was not embedded.

    Attributes:
        photo: the id of its photograph.
        place: among the detections there.
        face: where it is, and how certain.
        failure: why it could not be embedded; empty where it was not to be.
    """

    photo: str
    place: int
    face: Face
    failure: str = ""


@dataclass(frozen=True, eq=False)
class FaceFile:
    """N embedded faces of P photographs.

    A face's id is that of its photograph, `#`, and its place among all detections there, the
    largest first: `people/ann/1.jpg#0`. Where there are labels, a photograph has one row and the
    row has the photograph's id; if no certain face was found, it is NaN with place -1.

    Attributes:
        embeddings: (N, D) float32 as the network gives them, of any length.
        ids: (N,) str, unique.
        photos: (N,) str, the id of the photograph.
        digests: (N,) str, sha256 of the photograph's file.
        places: (N,) int64, the face's place among the detections of its photograph.
        boxes: (N, 4) float32, left, top, right, bottom in pixels of the upright photograph.
        landmarks: (N, 5, 2) float32, x and y.
        scores: (N,) float64, the detector's probability that it is a face.
        labels: (N,) str, the person; None where that was not asked for.
        contract: which model made the embeddings.
        settings: which detector, and which of its faces.
        photographs: (P, 3) str: id, digest, and why nothing of it could be used, mostly "".
        left_out: the detections that were not embedded: doubtful ones, those that could not be,
            and where there are labels all but the largest.
        skipped: what could not be read, with the reason.
    """

    embeddings: Floats
    ids: Names
    photos: Names
    digests: Names
    places: npt.NDArray[np.int64]
    boxes: Floats
    landmarks: Floats
    scores: npt.NDArray[np.float64]
    labels: Names | None
    contract: Contract
    settings: Settings
    photographs: Names
    left_out: tuple[LeftOut, ...]
    skipped: tuple[Skipped, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def doubtful(self) -> tuple[LeftOut, ...]:
        """What was left out because the detector was not sure."""
        return tuple(each for each in self.left_out if each.face.score < self.settings.min_score)

    @property
    def failed(self) -> tuple[LeftOut, ...]:
        """Certain faces that could not be embedded."""
        return tuple(each for each in self.left_out if each.failure)

    @property
    def others(self) -> tuple[LeftOut, ...]:
        """Certain faces that were left out because a larger one is on the same photograph."""
        certain = set(self.left_out) - set(self.doubtful) - set(self.failed)
        return tuple(each for each in self.left_out if each in certain)

    def outcomes(self) -> dict[str, Outcome]:
        """What became of each photograph, by its digest."""
        faces: dict[str, dict[int, Face]] = {name: {} for name in self.photographs[:, 0].tolist()}
        rows: dict[str, list[int]] = {name: [] for name in faces}
        failures: dict[str, dict[int, str]] = {name: {} for name in faces}
        for name, place, face, failure in self.left_out:
            faces[name][place] = face
            if failure:
                failures[name][place] = failure
        for row, (name, place) in enumerate(
            zip(self.photos.tolist(), self.places.tolist(), strict=True)
        ):
            if place >= 0:
                faces[name][place] = Face(
                    self.boxes[row], self.landmarks[row], float(self.scores[row])
                )
                rows[name].append(row)
        return {
            digest: Outcome(
                PhotoFile(name, Path(name)),
                digest,
                tuple(faces[name][place] for place in sorted(faces[name])),
                self.places[rows[name]],
                self.embeddings[rows[name]],
                problem,
                failures[name],
            )
            for name, digest, problem in self.photographs.tolist()
        }

    def save(self, path: Path) -> None:
        """A .npz without objects, written whole; `read_faces` reads it."""
        save_arrays(path, dict(self._arrays()))

    def _arrays(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """What is not of the rows has two dimensions or none: readers take (N,) for columns."""
        for name in ("embeddings", "ids", "photos", "digests", "places", "boxes", "landmarks"):
            yield name, getattr(self, name)
        yield "scores", self.scores
        if self.labels is not None:
            yield "labels", self.labels
        faces = [each.face for each in self.left_out]
        yield "contract", np.array(self.contract.to_json())
        yield "settings", np.array(json.dumps({"format": FORMAT, **asdict(self.settings)}))
        yield "photographs", self.photographs
        yield "left_out_photos", texts([(each.photo, each.failure) for each in self.left_out], 2)
        yield (
            "left_out_places",
            np.array([[each.place] for each in self.left_out], np.int64).reshape(-1, 1),
        )
        yield "left_out_boxes", stacked([face.box for face in faces], (4,))
        yield "left_out_landmarks", stacked([face.landmarks for face in faces], (5, 2))
        yield "left_out_scores", np.array([[f.score] for f in faces], np.float64).reshape(-1, 1)
        yield "skipped", texts(self.skipped, 2)


def face_file(
    outcomes: Sequence[Outcome],
    contract: Contract,
    settings: Settings,
    *,
    persons: Mapping[str, str] | None = None,
    skipped: Sequence[Skipped] = (),
) -> FaceFile:
    """Outcomes of photographs that could be read as one table.

    Args:
        outcomes: each with its digest.
        contract: of the embeddings.
        settings: what they were made with.
        persons: the person on each photograph by its id; exactly where `settings.labelled`.
        skipped: what could not be read.
    """
    nowhere = Face(np.full(4, np.nan, np.float32), np.full((5, 2), np.nan, np.float32), np.nan)
    lost = np.full(contract.dimension, np.nan, np.float32)
    rows: list[tuple[str, Outcome, int, Face, Floats]] = []
    left_out: list[LeftOut] = []
    for outcome in outcomes:
        name, places = outcome.file.id, outcome.embedded.tolist()
        if persons is not None and not places:
            rows.append((name, outcome, -1, nowhere, lost))
        taken = places if persons is None else places[:1]
        for place, embedding in zip(taken, outcome.embeddings, strict=False):
            row_id = f"{name}#{place}" if persons is None else name
            rows.append((row_id, outcome, place, outcome.faces[place], embedding))
        left_out += [
            LeftOut(name, place, face, outcome.failures.get(place, ""))
            for place, face in enumerate(outcome.faces)
            if place not in taken
        ]
    return FaceFile(
        embeddings=stacked([row[4] for row in rows], (contract.dimension,)),
        ids=np.array([row[0] for row in rows], np.str_),
        photos=np.array([row[1].file.id for row in rows], np.str_),
        digests=np.array([row[1].digest for row in rows], np.str_),
        places=np.array([row[2] for row in rows], np.int64),
        boxes=stacked([row[3].box for row in rows], (4,)),
        landmarks=stacked([row[3].landmarks for row in rows], (5, 2)),
        scores=np.array([row[3].score for row in rows], np.float64),
        labels=None
        if persons is None
        else np.array([persons[row[1].file.id] for row in rows], np.str_),
        contract=contract,
        settings=settings,
        photographs=texts([(o.file.id, o.digest, o.problem) for o in outcomes], 3),
        left_out=tuple(left_out),
        skipped=tuple(skipped),
    )


def texts(rows: Sequence[Sequence[str]], width: int) -> Names:
    return np.array([tuple(row) for row in rows], np.str_).reshape(-1, width)


def stacked(arrays: Sequence[npt.NDArray[Any]], shape: tuple[int, ...]) -> Floats:
    return np.array(arrays, np.float32).reshape(-1, *shape)
