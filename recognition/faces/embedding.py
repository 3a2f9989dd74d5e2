"""From folders of photographs to a file of embedded faces, by what changed since the last time."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from recognition.datasets.folder import natural, persons_of
from recognition.datasets.pictures import Skipped
from recognition.errors import InputError
from recognition.faces.embedder import Embedder
from recognition.faces.face import Detector
from recognition.faces.face_file import FaceFile, Settings, face_file
from recognition.faces.face_file_reader import read_faces
from recognition.faces.finished_photos import Parts, refuse_others
from recognition.faces.output_file import alone, require_place
from recognition.faces.photos import PhotoFile, UnusableError, digest_of, find_photos
from recognition.faces.pipeline import CERTAIN, Outcome, embed_photos
from recognition.faces.skipped_files import nothing_usable, skips_beside, write_skips
from recognition.progress import Watch, unwatched

FACES = "photographs with faces"
NAMELESS = "in a folder whose name is blank; give it the person's name"
NOBODYS = "in nobody's folder; give each person a folder of their own"


@dataclass(frozen=True, eq=False)
class Embedded:
    """What a run of `embed_folder` did.

    Attributes:
        path: the file that was written.
        faces: what is in it.
        fresh: how many photographs were embedded now.
        reused: how many were in the file already, unchanged.
        removed: ids of photographs that were in the file and are there no more.
        passed_over: how many files are hidden, or not named as pictures are.
    """

    path: Path
    faces: FaceFile
    fresh: int
    reused: int
    removed: tuple[str, ...]
    passed_over: int

    @property
    def skips(self) -> Path:
        """The list of files that could not be used."""
        return skips_beside(self.path)

    @property
    def count(self) -> int:
        """How many faces are embedded."""
        return int((self.faces.places >= 0).sum())

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Files that could not be read, and photographs of which nothing could be used."""
        return tuple(_all_skips(self.faces))


def embed_folder(
    paths: Iterable[Path | str] | Path | str,
    out: Path | str,
    *,
    model: Embedder | str | Path | None = None,
    detector: Detector | None = None,
    min_score: float = CERTAIN,
    labelled: bool = False,
    fresh: bool = False,
    device: str = "cpu",
    watch: Watch = unwatched,
) -> Embedded:
    """Embed the faces on all photographs below folders into a file; again, only what changed.

    Where `out` is there already, photographs whose bytes are in it are not embedded again,
    whatever they are called by now; those that are gone disappear from it. A run that was stopped
    goes on: finished photographs are kept in a folder beside `out` until it is written.
    What cannot be used is listed beside it, in `faces.skipped.csv`.

    Args:
        paths: photographs, and folders of them.
        out: a `.npz` file.
        model: an embedder, or what `load_embedder` takes.
        detector: MTCNN by default.
        min_score: faces from this probability on are embedded; 0 takes all that are detected.
        labelled: name the person on each photograph by its folder, as `read_folder` does. Of
            several certain faces the largest is that person, and the others are left out; a
            photograph without one is a row of NaN, which evaluations count as a failure.
        fresh: begin anew, whatever is there.
        device: where the model that is loaded runs.
        watch: shown how far it is.

    Raises:
        InputError: no photograph with a face; a file that cannot be written, is of another model
            or detector, or is being written by another process.
    """
    if not 0 <= min_score <= 1:
        raise InputError(
            f"min_score: expected a probability from 0 to 1, got {min_score}; {CERTAIN} is usual"
        )
    out = Path(out)
    require_place(out)
    chosen = _choose(paths, labelled=labelled)
    embedder = _embedder(model, device)
    detector = _mtcnn(device) if detector is None else detector
    settings = Settings(detector.name, float(min_score), labelled)
    with alone(out), Parts(out, embedder.contract, settings) as parts:
        if fresh:
            parts.remove()
        before = read_faces(out) if out.exists() and not fresh else None
        if before is not None:
            refuse_others(out, (before.contract, before.settings), (embedder.contract, settings))
        known = {**(before.outcomes() if before else {}), **parts.read()}
        outcomes = _unchanged(chosen.files, known, watch)
        reused = len(outcomes)
        rest = [file for file in chosen.files if file.id not in outcomes]
        lost = _embed(rest, detector, embedder, settings, parts, outcomes, watch)
        faces = face_file(
            [outcomes[file.id] for file in chosen.files if file.id in outcomes],
            embedder.contract,
            settings,
            persons=chosen.persons,
            skipped=_sorted([*chosen.skipped, *lost]),
        )
        done = Embedded(
            out, faces, len(outcomes) - reused, reused, _removed(before, faces), chosen.passed_over
        )
        if done.count:
            faces.save(out)
            write_skips(done.skips, done.skipped)
        parts.remove()
    if not done.count:
        raise InputError(nothing_usable(FACES, done.skipped, done.passed_over))
    return done


