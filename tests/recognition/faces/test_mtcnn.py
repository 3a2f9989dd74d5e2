"""The detector finds what facenet-pytorch's finds, and takes what that one chokes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recognition.errors import InputError
from recognition.faces import facenet_mtcnn
from recognition.faces.areas import AreaSums
from recognition.faces.mtcnn import Mtcnn
from recognition.faces.photos import load_photo
from recognition.faces.pipeline import CERTAIN

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/detections.json").read_text())["rows"]
DETECTOR = Mtcnn()


def overlap(one, two):
    corner = np.maximum(one[:2], two[:2])
    shared = np.prod(np.maximum(np.minimum(one[2:], two[2:]) - corner, 0))
    return shared / (np.prod(one[2:] - one[:2]) + np.prod(two[2:] - two[:2]) - shared)


def photo(shared_data, name="odd/multiface.jpg"):
    return load_photo(shared_data / "photos" / name).pixels


@pytest.fixture(scope="module")
def group(shared_data):
    return photo(shared_data)


@pytest.mark.parametrize("name", GOLDEN)
def test_faces_are_those_of_facenet_pytorch_with_torchvisions_operator(name, shared_data):
    (faces,) = DETECTOR.detect([photo(shared_data, name)])
    assert len(faces) == len(GOLDEN[name])
    for face, known in zip(faces, GOLDEN[name], strict=True):
        assert overlap(face.box, np.array(known["box"])) > 0.999
        np.testing.assert_allclose(face.box, known["box"], atol=0.02)
        np.testing.assert_allclose(face.landmarks, known["landmarks"], atol=0.02)
        assert face.score == pytest.approx(known["score"], abs=1e-4)


def test_the_faces_of_the_readme(shared_data):
    expected = {
        "inbox/kit_with_rose.jpg": 2,
        "inbox/obama_and_biden.jpg": 3,
        "odd/multiface.jpg": 6,
    }
    found = {name: [face["score"] for face in faces] for name, faces in GOLDEN.items()}
    certain = {name: sum(s >= CERTAIN for s in scores) for name, scores in found.items()}
    assert certain == {name: expected.get(name, 1) for name in GOLDEN}
    doubtful = {n: [round(s, 2) for s in ss if s < CERTAIN] for n, ss in found.items()}
    assert {n: s for n, s in doubtful.items() if s} == {
        "inbox/obama_and_biden.jpg": [0.8],
        "people/obama/obama.jpg": [0.82],
    }


def test_landmarks_are_eyes_nose_and_mouth_from_the_left_of_the_picture(group):
    for face in DETECTOR.detect([group])[0]:
        left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_faces_are_plain_float32_with_the_largest_box_first(group):
    (faces,) = DETECTOR.detect([group])
    for face in faces:
        assert (face.box.dtype, face.box.shape) == (np.float32, (4,))
        assert (face.landmarks.dtype, face.landmarks.shape) == (np.float32, (5, 2))
        assert type(face.score) is float
        assert 0.7 < face.score <= 1
    areas = [np.prod(face.box[2:] - face.box[:2]) for face in faces]
    assert areas == sorted(areas, reverse=True)


def test_photographs_of_any_sizes_go_in_one_call(group):
    tiny, grey = np.zeros((10, 10, 3), np.uint8), np.full((90, 300, 3), 127, np.uint8)
    alone = DETECTOR.detect([group])[0]
    found = DETECTOR.detect([tiny, group, grey, group[:, :600]])
    assert [len(faces) for faces in found] == [0, 6, 0, len(DETECTOR.detect([group[:, :600]])[0])]
    for one, two in zip(found[1], alone, strict=True):
        assert np.array_equal(one.box, two.box)
    assert DETECTOR.detect([]) == []


@pytest.mark.parametrize("shape", [(1, 1), (10, 10), (2000, 10), (10, 2000), (19, 300), (20, 20)])
def test_a_photograph_too_small_or_too_thin_has_no_faces(shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert DETECTOR.detect([noise]) == [[]]


def test_a_proposal_beyond_the_photograph_is_dropped(group):
    table = AreaSums(group)
    (faces,) = DETECTOR.detect([group])
    height, width = group.shape[:2]
    there = [[*face.box, 0.9] for face in faces]
    beyond = [[-40, -40, -10, -10, 0.99], [width + 9, 5, width + 40, 36, 0.99]]
    beyond.append([5, height + 9, 36, height + 40, 0.99])
    found = [
        DETECTOR._second(table, torch.tensor(rows, dtype=torch.float32))
        for rows in (there, [*beyond, *there])
    ]
    assert len(found[0]) > 0
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_every_size_and_turn_as_facenet_pytorch_sees_it(group, turn):
    theirs = facenet_mtcnn.mtcnn_module().MTCNN(keep_all=True)
    random = np.random.default_rng(turn)
    part = np.rot90(group[: random.integers(300, 500), : random.integers(300, 700)], turn)
    found = theirs.detect(Image.fromarray(part), landmarks=True)
    boxes, scores, points = ([] if each is None else each for each in found)
    (faces,) = DETECTOR.detect([part])
    assert len(faces) == len(boxes)
    for face, box, score, five in zip(faces, boxes, scores, points, strict=True):
        np.testing.assert_allclose(face.box, box.astype(np.float32), atol=0.01)
        np.testing.assert_allclose(face.landmarks, five.astype(np.float32), atol=0.01)
        assert face.score == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize(
    ("pixels", "came"),
    [
        (np.zeros((9, 9, 3)), r"float64 of shape \(9, 9, 3\)"),
        (np.zeros((9, 9), np.uint8), r"uint8 of shape \(9, 9\)"),
        (np.zeros((9, 9, 4), np.uint8), r"uint8 of shape \(9, 9, 4\)"),
        (np.zeros((3, 9, 9), np.uint8), r"uint8 of shape \(3, 9, 9\)"),
        (np.zeros((0, 9, 3), np.uint8), r"uint8 of shape \(0, 9, 3\)"),
        (np.zeros((2, 9, 9, 3), np.uint8), r"uint8 of shape \(2, 9, 9, 3\)"),
        (Image.new("RGB", (9, 9)), "a Image"),
    ],
)
def test_other_pixels_are_refused_before_anything_is_looked_at(pixels, came):
    sound = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(InputError, match=f"photo 1: expected pixels .* got {came}"):
        DETECTOR.detect([sound, pixels])


@pytest.mark.parametrize("size", [0, 7.9, -1, float("nan"), float("inf")])
def test_a_size_of_faces_that_makes_no_sense_is_refused(size):
    with pytest.raises(InputError, match="min_face_size: expected pixels"):
        Mtcnn(min_face_size=size)


@pytest.mark.parametrize("thresholds", [(0.6, 0.7), (0.6, 0.7, 1.0), (0.6, 0.7, float("nan"))])
def test_thresholds_that_are_no_three_probabilities_are_refused(thresholds):
    with pytest.raises(InputError, match="thresholds: expected three probabilities"):
        Mtcnn(thresholds=thresholds)


@pytest.mark.parametrize("device", ["gpu", "cuda:77"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(InputError, match=f"device '?{device}"):
        Mtcnn(device=device)


def test_settings_change_what_is_found_and_the_name(group):
    large = Mtcnn(min_face_size=150, thresholds=(0.6, 0.7, 0.9))
    assert DETECTOR.name == (
        "mtcnn (facenet-pytorch 2.5.3, min_face_size=20, thresholds=0.6/0.7/0.7)"
    )
    assert large.name.endswith("min_face_size=150, thresholds=0.6/0.7/0.9)")
    assert len(large.detect([group])[0]) < 6
