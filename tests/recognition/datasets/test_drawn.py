"""Laws of the drawn people."""

from dataclasses import fields

import numpy as np
import pytest

from recognition.datasets._face_painting import Canvas
from recognition.datasets.drawn import Variation, draw_faces
from recognition.errors import InputError

STILL = Variation(**{f.name: 0.0 for f in fields(Variation)})


@pytest.fixture(scope="module")
def drawn():
    return draw_faces(12, 8, size=32)


def test_the_same_arguments_give_the_same_bytes(drawn):
    assert draw_faces(12, 8, size=32).images.tobytes() == drawn.images.tobytes()


def test_another_seed_draws_other_people(drawn):
    other = draw_faces(12, 8, size=32, seed=1).images
    different = (other != drawn.images).any((1, 2, 3))
    assert different.all()


def test_shapes_types_and_names(drawn):
    assert drawn.images.shape == (96, 32, 32, 3)
    assert drawn.images.dtype == np.uint8
    assert drawn.images.flags.c_contiguous
    assert drawn.labels.shape == drawn.ids.shape == (96,)
    assert len(set(drawn.ids)) == 96
    assert drawn.people.tolist() == [f"p{i:03d}" for i in range(12)]
    assert drawn.ids[9] == "p001/01"
    assert drawn.source == "drawn faces (12 people x 8 pictures, seed 0)"
    assert drawn.skipped == ()


def test_more_people_keep_the_earlier_people(drawn):
    few = draw_faces(3, 8, size=32)
    assert few.ids.tolist() == drawn.ids[:24].tolist()
    np.testing.assert_array_equal(few.images, drawn.images[:24])


@pytest.mark.parametrize("pictures", [1, 4, 13, 23])
def test_more_pictures_keep_the_earlier_pictures(drawn, pictures):
    # 13 and 23 are painted in several chunks, and in other ones than 8
    both = min(pictures, 8)
    other = draw_faces(12, pictures, size=32).images.reshape(12, pictures, 32, 32, 3)
    same = drawn.images.reshape(12, 8, 32, 32, 3)
    np.testing.assert_array_equal(other[:, :both], same[:, :both])


def test_no_two_pictures_are_the_same(drawn):
    assert len({image.tobytes() for image in drawn.images}) == len(drawn)


def test_every_picture_has_contrast(drawn):
    assert (drawn.images.std((1, 2, 3)) > 5).all()


def test_a_person_is_nearer_to_themself_than_to_others(drawn):
    between, within = distances(drawn)
    assert within.mean() < 0.97 * between.mean()


def test_without_variation_people_are_told_apart_by_their_faces_alone():
    # the background still changes, so only the middle of the face is compared
    between, within = distances(
        draw_faces(12, 4, size=32, variation=STILL), middle=np.s_[9:26, 9:23]
    )
    assert within.max() < 0.5 * between.min()


@pytest.mark.parametrize("name", [f.name for f in fields(Variation)])
def test_each_kind_of_variation_changes_the_picture(name):
    still = draw_faces(4, 10, size=32, variation=STILL).images
    moved = draw_faces(4, 10, size=32, variation=Variation(**{**vars(STILL), name: 1.0})).images
    changed = (still != moved).any((1, 2, 3))
    assert changed.mean() > 0.1  # most pictures have nothing in the way of the face


def test_the_strongest_variation_still_draws():
    wild = draw_faces(30, 3, size=32, variation=Variation(*[2.0] * len(fields(Variation))))
    assert (wild.images.std((1, 2, 3)) > 2).all()


def test_a_crop_outside_of_every_picture_is_small():
    far = np.full((1, 16, 16), 9, np.float32)
    canvas = Canvas(
        np.zeros((1, 3, 16, 16), np.float32), far, far, far, far, far, far[:, :1, :1] / 99
    )
    assert canvas.crop(-1, 1, -1, 1).image.shape[2:] == (4, 4)


@pytest.mark.parametrize("size", range(16, 97))
def test_every_size_works(size):
    assert draw_faces(1, 2, size=size).images.shape == (2, size, size, 3)


def test_a_size_shows_the_same_people_only_finer():
    small, large = (draw_faces(2, 6, size=s, variation=STILL).images for s in (32, 64))
    halved = large.reshape(12, 32, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(halved - small).mean() < 6


def test_progress_hears_how_many_are_finished():
    heard: list[int] = []
    draw_faces(2, 12, size=16, progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"people": 0}, "people >= 1 and got 0"),
        ({"pictures": 0}, "pictures >= 1 and got 0"),
        ({"size": 15}, "size >= 16 and got 15"),
        ({"seed": -1}, "seed >= 0 and got -1"),
        ({"variation": Variation(pose=2.5)}, "pose lies between 0 and 2 and was 2.5"),
        ({"variation": Variation(light=float("nan"))}, "light lies between 0 and 2 and was nan"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        draw_faces(**{"people": 2, "pictures": 2, **arguments})


def distances(drawn, middle=np.s_[:, :]):
    """Between people and within a person: mean absolute difference of pictures, flattened."""
    x = drawn.images[:, *middle].astype(float).mean(-1).reshape(len(drawn), -1)
    x -= x.mean(1, keepdims=True)
    apart = np.abs(x[:, None] - x[None]).mean(-1)
    same = drawn.labels[:, None] == drawn.labels
    return apart[~same], apart[same & ~np.eye(len(drawn), dtype=bool)]
