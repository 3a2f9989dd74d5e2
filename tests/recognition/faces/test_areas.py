"""Pictures made smaller are those of torch's area interpolation."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from recognition.faces.areas import AreaSums

SIDE = st.integers(1, 70)


def pixels(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def averaged(part, size):
    batch = torch.from_numpy(part.copy()).permute(2, 0, 1)[None].float()
    scaled = (interpolate(batch, size=size, mode="area") - 127.5) * 0.0078125
    return scaled[0].permute(1, 2, 0).numpy()


@given(SIDE, SIDE, SIDE, SIDE)
def test_the_whole_as_torch_averages_it(height, width, tall, wide):
    photo = pixels(height, width)
    found = AreaSums(photo).resized(tall, wide)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, averaged(photo, (tall, wide)), atol=2.4e-7)


@given(SIDE, SIDE, st.integers(0, 2**32 - 1), st.sampled_from([1, 5, 24, 48]))
def test_parts_as_torch_averages_them(height, width, seed, side):
    photo, random = pixels(height, width), np.random.default_rng(seed)
    left, top = random.integers(0, width, 4), random.integers(0, height, 4)
    right, bottom = random.integers(left + 1, width + 1), random.integers(top + 1, height + 1)
    found = AreaSums(photo).crops(np.stack([left, top, right, bottom], axis=1), side)
    for crop, x, y, end, low in zip(found, left, top, right, bottom, strict=True):
        np.testing.assert_allclose(crop, averaged(photo[y:low, x:end], (side, side)), atol=2.4e-7)


def test_no_parts():
    assert AreaSums(pixels(3, 3)).crops(np.zeros((0, 4), np.int64), 24).shape == (0, 24, 24, 3)


@pytest.mark.parametrize("shape", [(3200, 3200), (1, 70_000)])
def test_sums_above_32_bits_wrap_back(shape):
    white = np.full((*shape, 3), 255, np.uint8)
    assert np.all(AreaSums(white).resized(1, 12) == np.float32(127.5 / 128))
