"""Embeddings of pictures in a file, pooled into embeddings of templates by columns of the file."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed
from recognition.datasets.embedding_files import EmbeddingFile, Failure, Names
from recognition.errors import InputError
from recognition.progress import Watch, unwatched
from recognition.templates import Pooling, pool_templates

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """Which columns of a file say how its pictures are pooled.

    Attributes:
        templates: the template of each picture.
        media: the media of each; without it every picture is one of its own.
        weight: a number above 0, by which the picture counts.
        pooling: how; IJB's way if not said otherwise.
    """

    templates: str
    media: str | None = None
    weight: str | None = None
    pooling: Pooling = field(default_factory=Pooling)


def pool_file(
    table: EmbeddingFile, columns: Columns, *, watch: Watch = unwatched
) -> tuple[EmbeddingFile, list[str]]:
    """A row for each template, and notes on what became of pictures that failed.

    Ids are the names of the templates. A column whose value is the same on all pictures of each
    template stays one. A template of which every picture failed is a failure.

    Raises:
        InputError: a column that the file has not, a template of several labels, weights that
            are no numbers above 0, a template whose pictures cancel out.
    """
    owner = _column(table, "--templates", columns.templates)
    names, first, of = np.unique(owner, return_index=True, return_inverse=True)
    _require_one_label(table.labels, names, first, of)
    pooled = pool_templates(
        table.embeddings,
        of,
        None if columns.media is None else _column(table, "--media", columns.media),
        pooling=columns.pooling,
        weights=None if columns.weight is None else _weights(table, columns.weight),
        watch=watch,
    )
    kept = {
        name: values[first]
        for name, values in table.columns.items()
        if name != columns.templates and bool((values[first][of] == values).all())
    }
    failures, notes = _failures(table, columns.templates, names)
    made = EmbeddingFile(
        pooled.vectors, table.labels[first], names, kept, failures, contract=table.contract
    )
    return made, notes


def _column(table: EmbeddingFile, option: str, name: str) -> Names:
    if name not in table.columns:
        known = ", ".join(table.columns) or "none"
        raise InputError(f"{option}: expected a column of the file, not {name!r}; it has: {known}")
    return table.columns[name]


def _require_one_label(labels: Names, names: Names, first: Places, of: Places) -> None:
    mixed = labels[first][of] != labels
    if mixed.any():
        at = int(mixed.argmax())
        both = listed([str(labels[first[of[at]]]), str(labels[at])])
        raise InputError(
            f"expected one person in each template, but template {str(names[of[at]])!r} shows "
            f"{both} ({len(np.unique(of[mixed]))} such templates of {len(names)}); correct the "
            "labels, or the column of templates"
        )


def _weights(table: EmbeddingFile, name: str) -> npt.NDArray[Any]:
    texts = _column(table, "--weight", name)
    try:
        numbers: npt.NDArray[Any] = texts.astype(np.float64)
    except ValueError as error:
        raise InputError(
            f"--weight: expected a column of numbers above 0, but {name!r} holds other text "
            f"({error}); name another column"
        ) from error
    return numbers


def _failures(
    table: EmbeddingFile, column: str, names: Names
) -> tuple[tuple[Failure, ...], list[str]]:
    """Templates without a picture that could be embedded, and a note on the others."""
    owners = table.failed_columns.get(column, np.zeros(0, np.str_)).tolist()
    there = set(names.tolist())
    labels: dict[str, str] = {}
    for owner, failure in zip(owners, table.failures, strict=True):
        if owner not in there and labels.setdefault(owner, failure.label) != failure.label:
            raise InputError(
                f"expected one person in each template, but template {owner!r}, whose pictures all "
                f"failed, shows {listed([labels[owner], failure.label])}; correct the labels"
            )
    failed = tuple(
        Failure(owner, label, f"all {owners.count(owner)} of its pictures failed")
        for owner, label in labels.items()
    )
    partly = [owner for owner in owners if owner in there]
    if not partly:
        return failed, []
    note = (
        f"{len(partly):,} pictures could not be embedded, but others of their "
        f"{len(set(partly)):,} templates could: those are made of what there is"
    )
    return failed, [note]
