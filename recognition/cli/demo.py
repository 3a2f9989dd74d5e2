"""`recognition demo`: what the toolkit does, on faces it draws, in under a minute."""

from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.compare import compare
from recognition.cli.console import spoken_errors

OUTPUT = "Output"
NEXT = """
Next:
  recognition compare FOLDER                              the same on your pictures, a folder a person
  recognition train FOLDER --out runs/mine                one network of them to keep
  recognition embed OTHERS --labelled --model runs/mine   photographs of other people, embedded
  recognition evaluate faces.npz                          say what those embeddings are worth"""


def demo(
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=OUTPUT,
            help="The run folder, which must be new.  [default: runs/drawn-DATE-TIME]",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", rich_help_panel=OUTPUT, help="Print results.json instead of tables."
        ),
    ] = False,
) -> None:
    """Compare every head on faces that are drawn, in under a minute, and say what to do next.

    The same as recognition compare --quick.

    \b
    recognition demo
    recognition demo --out runs/first
    """  # noqa: D301 \b keeps the lines apart
    compare(quick=True, out=out, as_json=as_json)
    with spoken_errors():
        typer.echo(NEXT, err=as_json)
