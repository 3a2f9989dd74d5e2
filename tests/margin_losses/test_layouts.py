"""The class matrix of a head: directions, rows that come and go, other libraries' layouts."""

import copy
import math
import re
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from heads import EXACT, assert_same_buffers, double_head, gradients
from pytorch_metric_learning import losses as pml
from samples import small_batch
from torch import Tensor

from margin_losses import (
    COSINE,
    MARGINS,
    Annealed,
    ArcFace,
    Chunked,
    Margin,
    MarginHead,
    PerClass,
    SubCenterArcFace,
    dense,
)

every_head = pytest.mark.parametrize("name", [*MARGINS, "sphereface+annealed"])


@every_head
def test_prototypes_are_the_unit_directions_the_logits_use(name: str) -> None:
    x, _, _ = small_batch()
    head = double_head(name)
    found = head.prototypes()
    k = head.margin.centers
    assert found.shape == ((5, 4) if k == 1 else (5, k, 4))
    torch.testing.assert_close(found, F.normalize(head.weight.detach(), dim=-1), **EXACT)
    if head.geometry.is_cosine and not head.margin.chooses_scale:
        cos = (F.normalize(x) @ found.view(-1, 4).t()).view(6, 5, k).amax(-1)
        torch.testing.assert_close(head.logits(x), head.geometry.scale * cos, **EXACT)


def test_prototypes_are_a_copy_without_bias_and_zero_rows_stay_zero() -> None:
    head = MarginHead(4, 5, "softmax", bias=True).half()
    with torch.no_grad():
        head.weight[:, 4] = 9
        head.weight[2] = 0
    before = head.weight.detach().clone()
    found = head.prototypes()
    assert found.shape == (5, 4)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert (found[2] == 0).all()
    torch.testing.assert_close(found[[0, 1, 3, 4]].norm(dim=1), torch.ones(4))
    found.zero_()
    assert torch.equal(head.weight, before)
    whole = MarginHead(4, 5, "arcface").double()
    whole.prototypes().zero_()
    whole.class_matrix().zero_()
    assert whole.weight.abs().sum() > 0


def test_new_classes_come_after_the_old_ones_which_stay_as_they_are() -> None:
    head = double_head("arcface")
    before = head.weight.detach().clone()
    torch.manual_seed(3)
    assert head.add_classes(2) == range(5, 7)
    torch.manual_seed(3)
    drawn = torch.nn.init.normal_(torch.empty(2, 4).double(), std=0.5)
    assert torch.equal(head.weight[:5], before)
    assert torch.equal(head.weight[5:], drawn)
    assert head.num_classes == 7
    assert repr(head).startswith("MarginHead(4, 7, ArcFace(m=0.5")
    people = torch.randn(3, 4)
    assert head.add_classes(people) == range(7, 10)
    assert torch.equal(head.weight[7:], people.double())
    x, _, _ = small_batch(n=2)
    labels = torch.tensor([9, 5])
    same = MarginHead.from_weights(head.weight, "arcface")
    assert head(x, labels) == same(x, labels)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
@pytest.mark.parametrize("wants_gradient", [True, False])
def test_dtype_and_requires_grad_outlive_a_change_of_classes(dtype, wants_gradient) -> None:
    head = MarginHead(4, 5, "arcface").to(dtype).requires_grad_(wants_gradient)
    for change in (
        lambda: head.add_classes(1),
        lambda: head.add_classes(torch.randn(1, 4, requires_grad=True)),
        lambda: head.remove_classes([0]),
    ):
        before = head.weight
        change()
        assert head.weight is not before
        assert [p is head.weight for p in head.parameters()] == [True]
        assert head.weight.dtype == dtype
        assert head.weight.requires_grad == wants_gradient
        assert head.weight.is_leaf
        assert head.weight.grad is None


