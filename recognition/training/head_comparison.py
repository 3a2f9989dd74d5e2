"""Every head on the same backbone, from the same start, judged on the same strangers."""

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from margin_losses import HeadSpec, Margin, keep_dominant
from recognition.backbones.registry import find_backbone
from recognition.comparisons import compare_all
from recognition.datasets.pictures import Pictures
from recognition.errors import InputError
from recognition.evaluation import Estimate, Evaluation, class_angles, evaluate_strangers
from recognition.evaluation.options import MapMethod, known_map
from recognition.evaluation.picture_map import PictureMap, map_pictures
from recognition.metrics import equal_error_rate
from recognition.progress import Watch, numbered, unwatched
from recognition.protocols import open_set_split, split_people
from recognition.training.head_choices import FOUND, TRIALS
from recognition.training.loop import Trained, embed, train
from recognition.training.recipe import Recipe

log = logging.getLogger(__name__)


class Task(NamedTuple):
    """Whom to learn from and whom to be judged on; nobody is in both."""

    learn: Pictures
    test: Pictures


@dataclass(frozen=True)
class Plan:
    """What to compare.

    Attributes:
        heads: names, with options or without; those without get the values found by tuning.
        recipe: how each is trained.
        seeds: everything is repeated for each.
        tune: choose scale and margin of the heads without options on people held out for it;
            otherwise they have the values found on the drawn faces.
        tuning_share: the share of the people to learn from that is held out.
        replicates: resamples behind each interval.
        map: how the test pictures of the first seed are put on a map, see `map_pictures`.
    """

    heads: Sequence[str]
    recipe: Recipe
    seeds: Sequence[int] = (0,)
    tune: bool = False
    tuning_share: float = 0.25
    replicates: int = 1000
    map: MapMethod = "pca"

    def __post_init__(self) -> None:
        known_map(self.map)
        if not self.heads:
            raise InputError("expected at least one head; leave --head out to compare all")
        settings = [_setting(head) for head in self.heads]
        for head, setting in zip(self.heads, settings, strict=True):
            if settings.count(setting) > 1:
                raise InputError(f"head {head!r} is named twice; name each head once")


class Trial(NamedTuple):
    """One setting of a head, and its equal error rate on the tuning people."""

    head: str
    eer: float


@dataclass(frozen=True)
class Run:
    """One head, trained and judged.

    Attributes:
        asked: the head as it was asked for, which names it.
        head: the setting it was trained at, options included.
        seed: of this repetition.
        evaluation: on the test people.
        estimates: all numbers, those of the test people and those of the class weights.
        losses: (steps,) the loss of each batch.
        seconds: how long training took.
        trials: what was tried to choose the options, if anything was.
        map: where the test pictures lie in a plane; None for all seeds but the first.
        embedded: how many pictures a second the trained network embedded.
    """

    asked: str
    head: str
    seed: int
    evaluation: Evaluation
    estimates: Mapping[str, Estimate]
    losses: npt.NDArray[np.float32]
    seconds: float
    trials: Sequence[Trial] = ()
    map: PictureMap | None = None
    embedded: float | None = None


def resolve(head: str) -> str:
    """The head's full setting: the values found on the drawn faces where it has no options.

    Raises:
        InputError: not a head.
    """
    try:
        HeadSpec.parse(head)
    except ValueError as error:
        raise InputError(str(error)) from None
    return FOUND.get(_key(head), _key(head))


def _setting(head: str) -> tuple[Margin, float, int]:
    margin, scale, centers = HeadSpec.parse(resolve(head))
    return margin, float(scale or margin.geometry.scale), centers or margin.centers


def _key(head: str) -> str:
    return head.strip().lower()


def compare(
    tasks: Callable[[int], Task], plan: Plan, *, watch: Watch = unwatched
) -> Iterator[tuple[Run, Trained]]:
    """Train and judge every head, one at a time: what was found, and the networks.

    Within a seed all heads share initial weights, batches, augmentation and people.

    Args:
        tasks: the task of a seed.
        plan: heads, recipe, repetitions.
        watch: told how far each stage is.

    Raises:
        InputError: a task that cannot be learned or judged, raised before anything is trained;
            or training that diverges.
    """
    for seed in plan.seeds:
        check_task(tasks(seed), plan, seed)
    return _compare(tasks, plan, watch)


def _compare(
    tasks: Callable[[int], Task], plan: Plan, watch: Watch
) -> Iterator[tuple[Run, Trained]]:
    total = len(plan.seeds) * len(plan.heads)
    place = itertools.count(1)
    for seed in plan.seeds:
        task = tasks(seed)
        for head in plan.heads:
            stage = numbered(watch, f"{next(place)}/{total}")
            trials = _tune(head, task.learn, plan, seed, stage) if plan.tune else ()
            chosen = min(trials, key=lambda trial: trial.eer).head if trials else resolve(head)
            # tuned or not, heads with options learn from the same people as the others
            learn = _without_tuning_people(task.learn, plan, seed) if plan.tune else task.learn
            trained = _train(chosen, learn, plan.recipe, seed, stage)
            judged = _judge(trained, learn, task.test, plan, seed, stage)
            log.info("%s seed %d: equal error rate %.4f", chosen, seed, judged.evaluation.eer.rate)
            yield (
                Run(
                    _key(head),
                    chosen,
                    seed,
                    judged.evaluation,
                    judged.estimates,
                    trained.losses,
                    trained.seconds,
                    trials,
                    judged.map,
                    judged.embedded,
                ),
                trained,
            )


