"""The article's numbers, derivations and claims."""

import math
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd.functional import hessian, jacobian

from margin_losses import article
from margin_losses.article import (
    WORKED_EXAMPLE,
    binary_cross_entropy,
    classification_error,
    cross_entropy,
    mean_squared_error,
    sigmoid_cross_entropy,
    sigmoid_cross_entropy_chain,
    sigmoid_cross_entropy_gradient,
    sigmoid_squared_error,
    sigmoid_squared_error_chain,
    sigmoid_squared_error_gradient,
    softmax_cross_entropy,
    softmax_cross_entropy_chain,
    softmax_cross_entropy_gradient,
    softmax_jacobian,
    steps_to_learn,
)

EXACT = {"rtol": 1e-12, "atol": 1e-12}
BINARY = [
    (sigmoid_cross_entropy, sigmoid_cross_entropy_chain, sigmoid_cross_entropy_gradient),
    (sigmoid_squared_error, sigmoid_squared_error_chain, sigmoid_squared_error_gradient),
]


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def one(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


# -- the worked example ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "error", "squared", "entropy"),
    [(0, 1 / 3, 2.42 / 3, 1.378), (1, 1 / 3, 1.02 / 3, 0.639)],
)
def test_the_worked_example(model: int, error: float, squared: float, entropy: float) -> None:
    p, labels = WORKED_EXAMPLE.models[model], WORKED_EXAMPLE.labels
    assert classification_error(p, labels).item() == pytest.approx(error, abs=1e-15)
    assert mean_squared_error(p, labels).item() == pytest.approx(squared, abs=1e-15)
    assert cross_entropy(p, labels).item() == pytest.approx(entropy, abs=5e-4)


def test_only_the_error_cannot_tell_the_two_models_apart() -> None:
    (first, second), labels = WORKED_EXAMPLE
    assert classification_error(first, labels) == classification_error(second, labels)
    assert mean_squared_error(first, labels) > mean_squared_error(second, labels)
    assert cross_entropy(first, labels) > cross_entropy(second, labels)


# -- values ----------------------------------------------------------------------------------------


def test_losses_of_scores_agree_with_torch() -> None:
    scores, labels = normal(50, 7, scale=20), torch.arange(50) % 7
    torch.testing.assert_close(
        softmax_cross_entropy(scores, labels), F.cross_entropy(scores, labels), **EXACT
    )
    s, y = scores[:, 0], (labels % 2).double()
    torch.testing.assert_close(
        sigmoid_cross_entropy(s, y), F.binary_cross_entropy_with_logits(s, y), **EXACT
    )
    torch.testing.assert_close(sigmoid_squared_error(s, y), F.mse_loss(s.sigmoid(), y), **EXACT)


def test_losses_of_probabilities_agree_with_losses_of_scores() -> None:
    scores, labels = normal(50, 7), torch.arange(50) % 7
    torch.testing.assert_close(
        cross_entropy(scores.softmax(1), labels), softmax_cross_entropy(scores, labels), **EXACT
    )
    s, y = scores[:, 0], labels % 2
    torch.testing.assert_close(
        binary_cross_entropy(s.sigmoid(), y), sigmoid_cross_entropy(s, y), **EXACT
    )


def test_two_classes_are_the_softmax_of_a_zero_and_the_score() -> None:
    s, y = normal(20, scale=5), torch.arange(20) % 2
    both = torch.stack([torch.zeros_like(s), s], 1)
    torch.testing.assert_close(softmax_cross_entropy(both, y), sigmoid_cross_entropy(s, y), **EXACT)


def test_one_hot_rows_and_labels_mean_the_same() -> None:
    p, labels = WORKED_EXAMPLE.models[0], WORKED_EXAMPLE.labels
    expected = mean_squared_error(p, labels)
    for rows in (F.one_hot(labels, 3), F.one_hot(labels, 3).bool(), F.one_hot(labels, 3).float()):
        assert mean_squared_error(p, rows) == expected


def test_a_tie_with_the_right_class_is_an_error() -> None:
    p = torch.tensor([[0.5, 0.5, 0.0], [0.4, 0.3, 0.3]])
    assert classification_error(p, torch.tensor([0, 0])) == 0.5
    assert classification_error(p, torch.tensor([1, 0])) == 0.5
    assert classification_error(p, torch.tensor([2, 1])) == 1.0


def test_a_single_class_is_always_right() -> None:
    assert classification_error(torch.ones(2, 1), torch.zeros(2, dtype=torch.long)) == 0


