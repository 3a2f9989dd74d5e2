"""BLUFR's rates, counted one by one."""

import json

import numpy as np
import pytest

from recognition.datasets.blufr import Blufr, Trial
from recognition.datasets.embedding_files import EmbeddingFile, Failure
from recognition.errors import InputError
from recognition.evaluation.blufr import evaluate_blufr


def lfw(seed=0, people=60, trials=3, spread=0.6):
    """People with three pictures; in each trial a third of them is enrolled by the first."""
    random = np.random.default_rng(seed)
    names = np.repeat([f"p{k:02d}" for k in range(people)], 3)
    x = random.normal(size=(people, 8)).repeat(3, axis=0)
    x = x + spread * random.normal(size=x.shape)
    images = np.array([f"{name}_{n % 3 + 1:04d}.jpg" for n, name in enumerate(names)])
    numbers = np.repeat(np.arange(1, people + 1), 3).astype(str)
    made = []
    for _ in range(trials):
        tested = random.permutation(people)[: people - 6]
        test = np.sort(np.concatenate([3 * tested + n for n in range(3)]))
        gallery = np.sort(3 * tested[: people // 3])
        made.append(Trial(test, gallery, np.setdiff1d(test, gallery)))
    return EmbeddingFile(x, names, images, {}), Blufr(images, numbers, tuple(made))


def by_hand(x, labels, trial, failed=frozenset()):
    """Both rates of a trial, by sorting and counting."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    s = np.round(unit @ unit.T, 9)
    pairs = [(i, j) for i in trial.test for j in trial.test if i < j]
    bad = [i in failed or j in failed for i, j in pairs]
    same = [labels[i] == labels[j] for i, j in pairs]
    mated = [-np.inf if b else s[p] for p, b, m in zip(pairs, bad, same, strict=True) if m]
    other = [s[p] for p, b, m in zip(pairs, bad, same, strict=True) if not m and not b]
    allowed = int(len(other) * 0.001 + 1e-9)
    first_rejected = sorted(other, reverse=True)[allowed]
    vr = np.mean(np.array(mated) > first_rejected)
    enrolled = [g for g in trial.gallery if g not in failed]
    best, own = [], []
    for p in trial.probes:
        scores = {g: s[p, g] for g in enrolled}
        if labels[p] in labels[trial.gallery]:
            mate = [g for g in enrolled if labels[g] == labels[p]]
            hit = mate and p not in failed and all(
                scores[g] < scores[mate[0]] for g in enrolled if g != mate[0])  # fmt: skip
            own.append(scores[mate[0]] if hit else -np.inf)
        else:
            best.append(-np.inf if p in failed else max(scores.values()))
    limit = sorted(best, reverse=True)[int(len(best) * 0.01 + 1e-9)]
    return vr, np.mean(np.array(own) > limit)


@pytest.fixture(scope="module")
def data():
    return lfw()


def test_every_trial_is_as_counted_by_hand(data):
    table, protocol = data
    found = evaluate_blufr(table, protocol)
    expected = [by_hand(table.embeddings, table.labels, trial) for trial in protocol.trials]
    for number, rates in enumerate(expected, 1):
        for key, rate in zip(("vr", "dir"), rates, strict=True):
            assert found[f"blufr:{key}@trial={number}"].estimate.value == pytest.approx(rate)
    for key, rates in zip(("vr", "dir"), np.transpose(expected), strict=True):
        assert found[f"blufr:{key}"].estimate.value == pytest.approx(rates.mean())
        assert found[f"blufr:{key}:sd"].estimate.value == pytest.approx(rates.std(ddof=1))
        least = found[f"blufr:{key}:mean-sd"].estimate.value
        assert least == pytest.approx(rates.mean() - rates.std(ddof=1))
    json.dumps(found.as_dict(), allow_nan=False)


def test_neither_the_order_nor_other_pictures_in_the_table_matter(data):
    table, protocol = data
    order = np.random.default_rng(1).permutation(len(table) + 1)
    more = [
        np.concatenate([table.embeddings, np.ones((1, 8))]),
        np.append(table.labels, "nobody"),
        np.append(table.ids, "nobody.jpg"),
    ]
    again = EmbeddingFile(*(each[order] for each in more), {})
    one, other = (evaluate_blufr(each, protocol) for each in (table, again))
    for row in one:
        assert other[row.key].estimate.value == row.estimate.value


def test_failed_pictures_are_misses_wherever_they_stand(data):
    table, protocol = data
    trial = protocol.trials[0]
    strangers = [p for p in trial.probes if table.labels[p] not in table.labels[trial.gallery]]
    mates = [p for p in trial.probes if table.labels[p] in table.labels[trial.gallery]]
    gone = {int(trial.gallery[0]), int(mates[5]), int(strangers[0])}
    kept = np.array([i for i in range(len(table)) if i not in gone])
    lost = tuple(Failure(str(table.ids[i]), str(table.labels[i]), "NaN") for i in sorted(gone))
    left = EmbeddingFile(table.embeddings[kept], table.labels[kept], table.ids[kept], {}, lost)
    found = evaluate_blufr(left, protocol)
    rates = by_hand(table.embeddings, table.labels, trial, gone)
    counts = found["blufr:dir@trial=1"].estimate.counts
    assert (counts["mated"], counts["nonmated"]) == (len(mates), len(strangers))
    for key, rate in zip(("vr", "dir"), rates, strict=True):
        assert found[f"blufr:{key}@trial=1"].estimate.value == pytest.approx(rate)


def test_too_few_strangers_leave_the_rate_open():
    found = evaluate_blufr(*lfw(people=24))
    row = found["blufr:dir"].estimate
    assert row.value is None
    assert "cannot be measured" in row.note
    assert found["blufr:dir:mean-sd"].estimate.value is None
    assert found["blufr:vr"].estimate.value is not None


def test_a_trial_without_a_gallery_is_refused(data):
    table, protocol = data
    gone = set(protocol.trials[0].gallery.tolist())
    kept = np.array([i for i in range(len(table)) if i not in gone])
    lost = tuple(Failure(str(table.ids[i]), str(table.labels[i]), "NaN") for i in sorted(gone))
    left = EmbeddingFile(table.embeddings[kept], table.labels[kept], table.ids[kept], {}, lost)
    with pytest.raises(InputError, match="0 gallery pictures"):
        evaluate_blufr(left, protocol)
