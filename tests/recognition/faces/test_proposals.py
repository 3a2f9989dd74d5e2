"""The first stage in tiles is PNet over the whole picture, for every size."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recognition.faces.facenet_mtcnn import network
from recognition.faces.proposals import MOST, STEP, Proposals, _tiles, scales

PNET = network("PNet")
SIDE = st.one_of(st.integers(12, 60), st.sampled_from([201, 202, 203, 204, 205, 397]))


@given(SIDE, SIDE)
def test_a_map_is_that_of_the_whole_picture(height, width):
    picture = torch.randn(height, width, 3, generator=torch.Generator().manual_seed(height))
    with torch.inference_mode():
        corrections, probabilities = PNET(picture.permute(2, 0, 1)[None])
        found = Proposals(PNET, torch.device("cpu"))._map(picture)
    assert found.shape[:2] == probabilities.shape[2:]
    torch.testing.assert_close(found[..., :2].softmax(-1).permute(2, 0, 1), probabilities[0])
    torch.testing.assert_close(
        found[..., 2:].permute(2, 0, 1), corrections[0], atol=1e-5, rtol=1e-4
    )


@given(st.integers(1, 5000))
def test_tiles_cover_every_place_and_come_in_few_sizes(places):
    count, side = _tiles(places)
    assert side % STEP == 0
    assert side <= MOST
    assert 0 <= count * side - places < count * STEP


@pytest.mark.parametrize(("side", "size", "count"), [(1000, 20, 12), (19, 20, 0), (20, 20, 1)])
def test_sizes_end_where_the_window_no_longer_fits(side, size, count):
    found = list(scales(side, size))
    assert len(found) == count
    assert all(side * scale >= 12 * (1 - 1e-9) for scale in found)
    assert all(math.isclose(a * 0.709, b) for a, b in pairwise(found))
