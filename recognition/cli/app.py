"""The verbs of `recognition`."""

from importlib import metadata
from typing import Annotated

import typer

from recognition.cli.calibrate import calibrate
from recognition.cli.classes import classes
from recognition.cli.compare import compare
from recognition.cli.demo import demo
from recognition.cli.detect import detect
from recognition.cli.doctor import doctor
from recognition.cli.embed import embed
from recognition.cli.evaluate import evaluate
from recognition.cli.export import export
from recognition.cli.finetune import finetune
from recognition.cli.gallery import gallery
from recognition.cli.help import Grouped
from recognition.cli.identify import identify
from recognition.cli.index import index
from recognition.cli.project import project
from recognition.cli.train import train
from recognition.cli.verify import verify
from recognition.cli.weights import weights

app = typer.Typer(
    name="recognition",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help leaves the descriptions room in 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=Grouped, short_help="A first look: heads compared on drawn faces.")(demo)
app.command(cls=Grouped, short_help="Train with each head, and judge it on strangers.")(compare)
app.command(cls=Grouped, short_help="Cut out the faces on photographs, and show them.")(detect)
app.command(cls=Grouped, short_help="Say what works here, and what mends the rest.")(doctor)
app.command(cls=Grouped, short_help="Find and embed the faces on photographs.")(embed)
app.command(cls=Grouped, short_help="Say what your embeddings are worth on strangers.")(evaluate)
app.command(cls=Grouped, short_help="Learn a projection of embeddings, and judge it.")(finetune)
app.command(cls=Grouped, short_help="Project embeddings by what finetune learned.")(project)
app.command(cls=Grouped, short_help="Train one network, and keep the best of it.")(train)
app.command(cls=Grouped, short_help="Say whether two photographs show one person.")(verify)
app.add_typer(weights, name="weights", short_help="Published weights: list, fetch, verify.")
app.add_typer(classes, name="classes", short_help="The people a run has learned: let in, drop.")
app.add_typer(export, name="export", short_help="Write a network for other programs.")
app.add_typer(gallery, name="gallery", short_help="Enrol people, see who is, forget people.")
app.add_typer(index, name="index", short_help="Kinds of index: measure them on your vectors.")
app.command(cls=Grouped, short_help="Set from which score on a name is given.")(calibrate)
app.command(cls=Grouped, short_help="Say who is on photographs, or that nobody knows.")(identify)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(metadata.version("margin-recognition"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """How well embeddings tell people apart who were never seen in training.

    Exit codes: 0 done, or yes; 1 a check said no (verify, doctor, gallery check, weights verify, gallery erase that was declined or left something); 2 the input or the options make no sense, one sentence on stderr says why, and nothing was written, or verify cannot decide; 70 a fault of the program, with a traceback; 130 stopped by Ctrl-C or SIGTERM, and nothing was written (embed, identify, train, gallery sync and ingest keep what is finished); 141 who read the output closed it.
    """


def main() -> None:
    """The console script."""
    app()
