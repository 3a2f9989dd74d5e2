"""What `recognition calibrate` does, in order: the threshold is found, kept, told and drawn."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

from recognition.cli.console import bar, command_line, show_json, show_lines, whole
from recognition.cli.gallery_people import about_threshold
from recognition.datasets._files import shown
from recognition.errors import InputError
from recognition.gallery.answers import Threshold, known_score
from recognition.gallery.calibration import calibrate
from recognition.gallery.interface import Gallery
from recognition.gallery.labelled import Labelled, described, read_labelled, require_comparable
from recognition.report.text import legible
from recognition.whole_files import written_whole


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
