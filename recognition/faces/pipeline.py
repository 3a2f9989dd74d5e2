"""Photographs in, faces and their embeddings out, one photograph after the other."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.faces.face import Face, Floats
from recognition.faces.photos import PhotoFile

CERTAIN = 0.95  # below it MTCNN also takes what is no face for one


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a photograph.

    Attributes:
        file: which.
        digest: sha256 of its bytes; empty where it could not be read.
        faces: every detection, doubtful ones included, the largest box first.
        embedded: (n,) places in `faces` of those that were embedded, ascending.
        embeddings: (n, D) of these.
        problem: why nothing of it can be used, in a few words; empty where something can.
    """

    file: PhotoFile
    digest: str
    faces: tuple[Face, ...]
    embedded: npt.NDArray[np.int64]
    embeddings: Floats
    problem: str = ""
