"""scikit-learn's own checks, and the decisions of the gallery."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import cross_val_predict
from sklearn.utils.estimator_checks import check_estimator

from recognition import OpenSetClassifier
from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.gallery import held_out
from recognition.gallery.answers import Threshold
from recognition.gallery.interface import Gallery
from recognition.metrics.identification import fpir
from recognition.search.identify import search_people

ZERO = "an embedding of zeros has no direction and is refused; the check has such a row"
MINUS_ONE = "-1 is what strangers are, so nobody can be called -1; the check calls a class so"
STRANGERS = (
    "of two people decision_function only says which is nearer, as the check wants it, but the "
    "check also wants nobody to be a stranger"
)
COMMON = {"check_estimators_dtypes": ZERO, "check_classifiers_classes": MINUS_ONE}
EXPECTED = {
    "best": (OpenSetClassifier(), COMMON),
    "template": (
        OpenSetClassifier(person_score="template"),
        {**COMMON, "check_classifiers_train": STRANGERS},
    ),
    "given": (OpenSetClassifier(threshold=0.5), COMMON),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_scikit_learns_checks_pass_but_for_those_listed(kind: str) -> None:
    estimator, expected = EXPECTED[kind]
    ran = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(ran) > 50
    failed = {check["check_name"] for check in ran if check["status"] == "failed"}
    assert failed == set(expected), "the list is exact"
    skipped = {check["check_name"] for check in ran if check["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}
    for check in ran:
        if check["status"] == "failed" and check["check_name"] in COMMON:
            assert isinstance(check["exception"], InputError), "refused, not wrong"


def test_importing_recognition_does_not_import_scikit_learn() -> None:
    code = "import recognition, recognition.gallery.embedded_gallery, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sklearn" not in done.stdout.split()


def people(random: np.random.Generator, count: int, dimension: int = 6) -> Any:
    """Some pictures of each of so many people, who look a little alike."""
    own = random.standard_normal((count, dimension)) + 1
    who = np.repeat(np.arange(count), random.integers(1, 5, count))
    return own[who] + 0.3 * random.standard_normal((len(who), dimension)), who


CONTRACT = Contract("test", "ab" * 32, 6, Preprocessing())


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32), coarse=st.booleans(), by=st.sampled_from(["best", "template"]))
def test_it_decides_as_the_gallery_does(
    tmp_path_factory: pytest.TempPathFactory, seed: int, coarse: bool, by: Any
) -> None:
    random = np.random.default_rng(seed)
    X, who = people(random, 12)
    if coarse:  # ties between people
        X = np.abs(np.rint(X)) + np.eye(6)[0]
    y = np.array([f"person {number}" for number in who])
    probes = np.concatenate([X, random.standard_normal((20, 6))])
    model = OpenSetClassifier(fpir=0.2, person_score=by).fit(X[:9], y[:9])
    for name in dict.fromkeys(y[9:]):
        model.partial_fit(X[9:][y[9:] == name], y[9:][y[9:] == name])
    with Gallery.create(tmp_path_factory.mktemp("a") / "gallery", CONTRACT) as gallery:
        for name in np.unique(y):
            gallery.enroll(str(name), X[y == name])
        value = model.threshold_.value
        answers = gallery.identify(probes, top=1, threshold=value, score=by)
    assert [answer.name or "unknown" for answer in answers] == model.predict(probes).tolist()
    assert [answer.score for answer in answers] == model.score_samples(probes).tolist()
    above = model.decision_function(probes)
    named = np.where(above.max(axis=1) >= 0, model.classes_[above.argmax(axis=1)], "unknown")
    assert named.tolist() == model.predict(probes).tolist()


@pytest.mark.parametrize("by", ["best", "template"])
def test_the_threshold_is_that_of_each_person_left_out_in_turn(by: Any) -> None:
    """Transcribed with `search_people`, whose people are templates: one picture each for "best"."""
    X, who = people(np.random.default_rng(5), 30)
    model = OpenSetClassifier(fpir=0.1, person_score=by).fit(X, who)
    scores = []
    for person in np.unique(who):
        rest = who != person
        names = who[rest] if by == "template" else np.arange(len(who))[rest]
        found = search_people(X[rest].astype(np.float32), names, X[~rest], ["x"] * sum(~rest))
        assert (found.codes >= 0).any()
        scores += found.stranger_scores.tolist()
    alarms = np.array(scores) >= np.float32(model.threshold_.value)
    assert alarms.mean() <= 0.1
    lower = np.array(scores) >= np.sort(scores)[::-1][int(0.1 * len(scores))]
    assert lower.mean() > 0.1, "and the lowest such"
    told = model.threshold_
    assert (told.rule, told.rate, told.people, told.strangers) == ("fpir", 0.1, 29, 30)
    assert told.low < alarms.mean() < told.high
    assert told.score == by
    assert told.note, "30 people are few"
    assert len(told.data) == 64


def test_fpir_on_strangers_is_about_what_was_asked() -> None:
    random = np.random.default_rng(7)
    X, who = people(random, 600, 12)
    others, them = people(random, 600, 12)
    model = OpenSetClassifier(fpir=0.1).fit(X, who)
    share = float((model.predict(others) >= 0).mean())
    assert 0.06 < share < 0.15
    assert model.threshold_.low < share < model.threshold_.high
    found = search_people(X, np.arange(len(X)), others, [f"s{name}" for name in them])
    assert fpir(found, model.threshold_.value) == pytest.approx(share)


def test_people_who_come_later_are_as_good_as_those_who_were_there() -> None:
    X, who = people(np.random.default_rng(8), 20)
    order = np.random.default_rng(1).permutation(20)
    apart = OpenSetClassifier(fpir=0.2)
    for some in np.split(order, [2, 3, 9]):  # also those who stand before the others
        apart.partial_fit(X[np.isin(who, some)], who[np.isin(who, some)])
    together = OpenSetClassifier(fpir=0.2).fit(X, who)
    assert together.classes_.tolist() == apart.classes_.tolist()
    assert together.threshold_.value == apart.threshold_.value
    assert together.decision_function(X).tolist() == apart.decision_function(X).tolist()
    assert together.predict(X).tolist() == apart.predict(X).tolist()


@pytest.mark.parametrize(
    ("y", "stranger"),
    [
        (["a", "a", "b"], "unknown"),
        (np.array(["a", "a", "b"], object), "unknown"),
        ([3, 3, 7], -1),
        (np.array([3, 3, 7], np.uint64), -1),
        ([True, True, False], -1),
        ([2.0, 2.0, 5.0], -1),
    ],
)
def test_strangers_are_unknown_in_the_words_of_the_labels(y: Any, stranger: Any) -> None:
    model = OpenSetClassifier(threshold=0.9).fit([[1, 0], [3, 1], [0, 2]], y)
    known, unknown = model.predict([[1, 0], [-1, -1]]).tolist()
    assert (known, unknown) == (y[0], stranger)


@pytest.mark.parametrize(
    ("options", "y", "words"),
    [
        ({"threshold": "best"}, [0, 1], "expected a score or 'auto', got 'best'"),
        ({"threshold": np.nan}, [0, 1], "finite"),
        ({"threshold": True}, [0, 1], "expected a score or 'auto'"),
        ({"person_score": "mean"}, [0, 1], "expected best or template"),
        ({"fpir": 2.0}, [0, 1], "rate between 0 and 1"),
        ({}, [0, -1], "called -1"),
        ({}, ["a", "unknown"], "called unknown"),
        ({}, [0, 0], "at least 2 people, or classes"),
        ({}, [0.5, 1], "continuous"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_learns(options: Any, y: Any, words: str) -> None:
    model = OpenSetClassifier(**options)  # says nothing yet
    with pytest.raises(ValueError, match=words):
        model.fit([[1, 0], [0, 1]], y)
    assert not hasattr(model, "classes_")


def test_what_cannot_be_learned_later_leaves_what_was_known() -> None:
    model = OpenSetClassifier(threshold=0.5).fit([[1, 0], [0, 1]], ["a", "b"])
    for X, y in (([[1, 0]], [4]), ([[0, 0]], ["c"]), ([[1, 0, 0]], ["c"]), ([[1e30, 0]], ["c"])):
        with pytest.raises(ValueError, match=r"expected|direction|features"):
            model.partial_fit(X, y)
        assert model.predict([[1, 0]]).tolist() == ["a"]
        assert model.classes_.tolist() == ["a", "b"]
    with pytest.raises(InputError, match="in classes"):
        model.partial_fit([[1, 0]], ["c"], classes=["a", "b"])


def test_it_goes_into_pipelines_and_searches() -> None:
    X, who = people(np.random.default_rng(3), 8)
    keep = np.isin(who, np.flatnonzero(np.bincount(who) > 1))
    model = clone(OpenSetClassifier(threshold=-1.0)).set_params(person_score="template")
    told = cross_val_predict(model, X[keep], who[keep], cv=2)
    assert (told == who[keep]).mean() > 0.6


def test_many_pictures_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    X, who = people(np.random.default_rng(6), 40)
    whole = OpenSetClassifier(fpir=0.2).fit(X, who).threshold_
    monkeypatch.setattr(held_out, "SEARCHES", 60)
    few = OpenSetClassifier(fpir=0.2).fit(X, who).threshold_
    assert abs(few.value - whole.value) < 0.1
    assert few.strangers == 40
    assert "60 searches" in few.note


def test_a_gallery_keeps_to_the_scores_its_threshold_was_set_for(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "g", CONTRACT) as gallery:
        gallery.enroll("ada", np.eye(6)[:2])
        gallery.set_threshold(Threshold(0.6, score="template"))
        (answer,) = gallery.identify(np.eye(6)[0])
        assert answer.name == "ada"
        assert answer.score == pytest.approx(0.5**0.5), "the template, since it was set for it"
        with pytest.raises(InputError, match="expected template scores"):
            gallery.identify(np.eye(6)[0], score="best")
        (answer,) = gallery.identify(np.eye(6)[0], score="best", threshold=0.9)
        assert (answer.name, answer.score) == ("ada", 1.0)
        assert gallery.identify(np.eye(6)[0], threshold=0.9)[0].score == 1.0
        gallery.enroll("ada", np.eye(6)[:1].repeat(8, axis=0))
        assert gallery.identify(np.eye(6)[0])[0].score > 0.9, "with every change"
        gallery.remove("ada")
        assert gallery.identify(np.eye(6)[0])[0].candidates == ()
        with pytest.raises(InputError, match="best or template"):
            gallery.identify(np.eye(6)[0], score="mean", threshold=0.5)  # type: ignore[arg-type]
