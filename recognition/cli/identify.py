"""`recognition identify`: who is on photographs."""

from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import spoken_errors
from recognition.cli.gallery_options import Device, Json, MinScore, Model, Trust, Where


def identify(
    where: Where,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            rich_help_panel="Gallery",
            help="Photographs, folders of them, and .npz files of `recognition embed`.",
        ),
    ],
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            rich_help_panel="Answers",
            help="Give a name from this score on, instead of the gallery's own threshold.",
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            rich_help_panel="Answers",
            help="Also tell the nearest three people with their scores, whoever is named.",
        ),
    ] = False,
    model: Model = None,
    device: Device = "cpu",
    min_score: MinScore = 0.95,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Say who is on photographs: a line a face as CSV, `unknown` for whom the gallery does not know.

    Lines come as soon as they are known, JSON once all are. `score` is of the nearest person; `known` says whether it reaches `threshold`, `margin` how far
    the next person is behind. What cannot be used is told on stderr. Text that a spreadsheet would
    take for a formula has a ' before it; names are exact in JSON.

    \b
    recognition identify people.gallery photo.jpg
    recognition identify people.gallery inbox/ --explain
    recognition identify people.gallery faces.npz --json
    """  # noqa: D301 \b keeps the lines apart
    stopped = "the lines that are there are right, what comes after them was not looked at"
    with spoken_errors(stopped="nothing was written" if as_json else stopped):
        from recognition.cli.gallery_source import Source
        from recognition.cli.identification import run_identify

        source = Source(model, device, min_score, trust)
        run_identify(where, paths, source, threshold=threshold, explain=explain, as_json=as_json)
