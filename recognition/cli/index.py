"""`recognition index bench`: which kind of index suits your vectors, and what it costs."""

from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import spoken_errors
from recognition.cli.help import Grouped

MEASURED = "What to measure"
OUTPUT = "Output"

index = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@index.callback()
def _group() -> None:
    """Kinds of index for searching a gallery."""


@index.command(cls=Grouped, short_help="Measure kinds of index on your own vectors.")
def bench(
    vectors: Annotated[
        Path,
        typer.Argument(
            metavar="VECTORS",
            rich_help_panel=MEASURED,
            help="Embeddings with the person on each, as for recognition evaluate: .npz, .parquet, "
            ".safetensors, or .npy beside a .csv. Without --queries a fifth of the people are not "
            "enrolled and search as strangers, and one picture of each other person searches.",
        ),
    ],
    queries: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=MEASURED,
            help="Embeddings to search for, of people in VECTORS and of others; all of VECTORS is "
            "enrolled then.",
        ),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kinds",
            metavar="KIND",
            rich_help_panel=MEASURED,
            help="A kind to measure, repeatable: exact, exact:float32, exact:float16, exact:int8, "
            "ivf:nlist=1024,nprobe=16 (cells, and how many are looked into), hnsw:m=32,ef=128 "
            "(links of a graph, and candidates on the way).  [default: those that fit the size]",
        ),
    ] = None,
    k: Annotated[
        int,
        typer.Option(
            "--k", min=1, metavar="N", rich_help_panel=MEASURED, help="People listed of a search."
        ),
    ] = 10,
    fpir: Annotated[
        float,
        typer.Option(
            metavar="RATE",
            rich_help_panel=MEASURED,
            help="Misses are told at the threshold at which at most this share of strangers is "
            "given a name.",
        ),
    ] = 0.01,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE", rich_help_panel=MEASURED, help="Your threshold, instead of --fpir."
        ),
    ] = None,
    most: Annotated[
        int,
        typer.Option(
            "--searches",
            min=1,
            metavar="N",
            rich_help_panel=MEASURED,
            help="Searches to make, at most; others are left out at random.",
        ),
    ] = 1000,
    seed: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", rich_help_panel=MEASURED, help="Of who is left out and searches."
        ),
    ] = 0,
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="GALLERY|FILE",
            rich_help_panel=OUTPUT,
            help="Write the choice down: a gallery searches by it from now on; into a .json file "
            "goes everything that was measured.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", rich_help_panel=OUTPUT, help="Print JSON instead of a table."),
    ] = False,
) -> None:
    """Measure kinds of index on your own vectors, and what each costs at the threshold.

    Exact kinds find everybody. Others miss some: added FNIR is the share of searches for somebody
    enrolled whom the exact search names and this kind does not. The quickest kind is recommended of
    those that miss nobody, or of which the measurement shows that they add at most 0.01.

    \b
    recognition index bench faces.npz
    recognition index bench faces.npz --queries probes.npz --threshold 0.42
    recognition index bench faces.npz --kinds exact --kinds ivf:nlist=256,nprobe=8
    recognition index bench faces.npz --kinds hnsw:m=16,ef=64 --json
    recognition index bench faces.npz --fpir 0.001 --searches 5000
    recognition index bench faces.npz --write people.gallery
    recognition index bench faces.npz --write choice.json
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.index_bench import run_bench

        run_bench(
            vectors,
            queries,
            tuple(kinds or ()),
            k=k,
            fpir=fpir,
            threshold=threshold,
            most=most,
            seed=seed,
            write=write,
            as_json=as_json,
        )