def test_new_rows_have_the_shape_of_the_old() -> None:
    wide = double_head("softmax", bias=True)
    wide.add_classes(2)
    assert (wide.weight[5:, 4] == 0).all()
    wide.add_classes(torch.ones(1, 4))
    wide.add_classes(2 * torch.ones(1, 5))
    assert wide.weight[7:].tolist() == [[1, 1, 1, 1, 0], [2, 2, 2, 2, 2]]
    deep = double_head("arcface", centers=3)
    rows = torch.randn(2, 3, 4).double()
    assert deep.add_classes(rows) == range(5, 7)
    assert torch.equal(deep.weight[5:], rows)
    assert deep.add_classes(1) == range(7, 8)
    assert deep.weight.shape == (8, 3, 4)


@every_head
def test_running_statistics_outlive_a_change_of_classes(name: str) -> None:
    x, _, y = small_batch()
    head = double_head(name)
    head(3 * x, y)
    before = copy.deepcopy(head)
    head.add_classes(3)
    head.remove_classes([0])
    assert_same_buffers(head, before)
    assert head(x, torch.full_like(y, 6)).isfinite()


@every_head
def test_a_head_without_some_classes_trains_as_one_that_never_had_them(name: str) -> None:
    x, _, y = small_batch(n=12)
    head = double_head(name)
    rows = head.weight.detach()[[0, 2, 4]]
    mapping = head.remove_classes([3, 1])
    assert mapping.tolist() == [0, -1, 1, -1, 2]
    assert mapping.dtype == torch.int64
    assert head.num_classes == 3
    fresh = MarginHead(4, 3, name).double()
    fresh.load_state_dict({**head.state_dict(), "weight": rows})
    left = mapping[y] >= 0
    found = gradients(head, x[left], mapping[y][left])
    expected = gradients(fresh, x[left], mapping[y][left])
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert_same_buffers(head, fresh)
    assert repr(head).startswith("MarginHead(4, 3, ")
    # rows of dropped classes can also be left in the batch
    again = gradients(head, x, mapping[y], ignore_index=-1)
    torch.testing.assert_close(again[1][left], gradients(fresh, x[left], mapping[y][left])[1])


@pytest.mark.parametrize(
    "labels",
    [[1, 3], (3, 1), {1, 3}, range(1, 4, 2), torch.tensor([3, 1]), torch.tensor([1, 3]).byte()],
    ids=["list", "tuple", "set", "range", "tensor", "bytes"],
)
def test_classes_are_removed_by_any_list_of_labels(labels: object) -> None:
    head = double_head("arcface")
    kept = head.weight.detach()[[0, 2, 4]]
    assert head.remove_classes(labels).tolist() == [0, -1, 1, -1, 2]
    assert torch.equal(head.weight, kept)


@pytest.mark.parametrize("nothing", [[], torch.tensor([])], ids=["list", "tensor"])
def test_adding_and_removing_nothing_changes_no_number(nothing: object) -> None:
    head = double_head("arcface")
    before = head.weight.detach().clone()
    assert head.remove_classes(nothing).tolist() == [0, 1, 2, 3, 4]
    assert head.add_classes(0) == range(5, 5)
    assert head.add_classes(torch.zeros(0, 4)) == range(5, 5)
    assert torch.equal(head.weight, before)


OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "plain": lambda p: torch.optim.SGD(p, lr=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1, momentum=0.9),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
}


def stepped(name: str) -> tuple[MarginHead, torch.nn.Linear, torch.optim.Optimizer]:
    """A network and a head after a few steps."""
    torch.manual_seed(0)
    network, head = torch.nn.Linear(4, 4).double(), MarginHead(4, 5, "arcface:s=8").double()
    optimiser = OPTIMISERS[name]([*network.parameters(), head.weight])
    for _ in range(3):
        step(head, network, optimiser, torch.arange(5))
    return head, network, optimiser


