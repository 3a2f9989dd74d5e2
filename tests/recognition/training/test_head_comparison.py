import numpy as np
import pytest
import torch
from torch import nn

import recognition.training.head_comparison as module
from margin_losses import MARGINS, MarginHead
from recognition.backbones.registry import FACENET, INSIGHTFACE
from recognition.comparisons import compare_all
from recognition.datasets.drawn import draw_faces
from recognition.datasets.pictures import Pictures
from recognition.errors import InputError
from recognition.evaluation import class_angles, evaluate_strangers
from recognition.metrics import equal_error_rate
from recognition.protocols import split_people
from recognition.training.head_choices import DEFAULT_HEADS, FOUND, TRIALS
from recognition.training.head_comparison import (
    Plan,
    Task,
    check_task,
    compare,
    paired_difference,
    resolve,
)
from recognition.training.loop import Trained, embed
from recognition.training.recipe import Recipe

RECIPE = Recipe(steps=2, batch_size=8)
GOOD = {"softmax:s=2", "normface:s=4"}  # settings that give embeddings worth something


class Pixels(nn.Module):
    """Stands for a trained network: a few pixels, or for a bad setting nearly the same for all."""

    def __init__(self, good):
        super().__init__()
        self.good = nn.Parameter(torch.tensor(float(good)))

    def forward(self, pictures):
        seen = nn.functional.adaptive_avg_pool2d(pictures, 4).flatten(1)
        blind = torch.sin(1e4 * seen)
        return self.good * seen + (1 - self.good) * blind


@pytest.fixture(scope="module")
def task():
    return split(draw_faces(20, 4, size=16))


def split(pictures, seed=0):
    learn, test = split_people(pictures.labels, test=6, seed=seed)
    return Task(pictures.of(learn), pictures.of(test))


@pytest.fixture
def calls(monkeypatch):
    """Who was trained on what, without any training."""
    seen = []

    def fake(pictures, head, recipe, *, seed, progress):
        seen.append((head, seed, pictures))
        weights = MarginHead(48, len(pictures.people), head)
        losses = np.zeros(recipe.steps, np.float32)
        return Trained(Pixels(head in GOOD), weights, pictures.people, losses, 0.5)

    monkeypatch.setattr(module, "train", fake)
    return seen


def of(labels, prefix="p"):
    """Black pictures of these people."""
    labels = np.array([f"{prefix}{label}" for label in labels])
    images = np.zeros((len(labels), 16, 16, 3), np.uint8)
    return Pictures(images, labels, np.arange(len(labels)).astype(str), "made up")


def plan(*heads, **options):
    return Plan(heads, RECIPE, **{"replicates": 20, **options})


def test_every_head_is_trained_on_the_people_to_learn_from_once_for_each_seed(calls, task):
    asked = []

    def tasks(seed):
        asked.append(seed)
        return task

    found = [run for run, _ in compare(tasks, plan("softmax", "NormFace", seeds=(0, 5)))]
    heads = [FOUND["softmax"], FOUND["normface"]]
    assert sorted(set(asked)) == [0, 5]
    assert [(head, seed) for head, seed, _ in calls] == [(h, s) for s in (0, 5) for h in heads]
    assert all(pictures is task.learn for _, _, pictures in calls)
    assert [(run.asked, run.head, run.seed) for run in found] == [
        (head.split(":")[0], head, seed) for seed in (0, 5) for head in heads
    ]
    assert all(run.trials == () and run.seconds == 0.5 for run in found)


def test_a_run_holds_what_the_networks_that_come_with_it_score(calls, task):
    ((run, trained),) = compare(lambda seed: task, plan("arcface:m=0.4", seeds=(3,)))
    options = {"replicates": 20, "seed": 3}
    found = embed(trained.backbone, task.test.images)
    judged = evaluate_strangers(found, task.test.labels, **options)
    learned = embed(trained.backbone, task.learn.images)
    weights = trained.head.weight.detach().numpy()
    angles = class_angles(learned, task.learn.labels, weights, trained.people, **options)
    assert run.estimates == {**judged.estimates, **angles}
    assert (run.evaluation.eer_resamples == judged.eer_resamples).all()


def test_one_head_is_trained_only_when_the_one_before_is_taken(calls, task):
    found = compare(lambda seed: task, plan("softmax", "normface"))
    assert not calls
    next(found)
    assert len(calls) == 1


