"""From photographs to a folder of aligned crops, and of pictures that show where they are from."""

import csv
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from recognition.contract import Preprocessing
from recognition.datasets.pictures import Skipped
from recognition.errors import InputError
from recognition.faces.alignment import crop_face
from recognition.faces.drawing import SHEET, Crop, contact_sheet, draw_faces
from recognition.faces.face import Detector, Face
from recognition.faces.file_names import file_stem, safe_cell
from recognition.faces.mtcnn import Mtcnn
from recognition.faces.photos import UnusableError, find_photos, load_photo
from recognition.faces.pipeline import CERTAIN, Outcome, embed_photos
from recognition.faces.score_text import written_score
from recognition.faces.skipped_files import nothing_usable, write_skips
from recognition.progress import Watch, unwatched
from recognition.report.results_folder import check_free, run_folder

RECIPES = {
    "112": Preprocessing(),
    "112x96": Preprocessing(width=96),
    "160": Preprocessing("box", 160, 160, 14),
}
MARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
COLUMNS = (
    *("photo", "face", "score", "certain", "left", "top", "right", "bottom"),
    *(f"{mark}_{axis}" for mark in MARKS for axis in "xy"),
    *("crop", "drawing"),
)


class Found(NamedTuple):
    """A face that was found.

    Attributes:
        photo: the id of the photograph.
        place: among the faces of the photograph, the largest first.
        face: its box, landmarks and score.
        certain: whether its score is high enough.
        crop: the file of its crop, from the folder; empty where it was not cut.
        drawing: the file that shows the whole photograph.
    """

    photo: str
    place: int
    face: Face
    certain: bool
    crop: str
    drawing: str


@dataclass(frozen=True, eq=False)
class Detected:
    """What a run of `detect_faces` found.

    Attributes:
        folder: what was written.
        photographs: how many could be read.
        faces: on all of them, doubtful ones included.
        faceless: photographs without a certain face, and why; they are drawn all the same.
        skipped: files that could not be read, and faces that could not be cut (`a.jpg#0`).
        passed_over: how many files are hidden, or not named as pictures are.
        detector: its name.
        size: the recipe of the crops.
        min_score: a face below it is doubtful.
    """

    folder: Path
    photographs: int
    faces: tuple[Found, ...]
    faceless: tuple[Skipped, ...]
    skipped: tuple[Skipped, ...]
    passed_over: int
    detector: str
    size: str
    min_score: float


def detect_faces(
    paths: Iterable[Path | str] | Path | str,
    out: Path,
    *,
    detector: Detector | None = None,
    size: str = "112",
    min_score: float = CERTAIN,
    doubtful: bool = False,
    watch: Watch = unwatched,
) -> Detected:
    """Find the faces on photographs; write their crops and pictures with boxes and points drawn.

    The folder is there whole or not at all. It holds `crops/`, a PNG a face; `drawings/`, a JPEG a
    photograph; `sheet-1.jpg` and so on, all crops at a glance; `faces.csv`, a row a face; and
    `skipped.csv`, what could not be used and why. A face has the number it has for
    `recognition embed`. Names of files hold a piece of a hash: a name is no path.

    Args:
        paths: photographs, and folders of them.
        out: a folder that is not there yet.
        detector: MTCNN by default.
        size: of the crops: `112` by five points on ArcFace's 112 x 112, `112x96` on SphereFace's and
            CosFace's, `160` facenet's box with its margin of 14.
        min_score: faces below it are doubtful: they are drawn in another colour, and not cropped.
        doubtful: crop them all the same.
        watch: shown how far it is.

    Raises:
        InputError: nothing that can be read, a folder that exists, or an unknown size.
    """
    if size not in RECIPES:
        raise InputError(f"size: expected {', '.join(RECIPES)}, got {size!r}; 112 is usual")
    if not 0 <= min_score <= 1:
        raise InputError(
            f"min_score: expected a probability from 0 to 1, got {min_score}; {CERTAIN} is usual"
        )
    found = find_photos(paths)
    check_free(out)
    detector = Mtcnn() if detector is None else detector
    done = Detected(
        out, 0, (), (), found.skipped, found.passed_over, detector.name, size, min_score
    )
    with run_folder(out) as partial:
        writer = _Writer(partial, RECIPES[size], min_score, doubtful)
        outcomes = embed_photos(found.files, detector, None, min_score=min_score)
        with watch("detecting faces", len(found.files)) as advance, closing(outcomes):
            for number, outcome in enumerate(outcomes, 1):
                done = _with(done, outcome, writer)
                advance(number)
        if not done.photographs:
            raise InputError(nothing_usable("photographs", done.skipped, done.passed_over))
        writer.finish(done)
    return done


