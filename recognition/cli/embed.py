"""`recognition embed`: from photographs to a file of embedded faces."""

from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import spoken_errors
from recognition.cli.photo_options import PHOTOGRAPHS, Device, Model, Photographs

FACES = "Which faces"
OUTPUT = "Output"


def embed(
    paths: Photographs,
    labelled: Annotated[
        bool,
        typer.Option(
            "--labelled",
            rich_help_panel=PHOTOGRAPHS,
            help="There is a folder for each person: it is the label of the largest certain face "
            "on each photograph, and other faces are left out. A photograph without one counts as "
            "a failure. Needed to evaluate.",
        ),
    ] = False,
    min_score: Annotated[
        float,
        typer.Option(
            metavar="P",
            rich_help_panel=FACES,
            help="Embed what the detector takes for a face with at least this probability; the "
            "rest is reported. 0 embeds all it finds.",
        ),
    ] = 0.95,
    model: Model = None,
    device: Device = "cpu",
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="The .npz to write. If it is there already, only photographs that are new or "
            "changed are embedded.",
        ),
    ] = Path("faces.npz"),
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            rich_help_panel=OUTPUT,
            help="Begin anew, even if the file is there or an earlier run was stopped.",
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", rich_help_panel=OUTPUT, help="Print the summary as JSON."),
    ] = False,
) -> None:
    """Find the faces on photographs, and write an embedding of each into a file.

    Faces are found by MTCNN, cut as the model wants them, and embedded. The file says where each
    face is, which photograph it is from, and which model made it. The same command again embeds
    only what changed; after Ctrl-C it goes on where it was. Files that cannot be used are listed
    beside it (faces.skipped.csv for faces.npz) and never stop the rest.

    \b
    recognition embed photos/
    recognition embed photos/ -o faces.npz --model face.onnx
    recognition embed people/ inbox/ more.jpg -o faces.npz
    recognition embed people/ -o people.npz --labelled
    recognition embed photos/ -o faces.npz --min-score 0.8
    recognition embed photos/ -o faces.npz --json --fresh
    """  # noqa: D301 \b keeps the lines apart
    kept = "finished photographs are kept, and the same command goes on (without --fresh)"
    with spoken_errors(stopped=kept):
        from recognition.cli.console import bar
        from recognition.cli.embed_output import show
        from recognition.faces.embedding import embed_folder

        done = embed_folder(
            paths,
            out,
            model=model,
            min_score=min_score,
            labelled=labelled,
            fresh=fresh,
            device=device,
            watch=bar,
        )
        show(done, as_json=as_json)
