"""What `gallery create`, `enroll` and `sync` do, in order."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import numpy as np
import typer

from recognition.cli.console import bar, show_json, show_lines
from recognition.cli.embed_output import few
from recognition.cli.gallery_people import warn
from recognition.cli.gallery_source import Source
from recognition.datasets._files import shown
from recognition.datasets.folder import natural
from recognition.datasets.pictures import Skipped
from recognition.errors import InputError
from recognition.gallery.answers import Faceless
from recognition.gallery.ingest import Ingested, enroll_files
from recognition.gallery.interface import Gallery
from recognition.gallery.labelled import (
    contract_of,
    described,
    read_labelled,
    require_comparable,
)
from recognition.gallery.sync import Item, Synced, Vector, carry_out, plan
from recognition.report.text import legible, several


def run_create(
    where: str, *, like: Path | None, model: str | None, device: str, as_json: bool
) -> None:
    """Make an empty gallery.

    Raises:
        InputError: something is there, or no model is.
    """
    if like is not None and model is not None:
        raise InputError("--like and --model both say which model it is for; leave out one")
    if like is not None:
        contract = contract_of(like)
    else:
        from recognition.faces.models.loading import load_embedder

        contract = load_embedder(model, device=device).contract
    with Gallery.create(where, contract):
        pass
    if as_json:
        show_json({"format": 1, "gallery": where, "contract": json.loads(contract.to_json())})
    else:
        show_lines([f"Made {legible(where)}, for embeddings by {legible(described(contract))}"])
    if like is not None and not contract.sha256:
        typer.echo(
            f"{shown(like)} does not say which model made its embeddings: of what is "
            "enrolled only the number of dimensions can be checked",
            err=True,
        )


def run_enroll(
    where: str,
    name: str,
    paths: Sequence[Path],
    source: Source,
    *,
    metadata: str | None,
    as_json: bool,
) -> None:
    """Add pictures of one person, all or none.

    Raises:
        InputError: a picture that cannot be used; metadata that is no JSON object.
    """
    about = _metadata(metadata)
    with Gallery.open(where) as gallery:
        vectors: list[Vector] = []
        sources: list[str] = []
        digests: list[str] = []
        for path in paths:
            if path.suffix.lower() != ".npz":
                continue
            found = read_labelled(path, labelled=False)
            if found.file.failures:
                raise InputError(
                    f"{shown(path)}: expected an embedding in every row, but "
                    f"{len(found.file.failures)} have none; leave these rows out: nobody was "
                    "enrolled"
                )
            require_comparable(found, gallery.contract, trusted=source.trust)
            vectors += list(found.rows)
            sources += found.file.ids.tolist()
            digests += found.digests
        photos = [path for path in paths if path.suffix.lower() != ".npz"]
        if photos:
            rows, names, sums = _faces(photos, gallery, source)
            vectors, sources, digests = vectors + rows, sources + names, digests + sums
        before = _pictures(gallery, name)
        gallery.enroll(
            name,
            np.stack(vectors),
            sources=sources,
            digests=digests,
            replacing=digests,  # the same picture again is one picture
            metadata=about,
        )
        now = _pictures(gallery, name)
        outgrown = gallery.stats().outgrown
    if as_json:
        told = {"name": name, "enrolled": len(vectors), "samples": now, "new": not before}
        show_json({"format": 1, **told})
    else:  # a name that is mistyped is somebody new: say so
        who = f"{legible(name)}, who {f'has {now:,} now' if before else 'is new'}"
        show_lines([f"Enrolled {several(len(vectors), 'picture')} of {who}"])
    warn(outgrown)


def _pictures(gallery: Gallery, name: str) -> int:
    try:
        return len(gallery.samples(name))
    except InputError:
        return 0


def _faces(
    photos: Sequence[Path], gallery: Gallery, source: Source
) -> tuple[list[Vector], list[str], list[str]]:
    from recognition.faces.photos import find_photos
    from recognition.gallery.photographs import embed_faces

    found = find_photos(photos)  # a wrong path is told before a model is loaded
    faces = embed_faces(found, source.load(gallery.contract), watch=bar)
    if faces.skipped:
        first = faces.skipped[0]
        raise InputError(
            f"expected a face on every photograph, but {shown(Path(first.path))} cannot be used "
            f"({first.reason}); leave it out: nobody was enrolled"
        )
    chosen = faces.largest
    return (
        [faces.embeddings[at] for at in chosen],
        [faces.photos[at] for at in chosen],
        [faces.digests[at] for at in chosen],
    )


def run_ingest(where: str, files: Sequence[Path], *, trust: bool, as_json: bool) -> None:
    """Enrol every row of files.

    Raises:
        InputError: a file that cannot be used; nobody is enrolled then.
    """
    with Gallery.open(where) as gallery:
        done = enroll_files(gallery, files, trusted=trust, watch=bar)
        if as_json:
            show_json({"format": 1, **asdict(done)})
        else:
            show_lines(_ingested(done))
        warn(gallery.stats().outgrown)


def _ingested(done: Ingested) -> Iterator[str]:
    yield f"{several(done.enrolled, 'picture')} enrolled, {done.known:,} were there already"
    if done.failed:
        yield from few(
            f"{done.failed:,} without an embedding, left out",
            [f"{legible(one.id)}: {one.reason}" for one in done.failures],
        )


def run_sync(where: str, path: Path, source: Source, *, delete: bool, as_json: bool) -> None:
    """Bring a gallery up to date with a folder or a file.

    Raises:
        InputError: no gallery, no pictures, or another model.
    """
    with Gallery.open(where) as gallery:
        if not path.exists():
            raise InputError(
                "expected a folder with a folder a person, or a file of embeddings, at "
                f"{shown(path)}, but nothing is there; check the path"
            )
        found = (
            _sync_photographs(gallery, path, source, delete)
            if path.is_dir()
            else _sync_file(gallery, path, source, delete)
        )
        if as_json:
            show_json(_told(found))
        else:
            show_lines(_sentences(found))
        warn(gallery.stats().outgrown)


def _sync_photographs(gallery: Gallery, folder: Path, source: Source, delete: bool) -> Synced:
    from recognition.gallery.photographs import embed_people, find_people

    people = find_people(folder, watch=bar)
    settings = f"{packages.version('margin-recognition')}, faces from {source.min_score:g}"
    known = gallery.faceless
    faceless = dict(known.reasons) if known.settings == settings else {}
    skipped = [
        Skipped(item.source, faceless[item.digest])
        for item in people.items
        if item.digest in faceless
    ]
    planned = plan(gallery.known(), [item for item in people.items if item.digest not in faceless])

    def embed(items: Sequence[Item]) -> Iterator[Vector | str]:
        if items:  # a model takes seconds to load
            yield from embed_people(items, people, source.load(gallery.contract), faceless)

    done = carry_out(gallery, planned, embed, remove=delete, watch=bar)
    found = Faceless(settings, faceless)
    if found != known:
        gallery.set_faceless(found)
    return _with(done, [*people.skipped, *skipped])


def _sync_file(gallery: Gallery, path: Path, source: Source, delete: bool) -> Synced:
    found = read_labelled(path)
    require_comparable(found, gallery.contract, trusted=source.trust)
    file = found.file
    items = [
        Item(*each)
        for each in zip(file.labels.tolist(), file.ids.tolist(), found.digests, strict=True)
    ]
    rows = dict(zip(items, found.rows, strict=True))
    planned = plan(gallery.known(), items)
    done = carry_out(
        gallery, planned, lambda wanted: (rows[item] for item in wanted), remove=delete, watch=bar
    )
    return _with(done, [Skipped(failure.id, failure.reason) for failure in file.failures])


def _with(done: Synced, skipped: Sequence[Skipped]) -> Synced:
    every = sorted([*done.skipped, *skipped], key=lambda skip: natural(skip.path))
    return replace(done, skipped=tuple(every))


def _told(done: Synced) -> dict[str, Any]:
    """Everything a program may want to know of a sync."""
    return {
        "format": 1,
        "unchanged": done.unchanged,
        "added": [item._asdict() for item in done.added],
        "changed": [item._asdict() for item in done.changed],
        "gone": [item._asdict() for item in done.gone],
        "removed": done.removed,
        "skipped": [skip._asdict() for skip in done.skipped],
    }


def _sentences(done: Synced) -> Iterator[str]:
    people = len({item.name for item in done.added})
    yield (
        f"{len(done.added):,} added, of {people:,} people; {len(done.changed):,} changed, "
        f"{done.unchanged:,} unchanged, {len(done.gone):,} gone, {len(done.skipped):,} skipped"
    )
    yield from few("changed", (_shown(item) for item in done.changed))
    what = "gone, taken out" if done.removed else "gone, still enrolled (--delete takes them out)"
    yield from few(what, (_shown(item) for item in done.gone))
    yield from few("skipped", (f"{skip.path}: {skip.reason}" for skip in done.skipped))


def _shown(item: Item) -> str:
    return f"{item.name}: {item.source}"


def _metadata(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise InputError(
            f'--metadata: expected a JSON object, got {text[:80]!r}; write \'{{"team": "blue"}}\''
        )
    return told
