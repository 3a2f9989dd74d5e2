"""`recognition export`: a network as a file for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import bar, show_json, show_lines, spoken_errors
from recognition.cli.help import Grouped
from recognition.report.text import legible

export = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Write a network as a file that other programs run.",
)
MODEL = "What to export"
OUTPUT = "Output"


@export.callback()
def _formats() -> None:
    """Write a network as a file that other programs run."""


@export.command(cls=Grouped, short_help="Write one .onnx file, and check that it embeds alike.")
def onnx(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            rich_help_panel=MODEL,
            help="A run folder with one network, HEAD-SEED.backbone.safetensors of a run, weights of "
            "facenet-pytorch (.pt, vggface2), or package.module:factory@weights.safetensors.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE.onnx",
            rich_help_panel=OUTPUT,
            help="Where to; it must be new. Its card, FILE.json, says how crops are prepared.",
        ),
    ],
    crops: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=OUTPUT,
            help="Pictures of faces to compare on, too, beside noise and drawn faces.",
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="X",
            rich_help_panel=OUTPUT,
            help="How much a number of an embedding of length 1 may differ; nothing is written "
            "where one differs by more.",
        ),
    ] = 1e-4,
    as_json: Annotated[
        bool,
        typer.Option("--json", rich_help_panel=OUTPUT, help="Print the differences as JSON."),
    ] = False,
) -> None:
    """Write a network as one ONNX file for any batch, reload it, and compare the embeddings.

    \b
    recognition export onnx runs/one -o face.onnx
    recognition export onnx arcface-0.backbone.safetensors -o face.onnx
    recognition export onnx vggface2 -o face.onnx --crops crops/
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.export_crops import read_crops
        from recognition.faces.models.export import export_onnx
        from recognition.faces.models.loading import load_embedder

        embedder = load_embedder(model)
        pictures = None if crops is None else read_crops(crops, embedder.contract.preprocessing)
        found = export_onnx(embedder, out, crops=pictures, tolerance=tolerance, watch=bar)
        files = [str(out), str(out.with_suffix(".json"))]
        if as_json:
            show_json({"format": 1, **found._asdict(), "tolerance": tolerance, "files": files})
            return
        sentence = (
            f"Largest difference of a number of {found.crops} embeddings of length 1: "
            f"{found.noise:.1e} over noise, {found.faces:.1e} over faces; {tolerance:g} is allowed."
        )
        show_lines([sentence])
        typer.echo(f"Written to {legible(files[0])} and {legible(files[1])}")