def step(head, network, optimiser, labels: Tensor) -> None:
    x = torch.linspace(-2, 3, 4 * len(labels)).sin().double().view(-1, 4)
    optimiser.zero_grad()
    head(network(x), labels).backward()
    optimiser.step()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_goes_on_with_the_classes_that_are_left(name: str) -> None:
    """Classes that come and go again leave no trace: as if the head had always been as it is."""
    head, network, optimiser = stepped(name)
    twin, twin_network, twin_optimiser = stepped(name)
    head.add_classes(2, optimiser=optimiser)
    head.remove_classes([6, 5], optimiser=optimiser)
    for one in ((head, network, optimiser), (twin, twin_network, twin_optimiser)):
        step(*one, torch.arange(5))
    assert torch.equal(head.weight, twin.weight)
    assert torch.equal(network.weight, twin_network.weight)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_steps_old_rows_on_and_new_rows_from_rest(name: str) -> None:
    head, _, optimiser = stepped(name)
    twin, _, twin_optimiser = stepped(name)
    added = head.add_classes(torch.zeros(2, 4), optimiser=optimiser)
    gradient = torch.linspace(-1, 1, 20).double().view(5, 4)
    for _ in range(2):
        twin.weight.grad = gradient
        head.weight.grad = torch.cat([gradient, torch.zeros(2, 4).double()])
        optimiser.step()
        twin_optimiser.step()
        torch.testing.assert_close(head.weight[:5], twin.weight, rtol=1e-14, atol=0)
        assert (head.weight[added] == 0).all()
    gone = head.remove_classes([1, 2, 6], optimiser=optimiser)
    kept = gone[:5] >= 0
    twin.weight.grad, head.weight.grad = gradient, torch.zeros(4, 4).double()
    head.weight.grad[:3] = gradient[kept]
    optimiser.step()
    twin_optimiser.step()
    torch.testing.assert_close(head.weight[:3], twin.weight[kept], rtol=1e-14, atol=0)


def test_an_optimiser_keeps_its_groups_and_what_else_it_knows() -> None:
    head, network, optimiser = stepped("adam")
    others = {id(p): optimiser.state[p] for p in network.parameters()}
    old, steps = head.weight, optimiser.state[head.weight]["step"]
    head.add_classes(1, optimiser=optimiser)
    (group,) = optimiser.param_groups
    expected = [*network.parameters(), head.weight]
    assert all(p is q for p, q in zip(group["params"], expected, strict=True))
    assert old not in optimiser.state
    assert optimiser.state[head.weight]["step"] is steps
    assert {id(p): optimiser.state[p] for p in network.parameters()} == others
    fresh = OPTIMISERS["adam"](head.parameters())  # nothing stepped yet: no state to change
    head.add_classes(1, optimiser=fresh)
    assert not fresh.state
    assert fresh.param_groups[0]["params"] == [head.weight]


def test_an_optimiser_that_is_not_told_steps_nothing_of_the_head() -> None:
    head, network, optimiser = stepped("sgd")
    head.add_classes(1)
    before = head.weight.detach().clone()
    step(head, network, optimiser, torch.arange(6))
    assert torch.equal(head.weight, before)


def test_each_class_of_a_per_class_margin_takes_its_margin_along() -> None:
    x, _, y = small_batch()
    margin = Annealed(PerClass(ArcFace(), (0.1, 0.2, 0.3, 0.4, 0.5)))
    head = MarginHead(4, 5, margin).double()
    head.add_classes(2, margins=[0.6, 0.7])
    mapping = head.remove_classes([0, 3])
    expected = Annealed(PerClass(ArcFace(), (0.2, 0.3, 0.5, 0.6, 0.7)))
    assert head.margin == expected
    same = MarginHead(4, 5, expected).double()
    torch.testing.assert_close(head.class_margins, same.class_margins)
    same.load_state_dict({**same.state_dict(), "weight": head.weight})
    y = mapping[torch.tensor([1, 2, 4, 5, 6, 6])]
    torch.testing.assert_close(head(x, y), same(x, y))
    head.add_classes(1, margins=torch.tensor([0.25]))
    assert head.class_margins.tolist() == pytest.approx([0.2, 0.3, 0.5, 0.6, 0.7, 0.25])
    assert copy.deepcopy(head).load_state_dict(head.state_dict())
    head.reset_parameters()
    assert head.class_margins.tolist() == pytest.approx([0.2, 0.3, 0.5, 0.6, 0.7, 0.25])


