"""Photographs go through in order, in batches, and one bad file stops nothing."""

import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recognition.comparisons.threads import threads
from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.faces import pipeline
from recognition.faces.face import Face
from recognition.faces.models.network import TorchEmbedder
from recognition.faces.photos import Photo, PhotoFile, UnusableError
from recognition.faces.pipeline import CERTAIN, embed_photos

BOX = Preprocessing(alignment="whole", height=8, width=8)


def face(value, score):
    box = np.array([value, 0, value + 8, 8], np.float32)
    return Face(box, np.zeros((5, 2), np.float32), score)


class Detector:
    """One face for each score written on the photograph's first pixels, in percent."""

    name = "fake"

    def detect(self, photos):
        return [
            [face(8 * k, float(p) / 100) for k, p in enumerate(photo[0, :, 0]) if p]
            for photo in photos
        ]


class Embedder:
    """A crop's mean, and what was embedded together."""

    contract = Contract("fake", "0" * 64, 3, BOX)

    def __init__(self, rows=lambda crops: crops.reshape(len(crops), -1, 3).mean(1)):
        self.rows, self.sizes, self.threads = rows, [], set()

    def embed(self, crops):
        assert crops.dtype == np.uint8
        assert crops.shape[1:] == (8, 8, 3)
        self.sizes.append(len(crops))
        self.threads.add(torch.get_num_threads())
        return self.rows(crops)


def files(count):
    return [PhotoFile(f"{k}.png", Path(f"{k}.png")) for k in range(count)]


def loader(scores, loaded=None):
    """Photograph k has faces of scores[k]; an exception is raised instead."""

    def load(file):
        k = int(file.path.stem)
        if loaded is not None:
            loaded.append(k)
        if isinstance(scores[k], BaseException):
            raise scores[k]
        pixels = np.full((8, 8 * max(8, len(scores[k])), 3), 1 + k % 200, np.uint8)
        pixels[0, :, 0] = 0
        pixels[0, : len(scores[k]), 0] = scores[k]
        return Photo(pixels, f"digest {k}", 1)

    return load


def run(scores, embedder, **options):
    return list(
        embed_photos(files(len(scores)), Detector(), embedder, load=loader(scores), **options)
    )


@given(
    st.lists(st.lists(st.sampled_from([70, 94, 95, 99]), max_size=7), max_size=40),
    st.integers(1, 20),
)
def test_every_certain_face_is_embedded_and_outcomes_come_in_order(scores, batch):
    embedder = Embedder()
    found = run(scores, embedder, batch=batch)
    assert [outcome.file for outcome in found] == files(len(scores))
    for k, (outcome, told) in enumerate(zip(found, scores, strict=True)):
        certain = [place for place, score in enumerate(told) if score >= 95]
        assert outcome.digest == f"digest {k}"
        assert [round(100 * each.score) for each in outcome.faces] == told
        assert outcome.embedded.tolist() == certain
        assert outcome.embedded.dtype == np.int64
        assert outcome.embeddings.shape == (len(certain), 3)
        assert outcome.embeddings.dtype == np.float32
        np.testing.assert_allclose(outcome.embeddings[:, 1:], 1 + k % 200)
        assert bool(outcome.problem) == (not certain)
        assert not outcome.failures
    assert sum(embedder.sizes) == sum(score >= 95 for told in scores for score in told)
    assert all(size <= batch for size in embedder.sizes)


def test_batches_are_full_but_for_the_last():
    embedder = Embedder()
    run([[99], [], [99, 99], [99] * 7], embedder, batch=4)
    assert sorted(embedder.sizes) == [2, 4, 4]


def test_without_an_embedder_faces_are_only_detected():
    first, second = run([[99, 80], [80]], None)
    assert (len(first.faces), first.problem, first.embeddings.shape) == (2, "", (0, 0))
    assert (len(second.faces), second.problem) == (1, "only doubtful detections, the best 0.80")


def test_what_is_wrong_with_a_photograph_is_said_and_the_others_go_on():
    bad = [
        UnusableError(Path("1.png"), "a text file", "name a photograph"),
        InputError("expected one thing, got another"),
        MemoryError(),
    ]
    found = run([[99], *bad, [], [50, 94], [99]], Embedder())
    assert [outcome.problem for outcome in found] == [
        "",
        "a text file; name a photograph",
        "expected one thing, got another",
        "more pixels than fit in memory; make it smaller",
        "no face",
        "only doubtful detections, the best 0.94",
        "",
    ]
    assert [outcome.digest for outcome in found][1:4] == ["", "", ""]


def test_a_score_just_below_is_not_rounded_up():
    class Nearly(Detector):
        def detect(self, photos):
            return [[face(0, 0.9499999)]]

    (found,) = embed_photos(files(1), Nearly(), Embedder(), load=loader([[1]]))
    assert found.problem == "only doubtful detections, the best 0.94"


def test_doubtful_faces_are_embedded_where_they_are_asked_for():
    (found,) = run([[99, 80]], Embedder(), min_score=0.5)
    assert found.embedded.tolist() == [0, 1]


