"""`recognition finetune`: a projection of embeddings, judged on people left out."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import spoken_errors

LEARN = "Embeddings to learn from"
LEARNING = "Learning"
OUTPUT = "Output"


def finetune(
    embeddings: Annotated[
        Path,
        typer.Argument(
            metavar="FACES.npz",
            rich_help_panel=LEARN,
            help="Labelled embeddings, such as recognition embed --labelled writes; .npz, .npy "
            "with a CSV, .parquet or .safetensors. Ten people with several pictures at least, and "
            "better hundreds.",
        ),
    ],
    folds: Annotated[
        int,
        typer.Option(
            metavar="N",
            rich_help_panel=LEARN,
            help="Groups of people. Each is left out once, and judged by what was learned from all "
            "others.",
        ),
    ] = 5,
    head: Annotated[
        str,
        typer.Option(
            metavar="HEAD",
            rich_help_panel=LEARNING,
            help="The head to learn with, e.g. cosface or arcface:m=0.3,s=16; python -m "
            "margin_losses lists them. It sees lengths near 1, whatever they were.",
        ),
    ] = "arcface",
    dim: Annotated[
        int,
        typer.Option(
            metavar="D",
            rich_help_panel=LEARNING,
            help="Numbers in a projected embedding; 0 for as many as before.",
        ),
    ] = 0,
    bias: Annotated[
        bool,
        typer.Option("--bias", rich_help_panel=LEARNING, help="Learn a shift as well."),
    ] = False,
    steps: Annotated[
        int,
        typer.Option(
            metavar="N",
            rich_help_panel=LEARNING,
            help="Steps at most. How many are taken is chosen on people held out among those "
            "learned from; it can be none.",
        ),
    ] = 100,
    lr: Annotated[
        float,
        typer.Option(
            metavar="RATE",
            rich_help_panel=LEARNING,
            help="The highest learning rate: how far a step may turn an embedding, about, as a share "
            "of its length.",
        ),
    ] = 0.2,
    pull: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            rich_help_panel=LEARNING,
            help="How far it is drawn back to its start at each step.",
        ),
    ] = 0.01,
    seed: Annotated[
        int,
        typer.Option(min=0, metavar="N", rich_help_panel=LEARNING, help="Of everything at random."),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FOLDER",
            rich_help_panel=OUTPUT,
            help="The run folder, which must be new.  [default: runs/NAME-finetune-DATE-TIME]",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", rich_help_panel=OUTPUT, help="Print results.json instead of the table."
        ),
    ] = False,
) -> None:
    """Learn a projection of embeddings, and say whether it gains anything on people left out.

    The network stays as it is: a matrix is learned with a margin head, from the identity on, in
    minutes. Everybody is left out once, and judged by their embeddings as they came and as they
    are projected. It says whether projecting gains, loses, or cannot be told apart.

    Writes a run folder: report.html, results.json, a log, and projection.safetensors, which is learned from
    everybody, whatever the verdict, and has it written in it. recognition project applies it.

    \b
    recognition finetune faces.npz
    recognition finetune faces.npz -o runs/ours
    recognition finetune faces.npz --head cosface:m=0.2,s=16
    recognition finetune faces.npz --dim 128
    recognition finetune faces.npz --folds 10 --seed 1
    recognition finetune faces.npz --bias --json
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.finetuning import run_finetuning
        from recognition.training.projection_fit import ProjectionRecipe

        recipe = ProjectionRecipe(head=head, dim=dim, bias=bias, steps=steps, lr=lr, pull=pull)
        moment = datetime.now().strftime("%Y%m%d-%H%M%S")
        folder = Path("runs", f"{embeddings.stem}-finetune-{moment}") if out is None else out
        run_finetuning(embeddings, recipe, folder, folds=folds, seed=seed, as_json=as_json)