@dataclass(frozen=True)
class Counted(Margin):
    """It keeps how often each class was seen."""

    def init(self, num_classes: int) -> dict[str, Tensor]:
        return {"seen": torch.zeros(num_classes)}


class Stepping:
    """A kernel that steps the weight itself."""

    update = staticmethod(lambda *_: None)
    __call__ = staticmethod(dense)

    def __repr__(self) -> str:
        return "Stepping()"


def adafactor(head: MarginHead) -> torch.optim.Optimizer:
    optimiser = torch.optim.Adafactor(head.parameters())
    head(torch.ones(1, 4), torch.tensor([0])).backward()
    optimiser.step()
    return optimiser


@pytest.mark.parametrize(
    ("made", "change", "message"),
    [
        ("arcface", lambda h: h.add_classes(-1), "add_classes: expected how many classes, a whole"),
        ("arcface", lambda h: h.add_classes(1.0), "or a tensor with a row for each, got 1.0"),
        ("arcface", lambda h: h.add_classes(True), "got True"),
        ("arcface", lambda h: h.add_classes([[1.0] * 4]), "got [[1.0, 1.0, 1.0, 1.0]]"),
        ("arcface", lambda h: h.add_classes(torch.ones(4)), "a floating dtype and shape (n, 4), got"),
        ("arcface", lambda h: h.add_classes(torch.ones(2, 5)), "got torch.float32 of (2, 5)"),
        ("arcface", lambda h: h.add_classes(torch.tensor(3)), "got torch.int64 of ()"),
        ("arcface", lambda h: h.add_classes(torch.ones(1, 4).int()), "got torch.int32 of (1, 4)"),
        ("arcface:k=3", lambda h: h.add_classes(torch.ones(1, 4)), "shape (n, 3, 4), got"),
        ("arcface", lambda h: h.add_classes(torch.full((1, 4), math.nan)), "expected finite numb"),
        ("arcface", lambda h: h.half().add_classes(torch.full((1, 4), 1e5)), "range of torch.floa"),
        ("arcface", lambda h: h.add_classes(1, margins=[0.5]), "none for each class; leave out mar"),
        ("arcface", lambda h: h.add_classes(1, optimiser="sgd"), "expected a torch.optim.Optimizer"),
        (
            "arcface",
            lambda h: h.add_classes(1, optimiser=OPTIMISERS["sgd"](double_head("arcface").parameters())),
            "optimiser: expected the one that steps this head's weight",
        ),
        (
            "arcface",
            lambda h: h.add_classes(1, optimiser=adafactor(h)),
            "expected state of the weight's shape (5, 4), got row_var of (5, 1) from Adafactor",
        ),
        ("per class", lambda h: h.add_classes(2), "margins= with one for each of the 2 new ones, got"),
        ("per class", lambda h: h.add_classes(2, margins=[0.5]), "of the 2 new ones, got 1"),
        ("per class", lambda h: h.add_classes(1, margins=[28.6]), "m=0.4992 is the same angle"),
        ("counted", lambda h: h.add_classes(1), "keeps numbers for each class in 'seen'"),
        ("counted", lambda h: h.remove_classes([0]), "with a margin made for 4 classes"),
        ("stepping", lambda h: h.add_classes(1), "add_classes: expected a kernel that leaves the we"),
        ("stepping", lambda h: h.remove_classes([1]), "got Stepping(), whose update= knows"),
        ("arcface", lambda h: h.remove_classes([5]), "labels 0 <= label < 5, each once, got 5"),
        ("arcface", lambda h: h.remove_classes([0, -1]), "0 <= label < 5, each once, got -1"),
        ("arcface", lambda h: h.remove_classes([0, 3, 3]), "each once, got 3 more than once"),
        ("arcface", lambda h: h.remove_classes([1.0]), "as whole numbers, got torch.float32"),
        ("arcface", lambda h: h.remove_classes(torch.ones(5) > 0), "got torch.bool"),
        ("arcface", lambda h: h.remove_classes(2), "expected a list of labels 0 <= label < 5"),
        ("arcface", lambda h: h.remove_classes(torch.tensor(2)), "got tensor(2)"),
        ("arcface", lambda h: h.remove_classes(torch.tensor([[1]])), "got tensor([[1]])"),
        ("arcface", lambda h: h.remove_classes(range(5)), "needs at least 1 classes, 0 would be left"),
        ("adacos", lambda h: h.remove_classes([0, 1, 2]), "AdaCos() needs at least 3 classes, 2 would"),
        (
            "arcface",
            lambda h: h.remove_classes([0], optimiser=OPTIMISERS["sgd"]([torch.ones(1)])),
            "got one that does not have it; leave it out, or make it from head.parameters()",
        ),
    ],
)  # fmt: skip
def test_a_refused_change_of_classes_changes_nothing(made: str, change, message: str) -> None:
    special = {
        "per class": {"margin": PerClass(ArcFace(), (0.5,) * 5)},
        "counted": {"margin": Counted()},
        "stepping": {"margin": ArcFace(), "kernel": Stepping()},
    }
    head = MarginHead(4, 5, **special.get(made, {"margin": made}))
    state = torch.get_rng_state()
    before, number, shown = head.weight, head.num_classes, repr(head)
    with pytest.raises(ValueError, match=re.escape(message)):
        change(head)
    assert head.weight is before
    assert head.num_classes == number
    assert repr(head) == shown
    if "Adafactor" not in message and "optimiser" not in message:
        assert torch.equal(torch.get_rng_state(), state)


