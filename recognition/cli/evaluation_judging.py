"""From what was asked of `recognition evaluate` to findings: files are read and judged."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import typer

from recognition.cli.console import bar
from recognition.cli.evaluation_asked import Asked
from recognition.cohorts import Normaliser
from recognition.contract import require_same
from recognition.datasets.blufr import read_blufr
from recognition.datasets.choosing import of_people
from recognition.datasets.embedding_files import EmbeddingFile, read_embeddings
from recognition.datasets.ijb import read_ijb
from recognition.datasets.megaface import read_features
from recognition.datasets.pair_lists import PairList, read_pairs
from recognition.datasets.people_lists import read_chosen
from recognition.datasets.pooled import Columns, pool_file
from recognition.datasets.score_files import read_scores
from recognition.datasets.weight_files import read_weights
from recognition.errors import InputError
from recognition.evaluation.blufr import evaluate_blufr
from recognition.evaluation.distractors import Distractors
from recognition.evaluation.everything import evaluate, evaluate_scores
from recognition.evaluation.findings import Findings
from recognition.evaluation.ijb import align_faces, evaluate_ijb
from recognition.evaluation.quality import Quality, column_quality, norm_quality
from recognition.evaluation.task import Grouping
from recognition.metrics.normalisation import TOP
from recognition.progress import Watch
from recognition.report.text import legible
from recognition.templates import Pooling

SHOWN = 10  # failed pictures named on stderr
Matrix = npt.NDArray[Any]


def judge(asked: Asked, watch: Watch = bar) -> Findings:
    """Read what was named, and judge it; `watch` is told how far judging is.

    Raises:
        InputError: files that cannot be read, or that do not go together.
    """
    if asked.embeddings is None:
        paths = tuple(asked.scores)
        given = paths[0] if len(paths) == 1 else (paths[0], paths[1])
        scores = read_scores(given, distances=asked.distances)
        return evaluate_scores(scores, options=asked.options, watch=watch)
    labelled = not asked.anonymous and asked.ijb is None
    table = _read(asked.embeddings, asked.names, labelled=labelled)
    _name_failures(table)
    if asked.ijb is not None:
        findings = _by_ijb(asked, table, asked.ijb, watch)
    elif asked.blufr is not None:
        findings = evaluate_blufr(table, read_blufr(asked.blufr), watch=watch)
    else:
        findings = _as_usual(asked, table, watch)
    if table.contract is None:
        return findings
    contract = json.loads(table.contract.to_json())
    return replace(findings, input={**findings.input, "contract": contract})


def _as_usual(asked: Asked, table: EmbeddingFile, watch: Watch) -> Findings:
    weights = read_weights(asked.weights) if asked.weights is not None else None
    table, said = _pooled(asked, table)
    table, other, more = _beside_another(asked, table)
    table, other, chosen = _of_people(asked, table, other)
    findings = evaluate(
        table.embeddings,
        table.labels,
        options=asked.options,
        pairs=_pairs(asked, table),
        other=other,
        grouping=_grouping(asked, table),
        failures=table.failures,
        checkpoint=asked.checkpoint,
        ids=table.ids,
        weights=weights,
        distractors=_distractors(asked, table),
        normaliser=_cohort(asked, table),
        quality=_quality(asked, table),
        watch=watch,
    )
    findings.input["notes"].extend([*said, *more, *chosen])
    return findings


def _by_ijb(asked: Asked, table: EmbeddingFile, folder: Path, watch: Watch) -> Findings:
    protocol = read_ijb(folder, watch=bar)
    findings = evaluate_ijb(
        table.embeddings,
        protocol,
        faces=align_faces(table, protocol),
        pooling=Pooling.of(asked.pooling),
        options=asked.options,
        watch=watch,
    )
    findings.input["failures"].extend(failure._asdict() for failure in table.failures)
    return findings


def _read(path: Path, names: Path | None = None, *, labelled: bool = True) -> EmbeddingFile:
    """A file of embeddings, or a folder of MegaFace's features."""
    if path.is_dir():
        return read_features(path, names, watch=bar)
    return read_embeddings(path, labelled=labelled)


def _name_failures(table: EmbeddingFile) -> None:
    for failure in table.failures[:SHOWN]:
        typer.echo(f"failed {failure.id!r}: {failure.reason}", err=True)
    if len(table.failures) > SHOWN:
        more = len(table.failures) - SHOWN
        typer.echo(f"failed {more} more; results.json lists them all", err=True)


def _pooled(asked: Asked, table: EmbeddingFile) -> tuple[EmbeddingFile, list[str]]:
    """The table, its pictures pooled into templates if that was asked for, and what to say of it."""
    if asked.templates is None:
        return table, []
    how = Columns(asked.templates, asked.media, asked.weight, Pooling.of(asked.pooling))
    pictures = len(table) + len(table.failures)
    table, notes = pool_file(table, how, watch=bar)
    words = ", ".join(how.pooling.words)
    pooled = f"{pictures:,} pictures pooled into {len(table):,} templates with {words}"
    return table, [pooled, *notes]


