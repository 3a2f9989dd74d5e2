"""Features as MegaFace's development kit keeps them: a small file for each picture."""

import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._arrays import Array, Container, Described
from recognition.datasets._files import listed, reason, refusing, require_file, shown
from recognition.datasets.embedding_files import EmbeddingFile, assemble
from recognition.errors import InputError
from recognition.progress import Watch, unwatched

_HEADER = np.dtype("<i4")
_COLUMNS, _STEP, _FLOAT32 = 1, 4, 5  # of a cv::Mat: one column of CV_32F
_LARGEST = 2**16  # dimensions
_LONGEST_LIST = 2**28  # bytes
_PICTURE = re.compile(r"(?P<picture>.+\.(?:jpe?g|png|bmp|pgm|tiff?|webp))_(?P<algorithm>.+)", re.I)
_EXPECTED = "a MegaFace feature file (rows, 1, 4, 5 as little-endian int32, then float32)"


class _Named(NamedTuple):
    """Feature files, the picture and the person of each."""

    paths: list[Path]
    pictures: list[str]
    people: list[str]


def read_features(
    folder: Path | str, names: Path | str | None = None, *, watch: Watch = unwatched
) -> EmbeddingFile:
    """The features in a folder and in folders within it, `PICTURE_ALGORITHM.bin` for each picture.

    Four little-endian int32, the number D of dimensions, 1, 4 and 5, stand before D float32. The
    id is the path of the picture within the folder. Its person is what a list says, or else the
    folder it is in.

    Args:
        folder: where the features are.
        names: the development kit's list, {"path": [...], "id": [...]}: the pictures to read,
            by their paths within the folder, and who is on each.
        watch: told how many files are read.

    Raises:
        InputError: no such folder or list, paths that lead out of the folder, pictures without a
            feature, features of several algorithms or dimensions, a header that does not fit its
            file, or one that is cut short.

    Source: Kemelmacher-Shlizerman, Seitz, Miller and Brossard, The MegaFace Benchmark, CVPR 2016,
    and its development kit.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"expected a folder of feature files at {shown(folder)}, but there is none; check the "
            "path"
        )
    with refusing(folder, "a folder of feature files", "check the folder"):
        found = _in_folder(folder) if names is None else _in_list(folder, Path(names))
        rows = _read_all(found.paths, watch)
        given: dict[str, Array] = {
            "embeddings": rows,
            "labels": np.array(found.people, np.str_),
            "ids": np.array(found.pictures, np.str_),
        }
        described = {name: Described(values.shape, values.dtype) for name, values in given.items()}
        return assemble(folder, Container(described, given.__getitem__))


def _in_folder(folder: Path) -> _Named:
    """Every feature file; who is on it is the folder it is in."""
    paths = sorted(
        path
        for path in folder.rglob("*.bin")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not paths:
        raise InputError(
            f"expected feature files PICTURE_ALGORITHM.bin in {shown(folder)}, got none; a folder "
            "is read as MegaFace's features: name the one with them, or a file such as faces.npz"
        )
    pictures, algorithms = [], []
    for path in paths:
        within = path.relative_to(folder).with_suffix("").as_posix()
        picture, algorithm = _split(path, within)
        pictures.append(picture)
        algorithms.append(algorithm)
    _require_one(folder, algorithms)
    people = [str(PurePosixPath(picture).parent) for picture in pictures]
    alone = people.count(".")
    if alone:
        raise InputError(
            f"expected every feature file in a folder named after the person, but {alone} lie in "
            f"{shown(folder)} itself; say who is on them with a list of paths and ids"
        )
    return _Named(paths, pictures, people)


def _split(path: Path, within: str) -> tuple[str, str]:
    """The picture and the algorithm that made its feature: a suffix of pictures parts them."""
    match = _PICTURE.fullmatch(within)
    picture, algorithm = (
        (match["picture"], match["algorithm"]) if match else within.rpartition("_")[::2]
    )
    if not picture or "/" in algorithm:
        raise InputError(
            f"expected a name such as PICTURE_ALGORITHM.bin, got {shown(path)}; rename it, or leave "
            "it out of the folder"
        )
    return picture, algorithm


def _require_one(folder: Path, algorithms: Sequence[str]) -> None:
    different = sorted(set(algorithms))
    if len(different) > 1:
        raise InputError(
            f"expected features of one algorithm in {shown(folder)}, got those of "
            f"{listed(different)}; keep each in a folder of its own"
        )


def _in_list(folder: Path, names: Path) -> _Named:
    """The feature file of every picture in the list."""
    pictures, people = _read_list(names)
    first = PurePosixPath(pictures[0])
    beside = folder / first.parent
    begins = f"{first.name}_"
    algorithms = sorted(
        path.name[len(begins) : -len(".bin")]
        for path in (beside.iterdir() if beside.is_dir() else ())
        if path.name.startswith(begins) and path.name.endswith(".bin")
    )
    if not algorithms:
        raise InputError(
            f"expected a feature file {listed([begins + 'ALGORITHM.bin'])} in {shown(beside)}, for "
            f"the first picture in {shown(names)}, got none; name the folder that the paths begin in"
        )
    _require_one(beside, algorithms)
    paths = [folder / f"{picture}_{algorithms[0]}.bin" for picture in pictures]
    return _Named(paths, pictures, people)


def _read_list(path: Path) -> tuple[list[str], list[str]]:
    """Paths and people of {"path": [...], "id": [...]}."""
    expected = 'a list of pictures in JSON, {"path": [...], "id": [...]}'
    size = require_file(path, expected)
    if size > _LONGEST_LIST:
        raise InputError(
            f"expected {expected} at {shown(path)} of at most {_LONGEST_LIST:,} bytes, got {size:,};"
            " split it"
        )
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"expected {expected} at {shown(path)}, but it cannot be read ({reason(error)}); write "
            "it again"
        ) from error
    pictures, people = (
        (content.get("path"), content.get("id")) if isinstance(content, dict) else (None, None)
    )
    if not isinstance(pictures, list) or not isinstance(people, list) or not pictures:
        raise InputError(
            f"expected {expected} at {shown(path)}, got something else; both lists have an entry "
            "for each picture"
        )
    kinds = (
        all(isinstance(each, str) and each for each in pictures),
        all((isinstance(each, str) and each.strip()) or type(each) is int for each in people),
    )
    if len(pictures) != len(people) or not all(kinds):
        raise InputError(
            f"expected {expected} at {shown(path)} with a text for each path and a text or whole "
            f"number for each id, got {len(pictures)} paths and {len(people)} ids, or others; "
            "write it again"
        )
    for picture in pictures:
        _require_inside(path, picture)
    if len(set(pictures)) < len(pictures):
        twice = len(pictures) - len(set(pictures))
        raise InputError(
            f"{shown(path)}: expected every path once, but {twice} repeat an earlier one; remove them"
        )
    return pictures, [str(each) for each in people]


def _require_inside(path: Path, picture: str) -> None:
    parts = picture.split("/")
    if not picture.isprintable() or "\\" in picture or any(p in ("", ".", "..") for p in parts):
        raise InputError(
            f"{shown(path)}: expected paths within the folder of features, such as "
            f"'person/picture.png', got {listed([picture])}; correct it"
        )


def _read_all(paths: Sequence[Path], watch: Watch) -> npt.NDArray[np.float32]:
    """(N, D), D as the first file has it."""
    first = _read(paths[0])
    rows = np.empty((len(paths), len(first)), np.float32)
    with watch("reading features", len(paths)) as advance:
        for number, path in enumerate(paths):
            row = _read(path)
            if len(row) != len(first):
                raise InputError(
                    f"expected {len(first)} dimensions as in {shown(paths[0])}, got {len(row)} in "
                    f"{shown(path)}; features that were 'cleaned' by another dimension are no longer "
                    "those of the network: take the original ones"
                )
            rows[number] = row
            advance(number + 1)
    return rows


def _read(path: Path) -> npt.NDArray[np.float32]:
    """The feature in one file, whose size has to be what its header says."""
    size = require_file(path, _EXPECTED)
    if size > 16 + 4 * _LARGEST:
        raise InputError(
            f"expected {_EXPECTED} of at most {_LARGEST:,} dimensions at {shown(path)}, got "
            f"{size:,} bytes; it is something else"
        )
    raw = path.read_bytes()
    header = np.frombuffer(raw[:16], _HEADER).tolist() if len(raw) >= 16 else []
    if header[1:] != [_COLUMNS, _STEP, _FLOAT32] or len(raw) != 16 + 4 * header[0] or not header[0]:
        raise InputError(
            f"expected {_EXPECTED} at {shown(path)}, got {header or 'no header'} and {len(raw):,} "
            "bytes in all; it is cut short, damaged or something else: write it again"
        )
    return np.frombuffer(raw[16:], "<f4").astype(np.float32)
