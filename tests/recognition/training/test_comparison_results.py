import dataclasses
import json
import math
import statistics

import numpy as np
import pytest

from recognition.datasets.pictures import Pictures, Skipped
from recognition.evaluation import Estimate, evaluate_strangers
from recognition.training.comparison_results import describe, describe_data
from recognition.training.head_comparison import Plan, Run, Task, Trial, paired_difference
from recognition.training.recipe import Recipe

LABELS = np.repeat(["ann", "bob", "cid", "dee", "eve", "flo"], 4)
HEADS = ("softmax", "normface", "arcface:m=0.4")


def run_of(asked, seed, noise, head=None):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(6, 8)).repeat(4, axis=0)
    rows = rows + noise * random.normal(size=rows.shape)
    evaluation = evaluate_strangers(rows, LABELS, replicates=20, seed=seed)
    losses = np.array([2.0, 1 / 3], np.float32)
    trials = (Trial("a:s=1", 0.25),)
    setting = head or asked
    return Run(asked, setting, seed, evaluation, evaluation.estimates, losses, 1.5 + seed, trials)


@pytest.fixture(scope="module")
def runs():
    noises = dict(zip(HEADS, (1.2, 0.8, 0.5), strict=True))
    return [run_of(head, seed, noises[head]) for seed in (0, 1, 2) for head in HEADS]


def described(runs, **options):
    heads = list(dict.fromkeys(run.asked for run in runs))
    seeds = tuple(dict.fromkeys(run.seed for run in runs))
    plan = Plan(heads, Recipe(steps=2), seeds, replicates=20, **options)
    return describe(runs, plan, [{"source": "here"}], command="recognition compare", seconds=9.87)


@pytest.fixture(scope="module")
def results(runs):
    return described(runs)


def test_results_are_json_without_special_numbers_and_come_back_equal(results):
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_results_say_what_was_done_with_what_and_where(results):
    assert results["command"] == "recognition compare"
    assert results["seconds"] == 9.9
    assert results["recipe"] == dataclasses.asdict(Recipe(steps=2))
    assert (results["seeds"], results["resamples"]) == ([0, 1, 2], 20)
    assert results["data"] == [{"source": "here"}]
    assert {"python", "numpy", "torch", "margin-recognition"} <= set(results["versions"])
    assert set(results["machine"]) == {"system", "processor", "cores", "threads"}
    assert len(results["bins"]) == 201
    assert results["bins"][:2] == [-1, -0.99]


def test_how_options_were_chosen_is_said(results, runs):
    assert results["options_chosen"].startswith("found on the drawn faces")
    assert "on 25% of the people to learn from" in described(runs, tune=True)["options_chosen"]


def test_there_is_one_entry_a_head_in_the_order_asked_with_a_run_a_seed(results, runs):
    assert [head["name"] for head in results["heads"]] == list(HEADS)
    for head in results["heads"]:
        assert [run["seed"] for run in head["runs"]] == [0, 1, 2]
        assert head["seconds"] == 2.5
        assert set(head["estimates"]) == set(runs[0].estimates)
    first = results["heads"][0]["runs"][0]
    assert first["losses"] == [2, 0.33333]
    assert first["trials"] == [{"head": "a:s=1", "eer": 0.25}]
    assert first["estimates"]["eer"]["value"] == runs[0].estimates["eer"].value
    assert first["estimates"]["eer"]["counts"]["threshold"] == runs[0].evaluation.eer.threshold
    assert first["mated"] == runs[0].evaluation.mated.tolist()
    assert first["nonmated"] == runs[0].evaluation.nonmated.tolist()
    assert len(first["curve"]["fmr"]) == len(first["curve"]["fnmr"])


def test_the_settings_of_a_head_are_named_once_each():
    runs = [run_of("softmax", s, 1.0, h) for s, h in enumerate(("softmax:s=1", "softmax:s=2") * 2)]
    assert described(runs)["heads"][0]["settings"] == ["softmax:s=1", "softmax:s=2"]


def test_a_value_is_the_mean_over_seeds_and_the_spread_their_sample_deviation(results, runs):
    for head in results["heads"]:
        mine = [run.estimates for run in runs if run.asked == head["name"]]
        for name in ("eer", "auc", "rank1", "intra", "tar@fmr=0.1"):
            found = head["estimates"][name]
            for key in ("value", "low", "high"):
                mean = statistics.fmean(getattr(each[name], key) for each in mine)
                assert found[key] == pytest.approx(mean)
            spread = statistics.stdev(each[name].value for each in mine)
            assert found["spread"] == pytest.approx(spread)
            assert found["note"] == mine[0][name].note


