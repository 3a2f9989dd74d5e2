"""What `recognition identify` does, in order: faces are found, searched for, and told."""

import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import typer

from recognition.cli.console import bar, make_way, show_json
from recognition.cli.gallery_people import about_threshold, warn, write_csv
from recognition.cli.gallery_source import Source
from recognition.datasets.pictures import Skipped
from recognition.errors import InputError
from recognition.faces.photos import Found, find_photos
from recognition.gallery.answers import Answer, OutgrownWarning, Threshold
from recognition.gallery.interface import Gallery
from recognition.gallery.labelled import read_labelled, require_comparable
from recognition.gallery.sync import Vector
from recognition.report.text import in_csv, legible

if TYPE_CHECKING:
    from recognition.gallery.photographs import Models

UNKNOWN = "unknown"
NEAREST = 3
TOGETHER = 1024  # rows of a file that are searched for at once


class Probe(NamedTuple):
    """A face that is searched for."""

    photo: str
    face: int
    embedding: Vector


class Group(NamedTuple):
    """Faces that are known at the same time, and what had none."""

    probes: list[Probe]
    skipped: Sequence[Skipped] = ()


def run_identify(
    where: str,
    paths: Sequence[Path],
    source: Source,
    *,
    threshold: float | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Search for every face and tell who it is: as CSV at once, as JSON when all are known.

    Raises:
        InputError: no gallery, no such file, another model, or nothing that can be used.
    """
    with Gallery.open(where) as gallery, closing(_groups(gallery, paths, source)) as groups:
        answered = _answered(gallery, groups, threshold)
        if as_json:
            _show_json(answered)
        else:
            _show_csv(answered, explain=explain)


def _show_csv(answered: Iterable["Answered"], *, explain: bool) -> None:
    """Lines as soon as there are some; the headings alone where there are none."""
    lines: list[list[Any]] = [_headings(explain)]
    for group in answered:
        if group.found:
            make_way()
            write_csv([*lines, *(_line(*each, explain=explain) for each in group.found)])
            lines = []
    write_csv(lines)


def _show_json(answered: Iterable["Answered"]) -> None:
    every = list(answered)
    faces = [
        {"photo": probe.photo, "face": probe.face, **answer.as_dict()}
        for group in every
        for probe, answer in group.found
    ]
    skipped = [skip._asdict() for group in every for skip in group.skipped]
    show_json({"format": 1, "faces": faces, "skipped": skipped})


class Answered(NamedTuple):
    """Faces with who they are."""

    found: list[tuple[Probe, Answer]]
    skipped: Sequence[Skipped]


def _answered(
    gallery: Gallery, groups: Iterable[Group], threshold: float | None
) -> Iterator[Answered]:
    """Each group once it is searched for; what was skipped is told meanwhile."""
    used = gallery.threshold if threshold is None else Threshold(threshold)
    for number, group in enumerate(groups):
        if not number:  # all that was named is there
            warn(used.outgrown(len(gallery)) if used else about_threshold(None)[0])
        answers = _answers(gallery, group.probes, threshold)
        for skip in group.skipped:
            make_way()
            typer.echo(f"skipped {legible(skip.path)}: {legible(skip.reason)}", err=True)
        yield Answered(list(zip(group.probes, answers, strict=True)), group.skipped)


def _answers(gallery: Gallery, probes: Sequence[Probe], threshold: float | None) -> list[Answer]:
    if not probes:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutgrownWarning)  # told in a sentence
        rows = np.stack([probe.embedding for probe in probes])
        return gallery.identify(rows, top=NEAREST, threshold=threshold)


def _groups(
    gallery: Gallery, paths: Sequence[Path], source: Source
) -> Generator[Group, None, None]:
    """The faces in files of embeddings, then those on photographs as they are found.

    Everything that is named is looked for before the first.
    """
    photos = [path for path in paths if path.suffix.lower() != ".npz" or path.is_dir()]
    files = [read_labelled(path, labelled=False) for path in paths if path not in photos]
    for file in files:
        require_comparable(file, gallery.contract, trusted=source.trust)
    named = find_photos(photos) if photos else None
    if named and not files and not (named.files or named.skipped):
        raise InputError("expected photographs, but there are none; name their folder")
    models = source.load(gallery.contract) if named else None
    for file in files:
        yield Group([], [Skipped(one.id, f"no face: {one.reason}") for one in file.file.failures])
        probes = list(map(Probe, file.photos, file.places, file.rows))
        for start in range(0, len(probes), TOGETHER):
            yield Group(probes[start : start + TOGETHER])
    if named and models:
        yield from _on_photographs(named, models, needed=not any(len(one.file) for one in files))


def _on_photographs(named: Found, models: "Models", *, needed: bool) -> Iterator[Group]:
    from recognition.gallery.photographs import embed_faces_as_found

    yield Group([], named.skipped)
    readable = 0
    with closing(embed_faces_as_found(named, models, watch=bar)) as parts:
        for faces in parts:
            readable += faces.readable
            probes = list(map(Probe, faces.photos, faces.places, faces.embeddings))
            yield Group(probes, faces.skipped)
    if needed and not readable:
        raise InputError(
            f"expected photographs, but none of {len(named.files) + len(named.skipped):,} can be "
            "used, for the reasons above; name others"
        )


def _headings(explain: bool) -> list[str]:
    nearest = [f"{what}_{n}" for n in range(1, NEAREST + 1) for what in ("nearest", "score")]
    usual = ["photo", "face", "name", "known", "score", "threshold", "margin", "source"]
    return usual + (nearest if explain else [])


def _line(probe: Probe, answer: Answer, *, explain: bool) -> list[object]:
    """A face as cells; numbers exactly, so that score >= threshold can be seen."""
    used = answer.threshold
    usual: list[object] = [
        in_csv(probe.photo),
        probe.face,
        UNKNOWN if answer.name is None else in_csv(answer.name),
        "no" if answer.name is None else "yes",
        _number(answer.score),
        _number(None if used is None else used.value),
        _number(answer.margin),
        in_csv(answer.candidates[0].source) if answer.candidates else "",
    ]
    return [*usual, *(_nearest(answer) if explain else [])]


def _nearest(answer: Answer) -> Iterator[str]:
    for at in range(NEAREST):
        there = at < len(answer.candidates)
        yield in_csv(answer.candidates[at].name) if there else ""
        yield _number(answer.candidates[at].score) if there else ""


def _number(value: float | None) -> str:
    return "" if value is None else repr(float(value))
