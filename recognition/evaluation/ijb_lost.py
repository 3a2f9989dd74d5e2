"""Templates without a face that could be embedded: who is compared all the same, and who is missed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets.ijb import Ijb
from recognition.errors import InputError
from recognition.evaluation.failures import Lost
from recognition.metrics.searches import Searches, with_failures
from recognition.protocols import TemplatePairs, TemplateSet

Mask = npt.NDArray[np.bool_]


class Left(NamedTuple):
    """What can be compared, by places among the templates that were made.

    Attributes:
        made: (T,) which templates have a face.
        pairs: those of two such templates.
        galleries: such templates of each gallery.
        probes: such probes; None where nobody is searched for.
        lost: how many pairs have a template that was not made.
    """

    made: Mask
    pairs: TemplatePairs
    galleries: tuple[TemplateSet, ...]
    probes: TemplateSet | None
    lost: Lost


def what_is_left(protocol: Ijb, made: Mask) -> Left:
    """The protocol on the templates (T,) that were made.

    Raises:
        InputError: a gallery, or the probes, of which none was.
    """
    pairs, probes = protocol.pairs, protocol.probes
    if made.all():
        return Left(made, pairs, protocol.galleries, probes, Lost(0, 0))
    place = (np.cumsum(made) - 1).astype(np.int32)

    def among(one: TemplateSet) -> TemplateSet:
        kept = one.templates[made[one.templates]]
        if not len(kept):
            raise InputError(
                f"expected templates of {one.name} with a face that could be embedded, but none of "
                f"{len(one.templates)} has one; embed the faces again"
            )
        return TemplateSet(one.name, place[kept])

    both = made[pairs.first] & made[pairs.second]
    gone = int((~both & pairs.mated).sum())
    return Left(
        made,
        TemplatePairs(place[pairs.first[both]], place[pairs.second[both]], pairs.mated[both]),
        tuple(among(one) for one in protocol.galleries),
        None if probes is None else among(probes),
        Lost(gone, int((~both).sum()) - gone),
    )


def count_lost(tables: Sequence[Searches], protocol: Ijb, made: Mask) -> tuple[Searches, ...]:
    """The searches of each gallery with those that could not be made.

    A probe without a face is missed where its subject is enrolled, and a true reject elsewhere;
    a probe whose subject's gallery template has no face is missed too.
    """
    if made.all() or protocol.probes is None:
        return tuple(tables)
    subject = protocol.people[protocol.subjects]
    failed = subject[protocol.probes.templates[~made[protocol.probes.templates]]]
    return tuple(
        _with_lost(table, one, subject, made, failed)
        for table, one in zip(tables, protocol.galleries, strict=True)
    )


def _with_lost(
    table: Searches,
    gallery: TemplateSet,
    subject: npt.NDArray[np.str_],
    made: Mask,
    failed: npt.NDArray[np.str_],
) -> Searches:
    enrolled = subject[gallery.templates]
    gone = enrolled[~made[gallery.templates]]
    missed = np.isin(table.probes, gone)  # searched for as strangers
    if missed.all():
        raise InputError(
            f"expected probes of anybody whose template in gallery {gallery.name} has a face that "
            f"could be embedded, but all {len(missed)} are of the {len(gone)} others; embed the "
            "faces again"
        )
    kept = replace(
        table,
        **{
            name: getattr(table, name)[~missed]
            for name in ("probes", "mated", "gallery", "scores", "codes")
        },
    )
    mated = np.isin(failed, enrolled)
    return with_failures(
        kept,
        mated=np.concatenate([table.probes[missed], failed[mated]]),
        nonmated=failed[~mated],
    )