@pytest.fixture
def trials(monkeypatch):
    settings = {
        "softmax": ["softmax:s=0.5", "softmax:s=2", "softmax:s=4"],
        "normface": ["normface:s=3", "normface:s=6", "normface:s=4"],
    }
    monkeypatch.setattr(module, "TRIALS", settings)
    return settings


def test_tuning_takes_the_setting_with_the_lowest_error_on_people_held_out(calls, task, trials):
    found = [run for run, _ in compare(lambda seed: task, plan("softmax", "normface", tune=True))]
    assert [run.head for run in found] == ["softmax:s=2", "normface:s=4"]
    judges = task.learn.of(split_people(task.learn.labels, test=0.25, seed=0)[1])
    for run in found:
        assert [trial.head for trial in run.trials] == trials[run.asked]
        for trial in run.trials:
            rows = embed(Pixels(trial.head in GOOD), judges.images)
            assert trial.eer == equal_error_rate(compare_all(rows, judges.labels)).rate


@pytest.mark.parametrize(("name", "kind"), [("iresnet50", INSIGHTFACE), ("small", FACENET)])
def test_every_embedding_is_of_pictures_prepared_for_the_backbone(
    calls, task, trials, monkeypatch, name, kind
):
    seen = []

    def embedded(*args, standardisation, **options):
        seen.append(standardisation)
        return embed(*args, standardisation=standardisation, **options)

    monkeypatch.setattr(module, "embed", embedded)
    chosen = Plan(("softmax",), Recipe(backbone=name, steps=2), replicates=20, tune=True)
    list(compare(lambda seed: task, chosen))
    assert seen == [kind] * 5  # three trials, strangers, and those learned from


def test_nobody_held_out_for_tuning_or_for_the_test_is_ever_trained_on(calls, task, trials):
    heads = ("softmax", "normface:s=4", "arcface")
    list(compare(lambda seed: task, plan(*heads, tune=True, tuning_share=0.3, seeds=(2,))))
    rest, held_out = split_people(task.learn.labels, test=0.3, seed=2)
    assert len(held_out) == 4
    assert len(calls) == 3 + 1 + 1 + 1  # three trials of the softmax, then every head once
    for _, _, pictures in calls:
        assert pictures.people.tolist() == rest.tolist()
        assert not set(pictures.people) & {*held_out, *task.test.people}
        assert len(pictures) == 4 * len(rest)


def test_options_given_by_hand_are_not_tuned(calls, task, trials):
    ((run, _),) = compare(lambda seed: task, plan("normface:s=5", tune=True))
    assert [head for head, _, _ in calls] == ["normface:s=5"]
    assert (run.head, run.trials) == ("normface:s=5", ())


def test_watchers_see_every_stage_to_its_end(calls, task):
    stages = []

    class Stage:
        def __init__(self, what, total):
            self.told = []
            stages.append((what, total, self.told))

        def __enter__(self):
            return lambda done, note="": self.told.append(done)

        def __exit__(self, *error):
            pass

    list(compare(lambda seed: task, plan("softmax"), watch=Stage))
    pictures = len(task.learn) + len(task.test)
    assert [stage[:2] for stage in stages] == [
        (f"1/1 {FOUND['softmax']}", 2),
        ("1/1 scoring strangers", pictures),
    ]
    assert stages[1][2][-1] == pictures
    assert stages[1][2] == sorted(stages[1][2])


def test_heads_really_trained_start_from_the_same_network():
    pictures = draw_faces(8, 3, size=64)
    learn, test = split_people(pictures.labels, test=4, seed=0)
    task = Task(pictures.of(learn), pictures.of(test))
    heads = ("softmax:s=1", "smsoftmax:m=0,s=1")  # the same formula, so the same all the way
    found = list(compare(lambda seed: task, plan(*heads)))
    assert found[0][0].losses.tobytes() == found[1][0].losses.tobytes()
    assert paired_difference(found[0][0], found[1][0]) == (0, 0, 0)
    assert found[0][1].people.tolist() == learn.tolist()


@pytest.mark.parametrize("head", [*MARGINS, "cosface:k=2", "arcface+detached"])
def test_every_head_goes_through_a_comparison(head):
    pictures = draw_faces(8, 3, size=64)
    learn, test = split_people(pictures.labels, test=4, seed=0)
    task = Task(pictures.of(learn), pictures.of(test))
    ((run, trained),) = compare(lambda seed: task, plan(head))
    assert np.isfinite(run.losses).all()
    assert 0 < run.estimates["w-ec"].value < 180
    assert trained.head.weight.shape[0] == 4


