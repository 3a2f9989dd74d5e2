"""Pictures and people in a .rec file of MXNet: the form in which insightface's sets come."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import shown
from recognition.datasets.decoding import side_lengths
from recognition.datasets.listings import Listing, read_listing
from recognition.datasets.pictures import Pictures
from recognition.datasets.record_io import Places, Progress, Records, open_records
from recognition.errors import InputError

EXACT = 2**24  # beyond it float32 has not every whole number
_EVERY = 4096  # labels between two words on progress


def read_records(
    path: Path | str,
    *,
    size: tuple[int, int] | int = 64,
    people: int | Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = None,
) -> Pictures:
    """The pictures in a `.rec` file; their labels, whole numbers, name the people.

    With an `.idx` beside it only what is needed is read: the labels of all pictures, and the
    pictures of the people asked for. Without one the file is walked through once.

    insightface's files begin with a record of two labels, which say that pictures have the keys 1
    up to the first and that records of people follow up to the second; of others all records are
    pictures. Where a picture has several labels, the first names the person. Its id is its key.

    Args:
        path: the file.
        size: (height, width), or the side of a square.
        people: names, or how many people to draw at random; by default all are read.
        seed: of that draw.
        progress: called with the number done and the number of all, first of the labels that are
            read, then of the pictures.

    Raises:
        InputError: no such file, one that is cut short or does not fit its index, a label that is
            no person, no picture that can be used, or more than fit in memory.
    """
    path = Path(path)
    sides = side_lengths(size)
    with open_records(path, progress) as records:
        listing = list_records(records, progress)
        found = read_listing(listing, sides, people=people, seed=seed, progress=progress)
    if not len(found):
        first = found.skipped[0]
        raise InputError(
            f"{shown(path)}: expected pictures in its records, but none of "
            f"{len(found.skipped):,} can be used ({first.path}: {first.reason}); look at the "
            "program that wrote them"
        )
    return found


def list_records(records: Records, progress: Progress = None) -> Listing:
    """The pictures in a file of records, of which only the labels are read; see `read_records`.

    Raises:
        InputError: the file does not fit its index, or a label is no person.
    """
    listed = _listed_pictures(records)
    places = np.arange(len(records.keys)) if listed is None else listed
    labels = _labels(records, places, progress)

    def content(place: int) -> bytes:
        records.require_label(int(places[place]), int(labels[place]))
        return records.picture(int(places[place]))

    return Listing(
        _texts(labels),
        _texts(records.keys[places]),
        f"pictures in {shown(records.path)}",
        content,
        word="record ",
        notes=() if listed is None else _unlike_property(records.path, len(np.unique(labels))),
    )


def _texts(numbers: Places) -> npt.NDArray[np.str_]:
    """Whole numbers >= 0 as texts, no wider than the longest."""
    return numbers.astype(f"<U{len(str(numbers.max(initial=0)))}")


def _listed_pictures(records: Records) -> Places | None:
    """The records that insightface's first one says are pictures; None where there is no such."""
    first = records.place(0)
    if first is None:
        return None
    labels, rest = records.head(first)
    if len(labels) != 2 or rest:
        return None
    end, last = labels
    if not (1 < end <= last and end.is_integer()):
        raise InputError(
            f"{shown(records.path)}: expected record 0 to say that pictures have the keys 1 up to "
            f"a whole number, got {end:g} and {last:g}; fetch the file again"
        )
    places = np.flatnonzero((records.keys >= 1) & (records.keys < end))
    if len(places) != int(end) - 1:
        raise InputError(
            f"{shown(records.path)}: expected {int(end) - 1:,} pictures, as record 0 says, but "
            f"the index has {len(places):,} of them; it is cut short or belongs to another file: "
            "fetch both again"
        )
    return places


def _labels(records: Records, places: Places, progress: Progress) -> Places:
    """The person on each picture, in the order of `places`."""
    found = np.empty(len(places), np.float64)
    for done, place in enumerate(places.tolist(), 1):
        found[done - 1] = records.head(place).labels[0]
        if progress is not None and (done % _EVERY == 0 or done == len(places)):
            progress(done, len(places))
    with np.errstate(invalid="ignore"):  # of NaN
        wrong = ~((found >= 0) & (found <= EXACT) & (found % 1 == 0))
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError(
            f"{shown(records.path)}: expected whole numbers up to 2^24 for labels, above which "
            f"float32 takes people for one another, got {found[at]:g} in record "
            f"{records.keys[places[at]]} ({int(wrong.sum()):,} such of {len(places):,}); number "
            "the people from 0"
        )
    return found.astype(np.int64)


def _unlike_property(path: Path, people: int) -> tuple[str, ...]:
    """A note where the file `property` beside it, `people,height,width`, says otherwise."""
    try:
        said = (path.parent / "property").read_bytes()[:100].split(b",")[0].strip().decode("ascii")
    except (OSError, UnicodeDecodeError):
        return ()
    if not said.isdigit() or int(said) == people:
        return ()
    return (f"the file property says {int(said):,} people, but {shown(path)} has {people:,}",)
