"""Templates against templates: one product serves lists and galleries alike."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.protocols import TemplatePairs, TemplateSet
from recognition.search import score_blocks, search_people, templates
from recognition.search.templates import score_templates


def places(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int32)


@given(
    seed=st.integers(0, 2**32),
    count=st.integers(2, 30),
    pairs=st.integers(1, 80),
    sizes=st.tuples(st.integers(1, 200), st.integers(1, 9), st.integers(1, 40)),
)
def test_listed_pairs_have_the_scores_of_their_vectors(
    seed: int, count: int, pairs: int, sizes: tuple[int, int, int]
) -> None:
    random = np.random.default_rng(seed)
    vectors = unit_rows(random.normal(size=(count, 5)))
    first, second = random.integers(0, count, (2, pairs)).astype(np.int32)
    listed = TemplatePairs(first, second, np.zeros(pairs, bool))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "SLAB", sizes[0])
        patch.setattr(templates, "CHUNK", sizes[2])
        patch.setattr(score_blocks, "CELLS", sizes[1])
        patch.setattr(score_blocks, "LEAST", 1)
        found = score_templates(vectors, listed, np.arange(count).astype(str))
    expected = np.einsum("ij,ij->i", vectors[first], vectors[second])
    np.testing.assert_allclose(found.scores, expected, atol=6e-8)
    assert found.scores.dtype == np.float32
    assert found.searches == ()


@given(seed=st.integers(0, 2**32), cells=st.integers(1, 60), ties=st.booleans())
def test_galleries_are_searched_as_search_people_does(seed: int, cells: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    vectors = unit_rows(random.normal(size=(24, 6)))
    if ties:
        vectors = np.eye(6)[random.integers(0, 6, 24)]
    shown = np.array([f"p{i}" for i in range(8)] + [f"p{i}" for i in random.integers(0, 9, 16)])
    order = random.permutation(24)
    probes = TemplateSet("probes", np.flatnonzero(order >= 8).astype(np.int32))
    enrolled = np.argsort(order)[:8].astype(np.int32)
    galleries = [TemplateSet("A", enrolled[:5]), TemplateSet("B", enrolled[5:])]
    listed = TemplatePairs(enrolled[:1], probes.templates[:1], np.zeros(1, bool))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "SLAB", cells)
        patch.setattr(score_blocks, "CELLS", cells // 3)
        patch.setattr(score_blocks, "LEAST", 1)
        found = score_templates(vectors, listed, shown[order], galleries, probes)
    for gallery, searches in zip(galleries, found.searches, strict=True):
        expected = search_people(
            vectors[gallery.templates],
            shown[order][gallery.templates],
            vectors[probes.templates],
            shown[order][probes.templates],
            keep=1,
        )
        for name in ("probes", "mated", "gallery", "ranks", "ranks_optimistic", "codes", "people"):
            one, two = getattr(searches, name), getattr(expected, name)
            np.testing.assert_array_equal(one, two, err_msg=name)
        np.testing.assert_array_equal(searches.scores, expected.scores)
        np.testing.assert_array_equal(searches.mate_scores, expected.mate_scores)


def test_what_does_not_fit_is_refused() -> None:
    vectors, names = np.eye(3), np.array(["a", "a", "b"])
    pair = TemplatePairs(places(0), places(2), np.zeros(1, bool))
    with pytest.raises(InputError, match="places below 3"):
        score_templates(vectors, TemplatePairs(places(0), places(3), np.zeros(1, bool)), names)
    with pytest.raises(InputError, match="places below 3"):
        score_templates(vectors, TemplatePairs(places(-1), places(2), np.zeros(1, bool)), names)
    with pytest.raises(InputError, match="places below 3"):
        score_templates(vectors, TemplatePairs(places(), places(), np.zeros(0, bool)), names)
    twice = TemplateSet("A", places(0, 1))
    with pytest.raises(InputError, match="one template of each subject in gallery 'A', got 2 of 1"):
        score_templates(vectors, pair, names, [twice], TemplateSet("probes", places(2)))
