"""What the verbs of `recognition gallery` do that need no embeddings from outside."""

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from recognition.cli.console import SAYS_NO, bar, show_json, show_lines
from recognition.errors import InputError
from recognition.gallery.answers import Person, Receipt, Stats, Threshold
from recognition.gallery.copying import export_gallery
from recognition.gallery.interface import Gallery
from recognition.gallery.labelled import described
from recognition.gallery.milvus_address import is_milvus
from recognition.gallery.portable import export_people, import_people
from recognition.report.text import in_csv, legible, several

YOURS = (
    "Exports, backups and pictures are yours to erase: who is in a folder that you sync is "
    "enrolled again"
)


def run_list(where: str, *, as_json: bool) -> None:
    """Everybody, a line each."""
    with Gallery.open(where) as gallery:
        people = gallery.people()
    if as_json:
        show_json({"format": 1, "people": [asdict(person) for person in people]})
        return
    write_csv([("name", "pictures", "enrolled")])
    write_csv((in_csv(one.name), one.samples, one.enrolled) for one in people)


def run_show(where: str, name: str, *, as_json: bool) -> None:
    """One person."""
    with Gallery.open(where) as gallery:
        samples = gallery.samples(name)
        (person,) = (one for one in gallery.people() if one.name == name)
    if as_json:
        kept = [{"source": one.source, "digest": one.digest} for one in samples]
        show_json({"format": 1, **asdict(person), "samples": kept})
        return
    show_lines(_about(person))
    for sample in samples:
        typer.echo(f"  {legible(sample.source) or '(not named)'}")


def run_stats(where: str, *, as_json: bool) -> None:
    """Numbers, model and threshold."""
    with Gallery.open(where) as gallery:
        found = gallery.stats()
    if as_json:
        told = asdict(found) | {"contract": json.loads(found.contract.to_json())}
        show_json({"format": 1, **told})
        return
    show_lines(_numbers(found))


def run_remove(where: str, name: str, *, as_json: bool) -> None:
    """Take a person out."""
    with Gallery.open(where) as gallery:
        count = gallery.remove(name)
    if as_json:
        show_json({"format": 1, "name": name, "samples": count})
        return
    show_lines([f"Removed {legible(name)} with {several(count, 'picture')}"])


def run_erase(where: str, name: str, *, yes: bool, as_json: bool) -> None:
    """Forget a person, having asked; leave with exit code 1 if anything of them is left."""
    with Gallery.open(where) as gallery:
        samples = len(gallery.samples(name))  # refuses a name that nobody has
        if not yes and not _sure(
            f"Erase {legible(name)} and {several(samples, 'picture')} for good?"
        ):
            typer.echo("Nobody was erased", err=True)
            raise typer.Exit(SAYS_NO)
        receipt = gallery.erase(name)
    if as_json:
        show_json({"format": 1, **asdict(receipt)})
    else:
        show_lines(_receipt(receipt))
    if not receipt.complete:
        raise typer.Exit(SAYS_NO)


def run_export(where: str, out: str, names: Sequence[str], *, as_json: bool) -> None:
    """Write people into two files, or copy everybody to Milvus.

    Raises:
        InputError: files that are there, nobody of such a name, or some people only for Milvus.
    """
    if is_milvus(out):
        if names:
            raise InputError(
                "expected everybody to be copied to Milvus, got --person; leave it out, or export "
                "into files and import those"
            )
        _copy(where, out, as_json=as_json)
        return
    with Gallery.open(where) as gallery:
        done = export_people(gallery, Path(out), names)
    if as_json:
        files = [str(done.embeddings), str(done.listing)]
        show_json({"format": 1, "people": done.people, "samples": done.samples, "files": files})
        return
    show_lines([f"{crowd(done.people, done.samples)}"])
    typer.echo(f"Written to {legible(str(done.embeddings))} and {legible(str(done.listing))}")


def _copy(where: str, out: str, *, as_json: bool) -> None:
    with Gallery.open(where) as gallery:
        done = export_gallery(gallery, out, watch=bar)
    if as_json:
        show_json({"format": 1, **done._asdict()})
        return
    present = f"; {done.present:,} people were there already" if done.present else ""
    show_lines([f"{crowd(done.people, done.samples)} copied{present}"])


def run_import(where: str, file: Path, *, as_json: bool) -> None:
    """Enrol people from two files."""
    with Gallery.open(where) as gallery:
        done = import_people(gallery, file)
        outgrown = gallery.stats().outgrown
    if as_json:
        show_json({"format": 1, **done._asdict()})
    else:
        enrolled = f"{several(done.people, 'person', 'people')}: {several(done.samples, 'picture')} enrolled"
        show_lines([f"{enrolled}, {done.known:,} were there already"])
    warn(outgrown)


def write_csv(rows: Iterable[Sequence[object]]) -> None:
    """Print lines of CSV, and let who reads have them; texts have to be fit for it already."""
    csv.writer(sys.stdout, lineterminator="\n").writerows(rows)
    sys.stdout.flush()


def crowd(people: int, samples: int) -> str:
    """How many people, and pictures of them."""
    return f"{several(people, 'person', 'people')} with {several(samples, 'picture')}"


def warn(sentence: str | None) -> None:
    """Say on stderr what does not stop the work."""
    if sentence:
        typer.echo(f"recognition: {sentence}", err=True)


def about_threshold(used: Threshold | None) -> list[str]:
    """A threshold with all that is known of it, for people."""
    if used is None:
        return ["no threshold, so everybody is unknown; set one with recognition calibrate"]
    return [text for text in (f"threshold {used}", used.misses, used.note) if text]


def _about(person: Person) -> list[str]:
    told = [
        f"{legible(person.name)}, since {person.enrolled}, {several(person.samples, 'picture')}"
    ]
    if person.metadata:
        told.append(f"metadata {json.dumps(dict(person.metadata))}")
    return told


def _numbers(found: Stats) -> list[str]:
    size = "" if found.size is None else f", {found.size / 2**20:,.1f} MiB"
    return [
        f"{several(found.people, 'person', 'people')}, {several(found.samples, 'picture')}{size}",
        f"by {legible(described(found.contract))}",
        *about_threshold(found.threshold),
        *filter(None, [found.outgrown]),
        *(f"the cache was made again: {legible(problem)}" for problem in found.problems),
    ]


def _receipt(receipt: Receipt) -> list[str]:
    done = "no byte of it is left in the gallery's folder" if receipt.complete else "not completely"
    what = f"{legible(receipt.name)} with {several(receipt.samples, 'picture')}"
    return [
        f"Erased {what} on {receipt.date}: {done}",
        *(f"left: {legible(reason)}" for reason in receipt.left),
        YOURS,
    ]


def _sure(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        raise InputError(
            "expected an answer, yes or no, but nobody is there to give it; say --yes"
        ) from None
