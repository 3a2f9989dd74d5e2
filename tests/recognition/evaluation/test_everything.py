"""All findings at once: what is left out, what is sampled, what is refused."""

import json
from contextlib import contextmanager

import numpy as np
import pytest

from recognition import Findings, Grouping, Options, evaluate, evaluate_scores
from recognition.comparisons.pairs import compare_all
from recognition.datasets.embedding_files import Failure
from recognition.datasets.pair_lists import FailedComparisons, PairList
from recognition.datasets.score_files import ScoreFile
from recognition.errors import InputError
from recognition.evaluation import task as tasks
from recognition.evaluation.options import PARTS
from recognition.metrics.verification import tar_at_fmr

FEW = Options(replicates=20)
NONE = FailedComparisons(0, 0)


def crowd(people=40, pictures=5, seed=0):
    random = np.random.default_rng(seed)
    centres = random.normal(size=(people, 1, 16))
    embeddings = (centres + 0.8 * random.normal(size=(people, pictures, 16))).reshape(-1, 16)
    return embeddings, np.repeat([f"p{i:03d}" for i in range(people)], pictures)


def test_findings_know_their_rows_by_key():
    found = evaluate(*crowd(), options=Options(replicates=20, parts=("verification",)))
    assert isinstance(found, Findings)
    assert found["eer"].key == "eer"
    assert {row.key for row in found} >= {"eer", "auc", "tar@fmr=0.1", "fta", "accuracy"}
    with pytest.raises(InputError, match="not 'nope'; there are tar@fmr"):
        found["nope"]
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "label",
    [None, float("nan"), 1.0, np.float32(2**24 + 1), b"ann", ("ann", "bob")],
)
def test_labels_that_name_nobody_for_sure_are_refused(label):
    embeddings, labels = crowd(4)
    given = np.empty(len(labels), object)
    given[:] = labels
    given[3] = label
    with pytest.raises(InputError, match="labels must be one name"):
        evaluate(embeddings, given, options=FEW)
    with pytest.raises(InputError, match="labels must be one name"):
        evaluate(embeddings, np.unique(labels, return_inverse=True)[1].astype(np.float32))


def test_whole_numbers_of_any_size_are_labels():
    embeddings, labels = crowd(4)
    codes = np.unique(labels, return_inverse=True)[1] + 2**53
    only = Options(replicates=20, parts=("retrieval",))
    one, other = (evaluate(embeddings, each, options=only) for each in (labels, codes.tolist()))
    assert one["recall@1"].estimate == other["recall@1"].estimate


def test_what_is_of_all_pictures_is_refused_where_a_list_says_what_is_compared():
    embeddings, labels = crowd(4)
    pairs = PairList(np.arange(19), np.arange(1, 20), labels[:-1] == labels[1:], None, NONE)
    scores = ScoreFile(np.array([0.9, 0.8]), np.array([0.1, 0.2]), None, None, None, NONE)
    only = Options(replicates=20, parts=("verification", "retrieval"))
    with pytest.raises(InputError, match=r"calibration with pairs, .* not retrieval"):
        evaluate(embeddings, labels, pairs=pairs, options=only)
    with pytest.raises(InputError, match=r"calibration with scores, .* not retrieval"):
        evaluate_scores(scores, options=only)
    assert evaluate(embeddings, labels, pairs=pairs, options=Options(replicates=20))["eer"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pairs": "pairs.txt"}, "pairs as read_pairs(path, ids, labels)"),
        ({"grouping": np.ones(20)}, "grouping as Grouping(name, values)"),
        ({"quality": np.ones(20)}, "quality as Quality(name, values)"),
        ({"distractors": np.ones((20, 16))}, "distractors as Distractors(embeddings, labels)"),
        ({"weights": np.ones((4, 16))}, "weights as read_weights(path)"),
        ({"normaliser": "as"}, "normaliser as Normaliser.of(embeddings, labels, 'as')"),
        ({"options": {"fmr": [0.1]}}, "options as Options(fmr=[0.001])"),
    ],
)
def test_another_kind_of_thing_is_refused_by_the_name_of_what_is_expected(wrong, said):
    with pytest.raises(InputError) as refused:
        evaluate(*crowd(4), **wrong)
    assert said in str(refused.value)


