"""Searching templates finds what all templates in float64 give, ties and all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.search import person_means, scan
from recognition.search.identify import search_people
from recognition.search.person_means import Templates, best_templates
from recognition.search.scan import Part


@settings(max_examples=40)
@given(st.data())
def test_it_is_the_search_of_the_evaluation(data: st.DataObject) -> None:
    """`search_people` multiplies everything in float64; equal people are in order of number."""
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count, dimension = data.draw(st.integers(1, 200)), data.draw(st.sampled_from([2, 5]))
    vectors = random.uniform(0.1, 1, (count, dimension)).astype(np.float32)
    if data.draw(st.booleans()):  # few directions: heavy ties
        vectors = random.integers(1, 3, (count, dimension)).astype(np.float32)
    people = random.integers(0, data.draw(st.integers(1, 80)), count)
    alive = random.random(count) < data.draw(st.sampled_from([0.5, 1.0]))
    alive[0] = True
    cut = data.draw(st.integers(0, count))
    parts = [Part.of(vectors[:cut], people[:cut]), Part.of(vectors[cut:], people[cut:])]
    parts = [p._replace(alive=a) for p, a in zip(parts, (alive[:cut], alive[cut:]), strict=True)]
    probes = unit_rows(np.concatenate([vectors[:2], random.standard_normal((6, dimension))]))
    k = data.draw(st.integers(1, 90))
    found = best_templates(Templates.of(parts), probes, k)
    names = np.char.zfill(people[alive].astype(str), 3)
    expected = search_people(vectors[alive], names, probes, ["x"] * len(probes), keep=k)
    for hits, scores, labels in zip(found, expected.scores, expected.labels, strict=True):
        assert [hit.score for hit in hits][: len(scores)] == scores.tolist()
        assert [hit.person for hit in hits][: len(scores)] == [int(name) for name in labels]
        assert {hit.score for hit in hits[len(scores) :]} <= {float(scores[-1])}, "ties at the end"


def test_rounding_a_template_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty people less than a rounding apart, nearly at right angles to the probe."""
    random = np.random.default_rng(3)
    turned = 0
    for spare in (0, 8):
        monkeypatch.setattr(person_means, "SPARE", spare)
        base = np.array([1, 0.3, -0.2, 0.1])
        rows = (base + 6e-8 * random.standard_normal((400, 4))).astype(np.float32)
        people = np.arange(400) % 40
        templates = Templates.of([Part.of(rows, people)])
        probes = unit_rows(np.array([0.3, -1, 0, 0]) + 0.01 * random.standard_normal((10, 4)))
        names = np.char.zfill(people.astype(str), 2)
        exact = search_people(rows, names, probes, ["x"] * 10, keep=40)
        for k in (1, 5):
            found = best_templates(templates, probes, k)
            for hits, scores, labels in zip(found, exact.scores, exact.labels, strict=True):
                assert [hit.score for hit in hits][:k] == scores[:k].tolist()
                assert [hit.person for hit in hits][:k] == [int(name) for name in labels[:k]]
            rough = scan.best_people([templates.part], probes, k)
            turned += sum(a[0].person != b[0].person for a, b in zip(rough, found, strict=True))
    assert turned > 5, "or it shows nothing"


def test_people_are_made_in_groups_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    parts = [Part.of(random.random((99, 4)).astype(np.float32), random.integers(0, 20, 99))]
    whole = Templates.of(parts).part.rows.vectors
    for size in (1, 7, 50):
        monkeypatch.setattr(person_means, "GATHERED", size)
        assert (Templates.of(parts).part.rows.vectors == whole).all()


def test_nobody_and_samples_that_cancel_out() -> None:
    assert best_templates(Templates.of([]), unit_rows([[1.0, 0.0]]), 3) == [[]]
    parts = [Part.of(np.array([[1, 0], [-1, 0], [0, 1]], np.float32), np.array([4, 4, 5]))]
    with pytest.raises(InputError, match="'person 4' cancel out"):
        Templates.of(parts, lambda number: f"person {number}")
