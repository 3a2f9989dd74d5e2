"""Pictures that are known by name and person, none of them decoded: what every reader begins with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.datasets.choosing import choose
from recognition.datasets.decoding import Source, decode_all
from recognition.datasets.pictures import Pictures, Skipped


@dataclass(frozen=True)
class Listing:
    """N pictures that can be had one at a time.

    Attributes:
        labels: (N,) str, the person on each picture.
        ids: (N,) str, unique.
        source: where they come from, in words.
        content: hands out the i-th for `decode`; any thread may ask.
        word: what comes before an id where a picture is named.
        skipped: the files that were passed over, each with its reason.
        notes: what else to say of them, a sentence each.
    """

    labels: npt.NDArray[np.str_]
    ids: npt.NDArray[np.str_]
    source: str
    content: Callable[[int], Source]
    word: str = ""
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def read_listing(
    listing: Listing,
    sides: tuple[int, int],
    *,
    people: int | Sequence[str] | None,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> Pictures:
    """Those of the people asked for, decoded; none where none can be.

    Raises:
        InputError: as `choose`.
    """
    kept = choose(listing.labels, sides, people=people, seed=seed, what=listing.source)
    names = [f"{listing.word}{name}" for name in listing.ids[kept.places].tolist()]
    found = decode_all(names, lambda i: listing.content(int(kept.places[i])), sides, progress)
    usable = kept.places[found.places]
    return Pictures(
        found.images,
        listing.labels[usable],
        listing.ids[usable],
        listing.source,
        (*listing.skipped, *found.skipped),
        (*listing.notes, *kept.notes),
    )
