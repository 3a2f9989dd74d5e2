"""The faces of IJB's templates: their names, media, points and scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.datasets._ijb_lines import Integers, watched, whole
from recognition.datasets._tables import numbers, text_array, word_blocks
from recognition.errors import InputError
from recognition.progress import Watch
from recognition.protocols import Small

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]

FACES, POINTS = "_face_tid_mid.txt", "_name_5pts_score.txt"


@dataclass(frozen=True)
class IjbFaces:
    """N faces, in the order of the metadata.

    Attributes:
        names: (N,) of the pictures, each once: "1.jpg".
        templates: (N,) the place of each face's template among those of the protocol.
        media: (N,) the number of the photograph or video that it is from.
        landmarks: (N, 5, 2) eyes, nose and corners of the mouth, x and y in pixels; None without
            the file of points.
        scores: (N,) how sure the detector was; None without the file of points.
    """

    names: Names
    templates: Small
    media: Small
    landmarks: npt.NDArray[np.float32] | None
    scores: Floats | None

    def __len__(self) -> int:
        return len(self.names)


def read_faces(folder: Path, name: str, watch: Watch) -> tuple[IjbFaces, Integers]:
    path = folder / f"{name}{FACES}"
    expected = "faces, each N.jpg, template and media in a line,"
    names: list[str] = []
    templates, media = [], []
    require_file(path, expected)
    with refusing(path, expected, "write it again"):
        for block in watched(path, word_blocks(path), watch):
            _require_width(path, block.line, len(block.columns), 3, expected)
            names += block.columns[0]
            templates.append(whole(path, "a template", block.columns[1], block.line))
            media.append(whole(path, "a media", block.columns[2], block.line))
        _require_once(path, names)
        if not names:
            raise InputError(f"{shown(path)}: expected {expected} got none; write it again")
        found, places = np.unique(np.concatenate(templates), return_inverse=True)
        landmarks, scores = _points(folder / f"{name}{POINTS}", names, watch)
        faces = IjbFaces(
            text_array(path, "names of faces", names),
            places.astype(np.int32),
            np.concatenate(media),
            landmarks,
            scores,
        )
    return faces, found


def _require_width(path: Path, line: int, came: int, columns: int, expected: str) -> None:
    if came != columns:
        raise InputError(
            f"{shown(path)}, line {line}: expected {expected} got {came} fields; is it another "
            "of the files?"
        )


def _require_once(path: Path, names: Sequence[str]) -> None:
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    for line, name in enumerate(names, 1):
        if name in seen:
            raise InputError(
                f"{shown(path)}, line {line}: expected every face once, got {listed([name])} "
                "again; remove one of the lines"
            )
        seen.add(name)


def _points(
    path: Path, names: Sequence[str], watch: Watch
) -> tuple[npt.NDArray[np.float32] | None, Floats | None]:
    if not path.exists():
        return None, None
    expected = "faces, each N.jpg, ten coordinates and a score in a line,"
    require_file(path, expected)
    points, scores = [], []
    done = 0
    with refusing(path, expected, "write it again"):
        for block in watched(path, word_blocks(path), watch):
            _require_width(path, block.line, len(block.columns), 12, expected)
            named = list(block.columns[0])
            if named != names[done : done + len(named)]:
                _refuse_order(path, named, names[done:], block.line)
            done += len(named)
            table = [
                numbers(path, "a coordinate or score", texts, block.line)
                for texts in block.columns[1:]
            ]
            for column in table:
                if np.isnan(column).any():
                    raise InputError(
                        f"{shown(path)}, line {block.line + int(np.isnan(column).argmax())}: "
                        "expected ten coordinates and a score, got nan; correct this line"
                    )
            points.append(np.stack(table[:-1], axis=1).astype(np.float32))
            scores.append(table[-1])
    if done < len(names):
        raise InputError(
            f"{shown(path)}: expected a line for each of {len(names)} faces, got {done}; the file "
            "is cut short, or of another set"
        )
    return np.concatenate(points).reshape(-1, 5, 2), np.concatenate(scores)


def _refuse_order(path: Path, came: Sequence[str], expected: Sequence[str], line: int) -> None:
    at = next(
        (i for i, (one, two) in enumerate(zip(came, expected, strict=False)) if one != two),
        len(expected),
    )
    right = repr(expected[at]) if at < len(expected) else "no more faces"
    raise InputError(
        f"{shown(path)}, line {line + at}: expected the faces of the other file in its order, "
        f"here {right}, got {listed([came[at]])}; use the two files of one set"
    )
