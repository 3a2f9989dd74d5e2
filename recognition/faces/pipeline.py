"""Photographs in, faces and their embeddings out, one photograph after the other."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.threads import threads, workers
from recognition.errors import InputError
from recognition.faces.alignment import crop_face
from recognition.faces.embedder import Embedder
from recognition.faces.face import Detector, Face, Floats, Pixels
from recognition.faces.photos import Photo, PhotoFile, load_photo
from recognition.faces.score_text import written_score

CERTAIN = 0.95  # below it MTCNN also takes what is no face for one
BATCH = 16  # crops that are embedded at once; more is hardly faster
ROOM = 2**26  # pixels on which faces are looked for at the same time, at some twenty bytes each


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
        failures: why a face that is certain has no embedding, by its place in `faces`.
    """

    file: PhotoFile
    digest: str
    faces: tuple[Face, ...]
    embedded: npt.NDArray[np.int64]
    embeddings: Floats
    problem: str = ""
    failures: Mapping[int, str] = field(default_factory=dict)


def embed_photos(
    files: Iterable[PhotoFile],
    detector: Detector,
    embedder: Embedder | None,
    *,
    min_score: float = CERTAIN,
    load: Callable[[PhotoFile], Photo] = load_photo,
    batch: int = BATCH,
) -> Generator[Outcome, None, None]:
    """What becomes of each photograph, in the order of the files, as soon as it is known.

    Arguments, errors and threads are those of `embed_groups`. Close the iterator to stop early
    (`contextlib.closing`); no thread works on after that.
    """
    return _one_by_one(
        embed_groups(files, detector, embedder, min_score=min_score, load=load, batch=batch)
    )


def embed_groups(
    files: Iterable[PhotoFile],
    detector: Detector,
    embedder: Embedder | None,
    *,
    min_score: float = CERTAIN,
    load: Callable[[PhotoFile], Photo] = load_photo,
    batch: int = BATCH,
) -> Generator[list[Outcome], None, None]:
    """What becomes of photographs, in the order of the files, those together that are known at once.

    Several photographs are worked on at a time, one a thread (`OMP_NUM_THREADS`, or one a core);
    crops are embedded in batches across photographs. What lies in memory does not grow with the
    number of files. Detector and embedder are called from several threads at once. Close the
    iterator to stop early (`contextlib.closing`); no thread works on after that.

    Args:
        files: the photographs; more of them are taken as outcomes are.
        detector: finds the faces.
        embedder: embeds them; None only detects.
        min_score: the score that a face must have to be embedded.
        load: decodes a file, and raises InputError where it cannot.
        batch: how many crops are embedded at once.

    Raises:
        InputError: an option makes no sense, or the embedder returns something else than
            embeddings. A bad file, and one that detector or embedder refuse, is an
            `Outcome.problem`, and a bad face one of `Outcome.failures`.
    """
    if not 0 <= min_score <= 1:
        raise InputError(f"min_score: expected a probability, got {min_score!r}; 0.95 is usual")
    if batch < 1:
        raise InputError(f"batch: expected at least one crop, got {batch!r}; 16 is usual")
    look = _Look(detector, embedder, min_score, load)
    return _groups(files, look, embedder, batch)


def _one_by_one(
    groups: Generator[list[Outcome], None, None],
) -> Generator[Outcome, None, None]:
    with closing(groups):
        for group in groups:
            yield from group


class _Seen(NamedTuple):
    """A photograph whose faces were found and cut out."""

    file: PhotoFile
    digest: str = ""
    faces: tuple[Face, ...] = ()
    places: tuple[int, ...] = ()  # in `faces`, of the crops
    crops: tuple[Pixels, ...] = ()
    failures: Mapping[int, str] = {}
    problem: str = ""