def test_one_seed_has_no_spread(runs):
    alone = described(runs[:3])
    eer = alone["heads"][0]["estimates"]["eer"]
    assert eer["spread"] is None
    assert eer["value"] == runs[0].estimates["eer"].value


def test_what_is_not_resolved_stays_so_with_its_reason(results):
    for head in results["heads"]:
        missing = head["estimates"]["tar@fmr=0.001"]
        assert [missing[key] for key in ("value", "low", "high", "spread")] == [None] * 4
        assert "cannot be measured" in missing["note"]


def test_what_one_seed_cannot_resolve_has_that_seeds_reason():
    hardly = Estimate(0.5, 0.4, 0.6, note="rests on at most 1 false match")
    missing = Estimate(None, note="cannot be measured")
    runs = [run_of("softmax", seed, 1.0) for seed in (0, 1)]
    runs = [
        dataclasses.replace(run, estimates={"tar": estimate})
        for run, estimate in zip(runs, (hardly, missing), strict=True)
    ]
    found = described(runs)["heads"][0]["estimates"]["tar"]
    assert (found["value"], found["note"]) == (None, "cannot be measured")


def test_differences_are_paired_by_seed_and_averaged(results, runs):
    found = results["differences"]
    assert (found["metric"], found["baseline"]) == ("eer", "normface")
    assert list(found["heads"]) == ["softmax", "arcface:m=0.4"]
    for place, name in ((0, "softmax"), (2, "arcface:m=0.4")):
        gaps = [paired_difference(runs[3 * s + place], runs[3 * s + 1]) for s in range(3)]
        mean = [math.fsum(part) / 3 for part in zip(*gaps, strict=True)]
        assert list(found["heads"][name].values()) == pytest.approx(mean)
    assert found["heads"]["softmax"]["value"] > 0 > found["heads"]["arcface:m=0.4"]["value"]


def test_a_baseline_with_options_is_one_too(runs):
    renamed = [
        dataclasses.replace(run, asked="normface:s=9") if run.asked == "normface" else run
        for run in runs
    ]
    assert described(renamed)["differences"]["baseline"] == "normface:s=9"


def test_without_normface_there_are_no_differences(runs):
    others = [run for run in runs if run.asked != "normface"]
    assert described(others)["differences"] is None


def test_normface_alone_differs_from_nobody(runs):
    alone = described([run for run in runs if run.asked == "normface"])
    assert alone["differences"]["heads"] == {}


def pictures(people, source="here", skipped=(), seed=0):
    labels = np.repeat(people, 2)
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 8, 9, 3), np.uint8)
    return Pictures(images, labels, np.arange(len(labels)).astype(str), source, skipped)


def test_data_are_described_by_counts_and_a_hash():
    bad, worse = Skipped("a.png", "broken"), Skipped("b.png", "empty")
    task = Task(
        pictures(["a", "b", "c"], "left", (bad,)), pictures(["d", "e"], "right", (bad, worse))
    )
    found = describe_data(task, 7)
    assert (found["seed"], found["source"]) == (7, "right")
    learn, test = found["learn"], found["test"]
    assert (learn["people"], learn["pictures"], learn["size"]) == (3, 6, [8, 9])
    assert (test["people"], test["pictures"]) == (2, 4)
    assert found["skipped"] == [
        {"path": "a.png", "reason": "broken"},
        {"path": "b.png", "reason": "empty"},
    ]
    json.dumps(found, allow_nan=False)


def test_the_hash_changes_with_a_pixel_and_with_a_name_and_with_nothing_else():
    def digest(side):
        return describe_data(Task(side, side), 0)["test"]["sha256"]

    one = pictures(["a", "b"])
    assert digest(one) == digest(pictures(["a", "b"], "moved"))
    assert digest(one) != digest(pictures(["a", "c"]))
    other = one.images.copy()
    other[0, 0, 0, 0] ^= 1
    assert digest(one) != digest(dataclasses.replace(one, images=other))


def test_names_that_are_no_unicode_are_hashed_all_the_same():
    describe_data(Task(pictures(["a\udcff", "b"]), pictures(["c", "d"])), 0)