# -- from other libraries --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("loss", "margin"),
    [
        (lambda: pml.ArcFaceLoss(11, 8), ArcFace(math.radians(28.6))),
        (lambda: pml.ArcFaceLoss(11, 8, margin=20, scale=16), "arcface:m=0.3490658503988659,s=16"),
        (lambda: pml.LargeMarginSoftmaxLoss(11, 8), "lsoftmax"),
        (lambda: pml.LargeMarginSoftmaxLoss(11, 8, margin=2, scale=3), "lsoftmax:m=2,s=3"),
        (
            lambda: pml.SubCenterArcFaceLoss(num_classes=11, embedding_size=8),
            SubCenterArcFace(math.radians(28.6)),
        ),
        (
            lambda: pml.SubCenterArcFaceLoss(num_classes=11, embedding_size=8, sub_centers=5),
            f"arcface:m={math.radians(28.6)},k=5",
        ),
    ],
    ids=["arcface", "arcface-20", "lsoftmax", "lsoftmax-2", "subcenter", "subcenter-5"],
)
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # the peer's, on numpy 2
def test_a_head_of_pytorch_metric_learning_goes_on_here(loss, margin, dtype) -> None:
    torch.manual_seed(0)
    theirs = loss()
    x, y = torch.randn(16, 8, dtype=dtype), torch.arange(16) % 11
    expected = theirs(x, y)
    head = MarginHead.from_weights(theirs.W, margin, layout="DC")
    assert head.weight.dtype == dtype
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(head(x, y), expected, rtol=tolerance, atol=0)
    assert torch.equal(head.class_matrix("DC"), theirs.W)


def test_a_linear_layer_goes_on_as_a_softmax_head() -> None:
    x, _, y = small_batch()
    linear = torch.nn.Linear(4, 5).double()
    head = MarginHead.from_weights(linear.weight, "softmax", bias=linear.bias)
    torch.testing.assert_close(head(x, y), F.cross_entropy(linear(x), y), **EXACT)
    assert torch.equal(head.class_matrix(), linear.weight)
    assert torch.equal(head.weight[:, -1], linear.bias)
    assert head.weight.requires_grad


