"""Sub-centres after training: the dominant ones, and the samples far from them."""

import math
import re

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses as pml
from torch import Tensor

from margin_losses import (
    Embedding,
    MarginHead,
    dense,
    dominant_centers,
    keep_dominant,
    outliers,
    subcenters,
)
from margin_losses.shards import Here


def faces(n: int = 60, classes: int = 6, k: int = 3, dim: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings, labels and sub-centres; the last class has no samples."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    weight = torch.randn(classes, k, dim, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes - 1, (n,), generator=generator), weight


def angle(x: Tensor, w: Tensor) -> float:
    return math.acos(float(x @ w / (x.norm() * w.norm())))


def slow_dominant(x: Tensor, labels: Tensor, weight: Tensor) -> list[int]:
    votes = [[0] * weight.shape[1] for _ in weight]
    for row, label in zip(x, labels, strict=True):
        angles = [angle(row, w) for w in weight[label]]
        votes[label][angles.index(min(angles))] += 1
    return [of_class.index(max(of_class)) for of_class in votes]


def test_the_dominant_centre_is_the_nearest_of_most_samples() -> None:
    x, labels, weight = faces()
    found = dominant_centers(x, labels, weight)
    assert found.dtype == torch.int64
    assert found.tolist() == slow_dominant(x, labels, weight)
    assert len(set(found.tolist())) > 1


def test_outliers_are_farther_from_the_dominant_centre_than_the_angle() -> None:
    x, labels, weight = faces()
    dominant = slow_dominant(x, labels, weight)
    angles = [angle(row, weight[y, dominant[y]]) for row, y in zip(x, labels, strict=True)]
    for limit in (0.0, 1.0, math.radians(75), 2.5, math.pi):
        found = outliers(x, labels, weight, limit)
        assert found.tolist() == [a > limit for a in angles]
    assert outliers(x, labels, weight).tolist() == [a > math.radians(75) for a in angles]


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # the peer's, on numpy 2
def test_pytorch_metric_learning_finds_the_same_outliers() -> None:
    x, labels, weight = faces()
    theirs = pml.SubCenterArcFaceLoss(num_classes=6, embedding_size=5)
    theirs.W.data = weight.flatten(0, 1).t()
    rows, centers = theirs.get_outliers(x, labels)
    assert outliers(x, labels, weight).nonzero().squeeze(1).tolist() == sorted(rows.tolist())
    dominant = dominant_centers(x, labels, weight)
    found = weight[torch.arange(5), dominant[:5]]  # nobody is in the last class
    torch.testing.assert_close(found, centers.t()[:5])


def test_farther_is_strict() -> None:
    x, weight = torch.tensor([[0.0, 2.0]]), torch.tensor([[[3.0, 0.0]]])
    right = float(torch.tensor(math.pi / 2))
    assert not outliers(x, torch.tensor([0]), weight, right)
    assert outliers(x, torch.tensor([0]), weight, right - 1e-3)
    assert not outliers(-weight[0], torch.tensor([0]), weight, math.pi)
    assert not outliers(weight[0], torch.tensor([0]), weight, 0.0)


def test_a_tie_goes_to_the_lower_centre_and_so_does_an_empty_class() -> None:
    weight = torch.eye(3).expand(3, 3, 3)
    # class 0: one vote each for 2 and 1; class 1: the same row twice; class 2: nobody
    x, labels = torch.tensor([[0.0, 0, 1], [0, 1, 0], [1, 1, 0]]), torch.tensor([0, 0, 1])
    weight = weight.clone()
    weight[1] = torch.tensor([[-1.0, 0, 0], [1, 1, 0], [1, 1, 0]])
    assert dominant_centers(x, labels, weight).tolist() == [1, 1, 0]
    assert dominant_centers(x.flip(0), labels.flip(0), weight).tolist() == [1, 1, 0]


def test_lengths_do_not_matter_and_a_zero_vector_is_a_right_angle_away() -> None:
    x, labels, weight = faces()
    lengths = torch.linspace(0.1, 30, 18, dtype=torch.float64).view(6, 3, 1)
    longer = dominant_centers(x * 1e-3, labels, weight * lengths)
    assert torch.equal(longer, dominant_centers(x, labels, weight))
    zero = outliers(torch.zeros(1, 5), torch.tensor([0]), weight.float())
    assert zero.tolist() == [True]


def test_one_centre_a_class_may_come_without_its_axis() -> None:
    x, labels, weight = faces(k=1)
    assert (dominant_centers(x, labels, weight.squeeze(1)) == 0).all()
    found = outliers(x, labels, weight.squeeze(1))
    assert torch.equal(found, outliers(x, labels, weight))
    assert 0 < found.sum() < len(found)


@pytest.mark.parametrize("block", [1, 15, 16, 105, 10_000])
def test_blocks_of_any_size_say_the_same(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    x, labels, weight = faces()
    expected = dominant_centers(x, labels, weight), outliers(x, labels, weight)
    seen: list[int] = []
    inner = subcenters.own_rows

    def watching(x: Tensor, weight: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(weight[rows].numel())
        return inner(x, weight, rows)

    monkeypatch.setattr(subcenters, "BLOCK", block)
    monkeypatch.setattr(subcenters, "own_rows", watching)
    assert torch.equal(dominant_centers(x, labels, weight), expected[0])
    assert torch.equal(outliers(x, labels, weight), expected[1])
    assert max(seen) <= max(block, 15)
    assert sum(seen) == 2 * 60 * 15


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_narrow_numbers_are_compared_in_wide_ones(dtype: torch.dtype) -> None:
    x, labels, weight = (part.to(dtype) if part.is_floating_point() else part for part in faces())
    assert torch.equal(
        dominant_centers(x, labels, weight), dominant_centers(x.float(), labels, weight.float())
    )
    found = outliers(x, labels.int(), weight)
    assert torch.equal(found, outliers(x.float(), labels, weight.float()))
    wide = outliers(x, labels, weight.double())
    assert torch.equal(wide, outliers(x.double(), labels, weight.double()))
    assert torch.equal(found, outliers(Embedding.of(x), labels, weight))


def test_an_angle_to_a_half_precision_centre_is_exact_to_float32() -> None:
    x, y, weight = torch.tensor([[1.0, 0]]), torch.tensor([0]), torch.tensor([[[3, 1e-3]]]).half()
    exact = math.atan2(weight[0, 0, 1].item(), 3)
    assert outliers(x, y, weight, exact * (1 - 1e-5))
    assert not outliers(x, y, weight, exact * (1 + 1e-5))


def test_a_double_weight_is_not_squeezed_into_float32() -> None:
    weight = torch.tensor([[[0, 1e300], [1e300, 1e300]]], dtype=torch.float64)
    x, y = torch.ones(1, 2), torch.tensor([0])
    assert dominant_centers(x, y, weight).tolist() == [1]
    assert not outliers(x, y, weight, 1e-6)


def trained() -> tuple[MarginHead, Tensor, Tensor]:
    x, labels, weight = faces()
    head = MarginHead.from_weights(weight, "curricularface:s=16").double()
    head(x, labels)
    return head, x, labels


def test_the_kept_centres_make_a_head_of_one_centre_a_class() -> None:
    head, x, labels = trained()
    before = head.weight.detach().clone()
    kept = keep_dominant(head, x, labels)
    rows = before[torch.arange(6), dominant_centers(x, labels, head.weight)]
    assert torch.equal(kept.weight, rows)
    assert torch.equal(head.weight, before)
    expected = 16 * F.normalize(x) @ F.normalize(rows).t()
    torch.testing.assert_close(kept.logits(x), expected)
    assert "centers" not in repr(kept)
    fresh = MarginHead(5, 6, "curricularface:s=16").double()
    fresh.load_state_dict(kept.state_dict())
    assert fresh(x, labels) == kept(x, labels)


@pytest.mark.parametrize("wants_gradient", [True, False])
def test_all_but_the_centres_stays_with_the_head(wants_gradient: bool) -> None:
    head, x, labels = trained()
    head.eval().requires_grad_(wants_gradient)
    kept = keep_dominant(head, x, labels)
    assert kept.margin == head.margin
    assert kept.geometry == head.geometry
    assert kept.hardness == head.hardness != 0
    assert not kept.training
    assert kept.weight.requires_grad == wants_gradient
    assert isinstance(kept.weight, torch.nn.Parameter)
    kept.train()(x, labels)
    assert kept.hardness != head.hardness  # its own copy


def test_wrong_labels_gather_at_another_centre_and_are_found() -> None:
    """A fifth of class 0 is somebody else: training gives them a centre of their own."""
    torch.manual_seed(0)
    directions = torch.eye(16)[:4]
    person = torch.arange(160) % 4
    x = directions[person] + 0.05 * torch.randn(160, 16)
    labels = person % 3  # people 0 and 3 have one label
    x, labels, person = (
        part[(person != 3) | (torch.arange(160) < 40)] for part in (x, labels, person)
    )
    head = MarginHead(16, 3, "subcenterarcface:m=0.2,s=16")
    optimiser = torch.optim.SGD(head.parameters(), lr=0.5, momentum=0.9)
    for _ in range(100):
        optimiser.zero_grad()
        head(x, labels).backward()
        optimiser.step()
    found = outliers(x, labels, head.weight)
    assert torch.equal(found, person == 3)
    clean = keep_dominant(head, x, labels)
    assert (clean.logits(x[~found]).argmax(1) == labels[~found]).all()


class Part(Here):
    def size(self, num_classes: int) -> int:
        return num_classes - 1


class Stepping:
    update = staticmethod(lambda *_: None)
    __call__ = staticmethod(dense)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x, y, w: outliers(x, y, w, 75), "angle=1.309 is the same one"),
        (lambda x, y, w: outliers(x, y, w, -0.1), "0 <= angle <= π, got -0.1"),
        (lambda x, y, w: outliers(x, y, w, 200), "0 <= angle <= π, got 200"),
        (lambda x, y, w: outliers(x, y, w, math.nan), "got nan"),
        (lambda x, y, w: outliers(x, y, w, "75"), "got '75'"),
        (lambda x, y, w: outliers(x, y + 6, w), "expected 0 <= label < 6 (num_classes)"),
        (lambda x, y, w: outliers(x, y[1:], w), "labels: expected shape (60,)"),
        (
            lambda x, y, w: outliers(x[:, :4], y, w),
            "weight: expected (C, K, 4) for these embeddings",
        ),
        (lambda x, y, w: outliers(x, y, w[0, 0]), "or (C, 5), got (5,)"),
        (lambda x, y, w: outliers(x, y, w[:0]), "got (0, 3, 5)"),
        (lambda x, y, w: dominant_centers(x * math.inf, y, w), "NaN or infinity in row 0"),
        (lambda x, y, w: dominant_centers(x, y, w.int()), "weight: expected a floating dtype, got"),
        (
            lambda x, y, w: keep_dominant(MarginHead(5, 6, "arcface"), x, y),
            "keep_dominant: expected a head with several sub-centres a class, got one",
        ),
        (
            lambda x, y, w: keep_dominant(MarginHead(5, 6, "arcface:k=3", shard=Part()), x, y),
            "keep_dominant: expected a head with all of its 6 classes",
        ),
        (
            lambda x, y, w: keep_dominant(MarginHead(5, 6, "arcface:k=3", kernel=Stepping()), x, y),
            "keep_dominant: expected a kernel that leaves the weight alone",
        ),
    ],
)
def test_what_does_not_fit_is_refused(use, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        use(*faces())
