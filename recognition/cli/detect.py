"""`recognition detect`: the faces on photographs, cut out and drawn."""

from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import spoken_errors
from recognition.cli.photo_options import Photographs

FACES = "Which faces, and how"
OUTPUT = "Output"


def detect(
    paths: Photographs,
    size: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            rich_help_panel=FACES,
            help="How crops are cut: 112 lays five points on ArcFace's 112 x 112, 112x96 on those "
            "of SphereFace and CosFace, 160 cuts the box with facenet's margin.",
        ),
    ] = "112",
    min_score: Annotated[
        float,
        typer.Option(
            metavar="P",
            rich_help_panel=FACES,
            help="What the detector takes for a face with less than this probability is doubtful: "
            "drawn dashed, and not cropped.",
        ),
    ] = 0.95,
    doubtful: Annotated[
        bool,
        typer.Option("--doubtful", rich_help_panel=FACES, help="Crop doubtful faces as well."),
    ] = False,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="FOLDER",
            rich_help_panel=OUTPUT,
            help="The folder to write, which must not be there yet.",
        ),
    ] = Path("crops"),
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", rich_help_panel=OUTPUT, help="Print every face with its box as JSON."
        ),
    ] = False,
) -> None:
    """Find the faces on photographs, cut them out, and draw where they were.

    The folder gets crops/ with a PNG for each face, drawings/ with a JPEG for each photograph,
    sheet-1.jpg with the crops side by side, faces.csv with a row for each face, and skipped.csv
    with the files that could not be used and why. Faces have the numbers that recognition embed
    gives them. One bad file never stops the rest.

    \b
    recognition detect photos/
    recognition detect photos/ more.jpg -o crops/
    recognition detect photos/ -o crops/ --size 112x96
    recognition detect photos/ -o crops/ --size 160
    recognition detect photos/ -o crops/ --min-score 0.8
    recognition detect photos/ -o crops/ --doubtful --json
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.console import bar
        from recognition.cli.detect_output import show
        from recognition.faces.detection import detect_faces

        done = detect_faces(
            paths, out, size=size, min_score=min_score, doubtful=doubtful, watch=bar
        )
        show(done, as_json=as_json)
