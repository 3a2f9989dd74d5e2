"""Pictures with the person on each, decoded one at a time, so that no memory has to hold them all."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import printable
from recognition.datasets.choosing import of_people
from recognition.datasets.decoding import Pixels, decode, few_words, side_lengths
from recognition.datasets.folder import list_folder
from recognition.datasets.listings import Listing
from recognition.datasets.picture_lists import list_table
from recognition.datasets.pictures import Pictures, Skipped
from recognition.datasets.record_io import Progress, hold_records
from recognition.datasets.record_pictures import list_records
from recognition.datasets.sources import kind_of
from recognition.errors import InputError


class PictureSource(Protocol):
    """N pictures with the person on each; which of them is decoded, and when, is the caller's."""

    @property
    def labels(self) -> npt.NDArray[np.str_]:
        """(N,) the person on each picture."""

    @property
    def ids(self) -> npt.NDArray[np.str_]:
        """(N,) unique names."""

    @property
    def source(self) -> str:
        """Where they come from, in words."""

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What was passed over when it was opened, each with its reason."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What else to say of them, a sentence each."""

    def __len__(self) -> int: ...

    def load(self, place: int) -> Pixels:
        """The pixels (side, side, 3) uint8 RGB of one picture, 0 <= place < N; for any thread.

        Raises:
            InputError: it cannot be decoded, or is no longer there; the message names it.
        """

    def of(self, people: npt.NDArray[np.str_]) -> "PictureSource":
        """Only the pictures of these people, in the same order."""


def open_pictures(
    path: Path | str,
    *,
    side: int,
    people: int = 0,
    seed: int = 0,
    progress: Progress = None,
) -> PictureSource:
    """Pictures in a folder, a `.rec` file of MXNet or a CSV, none of them decoded.

    They are those that `read_pictures` finds, under the same names, and have the same pixels. What
    cannot be decoded is not known yet: it is refused when its turn comes.

    Args:
        path: the folder or file.
        side: of the square that every picture is stretched to.
        people: how many people to draw at random; 0 for all.
        seed: of that draw.
        progress: called with the number done and the number of all while a file is looked through.

    Raises:
        InputError: none of these, one that cannot be used, or fewer people than asked for.
    """
    path = Path(path)
    height, width = side_lengths(side)
    listing = _list(path, progress)

    def load(place: int) -> Pixels:
        try:
            return decode(listing.content(place), height, width)
        except InputError:
            raise
        except Exception as error:  # Pillow raises nearly anything on a broken file
            name = printable(f"{listing.word}{listing.ids[place]}")
            raise InputError(
                f"{listing.source}: expected a picture in {name}, but it cannot be used "
                f"({few_words(error)}); replace it, or take it out"
            ) from error

    every = _Opened(
        listing.labels,
        listing.ids,
        listing.source,
        listing.skipped,
        listing.notes,
        np.arange(len(listing.ids)),
        load,
    )
    if not people:
        return every
    kept = of_people(listing.labels, people, seed=seed, what=listing.source)
    return replace(every.at(kept.places), notes=(*listing.notes, *kept.notes))


def of_pictures(pictures: Pictures) -> PictureSource:
    """Pictures that are in memory already; keeping some people copies no pixels."""
    found = pictures.labels, pictures.ids, pictures.source, pictures.skipped, pictures.notes
    return _Opened(*found, np.arange(len(pictures)), lambda place: pictures.images[place])


@dataclass(frozen=True)
class _Opened:
    """Some of the pictures that `pixels` has: the i-th here is the one at `places[i]` there."""

    labels: npt.NDArray[np.str_]
    ids: npt.NDArray[np.str_]
    source: str
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    places: npt.NDArray[np.int64]
    pixels: Callable[[int], Pixels]

    def __len__(self) -> int:
        return len(self.places)

    def load(self, place: int) -> Pixels:
        return self.pixels(int(self.places[place]))

    def of(self, people: npt.NDArray[np.str_]) -> "_Opened":
        return self.at(np.flatnonzero(np.isin(self.labels, people)))

    def at(self, kept: npt.NDArray[np.int64]) -> "_Opened":
        return replace(self, labels=self.labels[kept], ids=self.ids[kept], places=self.places[kept])


def _list(path: Path, progress: Progress) -> Listing:
    match kind_of(path):
        case ".rec":
            return list_records(hold_records(path, progress), progress)
        case ".csv":
            return list_table(path)
        case _:
            return list_folder(path)
