"""Pictures that `recognition export` compares networks on."""

from pathlib import Path

from recognition.contract import Preprocessing
from recognition.datasets._files import shown
from recognition.datasets.decoding import Pixels, decode_all
from recognition.errors import InputError

MOST = 200
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".ppm", ".pgm")


def read_crops(folder: Path, preprocessing: Preprocessing) -> Pixels:
    """The first pictures below a folder, stretched to what the network takes.

    Raises:
        InputError: there are none that can be read.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)[:MOST]
    sides = preprocessing.height, preprocessing.width
    crops = decode_all([str(path) for path in found], found.__getitem__, sides).images
    if not len(crops):
        raise InputError(
            f"expected pictures of faces below {shown(folder)}, got none; recognition detect "
            "writes some"
        )
    return crops
