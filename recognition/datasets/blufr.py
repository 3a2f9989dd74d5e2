"""BLUFR: ten random trials of verification and open-set identification on LFW."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.datasets._mat import Value, read_mat
from recognition.datasets._picture_names import lfw_index
from recognition.datasets.embedding_files import Failure
from recognition.embeddings import people_of
from recognition.errors import InputError

Rows = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]

IMAGES = ("imageList", "imagelist", "image_list", "images")
LABELS = ("labels", "label")
TRAIN = ("trainIndex", "train_index", "trainIdx")
TEST = ("testIndex", "test_index", "testIdx")
GALLERY = ("galIndex", "galleryIndex", "gal_index", "gallery_index", "galIdx")
PROBES = ("probIndex", "probeIndex", "prob_index", "probe_index", "probIdx")
_KNOWN = frozenset((*IMAGES, *LABELS, *TRAIN, *TEST, *GALLERY, *PROBES))
_EXPECTED = "a configuration of BLUFR, a MATLAB file of version 5 to 7"
_WAY_OUT = "take blufr_lfw_config.mat as it is published, or save it again with save(..., '-v7')"


@dataclass(frozen=True)
class Trial:
    """Rows of the pictures of one trial; gallery and probes together are the test pictures."""

    test: Rows
    gallery: Rows
    probes: Rows


@dataclass(frozen=True)
class Blufr:
    """The protocol: N pictures, who is on them, and what each trial compares.

    Attributes:
        images: (N,) file names, without folders.
        labels: (N,) the person on each, as the file numbers them.
        trials: at least two.
    """

    images: Names
    labels: Names
    trials: tuple[Trial, ...]


def read_blufr(path: Path | str) -> Blufr:
    """The trials in a configuration file, `blufr_lfw_config.mat` or another of its kind.

    It has `imageList`, N file names, `labels`, N whole numbers, and cell arrays with one list of
    places in them, counted from 1, for each trial: `testIndex`, `galIndex`, `probIndex` and, if
    there is one, `trainIndex`. Names such as `image_list`, `galleryIndex` or `probeIndex` do too.

    Raises:
        InputError: no such file, a missing or doubled variable, places that do not exist or come
            twice, a gallery and probes that are not the test pictures, people who are both trained
            on and tested, fewer than two trials.

    Source: Liao, Lei, Yi and Li, A Benchmark Study of Large-Scale Unconstrained Face Recognition,
    IJCB 2014.
    """
    path = Path(path)
    require_file(path, _EXPECTED)
    with refusing(path, _EXPECTED, _WAY_OUT):
        found = read_mat(path, _KNOWN)
        images = _texts(path, found, IMAGES)
        labels = _labels(path, _the(path, found, LABELS), len(images))
        sets = [_lists(path, found, names, len(images)) for names in (TEST, GALLERY, PROBES)]
        train = _lists(path, found, TRAIN, len(images)) if _has(found, TRAIN) else []
        counts = {len(each) for each in (*sets, *([train] if train else []))}
        if len(counts) != 1 or min(counts) < 2:
            raise InputError(
                f"{shown(path)}: expected the same number of trials, 2 or more, in every list, got "
                f"{[len(each) for each in sets]}; the file is damaged"
            )
        trials = tuple(Trial(*each) for each in zip(*sets, strict=True))
        for number, trial in enumerate(trials, 1):
            _check(path, number, trial, labels, train[number - 1] if train else None)
    return Blufr(images, labels, trials)


def _has(found: dict[str, Value], names: Sequence[str]) -> bool:
    return any(name in found for name in names)


def _the(path: Path, found: dict[str, Value], names: Sequence[str]) -> Value:
    given = [name for name in names if name in found]
    if len(given) != 1:
        raise InputError(
            f"{shown(path)}: expected a variable {names[0]}, got "
            f"{listed(given or found, 20) or 'none of the protocol'}; {_WAY_OUT}"
        )
    return found[given[0]]


def _texts(path: Path, found: dict[str, Value], names: Sequence[str]) -> Names:
    given = _the(path, found, names)
    texts = [text for text in given if isinstance(text, str)] if isinstance(given, list) else []
    if not texts or len(texts) != len(given):
        raise InputError(
            f"{shown(path)}: expected {names[0]} to be a cell array of file names; {_WAY_OUT}"
        )
    if len(set(texts)) < len(texts) or not all(0 < len(text) <= 255 for text in texts):
        raise InputError(
            f"{shown(path)}: expected every file name of {names[0]} once and none empty or longer "
            f"than 255 letters; {_WAY_OUT}"
        )
    return np.array(texts)


def _whole(path: Path, what: str, given: object) -> Rows:
    """A list of whole numbers from 1 on."""
    if isinstance(given, np.ndarray) and max(given.shape, default=0) == given.size:
        values = given.ravel()
        if ((values >= 1) & (values < 2**31)).all() and (values == np.floor(values)).all():
            return values.astype(np.int64)
    raise InputError(
        f"{shown(path)}: expected {what} to be a list of whole numbers counted from 1; {_WAY_OUT}"
    )


def _labels(path: Path, given: Value, images: int) -> Names:
    labels = _whole(path, "labels", given)
    if len(labels) != images:
        raise InputError(
            f"{shown(path)}: expected a label for each of {images} pictures, got {len(labels)}; "
            f"{_WAY_OUT}"
        )
    return labels.astype(str)


def _lists(path: Path, found: dict[str, Value], names: Sequence[str], images: int) -> list[Rows]:
    given = _the(path, found, names)
    if not isinstance(given, list) or not given:
        raise InputError(
            f"{shown(path)}: expected {names[0]} to be a cell array, a list for each trial; "
            f"{_WAY_OUT}"
        )
    lists = []
    for number, each in enumerate(given, 1):
        what = f"{names[0]}{{{number}}}"
        places = _whole(path, what, each)
        if not len(places) or places.max() > images or len(np.unique(places)) < len(places):
            raise InputError(
                f"{shown(path)}: expected {what} to hold different places among {images} pictures, "
                f"got {len(places)} up to {places.max(initial=0)}; {_WAY_OUT}"
            )
        lists.append(places - 1)
    return lists


def _check(path: Path, number: int, trial: Trial, labels: Names, train: Rows | None) -> None:
    both = np.concatenate([trial.gallery, trial.probes])
    if not np.array_equal(np.sort(both), np.sort(trial.test)):
        raise InputError(
            f"{shown(path)}: expected gallery and probes of trial {number} to be its test pictures, "
            f"each once, got {len(both)} of {len(trial.test)}; {_WAY_OUT}"
        )
    known = np.isin(labels[trial.probes], labels[trial.gallery])
    if known.all() or not known.any():
        raise InputError(
            f"{shown(path)}: expected probes of trial {number} of people who are enrolled and of "
            f"others, got {int(known.sum())} of {len(known)} enrolled; {_WAY_OUT}"
        )
    if train is not None:
        shared = np.intersect1d(labels[train], labels[trial.test])
        if len(shared):
            raise InputError(
                f"{shown(path)}: expected nobody to be trained on and tested, but trial {number} "
                f"does both with {len(shared)} people: {listed(shared.tolist())}; {_WAY_OUT}"
            )


@dataclass(frozen=True)
class Placed:
    """Where the pictures of a protocol are in a table of embeddings.

    Attributes:
        rows: (N,) the row of each picture, -1 for one that could not be embedded.
        labels: (N,) the person on each, as the table names them.
    """

    rows: Rows
    labels: Names


def place_pictures(
    protocol: Blufr,
    ids: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    failed: Sequence[Failure] = (),
) -> Placed:
    """The protocol's pictures in a table: by file name, in any folder, with its suffix or without.

    Raises:
        InputError: a picture that the table lacks or could be more than one, or people that are
            told apart otherwise than in the protocol.
    """
    embedded = [str(name) for name in np.asarray(ids).tolist()]
    known = [*embedded, *(one.id for one in failed)]
    people = np.array([*np.asarray(labels).tolist(), *(one.label for one in failed)], np.str_)
    index = lfw_index(known)
    rows, unknown, unclear = [], [], []
    for image in protocol.images.tolist():
        name = image if image in index.rows else image.rpartition(".")[0] or image
        if name not in index.rows:
            unknown.append(image)
        elif name in index.unclear:
            unclear.append(image)
        else:
            rows.append(index.rows[name])
    for what, wrong in (("are not in the table", unknown), ("could be several", unclear)):
        if wrong:
            raise InputError(
                f"expected the table to have every picture of the protocol once, but {len(wrong)} "
                f"of {len(protocol.images)} {what}: {listed(wrong)}, while it has "
                f"{listed(known, 2)}; embed all of them, with their file names as ids"
            )
    places = np.array(rows)
    own, theirs = people_of(people[places]), people_of(protocol.labels)
    met = np.unique(np.stack([own.codes, theirs.codes]), axis=1)
    if met.shape[1] != len(own.names) or met.shape[1] != len(theirs.names):
        raise InputError(
            f"expected the people of the protocol, {len(theirs.names)} of them, but the table has "
            f"{len(own.names)} on the same pictures, or others; check the labels"
        )
    return Placed(np.where(places < len(embedded), places, -1), people[places])