def test_a_run_does_not_differ_from_itself(calls, task):
    ((run, _),) = compare(lambda seed: task, plan("softmax"))
    assert paired_difference(run, run) == (0, 0, 0)


def test_a_difference_is_that_of_the_rates_and_turns_round(calls, task):
    bad, good = (run for run, _ in compare(lambda seed: task, plan("softmax:s=9", "normface:s=4")))
    value, low, high = paired_difference(bad, good)
    assert value == bad.evaluation.eer.rate - good.evaluation.eer.rate > 0
    assert low < value < high
    gap = bad.evaluation.eer_resamples - good.evaluation.eer_resamples
    assert (low, high) == pytest.approx(np.quantile(gap, [0.025, 0.975]))
    assert paired_difference(good, bad) == pytest.approx((-value, -high, -low))
    narrow = paired_difference(bad, good, level=0.5)
    assert low < narrow[1] < narrow[2] < high


@pytest.mark.parametrize(
    ("learn", "test", "message"),
    [
        ("aabbcc", "ccddee", "1 people are in both folders, 'pc' among them"),
        ("aaa", "ccdd", "at least 2 people to learn from, got 1"),
        ("aabb", "ccc", "at least 2 people to be tested on, got 1"),
        ("abc", "ddee", "several pictures a person to learn from, got 3 pictures of 3 people"),
        ("aabb", "cdef", "several pictures a person to be tested on, got 4 pictures of 4 people"),
        ("", "ccdd", "at least 2 people to learn from, got 0"),
    ],
)
def test_a_task_that_cannot_be_done_is_refused_before_training(calls, learn, test, message):
    task = Task(of(learn), of(test))
    with pytest.raises(InputError, match=message):
        check_task(task, plan("softmax"), 0)
    with pytest.raises(InputError, match=message):
        next(compare(lambda seed: task, plan("softmax")))
    assert not calls


def test_the_smallest_task_is_accepted():
    check_task(Task(of("aab"), of("ccdd")), plan("softmax"), 0)


@pytest.mark.parametrize("learn", ["aabcdefg", "aabb"])
def test_a_task_that_cannot_be_tuned_on_is_refused_before_training(calls, learn):
    # one person with two pictures cannot be both learned from and held out
    task = Task(of(learn), of("wwxx"))
    with pytest.raises(InputError):
        list(compare(lambda seed: task, plan("softmax", tune=True)))
    assert not calls


def test_a_second_seed_that_cannot_be_judged_is_refused_before_training(calls):
    tasks = {0: Task(of("aabb"), of("wwxx")), 1: Task(of("aabb"), of("wxyz"))}
    with pytest.raises(InputError):
        list(compare(tasks.get, plan("softmax", seeds=(0, 1))))
    assert not calls


@pytest.mark.parametrize(
    "heads", [("softmax", "softmax"), ("arcface", "ArcFace "), ("softmax", FOUND["softmax"])]
)
def test_a_head_named_twice_is_refused(heads):
    with pytest.raises(InputError, match=f"{heads[0]!r} is named twice"):
        plan(*heads)


def test_no_head_and_no_known_head_are_refused():
    with pytest.raises(InputError, match="at least one head"):
        plan()
    with pytest.raises(InputError, match="did you mean 'arcface'"):
        plan("softmax", "arcfase")
    with pytest.raises(InputError, match="has no option 'q'"):
        resolve("arcface:q=3")


def test_a_bare_name_gets_what_was_found_and_options_are_kept():
    assert resolve(" CosFace ") == FOUND["cosface"]
    assert resolve("cosface:m=0.3") == "cosface:m=0.3"


@pytest.mark.parametrize("head", TRIALS)
def test_every_choice_is_a_head_of_that_name_and_nine_are_tried(head):
    for setting in (*TRIALS[head], FOUND[head]):
        assert resolve(setting) == setting
        assert setting.partition(":")[0] == head
    assert len(set(TRIALS[head])) == (1 if MARGINS[head].chooses_scale else 9)
    assert FOUND[head] in TRIALS[head]


def test_the_default_heads_are_known_and_differ():
    assert set(DEFAULT_HEADS) <= set(FOUND) == set(TRIALS)
    assert len(Plan(DEFAULT_HEADS, RECIPE).heads) == 7