def test_embeddings_that_are_no_direction_are_left_out_and_told():
    def rows(crops):
        found = np.ones((len(crops), 3), np.float32)
        found[0], found[2, 1] = 0, np.nan
        return found

    (found,) = run([[99, 99, 99, 99]], Embedder(rows))
    assert found.embedded.tolist() == [1, 3]
    assert dict(found.failures) == {
        0: "its embedding is all zeros",
        2: "its embedding is not finite",
    }
    assert found.problem == ""
    (none,) = run([[99]], Embedder(lambda crops: np.full((len(crops), 3), np.inf)))
    assert none.problem == "its embedding is not finite"
    assert none.embeddings.shape == (0, 3)


def test_a_face_that_cannot_be_cut_out_is_told_and_the_others_are_embedded():
    class Off(Detector):
        def detect(self, photos):
            return [[face(-500, 0.99), face(0, 0.99)]]

    (found,) = embed_photos(files(1), Off(), Embedder(), load=loader([[1]]))
    assert found.embedded.tolist() == [1]
    assert "on the photograph" in found.failures[0]


class Refusing(Embedder):
    """A crop of which the first value is odd cannot be embedded, and its whole batch is refused."""

    def __init__(self, error=InputError):
        super().__init__()
        self.error = error

    def embed(self, crops):
        if (crops[:, 0, 0, 0] % 2).any():
            raise self.error("fake: expected a face, got none")
        return super().embed(crops)


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 20))
def test_one_face_that_its_embedder_refuses_does_not_cost_the_others(odd, batch):
    def load(file):
        k = int(file.path.stem)
        pixels = np.full((8, 64, 3), 2 * k + 2 + odd[k], np.uint8)
        return Photo(pixels, f"digest {k}", 1)

    class One(Detector):
        def detect(self, photos):
            return [[face(8, 0.99)] for _ in photos]

    embedder = Refusing()
    found = list(embed_photos(files(len(odd)), One(), embedder, load=load, batch=batch))
    assert [outcome.file for outcome in found] == files(len(odd))
    for k, (outcome, refused) in enumerate(zip(found, odd, strict=True)):
        assert outcome.digest == f"digest {k}"
        assert outcome.embedded.tolist() == ([] if refused else [0])
        assert outcome.embeddings.shape == (not refused, 3)
        assert (outcome.embeddings == 2 * k + 2).all()
        reason = "fake: expected a face, got none"
        assert dict(outcome.failures) == ({0: reason} if refused else {})
        assert outcome.problem == (reason if refused else "")


def test_the_network_that_finds_one_embedding_not_finite_embeds_the_others():
    class Breaks(torch.nn.Module):
        def forward(self, x):
            rows = x.flatten(1)[:, :3]
            return torch.where((x[:, 0, -1, -1] < 0)[:, None], torch.nan, rows)

    told = Contract("breaks", "0" * 64, 3, replace(BOX, mean=(3.5, 3.5, 3.5)))
    embedder = TorchEmbedder.of(Breaks(), told)
    found = [*run([[99]] * 12, embedder, batch=4)]  # photographs of 1 to 12
    assert [outcome.embedded.tolist() for outcome in found] == [[]] * 3 + [[0]] * 9
    for outcome in found[:3]:
        assert outcome.digest
        assert outcome.problem.startswith("its embedding is not finite; ")
        assert dict(outcome.failures) == {0: outcome.problem}


SCARCE = {
    "numpy": MemoryError(),
    "torch": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
}


@pytest.mark.parametrize("kind", SCARCE)
def test_too_little_memory_costs_one_photograph_or_the_batch(kind):
    class Large(Detector):
        def detect(self, photos):
            if photos[0][1, 0, 0] == 2:
                raise SCARCE[kind]
            return super().detect(photos)

    class Few(Embedder):
        def embed(self, crops):
            if len(crops) > 1:
                raise SCARCE[kind]
            return super().embed(crops)

    found = list(embed_photos(files(4), Large(), Few(), load=loader([[99]] * 4)))
    assert [outcome.embedded.tolist() for outcome in found] == [[0], [], [0], [0]]
    assert found[1].problem == "more pixels than fit in memory; make it smaller"
    assert found[1].digest == "", "the next run tries it again"


