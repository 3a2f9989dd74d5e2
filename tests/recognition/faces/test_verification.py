"""The decision about two photographs, and where a threshold may come from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from face_fakes import FakeDetector, FakeEmbedder, save_photo
from fuzz import damaged, refused
from hypothesis import given
from hypothesis import strategies as st

from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.evaluation.options import Options
from recognition.faces.alignment import crop_face
from recognition.faces.photos import load_photo
from recognition.faces.trusted_threshold import Threshold, read_calibration
from recognition.faces.verification import verify_photos

CONTRACT = FakeEmbedder().contract


def verify(first, second, **options):
    options = {"embedder": FakeEmbedder(), "detector": FakeDetector(), **options}
    return verify_photos(first, second, **options)


@pytest.fixture
def ann(tmp_path):
    return save_photo(tmp_path / "ann.png", 0.99, shade=20)


@pytest.fixture
def group(tmp_path):
    return save_photo(tmp_path / "group.png", 0.5, 0.99, 0.97, 0.96, shade=220)


def test_the_score_is_the_cosine_of_the_two_embeddings(ann, group):
    done = verify(ann, group)
    crops = []
    for path, place in ((ann, 0), (group, 1)):
        pixels = load_photo(path).pixels
        face = FakeDetector().detect([pixels])[0][place]
        crops.append(crop_face(pixels, face, CONTRACT.preprocessing))
    one, other = unit_rows(FakeEmbedder().embed(np.stack(crops)))
    assert done.score == pytest.approx(one @ other)
    assert verify(group, ann).score == pytest.approx(done.score)
    assert done.contract == CONTRACT
    assert done.detector == "fake detector 1"


def test_the_largest_certain_face_is_compared_and_others_are_told(ann, group):
    done = verify(ann, group)
    assert (done.first.others, done.first.doubtful) == (0, 0)
    assert (done.second.others, done.second.doubtful) == (2, 1)
    assert done.second.face.score == 0.99
    assert verify(ann, group, min_score=0.4).second.face.score == 0.5


def test_one_person_from_the_threshold_on(ann, group):
    score = verify(ann, group).score
    above = float(np.nextafter(score, 2))
    below = float(np.nextafter(score, -2))
    verdicts = [
        verify(ann, group, threshold=Threshold(value, "a test")).verdict
        for value in (below, score, above)
    ]
    assert verdicts == ["same", "same", "different"]


def test_without_a_threshold_nothing_is_decided(ann):
    done = verify(ann, ann)
    assert done.verdict == "undecided"
    assert done.score == pytest.approx(1)
    assert done.score <= 1


def test_a_file_is_known_again(ann, group, tmp_path):
    copy = tmp_path / "copy.png"
    copy.write_bytes(ann.read_bytes())
    assert verify(ann, copy).same_file
    assert not verify(ann, group).same_file


def test_a_photograph_without_a_certain_face_is_refused(ann, tmp_path):
    none = save_photo(tmp_path / "none.png")
    doubtful = save_photo(tmp_path / "doubtful.png", 0.9, 0.8)
    with pytest.raises(InputError, match=r"none\.png, got none"):
        verify(ann, none)
    with pytest.raises(InputError, match=r"only doubtful detections.*0\.90;"):
        verify(doubtful, ann)
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    with pytest.raises(InputError, match=r"text\.jpg"):
        verify(ann, text)
    with pytest.raises(InputError, match="min_score"):
        verify(ann, ann, min_score=float("nan"))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_embedding_without_a_direction_is_refused(ann, value):
    class Broken(FakeEmbedder):
        def embed(self, crops):
            return np.full((len(crops), 27), value, np.float32)

    with pytest.raises(InputError, match="two faces"):
        verify(ann, ann, embedder=Broken())


@given(st.floats() | st.sampled_from([-1.0, 1.0]))
def test_a_threshold_is_a_cosine(value):
    if -1 <= value <= 1:
        assert Threshold(value, "a test").value == value
    else:
        with pytest.raises(InputError, match="cosine"):
            Threshold(value, "a test")


# -- calibration: what `recognition evaluate` writes -----------------------------------------------


@pytest.fixture(scope="module")
def judged():
    """Real results of the evaluation of random people, as its verb writes them."""
    from recognition import evaluate

    rng = np.random.default_rng(3)
    people = np.repeat([f"p{i}" for i in range(30)], 4)
    vectors = rng.normal(size=(30, 16)).repeat(4, axis=0) + 0.5 * rng.normal(size=(120, 16))
    found = evaluate(vectors, people, options=Options(replicates=20)).as_dict()
    found["input"]["contract"] = CONTRACT.to_json()
    return {"format": 1, "command": "recognition evaluate a.npz", **found}


def write(folder: Path, results) -> Path:
    path = folder / "results.json"
    path.write_text(json.dumps(results))
    return path


def row_of(results, key):
    (section,) = [s for s in results["sections"] if s["key"] == "thresholds"]
    return next(row for row in section["rows"] if row["key"] == key)


def test_the_threshold_is_that_of_the_evaluation_with_where_it_comes_from(judged, tmp_path):
    path = write(tmp_path, judged)
    for place in (path, tmp_path):
        found = read_calibration(place, CONTRACT, fmr=0.1)
        chosen = row_of(judged, "threshold@fmr=0.1")
        told = row_of(judged, "fmr@fmr=0.1")
        assert found.value == chosen["value"]
        assert found.target == 0.1
        assert (found.people, found.comparisons) == (30, chosen["counts"]["nonmated"])
        assert found.fmr == told["value"]
        assert found.interval == (told["low"], told["high"])
        assert "results.json" in found.source


def test_a_rate_without_threshold_is_refused_and_the_others_are_named(judged, tmp_path):
    path = write(tmp_path, judged)
    with pytest.raises(InputError, match=r"for FMR 1e-06, but for 0\.1:"):
        read_calibration(path, CONTRACT, fmr=1e-6)
    empty = {**judged, "sections": []}
    with pytest.raises(InputError, match="but for none"):
        read_calibration(write(tmp_path, empty), CONTRACT, fmr=0.1)


@pytest.mark.parametrize(
    "other",
    [
        replace(CONTRACT, sha256="ab" * 32),
        replace(CONTRACT, dimension=28),
        replace(CONTRACT, preprocessing=replace(CONTRACT.preprocessing, mirror="sum")),
    ],
)
def test_a_threshold_of_another_model_is_refused(judged, tmp_path, other):
    with pytest.raises(InputError, match="cannot be compared"):
        read_calibration(write(tmp_path, judged), other, fmr=0.1)


def test_a_contract_may_be_an_object_too(judged, tmp_path):
    told = {**judged, "input": {"contract": json.loads(CONTRACT.to_json())}}
    assert read_calibration(write(tmp_path, told), CONTRACT, fmr=0.1).value


@pytest.mark.parametrize("contract", [None, "", 0])
def test_a_threshold_of_nobody_knows_which_model_is_refused(judged, tmp_path, contract):
    told = {**judged, "input": {"contract": contract}}
    with pytest.raises(InputError, match="which model"):
        read_calibration(write(tmp_path, told), CONTRACT, fmr=0.1)
    with pytest.raises(InputError, match="which model"):
        read_calibration(write(tmp_path, {**judged, "input": {}}), CONTRACT, fmr=0.1)


def test_a_threshold_of_templates_is_refused(judged, tmp_path):
    for command in ("recognition evaluate a.npz --templates video", "a ' --templates b"):
        path = write(tmp_path, {**judged, "command": command})
        with pytest.raises(InputError, match="without --templates"):
            read_calibration(path, CONTRACT, fmr=0.1)


WRONG = [
    "[]",
    "{}",
    "null",
    "",
    "nonsense",
    '{"format": 2, "input": {}, "sections": []}',
    '{"format": 1, "input": [], "sections": []}',
    '{"format": 1, "input": {"contract": "x"}, "sections": NaN}',
]


@pytest.mark.parametrize("text", WRONG)
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(InputError):
        read_calibration(path, CONTRACT, fmr=0.1)
    with pytest.raises(InputError):
        read_calibration(tmp_path / "missing.json", CONTRACT, fmr=0.1)


@pytest.mark.parametrize("value", [None, "0.3", True, 1.5, [], {"a": 1}])
def test_a_threshold_that_is_none_is_refused(judged, tmp_path, value):
    changed = json.loads(json.dumps(judged))
    row_of(changed, "threshold@fmr=0.1")["value"] = value
    with pytest.raises(InputError):
        read_calibration(write(tmp_path, changed), CONTRACT, fmr=0.1)


def test_a_damaged_file_is_refused_or_sound(judged, tmp_path):
    keep = {**judged, "sections": [s for s in judged["sections"] if s["key"] == "thresholds"]}
    path = tmp_path / "results.json"
    for _, raw in damaged(json.dumps(keep).encode()):
        path.write_bytes(raw)
        refused(
            lambda: read_calibration(path, CONTRACT, fmr=0.1),
            lambda found: -1 <= found.value <= 1,
        )
