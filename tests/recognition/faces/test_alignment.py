"""A face laid on the template of its network, or cut as facenet-pytorch cuts it."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recognition.contract import Preprocessing
from recognition.errors import InputError
from recognition.faces.alignment import crop_face, similarity, template
from recognition.faces.face import Face

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (90, 120, 3), np.uint8)
BOX = np.array([10.0, 12.0, 60.0, 70.0], np.float32)
numbers = st.floats(-100, 100, width=32)
points = st.lists(st.tuples(numbers, numbers), min_size=5, max_size=5).map(np.array)


def face(landmarks=None, box=BOX):
    marks = template(112, 112) if landmarks is None else landmarks
    return Face(np.asarray(box, np.float32), np.asarray(marks, np.float32), 1.0)


def smooth(height, width):
    """A photograph whose red is x and whose green is y, so that a sample tells its place."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.full_like(x, 200)], axis=-1).astype(np.uint8)


def least_squares(p, q):
    """The same, from the linear form [a -b; b a], by numpy."""
    rows = [row for x, y in p for row in ([x, -y, 1, 0], [y, x, 0, 1])]
    a, b, c, d = np.linalg.lstsq(np.array(rows, float), q.ravel(), rcond=None)[0]
    return np.array([[a, -b, c], [b, a, d]])


