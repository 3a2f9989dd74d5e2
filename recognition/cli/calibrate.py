"""`recognition calibrate`: from which score on a name is given."""

from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import spoken_errors
from recognition.cli.gallery_options import OUTPUT, Json, Trust, Where

RATES = "Wanted rate"


def calibrate(
    where: Where,
    probes: Annotated[
        Path,
        typer.Argument(
            metavar="PROBES.npz",
            rich_help_panel="Gallery",
            help="Embeddings and labels of people who are not enrolled, the more the better, and "
            "perhaps of people who are, on other pictures.",
        ),
    ],
    fpir: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            rich_help_panel=RATES,
            help="Give a name to at most this share of searches of strangers.  [default: 0.01]",
        ),
    ] = None,
    fmr: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            rich_help_panel=RATES,
            help="Or: let at most this share of comparisons of a stranger with a person match, "
            "however many are enrolled.",
        ),
    ] = None,
    score: Annotated[
        str,
        typer.Option(
            metavar="best|template",
            rich_help_panel=RATES,
            help="Score a person by the picture most alike, or by the mean of the pictures; the "
            "threshold, and `identify` with it, is for that.",
        ),
    ] = "best",
    try_only: Annotated[
        bool,
        typer.Option(
            "--dry-run", rich_help_panel=RATES, help="Only tell the threshold; do not set it."
        ),
    ] = False,
    trust: Trust = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            rich_help_panel=OUTPUT,
            help="Write what the threshold means for people on a page, with the scores and what "
            "other thresholds would do. The file must be new.  [default: none]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Set the threshold from which a name is given, for a rate of false names that you want.

    Whoever is not enrolled is a stranger. The threshold is kept in the gallery with its interval,
    the number of people it holds for, the sha256 of the data and the date. Too few strangers are
    refused, with how many more are needed.

    \b
    recognition calibrate people.gallery probes.npz
    recognition calibrate people.gallery probes.npz --fpir 0.001
    recognition calibrate people.gallery probes.npz --report threshold.html
    recognition calibrate people.gallery probes.npz --fmr 1e-5 --dry-run
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.calibration import run_calibrate

        if fpir is None and fmr is None:
            fpir = 0.01
        run_calibrate(
            where,
            probes,
            fpir=fpir,
            fmr=fmr,
            score=score,
            trust=trust,
            as_json=as_json,
            dry=try_only,
            report=report,
        )
