"""What several verbs ask about photographs and models, in the same words."""

from pathlib import Path
from typing import Annotated

import typer

PHOTOGRAPHS = "Photographs"
MODEL_PANEL = "Model"

Photographs = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH",
        rich_help_panel=PHOTOGRAPHS,
        help="Photographs (JPEG, PNG, WebP, BMP, PPM; HEIC with the extra heif), and folders "
        "of them, whatever their depth.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        rich_help_panel=MODEL_PANEL,
        help="Which network embeds: a file, such as face.onnx, the folder of a "
        "run of `recognition train`, or a name. By default facenet-pytorch's, if its weights are here.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        rich_help_panel=MODEL_PANEL,
        help="Where the network runs: cpu, cuda, cuda:1.",
    ),
]
