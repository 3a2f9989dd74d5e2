"""`recognition verify`: do two photographs show one person?"""

from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import BAD_INPUT, SAYS_NO, spoken_errors
from recognition.cli.photo_options import PHOTOGRAPHS, Device, Model

DECISION = "When it is one person"
OUTPUT = "Output"


def verify(
    first: Annotated[
        Path,
        typer.Argument(
            metavar="A.jpg",
            rich_help_panel=PHOTOGRAPHS,
            help="A photograph. Of several faces the largest certain one is compared.",
        ),
    ],
    second: Annotated[
        Path,
        typer.Argument(metavar="B.jpg", rich_help_panel=PHOTOGRAPHS, help="Another photograph."),
    ],
    min_score: Annotated[
        float,
        typer.Option(
            metavar="P",
            rich_help_panel=PHOTOGRAPHS,
            help="Leave out what the detector takes for a face with less than this probability.",
        ),
    ] = 0.95,
    model: Model = None,
    device: Device = "cpu",
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="T",
            rich_help_panel=DECISION,
            help="One person from this cosine on; between -1 and 1.",
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=DECISION,
            help="Take the threshold from the results.json that recognition evaluate wrote of "
            "people you know, embedded by the same model.",
        ),
    ] = None,
    fmr: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            rich_help_panel=DECISION,
            help="With --calibration: how often two different people may be taken for one.  "
            "[default: 0.001]",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", rich_help_panel=OUTPUT, help="Print everything as JSON."),
    ] = False,
) -> None:
    """Say whether two photographs show one person, by a threshold you can answer for.

    Exit codes: 0 the same person; 1 not the same; 2 it cannot be decided: no face, no weights, no
    threshold. No threshold is made up: it depends on the model, on the people and on how often a
    mistake may happen. To set one, embed photographs of people you know, a folder each, and
    evaluate them. It does not tell a person from a picture held to the camera.

    \b
    recognition embed people/ -o people.npz --labelled
    recognition evaluate people.npz --out judged
    recognition verify a.jpg b.jpg --calibration judged/results.json
    recognition verify a.jpg b.jpg --calibration judged --fmr 0.01
    recognition verify a.jpg b.jpg --threshold 0.4
    recognition verify a.jpg b.jpg --model face.onnx
    recognition verify a.jpg b.jpg --threshold 0.4 --json
    recognition verify a.jpg b.jpg --threshold 0.4 --min-score 0.8
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.verification import Asked, decide, show

        asked = Asked(first, second, min_score, model, device, threshold, calibration, fmr)
        done = decide(asked)
        show(done, as_json=as_json)
        raise typer.Exit({"same": 0, "different": SAYS_NO, "undecided": BAD_INPUT}[done.verdict])
