"""Probes against everyone enrolled, exactly."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.steps import Similarities
from recognition.embeddings import Floats, centres, people_of, unit_rows
from recognition.errors import InputError
from recognition.metrics.searches import (
    KEPT,
    Names,
    Searches,
    assemble,
    check_keep,
    condense,
    places_of,
)
from recognition.progress import Watch, unwatched
from recognition.search.score_blocks import score_blocks


def search_people(
    gallery_embeddings: npt.ArrayLike,
    gallery_labels: npt.ArrayLike,
    probe_embeddings: npt.ArrayLike,
    probe_labels: npt.ArrayLike,
    *,
    keep: int = KEPT,
    watch: Watch = unwatched,
) -> Searches:
    """cos(probe, template) for each of Q probes and all N people of the gallery, condensed.

    A person's template is the normalised mean of the unit embeddings of their G_c pictures. Ranks
    count all N people, and equal scores tie exactly. Equal candidates are listed by label. Probes
    of people who are not enrolled are non-mated.

    Beside embeddings in float64 and the result (12 bytes for each of Q x `keep`) a block of
    scores is in memory. 50,000 probes of 512 dimensions take some 40 seconds among 20,000 people
    on one core.

    Args:
        gallery_embeddings: (G, D), not necessarily normalised.
        gallery_labels: (G,) the person on each, text or whole numbers.
        probe_embeddings: (Q, D), from the same model.
        probe_labels: (Q,) the person on each, enrolled or not.
        keep: the best candidates to keep of each search.
        watch: told how many probes are done.

    Raises:
        InputError: embeddings without a direction, labels that do not fit them, galleries and
            probes of different dimensions, a person whose pictures cancel out, nothing to keep.

    >>> found = search_people([[1, 0], [0, 1]], ["ann", "bob"], [[3, 1], [1, 2]], ["ann", "cy"])
    >>> found.labels.tolist(), found.mated.tolist()
    ([['ann', 'bob'], ['bob', 'ann']], [True, False])
    """
    check_keep(keep)
    task = prepare(gallery_embeddings, gallery_labels, probe_embeddings, probe_labels)
    return search_prepared(task, keep=keep, watch=watch)


class Prepared(NamedTuple):
    """A gallery and probes that passed the door."""

    templates: Floats  # (N, D) unit, in order of names
    people: Names  # (N,)
    probes: Floats  # (Q, D) unit
    shown: Names  # (Q,) the person on each
    own: npt.NDArray[np.int64]  # (Q,) the place of that person among the people, -1 for strangers


def search_prepared(
    task: Prepared,
    *,
    keep: int = KEPT,
    watch: Watch = unwatched,
    change: Callable[[slice, Similarities], Similarities] | None = None,
) -> Searches:
    """The searches of what passed the door; `change` may make other scores of a block of probes.

    Raises:
        InputError: nothing to keep.
    """
    check_keep(keep)
    parts = []
    with watch("searching people", len(task.probes)) as advance:
        for rows, block in score_blocks(task.probes, task.templates):
            made = change(rows, block) if change is not None else block
            parts.append(condense(made, task.own[rows], keep))
            advance(rows.stop)
    return assemble(parts, task.shown, task.own, task.people)


def prepare(
    gallery_embeddings: npt.ArrayLike,
    gallery_labels: npt.ArrayLike,
    probe_embeddings: npt.ArrayLike,
    probe_labels: npt.ArrayLike,
) -> Prepared:
    """Templates of everyone enrolled, and probes that fit them.

    Raises:
        InputError: see `search_people`.
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
    return Prepared(
        centres(gallery, people),
        people.names,
        probes,
        shown.names[shown.codes],
        places_of(shown.names, people.names)[shown.codes],
    )
