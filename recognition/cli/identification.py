"""What `recognition calibrate` and `recognition identify` do, in order."""

import time
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import typer

from recognition.cli.console import bar, command_line, make_way, show_json, show_lines, whole
from recognition.cli.gallery_people import about_threshold, warn, write_csv
from recognition.cli.gallery_source import Source
from recognition.datasets._files import shown
from recognition.datasets.pictures import Skipped
from recognition.errors import InputError
from recognition.faces.photos import Found, find_photos
from recognition.gallery.answers import Answer, OutgrownWarning, Threshold, known_score
from recognition.gallery.calibration import calibrate
from recognition.gallery.interface import Gallery
from recognition.gallery.labelled import Labelled, described, read_labelled, require_comparable
from recognition.gallery.sync import Vector
from recognition.report.text import in_csv, legible
from recognition.whole_files import written_whole

if TYPE_CHECKING:
    from recognition.gallery.photographs import Models

UNKNOWN = "unknown"
NEAREST = 3
TOGETHER = 1024  # rows of a file that are searched for at once


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
    report: Path | None = None,
) -> None:
    """Find the threshold, keep it, tell it, and write a page of it where one is asked for.

    Raises:
        InputError: the rate cannot be measured, or the files cannot be used; nothing is changed.
    """
    began = time.perf_counter()
    if report is not None:
        _check_report(report)
    if probes.is_dir():
        raise InputError(
            f"expected a file of embeddings, got the folder {shown(probes)}; write one by the "
            "gallery's model, as recognition embed FOLDER -o probes.npz --labelled --model MODEL"
        )
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
        with ExitStack() as stack:
            if report is not None:  # whole before the threshold is set, and there if it was
                file = stack.enter_context(written_whole(report))
                results = {
                    "threshold": asdict(threshold),
                    "set": not dry,
                    "gallery": where,
                    "pictures": gallery.stats().samples,
                    "model": described(gallery.contract),
                    "probes": str(probes),
                    "command": command_line(),
                    "version": metadata.version("margin-recognition"),
                    **_curve(gallery, found, threshold),
                    "seconds": time.perf_counter() - began,
                }
                file.write(_page(results))
            if not dry:
                gallery.set_threshold(threshold)
    if as_json:
        show_json({"format": 1, **asdict(threshold), "set": not dry})
        return
    show_lines(about_threshold(threshold))
    tried = "searches" if threshold.rule == "fpir" else "comparisons"
    told = f"{threshold.trials:,} {tried} of strangers; sha256 of the data {threshold.data[:12]}"
    show_lines([f"measured on {told}"])
    typer.echo("Not set (--dry-run)" if dry else f"Set in {legible(where)}")
    if report is None:
        show_lines(["--report FILE.html writes what it means for people on a page."])
    else:
        typer.echo(f"Written to {whole(report)}")


def _check_report(path: Path) -> None:
    """Refuse a page that cannot be written, before anybody is searched for."""
    if path.exists() or path.is_symlink():
        raise InputError(f"--report: {shown(path)} exists already; name another file, or remove it")
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--report: expected a file that ends in .html, got {shown(path)}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--report: no folder for {shown(path)}; make it, or name another file")


def _curve(gallery: Gallery, found: Labelled, threshold: Threshold) -> dict[str, Any]:
    from recognition.gallery.threshold_curve import threshold_curve

    labels = [str(name) for name in found.file.labels]
    failures = [failure.label for failure in found.file.failures]
    return threshold_curve(gallery, found.rows, labels, threshold, failures=failures, watch=bar)


def _page(results: Mapping[str, Any]) -> bytes:
    from recognition.report.html.calibrated import document
    from recognition.report.html.render import render

    return render(document(results)).encode()


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