class _Chosen(NamedTuple):
    """The photographs that are wanted, and the person on each by its id where that was asked."""

    files: tuple[PhotoFile, ...]
    persons: dict[str, str] | None
    skipped: list[Skipped]
    passed_over: int


def _choose(paths: Iterable[Path | str] | Path | str, *, labelled: bool) -> _Chosen:
    found = find_photos(paths)
    files, skipped = found.files, list(found.skipped)
    persons: dict[str, str] | None = None
    if labelled:
        skipped += [Skipped(file.id, NOBODYS) for file in files if "/" not in file.id]
        owned = [file.id for file in files if "/" in file.id]
        named = dict(zip(*persons_of(owned, skipped), strict=True)) if owned else {}
        persons = {name: person for name, person in named.items() if person.strip()}
        skipped += [Skipped(name, NAMELESS) for name in named if name not in persons]
        files = tuple(file for file in files if file.id in persons)
    if not files:
        raise InputError(nothing_usable(FACES, skipped, found.passed_over))
    return _Chosen(files, persons, skipped, found.passed_over)


def _embedder(model: Embedder | str | Path | None, device: str) -> Embedder:
    if model is None or isinstance(model, str | Path):
        from recognition.faces.models.loading import load_embedder

        return load_embedder(model, device=device)
    return model


def _mtcnn(device: str) -> Detector:
    from recognition.faces.mtcnn import Mtcnn

    return Mtcnn(device=device)


def _embed(
    files: Sequence[PhotoFile],
    detector: Detector,
    embedder: Embedder,
    settings: Settings,
    parts: Parts,
    outcomes: dict[str, Outcome],
    watch: Watch,
) -> list[Skipped]:
    """Add the outcome of each photograph, and return those that cannot be read."""
    lost: list[Skipped] = []
    if not files:
        return lost
    found = embed_photos(files, detector, embedder, min_score=settings.min_score)
    with watch("embedding photographs", len(files)) as advance, closing(found):
        for number, outcome in enumerate(found, 1):
            if outcome.digest:
                outcomes[outcome.file.id] = outcome
                parts.keep(outcome)
            else:
                lost.append(Skipped(outcome.file.id, outcome.problem))
            advance(number)
    return lost


def _unchanged(
    files: Sequence[PhotoFile], known: dict[str, Outcome], watch: Watch
) -> dict[str, Outcome]:
    """What is known of photographs with the same bytes, by the ids they have now."""
    outcomes: dict[str, Outcome] = {}
    if not known:
        return outcomes
    with watch("looking for what changed", len(files)) as advance:
        for number, file in enumerate(files, 1):
            try:
                digest = digest_of(file)
            except UnusableError:
                digest = ""  # loading it says why
            if digest in known:
                outcomes[file.id] = replace(known[digest], file=file)
            advance(number)
    return outcomes


def _all_skips(faces: FaceFile) -> list[Skipped]:
    """Files that could not be read, and photographs of which nothing could be used."""
    unused = [Skipped(name, why) for name, _, why in faces.photographs.tolist() if why]
    return _sorted([*faces.skipped, *unused])


def _sorted(skipped: Sequence[Skipped]) -> list[Skipped]:
    return sorted(skipped, key=lambda each: natural(each.path))


def _removed(before: FaceFile | None, faces: FaceFile) -> tuple[str, ...]:
    if before is None:
        return ()
    there = set(faces.photographs[:, :2].ravel().tolist()) | {name for name, _ in faces.skipped}
    gone = [name for name, digest, _ in before.photographs.tolist() if not {name, digest} & there]
    return tuple(sorted(gone, key=natural))
