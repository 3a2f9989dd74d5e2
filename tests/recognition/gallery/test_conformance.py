"""What every kind of gallery does, whoever keeps the people: in a folder, and on Milvus."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fuzz import SOAK

from recognition.contract import Contract, Preprocessing
from recognition.embeddings import as_scores, unit_rows
from recognition.errors import InputError
from recognition.gallery.answers import Answer, Faceless, OutgrownWarning, Threshold
from recognition.gallery.interface import Gallery

CONTRACT = Contract("test", "ab" * 32, 4, Preprocessing())
NASTY = [
    "../../x", "CON", "a\0b", "😀", "\u202eright-to-left", "x" * 10_000, "=cmd()", "<script>",
    "new\nline", "' OR 1=1 --", '" or "" == "', "\\", "{name}", "%", " ", "é", "e\u0301", "\0" * 10_000,
    "😀" * 10_000,
]  # fmt: skip


def test_people_are_found_and_strangers_are_unknown(gallery: Gallery) -> None:
    gallery.enroll("ada", [[1, 0, 0, 0], [1, 1, 0, 0]], sources=["a.jpg", "b.jpg"])
    gallery.enroll("bob", [0, 0, 2, 0])
    gallery.set_threshold(Threshold(0.8))
    ada, bob, nobody = gallery.identify([[2, 2, 0, 0], [0, 0, 1, 0.1], [1, 1, 1, 1]])
    assert (ada.name, ada.score, ada.candidates[0].source) == ("ada", 1.0, "b.jpg")
    assert bob.name == "bob"
    assert nobody.name is None
    assert [one.name for one in nobody.candidates] == ["ada", "bob"], "runners-up all the same"
    assert nobody.margin == nobody.candidates[0].score - nobody.candidates[1].score


def test_without_a_threshold_everybody_is_unknown(gallery: Gallery) -> None:
    gallery.enroll("ada", [1, 0, 0, 0])
    (answer,) = gallery.identify([1, 0, 0, 0])
    assert (answer.name, answer.score, answer.threshold) == (None, 1.0, None)
    (answer,) = gallery.identify([1, 0, 0, 0], threshold=1.0)
    assert answer.name == "ada", "accepted at score >= threshold"


def test_a_bare_number_is_no_threshold(gallery: Gallery) -> None:
    with pytest.raises(InputError, match="expected a Threshold, as calibrate gives"):
        gallery.set_threshold(0.5)  # type: ignore[arg-type]
    assert gallery.threshold is None


def test_a_gallery_is_made_for_a_contract_not_for_a_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a Contract, got 'my network'"):
        Gallery.create(tmp_path / "g", "my network")  # type: ignore[arg-type]
    assert not (tmp_path / "g").exists()


def test_an_empty_gallery_knows_nobody(gallery: Gallery) -> None:
    (answer,) = gallery.identify([1, 0, 0, 0], threshold=-1.0)
    assert answer == Answer(None, Threshold(-1.0), ())
    assert answer.score is None
    assert answer.margin is None
    assert len(gallery) == 0


def test_equal_scores_are_listed_by_name_whatever_k(gallery: Gallery) -> None:
    for name in ("cy", "bo", "al", "di"):
        gallery.enroll(name, [1, 0, 0, 0])
    for top in (1, 2, 3, 4, 9):
        (answer,) = gallery.identify([1, 0, 0, 0], top=top, threshold=0.5)
        assert [one.name for one in answer.candidates] == ["al", "bo", "cy", "di"][:top]
        assert answer.name == "al"


def test_many_who_tie_are_listed_by_name_too(gallery: Gallery) -> None:
    """More than a first list of proposals holds, so that none of them decides who is first."""
    names = [f"{number:04}" for number in np.random.default_rng(3).permutation(400)]
    gallery.enroll_many([[1, 0, 0, 0]] * len(names), names)
    (answer,) = gallery.identify([1, 0, 0, 0], top=7)
    assert [one.name for one in answer.candidates] == sorted(names)[:7]


def test_a_person_with_many_samples_hides_nobody(gallery: Gallery) -> None:
    crowd = np.random.default_rng(4).normal([1, 0, 0, 0], 1e-3, (500, 4))
    gallery.enroll_many([*crowd, [0, 1, 0, 0]], ["ada"] * len(crowd) + ["bob"])
    (answer,) = gallery.identify([1, 0, 0, 0], top=2)
    assert [one.name for one in answer.candidates] == ["ada", "bob"]
    assert answer.candidates[0].score == as_scores(unit_rows(crowd.astype("f4"))[:, 0]).max()


def test_the_source_is_of_the_first_of_equal_samples(gallery: Gallery) -> None:
    gallery.enroll("ada", [[0, 1, 0, 0], [3, 0, 0, 0]], sources=["other", "first"])
    gallery.enroll("ada", [[1, 0, 0, 0]], sources=["second"])
    (answer,) = gallery.identify([1, 0, 0, 0])
    assert answer.candidates[0].source == "first"


def test_it_is_the_same_after_opening_again(place: Any) -> None:
    where = place()
    with Gallery.create(where, CONTRACT) as gallery:
        gallery.enroll("ada", [[1, 0, 0, 0]], metadata={"since": 2024, "team": "y"})
        gallery.enroll("ada", [[0, 1, 0, 0]], metadata={"team": "x"})
        gallery.set_threshold(Threshold(0.5, "fpir", 0.01, 0.004, 0.02, 10, 20, "cd", "2026-01-01"))
        before = (gallery.people(), gallery.threshold, gallery.identify([0, 3, 0, 0]))
        with Gallery.open(where) as again:
            (person,) = again.people()
            assert (person.name, person.samples) == ("ada", 2)
            assert person.metadata == {"since": 2024, "team": "x"}
            assert again.contract == CONTRACT
            assert (again.people(), again.threshold, again.identify([0, 3, 0, 0])) == before
    with Gallery.open(where) as again:
        assert (again.people(), again.threshold, again.identify([0, 3, 0, 0])) == before


def test_texts_of_numpy_are_texts(place: Any) -> None:
    where, texts = place(), np.array(["ada", "bob"])
    with Gallery.create(where, CONTRACT) as gallery:
        gallery.enroll_many(np.eye(4)[:2], texts, sources=texts, digests=texts)
        gallery.enroll(texts[0], np.eye(4)[2:], sources=texts, digests=texts)
        gallery.enroll(texts[0], np.eye(4)[3], metadata={"team": "x"})
        gallery.describe(texts[1], {"team": "y"})
        with Gallery.open(where) as again:
            assert again.people() == gallery.people()
            assert [one.source for one in again.samples("ada")] == ["ada", "ada", "bob", ""]
            assert [one.name for one in again.people()] == ["ada", "bob"]


def test_the_last_threshold_set_counts(gallery: Gallery) -> None:
    assert gallery.threshold is None
    for value in (0.5, 0.25, 0.5, 0.75):
        gallery.set_threshold(Threshold(value))
        assert gallery.threshold == Threshold(value)


def test_samples_come_back_as_they_were_enrolled(gallery: Gallery) -> None:
    vectors = np.random.default_rng(5).normal(size=(7, 4)).astype(np.float32)
    gallery.enroll("ada", vectors[:2], sources=["a", "b\0"], digests=["12", ""])
    gallery.enroll_many(
        vectors[2:6],
        ["ada", "bob", "ada", "bob"],
        sources=["c", "", "d", ""],
        digests=["34", "", "", "56"],
        metadata={"bob": {"team": "x"}},
    )
    gallery.enroll("ada", vectors[6])
    ada = gallery.samples("ada")
    assert np.array_equal([one.vector for one in ada], vectors[[0, 1, 2, 4, 6]])
    assert [(one.source, one.digest) for one in ada] == [
        ("a", "12"), ("b\0", ""), ("c", "34"), ("d", ""), ("", ""),
    ]  # fmt: skip
    assert [one.vector.dtype for one in ada] == [np.float32] * 5
    assert sorted(gallery.known()) == [("ada", "a", "12"), ("ada", "c", "34"), ("bob", "", "56")]
    assert [person.metadata for person in gallery.people()] == [{}, {"team": "x"}]
    with pytest.raises(InputError, match="somebody enrolled, got 'eve'"):
        gallery.samples("eve")


def test_what_json_can_say_comes_back(gallery: Gallery) -> None:
    said = {"half": "\ud83d", "nul": "\0", "deep": [{"a": [1, 2.5, None, True, "\u2028"]}], "": {}}
    gallery.enroll("ada", [1, 0, 0, 0], metadata=said)
    assert gallery.people()[0].metadata == said


def test_what_a_sync_found_is_remembered_until_somebody_is_erased(gallery: Gallery) -> None:
    assert gallery.faceless == Faceless()
    found = Faceless("settings", {"ab" * 32: "no face"})
    gallery.set_faceless(found)
    assert gallery.faceless == found
    gallery.enroll("ada", [1, 0, 0, 0])
    gallery.erase("ada")
    assert gallery.faceless == Faceless()


def test_a_gallery_that_outgrew_its_threshold_says_so(gallery: Gallery) -> None:
    gallery.set_threshold(Threshold(0.5, "fpir", 0.01, people=2, strangers=9))
    gallery.enroll_many(np.eye(4)[[0, 0, 1]], ["ada", "ada", "bob"])
    assert gallery.identify([1, 0, 0, 0])[0].name == "ada", "and no warning"
    gallery.enroll("cy", np.eye(4)[2])
    with pytest.warns(OutgrownWarning, match="2 people and 3 are enrolled"):
        gallery.identify([1, 0, 0, 0])
    gallery.identify([1, 0, 0, 0], threshold=0.5)
    found = gallery.stats()
    assert (found.people, found.samples, found.threshold) == (3, 4, gallery.threshold)
    assert "3 are enrolled" in str(found.outgrown)


def test_samples_are_discarded_by_their_digests(gallery: Gallery) -> None:
    eye = np.eye(4)
    gallery.enroll("ada", eye[:2], digests=["12", "34"], metadata={"team": "x"})
    gallery.enroll("ada", [eye[2], eye[1]], digests=["34", ""])
    gallery.enroll("bob", eye[0], digests=["12"])
    assert gallery.discard("ada", ["12", "99", ""]) == 1
    assert [one.digest for one in gallery.samples("ada")] == ["34", "34", ""]
    assert [p.samples for p in gallery.people()] == [3, 1]
    assert [one.name for one in gallery.identify(eye[0])[0].candidates] == ["bob", "ada"]
    assert gallery.identify(eye[0])[0].candidates[1].score == 0
    assert gallery.discard("ada", ["12"]) == 0
    assert gallery.discard("ada", ["34"]) == 2
    (ada, _) = gallery.people()
    assert (ada.samples, ada.metadata) == (1, {"team": "x"})
    assert gallery.discard("bob", ["12"]) == 1
    assert [person.name for person in gallery.people()] == ["ada"], "who has none left is gone"
    with pytest.raises(InputError, match="somebody enrolled, got 'bob'"):
        gallery.discard("bob", ["12"])
    assert gallery.remove("ada") == 1


def test_samples_are_replaced_by_their_digests(gallery: Gallery) -> None:
    gallery.enroll("ada", np.eye(4)[:3], digests=["12", "34", ""])
    gallery.enroll("ada", [[1, 1, 1, 1]], digests=["56"], replacing=["12", "34", "99"])
    assert [one.digest for one in gallery.samples("ada")] == ["", "56"]
    gallery.enroll("ada", [[1, 1, 1, 2]], digests=["56"], replacing=["56"])
    assert gallery.samples("ada")[-1].vector.tolist() == [1, 1, 1, 2], "by the same digest, too"
    assert len(gallery.samples("ada")) == 2
    gallery.enroll("bob", [[1, 1, 1, 1]], digests=["56"], replacing=["56"])
    assert len(gallery.samples("bob")) == 1, "also of somebody new"


def test_what_is_said_of_a_person_can_be_changed(gallery: Gallery) -> None:
    gallery.enroll("ada", [1, 0, 0, 0], metadata={"team": "x", "since": 2024})
    gallery.describe("ada", {"team": "y"})
    (person,) = gallery.people()
    assert (person.samples, person.metadata) == (1, {"team": "y", "since": 2024})
    with pytest.raises(InputError, match="somebody enrolled"):
        gallery.describe("eve", {"team": "y"})
    with pytest.raises(InputError, match="metadata"):
        gallery.describe("ada", {"team": object()})
    assert gallery.remove("ada") == 1
    assert len(gallery) == 0


def test_who_is_removed_is_found_no_more_also_by_others(place: Any) -> None:
    where = place()
    with Gallery.create(where, CONTRACT) as gallery, Gallery.open(where) as reader:
        gallery.enroll("ada", [1, 0, 0, 0])
        gallery.enroll("bob", [[1, 1, 0, 0], [1, 2, 0, 0]])
        assert reader.identify([1, 0, 0, 0], threshold=0)[0].name == "ada"
        assert gallery.remove("ada") == 1
        assert reader.identify([1, 0, 0, 0], threshold=0)[0].name == "bob"
        gallery.enroll("ada", [1, 0, 0, 0])
        assert reader.identify([1, 0, 0, 0], threshold=0)[0].name == "ada"
        assert reader.remove("bob") == 2
        assert [person.name for person in gallery.people()] == ["ada"]
        for gone in ("eve", "bob"):
            with pytest.raises(InputError, match=f"name of somebody enrolled, got '{gone}'"):
                gallery.remove(gone)
            with pytest.raises(InputError, match=f"name of somebody enrolled, got '{gone}'"):
                gallery.erase(gone)


def test_who_comes_back_brings_nothing_of_before(gallery: Gallery) -> None:
    gallery.enroll("ada", [[1, 0, 0, 0], [0, 1, 0, 0]], metadata={"team": "x"})
    gallery.remove("ada")
    gallery.enroll("ada", [0, 0, 1, 0])
    (person,) = gallery.people()
    assert (person.samples, person.metadata) == (1, {})
    assert gallery.identify([1, 0, 0, 0])[0].score == 0


def test_who_is_erased_is_gone_and_the_others_are_there(gallery: Gallery) -> None:
    for number in range(10):
        gallery.enroll(f"person {number}", np.eye(4)[number % 4] + number)
    receipt = gallery.erase("person 3")
    assert (receipt.name, receipt.samples) == ("person 3", 1)
    assert receipt.complete != bool(receipt.left), "what is not shown to be gone is said"
    assert len(gallery) == 9
    found = gallery.identify(np.eye(4)[0], top=100)[0].candidates
    assert sorted(one.name for one in found) == [f"person {n}" for n in range(10) if n != 3]


def test_names_are_data(gallery: Gallery) -> None:
    for number, name in enumerate(NASTY):
        gallery.enroll(name, np.eye(4)[number % 4] + number / 100, metadata={name[:99]: name[:99]})
    people = gallery.people()
    assert [person.name for person in people] == sorted(NASTY, key=str.encode)
    assert all(person.metadata == {person.name[:99]: person.name[:99]} for person in people)
    found = gallery.identify([1, 2, 3, 4], top=100)[0].candidates
    assert sorted(one.name for one in found) == sorted(NASTY)
    for left, name in enumerate(NASTY, 1):
        assert gallery.erase(name).name == name
        assert len(gallery) == len(NASTY) - left, "nobody else goes with them"


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        ([np.nan, 0, 0, 1], "finite"),
        ([0, 0, 0, 0], "direction"),
        ([1e-60, 0, 0, 0], "lengths"),
        ([1e60, 0, 0, 0], "lengths"),
        ([1, 0, 0], "expected 4 dimensions"),
        (["a", "b", "c", "d"], "real numbers"),
    ],
)
def test_what_cannot_be_enrolled_changes_nothing(gallery: Gallery, vector: Any, words: str) -> None:
    with pytest.raises(InputError, match=f"'ada'.*{words}"):
        gallery.enroll("ada", vector)
    with pytest.raises(InputError, match="embeddings"):
        gallery.enroll_many([[1, 0, 0, 0], vector], ["bob", "ada"])
    with pytest.raises(InputError, match=words):
        gallery.identify(vector)
    assert gallery.people() == []


def test_bad_names_sources_metadata_and_contracts_are_refused(gallery: Gallery) -> None:
    other = replace(CONTRACT, model="other", sha256="cd" * 32)
    for wrong, words in (
        ({"name": ""}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "ada", "sources": ["a", "b"]}, "source"),
        ({"name": "ada", "sources": ["\ud800"]}, "source"),
        ({"name": "ada", "metadata": {"a": {1, 2}}}, "metadata"),
        ({"name": "ada", "metadata": {"a": np.nan}}, "metadata"),
        ({"name": "ada", "contract": other}, "other .*test "),
    ):
        with pytest.raises(InputError, match=words):
            gallery.enroll(embeddings=[1, 0, 0, 0], **wrong)
    for wrong, words in (
        ({"names": ["ada"]}, "of the person of each of 2"),
        ({"names": ["ada", ""]}, "name"),
        ({"names": ["ada", "bob"], "sources": ["a"]}, "a source for each of 2"),
        ({"names": ["ada", "bob"], "digests": ["a"]}, "a digest for each of 2"),
        ({"names": ["ada", "bob"], "metadata": {"eve": {}}}, "'eve'"),
        ({"names": ["ada", "bob"], "metadata": {"bob": {"a": np.nan}}}, "metadata"),
        ({"names": ["ada", "bob"], "contract": other}, "other .*test "),
    ):
        with pytest.raises(InputError, match=words):
            gallery.enroll_many(np.eye(4)[:2], **wrong)
    with pytest.raises(InputError, match="probes and the gallery"):
        gallery.identify([1, 0, 0, 0], contract=other)
    with pytest.raises(InputError, match="top"):
        gallery.identify([1, 0, 0, 0], top=0)
    assert gallery.people() == []


def test_it_is_made_where_there_is_nothing_and_opened_where_there_is(place: Any) -> None:
    where = place()
    with pytest.raises(InputError, match="recognition gallery create"):
        Gallery.open(where)
    with Gallery.create(where, CONTRACT) as gallery:
        gallery.enroll("ada", [1, 0, 0, 0])
        with pytest.raises(InputError, match="exists already"):
            Gallery.create(where, CONTRACT)
        assert len(gallery) == 1


@pytest.fixture
def pair(tmp_path: Any, on_milvus: Any) -> Iterator[tuple[Gallery, Gallery]]:
    with (
        Gallery.create(tmp_path / "people.gallery", CONTRACT) as one,
        Gallery.create(on_milvus(), CONTRACT) as other,
    ):
        yield one, other


@pytest.mark.parametrize("seed", range(300 if SOAK else 6))
def test_both_kinds_agree_whatever_happens(pair: tuple[Gallery, Gallery], seed: int) -> None:
    """The same operations in the same order: the same people, answers, order and refusals."""
    rng = np.random.default_rng(seed)
    names = [*NASTY[:8], "ada", "bob", "cy"]
    for _ in range(40):
        name = names[rng.integers(len(names))]
        happened = rng.choice([*_HAPPEN], p=[*_HAPPEN.values()])
        if happened == "enroll":
            vectors, word = _vectors(rng, rng.integers(1, 4)), str(rng.integers(9))
            sources = [f"{word}/{number}" for number in range(len(vectors))]
            for gallery in pair:
                gallery.enroll(name, vectors, sources=sources, metadata={word: word})
        elif happened == "many":
            vectors, some = _vectors(rng, 6), [str(n) for n in rng.choice(names, 6)]
            for gallery in pair:
                gallery.enroll_many(vectors, some, digests=list("abcabc"))
        elif happened == "discard":
            gone = [_tried(gallery.discard, name, list("ab")) for gallery in pair]
            assert gone[0] == gone[1]
        elif happened == "threshold":
            threshold = Threshold(float(rng.choice([-0.5, 0.5, 0.9, 1.0])))
            for gallery in pair:
                gallery.set_threshold(threshold)
        elif happened == "look":
            _agree(pair, _vectors(rng, 5), int(rng.integers(1, 12)))
        else:
            gone = [_tried(getattr(gallery, happened), name) for gallery in pair]
            assert getattr(gone[0], "samples", gone[0]) == getattr(gone[1], "samples", gone[1])
    _agree(pair, _vectors(rng, 9), 99)


_HAPPEN = {
    "enroll": 0.25, "many": 0.15, "discard": 0.1, "remove": 0.1, "erase": 0.05, "threshold": 0.05,
    "look": 0.3,
}  # fmt: skip


def _tried(change: Callable[..., Any], *args: Any) -> Any:
    try:
        return change(*args)
    except InputError as error:
        return str(error)


def _vectors(rng: np.random.Generator, rows: int) -> npt.NDArray[np.float64]:
    """Few directions, so that scores tie; any length."""
    vectors = rng.integers(-1, 2, (rows, 4)) + np.eye(4)[rng.integers(4, size=rows)] * 3
    return vectors * rng.choice([1, 2, 1 / 3, 100], (rows, 1))


def _agree(pair: tuple[Gallery, Gallery], probes: npt.NDArray[np.float64], top: int) -> None:
    one, other = pair
    assert one.threshold == other.threshold
    told = [[(p.name, p.samples, p.metadata) for p in gallery.people()] for gallery in pair]
    assert told[0] == told[1]
    for a, b in zip(one.identify(probes, top=top), other.identify(probes, top=top), strict=True):
        assert a == b, "to the last bit: scores are rounded"
    assert sorted(one.known()) == sorted(other.known())
    for person in one.people()[:3]:
        samples = [
            [(s.vector.tobytes(), s.source, s.digest) for s in gallery.samples(person.name)]
            for gallery in pair
        ]
        assert samples[0] == samples[1]