def test_an_impossible_label_costs_infinity_as_a_probability_but_not_as_a_score() -> None:
    p, label = torch.tensor([[1.0, 0.0]]), torch.tensor([1])
    assert cross_entropy(p, label) == math.inf
    assert binary_cross_entropy(torch.tensor([0.0]), label) == math.inf
    assert softmax_cross_entropy(torch.tensor([[1e30, -1e30]]), label) == torch.tensor(2e30)
    assert sigmoid_cross_entropy(torch.tensor([-1e30]), label) == torch.tensor(1e30)


def test_certainty_that_is_right_costs_nothing() -> None:
    p, label = torch.tensor([[0.0, 1.0]]), torch.tensor([1])
    assert cross_entropy(p, label) == 0
    assert mean_squared_error(p, label) == 0
    assert binary_cross_entropy(torch.tensor([1.0, 0.0]), torch.tensor([1, 0])) == 0


# -- gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "chain", "closed"), BINARY)
def test_three_factors_make_the_gradient_of_two_classes(loss, chain, closed) -> None:
    x, w, b = normal(9, 4), normal(4, seed=1), normal(1, seed=2)[0]
    y = torch.arange(9) % 2
    # the sum of single losses: every sample's own gradient at once
    of_w, of_b = jacobian(
        lambda w, b: torch.stack([loss(x[i : i + 1] @ w + b, y[i : i + 1]) for i in range(9)]),
        (w, b),
    )
    factors = chain(x, w, b, y)
    torch.testing.assert_close(factors.product, of_w, **EXACT)
    torch.testing.assert_close(factors.dl_ds, of_b, **EXACT)
    torch.testing.assert_close(closed(x, w, b, y), of_w, **EXACT)
    torch.testing.assert_close(closed(x, w, b, y.bool()), of_w, **EXACT)


@pytest.mark.parametrize(
    ("loss", "chain"),
    [
        (binary_cross_entropy, sigmoid_cross_entropy_chain),
        (lambda p, y: (p - y).square().mean(), sigmoid_squared_error_chain),
    ],
    ids=["cross-entropy", "squared error"],
)
def test_each_factor_of_two_classes_is_what_autograd_says(loss, chain) -> None:
    x, w, b, y = normal(6, 3), normal(3, seed=1), one(0.3)[0], torch.arange(6) % 2
    s = x @ w + b
    factors = chain(x, w, b, y)
    torch.testing.assert_close(
        factors.dl_dp, 6 * jacobian(lambda p: loss(p, y), s.sigmoid()), **EXACT
    )
    torch.testing.assert_close(factors.dp_ds.diag(), jacobian(lambda s: s.sigmoid(), s), **EXACT)
    torch.testing.assert_close(factors.ds_dw, jacobian(lambda w: x @ w + b, w), **EXACT)


def test_each_factor_of_many_classes_is_what_autograd_says() -> None:
    x, w, b = normal(1, 3), normal(5, 3, seed=1), normal(5, seed=2)
    label = torch.tensor([3])
    s = x @ w.T + b
    factors = softmax_cross_entropy_chain(x, w, b, label)
    torch.testing.assert_close(
        factors.dl_dp[0], jacobian(lambda p: -p[0, 3].log(), s.softmax(1))[0], **EXACT
    )
    torch.testing.assert_close(factors.dp_ds[0], jacobian(lambda s: s.softmax(0), s[0]), **EXACT)
    torch.testing.assert_close(factors.ds_dw[0], jacobian(lambda w: w @ x[0] + b, w), **EXACT)


def test_the_chain_makes_the_gradient_of_many_classes() -> None:
    x, w, b = normal(6, 3), normal(5, 3, seed=1), normal(5, seed=2)
    labels = torch.tensor([0, 1, 2, 3, 4, 4])

    def losses(w: Tensor, b: Tensor) -> Tensor:
        return F.cross_entropy(x @ w.T + b, labels, reduction="none")

    of_w, of_b = jacobian(losses, (w, b))
    factors = softmax_cross_entropy_chain(x, w, b, labels)
    torch.testing.assert_close(factors.product, of_w, **EXACT)
    torch.testing.assert_close(factors.dl_ds, of_b, **EXACT)
    closed = softmax_cross_entropy_gradient(x, w, b, labels)
    torch.testing.assert_close(closed, of_w, **EXACT)


@pytest.mark.parametrize(
    "loss", [sigmoid_cross_entropy, sigmoid_squared_error, softmax_cross_entropy]
)
def test_losses_of_scores_pass_gradcheck_twice(loss) -> None:
    shape = (4, 3) if loss is softmax_cross_entropy else (4,)
    scores, labels = normal(*shape).requires_grad_(), torch.tensor([0, 1, 1, 0])
    assert torch.autograd.gradcheck(loss, (scores, labels))
    assert torch.autograd.gradgradcheck(loss, (scores, labels))


