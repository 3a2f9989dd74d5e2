"""Whether discarding pictures of low quality helps, as a section."""

import json
import re

import numpy as np
import pytest

from recognition import Options, evaluate
from recognition.datasets.embedding_files import Failure
from recognition.errors import InputError
from recognition.evaluation import task
from recognition.evaluation.quality import Quality, column_quality, norm_quality
from recognition.report.evaluation.picture_figures import quality_figure

FAST = Options(replicates=60, parts=("verification",))


def faces(people=24, pictures=4, seed=0):
    """The noisier a picture, the lower its quality."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(people, 8)).repeat(pictures, axis=0)
    noise = random.uniform(0, 1.2, len(centres))
    x = centres + noise[:, None] * random.normal(size=centres.shape)
    return x, np.repeat([f"p{k:02d}" for k in range(people)], pictures), -noise


@pytest.fixture(scope="module")
def found():
    x, labels, quality = faces()
    return evaluate(x, labels, options=FAST, quality=Quality("sharpness", quality))


def test_true_quality_gains_and_can_be_told_from_chance(found):
    gain = found["quality:gain"].estimate
    assert gain.low > 0
    rates = [found[f"quality:fnmr@discard={share}"].estimate.value for share in (0, 0.1, 0.2)]
    assert rates[0] > rates[1] > rates[2]
    ideal, random = (found[f"quality:partial:{of}"].estimate.value for of in ("ideal", "random"))
    assert ideal < found["quality:partial"].estimate.value < random == rates[0]


def test_nothing_discarded_is_verification_at_that_fmr(found):
    target = re.search(r"FMR at most ([\d.]+)", found.sections[-1].notes[1])[1]
    row = found["quality:fnmr@discard=0"].estimate
    assert row.value == pytest.approx(1 - found[f"tar@fmr={target}"].estimate.value)
    fmr = found["quality:fmr@discard=0"].estimate
    assert fmr.counts["errors"] == found[f"tar@fmr={target}"].estimate.counts["allowed"]


def test_a_lie_about_quality_is_seen():
    x, labels, quality = faces()
    lie = evaluate(x, labels, options=FAST, quality=Quality("lie", -quality))
    assert lie["quality:gain"].estimate.value < -0.1
    assert lie["quality:gain"].estimate.high < 0.1
    chance = evaluate(
        x, labels, options=FAST, quality=Quality("none", np.random.default_rng(2).random(len(x)))
    )
    gain = chance["quality:gain"].estimate
    assert gain.low < 0 < gain.high


def test_rows_say_that_ties_may_leave_fewer_discarded_and_what_failed_is_left_out():
    x, labels, _ = faces()
    two = np.arange(len(x)) % 2 + 0.0
    failures = [Failure("gone", "p00", "no face")]
    found = evaluate(x, labels, options=FAST, quality=Quality("two", two), failures=failures)
    row = next(r for r in found.sections[-1].rows if r.key == "quality:fnmr@discard=0.2")
    assert row.estimate.counts["discarded"] == 0
    assert row.label == "FNMR, at most 20 % discarded"
    assert "could not be embedded are in none" in found.sections[-1].notes[0]


def test_the_curve_is_drawn_with_its_scale(found):
    results = found.as_dict() | {"name": "faces.npz"}
    json.dumps(results, allow_nan=False)
    curve = results["sections"][-1]["curves"]["discard"]
    assert len({len(each) for each in curve.values()}) == 1
    assert all(np.array(curve["low"]) <= np.array(curve["fnmr"]))
    assert all(np.array(curve["ideal"]) <= np.array(curve["fnmr"]) + 1e-12)
    (panel,) = quality_figure(results).axes
    assert {line.get_label() for line in panel.lines} == {
        "faces.npz",
        "random order",
        "ideal order",
    }
    assert panel.lines[0].get_ydata()[0] == curve["fnmr"][0]


def test_no_miss_is_nothing_to_gain():
    x = np.eye(6).repeat(4, axis=0) + 1e-3 * np.random.default_rng(0).normal(size=(24, 6))
    labels = np.repeat(list("abcdef"), 4)
    found = evaluate(x, labels, options=FAST, quality=Quality("q", np.arange(24.0)))
    assert found["quality:gain"].estimate.value is None
    assert "nothing to gain" in found["quality:gain"].estimate.note
    zero = found["quality:fnmr@discard=0.1"].estimate
    assert zero.value == 0
    assert zero.high > 0, "none seen is no certainty"


def test_qualities_are_read_with_care():
    assert column_quality("q", np.array(["1", "2.5"])).values.tolist() == [1, 2.5]
    with pytest.raises(InputError, match="row 1 has 'good'"):
        column_quality("q", np.array(["1", "good"]))
    with pytest.raises(InputError, match="row 0 has 'nan'"):
        column_quality("q", np.array(["nan", "1"]))
    assert norm_quality(np.array([[3.0, 4], [6, 8]])).values.tolist() == [5, 10]
    for scale in (1e300, 1e-300):  # squares would be infinite, or nothing
        lengths = norm_quality(np.array([[3.0, 4], [6, 8]]) * scale).values / scale
        assert lengths == pytest.approx([5, 10])
    with pytest.raises(InputError, match="before they are normalised"):
        norm_quality(np.array([[3.0, 4], [4, 3]]))
    half = np.random.default_rng(0).normal(size=(50, 8))
    half = (half / np.linalg.norm(half, axis=1, keepdims=True)).astype(np.float16)
    with pytest.raises(InputError, match="before they are normalised"):
        norm_quality(half)  # what float16 leaves of length 1 is no quality
    x, labels, quality = faces()
    with pytest.raises(InputError, match="qualities that differ"):
        Quality("q", np.ones(len(x)))
    with pytest.raises(InputError, match="one finite number"):
        Quality("q", np.array([1, np.inf]))
    with pytest.raises(InputError, match="a quality with one entry"):
        evaluate(x, labels, options=FAST, quality=Quality("q", quality[:-1]))


def test_more_pairs_than_are_kept_are_sampled_and_labelled(monkeypatch):
    monkeypatch.setattr(task, "EVERY_SCORE", 3000)
    x, labels, quality = faces()
    found = evaluate(x, labels, options=FAST, quality=Quality("q", quality))
    assert found.sections[-1].notes[0].startswith("Measured on ")
