"""Pictures for people: what is drawn where, in which colour."""

import numpy as np
import pytest
from face_fakes import FakeDetector, drawn

from recognition.faces.drawing import (
    CERTAIN_COLOUR,
    DOUBTFUL_COLOUR,
    POINT_COLOUR,
    Crop,
    contact_sheet,
    draw_faces,
)
from recognition.faces.face import Face


def near(picture, colour):
    return (np.abs(np.asarray(picture).astype(int) - colour) < 30).all(-1)


def one_face(box, score=1.0):
    left, top, right, bottom = box
    marks = np.linspace((left, top), (right, bottom), 7)[1:6]
    return Face(np.array(box, np.float32), marks.astype(np.float32), score)


def test_boxes_points_and_labels_are_where_the_faces_are():
    photo = np.zeros((300, 400, 3), np.uint8)
    picture = draw_faces(photo, [one_face((100, 80, 200, 220))], 0.95)
    assert picture.size == (400, 300)
    sky = near(picture, CERTAIN_COLOUR)
    for y, x in ((150, 100), (150, 200), (80, 150), (220, 150)):
        assert sky[y - 2 : y + 3, x - 2 : x + 3].any(), "each side has its line"
    assert not sky[85:215, 106:194].any(), "the face itself is left alone"
    assert near(picture, POINT_COLOUR)[90:215, 110:195].any()
    assert sky[60:78, 100:140].any(), "the label is above the box"
    assert not photo.any(), "the photograph is as it was"


def test_doubtful_faces_are_dashed_and_of_another_colour():
    photo = np.zeros((300, 400, 3), np.uint8)
    box = (100, 80, 300, 220)
    sure, doubtful = (draw_faces(photo, [one_face(box, score)], 0.9) for score in (0.9, 0.89))
    assert not near(sure, DOUBTFUL_COLOUR).any()
    assert not near(doubtful, CERTAIN_COLOUR).any()
    line = near(doubtful, DOUBTFUL_COLOUR)[220, 105:295]
    assert 0.3 < line.mean() < 0.9
    assert near(sure, CERTAIN_COLOUR)[220, 105:295].all()


def test_a_large_photograph_is_reduced_and_its_boxes_with_it():
    photo = np.zeros((1000, 4000, 3), np.uint8)
    picture = draw_faces(photo, [one_face((2000, 400, 2800, 900))], 0.95)
    assert picture.size == (2000, 500)
    rows, columns = np.nonzero(near(picture, CERTAIN_COLOUR))
    assert abs(columns.max() - 1400) <= 4
    assert abs(rows.max() - 450) <= 4


@pytest.mark.parametrize(
    "box",
    [(-50, -50, 500, 500), (0, 0, 3, 3), (9e9, 9e9, 9e9, 9e9), (np.nan,) * 4, (30, 30, 10, 10)],
)
def test_a_box_may_be_anywhere(box):
    photo = np.zeros((60, 90, 3), np.uint8)
    face = Face(np.array(box, np.float32), np.zeros((5, 2), np.float32), 0.5)
    assert draw_faces(photo, [face], 0.95).size == (5 * 90, 5 * 60)
    assert draw_faces(photo[:1, :1], [face], 0.95).size == (400, 400)


def test_a_small_photograph_is_enlarged_so_that_the_face_is_seen():
    photo = np.full((64, 40, 3), 90, np.uint8)
    picture = draw_faces(photo, [one_face((10, 20, 30, 46))], 0.95)
    assert picture.size == (7 * 40, 7 * 64)
    inside = np.asarray(picture)[150:312, 80:200]
    assert (inside == 90).all(-1).mean() > 0.9


def test_labels_of_faces_side_by_side_leave_each_other_alone():
    photo = np.zeros((1000, 2000, 3), np.uint8)
    faces = [one_face((100 + 80 * k, 300, 164 + 80 * k, 380)) for k in range(20)]
    above = near(draw_faces(photo, faces, 0.95), CERTAIN_COLOUR)[270:296]
    gaps = [above[:, 170 + 80 * k : 176 + 80 * k].any() for k in range(19)]
    assert above.any()
    assert not any(gaps)


def test_captions_in_other_alphabets_are_letters_and_no_boxes():
    words = ["שלום", "محمد", "Ωμέγα", "Жанна"]
    seen = [
        np.asarray(contact_sheet([Crop(word, np.zeros((112, 112, 3), np.uint8))]))[120:]
        for word in words
    ]
    unknown = np.asarray(contact_sheet([Crop("\U0001fa88" * 4, np.zeros((112, 112, 3), np.uint8))]))
    for k, one in enumerate(seen):
        assert (one < 128).any()
        assert not np.array_equal(one, unknown[120:])
        assert not any(np.array_equal(one, other) for other in seen[:k])


def test_the_folder_of_a_crop_has_its_own_line():
    crop = np.zeros((112, 112, 3), np.uint8)
    one, two = (np.asarray(contact_sheet([Crop(c, crop)])) for c in ("a.jpg#0", "ann/a.jpg#0"))
    lines = [(sheet[121:] < 128).any((1, 2)) for sheet in (one, two)]
    assert lines[0][:13].any() and not lines[0][15:].any()  # noqa: PT018
    assert lines[1][:13].any() and lines[1][15:].any()  # noqa: PT018


def test_a_photograph_without_faces_is_as_it_was():
    photo = np.tile(drawn(), (7, 1, 1))
    np.testing.assert_array_equal(np.asarray(draw_faces(photo, [], 0.95)), photo)


def test_the_sheet_shows_each_crop_once():
    crops = [
        Crop(f"{'long/' * i}ann\n{i}.jpg", np.full((112, 96, 3), (250, 10 * i, 0), np.uint8))
        for i in range(7)
    ]
    sheet = np.asarray(contact_sheet(crops))
    for _, pixels in crops:
        assert (sheet == pixels[0, 0]).all(-1).sum() == 112 * 96
    assert contact_sheet(crops[:1]).size < contact_sheet(crops).size


def test_the_fake_detector_is_drawn_as_well():
    photo = drawn(0.99, 0.5)
    (faces,) = FakeDetector().detect([photo])
    picture = draw_faces(photo, faces, 0.95)
    assert near(picture, CERTAIN_COLOUR).any()
    assert near(picture, DOUBTFUL_COLOUR).any()