@pytest.mark.parametrize("layout", ["CD", "DC"])
def test_a_head_copies_the_matrix_it_is_made_of(layout: str) -> None:
    theirs = torch.ones(4, 4)
    MarginHead.from_weights(theirs, "arcface", layout=layout).weight.data.zero_()
    assert (theirs == 1).all()


def test_every_layout_is_read_and_written() -> None:
    ours = torch.arange(24.0).view(2, 3, 4)  # 2 classes of 3 sub-centres in 4 dimensions
    rows = ours.reshape(6, 4)
    for weight, layout in ((ours, "CD"), (rows, "CD"), (rows.t(), "DC")):
        head = MarginHead.from_weights(weight, ArcFace(), layout=layout, centers=3)
        assert torch.equal(head.weight, ours)
        assert head.weight.is_contiguous()
    assert torch.equal(head.class_matrix(), rows)
    assert torch.equal(head.class_matrix("DC"), rows.t())
    assert head.class_matrix("DC").is_contiguous()
    assert torch.equal(MarginHead.from_weights(ours, ArcFace()).weight, ours)
    assert torch.equal(MarginHead.from_weights(rows.t(), "arcface:k=3", layout="DC").weight, ours)
    assert MarginHead.from_weights(rows, "subcenterarcface").weight.shape == (2, 3, 4)
    assert MarginHead.from_weights(rows, "subcenterarcface", centers=1).weight.shape == (6, 4)
    single = MarginHead.from_weights(rows.view(6, 1, 4), "arcface")
    assert single.weight.shape == (6, 4)
    wide = MarginHead.from_weights(
        rows.half().t(), "cosface", layout="DC", scale=8.0, kernel=Chunked()
    )
    assert wide.weight.dtype == torch.float16
    assert wide.geometry == COSINE._replace(scale=8.0)
    assert wide.kernel == Chunked()


@pytest.mark.parametrize(
    ("weight", "options", "message"),
    [
        ([[1.0]], {}, "weight: expected a torch tensor, got list"),
        (torch.ones(2, 4).int(), {}, "weight: expected a floating dtype, got torch.int32"),
        (torch.full((2, 4), math.inf), {}, "weight: expected finite numbers"),
        (torch.ones(4), {}, "layout 'CD' is (C K, D) or (C, K, D) with nothing empty, got (4,)"),
        (torch.ones(0, 4), {}, "got (0, 4)"),
        (torch.ones(2, 3, 4), {"layout": "DC"}, "layout 'DC' is (D, C K) with nothing empty, got"),
        (torch.ones(5, 4), {"centers": 3}, "does not hold K = 3 sub-centres a class"),
        (torch.ones(2, 3, 4), {"centers": 2}, "(2, 3, 4) does not hold K = 2"),
        (torch.ones(5, 4), {"centers": 0}, "expected a whole number 1 <= K <= 100"),
        (torch.ones(5, 4), {"layout": "cd"}, "layout: expected 'CD' (a class is a row) or 'DC'"),
        (torch.ones(5, 4), {"bias": torch.ones(5)}, "has no bias in its formula"),
        (torch.ones(5, 4), {"scale": -1}, "expected a number 0 < s <= 1000"),
    ],
)
def test_a_matrix_that_is_none_is_refused(weight, options, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        MarginHead.from_weights(weight, "arcface", **options)


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        (torch.ones(4), "bias: expected one number per class, (5,), got (4,)"),
        ([1.0] * 5, "bias: expected a torch tensor, got list"),
        (torch.ones(5).long(), "bias: expected a floating dtype"),
        (torch.full((5,), math.nan), "bias: expected finite numbers"),
    ],
)
def test_a_bias_that_is_none_is_refused(bias, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        MarginHead.from_weights(torch.ones(5, 4), "softmax", bias=bias)


def test_an_unknown_layout_is_not_written() -> None:
    with pytest.raises(ValueError, match="layout: expected 'CD'"):
        MarginHead(4, 5, "arcface").class_matrix("CKD")
