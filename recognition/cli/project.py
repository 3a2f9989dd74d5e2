"""`recognition project`: a file of embeddings by a projection that finetune has learned."""

import json
from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import show_json, show_lines, spoken_errors, whole

PROJECT = "What to project"
OUTPUT = "Output"


def project(
    embeddings: Annotated[
        Path,
        typer.Argument(
            metavar="FACES.npz",
            rich_help_panel=PROJECT,
            help="Embeddings by the model that the projection was learned for, with labels or "
            "without.",
        ),
    ],
    projection: Annotated[
        Path,
        typer.Option(
            "--with",
            metavar="RUN",
            rich_help_panel=PROJECT,
            help="The run folder of recognition finetune, or its projection.safetensors.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="The .npz to write; a new one.",
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print the summary as JSON.")
    ] = False,
) -> None:
    """Project a file of embeddings, and leave everything else in it as it is.

    Ids, labels, columns and pictures that could not be embedded stay. The file that is written has
    a contract of its own, so that nothing mixes projected embeddings with others: enrol people,
    and search for them, by projected ones.

    \b
    recognition project faces.npz --with runs/ours -o projected.npz
    recognition project new.npz --with projection.safetensors -o new-projected.npz
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.report.text import legible, several
        from recognition.training.projected_files import project_file
        from recognition.training.projection import read_projection

        saved = read_projection(projection)
        done = project_file(embeddings, saved, out)
        verdict = saved.projection.told.get("verdict")
        contract = None if done.contract is None else json.loads(done.contract.to_json())
        if as_json:
            told = {
                "format": 1,
                "out": legible(str(out)),
                "rows": done.rows,
                "failures": done.failures,
                "dimensions": saved.projection.dim,
                "contract": contract,
                "verdict": verdict,
                "left_out": list(done.left_out),
            }
            show_json(told)
            return
        by = "" if done.contract is None else f", by {legible(str(done.contract))}"
        sizes = f"{saved.projection.source_dim} to {saved.projection.dim} dimensions"
        lines = [f"{several(done.rows, 'embedding')} projected from {sizes}{by}"]
        if done.failures:
            lines.append(f"{several(done.failures, 'picture')} could not be embedded, as before")
        if done.left_out:
            lines.append(f"left out, as it is no plain array: {legible(', '.join(done.left_out))}")
        if verdict != "gains":
            lines.append(
                "recognition finetune did not find that this projection gains anything: it said "
                f"{legible(str(verdict))!r}"
            )
        show_lines([*lines, f"Written to {whole(out)}"])
