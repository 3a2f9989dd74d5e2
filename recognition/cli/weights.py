"""`recognition weights`: which published weights are here, fetch them, check them."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.completion import PUBLISHED, among
from recognition.cli.console import SAYS_NO, bar, show_json, show_lines, spoken_errors
from recognition.cli.help import Grouped
from recognition.report.text import legible

weights = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Published weights of a face network: which are here, fetch them, check them.\n\n"
    "No other verb downloads weights.",
)
WHICH = "Which weights"
MORE = "How"
Json = Annotated[
    bool, typer.Option("--json", rich_help_panel="Output", help="Print JSON instead of text.")
]


@weights.command("list", cls=Grouped, short_help="Say which weights are here, and where.")
def list_(as_json: Json = False) -> None:
    """Say which published weights are here, where, and with which hash.

    \b
    recognition weights list
    recognition weights list --json
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.weight_list import described, table

        if as_json:
            show_json(described())
        else:
            show_lines(table())


@weights.command(cls=Grouped, short_help="Download weights, once, after you accept their licence.")
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=among(PUBLISHED),
            rich_help_panel=WHICH,
            help="What they were trained on: vggface2 or casia-webface.",
        ),
    ] = "vggface2",
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence",
            rich_help_panel=MORE,
            help="You have read what is known of their licence, which is shown without it.",
        ),
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="URL",
            rich_help_panel=MORE,
            help="The folder to fetch from, such as a mirror of yours.  [default: release v2.2.9 "
            "of facenet-pytorch]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Download published weights into facenet-pytorch's cache, and remember their hash.

    \b
    recognition weights fetch                                  shows the licence
    recognition weights fetch vggface2 --accept-licence
    recognition weights fetch --accept-licence --from https://mirror.example/faces
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.faces.models.facenet import LICENCE, RELEASE
        from recognition.faces.models.fetching import fetch_weights

        fetched = fetch_weights(
            name, accept_licence=accept_licence, source=source or RELEASE, watch=bar
        )
        if as_json:
            told = {"path": str(fetched.path), "sha256": fetched.sha256, "licence": LICENCE}
            show_json({"format": 1, "name": name, **told})
            return
        typer.echo(f"{fetched.path}\nsha256 {fetched.sha256}")
        show_lines([f"Licence: {LICENCE}."])


@weights.command(cls=Grouped, short_help="Check that weights load, and have not changed.")
def verify(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            rich_help_panel=WHICH,
            help="Files of weights, .pt or .safetensors.  [default: those in facenet-pytorch's "
            "cache, and what was made of them]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that files of weights load, embed, and have the hash they had when first used.

    The exit code is 1 if one does not, and says why on stderr.

    \b
    recognition weights verify
    recognition weights verify 20180402-114759-vggface2.pt
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.weight_list import verified

        with bar("checking", 1):
            found = verified(files)
        if as_json:
            show_json({"format": 1, "files": [asdict(one) for one in found]})
        for one in found:
            if one.problem is not None:
                typer.echo(f"recognition: {one.problem}", err=True)
            elif not as_json:
                typer.echo(f"{one.sha256}  {legible(one.path)}")
        if any(one.problem is not None for one in found):
            raise typer.Exit(SAYS_NO)
