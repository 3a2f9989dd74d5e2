"""People among distractors, as a section."""

import json

import numpy as np
import pytest

from recognition import Options, evaluate
from recognition.datasets.embedding_files import Failure
from recognition.errors import InputError
from recognition.evaluation.distractors import Distractors

FAST = Options(replicates=20, parts=("retrieval",))


def faces(seed=0, people=8):
    random = np.random.default_rng(seed)
    x = random.normal(size=(people, 8)).repeat(3, axis=0)
    return x + 0.8 * random.normal(size=x.shape), np.repeat([f"p{k}" for k in range(people)], 3)


@pytest.fixture(scope="module")
def strangers():
    random = np.random.default_rng(9)
    return Distractors(random.normal(size=(1200, 8)), np.arange(1200).astype(str), failed=2)


def test_the_rate_falls_as_strangers_come_and_counts_all_ordered_pairs(strangers):
    found = evaluate(*faces(), options=FAST, distractors=strangers)
    section = found.sections[-1]
    values = [row.estimate.value for row in section.rows]
    assert [row.key for row in section.rows] == [
        f"distractors:rank1@n={n}" for n in (10, 100, 1000, 1200)]  # fmt: skip
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]
    for row in section.rows:
        counts = row.estimate.counts
        assert counts["queries"] == 8 * 3 * 2
        assert counts["hits"] / counts["queries"] == row.estimate.value
        assert row.estimate.low <= row.estimate.value <= row.estimate.high
    assert any("not comparable" in note for note in section.notes)
    assert any("2 distractors could not be embedded" in note for note in section.notes)
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_picture_without_an_embedding_is_a_miss_in_every_pair(strangers):
    x, labels = faces()
    lost = [Failure("f", "p3", "NaN"), Failure("g", "new", "NaN")]
    before, after = (
        evaluate(x, labels, options=FAST, distractors=strangers, failures=failures)
        for failures in ((), lost)
    )
    one, other = (each["distractors:rank1@n=100"].estimate.counts for each in (before, after))
    assert other["hits"] == one["hits"]
    assert other["queries"] == one["queries"] + 4 * 3 - 3 * 2


def test_people_in_both_are_refused_before_any_work(strangers):
    x, labels = faces()
    named = Distractors(strangers.embeddings, np.append(strangers.labels[:-1], "p3"))
    with pytest.raises(InputError, match=r"in the distractors, but 1 .* 'p3'"):
        evaluate(x, labels, distractors=named)
    twin = Distractors(np.vstack([strangers.embeddings[:-1], 3 * x[4]]), strangers.labels)
    with pytest.raises(InputError, match="'1199' and 'p1'"):
        evaluate(x, labels, distractors=twin)
    lost = [Failure("f", "17", "NaN")]
    with pytest.raises(InputError, match="'17' are evaluated too"):
        evaluate(x, labels, distractors=strangers, failures=lost)
