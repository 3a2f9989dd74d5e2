"""Two well-known sets of faces, downloaded once and cached by scikit-learn."""

import contextlib
import socket
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import numpy.typing as npt
from PIL import Image

from recognition.datasets.decoding import few_words, fit, side_lengths
from recognition.datasets.pictures import Pictures
from recognition.errors import InputError

_SILENCE = 10.0  # seconds without an answer until the network is given up
_MOST = 530  # the pictures of LFW's most photographed person
_CROP = 128  # the middle of LFW's 250 x 250 pixels: the face, square
_ROWS, _COLUMNS = slice(67, 67 + _CROP), slice(61, 61 + _CROP)


def fetch_olivetti(*, size: tuple[int, int] | int = 64, data_home: Path | None = None) -> Pictures:
    """The Olivetti faces: 40 people, "p00" to "p39", 10 grey pictures of 64 x 64 pixels each.

    scikit-learn downloads them once and keeps them in a joblib file, which is a pickle: use a
    cache folder that only you can write to.

    Args:
        size: (height, width), or the side of a square.
        data_home: the cache folder; by default `sklearn.datasets.get_data_home()`.

    Raises:
        InputError: they are not in the cache folder and cannot be downloaded.
    """
    from sklearn.datasets import fetch_olivetti_faces

    height, width = side_lengths(size)
    faces = _fetched("the Olivetti faces", fetch_olivetti_faces, data_home)
    people = np.array([f"p{person:02d}" for person in faces.target])
    return _pictures(faces.images, people, (height, width), "the Olivetti faces")


def fetch_lfw(
    *,
    size: tuple[int, int] | int = 64,
    data_home: Path | None = None,
    min_pictures: int = 10,
) -> Pictures:
    """Labeled Faces in the Wild, funneled, in colour: the people with `min_pictures` or more.

    The faces are the middle 128 x 128 of 250 x 250 pixels. The number in an id counts a person's
    pictures as scikit-learn hands them out; where LFW's own file names matter, as for its list of
    pairs, read the folder `lfw_home/lfw_funneled` of the cache with `read_folder`. scikit-learn
    keeps the pixels it has read in joblib files, which are pickles: use a cache folder that only
    you can write to.

    Args:
        size: (height, width), or the side of a square.
        data_home: the cache folder; by default `sklearn.datasets.get_data_home()`.
        min_pictures: 10 keeps 158 people, 1 keeps all 5,749.

    Raises:
        InputError: it is not in the cache folder and cannot be downloaded, or `min_pictures` is
            out of range.
    """
    from sklearn.datasets import fetch_lfw_people

    height, width = side_lengths(size)
    if not 1 <= min_pictures <= _MOST:
        raise InputError(
            f"min_pictures: expected 1 to {_MOST}, the most that LFW has of anyone, "
            f"got {min_pictures}; 10 is usual"
        )
    faces = _fetched(
        "LFW",
        fetch_lfw_people,
        data_home,
        min_faces_per_person=min_pictures,
        color=True,
        slice_=(_ROWS, _COLUMNS),
        resize=min(1.0, max(height, width) / _CROP),  # no more pixels in memory than needed
    )
    order = np.argsort(faces.target, kind="stable")
    people = faces.target_names[faces.target[order]]
    images = (faces.images[i] for i in order)  # one at a time: all of them are large
    return _pictures(images, people, (height, width), "Labeled Faces in the Wild")


def _fetched(name: str, fetch: Callable[..., Any], data_home: Path | None, **options: Any) -> Any:
    from sklearn.datasets import get_data_home

    home = data_home or "scikit-learn's default place"
    try:
        home = get_data_home(data_home)
        with _brief():
            return fetch(data_home=home, n_retries=1, delay=0.1, **options)
    except Exception as error:  # unpacking a damaged file raises nearly anything
        if _is_absence(error):
            came = " or from the network, got neither"
            way_out = "run this once where there is a network and copy that folder here"
        else:
            came = ", got files that cannot be used"
            way_out = "delete them and run this again where there is a network"
        raise InputError(
            f"expected {name} whole in the cache folder {home}{came} "
            f"({few_words(error)}); {way_out}, or give a folder of pictures"
        ) from error


def _is_absence(error: Exception) -> bool:
    """Whether the network or the disk refused, rather than the files being damaged."""
    refused = isinstance(error, URLError | HTTPException | TimeoutError)
    return refused or getattr(error, "errno", None) is not None


@contextlib.contextmanager
def _brief() -> Iterator[None]:
    """No endless wait for a silent server, nothing on stdout, no warning of a retry."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE)  # scikit-learn's download has no timeout of its own
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        socket.setdefaulttimeout(before)


def _pictures(
    images: Iterable[npt.NDArray[np.float32]],
    people: npt.NDArray[np.str_],
    sides: tuple[int, int],
    source: str,
) -> Pictures:
    """N arrays of numbers in [0, 1], (h, w) or (h, w, 3); each person's are counted from 0."""
    pixels = np.empty((len(people), *sides, 3), np.uint8)
    ids, count = [], Counter[str]()
    for i, (image, person) in enumerate(zip(images, people, strict=True)):
        pixels[i] = fit(Image.fromarray(np.rint(255 * image).astype(np.uint8)), *sides)
        ids.append(f"{person}/{count[person]:03d}")
        count[person] += 1
    return Pictures(pixels, np.asarray(people, np.str_), np.array(ids), source)
