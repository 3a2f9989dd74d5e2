"""`recognition gallery ...`: who is enrolled, kept on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from recognition.cli.console import spoken_errors
from recognition.cli.gallery_options import (
    GALLERY,
    MODEL,
    OUTPUT,
    PEOPLE,
    Device,
    Json,
    MinScore,
    Model,
    Name,
    Trust,
    Where,
)
from recognition.cli.help import Grouped

ENROLLED_IS_KEPT = "what was enrolled is kept, and the same command goes on"

gallery = typer.Typer(
    name="gallery",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Enrol people, see who is enrolled, forget people.",
)


@gallery.command(cls=Grouped, short_help="Make an empty gallery for one model's embeddings.")
def create(
    where: Where,
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            rich_help_panel=MODEL,
            help="For embeddings as they are in this file: by the same model. If the file does not "
            "say which model that is, only the number of dimensions will be checked.",
        ),
    ] = None,
    model: Model = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Make an empty gallery. It is for the embeddings of one model, and refuses all others.

    Only you can read its folder: embeddings of faces are personal data.

    \b
    recognition gallery create people.gallery
    recognition gallery create people.gallery --model face.onnx
    recognition gallery create people.gallery --like faces.npz
    """  # noqa: D301 \b keeps the lines apart
    with spoken_errors():
        from recognition.cli.gallery_enrolling import run_create

        run_create(where, like=like, model=model, device=device, as_json=as_json)


@gallery.command(cls=Grouped, short_help="Add pictures of one person.")
def enroll(
    where: Where,
    name: Name,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            rich_help_panel=PEOPLE,
            help="Photographs of the person, of which the largest certain face is taken, or .npz "
            "files, of which all embeddings are.",
        ),
    ],
    metadata: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            rich_help_panel=PEOPLE,
            help='What else to keep about the person, e.g. \'{"team": "blue"}\'.',
        ),
    ] = None,
    model: Model = None,
    device: Device = "cpu",
    min_score: MinScore = 0.95,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Add pictures of a person who is new or enrolled already. All of them, or none.

    \b
    recognition gallery enroll people.gallery ada ada1.jpg ada2.jpg
    recognition gallery enroll people.gallery ada ada.npz
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.gallery_enrolling import run_enroll
        from recognition.cli.gallery_source import Source

        source = Source(model, device, min_score, trust)
        run_enroll(where, name, paths, source, metadata=metadata, as_json=as_json)


@gallery.command(cls=Grouped, short_help="Bring it up to date with a folder a person.")
def sync(
    where: Where,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            rich_help_panel=PEOPLE,
            help="A folder that has a folder with photographs for each person, or an .npz with "
            "embeddings, labels and ids.",
        ),
    ],
    delete: Annotated[
        bool,
        typer.Option(
            "--delete",
            rich_help_panel=PEOPLE,
            help="Take out pictures, and people, that an earlier sync enrolled and that are there "
            "no more. Otherwise they are only told. What was enrolled from files without sync "
            "counts too, if its content is known.",
        ),
    ] = False,
    model: Model = None,
    device: Device = "cpu",
    min_score: MinScore = 0.95,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Enrol what is new or changed in a folder, and tell what is added, changed, gone, skipped.

    A photograph is known by its bytes: what did not change is not embedded again. The largest
    certain face on each is enrolled. After Ctrl-C, what is done is kept, and the same command goes
    on.

    \b
    recognition gallery sync people.gallery people/
    recognition gallery sync people.gallery people/ --delete
    recognition gallery sync people.gallery faces.npz --json
    """  # noqa: D301
    with spoken_errors(stopped=ENROLLED_IS_KEPT):
        from recognition.cli.gallery_enrolling import run_sync
        from recognition.cli.gallery_source import Source

        options = Source(model, device, min_score, trust)
        run_sync(where, source, options, delete=delete, as_json=as_json)


@gallery.command(cls=Grouped, short_help="Add everybody in files of embeddings, however large.")
def ingest(
    where: Where,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            rich_help_panel=PEOPLE,
            help="Embeddings with the person on each (labels) and perhaps ids: .npz, .parquet and "
            "others that `recognition evaluate` reads.",
        ),
    ],
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Add every row of files of embeddings, some thousands at a time, whatever their size.

    All files are checked before anybody is enrolled. What is enrolled already is passed over, so
    that after Ctrl-C the same command goes on where it was.

    \b
    recognition gallery ingest people.gallery faces.npz
    recognition gallery ingest people.gallery part1.parquet part2.parquet
    """  # noqa: D301
    with spoken_errors(stopped=ENROLLED_IS_KEPT):
        from recognition.cli.gallery_enrolling import run_ingest

        run_ingest(where, files, trust=trust, as_json=as_json)