@pytest.fixture(scope="module")
def sampled():
    """The same people kept in full, and with nearly everything beyond what is kept."""
    embeddings, labels = crowd(people=80)
    grouping = Grouping("half", np.where(labels < "p040", "one", "two"))
    other = crowd(people=80, seed=9)[0]
    whole = evaluate(embeddings, labels, options=FEW, grouping=grouping, other=other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "EVERY_SCORE", 20_000)
        patch.setattr(tasks, "SEARCHED", 300)
        large = evaluate(embeddings, labels, options=FEW, grouping=grouping, other=other)
    return whole, large


def test_beyond_what_is_kept_verification_is_still_of_all_pairs(sampled):
    whole, large = sampled
    assert large.input["nonmated"] == whole.input["nonmated"] == 79_000
    for target in ("0.1", "0.01", "0.001"):  # the tail holds 65,536 of them
        key = f"tar@fmr={target}"
        assert large[key].estimate.value == whole[key].estimate.value
    assert large["eer"].estimate.value == pytest.approx(whole["eer"].estimate.value, rel=1e-3)


def test_what_needs_every_score_is_of_people_at_random_and_says_so(sampled):
    whole, large = sampled
    assert [section.key for section in large.sections] == [s.key for s in whole.sections]
    note = "Measured on 40 people at random, 200 pictures of 400"
    notes = {section.key: section.notes for section in large.sections}
    assert note in notes["thresholds"]
    assert note in notes["calibration"]
    assert large["accuracy"].estimate.note == note
    assert note in large.groups["notes"]
    assert note in large.comparison["notes"]
    assert "Measured on 60 people at random, 300 pictures of 400" in notes["identification"]
    for key in ("retrieval", "separability", "neighbours"):
        assert "Measured on 60 people at random, 300 pictures of 400" in notes[key]
    assert "Kolmogorov-Smirnov is of all comparisons" in notes["separability"]
    assert large["overlap@bins=200"].estimate.value is None
    assert not any("at random" in text for s in whole.sections for text in s.notes[:1])


def test_groups_of_a_sample_are_rates_of_the_sample(sampled):
    _, large = sampled
    embeddings, labels = crowd(people=80)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "EVERY_SCORE", 20_000)
        work = tasks.Task(embeddings, labels, None, FEW, (), None, None)
        mask = work.sample
    for row in large.groups["rows"]:
        inside = mask & (np.where(labels < "p040", "one", "two") == row["group"])
        scores = compare_all(embeddings[inside], labels[inside])
        rates = {rate["key"]: rate["value"] for rate in row["rates"]}
        assert rates["fmr"] == (scores.nonmated >= large.groups["threshold"]).mean()
        assert rates["fnmr"] == (scores.mated < large.groups["threshold"]).mean()


def test_a_part_the_data_is_too_small_for_is_left_out_with_its_reason():
    found = evaluate(*crowd(people=3, pictures=2), options=FEW)
    keys = [section.key for section in found.sections]
    assert "verification" in keys
    assert "thresholds" not in keys
    assert any(note.startswith("thresholds was left out: ") for note in found.input["notes"])
    with pytest.raises(InputError, match="each half"):
        evaluate(
            *crowd(people=3, pictures=2), options=Options(replicates=20, parts=("thresholds",))
        )