def _with(done: Detected, outcome: Outcome, writer: "_Writer") -> Detected:
    """What is known after one more photograph, whose pictures are written."""
    told = Skipped(outcome.file.id, outcome.problem)
    if outcome.digest:
        try:
            faces, uncut = writer.write(outcome)
        except UnusableError as error:
            told = told._replace(reason=error.reason)
        else:
            return replace(
                done,
                photographs=done.photographs + 1,
                faces=done.faces + faces,
                faceless=(*done.faceless, *([told] if told.reason else [])),
                skipped=done.skipped + uncut,
            )
    return replace(done, skipped=(*done.skipped, told))


@dataclass
class _Writer:
    """Writes what there is of one photograph after the other, and holds none of them."""

    folder: Path
    preprocessing: Preprocessing
    min_score: float
    doubtful: bool

    def __post_init__(self) -> None:
        (self.folder / "crops").mkdir()
        (self.folder / "drawings").mkdir()

    def write(self, outcome: Outcome) -> tuple[tuple[Found, ...], tuple[Skipped, ...]]:
        """The drawing and the crops; the faces, and those that could not be cut."""
        name = outcome.file.id
        photo = load_photo(outcome.file)
        if photo.digest != outcome.digest:
            raise UnusableError(outcome.file.path, "a file that changed meanwhile", "run it again")
        stem = file_stem(name)
        drawing = f"drawings/{stem}.jpg"
        picture = draw_faces(photo.pixels, outcome.faces, self.min_score)
        picture.save(self.folder / drawing, quality=90)
        faces, uncut = [], []
        for place, face in enumerate(outcome.faces):
            certain, crop = face.score >= self.min_score, ""
            if certain or self.doubtful:
                try:
                    pixels = crop_face(photo.pixels, face, self.preprocessing)
                except InputError as error:
                    uncut.append(Skipped(f"{name}#{place}", str(error)))
                else:
                    crop = f"crops/{stem}-{place}.png"
                    Image.fromarray(pixels).save(self.folder / crop)
            faces.append(Found(name, place, face, certain, crop, drawing))
        return tuple(faces), tuple(uncut)

    def finish(self, done: Detected) -> None:
        """The sheets of all crops, and both lists."""
        cut = [found for found in done.faces if found.crop]
        for start in range(0, len(cut), SHEET):
            sheet = contact_sheet([self._crop(found) for found in cut[start : start + SHEET]])
            sheet.save(self.folder / f"sheet-{start // SHEET + 1}.jpg", quality=90)
        rows = [_row(found) for found in done.faces]
        with (self.folder / "faces.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
        write_skips(self.folder / "skipped.csv", [*done.skipped, *done.faceless])

    def _crop(self, found: Found) -> Crop:
        with Image.open(self.folder / found.crop) as picture:
            return Crop(f"{found.photo}#{found.place}", np.asarray(picture))


def _row(found: Found) -> list[str]:
    face = found.face
    return [
        safe_cell(found.photo),
        str(found.place),
        written_score(face.score, 6),
        "yes" if found.certain else "no",
        *(f"{value:.2f}" for value in (*face.box, *face.landmarks.ravel())),
        found.crop,
        found.drawing,
    ]
