"""What several verbs ask about a gallery, its people and its model, in the same words."""

from typing import Annotated

import typer

GALLERY, PEOPLE, MODEL, OUTPUT = "Gallery", "People", "Model", "Output"

Where = Annotated[
    str,
    typer.Argument(
        metavar="GALLERY",
        rich_help_panel=GALLERY,
        help="The gallery's folder, such as people.gallery; or milvus://host:port/name.",
    ),
]
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", rich_help_panel=PEOPLE, help="The person's name: any text."),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        rich_help_panel=MODEL,
        help="Which network embeds photographs: a file, such as face.onnx, the folder of a "
        "run of `recognition train`, or a name. It must be the gallery's. By default facenet-pytorch's, "
        "if its weights are here.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE", rich_help_panel=MODEL, help="Where the network runs: cpu, cuda, cuda:1."
    ),
]
MinScore = Annotated[
    float,
    typer.Option(
        metavar="P",
        rich_help_panel=MODEL,
        help="Take what the detector finds a face with at least this probability.",
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        rich_help_panel=MODEL,
        help="Vouch that the embeddings are by the gallery's model, where the file, or the "
        "gallery, does not say by which. Known models that differ are refused all the same.",
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", rich_help_panel=OUTPUT, help="Print JSON, with every name exactly as it is."
    ),
]
