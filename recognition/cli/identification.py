"""What `recognition calibrate` and `recognition identify` do, in order."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import typer

from recognition.cli.console import bar, show_lines
from recognition.cli.enrolled import about_threshold, show_json, warn, write_csv
from recognition.cli.gallery_source import Source
from recognition.datasets.pictures import Skipped
from recognition.errors import InputError
from recognition.gallery.answers import Answer, OutgrownWarning, known_score
from recognition.gallery.calibration import calibrate
from recognition.gallery.interface import Gallery
from recognition.gallery.labelled import read_labelled, require_comparable
from recognition.gallery.sync import Vector
from recognition.report.text import in_csv, legible

UNKNOWN = "unknown"
NEAREST = 3


def run_calibrate(
    where: str,
    probes: Path,
    *,
    fpir: float | None,
    fmr: float | None,
    score: str,
    trust: bool,
    as_json: bool,
    dry: bool,
) -> None:
    """Find the threshold, keep it, tell it.

    Raises:
        InputError: the rate cannot be measured, or the files cannot be used; nothing is changed.
    """
    with Gallery.open(where) as gallery:
        found = read_labelled(probes)
        require_comparable(found, gallery.contract, trusted=trust)
        threshold = calibrate(
            gallery,
            found.rows,
            found.file.labels,
            failures=[failure.label for failure in found.file.failures],
            fpir=fpir,
            fmr=fmr,
            score=known_score(score),
            watch=bar,
        )
        if not dry:
            gallery.set_threshold(threshold)
    if as_json:
        show_json({"format": 1, **asdict(threshold), "set": not dry})
        return
    show_lines(about_threshold(threshold))
    show_lines([f"of {threshold.trials:,} trials; data {threshold.data[:12]}"])
    typer.echo("Not set (--dry-run)" if dry else f"Set in {legible(where)}")


class Probe(NamedTuple):
    """A face that is searched for."""

    photo: str
    face: int
    embedding: Vector


def run_identify(
    where: str,
    paths: Sequence[Path],
    source: Source,
    *,
    threshold: float | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Search for every face and tell who it is.

    Raises:
        InputError: no gallery, no such file, another model, or nothing that can be used.
    """
    with Gallery.open(where) as gallery:
        probes, skipped = _probes(gallery, paths, source)
        answers = _answers(gallery, probes, threshold)
        used = gallery.threshold if threshold is None else None
        silent = threshold is None and used is None
        outgrown = used.outgrown(len(gallery)) if used else None
    for skip in skipped:
        typer.echo(f"skipped {legible(skip.path)}: {legible(skip.reason)}", err=True)
    warn(outgrown)
    warn(about_threshold(None)[0] if silent else None)
    found = zip(probes, answers, strict=True)
    if as_json:
        show_json(
            {
                "format": 1,
                "faces": [
                    {"photo": probe.photo, "face": probe.face, **answer.as_dict()}
                    for probe, answer in found
                ],
                "skipped": [skip._asdict() for skip in skipped],
            }
        )
        return
    write_csv(_headings(explain), (_line(*each, explain=explain) for each in found))


def _answers(gallery: Gallery, probes: Sequence[Probe], threshold: float | None) -> list[Answer]:
    if not probes:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutgrownWarning)  # told in a sentence
        rows = np.stack([probe.embedding for probe in probes])
        return gallery.identify(rows, top=NEAREST, threshold=threshold)


def _probes(
    gallery: Gallery, paths: Sequence[Path], source: Source
) -> tuple[list[Probe], list[Skipped]]:
    probes: list[Probe] = []
    skipped: list[Skipped] = []
    for path in paths:
        if path.suffix.lower() == ".npz" and not path.is_dir():
            found = read_labelled(path, labelled=False)
            require_comparable(found, gallery.contract, trusted=source.trust)
            skipped += [Skipped(fail.id, f"no face: {fail.reason}") for fail in found.file.failures]
            probes += map(Probe, found.photos, found.places, found.rows)
    photos = [path for path in paths if path.suffix.lower() != ".npz" or path.is_dir()]
    if photos:
        from recognition.gallery.photographs import embed_faces

        faces = embed_faces(photos, source.load(gallery.contract), watch=bar)
        if not faces.readable and not probes:
            reason = f"the first because it is {faces.skipped[0].reason}" if faces.skipped else ""
            raise InputError(
                f"expected photographs, but none of {len(faces.skipped)} can be used"
                f"{', ' if reason else ''}{reason}; name others"
            )
        skipped += faces.skipped
        probes += map(Probe, faces.photos, faces.places, faces.embeddings)
    return probes, skipped


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
