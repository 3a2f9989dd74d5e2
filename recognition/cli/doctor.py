"""`recognition doctor`: what works on this machine, and what mends the rest."""

from dataclasses import asdict
from typing import Annotated

import typer

from recognition.cli.console import SAYS_NO, bar, show_json, show_lines, spoken_errors

MODEL = "Model"
OUTPUT = "Output"
MARKS = {"works": "works  ", "missing": "missing", "broken": "BROKEN "}


def doctor(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            rich_help_panel=MODEL,
            help="Also try this network: a file, such as face.onnx or the model.safetensors of our "
            "own runs, or a name such as vggface2.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print every finding as JSON.")
    ] = False,
) -> None:
    """Say what works on this machine, what does not, and the one command that mends it.

    It looks at Python and the libraries, finds a face on a picture it draws, and checks the
    weights it finds. Nothing is downloaded. Exit codes: 0 all that is needed works, though
    something may be missing that only some need; 1 something needed does not work.

    \b
    recognition doctor
    recognition doctor --json
    recognition doctor --model vggface2
    recognition doctor --model face.onnx
    recognition doctor --model runs/one/weights/arcface-0.backbone.safetensors
    recognition doctor --model face.onnx --json
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.doctor import examine

        findings = list(examine(model, watch=bar))
        sound = all(finding.state != "broken" for finding in findings)
        if as_json:
            told = [asdict(finding) for finding in findings]
            show_json({"format": 1, "works": sound, "findings": told})
        else:
            for finding in findings:
                show_lines([f"{MARKS[finding.state]} {finding.about}: {finding.said}"], hang=8)
                if finding.mend:
                    typer.echo(f"        {finding.mend}")
            typer.echo("\nAll that is needed works." if sound else "\nSomething needed is broken.")
        raise typer.Exit(0 if sound else SAYS_NO)