@pytest.mark.parametrize("loss", [cross_entropy, mean_squared_error])
def test_losses_of_probabilities_pass_gradcheck(loss) -> None:
    p = WORKED_EXAMPLE.models[0].clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (p, WORKED_EXAMPLE.labels))


def test_the_closed_forms_survive_where_the_chain_divides_by_nothing() -> None:
    x, zero = torch.ones(1, 1), torch.tensor(0.0)
    label = torch.tensor([1])
    far = torch.tensor([-200.0])
    assert sigmoid_cross_entropy_chain(x, far, zero, label).product.isnan().all()
    assert sigmoid_cross_entropy_gradient(x, far, zero, label).item() == -1
    two = torch.tensor([[200.0], [0.0]])
    assert softmax_cross_entropy_chain(x, two, torch.zeros(2), label).product.isnan().any()
    closed = softmax_cross_entropy_gradient(x, two, torch.zeros(2), label)
    assert closed.flatten().tolist() == [1, -1]


# -- the article's claims --------------------------------------------------------------------------


@pytest.mark.parametrize("score", [-4.0, -8.0, -16.0, -30.0])
def test_the_squared_error_starts_slowly_where_cross_entropy_does_not(score: float) -> None:
    x, zero, label = torch.ones(1, 1).double(), one(0.0)[0], torch.tensor([1])
    slope = sigmoid_cross_entropy_gradient(x, one(score), zero, label).item()
    slow = sigmoid_squared_error_gradient(x, one(score), zero, label).item()
    p = one(score).sigmoid().item()
    assert slope == pytest.approx(-1, abs=2 * p)
    assert slow / slope == pytest.approx(2 * p * (1 - p))
    assert abs(slow) < 2 * math.exp(score)


def test_the_squared_error_needs_many_times_the_steps() -> None:
    ratios = [
        steps_to_learn(sigmoid_squared_error, start=s)
        / steps_to_learn(sigmoid_cross_entropy, start=s)
        for s in (-2.0, -4.0, -6.0, -8.0)
    ]
    assert ratios == sorted(ratios)
    assert ratios[2] > 10
    assert ratios[3] > 80


def test_learning_counts_from_zero_and_gives_up_in_words() -> None:
    assert steps_to_learn(sigmoid_cross_entropy, start=3.0) == 0
    with pytest.raises(ValueError, match=r"within 5 steps, came to p = .* only; raise limit"):
        steps_to_learn(sigmoid_squared_error, limit=5)
    with pytest.raises(ValueError, match=r"expected a number in \(0, 1\), got 1"):
        steps_to_learn(sigmoid_squared_error, within=1)


@given(st.integers(0, 10_000), st.integers(1, 8), st.floats(0.1, 30))
def test_cross_entropy_is_convex_in_the_scores(seed: int, classes: int, scale: float) -> None:
    scores = normal(1, classes, seed=seed, scale=scale)
    smallest = torch.linalg.eigvalsh(softmax_jacobian(scores)).min()
    assert smallest >= -1e-15 * classes


def test_its_hessian_is_the_softmax_jacobian_whatever_the_label() -> None:
    scores = normal(1, 5)
    for label in range(5):
        second = hessian(lambda s: softmax_cross_entropy(s, torch.tensor([label])), scores)  # noqa: B023
        torch.testing.assert_close(second[0, :, 0], softmax_jacobian(scores)[0], **EXACT)


@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(0, 1), st.integers(0, 1))
def test_no_chord_of_the_binary_cross_entropy_runs_below_it(
    a: float, b: float, t: float, label: int
) -> None:
    def loss(score: float) -> float:
        return sigmoid_cross_entropy(one(score), torch.tensor([label])).item()

    assert loss(t * a + (1 - t) * b) <= t * loss(a) + (1 - t) * loss(b) + 1e-12


def test_the_squared_error_after_a_sigmoid_is_not_convex() -> None:
    label = torch.tensor([1])

    def loss(score: Tensor) -> Tensor:
        return sigmoid_squared_error(score, label)

    assert hessian(loss, one(-2.0)).item() < 0  # it bends down at a mistake
    assert hessian(loss, one(2.0)).item() > 0
    chord = (loss(one(-8.0)) + loss(one(0.0))) / 2
    assert loss(one(-4.0)) > chord + 0.3


