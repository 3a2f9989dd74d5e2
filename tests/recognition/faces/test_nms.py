"""Our non-maximum suppression is torchvision's operator, ties and rounding included."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recognition.faces.nms import BLOCK, batched_nms, nms
from recognition.faces.torchvision_operators import operators

GOLDEN = Path(__file__).parents[2] / "golden"
ROWS = json.loads((GOLDEN / "suppression.json").read_text())["rows"]
SHAPES = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(2, 50))


def golden_boxes(seed, count):
    random = np.random.default_rng(seed)
    corner = random.integers(0, 60, (count, 2))
    found = np.concatenate([corner, corner + random.integers(0, 24, (count, 2))], axis=1)
    scores = random.integers(0, 8, count) / 8
    groups = torch.from_numpy(random.integers(0, 3, count))
    return *(torch.from_numpy(each.astype(np.float32)) for each in (found, scores)), groups


def drawn(seed, count, span):
    random = np.random.default_rng(seed)
    corner = random.integers(0, span, (count, 2)) / random.choice([1, 3])
    sides = random.integers(0, span, (count, 2)) / random.choice([1, 7])
    boxes = np.concatenate([corner, corner + sides], axis=1).astype(np.float32)
    return boxes, (random.integers(0, 5, count) / 4).astype(np.float32)


def naive(boxes, scores, threshold):
    """The definition in float32, one box after the other."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])  # stable
    kept = []
    for i in order:
        for j in kept:
            width = max(
                np.float32(0), min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
            )
            height = max(
                np.float32(0), min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
            )
            area = [(boxes[k, 2] - boxes[k, 0]) * (boxes[k, 3] - boxes[k, 1]) for k in (j, i)]
            shared = width * height
            union = area[0] + area[1] - shared
            if union and float(shared / union) > threshold:
                break
        else:
            kept.append(i)
    return kept


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "{seed}-{count}-{threshold}".format(**row))
def test_it_keeps_what_torchvisions_operator_keeps(row):
    boxes, scores, groups = golden_boxes(row["seed"], row["count"])
    assert nms(boxes, scores, row["threshold"]).tolist() == row["nms"]
    kept = batched_nms(boxes, scores, groups, row["threshold"]).tolist()
    assert (sorted(kept) if row["count"] > 1000 else kept) == row["batched"]


@given(SHAPES, st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.6, 0.7, 0.9]))
def test_it_is_the_definition(shape, threshold):
    boxes, scores = drawn(*shape)
    found = nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
    assert found.dtype == torch.int64
    assert found.tolist() == naive(boxes, scores, threshold)


def test_an_overlap_at_the_threshold_stays():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 7]])  # 0.7, which float32 rounds down
    assert nms(boxes, torch.tensor([1.0, 0.5]), 0.7).tolist() == [0, 1]
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 6]])  # 0.6, which float32 rounds up
    assert nms(boxes, torch.tensor([1.0, 0.5]), 0.6).tolist() == [0]


@pytest.mark.parametrize("count", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_blocks_change_nothing(count, monkeypatch):
    boxes, scores = map(torch.from_numpy, drawn(count, count, 90))
    whole = nms(boxes, scores, 0.5).tolist()
    monkeypatch.setattr("recognition.faces.nms.BLOCK", 7)
    assert nms(boxes, scores, 0.5).tolist() == whole


def test_no_boxes_keep_none():
    none = torch.zeros(0, 4), torch.zeros(0)
    assert nms(*none, 0.5).tolist() == []
    assert batched_nms(*none, torch.zeros(0, dtype=torch.int64), 0.5).tolist() == []


def test_the_same_in_double_precision():
    boxes, scores = drawn(5, 60, 20)
    found = nms(torch.from_numpy(boxes.astype(np.float64)), torch.from_numpy(scores), 0.5)
    assert found.tolist() == naive(boxes.astype(np.float64), scores, 0.5)


@pytest.mark.skipif(
    not importlib.util.find_spec("torchvision") or not operators().whole,
    reason="torchvision's operators do not load here",
)
@given(SHAPES, st.sampled_from([0.0, 1 / 3, 0.5, 0.6, 0.7]))
def test_it_is_the_operator_of_the_torchvision_here(shape, threshold):
    from torchvision.ops import batched_nms as theirs_batched
    from torchvision.ops import nms as theirs

    boxes, scores = map(torch.from_numpy, drawn(*shape))
    assert torch.equal(nms(boxes, scores, threshold), theirs(boxes, scores, threshold))
    groups = torch.arange(len(boxes)) % 3
    assert torch.equal(
        batched_nms(boxes, scores, groups, threshold),
        theirs_batched(boxes, scores, groups, threshold),
    )
