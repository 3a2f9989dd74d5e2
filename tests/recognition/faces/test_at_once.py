"""Several threads, many photographs, many faces, and folders that change meanwhile."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from face_fakes import FakeDetector, FakeEmbedder, save_photo
from networks import crops, random_embedder
from PIL import Image

from recognition import embed_folder
from recognition.datasets.drawn import draw_faces
from recognition.faces import facenet_mtcnn
from recognition.faces.mtcnn import Mtcnn

DETECTOR = Mtcnn()


def crowd(rows: int, columns: int, side: int = 40) -> np.ndarray:
    """A photograph of so many drawn people."""
    people = draw_faces(10, 1, size=128).images
    photo = np.full((rows * side + 32, columns * side + 32, 3), 128, np.uint8)
    for k in range(rows * columns):
        top, left = (16 + side * place for place in divmod(k, columns))
        face = Image.fromarray(people[k % len(people)]).resize((side - 8, side - 8))
        photo[top : top + side - 8, left : left + side - 8] = np.asarray(face)
    return photo


def run(photos: Path, out: Path, **options):
    return embed_folder(photos, out, **{"model": FakeEmbedder(), **options})


def in_threads(work, count: int = 24) -> list:
    with ThreadPoolExecutor(6) as pool:
        return list(pool.map(work, range(count)))


def test_threads_share_a_detector():
    photos = [crowd(1, columns, 60) for columns in (1, 2, 3)]
    alone = [DETECTOR.detect([photo])[0] for photo in photos]
    assert [len(faces) for faces in alone] == [1, 2, 3]
    for k, found in enumerate(in_threads(lambda k: DETECTOR.detect([photos[k % 3]])[0])):
        for one, other in zip(found, alone[k % 3], strict=True):
            np.testing.assert_array_equal(one.box, other.box)
            np.testing.assert_array_equal(one.landmarks, other.landmarks)


def test_threads_share_an_embedder_that_somebody_else_trains():
    embedder, pixels = random_embedder(), crops(24)
    alone = embedder.embed(pixels)
    rows = in_threads(lambda k: embedder.embed(pixels[k : k + 1])[0])
    np.testing.assert_allclose(rows, alone, atol=1e-6)


@pytest.mark.slow
def test_two_hundred_faces_on_one_photograph_are_those_of_facenet_pytorch(tmp_path):
    photo = crowd(14, 15)
    theirs = facenet_mtcnn.mtcnn_module().MTCNN(keep_all=True, min_face_size=24)
    boxes, scores = theirs.detect(Image.fromarray(photo))
    detector = Mtcnn(min_face_size=24)
    (faces,) = detector.detect([photo])
    assert len(faces) > 150
    ours = np.array([[*face.box, face.score] for face in faces])
    theirs = np.column_stack([boxes, scores]).astype(float)
    assert len(ours) == len(theirs)
    apart = np.abs(ours[:, None] - theirs)  # equally large ones may come in another order
    nearest = apart[..., :4].max(2).argmin(1)
    assert len(set(nearest.tolist())) == len(ours)
    apart = np.abs(ours - theirs[nearest])
    # a corner that rounding moves over a whole pixel gives the next network another crop
    assert np.mean(apart.max(1) < 0.01) > 0.98
    assert apart.max() < 1
    Image.fromarray(photo).save(tmp_path / "crowd.png")
    done = run(tmp_path / "crowd.png", tmp_path / "faces.npz", detector=detector)
    assert done.count == sum(face.score >= 0.95 for face in faces) > 100
    assert done.faces.ids.tolist() == [
        f"crowd.png#{place}" for place, face in enumerate(faces) if face.score >= 0.95
    ]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_many_photographs_take_no_more_files_or_threads(tmp_path):
    """3,000 tiny ones were measured: 47 to 53 MB, seven files open, from the first to the last."""
    for number in range(300):
        save_photo(tmp_path / f"photos/{number % 9}/{number}.png", 0.99, shade=number % 250)
    used: list[tuple[int, int]] = []

    @contextmanager
    def watch(what, total):
        yield lambda done, note="": used.append(
            (len([*Path("/proc/self/fd").iterdir()]), threading.active_count())
        )

    before = threading.active_count()
    done = run(tmp_path / "photos", tmp_path / "faces.npz", detector=FakeDetector(), watch=watch)
    assert done.count == 300
    assert max(files for files, _ in used) - min(files for files, _ in used) <= 4
    assert max(alive for _, alive in used) <= before + len(os.sched_getaffinity(0)) + 1
    assert threading.active_count() == before


def test_the_file_may_lie_among_the_photographs(tmp_path):
    save_photo(tmp_path / "ann/1.png", 0.99)
    out = tmp_path / "faces.npz"
    first = run(tmp_path, out, detector=FakeDetector())
    before = out.read_bytes()
    detector = FakeDetector()
    again = run(tmp_path, out, detector=detector)
    assert (first.fresh, again.fresh, again.reused, detector.seen) == (1, 0, 1, 0)
    assert out.read_bytes() == before
    assert again.skipped == ()


class Meanwhile(FakeDetector):
    """Something happens to the folder when the first photograph is looked at."""

    def __init__(self, happens) -> None:
        super().__init__()
        self._happens, self._once = happens, threading.Lock()

    def detect(self, photos):
        if self._once.acquire(blocking=False):
            self._happens()
        return super().detect(photos)


@pytest.fixture
def many(tmp_path):
    for number in range(60):
        save_photo(tmp_path / f"photos/ann/{number}.png", 0.99, shade=number)
    return tmp_path / "photos"


def test_what_comes_meanwhile_is_for_the_next_run(many, tmp_path):
    out = tmp_path / "faces.npz"
    detector = Meanwhile(lambda: save_photo(many / "ann/new.png", 0.99, shade=99))
    assert run(many, out, detector=detector).count == 60
    again = run(many, out, detector=FakeDetector())
    assert (again.fresh, again.reused, again.count) == (1, 60, 61)


def test_what_changes_meanwhile_is_told_as_it_is_when_it_is_read(many, tmp_path):
    out = tmp_path / "faces.npz"

    def change():
        save_photo(many / "ann/59.png", 0.99, 0.98, shade=200)

    first = run(many, out, detector=Meanwhile(change))
    assert first.count == 61
    assert run(many, out, detector=FakeDetector()).fresh == 0


def test_a_folder_that_disappears_meanwhile_costs_its_own_photographs(many, tmp_path):
    save_photo(tmp_path / "photos/aaa/1.png", 0.99, shade=240)
    done = run(
        many, tmp_path / "faces.npz", detector=Meanwhile(lambda: shutil.rmtree(many / "ann"))
    )
    assert "aaa/1.png#0" in done.faces.ids.tolist()
    assert len(done.faces.photographs) + len(done.skipped) == 61
    assert {skip.reason for skip in done.skipped} == {"No such file or directory; check the path"}
