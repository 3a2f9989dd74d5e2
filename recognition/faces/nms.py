"""Non-maximum suppression in plain torch, equal to torchvision's operator for the CPU."""

import torch
from torch import Tensor

BLOCK = 512  # boxes held against each other at once; bounds the memory


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Places of the boxes that stay, the highest score first.

    A box goes where its intersection over union with a better one that stays is above the
    threshold; of equal scores the earlier box is the better one. Areas are those of
    torchvision.ops.nms, without a pixel more: (right - left) * (bottom - top).

    Args:
        boxes: (N, 4) float32 or float64, left, top, right, bottom.
        scores: (N,).
        iou_threshold: what two boxes that both stay may overlap.

    >>> boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    >>> nms(boxes, torch.tensor([0.8, 0.9, 0.7]), 0.5).tolist()
    [1, 2]
    """
    order = scores.sort(descending=True, stable=True).indices
    left = boxes[order]
    limit = _at_most(iou_threshold, boxes.dtype)
    kept: list[Tensor] = []
    while len(order):
        block, rest = left[:BLOCK], left[BLOCK:]
        stay = _greedy(_overlap(block, block) > limit)
        kept.append(order[:BLOCK][stay])
        clear = ~_covered(rest, block[stay], limit)
        order, left = order[BLOCK:][clear], rest[clear]
    return torch.cat(kept) if kept else order


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` in each group of boxes with the same `idxs`, as torchvision.ops.batched_nms does it.

    Up to 1,000 boxes the groups are moved apart, so that they do not overlap; above, each is taken
    for itself, and equal scores are then in the order in which torch sorts them.
    """
    if not boxes.numel():
        return torch.empty(0, dtype=torch.int64)
    if boxes.numel() <= 4000:
        apart = idxs.to(boxes) * (boxes.max() + torch.tensor(1).to(boxes))
        return nms(boxes + apart[:, None], scores, iou_threshold)
    keep = torch.zeros_like(scores, dtype=torch.bool)
    for group in torch.unique(idxs):
        places = torch.where(idxs == group)[0]
        keep[places[nms(boxes[places], scores[places], iou_threshold)]] = True
    kept = torch.where(keep)[0]
    return kept[scores[kept].sort(descending=True).indices]


def _greedy(over: Tensor) -> Tensor:
    """Places of the rows that stay, where `over[i, j]` says that i, if it stays, removes j."""
    rows = over.numpy()
    gone = rows[0] & False
    stay = []
    for place, row in enumerate(rows):
        if not gone[place]:
            stay.append(place)
            gone |= row
    return torch.tensor(stay)


def _covered(boxes: Tensor, by: Tensor, limit: float) -> Tensor:
    """Which boxes overlap at least one of the others above the limit."""
    covered = torch.zeros(len(boxes), dtype=torch.bool)
    for start in range(0, len(boxes), BLOCK):
        part = slice(start, start + BLOCK)
        covered[part] = (_overlap(by, boxes[part]) > limit).any(0)
    return covered


def _overlap(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union (N, M), rounded as torchvision rounds it; NaN of two empty boxes."""
    area, other = _areas(first)[:, None], _areas(second)[None]
    corner = torch.maximum(first[:, None, :2], second[None, :, :2])
    sides = (torch.minimum(first[:, None, 2:], second[None, :, 2:]) - corner).clamp_(min=0)
    shared = sides[..., 0] * sides[..., 1]
    return shared / (area + other - shared)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _at_most(value: float, dtype: torch.dtype) -> float:
    """The largest number of this precision that is not above `value`.

    torchvision holds a rounded overlap against a threshold in double precision.
    """
    rounded = torch.tensor(value, dtype=dtype)
    if rounded.item() > value:
        rounded = torch.nextafter(rounded, torch.tensor(-torch.inf, dtype=dtype))
    return rounded.item()
