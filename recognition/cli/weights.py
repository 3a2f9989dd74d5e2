"""`recognition weights`: which published weights are here, fetch them, check them."""

from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import bar, show_lines, spoken_errors
from recognition.cli.help import Grouped

weights = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Published weights of a face network: which are here, fetch them, check them.\n\n"
    "No other verb downloads weights.",
)
WHICH = "Which weights"
MORE = "How"


@weights.command("list", cls=Grouped, short_help="Say which weights are here, and where.")
def list_() -> None:
    """Say which published weights are here, where, and with which hash.

    \b
    recognition weights list
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.published import table

        show_lines(table())


@weights.command(cls=Grouped, short_help="Download weights, once, after you accept their licence.")
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
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
) -> None:
    """Check that files of weights load, embed, and have the hash they had when first used.

    \b
    recognition weights verify
    recognition weights verify 20180402-114759-vggface2.pt
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.published import verified

        with bar("checking", 1):
            lines = verified(files)
        for line in lines:
            typer.echo(line)
