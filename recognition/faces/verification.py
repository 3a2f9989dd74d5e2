"""Do two photographs show one person? A score, a threshold somebody can answer for, a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from recognition.contract import Contract
from recognition.datasets._files import shown
from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.faces.alignment import crop_face
from recognition.faces.embedder import Embedder
from recognition.faces.face import Detector, Face
from recognition.faces.photos import load_photo
from recognition.faces.pipeline import CERTAIN
from recognition.faces.score_text import written_score
from recognition.faces.trusted_threshold import Threshold

Verdict = Literal["same", "different", "undecided"]


class Side(NamedTuple):
    """A photograph, and the face on it that was compared.

    Attributes:
        path: of the file.
        digest: sha256 of its bytes.
        face: the largest certain one.
        others: how many more certain faces there are.
        doubtful: how many detections are not certain.
    """

    path: Path
    digest: str
    face: Face
    others: int
    doubtful: int


@dataclass(frozen=True, eq=False)
class Verification:
    """What came of comparing two photographs.

    Attributes:
        score: the cosine of both embeddings, from -1 to 1; higher is more alike.
        threshold: what it is held against; None where there is none.
        first: one photograph.
        second: the other.
        contract: of the model that embedded both.
        detector: its name.
    """

    score: float
    threshold: Threshold | None
    first: Side
    second: Side
    contract: Contract
    detector: str

    @property
    def verdict(self) -> Verdict:
        """The same person at a score at or above the threshold; undecided without a threshold."""
        if self.threshold is None:
            return "undecided"
        return "same" if self.score >= self.threshold.value else "different"

    @property
    def same_file(self) -> bool:
        """Whether both files hold the same bytes, so that the score says nothing of people."""
        return self.first.digest == self.second.digest


def verify_photos(
    first: Path | str,
    second: Path | str,
    *,
    embedder: Embedder,
    detector: Detector,
    threshold: Threshold | None = None,
    min_score: float = CERTAIN,
) -> Verification:
    """Compare the largest certain face on one photograph with that on another.

    Of several faces only one can be meant, and the largest is whom a photograph is of, as for
    `recognition embed --labelled`. Comparing all with all and taking the best would match
    strangers more often than the threshold promises. `Side.others` says that there are more.

    Args:
        first: a file.
        second: another.
        embedder: embeds both faces.
        detector: finds them.
        threshold: none is made up where none is given.
        min_score: the detector's probability from which a face is certain.

    Raises:
        InputError: a file that is no photograph, or has no certain face; an embedding without a
            direction.
    """
    if not 0 <= min_score <= 1:
        raise InputError(
            f"min_score: expected a probability from 0 to 1, got {min_score}; {CERTAIN} is usual"
        )
    sides, crops = [], []
    for path in map(Path, (first, second)):
        photo = load_photo(path)
        (faces,) = detector.detect([photo.pixels])
        face, others = _largest(path, faces, min_score)
        sides.append(Side(path, photo.digest, face, others, len(faces) - others - 1))
        crops.append(crop_face(photo.pixels, face, embedder.contract.preprocessing))
    rows = embedder.embed(np.stack(crops))
    one, other = unit_rows(rows, what="the embeddings of the two faces")
    score = float(np.clip(one @ other, -1, 1))
    return Verification(score, threshold, sides[0], sides[1], embedder.contract, detector.name)


def _largest(path: Path, faces: Sequence[Face], min_score: float) -> tuple[Face, int]:
    """The largest certain face, and how many others are certain."""
    certain = [face for face in faces if face.score >= min_score]
    if not certain:
        came = "none"
        if faces:
            best = written_score(max(face.score for face in faces))
            came = f"only doubtful detections, the best {best}"
        raise InputError(
            f"expected a face with probability {min_score:g} or more on {shown(path)}, got {came}; "
            "give a sharper photograph from the front, or see what was found with recognition detect"
        )
    return certain[0], len(certain) - 1