@given(st.floats(0.01, 0.98), st.floats(0, 1), st.floats(0, 1))
def test_cross_entropy_does_not_care_how_the_wrong_classes_share_the_rest(
    own: float, share: float, other: float
) -> None:
    def split(t: float) -> Tensor:
        return torch.tensor([[own, (1 - own) * t, (1 - own) * (1 - t)]], dtype=torch.float64)

    label = torch.tensor([0])
    assert cross_entropy(split(share), label) == cross_entropy(split(other), label)


def test_the_squared_error_does_care() -> None:
    even = torch.tensor([[0.4, 0.3, 0.3]])
    uneven = torch.tensor([[0.4, 0.6, 0.0]])
    label = torch.tensor([0])
    assert mean_squared_error(even, label) < mean_squared_error(uneven, label)


# -- refusals --------------------------------------------------------------------------------------

P, Y = torch.tensor([[0.5, 0.5]]), torch.tensor([1])
X, V = torch.ones(2, 3), torch.zeros(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cross_entropy(P[0], Y), "expected shape (N, C) with at least one row"),
        (lambda: cross_entropy(P[:0], Y[:0]), "got (0, 2); two classes are two columns"),
        (lambda: cross_entropy(P * 0.9, Y), "to sum to 1 within 0.001, got 0.9 in row 0; of score"),
        (lambda: cross_entropy(P * math.nan, Y), "expected numbers in [0, 1], got nan; if these"),
        (lambda: cross_entropy(P - 1, Y), "expected numbers in [0, 1], got -0.5"),
        (lambda: cross_entropy(P.long(), Y), "expected a floating dtype, got torch.int64; call"),
        (lambda: cross_entropy(P, Y.float()), "expected whole numbers, got torch.float32; call"),
        (lambda: cross_entropy(P, Y.bool()), "expected whole numbers, got torch.bool"),
        (lambda: cross_entropy(P, Y + 1), "expected 0 <= label < 2, got 2; number the classes"),
        (lambda: cross_entropy(P, Y - 2), "expected 0 <= label < 2, got -1"),
        (lambda: cross_entropy(P, P.long()), "expected shape (1,), one a sample, got (1, 2); one-"),
        (lambda: classification_error(P * 2, Y), "to sum to 1 within 0.001, got 2 in row 0"),
        (lambda: mean_squared_error(P, P), "got rows that are not one-hot; labels are the simpler"),
        (lambda: mean_squared_error(P, torch.ones(1, 2)), "got rows that are not one-hot"),
        (lambda: mean_squared_error(P, torch.ones(1, 3)), "one-hot rows (1, 2), got shape (1, 3)"),
        (lambda: mean_squared_error(P, Y + 5), "expected 0 <= label < 2, got 6"),
        (lambda: mean_squared_error(P * 2, Y), "expected each row to sum to 1"),
        (lambda: binary_cross_entropy(P, Y), "vectors of one length with at least one sample"),
        (lambda: binary_cross_entropy(P[0] * 3, Y), "expected numbers in [0, 1], got 1.5"),
        (lambda: binary_cross_entropy(P[0], Y), "got shapes (2,), (1,)"),
        (lambda: binary_cross_entropy(P[0, :1], Y + 1), "expected 0 or 1, got 2; for more than"),
        (lambda: sigmoid_cross_entropy(P, Y), "expected shape (N,) with at least one sample, got"),
        (lambda: sigmoid_cross_entropy(P[0], Y), "got shapes (2,), (1,); a single sample is"),
        (lambda: sigmoid_squared_error(P[0, :1], Y.float() / 2), "expected 0 or 1, got 0.5"),
        (lambda: softmax_cross_entropy(P[0], Y), "expected shape (N, C) with at least one sample"),
        (lambda: softmax_cross_entropy(P / 0, Y), "floating dtype, got NaN or infinity; look at"),
        (lambda: softmax_cross_entropy(P.long(), Y), "floating dtype, got torch.int64"),
        (lambda: softmax_jacobian(P[0]), "expected shape (N, C)"),
        (
            lambda: sigmoid_cross_entropy_chain(X, X, V[0], Y),
            "expected x (N, D), weight (D,) and a scalar bias, got (2, 3), (2, 3), ()",
        ),
        (lambda: sigmoid_squared_error_chain(X, V, V[0], Y), "one sample, got shapes (2,), (1,)"),
        (
            lambda: softmax_cross_entropy_chain(X, X, V, Y),
            "weight (C, D) and bias (C,), got (2, 3), (2, 3), (3,)",
        ),
        (lambda: softmax_cross_entropy_gradient(X, X, V[:2], Y), "expected shape (2,), one a samp"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_the_public_names_are_documented_and_ordered() -> None:
    assert article.__all__ == sorted(
        article.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)
    )
    for name in article.__all__:
        value = getattr(article, name)
        assert not callable(value) or value.__doc__, name
