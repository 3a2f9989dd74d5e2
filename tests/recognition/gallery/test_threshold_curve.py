"""The curve of a threshold goes through what was measured when it was set."""

from pathlib import Path

import numpy as np
import pytest

from recognition.contract import Contract, Preprocessing
from recognition.gallery.answers import PersonScore, Threshold
from recognition.gallery.calibration import calibrate
from recognition.gallery.interface import Gallery
from recognition.gallery.threshold_curve import GRID, threshold_curve

CONTRACT = Contract("demo", "00" * 32, 8, Preprocessing())


@pytest.mark.parametrize("score", ["best", "template"])
@pytest.mark.parametrize("failures", [(), ("p0", "p9", "p9")])
def test_rates_and_intervals_at_the_threshold_are_those_it_was_set_by(
    tmp_path: Path, score: PersonScore, failures: tuple[str, ...]
) -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(12, 8)).repeat(4, axis=0) + 0.7 * draw.normal(size=(48, 8))
    labels = [f"p{at // 4}" for at in range(48)]
    with Gallery.create(tmp_path / "g", CONTRACT) as gallery:
        for person in range(4):
            gallery.enroll(f"p{person}", rows[4 * person : 4 * person + 2])
        found = calibrate(gallery, rows, labels, fpir=0.2,
                          score=score, failures=failures)  # fmt: skip
        curve = threshold_curve(gallery, rows, labels, found, failures=failures)
    operating = curve["operating"]
    grid = operating["threshold"]
    assert len(grid) == GRID
    assert grid == sorted(grid)
    at = grid.index(found.value)
    for name, told in (
        ("fpir", (found.reached, found.low, found.high)),
        ("fnir", (found.fnir, found.fnir_low, found.fnir_high)),
    ):
        assert tuple(operating[name + end][at] for end in ("", "_low", "_high")) == (
            pytest.approx(told, rel=1e-12)
        )
    assert (np.diff(operating["fpir"]) <= 0).all()
    assert (np.diff(operating["fnir"]) >= 0).all()
    assert (operating["enrolled"], operating["mated"]) == (4, found.mated)
    assert operating["strangers"] == found.trials
    histogram = curve["histogram"]
    assert sum(histogram["nonmated"]) == 32
    assert len(histogram["bins"]) == len(histogram["mated"]) + 1


def test_a_score_at_the_threshold_is_accepted(tmp_path: Path) -> None:
    rows = np.eye(8, dtype=np.float32)[[0, 0, 1, 2]] + np.float32(0.3) * np.eye(8)[[1, 2, 3, 4]]
    with Gallery.create(tmp_path / "g", CONTRACT) as gallery:
        gallery.enroll("ada", [np.eye(8)[0]])
        scores = [answer.score for answer in gallery.identify(rows, top=1, threshold=-1.0)]
        assert scores[0] is not None
        curve = threshold_curve(gallery, rows, ["ada", "eve", "bob", "bob"], Threshold(scores[0]))
    operating = curve["operating"]
    at = operating["threshold"].index(scores[0])
    assert scores[0] == scores[1]
    assert (operating["fnir"][at], operating["fpir"][at]) == (0.0, 1 / 3)
    assert (operating["strangers"], operating["mated"]) == (3, 1)
