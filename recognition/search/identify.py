"""Probes against everyone enrolled, exactly."""

from typing import cast

import numpy as np
import numpy.typing as npt

from recognition.comparisons import Similarities
from recognition.embeddings import Floats, centres, people_of, unit_rows
from recognition.errors import InputError
from recognition.metrics.identification import Candidates

BATCH = 4096  # probes at a time: bounds memory, changes nothing else


def search_people(
    gallery_embeddings: npt.ArrayLike,
    gallery_labels: npt.ArrayLike,
    probe_embeddings: npt.ArrayLike,
    probe_labels: npt.ArrayLike,
) -> Candidates:
    """cos(probe, template) for each of Q probes and all k people of the gallery, best first.

    A person's template is the normalised mean of the unit embeddings of their G_c pictures. Equal
    scores are ordered by label. Probes of people who are not enrolled are non-mated.

    Args:
        gallery_embeddings: (G, D), not necessarily normalised.
        gallery_labels: (G,) the person on each, text or whole numbers.
        probe_embeddings: (Q, D), from the same model.
        probe_labels: (Q,) the person on each, enrolled or not.

    Raises:
        InputError: embeddings without a direction, labels that do not fit them, galleries and
            probes of different dimensions, a person whose pictures cancel out.

    >>> found = search_people([[1, 0], [0, 1]], ["ann", "bob"], [[3, 1], [1, 2]], ["ann", "cy"])
    >>> found.labels.tolist(), found.mated.tolist()
    ([['ann', 'bob'], ['bob', 'ann']], [True, False])
    """
    gallery = unit_rows(gallery_embeddings, what="gallery embeddings")
    probes = unit_rows(probe_embeddings, what="probe embeddings")
    people = people_of(gallery_labels, len(gallery), what="gallery labels")
    shown = people_of(probe_labels, len(probes), what="probe labels")
    if gallery.shape[1] != probes.shape[1]:
        raise InputError(
            f"expected probes of the gallery's {gallery.shape[1]} dimensions, but they have "
            f"{probes.shape[1]}; embed both with the same model"
        )
    templates = centres(gallery, people)
    scores, places = _search(templates, probes)
    return Candidates(
        scores,
        people.names[places],
        shown.names[shown.codes],
        np.isin(shown.names, people.names)[shown.codes],
    )


def _search(templates: Floats, probes: Floats) -> tuple[Similarities, npt.NDArray[np.int64]]:
    """Scores (Q, k) of all templates and their places, by descending score, then by place."""
    import faiss  # only now: `import recognition.search` stays light

    index = faiss.IndexFlatIP(templates.shape[1])
    index.add(np.ascontiguousarray(templates, np.float32))
    scores = np.empty((len(probes), len(templates)), np.float32)
    places = np.empty(scores.shape, np.int64)
    for start in range(0, len(probes), BATCH):
        batch = probes[start : start + BATCH]
        _, found = index.search(np.ascontiguousarray(batch, np.float32), len(templates))
        found.sort(axis=1)
        rows = slice(start, start + len(batch))
        scores[rows], places[rows] = _rescored(batch, templates, found)
    return scores, places


def _rescored(
    probes: Floats, templates: Floats, found: npt.NDArray[np.int64]
) -> tuple[Similarities, npt.NDArray[np.int64]]:
    """Every candidate scored once more, in float64, and put in order.

    faiss sums in float32 by a kernel that it chooses by batch size, so equal templates can differ
    in the last bit and change places. Rounded from float64, they tie, in any batch.
    """
    exact = np.take_along_axis(probes @ templates.T, found, axis=1)
    scores = exact.astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")
    best_first = np.take_along_axis(scores, order, axis=1)
    return best_first, cast(npt.NDArray[np.int64], np.take_along_axis(found, order, axis=1))
