import pytest
import torch

from recognition.backbones.registry import FACENET, INSIGHTFACE
from recognition.training.augment import augment, to_input
from recognition.training.recipe import Recipe

OFF = {"mirror": False, "turn": 0.0, "zoom": 0.0, "shift": 0.0, "light": 0.0}
SIDE = 65  # odd, so that a pixel is in the middle


def changed(pictures, seed=0, **strengths):
    return augment(pictures, Recipe(**{**OFF, **strengths}), torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def noise():
    return torch.rand(24, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def spots(right, down, count=300):
    """The same picture many times: a soft spot so many pixels off the middle."""
    y, x = (torch.arange(SIDE) - SIDE // 2 - off for off in (down, right))
    spot = torch.exp(-(x[None, :] ** 2 + y[:, None] ** 2) / 8)
    return spot.expand(count, 3, SIDE, SIDE).contiguous()


def places(pictures):
    """(B, 2) where the spot is: pixels right of the middle, and below it."""
    light = pictures.mean(1)
    along = torch.arange(SIDE) - SIDE // 2
    total = light.sum((1, 2))
    return (
        torch.stack([(light.sum(1) @ along.float()), (light.sum(2) @ along.float())], 1)
        / (total[:, None])
    )


def test_black_and_white_become_the_ends_of_facenets_range():
    pixels = torch.tensor([0, 255, 127, 128], dtype=torch.uint8).repeat(3, 1).T.view(1, 2, 2, 3)
    found = to_input(pixels)
    expected = torch.tensor([[-0.99609375, 0.99609375], [-0.00390625, 0.00390625]])
    assert torch.equal(found, expected.expand(1, 3, 2, 2))
    assert found.dtype == torch.float32


def test_another_standardisation_is_what_it_says():
    pixels = torch.tensor([0, 255, 51, 204], dtype=torch.uint8).repeat(3, 1).T.view(1, 2, 2, 3)
    found = to_input(pixels, INSIGHTFACE)
    torch.testing.assert_close(found[0, 0], torch.tensor([[-1.0, 1.0], [-0.6, 0.6]]))
    assert torch.equal(to_input(pixels, FACENET), to_input(pixels))


def test_colours_become_channels_and_rows_stay_rows():
    pixels = torch.randint(0, 256, (2, 4, 5, 3), dtype=torch.uint8)
    before = pixels.clone()
    found = to_input(pixels)
    assert found.shape == (2, 3, 4, 5)
    assert found[1, 2, 3, 0] == (float(pixels[1, 3, 0, 2]) - 127.5) / 128
    assert torch.equal(pixels, before)


def test_with_everything_off_nothing_changes(noise):
    torch.testing.assert_close(changed(noise), noise, atol=1e-5, rtol=0)
    smooth = spots(3, -5, 4)  # on a smooth picture, places rounded to float32 hardly matter
    torch.testing.assert_close(changed(smooth), smooth, atol=1e-6, rtol=0)


def test_the_generator_alone_decides(noise):
    full = Recipe()
    one, two, other = (
        augment(noise, full, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_neither_the_pictures_nor_the_global_generator_are_touched(noise):
    before, state = noise.clone(), torch.get_rng_state()
    augment(noise, Recipe(), torch.Generator())
    assert torch.equal(noise, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_recipes_draw_alike_so_that_a_switch_changes_only_its_own_part(noise):
    generators = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    augment(noise, Recipe(), generators[0])
    augment(noise, Recipe(**OFF), generators[1])
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_the_mirror_flips_left_to_right_about_half_of_the_pictures_and_does_no_more(noise):
    found = changed(noise, mirror=True)
    kept = [torch.allclose(a, b, atol=1e-5) for a, b in zip(found, noise, strict=True)]
    flipped = [torch.allclose(a, b, atol=1e-5) for a, b in zip(found, noise.flip(-1), strict=True)]
    assert all(a != b for a, b in zip(kept, flipped, strict=True))
    assert 5 < sum(flipped) < 19


def test_a_shift_reaches_its_share_of_the_side_and_no_farther():
    found = places(changed(spots(0, 0), shift=0.1)) / SIDE
    assert found.abs().max() < 0.1
    for direction in (found[:, 0], found[:, 1]):
        assert direction.min() < -0.09
        assert direction.max() > 0.09
    assert found.T.corrcoef()[0, 1].abs() < 0.2  # across and down are drawn apart


def test_a_turn_keeps_the_distance_to_the_middle():
    found = places(changed(spots(16, 0), turn=0.5))
    torch.testing.assert_close(found.norm(dim=1), torch.full((300,), 16.0), atol=0.1, rtol=0)
    angles = torch.atan2(found[:, 1], found[:, 0])
    assert 0.45 < angles.max() < 0.51
    assert -0.51 < angles.min() < -0.45


def test_a_mirrored_face_that_is_turned_keeps_its_shape():
    both = [places(changed(spots(*at), turn=0.5, mirror=True)) for at in ((16, 0), (0, 16))]
    right, down = both
    for side in both:
        torch.testing.assert_close(side.norm(dim=1), torch.full((300,), 16.0), atol=0.1, rtol=0)
    assert (right * down).sum(1).abs().max() < 3  # still at a right angle: 256 if along one line
    handed = right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0]
    assert 100 < (handed < 0).sum() < 200


def test_a_zoom_moves_towards_the_middle_or_away():
    found = places(changed(spots(12, 9), zoom=0.2))
    torch.testing.assert_close(
        found[:, 1] / found[:, 0], torch.full((300,), 0.75), atol=0.01, rtol=0
    )
    factors = found.norm(dim=1) / 15
    assert 1 / 1.2 - 0.01 < factors.min() < 0.86
    assert 1.22 < factors.max() < 1 / 0.8 + 0.01


def test_light_changes_contrast_and_brightness_only_within_its_strength():
    plain = torch.zeros(300, 3, 8, 8)
    plain[..., 4:] = 0.5
    found = changed(plain, light=0.2)
    brightness = found[:, 0, 0, 0]
    contrast = (found[:, 0, 0, -1] - brightness) / 0.5
    rebuilt = plain * contrast[:, None, None, None] + brightness[:, None, None, None]
    torch.testing.assert_close(found, rebuilt, atol=1e-6, rtol=0)
    assert torch.stack([brightness, contrast]).corrcoef()[0, 1].abs() < 0.2  # drawn apart
    for drawn in (brightness, contrast - 1):
        assert drawn.abs().max() < 0.2001
        assert drawn.min() < -0.18
        assert drawn.max() > 0.18


def test_every_picture_of_a_batch_has_its_own_draw():
    found = augment(spots(5, 5, 6), Recipe(), torch.Generator().manual_seed(0))
    assert all(not torch.allclose(a, b) for i, a in enumerate(found) for b in found[:i])


def test_shape_and_channels_last_stay_for_the_convolutions(noise):
    found = augment(noise, Recipe(), torch.Generator())
    assert found.shape == noise.shape
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mirror", [True, False])
def test_it_works_where_the_pictures_are(mirror):
    far = torch.empty(2, 3, 8, 8, device="meta")  # stands for any device that is not the CPU
    found = augment(far, Recipe(mirror=mirror), torch.Generator())
    assert found.device == far.device
