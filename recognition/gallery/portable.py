"""People out of a gallery and into another: a .npz of embeddings and a .json that says whose."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract, require_same
from recognition.datasets._files import refusing, require_file, shown
from recognition.datasets._npy import open_npz
from recognition.errors import InputError
from recognition.gallery.answers import Person
from recognition.gallery.interface import Gallery
from recognition.gallery.records import Sample
from recognition.gallery.vectors import LONGEST, SHORTEST
from recognition.whole_files import save_arrays, written_whole

FORMAT = 1
AGAIN = "export it again with recognition gallery export"


class Exported(NamedTuple):
    """The two files that were written."""

    embeddings: Path
    listing: Path
    people: int
    samples: int


class Imported(NamedTuple):
    """What was enrolled, and what was there already."""

    people: int
    samples: int
    known: int


def export_people(gallery: Gallery, out: Path, names: Sequence[str] = ()) -> Exported:
    """All that is kept of some people, or of everybody, in `OUT.npz` and `OUT.json`.

    The .npz has `embeddings` (N, D), and as `labels` (N,) the place of each person in the .json,
    which has names, metadata, and what every sample is called. No name becomes part of a path.

    Raises:
        InputError: a file is there already, or nobody has a name.
        OSError: the files cannot be written; neither is there.
    """
    arrays, told = out.with_suffix(".npz"), out.with_suffix(".json")
    for path in (arrays, told):
        if path.exists():
            raise InputError(f"{shown(path)} exists already; name another file")
    chosen = _chosen(gallery, names)
    samples = [gallery.samples(person.name) for person in chosen]
    rows = [sample.vector for own in samples for sample in own]
    labels = np.repeat(np.arange(len(chosen)), [len(own) for own in samples])
    listing = {
        "format": FORMAT,
        "contract": json.loads(gallery.contract.to_json()),
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "people": [_told(person, own) for person, own in zip(chosen, samples, strict=True)],
    }
    matrix = np.array(rows, np.float32).reshape(-1, gallery.contract.dimension)
    save_arrays(
        arrays,
        {
            "embeddings": matrix,
            "labels": labels.astype(np.int64),
            "contract": np.array(gallery.contract.to_json()),
        },
    )
    try:
        with written_whole(told) as file:
            file.write(json.dumps(listing, indent=1, allow_nan=False).encode())
    except BaseException:  # both or none
        arrays.unlink()
        raise
    return Exported(arrays, told, len(chosen), len(rows))


def import_people(gallery: Gallery, path: Path) -> Imported:
    """Enrol what `export_people` wrote, all or none; samples that are there are passed over.

    Raises:
        InputError: files that are damaged, do not fit each other, or are of another contract.
    """
    arrays, told = path.with_suffix(".npz"), path.with_suffix(".json")
    for one in (arrays, told):
        require_file(one, "what recognition gallery export wrote")
    with refusing(told, "people that recognition gallery export wrote", AGAIN):
        listing = json.loads(told.read_bytes())
        if listing["format"] != FORMAT:
            raise ValueError(f"format {str(listing['format'])[:20]!r}")
        contract = Contract.from_json(json.dumps(listing["contract"]))
        people = [_read(person) for person in listing["people"]]
        if len({person.name for person in people}) != len(people):
            raise ValueError("a name comes twice")
    require_same(contract, gallery.contract, names=(shown(told), "the gallery"))
    matrix = _matrix(arrays, [len(person.sources) for person in people], contract)
    with gallery.alone():
        new = _missing(gallery, people, matrix)
        gallery.enroll_people(new)
    count = sum(len(samples) for _, samples, _ in new)
    return Imported(len(people), count, len(matrix) - count)


class _Told(NamedTuple):
    name: str
    metadata: Mapping[str, Any]
    sources: list[str]
    digests: list[str]


def _chosen(gallery: Gallery, names: Sequence[str]) -> list[Person]:
    everybody = gallery.people()
    if not names:
        return everybody
    by_name = {person.name: person for person in everybody}
    for name in names:
        if name not in by_name:
            raise InputError(
                f"expected the name of somebody enrolled, got {name[:80]!r}; recognition gallery "
                "list shows the names"
            )
    return [by_name[name] for name in dict.fromkeys(names)]


def _told(person: Person, samples: Iterable[Sample]) -> dict[str, Any]:
    return {
        "name": person.name,
        "enrolled": person.enrolled,
        "metadata": dict(person.metadata),
        "samples": [{"source": one.source, "digest": one.digest} for one in samples],
    }


def _read(told: Any) -> _Told:
    """A person as the .json has them, each field of its kind."""
    name, metadata, samples = told["name"], told["metadata"], told["samples"]
    texts = [text for one in samples for text in (one["source"], one["digest"])]
    if not isinstance(name, str) or not name or not isinstance(metadata, dict) or not samples:
        raise ValueError("a person without a name, samples or metadata")
    for text in (name, *texts):
        if not isinstance(text, str):
            raise ValueError("a source that is no text")
        text.encode()  # lone surrogates cannot be kept
    return _Told(name, metadata, texts[::2], texts[1::2])


def _matrix(path: Path, counts: Sequence[int], contract: Contract) -> npt.NDArray[np.float32]:
    """The embeddings (N, D), as many as the .json has samples, in its order."""
    with refusing(path, "embeddings that recognition gallery export wrote", AGAIN):
        container = open_npz(path)
        shape = container.arrays["embeddings"].shape
        owners = np.repeat(np.arange(len(counts)), counts)
        fits = shape == (len(owners), contract.dimension)
        fits = fits and container.arrays["labels"].shape == owners.shape
        if not fits or not np.array_equal(container.load("labels"), owners):
            raise ValueError("it is not of the people in the .json")
        matrix = container.load("embeddings")
        if matrix.dtype != np.float32:
            raise ValueError(f"embeddings of type {matrix.dtype}")
        lengths = np.linalg.norm(matrix.astype(np.float64), axis=1)
        if not ((lengths >= SHORTEST) & (lengths <= LONGEST)).all():
            raise ValueError("an embedding that no model makes")
    return np.ascontiguousarray(matrix)


def _missing(
    gallery: Gallery, people: Sequence[_Told], matrix: npt.NDArray[np.float32]
) -> list[tuple[str, list[Sample], Mapping[str, Any]]]:
    """The people of whom samples are not there yet, and these."""
    there = {person.name for person in gallery.people()}
    starts = np.cumsum([0, *(len(person.sources) for person in people)])
    new: list[tuple[str, list[Sample], Mapping[str, Any]]] = []
    for person, start in zip(people, starts, strict=False):
        rows = matrix[start : start + len(person.sources)]
        have = _have(gallery, person.name) if person.name in there else set()
        samples = [
            Sample(*each)
            for each in zip(rows, person.sources, person.digests, strict=True)
            if each[0].tobytes() not in have
        ]
        if samples:
            new.append((person.name, samples, person.metadata))
    return new


def _have(gallery: Gallery, name: str) -> set[bytes]:
    return {sample.vector.astype("<f4").tobytes() for sample in gallery.samples(name)}