ODD = {
    "box": replace(face(0, 0.99), box=np.array([0, 0, np.nan, 8], np.float32)),
    "corners": replace(face(0, 0.99), box=np.zeros(3, np.float32)),
    "landmarks": replace(face(0, 0.99), landmarks=np.full((5, 2), np.inf, np.float32)),
    "points": replace(face(0, 0.99), landmarks=np.zeros((6, 2), np.float32)),
    "score": face(0, float("nan")),
    "no probability": face(0, 1.5),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("embedder", [Embedder(), None])
def test_a_detector_that_gives_no_numbers_costs_that_photograph(kind, embedder):
    class Odd(Detector):
        def detect(self, photos):
            return [[ODD[kind]]] if photos[0][1, 0, 0] == 2 else super().detect(photos)

    found = list(embed_photos(files(3), Odd(), embedder, load=loader([[99]] * 3)))
    assert [outcome.problem == "" for outcome in found] == [True, False, True]
    assert found[1].problem.startswith("expected finite boxes")
    assert (found[1].digest, found[1].faces) == ("digest 1", ())


@pytest.mark.parametrize("broken", ["detector", "embedder"])
def test_an_error_of_the_program_is_no_photographs_problem(broken):
    def fails(*arguments):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    detector, embedder = Detector(), Embedder()
    if broken == "detector":
        detector.detect = fails
    else:
        embedder.embed = fails
    with pytest.raises(RuntimeError, match="mat1"):
        list(embed_photos(files(3), detector, embedder, load=loader([[99]] * 3)))


def test_what_a_detector_refuses_is_that_photographs_problem():
    class Picky(Detector):
        def detect(self, photos):
            if photos[0][1, 0, 0] == 2:
                raise InputError("expected a sharper photograph")
            return super().detect(photos)

    found = list(embed_photos(files(3), Picky(), Embedder(), load=loader([[99]] * 3)))
    assert [outcome.problem for outcome in found] == ["", "expected a sharper photograph", ""]
    assert [outcome.digest for outcome in found] == ["digest 0", "digest 1", "digest 2"]
    assert found[1].faces == ()


def test_an_embedder_that_returns_another_shape_is_an_error():
    with pytest.raises(InputError, match=r"expected embeddings \(1, 3\) .*got \(1, 2\)"):
        run([[99]], Embedder(lambda crops: np.zeros((len(crops), 2))))


@pytest.mark.parametrize("options", [{"min_score": 1.5}, {"min_score": np.nan}, {"batch": 0}])
def test_options_without_sense_are_refused_before_the_first_photograph(options):
    with pytest.raises(InputError, match=f"{next(iter(options))}: expected"):
        embed_photos(files(1), Detector(), None, **options)


def test_files_are_taken_as_outcomes_are():
    loaded = []
    endless = (PhotoFile(f"{k}.png", Path(f"{k}.png")) for k in iter(int, 1))
    scores = {0: []}
    with closing(
        embed_photos(endless, Detector(), Embedder(), load=loader(scores, loaded))
    ) as found:
        for _ in range(10):
            next(found)
    assert len(loaded) <= 10 + 2 * threads() + 1


def test_a_face_does_not_wait_for_ever_for_others():
    scores = [[99], *[[]] * 500]
    began = []
    found = embed_photos(files(501), Detector(), Embedder(), load=loader(scores, began), batch=4)
    assert next(found).embedded.tolist() == [0]
    assert len(began) < 100
    found.close()


@pytest.mark.parametrize("stop", ["close", "break", "error"])
def test_an_early_stop_leaves_no_threads_and_torch_as_it_was(stop):
    before, allowed = threading.active_count(), torch.get_num_threads()

    def slow(file):
        time.sleep(0.02)
        return loader([[99]] * 50)(file)

    def fails(crops):
        raise KeyboardInterrupt

    embedder = Embedder(fails) if stop == "error" else Embedder()
    found = embed_photos(files(50), Detector(), embedder, load=slow, batch=2)
    if stop == "error":
        with pytest.raises(KeyboardInterrupt):
            next(found)
    else:
        next(found)
        assert threading.active_count() > before
        if stop == "close":
            found.close()
        else:
            del found
    assert threading.active_count() == before
    assert torch.get_num_threads() == allowed


def test_what_has_not_begun_is_dropped_at_a_stop(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    loaded = []

    def slow(file):
        time.sleep(0.1 * (file.id != "0.png"))
        return loader([[99]] * 9, loaded)(file)

    with closing(embed_photos(files(9), Detector(), None, load=slow)) as found:
        next(found)
    assert loaded in ([0], [0, 1])


def test_each_thread_keeps_to_itself_meanwhile():
    embedder = Embedder()
    run([[99]] * 3, embedder)
    assert embedder.threads == {1}


@pytest.mark.parametrize("larger_than_all_room", [0, 1])
def test_large_photographs_are_looked_at_one_at_a_time(monkeypatch, larger_than_all_room):
    monkeypatch.setattr(pipeline, "ROOM", 8 * 64 - larger_than_all_room)
    at_once, most = [0], [0]
    lock = threading.Lock()

    class Counting(Detector):
        def detect(self, photos):
            with lock:
                at_once[0] += 1
                most[0] = max(most[0], at_once[0])
            time.sleep(0.005)
            with lock:
                at_once[0] -= 1
            return super().detect(photos)

    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    scores = [[99]] * 12
    assert len(list(embed_photos(files(12), Counting(), None, load=loader(scores)))) == 12
    assert most == [1]
    monkeypatch.setattr(pipeline, "ROOM", 8 * 64 * 4)
    list(embed_photos(files(12), Counting(), None, load=loader(scores)))
    assert most[0] > 1


def test_certain_is_above_what_mtcnn_takes_for_a_face_by_mistake():
    assert 0.82 < CERTAIN < 0.99