def check_task(task: Task, plan: Plan, seed: int) -> None:
    """Refuse a task on which training, tuning or scoring would fail later.

    Raises:
        InputError: too few people or pictures, or somebody on both sides.
    """
    both = np.intersect1d(task.learn.people, task.test.people)
    if len(both):
        raise InputError(
            f"{len(both)} people are in both folders, {str(both[0])!r} among them; the test must "
            "be on people never seen: take them out of one, or rename folders of different people"
        )
    learn = _without_tuning_people(task.learn, plan, seed) if plan.tune else task.learn
    sides = {"to learn from": learn, "to be tested on": task.test}
    if plan.tune:
        sides["to tune on"] = task.learn.of(np.setdiff1d(task.learn.people, learn.people))
    for purpose, pictures in sides.items():
        people = len(pictures.people)
        if people < 2:
            raise InputError(
                f"expected at least 2 people {purpose}, got {people}; "
                "a folder holds one folder per person"
            )
        if len(pictures) == people:
            raise InputError(
                f"expected several pictures a person {purpose}, got {len(pictures)} pictures of "
                f"{people} people; add pictures"
            )
    open_set_split(task.test.labels, seed=seed)


class _Judged(NamedTuple):
    """What one trained network is worth; see `Run`."""

    evaluation: Evaluation
    estimates: Mapping[str, Estimate]
    map: PictureMap | None
    embedded: float


def _judge(
    trained: Trained, learn: Pictures, test: Pictures, plan: Plan, seed: int, watch: Watch
) -> _Judged:
    options = {"replicates": plan.replicates, "seed": seed}
    prepared = find_backbone(plan.recipe.backbone).standardisation
    with watch("scoring strangers", len(test) + len(learn)) as advance:
        start = perf_counter()
        found = embed(trained.backbone, test.images, standardisation=prepared, progress=advance)
        seconds = perf_counter() - start
        evaluation = evaluate_strangers(found, test.labels, ids=test.ids, **options)
        learned = embed(
            trained.backbone,
            learn.images,
            standardisation=prepared,
            progress=lambda done: advance(len(test) + done),
        )
        weights = _class_weights(trained, learned, learn.labels)
        angles = class_angles(learned, learn.labels, weights, trained.people, **options)
    shown = None
    if seed == plan.seeds[0]:
        shown = map_pictures(
            found, test.labels, ids=test.ids, method=plan.map, seed=seed, watch=watch
        )
    estimates = {**evaluation.estimates, **angles}
    return _Judged(evaluation, estimates, shown, len(test) / seconds)


def _class_weights(
    trained: Trained, embeddings: npt.NDArray[np.float32], people: npt.NDArray[np.str_]
) -> npt.NDArray[np.float32]:
    """One row a class, (C, D): of several sub-centres the one most pictures are nearest to."""
    head = trained.head
    if head.weight.ndim == 3:
        labels = np.searchsorted(trained.people, people)
        device = head.weight.device
        samples = (torch.from_numpy(part).to(device) for part in (embeddings, labels))
        head = keep_dominant(head, *samples)
    weights: npt.NDArray[np.float32] = head.weight[:, : head.embedding_dim].detach().cpu().numpy()
    return weights


def _train(head: str, learn: Pictures, recipe: Recipe, seed: int, watch: Watch) -> Trained:
    log.info("%s seed %d: training on %d pictures", head, seed, len(learn))
    every = max(1, recipe.steps // 20)
    with watch(head, recipe.steps) as advance:

        def progress(step: int, loss: float) -> None:
            advance(step, f"loss {loss:.3f}")
            if step % every == 0 or step == recipe.steps:
                log.info("%s seed %d: step %d loss %.4f", head, seed, step, loss)

        return train(learn, head, recipe, seed=seed, progress=progress)


def _tune(head: str, learn: Pictures, plan: Plan, seed: int, watch: Watch) -> tuple[Trial, ...]:
    """Every setting of a head, judged on people held out; none where options were given."""
    trials = []
    prepared = find_backbone(plan.recipe.backbone).standardisation
    rest = _without_tuning_people(learn, plan, seed)
    held_out = learn.of(np.setdiff1d(learn.people, rest.people))
    for setting in TRIALS.get(_key(head), ()):
        trained = _train(setting, rest, plan.recipe, seed, watch)
        found = embed(trained.backbone, held_out.images, standardisation=prepared)
        scores = compare_all(found, held_out.labels)
        trials.append(Trial(setting, equal_error_rate(scores).rate))
        log.info("%s seed %d: tuning equal error rate %.4f", *trials[-1][:1], seed, trials[-1].eer)
    return tuple(trials)


def _without_tuning_people(learn: Pictures, plan: Plan, seed: int) -> Pictures:
    rest, _ = split_people(learn.labels, test=plan.tuning_share, seed=seed)
    return learn.of(rest)


def paired_difference(run: Run, baseline: Run, level: float = 0.95) -> tuple[float, float, float]:
    """EER of `run` less that of `baseline`, and its interval: the same people, resampled alike."""
    one, other = run.evaluation, baseline.evaluation
    gap = one.eer_resamples - other.eer_resamples
    outside = (1 - level) / 2
    low, high = (float(end) for end in np.quantile(gap, [outside, 1 - outside]))
    return one.eer.rate - other.eer.rate, low, high
