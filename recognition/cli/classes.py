"""`recognition classes ...`: the people a run has learned, who come and go."""

from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import spoken_errors
from recognition.cli.help import Grouped

RUN, PEOPLE, OUTPUT = "Run", "People", "Output"

classes = typer.Typer(
    name="classes",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The people a run has learned: list them, let people in, drop people, exchange directions.",
)

Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", rich_help_panel=RUN, help="A folder that recognition train made."
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="FOLDER",
        rich_help_panel=OUTPUT,
        help="Where the run with other people goes: a new folder. The old one stays as it is.",
    ),
]
Source = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        rich_help_panel=PEOPLE,
        help="Pictures: a folder with one folder a person, a .rec, or a .csv with the columns path "
        "and label. Or embeddings by this run's network: an .npz with embeddings and labels.",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", rich_help_panel=OUTPUT, help="Print JSON, names exactly as they are."),
]


@classes.command("list", cls=Grouped, short_help="Who has a class.")
def list_(run: Run, as_json: Json = False) -> None:
    """Who has a class, in the order of the rows of the class matrix.

    \b
    recognition classes list runs/mine
    recognition classes list runs/mine --json
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.class_changes import run_list

        run_list(run, as_json=as_json)


@classes.command(cls=Grouped, short_help="Let people in, at the mean of their embeddings.")
def add(run: Run, source: Source, out: Out, as_json: Json = False) -> None:
    """Let people in: each new class begins at the mean of the person's own embeddings.

    Nobody is trained from nothing: all others keep their rows and what the optimiser keeps of them.
    Go on with recognition train PICTURES --from FOLDER, on the pictures of everybody.

    \b
    recognition classes add runs/mine new-people/ -o runs/grown
    recognition classes add runs/mine new.npz -o runs/grown
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.class_changes import run_add

        run_add(run, source, out, as_json=as_json)


@classes.command(cls=Grouped, short_help="Drop people.")
def remove(
    run: Run,
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", rich_help_panel=PEOPLE, help="Who goes."),
    ],
    out: Out,
    as_json: Json = False,
) -> None:
    """Drop the classes of people. What the network learned from their pictures it does not forget.

    \b
    recognition classes remove runs/mine ada -o runs/fewer
    recognition classes remove runs/mine ada bob -o runs/fewer
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.class_changes import run_remove

        run_remove(run, names, out, as_json=as_json)


@classes.command(cls=Grouped, short_help="Write everybody's direction.")
def export(
    run: Run,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE.npz",
            rich_help_panel=OUTPUT,
            help="Where they go: embeddings, labels and ids, as evaluate and gallery read them.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Write the direction of every class, a unit row a person.

    \b
    recognition classes export runs/mine -o directions.npz
    recognition classes export runs/mine --out directions.npz
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.class_changes import run_export

        run_export(run, out, as_json=as_json)


@classes.command("import", cls=Grouped, short_help="Take other directions for people.")
def import_(run: Run, source: Source, out: Out, as_json: Json = False) -> None:
    """Turn the classes of people to the means of these embeddings, and let in who is new.

    \b
    recognition classes import runs/mine directions.npz -o runs/turned
    recognition classes import runs/mine people/ -o runs/turned
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.class_changes import run_import

        run_import(run, source, out, as_json=as_json)