@gallery.command("list", cls=Grouped, short_help="Who is enrolled, a line a person.")
def list_(where: Where, as_json: Json = False) -> None:
    """Print everybody who is enrolled as CSV: name, number of pictures, since when.

    \b
    recognition gallery list people.gallery
    recognition gallery list people.gallery --json
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.gallery_people import run_list

        run_list(where, as_json=as_json)


@gallery.command(cls=Grouped, short_help="What is kept of one person.")
def show(where: Where, name: Name, as_json: Json = False) -> None:
    """Print what is kept of a person, all but the embeddings; `export` writes these, too.

    \b
    recognition gallery show people.gallery ada
    recognition gallery show people.gallery ada --json
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.gallery_people import run_show

        run_show(where, name, as_json=as_json)


@gallery.command(cls=Grouped, short_help="How many, how large, by which threshold.")
def stats(where: Where, as_json: Json = False) -> None:
    """Print how many people are enrolled, by which model and threshold, and whether it still holds.

    \b
    recognition gallery stats people.gallery
    recognition gallery stats people.gallery --json
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.gallery_people import run_stats

        run_stats(where, as_json=as_json)


@gallery.command(cls=Grouped, short_help="Take a person out.")
def remove(where: Where, name: Name, as_json: Json = False) -> None:
    """Take a person out: found no more, though bytes may stay in files for a while. See `erase`.

    \b
    recognition gallery remove people.gallery ada
    recognition gallery remove people.gallery ada --json
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.gallery_people import run_remove

        run_remove(where, name, as_json=as_json)


@gallery.command(cls=Grouped, short_help="Forget a person, to the last byte.")
def erase(
    where: Where,
    name: Name,
    yes: Annotated[
        bool,
        typer.Option("--yes", rich_help_panel=PEOPLE, help="Do not ask whether you are sure."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Take a person out so that no byte of theirs is left in the gallery's folder; print a receipt.

    Copies that you made, such as exports and backups, are yours to erase, and so are pictures: who
    is in a folder that you sync is enrolled again.

    \b
    recognition gallery erase people.gallery ada
    recognition gallery erase people.gallery ada --yes --json
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.gallery_people import run_erase

        run_erase(where, name, yes=yes, as_json=as_json)


@gallery.command(cls=Grouped, short_help="Write people into files to keep or to take away.")
def export(
    where: Where,
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            rich_help_panel=OUTPUT,
            help="OUT.npz gets the embeddings, OUT.json everything else; neither may be there. Or "
            "milvus://host:port/name: a gallery on Milvus, made where there is none.",
        ),
    ],
    person: Annotated[
        list[str] | None,
        typer.Option(
            "--person",
            metavar="NAME",
            rich_help_panel=PEOPLE,
            help="Only this person; may be given again. By default everybody.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write all that is kept of people into two files: theirs to have, and for another gallery.

    To Milvus everybody is copied, with the threshold; the same command again goes on where it was.

    \b
    recognition gallery export people.gallery everybody
    recognition gallery export people.gallery milvus://localhost:19530/people
    recognition gallery export people.gallery ada --person ada
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.gallery_people import run_export

        run_export(where, out, person or [], as_json=as_json)


@gallery.command("import", cls=Grouped, short_help="Enrol what was exported.")
def import_(
    where: Where,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            rich_help_panel=PEOPLE,
            help="What `export` wrote, by the name of either file.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Enrol people from files of `export`; pictures that are enrolled already are passed over.

    \b
    recognition gallery import people.gallery everybody.npz
    recognition gallery import people.gallery ada.json --json
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.gallery_people import run_import

        run_import(where, file, as_json=as_json)


@gallery.command(cls=Grouped, short_help="Look at every byte for damage.")
def check(where: Where, as_json: Json = False) -> None:
    """Look for damage: every record and every byte of the cache is compared with its hash.

    The exit code is 1 if something is wrong, and each thing has a line. Nothing is changed.

    \b
    recognition gallery check people.gallery
    recognition gallery check people.gallery --json
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.gallery_repairing import run_check

        run_check(where, as_json=as_json)


@gallery.command(cls=Grouped, short_help="Save what is sound into a new gallery.")
def repair(
    where: Where,
    into: Annotated[
        Path,
        typer.Argument(
            metavar="INTO",
            rich_help_panel=GALLERY,
            help="The folder of the new gallery, which must not be there.",
        ),
    ],
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            rich_help_panel=MODEL,
            help="Where the gallery no longer says which model it is for: embeddings by that model.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Save every sound person and picture of a damaged gallery into a new one; tell what is lost.

    The damaged gallery is left as it is.

    \b
    recognition gallery repair people.gallery saved.gallery
    recognition gallery repair people.gallery saved.gallery --json
    """  # noqa: D301
    with spoken_errors():
        from recognition.cli.gallery_repairing import run_repair

        run_repair(where, into, like=like, as_json=as_json)
