"""Projections learned from some people, and judged on others."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from margin_losses import MarginHead
from recognition.contract import Contract, Preprocessing
from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.evaluation import evaluate_strangers
from recognition.protocols import person_folds
from recognition.training import finetuning as finetuning
from recognition.training.finetuning import Finetuned, finetune
from recognition.training.projection import identity
from recognition.training.projection_fit import ProjectionRecipe, _descend, few_people, fit

QUICK = ProjectionRecipe(steps=20, lr=0.5, holdouts=2)
USE, NUISANCE = 4, 8


def mixed(people: int, pictures: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Four directions tell people apart, eight larger ones are noise; turned at random."""
    random = np.random.default_rng(seed)
    who = np.repeat(random.normal(size=(people, USE)), pictures, axis=0)
    told = who + 0.3 * random.normal(size=who.shape)
    noise = 1.2 * random.normal(size=(len(who), NUISANCE))
    turn, _ = np.linalg.qr(random.normal(size=(USE + NUISANCE, USE + NUISANCE)))
    return _named(np.hstack([told, noise]) @ turn, people, pictures)


def isotropic(people: int, pictures: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Every direction tells as much as any other: no linear map can help strangers."""
    random = np.random.default_rng(seed)
    who = np.repeat(random.normal(size=(people, 24)), pictures, axis=0)
    return _named(who + 1.2 * random.normal(size=who.shape), people, pictures)


def _named(x: np.ndarray, people: int, pictures: int) -> tuple[np.ndarray, np.ndarray]:
    return x.astype(np.float32), np.repeat([f"p{n:02}" for n in range(people)], pictures)


@pytest.fixture(scope="module")
def gained() -> Finetuned:
    x, labels = mixed(30, 5)
    return finetune(x, labels, recipe=QUICK, folds=3, replicates=200)


def test_what_tells_people_apart_is_found(gained: Finetuned) -> None:
    assert gained.verdict == "gains"
    assert gained.eer.value < 0.75 * gained.eer.other
    assert gained.eer.low <= gained.eer.difference <= gained.eer.high < 0
    rates = [(fold.raw.eer.rate, fold.projected.eer.rate) for fold in gained.folds]
    assert all(raw > projected for raw, projected in rates)


def test_everybody_is_left_out_once_and_judged_by_the_others(gained: Finetuned) -> None:
    x, labels = mixed(30, 5)
    groups = person_folds(labels, 3, seed=0)
    assert sorted(np.concatenate(groups)) == sorted(set(labels))
    for left, fold in zip(groups, gained.folds, strict=True):
        out = np.isin(labels, left)
        for side, embeddings in (
            (fold.raw, x[out]),
            (fold.projected, fold.fitted.projection.apply(x[out])),
        ):
            wanted = evaluate_strangers(embeddings, labels[out], replicates=200)
            assert side.eer == wanted.eer
            assert side.estimates["rank1"].value == wanted.estimates["rank1"].value
        assert (fold.people, fold.pictures, fold.learned_from) == (10, 50, 20)
    others = np.isin(labels, groups[0], invert=True)
    again = fit(unit_rows(x[others]), labels[others], QUICK, seed=0).projection
    np.testing.assert_array_equal(again.weight, gained.folds[0].fitted.projection.weight)
    rates = [fold.projected.eer.rate - fold.raw.eer.rate for fold in gained.folds]
    assert gained.eer.difference == pytest.approx(np.mean(rates))


def test_the_interval_is_of_the_same_people_and_as_wide_as_their_number_asks(
    gained: Finetuned,
) -> None:
    gaps = np.mean(
        [fold.projected.eer_resamples - fold.raw.eer_resamples for fold in gained.folds], axis=0
    )
    wider = np.sqrt(10 / 9)
    wanted = gained.eer.difference + wider * (gaps - gained.eer.difference)
    assert gained.eer.low == pytest.approx(np.quantile(wanted, 0.025, method="lower"))
    assert gained.eer.high == pytest.approx(np.quantile(wanted, 0.975, method="higher"))


@pytest.mark.parametrize("seed", [0, 1])
def test_where_nothing_can_be_gained_it_says_so(seed: int) -> None:
    x, labels = isotropic(20, 4, seed)
    found = finetune(x, labels, recipe=replace(QUICK, steps=10), folds=2, seed=seed, replicates=100)
    assert found.verdict in ("nothing learned", "not told apart")
    for fold in found.folds:
        if not fold.fitted.steps:
            assert fold.projected.eer == fold.raw.eer, "the identity changes no number"
    assert any(not fold.fitted.steps for fold in found.folds)


def test_no_step_means_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = isotropic(20, 4)
    still = fit(unit_rows(x), labels, replace(QUICK, steps=1, lr=1e-9), seed=0)
    still = replace(still, projection=identity(24), steps=0)
    monkeypatch.setattr(finetuning, "fit", lambda *_, **__: still)
    found = finetune(x, labels, recipe=QUICK, folds=2, replicates=100)
    assert (found.eer.difference, found.eer.low, found.eer.high) == (0, 0, 0)
    assert found.verdict == "nothing learned"
    for fold in found.folds:
        assert fold.raw.estimates == fold.projected.estimates


def test_the_objective_falls_from_the_identity_on() -> None:
    x, labels = mixed(12, 5)
    path = list(_descend(unit_rows(x), labels, replace(QUICK, batch_size=60), seed=0))
    stops = [(step, loss) for step, _, loss in path]
    assert [step for step, _ in stops] == list(range(21))
    assert stops[-1][1] < 0.7 * stops[1][1]
    first = next(_descend(unit_rows(x), labels, QUICK, seed=0))[1]()
    assert first.is_identity


def test_it_begins_with_what_varies_most_where_dimensions_are_fewer() -> None:
    x, labels = mixed(12, 5)
    recipe = replace(QUICK, dim=3, bias=True)
    start = next(_descend(unit_rows(x), labels, recipe, seed=0))[1]()
    np.testing.assert_allclose(start.weight @ start.weight.T, np.eye(3), atol=1e-6)
    *_, (_, last, _) = _descend(unit_rows(x), labels, recipe, seed=0)
    assert last().weight.shape == (3, 12)
    assert last().bias is not None
    assert np.abs(last().bias).max() > 0


def test_it_is_drawn_back_to_where_it_began() -> None:
    x, labels = mixed(12, 5)

    def gone(pull: float) -> float:
        *_, (_, last, _) = _descend(unit_rows(x), labels, replace(QUICK, pull=pull), seed=0)
        return float(np.linalg.norm(last().weight - np.eye(12)))

    assert gone(0) > gone(0.1) > gone(0.9) > 0


def test_the_seed_decides_all_and_nothing_else_is_touched() -> None:
    x, labels = mixed(12, 5)
    recipe = replace(QUICK, batch_size=16, head="subcenterarcface")
    before = torch.get_rng_state()
    one, same, other = (fit(unit_rows(x), labels, recipe, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert one.projection.weight.tobytes() == same.projection.weight.tobytes()
    assert one.losses.tolist() == same.losses.tolist()
    assert one.held_out == same.held_out
    assert one.held_out != other.held_out


def test_the_number_of_steps_is_the_best_on_people_held_out() -> None:
    x, labels = mixed(12, 5)
    done: list[int] = []
    found = fit(unit_rows(x), labels, QUICK, seed=0, advance=done.append)
    steps, rates = zip(*found.held_out, strict=True)
    assert steps == tuple(range(0, 21, 2))
    assert found.steps == steps[int(np.argmin(rates))] == len(found.losses)
    assert done == sorted(done)
    assert done[-1] == 3 * 20


def test_many_pictures_are_judged_by_some_people_with_several() -> None:
    labels = np.array(["a", "b", *"ccdd"])
    assert few_people(labels, 6, 0).tolist() == ["a", "b", "c", "d"]
    assert few_people(labels, 5, 0).tolist() == ["c", "d"]


X, LABELS = mixed(20, 4)
NAN, ZERO = X.copy(), X.copy()
NAN[3, 2], ZERO[5] = np.nan, 0
CONTRACT = Contract("net", "ab" * 32, 5, Preprocessing())


@pytest.mark.parametrize(
    ("embeddings", "labels", "options", "said"),
    [
        (X, [f"{n}" for n in range(80)], {}, "several pictures a person, got one of each of 80"),
        (X[:36], LABELS[:36], {}, "at least 10 people with several pictures for 5 folds, got 9"),
        (X[:60], LABELS[:60], {"folds": 8}, "at least 16 people.* got 15"),
        (X, LABELS, {"folds": 1}, "at least 2 groups"),
        (NAN, LABELS, {}, "must be finite"),
        (ZERO, LABELS, {}, "must have a direction"),
        (X, LABELS[:-1], {}, "each of 80 pictures, not of 79"),
        (X[:4], LABELS[:4], {}, "at least 10 people"),
        (X, LABELS, {"recipe": ProjectionRecipe(dim=13)}, "at most the 12 dimensions.* got 13"),
        (X, LABELS, {"contract": CONTRACT}, "expected embeddings of 5 dimensions"),
    ],
)
def test_bad_input_is_refused_before_anything_is_learned(
    embeddings: np.ndarray,
    labels: np.ndarray,
    options: dict[str, object],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finetuning, "fit", lambda *_, **__: pytest.fail("it learned"))
    with pytest.raises(InputError, match=said):
        finetune(embeddings, labels, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head": "arc"}, "unknown margin 'arc'"),
        ({"dim": -1}, "dim: expected a whole number >= 0, got -1"),
        ({"steps": 0}, "steps"),
        ({"batch_size": 1}, "batch_size"),
        ({"holdouts": 1}, "holdouts"),
        ({"lr": 0}, "0 < lr <= 10"),
        ({"lr": float("nan")}, "0 < lr <= 10"),
        ({"pull": 2}, "0 <= pull <= 1"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ProjectionRecipe(**options)


def test_heads_on_cosines_take_what_was_found_and_others_their_paper() -> None:
    assert ProjectionRecipe("ArcFace").setting == "arcface:m=0.4,s=10"
    assert ProjectionRecipe("arcface:s=20").setting == "arcface:s=20"
    assert ProjectionRecipe("softmax").setting == "softmax"


def test_learning_that_runs_away_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = mixed(12, 5)
    monkeypatch.setattr(MarginHead, "forward", lambda _, x, y: x.sum() * torch.inf)
    with pytest.raises(InputError, match=r"has run away: at step 0 .* than 0.5"):
        fit(unit_rows(x), labels, QUICK, seed=0)