def umeyama(p, q):
    """Umeyama 1991, equations 34-43, by a singular value decomposition."""
    about, towards = p - p.mean(0), q - q.mean(0)
    u, d, vt = np.linalg.svd(towards.T @ about / len(p))
    sign = np.diag([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ sign @ vt
    c = np.trace(np.diag(d) @ sign) / (about**2).sum(1).mean()
    return np.c_[c * rotation, q.mean(0) - c * rotation @ p.mean(0)]


@given(points, points)
def test_it_is_the_least_squares_similarity_and_never_a_reflection(p, q):
    if np.ptp(p, axis=0).max() < 1:
        p = p + template(112, 112)
    try:
        found = similarity(p, q)
    except InputError:
        best = least_squares(p, q)[:, :2]
        about, towards = p - p.mean(0), q - q.mean(0)
        assert np.sum((about @ best.T) ** 2) <= 2e-9 * np.sum(towards**2) + 1e-12
        return
    np.testing.assert_allclose(found, least_squares(p, q), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found, umeyama(p, q), rtol=1e-6, atol=1e-6)
    assert np.linalg.det(found[:, :2]) > 0


@given(st.floats(0.01, 100), st.floats(-3.2, 3.2), numbers, numbers)
def test_a_similarity_is_found_again(scale, angle, right, down):
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    wanted = np.array([[cos, -sin, right], [sin, cos, down]])
    marks = template(112, 112)
    moved = marks @ wanted[:, :2].T + wanted[:, 2]
    np.testing.assert_allclose(similarity(marks, moved), wanted, atol=1e-9 * max(1, scale))


def test_mirrored_landmarks_are_turned_not_reflected():
    mirrored = template(112, 112) * [-1, 1]
    found = similarity(mirrored, template(112, 112))
    assert np.linalg.det(found[:, :2]) > 0


def test_a_face_that_lies_on_the_template_is_copied():
    photo = RNG.integers(0, 256, (112, 112, 3), np.uint8)
    np.testing.assert_array_equal(crop_face(photo, face(), Preprocessing()), photo)


def test_the_other_sizes_place_the_template_as_their_recognisers_do():
    np.testing.assert_allclose(template(112, 96), template(112, 112) - [8, 0])
    np.testing.assert_allclose(template(224, 224), template(112, 112) * 2)
    photo = RNG.integers(0, 256, (112, 112, 3), np.uint8)
    crop = crop_face(photo, face(), Preprocessing(width=96))
    np.testing.assert_array_equal(crop, photo[:, 8:104])


@pytest.mark.parametrize("reduction", [0.5, 1.0, 1.7, 2.0, 3.0, 3.6, 5.2, 8.0])
def test_every_pixel_comes_from_its_place(reduction):
    """Averaging blocks first must not shift the picture."""
    angle, at = 0.2, np.array([15.0, 10.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shrink = 16 / 112 * reduction  # the photograph has 256 values along a side
    photo = smooth(250, 250)
    marks = (template(112, 112) - 56) * shrink @ turn.T + 110 + at
    crop = crop_face(photo, face(marks), Preprocessing(height=16, width=16)).astype(float)
    y, x = np.mgrid[:16, :16]
    place = np.stack([x - 8, y - 8], -1) * shrink * 7 @ turn.T + 110 + at
    held = (place > 10).all(-1) & (place < 238).all(-1)
    assert held.sum() > 20
    # the mean of an even number of whole numbers in a row is rounded once more
    most = 1.01 if reduction >= 2 and int(reduction) % 2 == 0 else 0.51
    np.testing.assert_allclose(crop[..., :2][held], place[held], atol=most)
    assert (crop[..., 2][held] == 200).all()


def test_beyond_the_photograph_is_black():
    crop = crop_face(NOISE, face(template(112, 112) - [200, 0]), Preprocessing())
    assert crop.shape == (112, 112, 3)
    assert not crop[:, :-130].any()
    assert not crop_face(NOISE, face(template(112, 112) + 1e6), Preprocessing()).any()
    assert not crop_face(NOISE, face(template(112, 112) * 4 + 9999), Preprocessing()).any()


@pytest.mark.parametrize("reduction", [0.75, 1.6, 1.99])
def test_below_a_reduction_of_two_it_is_plain_bilinear(reduction):
    photo = RNG.integers(0, 256, (240, 240, 3), np.uint8)
    marks = template(112, 112) * reduction + [3.3, 1.7]
    crop = crop_face(photo, face(marks), Preprocessing())
    for row, column in [(30, 40), (60, 61), (99, 7)]:
        x, y = column * reduction + 3.3, row * reduction + 1.7
        x0, y0 = int(x), int(y)
        near = photo[y0 : y0 + 2, x0 : x0 + 2].astype(float)
        weights = np.outer([1 - y + y0, y - y0], [1 - x + x0, x - x0])
        np.testing.assert_allclose(crop[row, column], np.einsum("ij,ijc", weights, near), atol=0.51)


def test_a_large_face_does_not_alias():
    """Of noise, whose average is grey: plain sampling keeps its contrast, averaging does not."""
    photo = RNG.integers(0, 256, (1120, 1120, 3), np.uint8)
    crop = crop_face(photo, face(template(112, 112) * 10), Preprocessing())
    assert photo[::10, ::10].std() > 70
    assert crop.std() < 10


@pytest.mark.parametrize(
    "wrong",
    [
        np.full((5, 2), 40.0),
        np.full((5, 2), np.nan),
        template(112, 112) * np.inf,
        np.zeros((4, 2)),
        np.full((5, 2), 0.0),
        1000 + 1e-4 * template(112, 112),
    ],
)
def test_landmarks_of_no_face_are_refused(wrong):
    with pytest.raises(InputError, match="detect it again"):
        crop_face(NOISE, face(wrong), Preprocessing())


@pytest.mark.parametrize("wrong", [NOISE[..., 0], NOISE / 255, NOISE[:0], NOISE[..., :2]])
def test_what_is_no_photograph_is_refused(wrong):
    with pytest.raises(InputError, match="uint8"):
        crop_face(wrong, face(), Preprocessing())


@given(
    st.tuples(
        st.floats(-30, 110, width=32),
        st.floats(-30, 80, width=32),
        st.floats(5, 60, width=32),
        st.floats(5, 60, width=32),
    ).map(lambda b: (b[0], b[1], max(b[0], 0) + b[2], max(b[1], 0) + b[3])),
    st.sampled_from([(160, 14), (160, 0), (80, 32)]),
)
def test_a_box_is_cut_as_facenet_pytorch_does(box, recipe):
    """Transcribed from extract_face of its release 2.5.3, with the names of its arguments."""
    image_size, margin = recipe
    array, img = np.array(box, np.float32), Image.fromarray(NOISE)
    margins = [
        margin * (array[2] - array[0]) / (image_size - margin),
        margin * (array[3] - array[1]) / (image_size - margin),
    ]
    corners = (
        int(max(array[0] - margins[0] / 2, 0)),
        int(max(array[1] - margins[1] / 2, 0)),
        int(min(array[2] + margins[0] / 2, img.size[0])),
        int(min(array[3] + margins[1] / 2, img.size[1])),
    )
    wanted = img.crop(corners).copy().resize((image_size, image_size), Image.Resampling.BILINEAR)
    ours = crop_face(NOISE, face(box=array), Preprocessing("box", image_size, image_size, margin))
    np.testing.assert_array_equal(ours, np.asarray(wanted))


def test_the_whole_box_has_no_margin_and_may_be_stretched():
    crop = crop_face(NOISE, face(), Preprocessing("whole", 58, 50, margin=20))
    np.testing.assert_array_equal(crop, NOISE[12:70, 10:60])


@pytest.mark.parametrize(
    "box", [[200, 0, 220, 20], [10, 10, 10, 20], [20, 20, 10, 10], [0, 0, np.nan, 5], [np.inf] * 4]
)
@pytest.mark.parametrize("alignment", ["box", "whole"])
def test_a_box_off_the_photograph_is_refused(box, alignment):
    with pytest.raises(InputError, match="detect it again"):
        crop_face(NOISE, face(box=box), Preprocessing(alignment, 160, 160, 14))


def test_the_crop_is_the_callers_own():
    given = SimpleNamespace(pixels=NOISE.copy())
    crop = crop_face(given.pixels, face(), Preprocessing("box", 160, 160, 14))
    crop[:] = 0
    np.testing.assert_array_equal(given.pixels, NOISE)
