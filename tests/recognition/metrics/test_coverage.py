"""A small look at what `tests/benchmarks/coverage.py` measures in full under `make soak`."""

import numpy as np

from recognition.comparisons import compare_all
from recognition.metrics.clustered import Clusters
from recognition.metrics.proportions import wilson

PEOPLE, PICTURES, SETS, THRESHOLD = 60, 4, 60, 0.35


def unlike(random, people):
    """Everybody leans to one pole, more or less, and scatters by more or less."""
    centres = random.normal(size=(people, 1, 32)) / 32**0.5
    centres[:, 0, 0] += 0.3 * np.abs(random.normal(size=people))
    scatter = 0.65 * np.exp(0.2 * random.normal(size=(people, 1, 1)))
    noise = random.normal(size=(people, PICTURES, 32)) / 32**0.5
    return (centres + scatter * noise).reshape(-1, 32)


def test_intervals_by_person_hold_the_true_rates_more_often_than_those_by_pair():
    random = np.random.default_rng(11)
    labels = np.repeat(np.arange(900), PICTURES)
    many = compare_all(unlike(random, 900), labels)
    fmr, fnmr = (many.nonmated >= THRESHOLD).mean(), (many.mated < THRESHOLD).mean()
    held = {"fmr": 0, "fnmr": 0, "pairs": 0}
    labels = labels[: PEOPLE * PICTURES]
    for _ in range(SETS):
        scores = compare_all(unlike(random, PEOPLE), labels)
        clusters = Clusters.of(scores)
        for key, true, found in (
            ("fmr", fmr, clusters.fmr(THRESHOLD)),
            ("fnmr", fnmr, clusters.fnmr(THRESHOLD)),
            ("pairs", fmr, wilson(scores.false_matches(THRESHOLD), len(scores.nonmated))),
        ):
            held[key] += found.low <= true <= found.high
    assert held["fmr"] >= 50  # 95 % would be 57; 50 is what chance allows at worst
    assert held["fnmr"] >= 50
    assert held["pairs"] < 45