def _groups(
    files: Iterable[PhotoFile], look: "_Look", embedder: Embedder | None, batch: int
) -> Generator[list[Outcome], None, None]:
    held: deque[_Seen] = deque()
    with workers() as pool, _cancelling(pool):
        rows = _Rows(pool, embedder, batch)
        dimension = embedder.contract.dimension if embedder else 0
        for seen in _in_order(pool, look, files):
            rows.add(seen.crops)
            held.append(seen._replace(crops=()))
            if len(held) > 4 * batch:  # photographs without faces do not wait for ever
                rows.flush()
            if known := _known(held, rows, dimension):
                yield known
        rows.flush()
        while held:
            rows.wait(len(held[0].places))
            yield _known(held, rows, dimension)


def _known(held: deque[_Seen], rows: "_Rows", dimension: int) -> list[Outcome]:
    """Takes out, from the first on, those for which nothing has to be waited for."""
    known = []
    while held and rows.ready(len(held[0].places)):
        seen = held.popleft()
        known.append(_finished(seen, rows.take(len(seen.places)), dimension))
    return known


@contextmanager
def _cancelling(pool: Executor) -> Iterator[None]:
    """Work that has not begun is dropped when one leaves."""
    try:
        yield
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _in_order(pool: Executor, look: "_Look", files: Iterable[PhotoFile]) -> Iterator[_Seen]:
    """Each photograph seen, while the next ones are looked at already."""
    begun: deque[Future[_Seen]] = deque()
    for file in files:
        begun.append(pool.submit(look, file))
        if len(begun) > 2 * threads():
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


class _Look:
    """Decode a photograph, find its faces, and cut out the certain ones."""

    def __init__(
        self,
        detector: Detector,
        embedder: Embedder | None,
        min_score: float,
        load: Callable[[PhotoFile], Photo],
    ) -> None:
        self._detector, self._min_score, self._load = detector, min_score, load
        self._preprocessing = embedder.contract.preprocessing if embedder else None
        self._room = _Room(ROOM)

    def __call__(self, file: PhotoFile) -> _Seen:
        seen = _Seen(file)
        try:
            photo = self._load(file)
            with self._room.taken(photo.pixels.shape[0] * photo.pixels.shape[1]):
                seen = seen._replace(digest=photo.digest)
                (faces,) = self._detector.detect([photo.pixels])
                _require_numbers(faces, self._detector.name)
                return self._cut(seen._replace(faces=tuple(faces)), photo.pixels)
        except InputError as error:
            return seen._replace(problem=_why(error))
        except (MemoryError, RuntimeError) as error:
            _require_scarce(error)
            # without a digest nobody remembers it: there may be more memory the next time
            return _Seen(file, problem="more pixels than fit in memory; make it smaller")

    def _cut(self, seen: _Seen, pixels: Pixels) -> _Seen:
        certain = [k for k, face in enumerate(seen.faces) if face.score >= self._min_score]
        if not certain:
            return seen._replace(problem=_nothing_certain(seen.faces))
        if self._preprocessing is None:
            return seen
        crops: dict[int, Pixels] = {}
        failures: dict[int, str] = {}
        for place in certain:
            try:
                crops[place] = crop_face(pixels, seen.faces[place], self._preprocessing)
            except InputError as error:
                failures[place] = _why(error)
        return seen._replace(places=tuple(crops), crops=tuple(crops.values()), failures=failures)


def _require_numbers(faces: Sequence[Face], detector: str) -> None:
    for face in faces:
        shapes = np.shape(face.box), np.shape(face.landmarks)
        finite = all(np.isfinite(each).all() for each in (face.box, face.landmarks))
        if shapes != ((4,), (5, 2)) or not finite or not 0 <= face.score <= 1:
            raise InputError(
                "expected finite boxes (4,) and landmarks (5, 2), and probabilities, got "
                f"something else of {detector}; mend it, or take another detector"
            )


