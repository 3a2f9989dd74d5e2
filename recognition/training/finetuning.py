"""A projection of frozen embeddings, and whether it gains anything on people left out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract
from recognition.embeddings import People, people_of, unit_rows
from recognition.errors import InputError
from recognition.evaluation import Evaluation, evaluate_strangers
from recognition.evaluation.paired import Difference, difference
from recognition.progress import Advance, Watch, numbered, unwatched
from recognition.protocols import open_set_split, person_folds
from recognition.training.projection_fit import (
    Fitted,
    Floats,
    Names,
    ProjectionRecipe,
    few_people,
    fit,
    require_learnable,
)

log = logging.getLogger(__name__)

Verdict = Literal["gains", "loses", "not told apart", "nothing learned"]
USUAL = ProjectionRecipe()
JUDGED = 2_000  # pictures of a fold, at most: two million comparisons
VERDICTS: dict[str, Verdict] = {"lower": "gains", "higher": "loses"}  # of an error rate


@dataclass(frozen=True)
class Fold:
    """People left out, and what a projection that was learned from all others is worth on them.

    Attributes:
        people: how many were left out.
        pictures: how many of theirs were judged.
        learned_from: how many people were learned from.
        fitted: the projection.
        raw: their embeddings as they came.
        projected: the same, projected.
    """

    people: int
    pictures: int
    learned_from: int
    fitted: Fitted
    raw: Evaluation
    projected: Evaluation


@dataclass(frozen=True)
class Finetuned:
    """What was learned of everybody, and what learning so gains on people left out.

    Attributes:
        fitted: of all people; nobody was left to judge this one, the folds judge its like.
        folds: everybody is left out in one of them.
        eer: the equal error rate of projected embeddings against raw ones: means over the folds,
            and the interval of their difference, by resampling the people of each fold.
        people: how many there are.
    """

    fitted: Fitted
    folds: Sequence[Fold]
    eer: Difference
    people: int

    @property
    def verdict(self) -> Verdict:
        """Whether projecting gains, as far as these people can tell."""
        if all(fold.fitted.projection.is_identity for fold in self.folds):
            return "nothing learned"
        return VERDICTS.get(self.eer.verdict or "", "not told apart")


def finetune(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    recipe: ProjectionRecipe = USUAL,
    folds: int = 5,
    seed: int = 0,
    replicates: int = 1000,
    contract: Contract | None = None,
    watch: Watch = unwatched,
) -> Finetuned:
    """Learn a projection with a margin head, and judge it on people it was not learned from.

    Everybody is left out once. A projection is learned from all others, its number of steps chosen
    on people held out among *them*, and the people left out are judged by their embeddings as they
    came and as they are projected. In the end one is learned from everybody.

    W begins as the identity, or with fewer dimensions as the directions in which the people learned
    from vary most, and is drawn back there at each step (L2-SP: Li, Grandvalet and Davoine, Explicit
    Inductive Bias for Transfer Learning with Convolutional Networks, ICML 2018; here decoupled
    from the gradient, as AdamW decays).

    The interval says how far the difference would vary with other people to be judged, not with
    others to be learned from. A fold's resamples are spread about its value by √(n / (n - 1)), n
    its people, as those of a handful vary too little.

    Args:
        embeddings: (N, D), of any length.
        labels: (N,) the person on each.
        recipe: the head, the size of the projection, and how it is learned.
        folds: groups of people.
        seed: of everything.
        replicates: resamples of the people.
        contract: of the embeddings, which the projection will then be for alone.
        watch: told how far it is.

    Raises:
        InputError: embeddings without a direction, labels that do not fit, too few people with
            several pictures, more dimensions than there are, or a head that is none, all before
            anything is learned; or learning that runs away.
    """
    unit = unit_rows(embeddings)
    given = np.asarray(embeddings)
    raw = (given if given.dtype.itemsize <= 4 else unit).astype(np.float32)
    people = people_of(labels, len(unit))
    names = people.names[people.codes]
    if contract is not None and contract.dimension != unit.shape[1]:
        raise InputError(
            f"expected embeddings of {contract.dimension} dimensions, as their contract says, got "
            f"{unit.shape[1]}"
        )
    groups = _groups(people, unit, folds, seed, recipe)
    found = []
    for place, left in enumerate(groups):
        stage = numbered(watch, f"{place + 1}/{folds + 1}")
        log.info("fold %d of %d: %d people left out", place + 1, folds, len(left))
        out = np.isin(names, left)
        fitted = _fit(unit[~out], names[~out], recipe, seed, stage)
        judged = out & np.isin(names, few_people(names[out], JUDGED, seed))
        with stage("judging", 2) as advance:
            before, after = _judge(raw[judged], names[judged], fitted, seed, replicates, advance)
        learned_from = len(people.names) - len(left)
        fold = Fold(len(left), int(judged.sum()), learned_from, fitted, before, after)
        log.info("equal error rate %.4f, projected %.4f", before.eer.rate, after.eer.rate)
        found.append(fold)
    log.info("everybody: %d people", len(people.names))
    last = _fit(unit, names, recipe, seed, numbered(watch, f"{folds + 1}/{folds + 1}"))
    last = replace(last, projection=replace(last.projection, contract=contract))
    return Finetuned(last, found, _difference(found), len(people.names))


def _judge(
    raw: npt.NDArray[np.float32],
    labels: Names,
    fitted: Fitted,
    seed: int,
    replicates: int,
    advance: Advance,
) -> tuple[Evaluation, Evaluation]:
    """Embeddings as they came, and projected; people resampled alike."""
    before = evaluate_strangers(raw, labels, seed=seed, replicates=replicates)
    advance(1)
    projected = fitted.projection.apply(raw)
    after = evaluate_strangers(projected, labels, seed=seed, replicates=replicates)
    advance(2)
    return before, after


def _groups(
    people: People, unit: Floats, folds: int, seed: int, recipe: ProjectionRecipe
) -> list[Names]:
    """Whom to leave out in turn, once it is clear that all of it can be done."""
    several = int((people.pictures > 1).sum())
    if len(people.names) > 1 and not several:
        raise InputError(
            f"expected several pictures a person, got one of each of {len(people.names)} people; "
            "add pictures, or check that labels name people, not pictures"
        )
    fewest = max(2 * folds, -(-2 * recipe.holdouts * folds // max(1, folds - 1)))
    if folds >= 2 and several < fewest:
        raise InputError(
            f"expected at least {fewest} people with several pictures for {folds} folds, got "
            f"{several} of {len(people.names)}; add people or pictures, or name another number of "
            "folds"
        )
    names = people.names[people.codes]
    groups = person_folds(names, folds, seed=seed)
    for left in groups:
        out = np.isin(names, left)
        require_learnable(unit[~out], names[~out], recipe)
        theirs = names[out]
        open_set_split(theirs[np.isin(theirs, few_people(theirs, JUDGED, seed))], seed=seed)
    return groups


def _fit(unit: Floats, names: Names, recipe: ProjectionRecipe, seed: int, watch: Watch) -> Fitted:
    with watch(recipe.setting, (recipe.holdouts + 1) * recipe.steps) as advance:
        fitted = fit(unit, names, recipe, seed=seed, advance=advance)
    for steps, rate in fitted.held_out:
        log.info("%s after %d steps: %.4f on people held out", recipe.setting, steps, rate)
    log.info("%s: %d steps taken", recipe.setting, fitted.steps)
    return fitted


def mean_eer(folds: Sequence[Evaluation]) -> tuple[float, Floats]:
    """The mean equal error rate over folds, and its resamples."""
    length = min(len(one.eer_resamples) for one in folds)
    resamples: Floats = np.mean([_spread(one)[:length] for one in folds], axis=0)
    return float(np.mean([one.eer.rate for one in folds])), resamples


def _spread(one: Evaluation) -> Floats:
    """Resamples about the value, as wide as those of n people are too narrow."""
    people = one.estimates["eer"].counts["people"]
    found: Floats = one.eer.rate + np.sqrt(people / (people - 1)) * (
        one.eer_resamples - one.eer.rate
    )
    return found


def _difference(folds: Sequence[Fold]) -> Difference:
    """Of the equal error rates: projected less raw, each fold's people resampled alike."""
    value, resamples = mean_eer([fold.projected for fold in folds])
    other, others = mean_eer([fold.raw for fold in folds])
    return difference("eer", "EER", "share", (value, other), (resamples, others))