def test_results_depend_on_the_seed_only_where_something_is_drawn():
    one, two = (evaluate(*crowd(), options=Options(replicates=50, seed=seed)) for seed in (0, 1))
    again = evaluate(*crowd(), options=Options(replicates=50, seed=0))
    assert one.as_dict() == again.as_dict()
    for key in ("eer", "auc", "tar@fmr=0.01", "min-cllr", "recall@1", "map@r"):
        assert one[key].estimate.value == two[key].estimate.value
    assert one["map@r"].estimate.low != two["map@r"].estimate.low


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["a"]}, "N labels"),
        ({"embeddings": np.ones(5)}, r"shape \(N, D\)"),
        ({"other": np.ones((3, 4))}, "second model with one entry"),
        ({"grouping": Grouping("g", np.array(["x"]))}, "grouping with one entry"),
        ({"labels": ["a"] * 200}, "at least 2 people"),
        ({"labels": [str(i) for i in range(200)]}, "2 pictures"),
        ({"embeddings": np.zeros((200, 4))}, "all zeros"),
        ({"embeddings": np.full((200, 4), np.nan)}, "finite"),
        ({"grouping": Grouping("g", np.array(["x"] * 200))}, "at least two groups"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, message):
    embeddings, labels = crowd()
    arguments = {"embeddings": embeddings, "labels": labels} | change
    with pytest.raises(InputError, match=message):
        evaluate(**arguments, options=FEW)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_float_type_and_memory_layout_is_taken(dtype):
    embeddings, labels = crowd()
    given = np.asfortranarray(np.repeat(embeddings, 2, axis=0).astype(dtype))[::2]
    options = Options(replicates=20, parts=("verification",))
    found = evaluate(given, labels, options=options)
    whole = tar_at_fmr(compare_all(embeddings.astype(dtype), labels), 0.01)
    assert found["tar@fmr=0.01"].estimate.value == whole.tar


def test_whole_numbers_as_labels_are_exact_above_two_to_the_24th():
    embeddings, labels = crowd()
    numbers = 2**53 + np.unique(labels, return_inverse=True)[1]
    options = Options(replicates=20, parts=("retrieval",))
    one, two = (evaluate(embeddings, names, options=options) for names in (labels, numbers))
    assert one["map@r"].estimate.value == two["map@r"].estimate.value


def test_every_part_tells_that_it_has_begun_and_ended():
    seen = []

    @contextmanager
    def watch(what, total):
        seen.append(what)
        yield lambda done, note="": seen.append((what, done, total))

    evaluate(*crowd(12), options=Options(replicates=20), watch=watch)
    for part in ("verification", "thresholds", "calibration"):
        assert seen.index(part) < seen.index((part, 1, 1))


def test_searches_are_counted_at_the_thresholds_of_verification():
    def grids(parts):
        found = evaluate(*crowd(), options=Options(replicates=20, parts=parts)).as_dict()
        curves = {each["key"]: each["curves"] for each in found["sections"]}
        return {
            key: curves[key]["operating"]["threshold"]
            for key in ("verification", "identification")
            if key in curves
        }

    assert len(grids(("verification",))["verification"]) < len(grids(PARTS)["verification"])
    both = grids(("verification", "identification"))
    assert both["verification"] == both["identification"]
    assert len(grids(("calibration", "identification"))["identification"]) > 40


@pytest.mark.parametrize("every_score", [100, 10**6])
def test_a_threshold_can_stand_where_so_many_strangers_are_let_in(monkeypatch, every_score):
    monkeypatch.setattr(tasks, "EVERY_SCORE", every_score)
    failures = [Failure("lost.jpg", "p003", "no face")]
    found = evaluate(*crowd(60), options=FEW, failures=failures)
    curves = {section.key: section.curves for section in found.sections}
    pairs, searches = (curves[key]["operating"] for key in ("verification", "identification"))
    assert pairs["threshold"] == searches["threshold"]
    for target in ("0.1", "0.01"):
        row, point = found[f"fnir@fpir={target}"], found[f"fnir@fpir={target}"].estimate.counts
        at = pairs["threshold"].index(point["threshold"])
        assert (searches["fpir"][at], searches["fnir"][at]) == (point["fpir"], row.estimate.value)


def test_where_nobody_can_be_searched_for_pairs_have_a_grid():
    labels = ["ann", "ann", *map(str, range(10))]  # the other half has nobody to enrol
    found = evaluate(crowd(6, 2)[0], labels, options=FEW)
    assert [note for note in found.input["notes"] if "identification was left out" in note]
    assert len(found.sections[0].curves["operating"]["threshold"]) > 40