class _Room:
    """So much may be in use at a time; who wants more than there is at all waits until it is alone."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        wanted = min(wanted, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= wanted)
            self._left -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._left += wanted
                self._changed.notify_all()


_Row = Floats | str  # an embedding (D,), or why there is none


class _Rows:
    """What became of crops in the order in which they came, embedded in batches meanwhile."""

    def __init__(self, pool: Executor, embedder: Embedder | None, batch: int) -> None:
        self._pool, self._embedder, self._batch = pool, embedder, batch
        self._crops: list[Pixels] = []
        self._begun: deque[Future[list[_Row]]] = deque()
        self._rows: deque[_Row] = deque()

    def add(self, crops: Iterable[Pixels]) -> None:
        self._crops.extend(crops)
        while len(self._crops) >= self._batch:
            self._submit(self._batch)

    def flush(self) -> None:
        """Begin with what does not fill a batch."""
        if self._crops:
            self._submit(len(self._crops))

    def ready(self, count: int) -> bool:
        """Whether `take` has not to wait."""
        while self._begun and self._begun[0].done():
            self._rows.extend(self._begun.popleft().result())
        return len(self._rows) >= count

    def wait(self, count: int) -> None:
        """Until so many are ready."""
        while len(self._rows) < count:
            self._rows.extend(self._begun.popleft().result())

    def take(self, count: int) -> list[_Row]:
        """What became of the next crops, which are ready."""
        return [self._rows.popleft() for _ in range(count)]

    def _submit(self, count: int) -> None:
        crops, self._crops = np.stack(self._crops[:count]), self._crops[count:]
        if self._embedder is not None:
            self._begun.append(self._pool.submit(_embedded, self._embedder, crops))


def _embedded(embedder: Embedder, crops: Pixels) -> list[_Row]:
    """The rows of crops; where one is refused, or memory is short, each crop is embedded alone."""
    try:
        rows = np.asarray(embedder.embed(crops), np.float32)
    except InputError as error:
        if len(crops) == 1:
            return [_why(error)]
    except (MemoryError, RuntimeError) as error:
        _require_scarce(error)
        if len(crops) == 1:
            raise
    else:
        return _checked(rows, (len(crops), embedder.contract.dimension), embedder.contract.model)
    return [row for crop in crops for row in _embedded(embedder, crop[None])]


def _checked(rows: Floats, expected: tuple[int, int], model: str) -> list[_Row]:
    """Rows without those that cannot be compared with anything."""
    if rows.shape != expected:
        raise InputError(
            f"expected embeddings {expected} as the contract of {model} says, "
            f"got {rows.shape}; correct the contract"
        )
    return [_direction(row) for row in rows]


def _direction(row: Floats) -> _Row:
    if not np.isfinite(row).all():
        return "its embedding is not finite"
    return row if row.any() else "its embedding is all zeros"


def _finished(seen: _Seen, rows: list[_Row], dimension: int) -> Outcome:
    found = dict(zip(seen.places, rows, strict=True))
    embedded = {place: row for place, row in found.items() if not isinstance(row, str)}
    failures = {
        **seen.failures,
        **{place: row for place, row in found.items() if isinstance(row, str)},
    }
    problem = seen.problem
    if failures and not embedded:
        problem = next(iter(failures.values()))
    return Outcome(
        seen.file,
        seen.digest,
        seen.faces,
        np.array([*embedded], np.int64),
        np.array([*embedded.values()], np.float32).reshape(len(embedded), dimension),
        problem,
        failures,
    )


def _why(error: InputError) -> str:
    """Why not, in few words where it has them."""
    return str(getattr(error, "reason", error))


def _require_scarce(error: Exception) -> None:
    """Raise the error again, unless it says that memory is short; torch says so in words."""
    words = ("allocate memory", "enough memory", "out of memory")
    if not isinstance(error, MemoryError) and not any(each in str(error) for each in words):
        raise error


def _nothing_certain(faces: tuple[Face, ...]) -> str:
    if not faces:
        return "no face"
    best = written_score(max(face.score for face in faces))
    return f"only doubtful detections, the best {best}"