def _beside_another(
    asked: Asked, table: EmbeddingFile
) -> tuple[EmbeddingFile, Matrix | None, list[str]]:
    """The table, and a second model's embeddings of the same pictures if there is one."""
    if asked.compare is None:
        return table, None, []
    second, more = _pooled(asked, _read(asked.compare))
    table, other, missing = _aligned(table, second, asked.compare)
    return table, other, [*(f"in the second model, {note}" for note in more), *missing]


def _of_people(
    asked: Asked, table: EmbeddingFile, other: Matrix | None
) -> tuple[EmbeddingFile, Matrix | None, list[str]]:
    """Only the people who were chosen, in both models."""
    if asked.people is None:
        return table, other, []
    places, said = of_people(
        table.everyone,
        read_chosen(asked.people),
        seed=asked.options.seed,
        what=legible(asked.title),
    )
    if other is not None:
        other = other[places[places < len(table)]]
    return table.at(places), other, list(said)


def _in_the_same_space(
    asked: Asked, table: EmbeddingFile, path: Path, names: Path | None = None
) -> EmbeddingFile:
    """Embeddings that are compared with those of the table, by the same model as far as is known."""
    others = _read(path, names)
    if table.contract is not None and others.contract is not None:
        require_same(
            table.contract, others.contract, names=(legible(asked.source), legible(str(path)))
        )
    return others


def _cohort(asked: Asked, table: EmbeddingFile) -> Normaliser | None:
    if asked.cohort is None:
        return None
    others, method = _in_the_same_space(asked, table, asked.cohort), asked.normalise or "as"
    top = asked.cohort_top or TOP
    return Normaliser.of(others.embeddings, others.labels, method, top=top)


def _distractors(asked: Asked, table: EmbeddingFile) -> Distractors | None:
    if asked.distractors is None:
        return None
    strangers = _in_the_same_space(asked, table, asked.distractors, asked.distractors_list)
    return Distractors(strangers.embeddings, strangers.labels, len(strangers.failures))


def _pairs(asked: Asked, table: EmbeddingFile) -> PairList | None:
    if asked.pairs is None:
        return None
    return read_pairs(asked.pairs, table.ids, table.labels, failed=table.failures)


def _grouping(asked: Asked, table: EmbeddingFile) -> Grouping | None:
    if asked.group is None:
        return None
    return Grouping(asked.group, _column(asked, table, "--group", asked.group))


def _quality(asked: Asked, table: EmbeddingFile) -> Quality | None:
    """A column, or the length of the embeddings unless the file has a column named norm."""
    if asked.quality is None:
        return None
    if asked.quality == "norm" and "norm" not in table.columns:
        if asked.templates is not None:
            raise InputError(
                "--quality norm is the length of a picture's embedding, and pooled ones all have "
                "the same; name a column that all pictures of a template agree in"
            )
        return norm_quality(table.embeddings)
    return column_quality(asked.quality, _column(asked, table, "--quality", asked.quality))


def _column(asked: Asked, table: EmbeddingFile, option: str, name: str) -> npt.NDArray[np.str_]:
    if name not in table.columns:
        known = ", ".join(table.columns) or "none"
        agreed = " that all pictures of a template agree in" if asked.templates else ""
        raise InputError(
            f"{option}: expected a column of {asked.source}{agreed}, not {name!r}; it has: {known}"
        )
    return table.columns[name]


def _aligned(
    table: EmbeddingFile, other: EmbeddingFile, path: Path
) -> tuple[EmbeddingFile, Matrix, list[str]]:
    """The pictures that both models embedded, in the order of the first.

    Raises:
        InputError: no picture in common, or another person on one.
    """
    _, here, there = np.intersect1d(table.ids, other.ids, return_indices=True)
    if not len(here):
        raise InputError(
            f"--compare: expected the same pictures in {path}, but no id is in both files; "
            "write the same ids into both"
        )
    order = np.argsort(here)
    here, there = here[order], there[order]
    wrong = table.labels[here] != other.labels[there]
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError(
            f"--compare: expected the same people in {path}, but picture "
            f"{str(table.ids[here[at]])!r} shows {str(table.labels[here[at]])!r} here and "
            f"{str(other.labels[there[at]])!r} there ({int(wrong.sum())} such pictures); check "
            "the labels"
        )
    missing = len(table) - len(here), len(other) - len(here)
    left_out: list[str] = []
    if any(missing):
        left_out.append(
            f"{missing[0]} pictures are not embedded in {legible(path.name)} and {missing[1]} only "
            "there: everything is judged on those in both"
        )
    columns = {name: values[here] for name, values in table.columns.items()}
    both = replace(
        table,
        embeddings=table.embeddings[here],
        labels=table.labels[here],
        ids=table.ids[here],
        columns=columns,
    )
    return both, other.embeddings[there], left_out
