"""Pictures that come with the pairs to judge them by: insightface's .bin files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recognition.datasets._files import shown
from recognition.datasets.choosing import require_room
from recognition.datasets.decoding import decode_all, side_lengths
from recognition.datasets.insightface_bin import read_bin
from recognition.datasets.pair_lists import PairList, pairs_in_order
from recognition.datasets.pictures import Pictures
from recognition.errors import InputError


@dataclass(frozen=True)
class VerificationSet:
    """Pictures, and the pairs of them to be judged.

    Nobody knows who is on a picture, only which pairs show one person: all labels are empty, and
    the pairs are `anonymous`.

        found = read_verification("lfw.bin")
        evaluate(embed(found.pictures.images), None, pairs=found.pairs)

    Attributes:
        pictures: those that could be decoded; the id of each is its place in the file, from "0".
        pairs: picture 2k with picture 2k + 1, in ten folds in the order of the file.
    """

    pictures: Pictures
    pairs: PairList


def read_verification(
    path: Path | str,
    *,
    size: tuple[int, int] | int = 112,
    progress: Callable[[int, int], None] | None = None,
) -> VerificationSet:
    """The pictures and pairs of a `.bin` file of insightface.

    Pictures are the bytes of JPEG or PNG files, also as arrays as cv2.imencode makes them, or
    pixels (h, w, 3), taken for RGB. Files of Python 2 and all protocols are read, and nothing in
    them is run. Pairs with a picture that cannot be decoded are counted in `pairs.failures`.

    Args:
        path: the file.
        size: (height, width), or the side of a square; 112 is what such files have.
        progress: called with the number of pictures done and the number of all, after each.

    Raises:
        InputError: no such file, one that asks for more than pictures and truth values, a damaged
            one, or more pictures than fit in memory.
    """
    path = Path(path)
    sides = side_lengths(size)
    entries, mated = read_bin(path)
    names = [str(place) for place in range(len(entries))]
    source = f"pictures in {shown(path)}"
    require_room(len(names), sides, source, "pass a smaller size")
    found = decode_all(names, entries.__getitem__, sides, progress)
    if not len(found.places):
        first = found.skipped[0]
        raise InputError(
            f"{shown(path)}: expected encoded pictures, but none of {len(entries)} can be used "
            f"({first.path}: {first.reason}); look at the program that wrote them"
        )
    ids = np.array(names)[found.places]
    pictures = Pictures(found.images, np.full(len(ids), ""), ids, source, tuple(found.skipped))
    return VerificationSet(pictures, pairs_in_order(path, mated, found.places))
